"""Tables survive being written and read; one that is not as its schema says is refused with its first fault."""

import numpy as np
import pandas as pd
import pytest

from proda.data.tables import (
    checked,
    csv_line,
    median_check,
    read_layers,
    read_profiles,
    read_site_status,
    row_check,
    row_with,
    table_schema,
    whole_check,
    write_layers,
    write_profiles,
    write_site_status,
)
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
)


def table(**columns) -> pd.DataFrame:
    good = {"profile_id": ["a", "b", "c"], "soc": [1e4, 2e4, 3e4], "layer": [0, 1, 2], "used": [True, False, True]}
    return pd.DataFrame({name: value for name, value in {**good, **columns}.items() if value is not None})


def test_a_valid_table_comes_back_in_the_types_of_the_schema():
    result = checked(table(soc=["1e4", "2e4", None], note="x"), SCHEMA, "layers.csv")
    assert result["soc"].dtype == float and np.isnan(result["soc"].iloc[2]) and (result["note"] == "x").all()
    assert checked(table().set_index(pd.Index([7, 8, 9])), SCHEMA, "layers.csv").index.tolist() == [7, 8, 9]
    assert checked(table(soc=[np.nan] * 3), SCHEMA, "layers.csv")["soc"].isna().all()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"soc": None}, "layers.csv: no column soc; it has profile_id, layer, used. Add the column."),
        ({"profile_id": [], "soc": [], "layer": [], "used": []}, "layers.csv: the table is empty"),
        (
            {"soc": ["1e4", "1,5", "3e4"]},
            "layers.csv, line 3: soc is '1,5', expected a number or an empty field. A decimal comma? Write a point.",
        ),
        ({"soc": ["1e4", "{27.5}", "3e4"]}, "value_avg"),
        ({"used": ["yes", "no", "no"]}, "line 2: used is 'yes', expected True or False"),
        ({"profile_id": ["a", None, "c"]}, "line 3: profile_id is missing, expected one in every row"),
        (
            {"profile_id": ["a", "b", "a"]},
            "line 4: profile_id 'a' occurs a second time, expected once. Give every profile its own.",
        ),
        (
            {"soc": [10.0, 20.0, 900.0]},
            "layers.csv: the median of soc is 20, expected at least 200 g m-3. In kg m-3? Multiply by 1,000.",
        ),
        ({"layer": [0, 1.5, 2]}, "line 3: layer is 1.5, expected a whole number, 0 or above"),
        ({"soc": ["x", "1", "-1"], "profile_id": ["a", "a", "a"]}, "soc is 'x'"),
    ],
)
def test_a_fault_is_named_with_file_row_value_expectation_and_remedy(columns, message):
    with pytest.raises(InputError) as caught:
        checked(table(**columns), SCHEMA, "layers.csv", csv_line)
    assert message in str(caught.value)


def test_a_value_out_of_bounds_is_named_with_its_profile_and_how_many_there_are():
    with pytest.raises(InputError) as caught:
        checked(table(soc=[1e4, -2.5, 0.0]), SCHEMA, "layers.csv", row_with(table(), ["profile_id", "layer"]))
    assert str(caught.value) == (
        "layers.csv, row 1 (profile b, layer 1): soc is -2.5, expected above 0 g m-3 (2 rows in all). Leave it out."
    )


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
LAYERS = pd.DataFrame(
    {
        "profile_id": ["a", "a", "b", "b"],
        "site": [0, 0, 1, 1],
        "layer": [0, 1, 0, 1],
        "upper_depth": [0, 0.1] * 2,
        "lower_depth": [0.1, 0.5] * 2,
        "depth": [0.05, 0.3] * 2,
        "soc": [20e3, 10e3, 30e3, 12e3],
        "kind": "mineral",
        "density_relative_sd": [0.0, 0.13, 0.0, 0.0],
    }
)


@pytest.fixture
def layers_file(tmp_path):
    def written(layers=LAYERS, **attributes):
        write_layers(layers, tmp_path / "layers.parquet", attributes)
        return tmp_path / "layers.parquet"

    return written


