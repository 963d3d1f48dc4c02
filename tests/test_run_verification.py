"""Both configurations against the original programs' cases; what such a comparison notices; faulty files of cases."""

import json

import numpy as np
import pandas as pd
import pytest
from columns import misfit
from conftest import CASES

from proda.__main__ import main
from proda.errors import InputError
from proda.kernels.misfit import layer_weights, misfit_forms
from proda.model.configuration import CESM2, CESM2_AS_PUBLISHED
from proda.model.matrices import dense_steady_state, labelled_matrices
from proda.model.observation import at_depths, layer_operator
from proda.model.solver import soc_density, steady_state
from proda.run.verification import SMALLEST, agreement, read_cases, tolerances, worst_relative

PAPER_FILE, CESM2_FILE = CASES / "paper_cases.csv", CASES / "cesm2_cases.json"
ROW = {name: k for k, name in enumerate(CESM2.parameters.names)}


@pytest.fixture(scope="module")
def paper():
    return read_cases(PAPER_FILE)


@pytest.fixture(scope="module")
def cesm2():
    return read_cases(CESM2_FILE)


@pytest.fixture(scope="module")
def records():
    return json.loads(CESM2_FILE.read_text())["cases"]


def test_numpy_jax_and_compiled_agree_with_the_paper_program_to_a_billionth(paper):
    errors = agreement(paper)
    assert set(tolerances(paper).values()) == {1e-9} and errors.shape == (24, 3)
    assert (errors.isna().all(axis=1)).sum() == 2, "the original stopped at two singular matrices"
    assert errors.max(axis=None) < 1e-9


def test_all_seventy_pools_agree_with_the_paper_program(paper):
    pools = steady_state(paper.theta, paper.forcing, paper.configuration)
    counts = paper.program > 1e-12 * paper.program.max(axis=1, keepdims=True)
    assert counts.any(axis=(0, 1)).sum() == 22
    np.testing.assert_allclose(pools[counts], paper.program[counts], rtol=1e-9)


def test_numpy_jax_and_compiled_agree_with_120_digits_and_with_the_cesm2_program(cesm2):
    errors = agreement(cesm2)
    assert tolerances(cesm2) == {"numpy": 1e-11, "jax": 1e-11, "compiled": 1e-11, "program": 1e-9}
    assert errors.shape == (20, 4) and not errors.gt(tolerances(cesm2)).any(axis=None)
    assert errors.isna().sum().tolist() == [0, 0, 0, 1], "MATLAB rejects one matrix"
    assert (np.abs(cesm2.exact) > SMALLEST).sum() > 0.95 * cesm2.exact.size


@pytest.mark.parametrize(("name", "field"), [("K", "K_per_day"), ("V", "V_per_day"), ("u", "u_gC_m3_day")])
def test_the_matrices_are_those_of_the_cesm2_program(cesm2, records, name, field):
    matrix = labelled_matrices(cesm2.theta, cesm2.forcing, CESM2_AS_PUBLISHED)[name].to_numpy()
    reference = np.stack([record["octave"][field] for record in records], axis=-1)
    np.testing.assert_allclose(matrix[: len(reference)], reference, rtol=1e-12, atol=SMALLEST)
    assert not matrix[len(reference) :].any()


def test_observed_densities_weights_and_costs_are_those_of_the_cesm2_program(cesm2, records):
    seen = pd.concat(
        pd.DataFrame({name: values for name, values in record["obs"].items() if name in SEEN}).assign(case=k)
        for k, record in enumerate(records)
    )
    kept = ~np.isnan(cesm2.program).any(axis=(0, 1))
    soc, column = soc_density(steady_state(cesm2.theta, cesm2.forcing, CESM2_AS_PUBLISHED)), CESM2.column
    size = soc.max(axis=0)[seen["case"]]
    error = np.abs(at_depths(soc, seen["case"], seen["depth_m"], column) - seen["model_at_obs"]) / size
    inside = seen["depth_m"].between(*column.node[[0, -1]]).to_numpy()
    assert error[inside & kept[seen["case"]]].max() < 1e-9 and error[~inside].max() > 1e-3
    np.testing.assert_allclose(layer_weights(seen["case"], seen["depth_m"]), seen["weight_exp"], rtol=1e-9)
    # The program extrapolates the end cubics, the misfit does not: they agree where no observation is that shallow.
    between = (seen.groupby("case")["depth_m"].min() >= column.node[0]).to_numpy() & kept
    assert between.sum() > 10
    for weight, cost in (("weight_rank", "cost_rank_sigma0p6"), ("weight_exp", "cost_exp_sigma0p6")):
        observed = seen["soc_gC_m3"]
        operator = layer_operator(seen["depth_m"], seen["depth_m"], column)
        forms = misfit_forms(seen["case"], 20, operator, observed, seen[weight], 0.6 * observed)
        reference = np.array([record["obs"][cost] for record in records])
        np.testing.assert_allclose(misfit(soc, forms, column)[between], reference[between], rtol=1e-9)


SEEN = ("depth_m", "soc_gC_m3", "model_at_obs", "weight_rank", "weight_exp")


def test_the_dense_solve_fails_where_matlab_rejects_and_the_structured_one_does_not(cesm2):
    rejected = np.isnan(cesm2.program).any(axis=(0, 1))
    about = cesm2.theta[:, rejected], cesm2.forcing.take(rejected), CESM2_AS_PUBLISHED
    assert worst_relative(dense_steady_state(*about), cesm2.exact[..., rejected], SMALLEST)[0] > 0.1
    assert worst_relative(steady_state(*about), cesm2.exact[..., rejected], SMALLEST)[0] < 1e-12


