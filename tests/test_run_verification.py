"""`python -m proda verify`: it passes, it can fail, and it says what is wrong with a file."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import CASES

from proda.__main__ import main
from proda.errors import InputError
from proda.run.verification import agreement, read_cases, verify

FILE = CASES / "paper_cases.csv"
JSON = CASES / "cesm2_cases.json"


@pytest.fixture
def table():
    return pd.read_csv(FILE)


@pytest.fixture
def content():
    """Three of the `cesm2` cases: a plain one, one that never thaws, and the one that MATLAB rejects."""
    cases = json.loads(JSON.read_text())["cases"]
    wanted = ("case_000", "case_078", "case_088")
    return {"cases": [case for case in cases if case["id"] in wanted]}


def written(table, tmp_path):
    path = tmp_path / "cases.csv"
    table.to_csv(path, index=False)
    return path


def dumped(content, tmp_path):
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(content))
    return path


def test_the_paper_cases_pass_with_a_line_each(capsys):
    assert main(["verify", str(FILE)]) == 0
    output = capsys.readouterr().out
    last = output.splitlines()[-1]
    assert last.startswith("passed: worst") and "1e-09 allowed" in last
    assert last.endswith("over 24 cases, 2 of them singular in the original program")
    assert output.count("  singular") == 2 * 4 and output.count("True") == 24 and "FAILED" not in output


def test_the_cesm2_cases_pass_with_a_line_each(capsys):
    assert main(["verify", str(JSON)]) == 0
    output = capsys.readouterr().out
    last = output.splitlines()[-1]
    assert last.startswith("passed: worst") and "1e-11 allowed" in last
    assert last.endswith("over 20 cases, 1 of them rejected in the original program")
    assert output.count("case_") == 21 and output.count("True") == 20 and "FAILED" not in output
    assert "permafrost_shallow" in output and "tolerance" in output and " ! " not in output


def test_a_perturbed_csv_file_fails(table, tmp_path, capsys):
    table.loc[5, "S3_2"] *= 1.0 + 1e-8
    assert main(["verify", str(written(table, tmp_path))]) == 1
    output = capsys.readouterr().out
    assert "FAILED" in output and "passed" not in output
    assert output.splitlines()[-2].startswith("3 errors beyond tolerance (!)")


def test_a_perturbed_json_file_fails_in_the_case_that_is_named(content, tmp_path, capsys):
    content["cases"][1]["exact"]["cpools"][0][6] *= 1.0 + 1e-9
    assert main(["verify", str(dumped(content, tmp_path))]) == 1
    output = capsys.readouterr().out
    last = output.splitlines()[-1]
    assert last.startswith("FAILED: worst") and "case_078" in last and "passed" not in output


def test_a_perturbed_input_fails_also_where_matlab_rejects_the_matrix(content, tmp_path, capsys):
    content["cases"][2]["inputs"]["tsoi"][3][4] += 1e-4
    assert main(["verify", str(dumped(content, tmp_path))]) == 1
    assert "case_088" in capsys.readouterr().out.splitlines()[-1]


def test_a_compiled_model_that_gives_no_number_fails_also_where_there_is_no_reference(monkeypatch):
    cases = read_cases(FILE)
    without = int(np.flatnonzero(np.isnan(cases.pools).all(axis=(0, 1)))[0])

    def broken(theta, forcing, column):
        return np.full((10, theta.shape[1]), 1.0) * np.where(np.arange(theta.shape[1]) == without, np.nan, 1.0)

    monkeypatch.setattr("proda.run.verification.lanes.soc_density", broken)
    table = agreement(cases)
    assert not table["finite"].iloc[without] and table["finite"].drop(without).all()
    assert (table["compiled"].dropna() > 0.1).all() and (table["numpy"].dropna() < 1e-9).all()


def test_a_model_that_gives_no_number_never_passes(monkeypatch, content, tmp_path, capsys):
    monkeypatch.setattr(
        "proda.run.verification.lanes.soc_density", lambda theta, *_: np.full((20, theta.shape[1]), np.nan)
    )
    assert verify(dumped(content, tmp_path)) == 1
    output = capsys.readouterr().out
    assert "FAILED: worst inf" in output and "3 cases not finite or negative" in output


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda table: table.drop(columns="psi7"), r"1 columns are missing, the first is 'psi7'"),
        (lambda table: table.rename(columns=str.upper), r"columns are missing, the first is 'x1'"),
        (lambda table: table.iloc[:0], r"no rows; expected every input"),
        (lambda table: table.assign(T3=table["T3"].where(table["case"] != 4)), r"row 6 lacks a number"),
        (lambda table: table.assign(alt="deep"), r"row 2 lacks a number"),
        (lambda table: table.assign(S2_9=table["S2_9"].where(table["case"] != 7)), r"row 9 has some pools and lacks"),
        (lambda table: table.assign(L1_1=table["L1_1"].astype(object).where(table["case"] != 7, "?")), r"row 9 has"),
        (lambda table: table.assign(x3=table["x3"] + 1.0), r"cases\.csv: x of q10 is .* expected 0 to 1"),
        (lambda table: table.assign(T3=table["T3"] - 273.15), r"cases\.csv: forcing: soil_temperature .* column 0"),
        (lambda table: table.assign(x4=0.0), r"cases\.csv: theta: efolding is 0 m in column 0"),
        (lambda table: table.iloc[[1, 13]], r"no case has pools"),
    ],
    ids=["column", "case", "empty", "gap", "text", "gap in pools", "text in pools", "outside the box", "Celsius",
         "impossible", "no reference"],
)  # fmt: skip
def test_what_is_wrong_with_a_table_is_told(table, tmp_path, change, told):
    with pytest.raises(InputError, match=told):
        read_cases(written(change(table), tmp_path))


@pytest.mark.parametrize("share", [0.999, 0.97, 0.5])
def test_a_table_cut_short_is_told(tmp_path, share):
    content = FILE.read_text()
    whole = content[: content.rfind("\n", 0, int(share * len(content))) + 1]
    path = tmp_path / "cut.csv"
    path.write_text(content[: len(whole) + 900])
    with pytest.raises(InputError, match="Is the file cut short"):
        verify(path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99999])
def test_a_json_file_cut_short_is_told(tmp_path, share):
    path = tmp_path / "cut.json"
    path.write_text(JSON.read_text()[: int(share * JSON.stat().st_size)])
    with pytest.raises(InputError, match=r"cut\.json: not readable JSON \(.*Is the file cut short"):
        verify(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", r"found an array, expected a key 'cases'"),
        ("3", r"found a number, expected a key 'cases'"),
        ('{"type": "FeatureCollection", "features": []}', r"found the keys 'type', 'features', expected a key 'cases'"),
        ("{}", r"found no keys, expected a key 'cases'"),
        ('{"cases": []}', r"found an empty list of cases, expected at least one"),
        ('{"cases": {"a": 1}}', r"found the keys 'cases', expected .* with a list of cases"),
        ('{"cases": [1]}', r"case 1 of 1 is 1, expected a dictionary"),
        ('{"cases": [{}]}', r"case 1 of 1: no field 'id'"),
        ('{"cases": [{"id": 7}]}', r"case 1 of 1: id is 7, expected text"),
        ('{"cases": [{"id": "a"}]}', r"a: no field 'inputs\.tsoi'"),
        ('{"cases": [{"id": "a"}, {"id": "a"}]}', r"a is the name of two cases, the second is number 2"),
        ('{"cases": [{"id": "a", "inputs": [1, 2]}]}', r"a: no field 'inputs\.tsoi'"),
    ],
)
def test_a_json_file_that_is_something_else_is_told(tmp_path, text, told):
    path = tmp_path / "cases.json"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"cases\.json.*{told}"):
        verify(path)


def put(*keys, value):
    """A change of the second case: `value`, or what `value` makes of what stands at `keys`."""

    def change(content):
        at = content["cases"][1]
        for key in keys[:-1]:
            at = at[key]
        at[keys[-1]] = value(at[keys[-1]]) if callable(value) else value

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (put("exact", value=None), r"no field 'exact\.cpools'"),
        (put("octave", value={"cpools": []}), r"octave\.cpools holds 0 numbers, expected 20 x 7"),
        (put("inputs", "kp", value=lambda kp: kp[:-1]), r"inputs\.kp holds 20 numbers, expected 21"),
        (put("inputs", "kp", 2, value=1.5), r"x of q10 is 1\.5 in column 0, expected 0 to 1"),
        (put("inputs", "kp", 3, value=0.0), r"theta: efolding is 0 m"),
        (put("inputs", "tsoi", value=lambda tsoi: tsoi[:10]), r"inputs\.tsoi holds 10 x 12 numbers, expected 20 x 12"),
        (put("inputs", "tsoi", 4, value=[280.0]), r"inputs\.tsoi holds rows of unequal length.*expected 20 x 12"),
        (put("inputs", "tsoi", 3, 1, value=7.5), r"soil_temperature is 7\.5 K .*\(layer 4, month 2\).*Add 273\.15"),
        (put("inputs", "tsoi", 3, 1, value="warm"), r'inputs\.tsoi holds "warm", expected numbers'),
        (put("inputs", "tsoi", 3, 1, value=None), r"inputs\.tsoi holds null, expected numbers"),
        (put("inputs", "tsoi", 3, 1, value=float("nan")), r"inputs\.tsoi\[4, 2\] is nan, expected a finite number"),
        (put("inputs", "o_scalar", 0, 0, value=1e36), r"oxygen_scalar is 1e\+36 .*fill value"),
        (put("inputs", "altmax", value=3.0), r"inputs\.altmax holds a single number, expected 12"),
        (put("inputs", "input_cwd", 5, value=-1.0), r"carbon_input is -1 .*\(kind 1, month 6\)"),
        (put("inputs", "nbedrock", 5, value=3), r"inputs\.nbedrock holds 3, 20, expected a single whole number"),
        (put("inputs", "nbedrock", value=[12.5] * 12), r"inputs\.nbedrock holds 12\.5, expected a single whole"),
        (put("inputs", "nbedrock", value=[21] * 12), r"bedrock is 21 layers in column 0, expected 1 to 20"),
        (put("exact", "cpools", 0, 0, value=float("inf")), r"exact\.cpools\[1, 1\] is inf"),
        (put("exact", "cpools", 0, 0, value=True), r"exact\.cpools holds true, expected numbers"),
        (put("exact", "soc_stock", value=[1.0]), r"exact\.soc_stock holds 1 numbers, expected a single number"),
        (put("exact", "soc_stock", value=10**400), r"exact\.soc_stock holds .* too large numbers"),
        (put("octave", "V_per_day", value={}), r"octave\.V_per_day holds \{\}, expected numbers"),
        (put("obs", "depth_m", value=[]), r"obs\.depth_m holds 0 numbers, expected one or more"),
        (put("obs", "weight_exp", value=[1.0]), r"obs\.weight_exp holds 1 numbers, expected 9"),
        (put("obs", "depth_m", 0, value=-0.1), r"obs has depths -0\.1 to .* expected depths of 0 to 8\.6 m"),
        (put("obs", "soc_gC_m3", 0, value=0.0), r"obs has .* densities from 0 g C m-3; expected .* positive"),
        (put("matlab_would_reject", value="no"), r'matlab_would_reject is "no", expected true or false'),
        (put("climate", value=3), r"climate is 3, expected text"),
    ],
)
def test_what_is_wrong_with_a_case_is_told_with_file_case_and_field(content, tmp_path, change, told):
    change(content)
    with pytest.raises(InputError, match=rf"cases\.json: case_078: .*{told}"):
        read_cases(dumped(content, tmp_path))


def test_a_missing_file_another_suffix_and_a_file_that_is_no_table_are_told(tmp_path, capsys):
    assert main(["verify", str(tmp_path / "none.csv")]) == 2
    assert "none.csv does not exist" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"no file of reference cases at .*none\.csv"):
        read_cases(tmp_path / "none.csv")
    (tmp_path / "cases.txt").write_text("{}")
    assert main(["verify", str(tmp_path / "cases.txt")]) == 2
    assert "its name ends in '.txt', expected .csv" in capsys.readouterr().err
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "binary.csv").write_bytes(bytes(range(128, 256)) * 10)
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n1,2,3\n")
    for name in ("empty", "binary", "ragged"):
        with pytest.raises(InputError, match=rf"{name}\.csv: not a readable CSV table"):
            read_cases(tmp_path / f"{name}.csv")
    (tmp_path / "binary.json").write_bytes(bytes(range(128, 256)) * 10)
    with pytest.raises(InputError, match=r"binary\.json: not readable JSON"):
        read_cases(tmp_path / "binary.json")
