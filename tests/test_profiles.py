"""Cleaned tables survive being written and read, and a table that is not one is refused."""

import numpy as np
import pandas as pd
import pytest

from proda.data.tables import read_layers, read_profiles, write_profiles
from proda.errors import InputError

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


def written(layers: pd.DataFrame, tmp_path):
    layers.to_parquet(tmp_path / "layers.parquet")
    return tmp_path / "layers.parquet"


def test_profiles_are_points_in_wgs84(tmp_path):
    write_profiles(PROFILES, tmp_path / "profiles.parquet")
    read = read_profiles(tmp_path / "profiles.parquet")
    assert read.crs.to_epsg() == 4326
    np.testing.assert_array_equal(read.geometry.x, PROFILES["lon"])
    assert read["profile_id"].tolist() == ["a", "b"]
    assert read["land_use"].isna().tolist() == [False, True]


def test_an_identifier_that_occurs_twice_is_named(tmp_path):
    write_profiles(PROFILES.assign(profile_id="a"), tmp_path / "profiles.parquet")
    with pytest.raises(InputError, match="row 1: profile_id 'a' occurs a second time"):
        read_profiles(tmp_path / "profiles.parquet")


def test_layers_are_read_as_they_were_written(tmp_path):
    pd.testing.assert_frame_equal(read_layers(written(LAYERS, tmp_path)), LAYERS)


def test_carbon_in_kilograms_is_found(tmp_path):
    with pytest.raises(InputError, match="median of soc is 16.*Multiply by 1,000"):
        read_layers(written(LAYERS.assign(soc=LAYERS["soc"] / 1000), tmp_path))


def test_carbon_that_is_not_positive_is_named_with_its_layer(tmp_path):
    with pytest.raises(InputError, match=r"row 2 \(profile b, layer 0\): soc is 0, expected a positive"):
        read_layers(written(LAYERS.assign(soc=[20e3, 10e3, 0.0, 12e3]), tmp_path))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": ["mineral", "peat", "organic", "litter"]}, "layer 1.: kind is 'peat', expected one of: mineral"),
        ({"density_relative_sd": [0, 0.1, np.nan, 0]}, "layer 0.: density_relative_sd is missing"),
        ({"density_relative_sd": [0, 0.1, -0.2, 0]}, "layer 0.: density_relative_sd is -0.2, expected 0 or above"),
    ],
)
def test_a_kind_or_an_error_of_the_density_that_cleaning_does_not_write_is_told(tmp_path, change, told):
    with pytest.raises(InputError, match=told):
        read_layers(written(LAYERS.assign(**change), tmp_path))


def test_rows_out_of_order_are_found(tmp_path):
    with pytest.raises(InputError, match=r"row 1 \(profile a, layer 0\): out of order"):
        read_layers(written(LAYERS.iloc[[1, 0, 2, 3]], tmp_path))


def test_an_empty_table_is_named(tmp_path):
    with pytest.raises(InputError, match="layers.parquet: the table is empty"):
        read_layers(written(LAYERS.iloc[:0], tmp_path))


def test_a_missing_column_is_named_with_its_file(tmp_path):
    with pytest.raises(InputError, match="layers.parquet: no column depth"):
        read_layers(written(LAYERS.drop(columns="depth"), tmp_path))
