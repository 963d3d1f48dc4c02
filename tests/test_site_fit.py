"""How well sites are reproduced, and what becomes of them."""

import numpy as np
import pytest
import xarray as xr

from proda.assimilation.chains import SitePlan
from proda.assimilation.store import agreement_by_site, site_status
from proda.kernels.metropolis import Schedule


def test_agreement_is_worked_out_site_by_site():
    site = np.array([0, 1, 0, 1, 0])
    observed, modelled = np.array([1.0, 2.0, 2.0, 4.0, 3.0]), np.array([2.0, 4.0, 2.0, 2.0, 5.0])
    fit = agreement_by_site(site, observed, modelled, 2)
    # Site 0: observed 1 2 3, modelled 2 2 5: SSE = 1 + 0 + 4, SST = 2; r = 3 / sqrt(2 x 6).
    # Site 1: observed 2 4, modelled 4 2: SSE = 8, SST = 2; r = -1.
    np.testing.assert_allclose(fit.efficiency, [1.0 - 5.0 / 2.0, 1.0 - 8.0 / 2.0])
    np.testing.assert_allclose(fit.r2, [9.0 / 12.0, 1.0])


def test_a_perfect_site_scores_one_and_its_own_mean_zero():
    site, observed = np.repeat([0, 1], 3), np.array([1.0, 5.0, 9.0] * 2)
    fit = agreement_by_site(site, observed, np.array([1.0, 5.0, 9.0, 5.0, 5.0, 5.0]), 2)
    np.testing.assert_allclose(fit.efficiency, [1.0, 0.0])


def test_agreement_does_not_depend_on_the_unit(rng):
    site = np.sort(rng.integers(0, 5, 60))
    observed, modelled = rng.lognormal(8, 1, 60), rng.lognormal(8, 1, 60)
    grams, kilograms = (agreement_by_site(site, observed * f, modelled * f, 5) for f in (1.0, 1e-3))
    np.testing.assert_allclose(grams.efficiency, kilograms.efficiency, rtol=1e-10)
    np.testing.assert_allclose(grams.r2, kilograms.r2, rtol=1e-10)


@pytest.mark.parametrize("density", [2.0, 0.1, 12345.678])
def test_a_site_of_one_layer_or_of_equal_layers_or_of_none_has_no_score(density):
    """Three times a tenth is not three tenths in floating point: equal layers must not be scored by their rounding."""
    site, observed = np.array([0, 1, 1, 1]), np.full(4, density)
    fit = agreement_by_site(site, observed, np.array([3.0, 1.0, 4.0, 2.0]), 3)
    assert np.isnan(fit.efficiency).all() and np.isnan(fit.r2).all()


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
    by_parameter = {name: (("site", "parameter"), values) for name, values in {
        "rhat": rhat, "rhat_gelman_rubin": rhat + 0.01, "ess_bulk": ess, "ess_tail": ess - 10.0,
    }.items()}  # fmt: skip
    return xr.Dataset(
        by_parameter
        | {
            "soc_mean": (("site", "layer"), soc),
            "r2": ("site", np.full(n, 0.9)),
            "efficiency": ("site", [0.8, 0.7, -0.1, np.nan, 0.5, 0.6, 0.4, 0.3]),
            # The middle of three draws is what counts: one draw far out is not a chain that is stuck.
            "phi": (("site", "chain", "draw"), phi[..., None] + np.array([-1.0, 0.0, 900.0])),
            "acceptance": (("site", "chain"), np.tile([0.2, 0.3, 0.25], (n, 1))),
            "steps": ("site", np.arange(n) + 300.0),
        },
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
    assert (table["reason"] == "").equals(table["status"] == "converged")
    assert table["ess_bulk_min"].tolist() == [100.0] * 8 and table["ess_tail_min"].tolist() == [90.0] * 8
    assert table["rhat_max"].iloc[1] == 1.4 and table["acceptance"].iloc[0] == pytest.approx(0.25)
    assert table["steps"].tolist() == list(range(300, 308)) and table["misfit"].iloc[0] == 11.0


def test_sites_are_used_whatever_their_chains_did_unless_their_fit_is_negative_or_undefined(sites):
    assert status(sites)["used_downstream"].tolist() == [True, True, False, False, False, False, True, True]


def test_the_limits_of_convergence_are_the_plans(sites):
    assert (status(sites, rhat_limit=1.01)["status"] == "not converged").sum() == 4
    assert (status(sites, rhat_limit=1.5)["status"] == "not converged").sum() == 0
    assert (status(sites, ess_limit=90.0)["status"] == "not converged").sum() == 1
    short = status(sites, ess_limit=91.0)
    assert (short["status"] == "not converged").sum() == 4
    assert short["reason"].iloc[0] == "tail ESS of a parameter is 90 (limit 91)"


def test_a_fault_comes_before_everything_else_and_a_site_without_chains_is_not_used(sites):
    for variable in sites.data_vars.values():
        variable.values[3] = np.nan
    faults = ["", "", "", "it has no observed layer", *[""] * 4]
    table = status(sites, faults=faults)
    assert table[["status", "reason"]].iloc[3].tolist() == ["not sampled", "it has no observed layer"]
    assert not table["used_downstream"].iloc[3]
    assert len(table) == 8 and (table["status"] == "not sampled").sum() == 1


def test_a_site_is_out_of_reach_by_the_misfit_of_each_of_its_layers(sites):
    """450 for nine layers is ten standard deviations in every one; more layers may cost more."""
    assert status(sites, 10)["status"].iloc[7] == "converged"
    assert status(sites, 9)["status"].iloc[7] == "out of reach"
