"""A raw table is refused with its first fault, a source is summarised as it is, and files keep units and attributes."""

import numpy as np
import pandas as pd
import pytest

from proda.data import tables
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
        tables.checked(table(**columns), CHECKS, "layers.csv", tables.csv_line)
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
    read = tables.read_profiles(tmp_path / "profiles.parquet")
    assert read.crs.to_epsg() == 4326 and read.attrs["proda_study"] == "virtual-tiny"
    np.testing.assert_array_equal(read.geometry.x, PROFILES["lon"])
    assert read["profile_id"].tolist() == ["a", "b"] and read["land_use"].isna().tolist() == [False, True]
    assert read.attrs["units"]["lat"] == "degrees_north"


def test_a_missing_file_names_the_notebook_that_writes_it(tmp_path):
    with pytest.raises(InputError, match=r"profiles\.parquet: no such file. Run notebook 01-data-cleaning"):
        tables.read_profiles(tmp_path / "profiles.parquet")
    with pytest.raises(InputError, match="Run notebook 04-site-by-site-assimilation"):
        tables.read_site_status(tmp_path / "site_status.csv")


def test_identifiers_of_sites_stay_text(tmp_path):
    (tmp_path / "site_status.csv").write_text("profile_id,site,used_downstream\n0012,0,True\n")
    read = tables.read_site_status(tmp_path / "site_status.csv")
    assert read["profile_id"].tolist() == ["0012"] and read["used_downstream"].dtype == bool
