"""The `cesm2` configuration against twenty cases of the authors' matrix program, and what such a test can notice."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import CASES

from proda.kernels import steady_state as lanes
from proda.kernels.misfit import misfit, misfit_forms
from proda.model.configuration import CESM2, CESM2_AS_PUBLISHED
from proda.model.matrices import dense_steady_state, labelled_matrices
from proda.model.observation import at_depths
from proda.model.solver import POOLS, soc_density, steady_state
from proda.run.verification import SMALLEST as NEGLIGIBLE
from proda.run.verification import agreement, read_cases, worst_relative

ROW = {name: k for k, name in enumerate(CESM2.parameters.names)}
COLUMN = CESM2.column


@pytest.fixture(scope="module")
def cases():
    return read_cases(CASES / "cesm2_cases.json")


@pytest.fixture(scope="module")
def pools(cases):
    return steady_state(cases.theta, cases.forcing, CESM2_AS_PUBLISHED)


@pytest.fixture(scope="module")
def exact(cases):
    """The pools with 120 digits, (7, 20, n)."""
    return cases.reference["exact.cpools"].swapaxes(0, 1)


@pytest.fixture(scope="module")
def table(cases):
    return agreement(cases)


def test_the_file_holds_twenty_cases_of_which_matlab_rejects_one(cases):
    assert cases.theta.shape == (21, 20) and cases.about["rejected"].sum() == 1
    assert {"permafrost_shallow", "frozen_never_thaws", "arid", "peatland"} < set(cases.about["climate"])
    assert cases.forcing.bedrock.min() == 5 and cases.forcing.bedrock.max() == 20


@pytest.mark.parametrize("version", ["numpy", "jax", "compiled"])
def test_every_version_agrees_with_120_digits(table, version):
    assert len(table) == 20 and table["finite"].all()
    assert table[version].max() < 1e-11


def test_numpy_agrees_with_120_digits_number_by_number(pools, exact):
    assert (np.abs(exact) > NEGLIGIBLE).sum() > 0.95 * exact.size
    np.testing.assert_allclose(pools, exact, rtol=1e-11, atol=NEGLIGIBLE)


def test_numpy_agrees_with_the_program_to_a_billionth_of_each_pools_maximum(cases, pools):
    kept = ~cases.about["rejected"].to_numpy()
    program = cases.reference["octave.cpools"].swapaxes(0, 1)[..., kept]
    size = program.max(axis=1, keepdims=True)
    np.testing.assert_allclose(pools[..., kept] / size, program / size, rtol=0, atol=1e-9)


def test_stocks_agree(cases, pools):
    stock = COLUMN.thickness @ soc_density(pools)
    np.testing.assert_allclose(stock, cases.reference["exact.soc_stock"], rtol=1e-11)
    kept = ~cases.about["rejected"].to_numpy()
    np.testing.assert_allclose(stock[kept], cases.reference["octave.soc_stock"][kept], rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "field"), [("K", "octave.K_per_day"), ("V", "octave.V_per_day"), ("u", "octave.u_gC_m3_day")]
)
def test_the_matrices_are_those_of_the_program(cases, name, field):
    matrix = labelled_matrices(cases.theta, cases.forcing, CESM2_AS_PUBLISHED)[name].to_numpy()
    reference = cases.reference[field]
    np.testing.assert_allclose(matrix[: len(reference)], reference, rtol=1e-12, atol=1e-250)
    assert not matrix[len(reference) :].any()


def test_densities_at_observed_depths_are_those_of_the_program(cases, pools):
    seen = cases.observed[~cases.about["rejected"].to_numpy()[cases.observed["case"]]]
    assert len(seen) > 100 and seen["depth_m"].min() < COLUMN.node[0]
    soc = soc_density(pools)
    size = soc.max(axis=0)[seen["case"]]
    extrapolate = at_depths(soc, seen["case"], seen["depth_m"], COLUMN, extrapolate=True)
    np.testing.assert_allclose(extrapolate / size, seen["model_at_obs"] / size, rtol=0, atol=1e-9)
    held = at_depths(soc, seen["case"], seen["depth_m"], COLUMN)
    assert np.abs(held / size - seen["model_at_obs"] / size).max() > 1e-3


@pytest.mark.parametrize(
    ("weights", "cost"), [("weight_rank", "cost_rank_sigma0p6"), ("weight_exp", "cost_exp_sigma0p6")]
)
def test_the_misfit_is_the_cost_of_the_program(cases, pools, weights, cost):
    seen = cases.observed
    observed = seen["soc_gC_m3"]
    forms = misfit_forms(seen["case"], 20, seen["depth_m"], observed, seen[weights], 0.6 * observed, column=COLUMN)
    phi = misfit(soc_density(pools), forms, COLUMN)
    # The program lets the end cubics run on, the misfit does not: they agree where no observation is that shallow.
    between = (seen.groupby("case")["depth_m"].min() >= COLUMN.node[0]).to_numpy() & ~cases.about["rejected"]
    assert between.sum() > 10
    np.testing.assert_allclose(phi[between], cases.reference[f"obs.{cost}"][between], rtol=1e-9)


def test_the_dense_solve_fails_where_matlab_rejects_and_the_structured_one_does_not(cases, exact, table):
    rejected = cases.about["rejected"].to_numpy()
    dense = dense_steady_state(cases.theta[:, rejected], cases.forcing.take(rejected), CESM2_AS_PUBLISHED)
    assert worst_relative(dense, exact[..., rejected])[0] > 0.1
    assert (table[["numpy", "jax", "compiled"]][rejected] < 1e-12).all(axis=None)
    assert table[["program", "observed"]].isna().any(axis=1).equals(cases.about["rejected"])


def test_with_the_closed_bottom_what_leaks_in_the_program_stays(cases, exact):
    closed = worst_relative(steady_state(cases.theta, cases.forcing, CESM2), exact)
    lost = cases.reference["exact.transport_loss_over_input"]
    assert (lost > 0.01).any() and (lost < -0.01).any()
    assert (closed[np.abs(lost) > 1e-5] > 0.01).all()
    below_the_grid = cases.forcing.bedrock == 20
    assert below_the_grid.sum() >= 3 and (closed[below_the_grid] < 1e-10).sum() >= 1
    compiled = lanes.soc_density(cases.theta, cases.forcing, CESM2)
    assert (worst_relative(compiled, soc_density(exact))[np.abs(lost) > 1e-5] > 0.01).all()


def swapped(one, other):
    def mutated(theta, forcing):
        theta = theta.copy()
        theta[[ROW[one], ROW[other]]] = theta[[ROW[other], ROW[one]]]
        return theta, forcing

    return pytest.param(mutated, id=f"{one} for {other}")


def changed(title, **changes):
    def mutated(theta, forcing):
        return theta, forcing._replace(**{name: change(forcing) for name, change in changes.items()})

    return pytest.param(mutated, id=title)


@pytest.mark.parametrize(
    "mutated",
    [
        swapped("diffus", "cryo"),
        swapped("tau4s1", "tau4l2l3"),
        swapped("tau4s2", "tau4cwd"),
        swapped("fl1s1", "fl2s1"),
        swapped("fs1s2", "fs1s3"),
        swapped("fs2s1", "fs2s3"),
        swapped("fcwdl2", "fl1s1"),
        swapped("tau4l1", "tau4s1"),
        changed("warmer soil", soil_temperature=lambda f: f.soil_temperature + 0.1),
        changed("water a month late", water_scalar=lambda f: np.roll(f.water_scalar, 1, axis=1)),
        changed("months backwards", soil_temperature=lambda f: f.soil_temperature[:, ::-1]),
        changed("layers upside down", soil_temperature=lambda f: f.soil_temperature[::-1]),
        changed("annual mean water", water_scalar=lambda f: 0.0 * f.water_scalar + f.water_scalar.mean(1)[:, None]),
        changed("no oxygen limit", oxygen_scalar=lambda f: np.ones_like(f.oxygen_scalar)),
        changed("no nitrogen limit", nitrogen_scalar=lambda f: np.ones_like(f.nitrogen_scalar)),
        changed(
            "nitrogen for oxygen",
            nitrogen_scalar=lambda f: f.oxygen_scalar,
            oxygen_scalar=lambda f: f.nitrogen_scalar,
        ),
        changed("this year's thaw alone", active_layer_last_year=lambda f: f.active_layer),
        changed("input of a day", carbon_input=lambda f: f.carbon_input / 365.0),
        changed("metabolic for cellulose", carbon_input=lambda f: f.carbon_input[[0, 2, 1, 3]]),
        changed("a layer more above bedrock", bedrock=lambda f: np.minimum(f.bedrock + 1, 20)),
    ],
)
def test_a_wrong_input_is_noticed(cases, exact, mutated):
    theta, forcing = mutated(cases.theta, cases.forcing)
    assert worst_relative(steady_state(theta, forcing, CESM2_AS_PUBLISHED), exact).max() > 1e-3


@pytest.mark.parametrize(("one", "other"), [(i, j) for i in range(7) for j in range(i)], ids=lambda pool: POOLS[pool])
def test_two_swapped_pools_are_noticed(pools, exact, one, other):
    mutated = exact.copy()
    mutated[[one, other]] = mutated[[other, one]]
    assert (worst_relative(pools, mutated) > 1e-3).all()


REFERENCES = [
    "exact.cpools", "exact.soc_stock", "exact.input_gC_m2_day", "exact.resp_over_input", "octave.cpools",
    "octave.soc_layer", "octave.soc_stock", "octave.K_per_day", "octave.V_per_day", "octave.u_gC_m3_day",
    "obs.cost_rank_sigma0p6", "obs.cost_exp_sigma0p6",
]  # fmt: skip


@pytest.mark.parametrize("name", [*REFERENCES, "exact.transport_loss_over_input"])
def test_every_number_of_reference_counts(cases, pools, name):
    """One number of one case, off by a hundred times the tolerance, is found in that case and in no other."""
    reference = {key: values.copy() for key, values in cases.reference.items()}
    column = reference[name][..., 7]
    where = np.unravel_index(np.abs(column).argmax(), column.shape)
    reference[name][(*where, 7)] += 1e-7 * (1.0 if name.endswith("loss_over_input") else column[where])
    errors = replace(cases, reference=reference).errors(pools, pools, soc_density(pools))
    tolerance = cases.tolerance
    found = (errors[list(tolerance)] > list(tolerance.values())).any(axis=1)
    assert found.tolist() == [k == 7 for k in range(20)]


@pytest.mark.parametrize("name", ["soc_gC_m3", "model_at_obs", "weight_rank", "weight_exp"])
def test_every_number_of_an_observation_counts(cases, pools, name):
    observed = cases.observed.reset_index(drop=True)
    row = int(np.flatnonzero(observed["case"] == 7)[0])
    observed.loc[row, name] *= 1.0 + 1e-6
    errors = replace(cases, observed=observed).errors(pools, pools, soc_density(pools))
    assert (errors["observed"] > 1e-9).tolist() == [k == 7 for k in range(20)]


def test_what_is_no_number_or_should_be_nothing_is_infinitely_wrong(pools, exact):
    nan, something = pools.copy(), pools.copy()
    nan[3, 4, 5] = np.nan
    nothing = np.argwhere(np.abs(exact) < NEGLIGIBLE)[0]
    something[tuple(nothing)] = 1e-200
    assert np.flatnonzero(worst_relative(nan, exact) == np.inf).tolist() == [5]
    assert np.flatnonzero(worst_relative(something, exact) == np.inf).tolist() == [nothing[2]]
    assert worst_relative(pools, exact).max() < 1e-11
