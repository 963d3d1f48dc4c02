"""A site whose numbers are wrong is named with its reason, and no other site notices."""

import numpy as np
import pytest
from made_sites import DEPTH, few_sites, posteriors_in

from proda.assimilation.chains import SitePlan
from proda.assimilation.problem import site_faults
from proda.assimilation.store import site_status
from proda.kernels.metropolis import Schedule

PLAN = SitePlan(Schedule(1500, 1500, 3000, 30), n_kept=60, ess_limit=0.0, rhat_limit=3.0, max_steps=20_000)
N_LAYERS = DEPTH.size


def observation(name, value, layer=2):
    """Puts `value` into an observed layer of a site."""

    def spoil(problem, site):
        getattr(problem, name)[site * N_LAYERS + layer] = value

    return spoil


def all_observations(factor):
    """Multiplies a site's densities, with their standard deviations."""

    def spoil(problem, site):
        own = problem.site == site
        problem.soc[own] *= factor
        problem.sd[own] *= factor

    return spoil


def forcing(name, value, layer=None):
    def spoil(problem, site):
        values = getattr(problem.forcing, name)
        values[(site,) if layer is None else (layer, site)] = value

    return spoil


# What is wrong with a site, its status, and the reason given.
WRONG = {
    "no temperature": (forcing("soil_temperature", np.nan, 3), "not sampled", "soil_temperature of the forcing is nan"),
    "endless potential": (
        forcing("water_potential", -np.inf, 0),
        "not sampled",
        "water_potential of the forcing is -inf",
    ),
    "no npp": (forcing("npp_mean", np.nan), "not sampled", "npp_mean of the forcing is nan"),
    "no density": (observation("soc", np.nan), "not sampled", "soc of observed layer 3 is nan"),
    "density of zero": (observation("soc", 0.0), "not sampled", "soc of observed layer 3 is 0"),
    "negative density": (observation("soc", -5e3), "not sampled", "soc of observed layer 3 is -5000"),
    "endless density": (observation("soc", np.inf, 5), "not sampled", "soc of observed layer 6 is inf"),
    "no depth": (observation("depth", np.nan, 0), "not sampled", "depth of observed layer 1 is nan"),
    "no spread": (observation("sd", 0.0), "not sampled", "sd of observed layer 3 is 0"),
    "no weight": (observation("weight", np.nan), "not sampled", "weight of observed layer 3 is nan"),
    "beyond numbers": (all_observations(1e200), "not sampled", "the misfit of its layers is not a finite number"),
    "too small for numbers": (
        all_observations(1e-200),
        "not sampled",
        "the misfit of its layers is not a finite number",
    ),
    "far too little carbon": (all_observations(1e-7), "out of reach", "median misfit"),
    "one layer far out": (observation("soc", 1e9), "out of reach", "median misfit"),
    "no carbon comes in": (forcing("npp_mean", 0.0), "not sampled", "npp_mean of the forcing is 0"),
}


@pytest.fixture(scope="module")
def sound():
    return few_sites(9)


@pytest.fixture(scope="module")
def expected(sound, tmp_path_factory):
    """The result of sound sites alone."""
    return posteriors_in(tmp_path_factory.mktemp("sound"), sound, PLAN).load()


def with_spoilt(sound, spoils):
    """Nine sound sites with others among them, one for each of `spoils`, and which are sound."""
    n_bad = len(spoils)
    of = np.arange(9 + n_bad) % 9
    problem = sound.take(np.arange(9))
    rows = np.concatenate([np.arange(k * N_LAYERS, (k + 1) * N_LAYERS) for k in of])
    # The spoilt ones come after, between and before the sound ones of their batches.
    place = np.random.default_rng(3).permutation(9 + n_bad)
    where = np.argsort(place)
    rows = np.concatenate([rows[p * N_LAYERS : (p + 1) * N_LAYERS] for p in where])
    mixed = problem._replace(
        profile_id=[f"P{k}" if k < 9 else f"bad-{k - 9}" for k in where],
        forcing=type(problem.forcing)(*(np.ascontiguousarray(field[..., of[where]]) for field in problem.forcing)),
        site=np.repeat(np.arange(9 + n_bad), N_LAYERS),
        **{name: getattr(problem, name)[rows].copy() for name in ("depth", "soc", "sd", "weight")},
    )
    for k, spoil in enumerate(spoils):
        spoil(mixed, int(place[9 + k]))
    return mixed, place[:9], place[9:]


