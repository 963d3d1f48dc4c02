"""SOC by method: draws and their means, observed depth, the error of an ensemble, extrapolated cells."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from columns import temperate

from proda.errors import InputError
from proda.kernels.steady_state import soc_density
from proda.learning.cross_validation import WIDTH_90
from proda.maps import prediction
from proda.maps.prediction import at_observed_layers
from proda.maps.scores import map_scores
from proda.maps.stocks import MAP_INTERVALS, land_area, petagrams, stock_table, stocks
from proda.model.configuration import PAPER_COLUMN, STRATA
from proda.model.parameters import INNER, PAPER_PARAMETERS, cwd_share, physical

N = len(PAPER_PARAMETERS)
N_CELLS = 60
AREA = np.full(N_CELLS, 2.0e9)
BLOCK = np.repeat(np.arange(6), 10)
NONE = np.zeros(3)


@pytest.fixture(scope="module")
def inputs(results):
    return results.inputs


def woody_debris(x, forcing):
    return cwd_share(physical(x.T, forcing.take(np.zeros(len(x), int))))


def test_one_batch_draws_are_posterior_draws_each_at_most_once(rng):
    posterior = rng.uniform(size=(50, N))
    draws = prediction.one_batch_draws(posterior, 50, seed=1)
    np.testing.assert_array_equal(np.sort(draws[:, 0]), np.sort(posterior[:, 0]))
    np.testing.assert_array_equal(draws, prediction.one_batch_draws(posterior, 50, seed=1))


def test_random_sampling_keeps_how_often_a_value_occurs_and_forgets_what_it_occurred_with(rng):
    modes = np.repeat(rng.uniform(0.1, 0.4, 3000)[:, None], N, axis=1)
    draws = prediction.random_sampling_draws(modes, 3000, seed=2)
    assert (
        np.abs(np.quantile(draws, [0.25, 0.5, 0.75], axis=0).T - np.quantile(modes[:, 0], [0.25, 0.5, 0.75])).max()
        < 0.02
    )
    assert abs(np.corrcoef(draws[:, 0], draws[:, 1])[0, 1]) < 0.08


def test_random_sampling_draws_leave_a_share_for_coarse_woody_debris(inputs, rng):
    modes = rng.uniform(0.3, 1.0, size=(200, N))
    assert (woody_debris(modes, inputs.forcing) <= 0).any()
    assert (woody_debris(prediction.random_sampling_draws(modes, 500, seed=3), inputs.forcing) > 0).all()


def test_sites_without_modes_are_left_out_and_none_at_all_is_an_error(rng):
    modes = rng.uniform(0, 0.5, size=(20, N))
    modes[::2] = np.nan
    assert np.isin(prediction.random_sampling_draws(modes, 50, seed=1)[:, 3], modes[1::2, 3]).all()
    with pytest.raises(InputError, match="x_mode"):
        prediction.random_sampling_draws(modes[::2], 50, seed=1)
    with pytest.raises(InputError, match="p4ll"):
        prediction.random_sampling_draws(np.ones((5, N)), 10, seed=1)


@pytest.mark.parametrize("face", [0.0, 1.0])
def test_one_mode_on_a_face_of_the_cube_does_not_make_the_map_undefined(inputs, rng, face):
    for name in ("efolding", "tau4l1", "tau4s1", "maxpsi"):
        modes = rng.uniform(0.2, 0.6, size=(3, N))
        modes[0, PAPER_PARAMETERS.index(name)] = face
        draws = prediction.random_sampling_draws(modes, 60, seed=4)
        found = prediction.soc_of_draws(draws, inputs.forcing, land_area(inputs.grid))
        assert (draws[:, PAPER_PARAMETERS.index(name)] == abs(face - INNER)).any()
        assert np.isfinite(found["soc"]).all() and found["soc"].max() < 1e7


def test_parameters_without_a_steady_state_are_an_error_that_names_them(inputs):
    x = np.full(N, 0.4)
    x[PAPER_PARAMETERS.index("tau4s1")] = 0.0
    with pytest.raises(InputError, match=r"random-sampling, draw 0: SOC is not finite in .* where tau4s1 = 0:"):
        prediction.soc_of_draws(x[None], inputs.forcing, land_area(inputs.grid), "random-sampling")
    n = inputs.grid.sizes["cell"]
    cells = np.full((N, n), 0.4)
    cells[PAPER_PARAMETERS.index("efolding"), 3] = 0.0
    with pytest.raises(InputError, match=rf"in 1 of {n} columns, first in 3, where efolding = 0:"):
        prediction.finite_soc(cells, inputs.forcing, "network")


def test_an_ensemble_is_mapped_by_the_mean_of_soc_and_its_total_by_the_totals_of_the_draws(inputs, rng):
    area, draws = land_area(inputs.grid), rng.uniform(0.2, 0.5, size=(30, N))
    found = prediction.soc_of_draws(draws, inputs.forcing, area)
    every = np.stack([soc_density(physical(x, inputs.forcing), inputs.forcing) for x in draws])
    np.testing.assert_allclose(found["soc"], every.mean(axis=0), rtol=1e-12)
    at_mean = soc_density(physical(draws.mean(axis=0), inputs.forcing), inputs.forcing)
    assert np.abs(found["soc"].values / at_mean - 1).max() > 0.05
    totals = [petagrams(stocks(soc, STRATA), area) for soc in every]
    expected = np.quantile(totals, [0.05, 0.5, 0.95], axis=0)
    np.testing.assert_allclose(found["total"].sel(statistic=["p05", "p50", "p95"]), expected, rtol=1e-9)
    np.testing.assert_allclose(found["total"].sel(statistic="mean"), np.mean(totals, axis=0), rtol=1e-9)


def test_modelled_layers_are_the_node_values_where_a_layer_lies_on_a_node(rng):
    soc = rng.uniform(1e3, 5e4, (10, 10))
    layers = pd.DataFrame({"site": np.arange(10), "depth": PAPER_COLUMN.node})
    found = at_observed_layers({"network": soc}, layers, "mid-depth")["network"]
    np.testing.assert_allclose(found, np.diag(soc), rtol=1e-12)


def test_a_site_without_a_posterior_has_no_modelled_layer_and_does_not_stop_the_others(results):
    soc = results.inputs.soc_mean.copy()
    soc[:, 3] = np.nan
    found = at_observed_layers({"site-by-site": soc}, results.inputs.layers)["site-by-site"]
    np.testing.assert_array_equal(np.isnan(found), results.inputs.layers["site"] == 3)


def test_methods_with_local_parameters_beat_those_without(results):
    r2 = results.table.query("sites == 'efficiency >= 0' and subset == 'test' and source == 'this study'")
    r2 = r2.set_index("method")["r2"]
    assert r2["network"] > r2["one-batch"] and r2["site-by-site"] > r2["default"]
    assert results.true_maps.query("cells == 'all' and method == 'network'")["efficiency"].min() > 0.8


def test_every_method_has_a_map_and_site_by_site_only_where_sites_are(results):
    stock = results.maps["stock"].sel(statistic="mean")
    assert list(results.maps["parameterisation"].values) == [*prediction.METHODS, "truth"]
    inputs = results.inputs
    cells = set(inputs.sites["cell"][inputs.used])
    mapped = np.isfinite(stock.sel(parameterisation="site-by-site").transpose("depth", "cell").values)
    assert set(np.flatnonzero(mapped[0])) == cells
    reach = inputs.layers.groupby("site")["lower_depth"].max().to_numpy()
    assert set(np.flatnonzero(mapped[2])) == set(inputs.sites["cell"][inputs.used & (reach >= 1.5)])
    assert 0 < mapped[2].sum() < mapped[1].sum() < mapped[0].sum()


SITES_AREA = np.array([1e12, 2e12, 1e12, 1e12])
SITES_GRID = xr.Dataset(
    {"cell_area": ("cell", SITES_AREA), "land_fraction": ("cell", np.ones(4))},
    {"lon": ("cell", [-100.25, -99.75, -99.25, -98.75]), "lat": ("cell", np.full(4, 40.25))},
)


@pytest.fixture
def site_maps():
    """Three sites in two cells, observed to 0.3, 1.0 and 2.0 m; the shallow ones extrapolate nonsense below 1 m."""
    soc = np.where(PAPER_COLUMN.node[:, None] > 1.0, [[1e6, 1e6, 10e3]], 20e3)
    of_sites = prediction.soc_of_sites(soc, np.array([0.3, 1.0, 2.0]), np.array([1, 1, 2]), SITES_AREA)
    both = xr.concat(
        [of_sites, prediction.soc_of_one(np.full((10, 4), 20e3), SITES_AREA)], dim="parameterisation", coords="minimal",
        compat="override",
    )  # fmt: skip
    return both.assign_coords(parameterisation=["site-by-site", "truth"])


def test_a_stratum_counts_from_its_middle_on_whatever_the_rounding():
    np.testing.assert_allclose(prediction.LEAST_OBSERVED_DEPTH, [0.15, 0.65, 1.5])
    reach = np.array([0.14, 0.15, 0.1 + 0.55 - 1e-16, 1.49, 1.5])
    counted = np.isfinite(prediction.where_observed(np.ones((3, 5)), reach, prediction.LEAST_OBSERVED_DEPTH))
    assert counted.sum(axis=0).tolist() == [0, 1, 2, 2, 3]


def test_what_lies_below_the_profiles_of_a_cell_does_not_enter_its_stock(site_maps):
    stock = site_maps["stock"].sel(parameterisation="site-by-site", statistic="mean").transpose("depth", "cell").values
    deep = stocks(np.where(PAPER_COLUMN.node > 1.0, 10e3, 20e3)[:, None], MAP_INTERVALS)[:, 0]
    np.testing.assert_allclose(stock[0, [1, 2]], [6.0, 6.0])
    np.testing.assert_array_equal(np.isfinite(stock), [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 1, 0]])
    assert stock[2, 2] == pytest.approx(deep[2])
    assert site_maps["soc"].sel(parameterisation="site-by-site").max() == 20e3


def test_land_share_and_totals_count_what_is_observed_in_each_interval(site_maps):
    table = stock_table(site_maps, SITES_GRID).query("method == 'site-by-site'").set_index("interval")
    assert table["cells"].tolist() == [2, 2, 1]
    np.testing.assert_allclose(table["land_share"], [3 / 5, 3 / 5, 1 / 5])
    assert table.loc["0-30 cm", "stock_pg"] == pytest.approx(6.0 * 3)
    assert table.loc["100-200 cm", "stock_pg"] < 20.0


def test_site_maps_are_compared_in_each_interval_on_the_cells_that_have_it(site_maps):
    found = map_scores(site_maps).query("cells == 'with sites'").set_index("interval")
    assert found["n"].tolist() == [2, 2, 1]


def members(n: int, spread: float, seed: int = 1):
    rng = np.random.default_rng(seed)
    x = np.clip(0.4 + spread * rng.standard_normal((n, N_CELLS, 25)), 0.05, 0.6)
    return x


def test_the_mean_is_that_of_the_members_carbon():
    x, forcing = members(4, 0.05), temperate(N_CELLS)
    found = prediction.soc_of_members(x, forcing, AREA, np.zeros(3), NONE, BLOCK)
    soc = np.mean([soc_density(physical(m.T, forcing), forcing) for m in x], axis=0)
    np.testing.assert_allclose(found["soc"], soc, rtol=1e-12)
    np.testing.assert_allclose(found["stock"].sel(statistic="mean"), stocks(soc, MAP_INTERVALS), rtol=1e-12)
    np.testing.assert_allclose(found["total"].sel(statistic="mean"), petagrams(stocks(soc, STRATA), AREA), rtol=1e-12)


def test_equal_members_leave_the_unseen_error_alone():
    x = np.repeat(members(1, 0.05), 3, axis=0)
    found = prediction.soc_of_members(x, temperate(N_CELLS), AREA, np.full(3, 0.25), NONE, BLOCK)["stock"]
    np.testing.assert_allclose(found.sel(statistic="p95") / found.sel(statistic="mean"), np.exp(WIDTH_90 * 0.5))
    np.testing.assert_allclose(found.sel(statistic="p05") / found.sel(statistic="mean"), np.exp(-WIDTH_90 * 0.5))


def test_the_error_of_a_total_adds_within_blocks_and_averages_between_them_but_for_what_they_have_in_common():
    x, forcing = np.repeat(members(1, 0.0), 2, axis=0), temperate(N_CELLS)
    one = prediction.soc_of_members(x, forcing, AREA, np.full(3, 0.09), NONE, np.zeros(N_CELLS, int))["total"]
    half_width = (one.sel(statistic="p95") - one.sel(statistic="mean")) / one.sel(statistic="mean")
    np.testing.assert_allclose(half_width, WIDTH_90 * 0.3, rtol=1e-9)
    many = prediction.soc_of_members(x, forcing, AREA, np.full(3, 0.09), np.full(3, 0.09), np.arange(N_CELLS))["total"]
    in_common = (many.sel(statistic="p95") - many.sel(statistic="mean")) / many.sel(statistic="mean")
    np.testing.assert_allclose(in_common, WIDTH_90 * 0.3, rtol=1e-9)
    many = prediction.soc_of_members(x, forcing, AREA, np.full(3, 0.09), NONE, np.arange(N_CELLS))["total"]
    smaller = (many.sel(statistic="p95") - many.sel(statistic="mean")) / one.sel(statistic="mean")
    assert (smaller < 1.6 * WIDTH_90 * 0.3 / np.sqrt(N_CELLS)).all() and (smaller > 0).all()


def test_an_interval_over_strata_lies_between_those_of_its_strata():
    x = np.repeat(members(1, 0.05), 2, axis=0)
    found = prediction.soc_of_members(x, temperate(N_CELLS), AREA, np.array([0.04, 0.16, 0.36]), NONE, BLOCK)["stock"]
    relative = np.log(found.sel(statistic="p95") / found.sel(statistic="mean")).values / WIDTH_90
    np.testing.assert_allclose(relative[0], 0.2)
    assert ((relative[1] > 0.2) & (relative[1] < 0.4)).all() and (
        (relative[2] > relative[1]) & (relative[2] < 0.6)
    ).all()


COUNT = np.array([0.0, 0.0, 1.0, 4.0, 12.0, 2.0])


@pytest.fixture
def six_cells():
    """Grid and maps of six cells, the last four with covariates outside the range of the hybrid's training sites."""
    area = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    grid = xr.Dataset({"cell_area": ("cell", 2 * area), "land_fraction": ("cell", np.full(6, 0.5))})
    stock = np.ones((2, 1, 2, 6))
    stock[1, 0, 1] = area
    dims = ("parameterisation", "statistic", "depth", "cell")
    beyond = ("parameterisation", "cell"), np.stack([np.full(6, np.nan), COUNT])
    coords = {"parameterisation": ["one-batch", "hybrid"], "statistic": ["mean"]}
    coords["interval"] = ("depth", ["0-30 cm", "0-100 cm"])
    return grid, xr.Dataset({"stock": (dims, stock), "extrapolated": beyond}, coords)


def test_land_and_carbon_of_extrapolated_cells_are_shares_of_all(six_cells):
    grid, maps = six_cells
    table = prediction.extrapolated_shares(maps, grid)
    shares = table.loc["hybrid"]
    assert list(table.index) == ["hybrid"] and list(table) == ["cells", "land", "carbon", "most"]
    assert shares["cells"] == pytest.approx(4 / 6) and shares["most"] == 12
    assert shares["land"] == pytest.approx(18 / 21)
    assert shares["carbon"] == pytest.approx((9 + 16 + 25 + 36) / (1 + 4 + 9 + 16 + 25 + 36))
