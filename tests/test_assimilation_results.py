"""Posteriors as trees in ArviZ's layout, and what over- and under-estimates add to the misfit."""

import arviz as az
import numpy as np
import pytest
import xarray as xr
from made_sites import few_sites

from proda.assimilation import results
from proda.assimilation.one_batch import OneBatch
from proda.model.parameters import PAPER_PARAMETERS


@pytest.fixture
def result(rng):
    rates = np.array([[0.4, 0.2], [0.5, 0.3], [0.6, 0.1]])
    return OneBatch(
        rng.random((3, 40, 25)),
        rng.random((3, 40)),
        rates,
        np.array([5.0, 7.5, 5.0]),
        0.01,
        np.full((3, 40, 2), np.nan),
    )


def test_a_posterior_comes_back_from_its_file_which_may_then_be_replaced(result, tmp_path):
    path = tmp_path / "one_batch.nc"
    results.one_batch_tree(result).to_netcdf(path)
    posterior = results.read_posterior(path)
    results.one_batch_tree(result._replace(x=1.0 - result.x)).to_netcdf(path)
    assert posterior["x"].dims == ("chain", "draw", "parameter")
    np.testing.assert_array_equal(posterior["x"], result.x)
    np.testing.assert_array_equal(posterior["x"].sel(parameter="q10"), result.x[..., 2])
    assert tuple(posterior["parameter"].values) == PAPER_PARAMETERS.names
    assert posterior.attrs["B"] == 0.01
    np.testing.assert_array_equal(posterior.attrs["D"], [5.0, 7.5, 5.0])
    np.testing.assert_array_equal(posterior.attrs["acceptance"], [0.2, 0.3, 0.1])
    with xr.open_dataset(path, group="sample_stats") as stats:
        np.testing.assert_array_equal(stats["phi"], result.phi)


def test_arviz_reads_the_file_and_summarises_it_by_parameter(result, tmp_path):
    results.one_batch_tree(result).to_netcdf(tmp_path / "one_batch.nc")
    summary = az.summary(az.from_netcdf(str(tmp_path / "one_batch.nc")), var_names=["x"], round_to="none")
    assert len(summary) == 25
    np.testing.assert_allclose(np.asarray(summary["mean"], float), result.x.mean(axis=(0, 1)), rtol=1e-12)


@pytest.fixture
def problem(rng):
    many = few_sites(40)
    soc = many.soc * rng.lognormal(0, 1, many.soc.size)
    return many._replace(soc=soc, sd=0.3 * soc)


def test_no_carbon_at_all_is_the_most_that_too_little_can_add_and_the_signs_add_up(problem, rng):
    modelled = {
        "none": 0 * problem.soc,
        "three times": 3 * problem.soc,
        "any": problem.soc * rng.lognormal(0, 0.5, 240),
    }
    table = results.misfit_by_sign(problem, modelled)
    limit = problem.weight.mean() / 0.18
    assert table.loc["none", "misfit, too low"] == pytest.approx(limit)
    assert table.loc["three times", "misfit, too high"] == pytest.approx(4 * limit)
    assert table.loc["three times", "median modelled / observed"] == pytest.approx(3.0)
    found = table.loc["any"]
    expected = np.mean(problem.weight * (modelled["any"] - problem.soc) ** 2 / (2 * problem.sd**2))
    assert found["misfit"] == pytest.approx(expected)
    assert found["misfit, too high"] + found["misfit, too low"] == pytest.approx(expected)
    assert found["layers too high (%)"] == pytest.approx(100 * (modelled["any"] > problem.soc).mean())


def test_one_value_for_sites_that_differ_is_drawn_below_their_median(problem):
    values = np.quantile(problem.soc, np.linspace(0.01, 0.99, 99))
    same = {f"{value:.3f}": np.full(240, value) for value in values}
    best = results.misfit_by_sign(problem, same)["misfit"].idxmin()
    assert float(best) < 0.5 * np.median(problem.soc)


def test_predictions_scatter_about_the_model_by_the_error_of_an_observation(problem, rng):
    site = problem.take([3])
    x = np.tile(rng.uniform(0.3, 0.6, 25), (2, 4000, 1))
    x[..., 21:24] = 0.3
    groups = results.observed_and_predicted(x, site, seed=1)
    observed, predicted = groups["observed_data"], groups["posterior_predictive"]["soc"]
    assert predicted.dims == ("chain", "draw", "depth") and (np.diff(observed["depth"]) > 0).all()
    np.testing.assert_array_equal(np.sort(observed["soc"]), np.sort(site.soc))
    spread = predicted.std(("chain", "draw")) * np.sqrt(observed["weight"]) / observed["sd"]
    np.testing.assert_allclose(spread, 1.0, rtol=0.05)
