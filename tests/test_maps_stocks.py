"""Stocks: exact overlap of layers and intervals, totals over land, published and reference values in the table."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from proda.data.readers.reference_maps import reference_map
from proda.errors import InputError
from proda.maps import stocks
from proda.maps.prediction import soc_of_one
from proda.model.configuration import PAPER_COLUMN, STRATA

# Zero, or a number that occurs in nature: products of the smallest floats have no relative precision left.
depths = st.just(0.0) | st.floats(1e-6, float(PAPER_COLUMN.bottom[-1]))
densities = st.lists(st.just(0.0) | st.floats(1e-6, 5e5), min_size=10, max_size=10)
contents = st.just(0.0) | st.floats(1e-6, 200)


def integrated(soc, upper, lower) -> Fraction:
    """Integral of a staircase over depth in rational numbers, which round nothing: the steps are summed one by one."""
    edges = [Fraction(0), *(Fraction(float(bottom)) for bottom in PAPER_COLUMN.bottom)]
    cuts = sorted({*edges, Fraction(upper), Fraction(lower)})
    total = Fraction(0)
    for above, below in zip(cuts[:-1], cuts[1:], strict=True):
        if Fraction(upper) <= above and below <= Fraction(lower):
            layer = max(j for j in range(10) if edges[j] <= above)
            total += (below - above) * Fraction(soc[layer])
    return total


@given(depths, depths, densities)
def test_a_stock_is_the_exact_integral_of_density_over_depth(a, b, soc):
    upper, lower = sorted((a, b))
    if upper == lower:
        return
    exact = integrated(soc, upper, lower) / 1000
    # The thickness of a thin slice is a difference of two depths, which are rounded: 1e-12 of the depth above it.
    found = Fraction(float(stocks.stocks(np.array(soc)[:, None], [(upper, lower)])[0, 0]))
    assert abs(found - exact) <= Fraction(1, 10**12) * (exact + Fraction(max(soc)) / 1000 * Fraction(lower))


@given(st.lists(st.tuples(contents, st.floats(1e8, 4e9), st.floats(0.01, 1)), min_size=1, max_size=200))
def test_a_total_is_the_exact_sum_of_stock_times_area_times_land(cells):
    stock, area, land = (np.array(column) for column in zip(*cells, strict=True))
    exact = sum((Fraction(s) * Fraction(a) * Fraction(f) for s, a, f in cells), Fraction(0)) / 10**12
    grid = {"cell_area": area, "land_fraction": land}
    assert abs(Fraction(float(stocks.petagrams(stock, stocks.land_area(grid)))) - exact) <= Fraction(1, 10**12) * exact


def test_strata_add_up_to_the_nested_intervals(rng):
    soc = rng.uniform(1e3, 1e5, (10, 50))
    np.testing.assert_allclose(
        np.cumsum(stocks.stocks(soc, STRATA), axis=0), stocks.stocks(soc, stocks.MAP_INTERVALS), rtol=1e-12
    )


@pytest.mark.parametrize("interval", [(0.3, 0.3), (1.0, 0.3), (-0.1, 0.3), (0.0, 4.0)])
def test_an_interval_that_no_column_holds_is_refused_with_the_depth_of_the_grid(interval):
    with pytest.raises(InputError, match=r"3\.802"):
        stocks.overlap([interval], PAPER_COLUMN)


def test_a_profile_stock_counts_each_layer_by_its_thickness():
    layers = pd.DataFrame({"site": [0, 0, 2], "upper_depth": [0, 0.1, 0.0], "lower_depth": [0.1, 0.5, 1.0]})
    np.testing.assert_allclose(stocks.profile_stocks(layers, [20e3, 10e3, 5e3], 3), [20 * 0.1 + 10 * 0.4, 0, 5])


@pytest.fixture
def grid():
    return xr.Dataset({
        "cell_area": ("cell", [1e12, 2e12, 1e12]),
        "land_fraction": ("cell", [1.0, 0.5, 1.0]),
        "lon": ("cell", [-100.25, -99.75, -99.25]),
        "lat": ("cell", [40.25, 40.25, 40.25]),
        "ref_whrc_soc_0_30cm_kg_m2": ("cell", [1.0, 2.0, np.nan]),
        "ref_whrc_soc_0_100cm_kg_m2": ("cell", [3.0, 5.0, np.nan]),
        "ref_hwsd_soc_0_100cm_kg_m2": ("cell", [4.0, 4.0, 4.0]),
    })  # fmt: skip


@pytest.mark.parametrize(
    ("key", "name"), [("soilgrids_2", "SoilGrids 2.0"), ("wise30sec", "WISE30sec"), ("hwsd_2", "HWSD 2.0")]
)
def test_the_maps_that_the_readers_make_are_found_with_the_depths_they_have(key, name):
    made = reference_map(key, "a citation", {depth: np.ones(2) * depth for depth in (0.3, 1.0, 2.0)}).stocks
    found = stocks.reference_stocks(made)
    assert list(found) == [name] and list(found[name]) == [(0.0, 0.3), (0.0, 1.0), (0.0, 2.0)]
    assert found[name][0.0, 2.0].tolist() == [2.0, 2.0]


@pytest.mark.parametrize("column", ["ref_c_carbon", "ref_d_soc_30_30cm_kg_m2"])
def test_a_reference_whose_name_has_no_depth_interval_is_left_out_with_a_warning(column):
    with pytest.warns(UserWarning, match=f"{column} of the grid is not shown: expected a name such as"):
        assert stocks.reference_stocks({column: [1.0]}) == {}


def test_the_stock_table_has_sums_of_strata_references_with_their_cells_and_published_stocks(grid):
    maps = xr.concat([soc_of_one(np.full((10, 3), 20e3), stocks.land_area(grid))], dim="parameterisation")
    table = stocks.stock_table(maps.assign_coords(parameterisation=["default"]), grid)
    ours = table[table["source"] == "this study"].set_index("interval")
    np.testing.assert_allclose(ours["stock_pg"], [20 * 0.3 * 3, 20 * 0.7 * 3, 20 * 1.0 * 3])
    reference = table[table["source"] == "reference map"].set_index(["method", "interval"])
    assert reference.loc[("WHRC", "0-30 cm"), "stock_pg"] == pytest.approx(1 + 2)
    assert reference.loc[("WHRC", "30-100 cm"), "stock_pg"] == pytest.approx(2 + 3)
    assert reference.loc[("WHRC", "30-100 cm"), "cells"] == 2 and ("HWSD", "0-30 cm") not in reference.index
    assert reference.loc[("WHRC", "30-100 cm"), "land_share"] == pytest.approx(2 / 3)
    assert reference.loc[("HWSD", "0-100 cm"), "stock_pg"] == pytest.approx(12)
    published = table[table["source"] == "published"]
    assert len(published) == 3 * len(stocks.PUBLISHED_STOCKS)
    one_batch = published[published["method"] == "one-batch"].set_index("interval").loc["0-30 cm"]
    assert (one_batch["stock_pg"], one_batch["p05_pg"], one_batch["p95_pg"]) == (77, 49, 112)
    assert published["cells"].isna().all()


DENSITY = 20e3  # g C m-3 in every layer: 20 kg C m-2 to one metre


@pytest.fixture
def land():
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
def maps(land):
    one = soc_of_one(np.full((10, 4), DENSITY), stocks.land_area(land))
    two = soc_of_one(np.full((10, 4), DENSITY) * np.array([0.5, 1.0, 1.5, 2.0]), stocks.land_area(land))
    return xr.concat([one, two], dim="parameterisation").assign_coords(parameterisation=["default", "network"])


def test_the_model_is_summed_to_the_depths_of_the_reference(maps):
    np.testing.assert_allclose(stocks.stock_in(maps, (0.2, 0.5)).sel(parameterisation="default"), 0.3 * DENSITY / 1000)
    np.testing.assert_allclose(stocks.stock_in(maps, (0.0, 1.0)).sel(parameterisation="network"), [10, 20, 30, 40])


def test_scores_are_weighted_by_land_and_count_only_cells_with_both(maps, land):
    table = stocks.reference_scores(maps, land).set_index(["reference", "interval", "method"])
    row = table.loc["A", "0-100 cm", "network"]
    assert (row["r"], row["bias"], row["rmse"]) == pytest.approx((1.0, 0.0, 0.0), abs=1e-9)
    assert row["total_pg"] == row["reference_pg"] == pytest.approx(60.0) and row["land_share"] == 0.75
    assert np.isnan(table.loc["A", "0-100 cm", "default"]["r"]), "a map without variation has no correlation"
    assert ("A", "0-200 cm", "network") not in table.index and ("B", "20-50 cm", "network") in table.index


def test_weights_count_a_cell_as_often_as_it_has_land(rng):
    a, b, times = rng.normal(size=40) + 5, rng.normal(size=40) + 4, rng.integers(1, 5, 40)
    found, repeated = stocks.weighted_scores(a, b, times), (np.repeat(a, times), np.repeat(b, times))
    assert found["r"] == pytest.approx(np.corrcoef(*repeated)[0, 1])
    assert found["bias"] == pytest.approx((repeated[1] - repeated[0]).mean())
    assert np.isnan(stocks.weighted_scores([], [], [])["r"])
