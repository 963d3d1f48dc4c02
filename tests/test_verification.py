"""`python -m proda verify`: it passes, it can fail, and it says what is wrong with a file."""

import numpy as np
import pandas as pd
import pytest
from conftest import CASES

from proda.__main__ import main
from proda.batch.verification import agreement, read_cases, verify
from proda.errors import InputError

FILE = CASES / "paper_cases.csv"


@pytest.fixture
def table():
    return pd.read_csv(FILE)


def written(table, tmp_path):
    path = tmp_path / "cases.csv"
    table.to_csv(path, index=False)
    return path


def test_the_reference_cases_pass_with_a_line_each(capsys):
    assert main(["verify", str(FILE)]) == 0
    output = capsys.readouterr().out
    assert "tolerance 1e-09 (paper_cases.csv)" in output and "passed: worst" in output
    assert "over 24 cases, 2 of them without a reference" in output
    assert output.count("singular") == 2 * 4 and output.count("True") == 24


def test_a_perturbed_file_fails(table, tmp_path, capsys):
    table.loc[5, "S3_2"] *= 1.0 + 1e-8
    assert main(["verify", str(written(table, tmp_path))]) == 1
    output = capsys.readouterr().out
    assert "FAILED" in output and "passed" not in output


def test_a_compiled_model_that_gives_no_number_fails_also_where_there_is_no_reference(monkeypatch):
    cases = read_cases(FILE)
    without = int(np.flatnonzero(np.isnan(cases.pools).all(axis=(0, 1)))[0])

    def broken(theta, forcing, column):
        return np.full((10, theta.shape[1]), 1.0) * np.where(np.arange(theta.shape[1]) == without, np.nan, 1.0)

    monkeypatch.setattr("proda.batch.verification.lanes.soc_density", broken)
    table = agreement(cases)
    assert not table["finite"].iloc[without] and table["finite"].drop(without).all()
    assert (table["compiled"].dropna() > 0.1).all() and (table["numpy"].dropna() < 1e-9).all()


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
        (lambda table: table.assign(x3=table["x3"] + 1.0), r"x of q10 is .* expected 0 to 1"),
    ],
    ids=["column", "case", "empty", "gap", "text", "gap in pools", "text in pools", "outside the box"],
)
def test_what_is_wrong_with_a_table_is_told(table, tmp_path, change, told):
    with pytest.raises(InputError, match=told):
        read_cases(written(change(table), tmp_path))


@pytest.mark.parametrize("share", [0.999, 0.97, 0.5])
def test_a_file_cut_short_is_told(tmp_path, share):
    content = FILE.read_text()
    whole = content[: content.rfind("\n", 0, int(share * len(content))) + 1]
    path = tmp_path / "cut.csv"
    path.write_text(content[: len(whole) + 900])
    with pytest.raises(InputError, match="Is the file cut short"):
        verify(path)


def test_a_missing_file_a_json_file_and_a_file_that_is_no_table_are_told(tmp_path, capsys):
    assert main(["verify", str(tmp_path / "none.csv")]) == 2
    assert "none.csv does not exist" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"no file of reference cases at .*none\.csv"):
        read_cases(tmp_path / "none.csv")
    (tmp_path / "cesm2.json").write_text("{}")
    assert main(["verify", str(tmp_path / "cesm2.json")]) == 2
    assert "`cesm2` configuration (.json) is not in this version" in capsys.readouterr().err
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "binary.csv").write_bytes(bytes(range(128, 256)) * 10)
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n1,2,3\n")
    for name in ("empty", "binary", "ragged"):
        with pytest.raises(InputError, match=rf"{name}\.csv: not a readable CSV table"):
            read_cases(tmp_path / f"{name}.csv")
