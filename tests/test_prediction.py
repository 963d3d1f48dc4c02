"""SOC by method: what the draws are, how they are averaged, and that each method gives a site its own carbon."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from synthetic_study import write_study

from proda.errors import InputError
from proda.kernels import steady_state as lanes
from proda.maps.prediction import (
    METHODS,
    finite_soc,
    one_batch_draws,
    random_sampling_draws,
    read_inputs,
    shares_of,
    soc_of_draws,
)
from proda.maps.stage import final_results, mean_parameter_bias
from proda.maps.stocks import land_area, petagrams, stocks
from proda.model.configuration import PAPER_COLUMN, STRATA
from proda.model.parameters import INNER, PAPER_PARAMETERS, default_parameters, physical

N = len(PAPER_PARAMETERS)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def results(study):
    return final_results(study)


def test_one_batch_draws_are_posterior_draws_each_at_most_once(rng):
    posterior = rng.uniform(size=(50, N))
    draws = one_batch_draws(posterior, 50, seed=1)
    np.testing.assert_array_equal(np.sort(draws[:, 0]), np.sort(posterior[:, 0]))
    np.testing.assert_array_equal(draws, one_batch_draws(posterior, 50, seed=1))


def test_random_sampling_keeps_how_often_a_value_occurs_and_forgets_what_it_occurred_with(rng):
    modes = np.repeat(rng.uniform(0.1, 0.4, 3000)[:, None], N, axis=1)
    draws = random_sampling_draws(modes, 3000, seed=2)
    assert (
        np.abs(np.quantile(draws, [0.25, 0.5, 0.75], axis=0).T - np.quantile(modes[:, 0], [0.25, 0.5, 0.75])).max()
        < 0.02
    )
    assert abs(np.corrcoef(draws[:, 0], draws[:, 1])[0, 1]) < 0.08


def test_random_sampling_draws_leave_a_share_for_coarse_woody_debris(rng):
    modes = rng.uniform(0.3, 1.0, size=(200, N))
    assert (shares_of(modes) <= 0).any()
    assert (shares_of(random_sampling_draws(modes, 500, seed=3)) > 0).all()


def test_modes_without_any_valid_combination_are_an_error():
    with pytest.raises(InputError, match="p4ll"):
        random_sampling_draws(np.ones((5, N)), 10, seed=1)


def test_sites_without_modes_are_left_out_and_none_at_all_is_an_error(rng):
    modes = rng.uniform(0, 0.5, size=(20, N))
    modes[::2] = np.nan
    assert np.isin(random_sampling_draws(modes, 50, seed=1)[:, 3], modes[1::2, 3]).all()
    with pytest.raises(InputError, match="x_mode"):
        random_sampling_draws(modes[::2], 50, seed=1)


@pytest.mark.parametrize("face", [0.0, 1.0])
def test_one_mode_on_a_face_of_the_cube_does_not_make_the_map_undefined(study, rng, face):
    inputs = read_inputs(study)
    for name in ("efolding", "tau4l1", "tau4s1", "maxpsi"):
        modes = rng.uniform(0.2, 0.6, size=(3, N))
        modes[0, PAPER_PARAMETERS.index(name)] = face
        draws = random_sampling_draws(modes, 60, seed=4)
        found = soc_of_draws(draws, inputs.forcing, land_area(inputs.grid))
        assert (draws[:, PAPER_PARAMETERS.index(name)] == abs(face - INNER)).any()
        assert np.isfinite(found["soc"]).all() and found["soc"].max() < 1e7


def test_parameters_without_a_steady_state_are_an_error_that_names_them(study):
    inputs, x = read_inputs(study), np.full(N, 0.4)
    x[PAPER_PARAMETERS.index("tau4s1")] = 0.0
    with pytest.raises(InputError, match=r"random-sampling, draw 0: SOC is not finite in .* where tau4s1 = 0 "):
        soc_of_draws(x[None], inputs.forcing, land_area(inputs.grid), "random-sampling")
    n = inputs.grid.sizes["cell"]
    cells = np.full((N, n), 0.4)
    cells[PAPER_PARAMETERS.index("efolding"), 3] = 0.0
    with pytest.raises(InputError, match=rf"in 1 of {n} columns, first in 3, where efolding = 0 "):
        finite_soc(cells, inputs.forcing, "network")


def test_an_ensemble_is_mapped_by_the_mean_of_soc_and_not_by_the_soc_of_the_mean(study, rng):
    inputs = read_inputs(study)
    area, draws = land_area(inputs.grid), rng.uniform(0.2, 0.5, size=(30, N))
    found = soc_of_draws(draws, inputs.forcing, area)
    every = np.stack([lanes.soc_density(physical(x, inputs.forcing), inputs.forcing) for x in draws])
    np.testing.assert_allclose(found["soc"], every.mean(axis=0), rtol=1e-12)
    at_mean = lanes.soc_density(physical(draws.mean(axis=0), inputs.forcing), inputs.forcing)
    assert np.abs(found["soc"].values / at_mean - 1).max() > 0.05


def test_the_interval_of_a_total_is_that_of_the_totals_of_the_draws(study, rng):
    inputs = read_inputs(study)
    area, draws = land_area(inputs.grid), rng.uniform(0.2, 0.5, size=(30, N))
    found = soc_of_draws(draws, inputs.forcing, area)
    totals = [
        petagrams(stocks(lanes.soc_density(physical(x, inputs.forcing), inputs.forcing), STRATA), area) for x in draws
    ]
    expected = np.quantile(totals, [0.05, 0.5, 0.95], axis=0)
    np.testing.assert_allclose(found["total"].sel(statistic=["p05", "p50", "p95"]), expected, rtol=1e-9)
    np.testing.assert_allclose(found["total"].sel(statistic="mean"), np.mean(totals, axis=0), rtol=1e-9)


def test_default_maps_take_the_sand_of_the_cell(results):
    inputs = results.inputs
    theta = default_parameters(inputs.forcing, inputs.grid["sand_percent"].values)
    expected = lanes.soc_density(theta, inputs.forcing)
    np.testing.assert_allclose(results.maps["soc"].sel(parameterisation="default"), expected, rtol=1e-12)
    sandy = inputs.grid["sand_percent"].values > 70
    assert (theta[PAPER_PARAMETERS.index("fs1s2")][sandy] < 0.4).all()


def test_sites_of_one_cell_share_the_profile_of_methods_with_one_parameter_set(results):
    cell = results.inputs.sites["cell"].to_numpy()
    for method in ("default", "one-batch", "random-sampling"):
        expected = results.maps["soc"].sel(parameterisation=method).values[:, cell]
        np.testing.assert_array_equal(results.profiles[method], expected)


def test_modelled_layers_are_the_node_values_where_a_layer_lies_on_a_node(results):
    from proda.maps.prediction import at_observed_depths

    layers = pd.DataFrame({"site": np.arange(10), "depth": PAPER_COLUMN.node})
    found = at_observed_depths({"network": results.profiles["network"]}, layers)["network"]
    np.testing.assert_allclose(found, results.profiles["network"][np.arange(10), np.arange(10)], rtol=1e-12)


def test_a_site_without_a_posterior_has_no_modelled_layer_and_does_not_stop_the_others(results):
    from proda.maps.prediction import at_observed_depths

    soc = results.inputs.soc_mean.copy()
    soc[:, 3] = np.nan
    found = at_observed_depths({"site-by-site": soc}, results.inputs.layers)["site-by-site"]
    np.testing.assert_array_equal(np.isnan(found), results.inputs.layers["site"] == 3)


def test_methods_that_know_the_place_beat_those_that_do_not(results):
    r2 = results.table.query("sites == 'efficiency >= 0' and subset == 'test' and source == 'this study'")
    r2 = r2.set_index("method")["r2"]
    assert r2["network"] > r2["one-batch"] and r2["site-by-site"] > r2["default"]
    assert results.true_maps.query("cells == 'all' and method == 'network'")["efficiency"].min() > 0.8


def test_every_method_has_a_map_and_site_by_site_only_where_sites_are(results):
    stock = results.maps["stock"].sel(statistic="mean")
    assert list(results.maps["parameterisation"].values) == [*METHODS, "truth"]
    inputs = results.inputs
    cells = set(inputs.sites["cell"][inputs.used])
    mapped = np.isfinite(stock.sel(parameterisation="site-by-site").transpose("depth", "cell").values)
    assert set(np.flatnonzero(mapped[0])) == cells
    reach = inputs.layers.groupby("site")["lower_depth"].max().to_numpy()
    assert set(np.flatnonzero(mapped[2])) == set(inputs.sites["cell"][inputs.used & (reach >= 1.5)])
    assert 0 < mapped[2].sum() < mapped[1].sum() < mapped[0].sum()


def test_the_bias_of_mean_parameters_is_the_difference_of_the_two_columns(results):
    bias = mean_parameter_bias(results)
    np.testing.assert_allclose(bias["difference"], bias["SOC at mean parameters"] - bias["mean SOC"], atol=1e-12)


def _with_network(study, change):
    table = pd.read_parquet(study.path("network_parameters.parquet"))

    def path(name):
        if name != "network_parameters.parquet":
            return study.path(name)
        change(table).to_parquet(study.path("changed.parquet"))
        return study.path("changed.parquet")

    return SimpleNamespace(path=path, require=lambda *names: None)


def test_sites_in_another_order_are_found_out(study):
    def swapped(table):
        table.loc[[0, 1], "profile_id"] = table.loc[[1, 0], "profile_id"].to_numpy()
        return table

    with pytest.raises(InputError, match="site 0 is 'P00001'"):
        read_inputs(_with_network(study, swapped))


def test_missing_cells_of_the_network_are_found_out(study):
    with pytest.raises(InputError, match="cells, expected the"):
        read_inputs(_with_network(study, lambda table: table.iloc[:-1]))


def test_network_parameters_that_leave_no_share_for_debris_are_found_out(study):
    with pytest.raises(InputError, match="coarse woody debris"):
        read_inputs(_with_network(study, lambda table: table.assign(p4ll=1.0, p4ml=1.0, p4cl=1.0)))
