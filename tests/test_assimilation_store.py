"""`sites.zarr`: the same bytes whatever happens on the way; modes, agreement and outcome of every site."""

import errno
import itertools
import os
import shutil
import warnings

import numpy as np
import pytest
import xarray as xr
import zarr
from made_sites import SHORT, few_sites, posteriors_in, store_bytes
from scipy import stats

from proda.assimilation import sites as site_by_site
from proda.assimilation.chains import SitePlan
from proda.assimilation.store import (
    STATUS_MEANING,
    SiteStore,
    agreement_by_site,
    batch_arrays,
    fitted_gev,
    gev_modes,
    opened_sites,
    site_coordinates,
    site_status,
    status_counts,
)
from proda.errors import ProdaError
from proda.kernels.metropolis import Schedule

N_SITES, BATCH = 20, 6


@pytest.fixture(scope="module")
def problem():
    return few_sites(N_SITES)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(site_by_site, "SITES_PER_BATCH", BATCH)


@pytest.fixture(scope="module")
def undisturbed(problem, tmp_path_factory):
    """Folder of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site_by_site, "SITES_PER_BATCH", BATCH)
        posteriors_in(folder, problem)
    return folder


@pytest.fixture
def expected(undisturbed):
    return store_bytes(undisturbed)


@pytest.fixture
def sampled(monkeypatch, small_batches):
    """The first sites of the batches that are sampled from here on."""
    batches, sample = [], site_by_site.sampled_batch

    def watched(batch, seed, plan, store):
        batches.append(batch[0])
        return sample(batch, seed, plan, store)

    monkeypatch.setattr(site_by_site, "sampled_batch", watched)
    return batches


@pytest.mark.parametrize("order", [[18, 0, 12, 6], [12, 6, 18, 0]], ids=str)
def test_batches_may_be_written_in_any_order(problem, expected, tmp_path, order):
    store = SiteStore(tmp_path, tmp_path / "checkpoints")
    store.create(site_coordinates(problem), SHORT, BATCH)
    for first in order:
        store.write(first, batch_arrays(problem.part(first, first + BATCH), 7, SHORT))
    store.finish()
    assert store_bytes(tmp_path) == expected


def test_the_store_is_made_on_a_file_system_without_hard_links_and_opens_without_a_warning(
    problem, expected, tmp_path, monkeypatch, small_batches
):
    def refused(*given, **how):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    posteriors_in(tmp_path, problem)
    assert store_bytes(tmp_path) == expected
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert xr.open_zarr(tmp_path / "sites.zarr")["x"].shape[0] == problem.n_sites


def test_a_batch_whose_writer_was_killed_is_sampled_again_and_no_other(
    problem, undisturbed, expected, tmp_path, sampled
):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    next((tmp_path / "checkpoints").rglob(f"from-*{BATCH}")).unlink()
    # Zarr writes a chunk beside its place first; a kill in that moment leaves it there.
    chunk = tmp_path / "sites.zarr" / "x" / "c" / "1" / "0" / "0" / "0"
    chunk.with_suffix(".0123456789abcdef.partial").write_bytes(b"half a ch")
    chunk.unlink()
    posteriors_in(tmp_path, problem)
    assert sampled == [BATCH] and store_bytes(tmp_path) == expected


def test_the_run_goes_on_when_a_full_disk_has_room_again(problem, expected, tmp_path, monkeypatch, sampled):
    written, write = itertools.count(), zarr.Array.__setitem__

    def refusing(array, place, values):
        if next(written) >= 30:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(array, place, values)

    with monkeypatch.context() as disk:
        disk.setattr(zarr.Array, "__setitem__", refusing)
        message = r"sites.zarr cannot be written: No space left on device\. Make room .*run the same command again"
        with pytest.raises(ProdaError, match=message):
            posteriors_in(tmp_path, problem, n_workers=3)
    marked = [int(path.name.split("-")[1]) for path in (tmp_path / "checkpoints").rglob("from-*")]
    sampled.clear()
    posteriors_in(tmp_path, problem)
    assert len(marked) < 4 and sorted([*sampled, *marked]) == [0, 6, 12, 18]
    assert store_bytes(tmp_path) == expected


def test_the_dataset_is_read_as_far_as_it_is_asked_for_and_has_units(undisturbed):
    with opened_sites(undisturbed / "sites.zarr") as sites:
        assert not any(variable.variable._in_memory for variable in sites.data_vars.values())
        assert all({"long_name", "units"} <= set(sites[name].attrs) for name in sites.data_vars)
        assert sites["x"].dtype == sites["phi"].dtype == np.float32
        assert all(sites[name].dtype == np.float64 for name in sites.data_vars if name not in ("x", "phi"))
        worst = sites["rhat"].idxmax("parameter").to_numpy()
        names = sites["parameter"].to_numpy()
        np.testing.assert_array_equal(worst, names[sites["rhat"].to_numpy().argmax(axis=1)])


@pytest.mark.parametrize("k", [-0.3, -0.1, 0.0, 0.1, 0.3, 0.6])
def test_location_scale_shape_and_mode_of_scipys_distribution_are_recovered(k):
    draws = stats.genextreme.rvs(k, 0.5, 0.05, size=(20, 5000), random_state=np.random.default_rng(3))
    x = np.linspace(0.3, 0.7, 80_001)
    mode = x[stats.genextreme.pdf(x, k, 0.5, 0.05).argmax()]
    modes = gev_modes(draws)
    assert np.abs(modes - mode).max() < 0.12 * 0.05 and abs(modes.mean() - mode) < 0.02 * 0.05
    location, scale, shape = fitted_gev(draws.ravel())
    assert (location, scale) == pytest.approx((0.5, 0.05), abs=0.001) and shape == pytest.approx(k, abs=0.015)


def test_many_series_are_fitted_as_each_alone_and_modes_stay_within_the_prior(rng):
    draws = np.stack([rng.beta(0.3, 3.0, 2000), rng.beta(3.0, 0.3, 2000), rng.random(2000), np.full(2000, 0.3)])
    together = gev_modes(draws[:, None])
    assert together.shape == (4, 1)
    np.testing.assert_allclose(together[2, 0], gev_modes(draws[2]), rtol=1e-12)
    assert ((together >= 0.0) & (together <= 1.0)).all() and together[1, 0] > 0.9
    assert together[3, 0] == pytest.approx(0.3, abs=1e-9), "a series that never moved"


def test_agreement_is_worked_out_site_by_site():
    site = np.array([0, 1, 0, 1, 0])
    observed, modelled = np.array([1.0, 2.0, 2.0, 4.0, 3.0]), np.array([2.0, 4.0, 2.0, 2.0, 5.0])
    r2, efficiency = agreement_by_site(site, observed, modelled, 2)
    # Site 0: observed 1 2 3, modelled 2 2 5: SSE = 1 + 0 + 4, SST = 2; r = 3 / sqrt(2 x 6).
    # Site 1: observed 2 4, modelled 4 2: SSE = 8, SST = 2; r = -1.
    np.testing.assert_allclose(efficiency, [1.0 - 5.0 / 2.0, 1.0 - 8.0 / 2.0])
    np.testing.assert_allclose(r2, [9.0 / 12.0, 1.0])


@pytest.mark.parametrize("density", [2.0, 0.1, 12345.678])
def test_a_site_of_one_layer_or_of_equal_layers_or_of_none_has_no_score(density):
    """Three times a tenth is not three tenths in floating point: equal layers must not be scored by their rounding."""
    site, observed = np.array([0, 1, 1, 1]), np.full(4, density)
    assert np.isnan(agreement_by_site(site, observed, np.array([3.0, 1.0, 4.0, 2.0]), 3)).all()


PLAN = SitePlan(Schedule(100, 100, 100, 1), rhat_limit=1.1, ess_limit=0.0)


@pytest.fixture
def sites():
    """Good, slow, badly fitted, undefined fit, no finite profile, never moved, one chain far from the rest, far off."""
    n, p = 8, 25
    rhat = np.full((n, p), 1.02)
    rhat[1, 7], rhat[5, 3] = 1.4, np.nan
    soc = np.full((n, 10), 5e3)
    soc[4, 9] = np.inf
    phi = np.tile([12.0, 11.0, 13.0], (n, 1))
    phi[6] = [12.0, 11.0, 16.5]
    phi[7] = [452.0, 451.0, 455.0]
    ess = np.tile(np.arange(100.0, 100.0 + p), (n, 1))
    by_parameter = {"rhat": rhat, "rhat_gelman_rubin": rhat + 0.01, "ess_bulk": ess, "ess_tail": ess - 10.0}
    others = {
        "soc_mean": (("site", "layer"), soc),
        "r2": ("site", np.full(n, 0.9)),
        "efficiency": ("site", [0.8, 0.7, -0.1, np.nan, 0.5, 0.6, 0.4, 0.3]),
        # The middle of three draws is what counts: one draw far out is not a chain that is stuck.
        "phi": (("site", "chain", "draw"), phi[..., None] + np.array([-1.0, 0.0, 900.0])),
        "acceptance": (("site", "chain"), np.tile([0.2, 0.3, 0.25], (n, 1))),
        "steps": ("site", np.arange(n) + 300.0),
    }
    return xr.Dataset(
        {name: (("site", "parameter"), values) for name, values in by_parameter.items()} | others,
        {"profile_id": ("site", list("abcdefgh")), "parameter": [f"p{k}" for k in range(p)]},
    )


def status(sites, n_layers=9, faults=("",) * 8, **plan):
    return site_status(sites, np.broadcast_to(n_layers, 8), faults, PLAN._replace(**plan))


def test_every_site_has_a_row_with_its_outcome(sites):
    table = status(sites, np.arange(2, 10))
    assert table["profile_id"].tolist() == list("abcdefgh") and table["site"].tolist() == list(range(8))
    assert table["n_layers"].tolist() == list(range(2, 10))
    assert table["status"].tolist() == [
        "converged", "not converged", "converged", "converged", "no finite posterior", "no finite posterior",
        "a chain is stuck", "out of reach",
    ]  # fmt: skip
    assert table["reason"].iloc[1] == "R-hat of p7 is 1.400 (limit 1.1)"
    assert table["reason"].iloc[6] == "median misfits of its chains differ by 5.5"
    assert table["reason"].iloc[7] == "median misfit 451 for 9 layers in the best chain"
    assert table["ess_bulk_min"].tolist() == [100.0] * 8 and table["ess_tail_min"].tolist() == [90.0] * 8
    assert table["steps"].tolist() == list(range(300, 308)) and table["misfit"].iloc[0] == 11.0
    # Used whatever the chains did, unless the fit is negative or undefined.
    assert table["used_downstream"].tolist() == [True, True, False, False, False, False, True, True]
    # Ten standard deviations in every layer: more layers may have more misfit.
    assert status(sites, 10)["status"].iloc[7] == "converged"


def test_the_limits_of_convergence_are_the_plans(sites):
    assert (status(sites, rhat_limit=1.01)["status"] == "not converged").sum() == 4
    assert (status(sites, rhat_limit=1.5)["status"] == "not converged").sum() == 0
    short = status(sites, ess_limit=91.0)
    assert (short["status"] == "not converged").sum() == 4
    assert short["reason"].iloc[0] == "tail ESS of a parameter is 90 (limit 91)"
    rejected = status(sites.assign(acceptance=0.0 * sites["acceptance"] + 0.1), one_chain=True)
    assert rejected["status"].iloc[0] == "no chain accepted" and rejected["used_downstream"].iloc[0]


def test_a_fault_comes_before_everything_else_and_statuses_are_counted_from_the_worst(sites):
    for variable in sites.data_vars.values():
        variable.values[3] = np.nan
    table = status(sites, faults=["", "", "", "it has no observed layer", *[""] * 4])
    assert table[["status", "reason"]].iloc[3].tolist() == ["not sampled", "it has no observed layer"]
    assert not table["used_downstream"].iloc[3]
    counts = status_counts(table)
    assert counts.index[0] == "not sampled" and counts.index[-1] == "converged" and counts["sites"].sum() == 8
    assert counts.loc["not sampled", "for example"] == "it has no observed layer"
    assert counts["meaning"].to_dict() == {name: STATUS_MEANING[name] for name in counts.index}
