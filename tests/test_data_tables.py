"""A raw table is refused with its first fault, a source is summarised as it is, and files keep units and attributes."""

import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proda.data import tables
from proda.data.files import read_profiles
from proda.data.tables import read_delimited
from proda.errors import InputError

CHECKS = {
    "profile_id": [tables.no_gaps, tables.no_repeats],
    "soc": [
        tables.row_check(lambda x: x > 0, "above 0 g m-3", "Leave it out."),
        tables.median_check(200, 2e5, "g m-3", "In kg m-3? Multiply by 1,000."),
    ],
    "absent": [tables.no_gaps],
}


def table(**columns) -> pd.DataFrame:
    return pd.DataFrame({"profile_id": ["a", "b", "c"], "soc": [1e4, 2e4, 3e4]} | columns)


def test_a_valid_table_comes_back_as_it_is():
    for good in (table(), table(soc=[1e4, 2e4, np.nan]), table(soc=np.nan)):
        assert tables.checked(good, CHECKS, "layers.csv") is good


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"profile_id": [], "soc": []}, "layers.csv: the table is empty"),
        ({"profile_id": ["a", None, "c"]}, "layers.csv, line 3: profile_id is missing, expected one in every row"),
        ({"profile_id": ["a", "b", "a"]}, "layers.csv, line 4: profile_id 'a' occurs a second time, expected once."),
        (
            {"soc": [10.0, 20.0, 900.0]},
            "layers.csv: the median of soc is 20, expected 200 to 200000 g m-3. In kg m-3? Multiply by 1,000.",
        ),
        (
            {"soc": [1e4, -2.5, 0.0]},
            "layers.csv, line 3: soc is -2.5, expected above 0 g m-3 (2 rows in all). Leave it out.",
        ),
    ],
)
def test_a_fault_is_named_with_file_row_value_expectation_and_remedy(columns, message):
    with pytest.raises(InputError) as caught:
        tables.checked(table(**columns).rename(lambda row: row + 2), CHECKS, "layers.csv", "line")
    assert str(caught.value).startswith(message)


def test_a_finding_counts_missing_values_and_gives_the_range_of_the_others():
    row = tables.findings_table([tables.finding("a run", "TSOI", "K", [280.0, np.nan, 290.0, 300.0])]).iloc[0]
    assert row[["values", "missing", "least", "middle", "greatest"]].tolist() == [4, 1, 280.0, 290.0, 300.0]
    assert np.isnan(tables.finding("a run", "TSOI", "K", [np.nan]).least)


@pytest.mark.parametrize(
    ("unit", "expected", "result"),
    [
        ("gC/m^2/s", ("g C m-2 s-1",), "g C m-2 s-1"),
        ("Kelvin", ("K",), "K"),
        (None, ("1",), "1"),
        ("gC/m3/month", ("g C m-3 s-1", "g C m-3 month-1"), "g C m-3 month-1"),
    ],
)
def test_spellings_of_a_unit_are_known(unit, expected, result):
    assert tables.checked_unit(unit, expected, "run.nc: X") == result


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        ("degC", "run.nc: TSOI is in 'degC', expected 'K'. Temperatures in degrees Celsius. Add 273.15, and set the"),
        (None, "run.nc: TSOI has no attribute 'units', expected 'K'"),
    ],
)
def test_another_unit_is_refused_and_never_converted(unit, message):
    with pytest.raises(InputError, match=message):
        tables.checked_unit(unit, ("K",), "run.nc: TSOI")


PROFILES = pd.DataFrame(
    {
        "profile_id": ["a", "b"],
        "lon": [-100.0, -90.0],
        "lat": [40.0, 35.0],
        "source": "S",
        "land_use": ["crop", None],
        "state": None,
        "year": [2000.0, np.nan],
        "cell": [1, 0],
        "land_cover": [12, 4],
        "n_layers": 2,
        "max_depth": 0.5,
    }
)


def test_profiles_are_read_as_points_with_units_and_the_attributes_of_the_file(tmp_path):
    tables.write_profiles(PROFILES, tmp_path / "profiles.parquet", {"proda_study": "virtual-tiny"})
    read = read_profiles(tmp_path / "profiles.parquet")
    assert read.crs.to_epsg() == 4326 and read.attrs["proda_study"] == "virtual-tiny"
    np.testing.assert_array_equal(read.geometry.x, PROFILES["lon"])
    assert read["profile_id"].tolist() == ["a", "b"] and read["land_use"].isna().tolist() == [False, True]
    assert read.attrs["units"]["lat"] == "degrees_north"


