"""Maps compared with published ones: over the depths of the reference, on the cells of both, weighted by land."""

import numpy as np
import pytest
import xarray as xr

from proda.maps.prediction import soc_of_one
from proda.maps.references import reference_scores, stock_in, weighted_scores
from proda.maps.stocks import land_area

DENSITY = 20e3  # g C m-3 in every layer: 20 kg C m-2 to one metre


@pytest.fixture
def grid():
    return xr.Dataset({
        "lon": ("cell", [-100.25, -99.75, -99.75, -99.25]),
        "lat": ("cell", [40.25, 40.25, 41.25, 41.25]),
        "cell_area": ("cell", [1e12, 2e12, 1e12, 1e12]),
        "land_fraction": ("cell", [1.0, 0.5, 1.0, 1.0]),
        "land_cover": ("cell", [1, 12, 12, 13]),
        "ref_a_soc_0_30cm_kg_m2": ("cell", [3.0, 6.0, 9.0, np.nan]),
        "ref_a_soc_0_100cm_kg_m2": ("cell", [10.0, 20.0, 30.0, np.nan]),
        "ref_b_soc_20_50cm_kg_m2": ("cell", [1.0, 2.0, 3.0, 4.0]),
    })  # fmt: skip


@pytest.fixture
def maps(grid):
    one = soc_of_one(np.full((10, 4), DENSITY), land_area(grid))
    two = soc_of_one(np.full((10, 4), DENSITY) * np.array([0.5, 1.0, 1.5, 2.0]), land_area(grid))
    return xr.concat([one, two], dim="parameterisation").assign_coords(parameterisation=["default", "network"])


def test_the_model_is_summed_to_the_depths_of_the_reference(maps):
    np.testing.assert_allclose(stock_in(maps, (0.2, 0.5))["default"], 0.3 * DENSITY / 1000)
    np.testing.assert_allclose(stock_in(maps, (0.0, 1.0))["network"], [10, 20, 30, 40])


def test_scores_are_weighted_by_land_and_count_only_cells_with_both(maps, grid):
    table = reference_scores(maps, grid).set_index(["reference", "interval", "method"])
    row = table.loc["A", "0-100 cm", "network"]
    assert (row["r"], row["cells"]) == (pytest.approx(1.0), 3) and row["bias"] == row["rmse"] == 0
    assert row["total_pg"] == row["reference_pg"] == pytest.approx(60.0) and row["land_share"] == 0.75
    assert np.isnan(table.loc["A", "0-100 cm", "default"]["r"]), "a map without variation has no correlation"
    assert ("A", "0-200 cm", "network") not in table.index and ("B", "20-50 cm", "network") in table.index


def test_weights_count_a_cell_as_often_as_it_has_land(rng):
    a, b, times = rng.normal(size=40) + 5, rng.normal(size=40) + 4, rng.integers(1, 5, 40)
    found, repeated = weighted_scores(a, b, times), (np.repeat(a, times), np.repeat(b, times))
    assert found["r"] == pytest.approx(np.corrcoef(*repeated)[0, 1])
    assert found["bias"] == pytest.approx((repeated[1] - repeated[0]).mean())
    assert found["ratio"] == pytest.approx(repeated[1].sum() / repeated[0].sum())
    assert np.isnan(weighted_scores([], [], [])["r"])


def test_references_are_compared_with_each_other_where_they_share_an_interval(maps, grid):
    grid["ref_b_soc_0_100cm_kg_m2"] = ("cell", [20.0, 40.0, 60.0, 80.0])
    row = (
        reference_scores(maps, grid)
        .set_index(["reference", "interval", "method"])
        .loc["A", "0-100 cm", "B (reference)"]
    )
    assert row["ratio"] == pytest.approx(2.0) and row["r"] == pytest.approx(1.0)
