"""A table that is not what its schema says is refused in the words of the package, with the first row at fault."""

import numpy as np
import pandas as pd
import pytest

from proda.data.readers.tidy import csv_table
from proda.data.tables import checked, csv_line, median_check, row_check, row_with, table_schema, whole_check
from proda.errors import InputError

SCHEMA = table_schema(
    {"profile_id": "identifier", "soc": "carbon", "layer": "number", "used": "whether it is used"},
    {
        "profile_id": {"unique": True, "nullable": False, "remedy": "Give every profile its own."},
        "soc": {
            "dtype": float,
            "checks": [
                row_check(lambda x: x > 0, "above 0 g m-3", "Leave it out."),
                median_check(200, np.inf, "g m-3", "In kg m-3? Multiply by 1,000."),
            ],
        },
        "layer": {"checks": whole_check(0)},
        "used": {"dtype": bool},
    },
    columns_remedy="Add the column.",
    empty_remedy="See exclusions.csv.",
)


def table(**columns) -> pd.DataFrame:
    good = {"profile_id": ["a", "b", "c"], "soc": [1e4, 2e4, 3e4], "layer": [0, 1, 2], "used": [True, False, True]}
    return pd.DataFrame({name: value for name, value in {**good, **columns}.items() if value is not None})


def told(place=None, **columns) -> str:
    with pytest.raises(InputError) as caught:
        checked(table(**columns), SCHEMA, "layers.csv", place)
    return str(caught.value)


def test_a_good_table_comes_back_in_the_types_of_the_schema():
    result = checked(table(soc=["1e4", "2e4", None]), SCHEMA, "layers.csv")
    assert result["soc"].dtype == float and np.isnan(result["soc"].iloc[2])
    assert checked(table().set_index(pd.Index([7, 8, 9])), SCHEMA, "layers.csv").index.tolist() == [7, 8, 9]


def test_columns_that_nobody_asks_for_are_left_alone():
    assert checked(table(note=["x", "y", None]), SCHEMA, "layers.csv")["note"].iloc[0] == "x"


def test_a_missing_column_is_told_with_those_there_are_and_what_to_do():
    assert told(soc=None) == "layers.csv: no column soc; it has profile_id, layer, used. Add the column."


def test_a_table_without_rows_is_told():
    assert "the table is empty" in told(profile_id=[], soc=[], layer=[], used=[])


@pytest.mark.parametrize(
    ("value", "guess"), [("1,5", "A decimal comma? Write a point."), ("{27.5}", "value_avg"), ("trace", "")]
)
def test_a_text_among_numbers_is_told_with_what_it_probably_is(value, guess):
    message = told(csv_line, soc=["1e4", value, "3e4"])
    assert f"layers.csv, line 3: soc is {value!r}, expected a number or an empty field." in message
    assert guess in message


def test_every_text_is_true_to_python_but_not_to_a_schema():
    assert "row 0: used is 'yes', expected True or False" in told(used=["yes", "no", "no"])


def test_a_value_out_of_bounds_is_told_with_its_row_and_how_many_there_are():
    message = told(row_with(table(), ["profile_id", "layer"]), soc=[1e4, -2.5, 0.0])
    assert message == (
        "layers.csv, row 1 (profile b, layer 1): soc is -2.5, expected above 0 g m-3 (2 rows in all). Leave it out."
    )


def test_a_gap_where_none_may_be_is_told():
    assert "row 1: profile_id is missing, expected one in every row" in told(profile_id=["a", None, "c"])


def test_of_values_that_repeat_the_second_is_told():
    assert (
        told(profile_id=["a", "b", "a"])
        == "layers.csv, row 2: profile_id 'a' occurs a second time, expected once. Give every profile its own."
    )


def test_another_unit_shows_in_the_median_though_every_value_is_possible():
    assert told(soc=[10.0, 20.0, 900.0]) == (
        "layers.csv: the median of soc is 20, expected at least 200 g m-3. In kg m-3? Multiply by 1,000."
    )


def test_values_that_are_all_missing_are_in_no_unit():
    assert checked(table(soc=[np.nan] * 3), SCHEMA, "layers.csv")["soc"].isna().all()


@pytest.mark.parametrize("layer", [[0, 1.5, 2], [0, -1, 2]])
def test_a_number_that_should_be_a_whole_one_is_not_rounded(layer):
    assert "row 1: layer is" in told(layer=layer) and "expected a whole number, 0 or above" in told(layer=layer)


def test_the_wrong_kind_of_value_is_told_before_a_wrong_value():
    assert "soc is 'x'" in told(soc=["x", "1", "-1"], profile_id=["a", "a", "a"])


def test_a_semicolon_separated_file_is_told_by_the_columns_it_has(tmp_path):
    path = tmp_path / "profiles.csv"
    path.write_text("profile_id;lon;lat\na;-100,5;40,25\n")
    with pytest.raises(InputError, match="no column profile_id, lon, lat; it has profile_id;lon;lat"):
        csv_table(path, ("profile_id", "lon", "lat"), ("lon", "lat"))


def test_a_decimal_comma_in_a_file_is_told_with_its_line(tmp_path):
    path = tmp_path / "profiles.csv"
    path.write_text('profile_id,lon,lat\na,-100.5,40.25\nb,"-100,5","40,25"\n')
    with pytest.raises(InputError, match=r"profiles\.csv, line 3: lon is '-100,5'.*decimal comma"):
        csv_table(path, ("profile_id", "lon", "lat"), ("lon", "lat"))