TEXT = "profile_id,carbon,source\n007,1.5,NA\n7,,a\n"


def read_text(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_delimited(path, ("carbon",), ("profile_id", "source"))


def test_identifiers_keep_their_zeros_and_empty_fields_are_missing(tmp_path):
    table = read_text(tmp_path, TEXT)
    assert table["profile_id"].tolist() == ["007", "7"]
    assert table["source"].isna().tolist() == [True, False] and table["carbon"].isna().tolist() == [False, True]
    assert read_text(tmp_path, TEXT.replace(",a", ", a\t").replace(",NA", ",  n/a ")).equals(table)


FIELD = st.text("ab\" ';é", max_size=5)


@given(
    rows=st.lists(st.tuples(FIELD, st.sampled_from(["1.5", "", '"2"', '3"']), FIELD), max_size=12),
    end=st.sampled_from(["\n", "\r\n", "\r", "\r\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"]),
    name=st.sampled_from(["t.csv", "t.tsv"]),
    last=st.booleans(),
)
@example([("a", "1", '"x'), ("b", "2", "y"), ("c", "3", 'z"')], "\n", "utf-8", "t.csv", True)
@example([("a", "1", 'x"'), ("b", "2", '"y')], "\r", "utf-8", "t.csv", False)
@settings(max_examples=300)
def test_every_line_is_a_row_or_an_error_names_it(tmp_path_factory, rows, end, encoding, name, last):
    separator = "," if name == "t.csv" else "\t"
    rows = [(f"p{i}{a}", b, c) for i, (a, b, c) in enumerate(rows)]
    lines = [separator.join(row) for row in (("profile_id", "carbon", "source"), *rows)]
    content = (end.join(lines) + (end if last else "")).encode(encoding)
    try:
        table = read_text(tmp_path_factory.mktemp("t"), content, name)
    except InputError as error:
        assert f"{name}, line " in str(error) and (encoding != "utf-8" or '"' in "".join(lines))
    else:
        step = 2 if end == "\r\r\n" else 1
        assert table.index.tolist() == [1 + step * (i + 1) for i in range(len(rows))]
        assert all(x.startswith(f"p{i}") for i, x in enumerate(table["profile_id"]))
    if name == "t.tsv" and encoding.startswith("utf-8") and not any('"' in row[1] for row in rows):
        assert len(table) == len(rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT.replace("7,,a", "7,"), ", line 3: 'Expected 3 columns, got 2.*cut short"),
        (TEXT.replace("\n7,,a", "\n\n7,"), ", line 4: 'Expected 3 columns, got 2.*cut short"),
        (TEXT.replace("1.5", "1,5"), ", line 2: 'Expected 3 columns, got 4.*decimal comma"),
        (TEXT.replace("007,1.5,NA", '007,1.5,"NA') + '8,2,"b\n', ", line 2: a field goes on in line 4.*not closed"),
        (TEXT.replace("1.5", '"1,5"'), ", line 2: carbon is '1,5', expected a number .*A decimal comma"),
        (TEXT.replace(",", ";"), ": no column profile_id, source, carbon; it has profile_id;carbon;source, .* commas"),
        (TEXT.replace("source", "carbon"), ": two columns carbon"),
        ("", ": no column .* it has none"),
        (TEXT.encode("utf-16"), ", line 1: the text is not UTF-8 but UTF-16. Save the file as UTF-8"),
        (TEXT.replace(",a", ",é").encode("latin-1"), r", line 3: .* but b'\\xe9', perhaps Windows-1252 or Latin-1"),
    ],
)  # fmt: skip
def test_what_is_not_the_table_that_its_header_announces_is_named_with_its_line(tmp_path, text, message):
    with pytest.raises(InputError, match=rf"t\.csv{message}"):
        read_text(tmp_path, text)


def test_damage_in_a_zip_is_named(tmp_path):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/t.csv", TEXT * 50)
    content = bytearray(path.read_bytes())
    content[60:80] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"all\.zip/folder/t\.csv: .*Download it again"):
        read_delimited(zipfile.Path(path, "folder/t.csv"), ("carbon",))