def swapped(one, other):
    def mutated(theta, forcing):
        order = list(range(len(theta)))
        order[ROW[one]], order[ROW[other]] = ROW[other], ROW[one]
        return theta[order], forcing

    return pytest.param(mutated, id=f"{one} for {other}")


def changed(title, name, change):
    return pytest.param(lambda theta, forcing: (theta, forcing._replace(**{name: change(forcing)})), id=title)


PARAMETERS = [swapped("diffus", "cryo"), swapped("tau4s2", "tau4s3"), swapped("fs1s2", "fs1s3")]


@pytest.mark.parametrize(
    "mutated",
    [
        *PARAMETERS,
        changed("warmer soil", "soil_temperature", lambda f: f.soil_temperature + 0.1),
        changed("bar for MPa", "water_potential", lambda f: 10.0 * f.water_potential),
    ],
)
def test_a_wrong_unit_or_a_swapped_parameter_is_noticed_in_the_paper_cases(paper, mutated):
    pools = steady_state(*mutated(paper.theta, paper.forcing), paper.configuration)
    assert np.nanmax(worst_relative(soc_density(pools), soc_density(paper.program), 1e-6)) > 1e-3


@pytest.mark.parametrize(
    "mutated",
    [
        *PARAMETERS,
        changed("water a month late", "water_scalar", lambda f: np.roll(f.water_scalar, 1, axis=1)),
        changed("layers upside down", "soil_temperature", lambda f: f.soil_temperature[::-1]),
        changed("no nitrogen limit", "nitrogen_scalar", lambda f: np.ones_like(f.nitrogen_scalar)),
        changed("this year's thaw alone", "active_layer_last_year", lambda f: f.active_layer),
        changed("metabolic for cellulose", "carbon_input", lambda f: f.carbon_input[[0, 2, 1, 3]]),
        changed("a layer more above bedrock", "bedrock", lambda f: np.minimum(f.bedrock + 1, 20)),
    ],
)
def test_a_wrong_input_is_noticed_in_the_cesm2_cases(cesm2, mutated):
    theta, forcing = mutated(cesm2.theta, cesm2.forcing)
    assert worst_relative(steady_state(theta, forcing, CESM2_AS_PUBLISHED), cesm2.exact, SMALLEST).max() > 1e-3


@pytest.mark.parametrize(("file", "n"), [(PAPER_FILE, 24), (CESM2_FILE, 20)])
def test_the_command_passes_with_a_line_for_each_case(capsys, file, n):
    assert main(["verify", str(file)]) == 0
    output = capsys.readouterr().out
    assert output.splitlines()[-1].startswith("passed: worst") and f"over {n} cases" in output


def written(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_perturbed_reference_fails_in_the_case_that_is_named(tmp_path, capsys, records):
    table = pd.read_csv(PAPER_FILE)
    table.loc[5, "S3_2"] *= 1.0 + 1e-8
    assert main(["verify", str(written(tmp_path / "cases.csv", table.to_csv(index=False)))]) == 1
    assert "row 7" in (last := capsys.readouterr().out.splitlines()[-1]) and last.startswith("FAILED")
    some = json.loads(json.dumps(records[:3]))
    some[1]["exact"]["cpools"][0][6] *= 1.0 + 1e-9
    assert main(["verify", str(written(tmp_path / "cases.json", {"cases": some}))]) == 1
    assert some[1]["id"] in (last := capsys.readouterr().out.splitlines()[-1]) and last.startswith("FAILED")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="psi7"), "row 2: psi7 is missing"),
        (lambda table: table.assign(alt="deep"), "row 2: alt is missing or not a number"),
        (lambda table: table.assign(S2_9=table["S2_9"].where(table["case"] != 7)), "row 9: S2_9 is missing"),
        (lambda table: table.assign(T3=table["T3"] - 273.15), "soil_temperature .* column 0.*Add 273.15"),
    ],
)
def test_a_faulty_table_is_an_error_with_file_row_and_field(tmp_path, change, message):
    path = written(tmp_path / "cases.csv", change(pd.read_csv(PAPER_FILE)).to_csv(index=False))
    with pytest.raises(InputError, match=rf"cases\.csv.*{message}"):
        read_cases(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda case: case.pop("exact"), "exact.cpools is missing or not 20 x 7 numbers"),
        (lambda case: case["inputs"].update(altmax="deep"), "inputs.altmax is missing or not 12 numbers"),
        (lambda case: case["inputs"].update(nbedrock=[21] * 12), "bedrock is 21 layers in column 1, expected 1 to 20"),
    ],
)
def test_a_faulty_case_is_an_error_with_file_case_and_field(tmp_path, records, change, message):
    some = json.loads(json.dumps(records[:2]))
    change(some[1])
    where = "" if "bedrock is" in message else f": {some[1]['id']}"
    with pytest.raises(InputError, match=rf"cases\.json{where}: .*{message}"):
        read_cases(written(tmp_path / "cases.json", {"cases": some}))


@pytest.mark.parametrize("content", ["", '{"cases": [{}]}', CESM2_FILE.read_text()[:5000]])
def test_a_file_that_is_something_else_or_cut_short_is_refused(tmp_path, content):
    with pytest.raises(InputError, match="not a complete JSON file"):
        read_cases(written(tmp_path / "cases.json", content))
    with pytest.raises(InputError, match=r"cases\.csv: (not a readable|row 2)"):
        read_cases(written(tmp_path / "cases.csv", content))
    with pytest.raises(InputError, match=r"expected an existing file that ends in \.csv"):
        read_cases(tmp_path / "none.csv")
