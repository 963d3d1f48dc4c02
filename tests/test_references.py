"""Reference maps: found under the names that tables and readers give them, compared over their depths, never learnt."""

import numpy as np
import pytest
import xarray as xr
from synthetic_study import write_study

from proda.data.readers.reference_maps import reference_map
from proda.maps.prediction import soc_of_one
from proda.maps.references import (
    maps_to_compare,
    reference_in,
    reference_inventory,
    reference_scores,
    scores_in_words,
    stock_in,
    totals_by_land_cover,
    weighted_scores,
    zonal_means,
)
from proda.maps.stage import final_results
from proda.maps.stocks import land_area, reference_stocks, unread_references

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
        "ref_c_carbon": ("cell", [1.0, 2.0, 3.0, 4.0]),
    })  # fmt: skip


@pytest.fixture
def maps(grid):
    one = soc_of_one(np.full((10, 4), DENSITY), land_area(grid))
    two = soc_of_one(np.full((10, 4), DENSITY) * np.array([0.5, 1.0, 1.5, 2.0]), land_area(grid))
    return xr.concat([one, two], dim="parameterisation").assign_coords(parameterisation=["default", "network"])


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("soilgrids_2", "SoilGrids 2.0"),
        ("soilgrids_2017", "SoilGrids 2017"),
        ("wise30sec", "WISE30sec"),
        ("hwsd", "HWSD 1.2"),
    ],
)
def test_the_maps_that_the_readers_make_are_found_with_the_depths_they_have(key, name):
    made = reference_map(key, "a citation", {depth: np.ones(2) * depth for depth in (0.3, 1.0, 2.0)}, {}).stocks
    found = reference_stocks(made)
    assert list(found) == [name] and list(found[name]) == [(0.0, 0.3), (0.0, 1.0), (0.0, 2.0)]
    assert found[name][0.0, 2.0].tolist() == [2.0, 2.0] and unread_references(made) == []


def test_a_column_whose_name_tells_no_depth_is_named_and_not_guessed(grid):
    assert list(reference_stocks(grid)) == ["A", "B"] and unread_references(grid) == ["ref_c_carbon"]
    assert unread_references({"ref_d_soc_30_30cm_kg_m2": [1.0]}) == ["ref_d_soc_30_30cm_kg_m2"]


def test_the_model_is_summed_to_the_depths_of_the_reference(maps):
    np.testing.assert_allclose(stock_in(maps, (0.2, 0.5))["default"], 0.3 * DENSITY / 1000)
    np.testing.assert_allclose(stock_in(maps, (0.0, 1.0))["network"], [10, 20, 30, 40])


def test_an_interval_that_a_reference_lacks_is_not_made_up(grid):
    found = reference_stocks(grid)
    assert reference_in(found["A"], (0.0, 2.0)) is None and reference_in(found["B"], (0.2, 0.3)) is None
    assert reference_in(found["A"], (0.3, 1.0)).tolist()[:3] == [7.0, 14.0, 21.0]


def test_scores_are_weighted_by_land_and_count_only_cells_with_both(maps, grid):
    table = reference_scores(maps, grid).set_index(["reference", "interval", "method"])
    row = table.loc["A", "0-100 cm", "network"]
    assert (row["r"], row["cells"]) == (pytest.approx(1.0), 3) and row["bias"] == row["rmse"] == 0
    assert row["total_pg"] == row["reference_pg"] == pytest.approx(60.0) and row["land_share"] == 0.75
    assert np.isnan(table.loc["A", "0-100 cm", "default"]["r"]), "a map without variation has no correlation"
    words = scores_in_words(reference_scores(maps, grid)).loc["A", "0-100 cm", "network"]
    assert (words["ours (Pg C)"], words["of the land (%)"]) == (pytest.approx(60.0), 75.0)
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


def test_the_inventory_says_what_is_there_and_what_is_not(grid):
    found = reference_inventory(grid)
    assert found.loc["A"].to_dict() == {
        "0-30 cm": "75 % of the land", "0-100 cm": "75 % of the land", "0-200 cm": "none", "20-50 cm": "none"
    }  # fmt: skip
    assert reference_inventory(grid.drop_vars([name for name in grid if name.startswith("ref_")])).empty


def test_totals_by_land_cover_are_of_the_same_cells_and_add_up(maps, grid):
    table = totals_by_land_cover(maps, grid)
    assert list(table.index) == ["Evergreen forest", "Cropland", "all"], "the urban cell has no value in the reference"
    assert table.loc["Cropland", "A (reference)"] == pytest.approx(50) and table.loc["all", "network"] == pytest.approx(
        60
    )
    assert table.loc["all", "land"] == pytest.approx(3.0)


def test_zonal_means_are_weighted_by_land(maps, grid):
    table = zonal_means(maps, grid)
    assert table.index.tolist() == [40.5, 41.5]
    np.testing.assert_allclose(table["network"], [15.0, 35.0])
    np.testing.assert_allclose(table["A (reference)"], [15.0, 30.0])


def test_a_band_with_next_to_no_land_has_no_mean(maps, grid):
    grid["land_fraction"][2:] = 0.04
    table = zonal_means(maps, grid)
    assert np.isfinite(table.loc[40.5]).all() and table.loc[41.5].isna().all()


def test_site_by_site_is_no_map_to_compare_everywhere(tmp_path):
    results = final_results(write_study(tmp_path))
    shown = maps_to_compare(results.maps, results.inputs.grid, (0.0, 1.0))
    assert list(shown) == ["WHRC (reference)", "default", "one-batch", "random-sampling", "network", "hybrid", "truth"]
    table = reference_scores(results.maps, results.inputs.grid).set_index(["interval", "method"])
    assert table.loc[("0-100 cm", "truth"), "r"] == pytest.approx(1.0)
    assert 0 < table.loc[("0-100 cm", "site-by-site"), "land_share"] < 0.9