def test_profiles_are_points_in_wgs84_with_units(tmp_path):
    write_profiles(PROFILES, tmp_path / "profiles.parquet", {"proda_study": "virtual-tiny"})
    read = read_profiles(tmp_path / "profiles.parquet")
    assert read.crs.to_epsg() == 4326 and read.attrs["proda_study"] == "virtual-tiny"
    np.testing.assert_array_equal(read.geometry.x, PROFILES["lon"])
    assert read["profile_id"].tolist() == ["a", "b"] and read["land_use"].isna().tolist() == [False, True]
    assert read.attrs["units"]["lat"] == "degrees_north"


def test_an_identifier_that_occurs_twice_is_named(tmp_path):
    write_profiles(PROFILES.assign(profile_id="a"), tmp_path / "profiles.parquet")
    with pytest.raises(InputError, match="row 1: profile_id 'a' occurs a second time"):
        read_profiles(tmp_path / "profiles.parquet")


def test_layers_are_read_as_they_were_written(layers_file):
    read = read_layers(layers_file())
    pd.testing.assert_frame_equal(read, LAYERS)
    assert read.attrs["units"]["soc"] == "g m-3"


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (LAYERS.assign(soc=LAYERS["soc"] / 1000), "median of soc is 16.*Multiply by 1,000"),
        (LAYERS.assign(soc=[20e3, 10e3, 0.0, 12e3]), r"row 2 \(profile b, layer 0\): soc is 0, expected a positive"),
        (LAYERS.assign(kind=["mineral", "peat", "organic", "litter"]), "kind is 'peat', expected one of: mineral"),
        (LAYERS.assign(density_relative_sd=[0, 0.1, np.nan, 0]), "layer 0.: density_relative_sd is missing"),
        (LAYERS.iloc[[1, 0, 2, 3]], r"row 1 \(profile a, layer 0\): out of order"),
        (LAYERS.iloc[:0], "layers.parquet: the table is empty"),
        (LAYERS.drop(columns="depth"), "layers.parquet: no column depth"),
    ],
)
def test_layers_that_cleaning_does_not_write_are_refused(layers_file, layers, message):
    with pytest.raises(InputError, match=message):
        read_layers(layers_file(layers))


def test_a_missing_file_names_the_notebook_that_writes_it(tmp_path):
    with pytest.raises(InputError, match=r"profiles\.parquet: no such file. Run notebook 01-data-cleaning"):
        read_profiles(tmp_path / "profiles.parquet")
    with pytest.raises(InputError, match="Run notebook 04-site-by-site-assimilation"):
        read_site_status(tmp_path / "site_status.csv")


STATUS = pd.DataFrame(
    {
        "profile_id": ["0012", "b"],
        "site": [0, 1],
        "status": ["converged", "no finite posterior"],
        "rhat_max": [1.02, np.inf],
        "used_downstream": [True, False],
    }
)


def test_the_status_of_sites_is_read_as_it_was_written(tmp_path):
    write_site_status(STATUS, tmp_path / "site_status.csv")
    read = read_site_status(tmp_path / "site_status.csv")
    assert read["profile_id"].tolist() == ["0012", "b"] and read["used_downstream"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": ["fine", "converged"]}, "row 0: status is 'fine', expected one of: converged"),
        ({"profile_id": ["a", "a"]}, "row 1: profile_id 'a' occurs a second time"),
        ({"site": [0, 0.5]}, "row 1: site is 0.5, expected a whole number, 0 or above"),
    ],
)
def test_an_impossible_status_is_not_written(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        write_site_status(STATUS.assign(**change), tmp_path / "site_status.csv")
    assert not (tmp_path / "site_status.csv").exists()


def test_a_status_edited_by_hand_is_named_with_its_line(tmp_path):
    STATUS.assign(used_downstream=["True", "yes"]).to_csv(tmp_path / "site_status.csv", index=False)
    with pytest.raises(InputError, match=r"site_status\.csv, line 2: used_downstream is 'True', expected True or"):
        read_site_status(tmp_path / "site_status.csv")
