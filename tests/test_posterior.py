"""Posteriors as ArviZ objects: there and back again through a file, with whichever ArviZ is installed."""

import arviz as az
import numpy as np
import pytest
import xarray as xr

from proda.assimilation.one_batch import OneBatch
from proda.assimilation.results import inference_data, one_batch_data, read_posterior, write_inference_data
from proda.model.parameters import PAPER_PARAMETERS


@pytest.fixture
def result(rng):
    rates = np.array([[0.4, 0.2], [0.5, 0.3], [0.6, 0.1]])
    return OneBatch(rng.random((3, 40, 25)), rng.random((3, 40)), rates, np.array([5.0, 7.5, 5.0]), 0.01)


def test_a_posterior_comes_back_from_its_file(result, tmp_path):
    path = tmp_path / "one_batch.nc"
    write_inference_data(one_batch_data(result), path)
    posterior = read_posterior(path)
    assert posterior["x"].dims == ("chain", "draw", "parameter")
    np.testing.assert_array_equal(posterior["x"], result.x)
    assert tuple(posterior["parameter"].values) == PAPER_PARAMETERS.names
    np.testing.assert_array_equal(posterior["x"].sel(parameter="q10"), result.x[..., 2])
    assert posterior.attrs["B"] == 0.01
    np.testing.assert_array_equal(posterior.attrs["D"], [5.0, 7.5, 5.0])
    np.testing.assert_array_equal(posterior.attrs["acceptance"], [0.2, 0.3, 0.1])
    np.testing.assert_array_equal(posterior.attrs["acceptance_test_run"], [0.4, 0.5, 0.6])


def test_the_file_is_plain_netcdf_with_the_misfit_beside_the_draws(result, tmp_path):
    path = tmp_path / "one_batch.nc"
    write_inference_data(one_batch_data(result), path)
    with xr.open_dataset(path, group="sample_stats") as stats:
        np.testing.assert_array_equal(stats["phi"], result.phi)
        assert stats["phi"].attrs["units"] == "1"


def test_the_file_may_be_replaced_while_a_posterior_read_from_it_is_in_use(result, tmp_path):
    path = tmp_path / "one_batch.nc"
    write_inference_data(one_batch_data(result), path)
    posterior = read_posterior(path)
    write_inference_data(one_batch_data(result._replace(x=1.0 - result.x)), path)
    np.testing.assert_array_equal(posterior["x"], result.x)
    np.testing.assert_array_equal(read_posterior(path)["x"], 1.0 - result.x)


def test_arviz_summarises_the_object_by_parameter(result):
    data = inference_data(result.x)
    summary = az.summary(data, var_names=["x"], round_to="none")
    assert len(summary) == 25
    np.testing.assert_allclose(np.asarray(summary["mean"], float), result.x.mean(axis=(0, 1)), rtol=1e-12)