@pytest.fixture(scope="module")
def mixed(sound):
    return with_spoilt(sound, [spoil for spoil, _, _ in WRONG.values()])


@pytest.fixture(scope="module")
def result(mixed, tmp_path_factory):
    problem = mixed[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("proda.assimilation.sites.SITES_PER_BATCH", 8)
        sites = posteriors_in(tmp_path_factory.mktemp("mixed"), problem, PLAN, n_workers=2).load()
    n_layers = np.bincount(problem.site, minlength=problem.n_sites)
    return sites, site_status(sites, n_layers, site_faults(problem), PLAN)


def test_sound_sites_have_the_bits_they_have_without_the_others(expected, mixed, result):
    good = mixed[1]
    for name in expected.data_vars:
        np.testing.assert_array_equal(result[0][name].values[good], expected[name], err_msg=name)
    table = result[1].iloc[good]
    assert (table["status"] == "converged").all() and not table["reason"].any() and table["used_downstream"].all()


def test_every_site_has_its_row(mixed, result):
    table = result[1]
    assert table["profile_id"].tolist() == mixed[0].profile_id and table["site"].tolist() == list(range(len(table)))
    assert ((table["reason"] == "") == (table["status"] == "converged")).all()
    assert not table.loc[table["status"] == "not sampled", "used_downstream"].any()


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_number_is_told_by_its_name(mixed, result, what):
    _, status, reason = WRONG[what]
    row = result[1].iloc[mixed[2][list(WRONG).index(what)]]
    assert row["status"] == status and row["reason"].startswith(reason)


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        (all_observations(1e20), {"out of reach"}),
        # The wildest corners of the box hold carbon even there, for a chain that happens to find one.
        (forcing("soil_temperature", 2000.0, slice(None)), {"out of reach", "a chain is stuck", "not converged"}),
    ],
    ids=["too much", "a furnace"],
)
def test_a_site_with_more_carbon_than_any_parameters_give_is_told_and_not_used(
    sound, expected, tmp_path, spoil, status
):
    """No misfit of too little carbon is large when the standard deviation is a share of the observation."""
    problem, good, bad = with_spoilt(sound, [spoil])
    sites = posteriors_in(tmp_path, problem, PLAN)
    table = site_status(sites, np.full(10, 6), site_faults(problem), PLAN, problem.forms()[-1])
    assert table.loc[bad[0], "status"] in status and table.loc[bad[0], "reason"]
    assert table.loc[bad[0], "efficiency"] < 0.0 and not table.loc[bad[0], "used_downstream"]
    np.testing.assert_array_equal(sites["x"].values[good], expected["x"])


def test_a_site_that_is_not_sampled_holds_no_numbers(mixed, result):
    sites, table = result
    for k in np.flatnonzero(table["status"] == "not sampled"):
        assert all(np.isnan(sites[name].values[k]).all() for name in sites.data_vars)


def test_a_site_without_layers_is_told_and_changes_no_other(sound, expected, tmp_path):
    emptied = sound.layers(sound.site != 4)
    sites = posteriors_in(tmp_path, emptied, PLAN)
    n_layers = np.bincount(emptied.site, minlength=9)
    table = site_status(sites, n_layers, site_faults(emptied), PLAN)
    assert len(table) == 9 and table["n_layers"].tolist() == [6] * 4 + [0] + [6] * 4
    assert table.loc[4, ["status", "reason"]].tolist() == ["not sampled", "it has no observed layer"]
    others = np.delete(np.arange(9), 4)
    for name in expected.data_vars:
        np.testing.assert_array_equal(sites[name].values[others], expected[name].values[others], err_msg=name)


def test_a_study_of_wrong_sites_alone_ends_with_a_table(sound, tmp_path):
    problem = sound.part(0, 3)._replace(soc=np.full(18, np.nan))
    sites = posteriors_in(tmp_path, problem, PLAN)
    table = site_status(sites, np.full(3, 6), site_faults(problem), PLAN)
    assert (table["status"] == "not sampled").all() and len(table) == 3
