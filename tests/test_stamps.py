"""A file says which version wrote it and for which study, and what is of another is not taken for one's own."""

import json
import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from test_profiles import LAYERS, PROFILES
from test_tidy_tables import grid_rows

from proda import __version__
from proda import stage as stages
from proda.data.cleaned import STAMPED, read_cleaned_study
from proda.data.covariates import read_covariates
from proda.data.forcing import read_forcing
from proda.data.grid import read_grid
from proda.data.stage import cleaned_study
from proda.data.tables import (
    LAYOUT,
    Stamp,
    VersionWarning,
    check_study,
    file_stamp,
    read_layers,
    read_profiles,
    study_stamp,
    write_layers,
    write_profiles,
)
from proda.errors import InputError, MissingOutput
from proda.study import Study

NOW = Stamp(__version__, LAYOUT, "made-tiny", "0123456789ab")


@pytest.fixture
def study(tmp_path):
    """A study of thirty profiles whose stage 1 is done, in folders with spaces and letters of other languages."""

    def done(name: str = "étude 1", **settings) -> Study:
        raw = tmp_path / "données brutes 土壤"
        raw.mkdir(exist_ok=True)
        ids = np.repeat([f"p{i:02d}" for i in range(30)], 2)
        pd.DataFrame({"profile_id": ids[::2], "lon": -100.2, "lat": 40.2, "source": "Böden"}).to_csv(
            raw / "profiles.csv", index=False
        )
        layers = pd.DataFrame({"profile_id": ids, "layer": [1, 2] * 30, "upper_depth_m": [0, 0.3] * 30})
        carbon = np.random.default_rng(1).uniform(5, 30, 60)
        layers.assign(lower_depth_m=[0.3, 1.0] * 30, soc_kg_m3=carbon).to_csv(raw / "layers.csv", index=False)
        grid_rows().to_csv(raw / "grid_half_degree.csv", index=False)
        opened = Study.open("us-profiles", data=raw, out=tmp_path / name, settings=settings)
        cleaned_study(opened)
        return opened

    return done


def rewritten(path, **changes):
    """The Parquet or NetCDF file `path` with other attributes."""
    named = {f"proda_{name}": value for name, value in changes.items()}
    if path.suffix == ".nc":
        data = xr.load_dataset(path).assign_attrs(named)
        data.to_netcdf(path)
    else:
        table = pd.read_parquet(path)
        table.attrs |= named
        table.to_parquet(path, index=False)
    return path


def test_a_file_tells_version_layout_study_and_units(tmp_path):
    write_layers(LAYERS, tmp_path / "layers.parquet", NOW)
    write_profiles(PROFILES, tmp_path / "profiles.parquet", NOW)
    assert file_stamp(tmp_path / "layers.parquet") == file_stamp(tmp_path / "profiles.parquet") == NOW
    assert read_layers(tmp_path / "layers.parquet").attrs["units"]["soc"] == "g m-3"
    assert read_profiles(tmp_path / "profiles.parquet").attrs["units"]["lat"] == "degrees_north"


def test_files_of_this_version_are_read_without_a_word(study):
    opened = study()
    with warnings.catch_warnings():
        warnings.simplefilter("error", VersionWarning)
        read_cleaned_study(opened)


def test_every_file_of_the_stage_is_stamped_with_the_study(study):
    opened = study()
    assert {file_stamp(opened.path(name)) for name in STAMPED} == {study_stamp(opened)}
    with xr.open_dataset(opened.path("forcing.nc")) as forcing:
        assert forcing.attrs["history"] == f"written by proda {__version__} for the study us-profiles-demo"


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("profiles.parquet", None),
        ("layers.parquet", read_layers),
        ("covariates.parquet", read_covariates),
        ("forcing.nc", read_forcing),
        ("grid.nc", read_grid),
    ],
)
def test_a_file_of_another_version_is_read_and_told_one_of_a_newer_layout_is_not(study, name, read):
    path = study().path(name)
    if read is None:  # geopandas, for pandas would lose the geometry
        write_profiles(read_profiles(path), path, NOW._replace(version="0.0.9"))
        read = read_profiles
    else:
        rewritten(path, version="0.0.9")
    with pytest.warns(VersionWarning, match=rf"{name}: it was written by proda 0\.0\.9.*this is proda {__version__}"):
        read(path)
    if name == "profiles.parquet":
        write_profiles(read_profiles(path), path, NOW._replace(version="9.0", layout=LAYOUT + 1))
    else:
        rewritten(path, version="9.0", layout=LAYOUT + 1)
    with pytest.raises(InputError, match=rf"{name}: written by proda 9\.0 in layout {LAYOUT + 1}.*Update the package"):
        read(path)


def test_a_file_without_a_version_is_read_and_told(tmp_path):
    LAYERS.to_parquet(tmp_path / "layers.parquet")
    with pytest.warns(VersionWarning, match="carries no version: it was written by an early proda, or by other"):
        read_layers(tmp_path / "layers.parquet")


def test_what_an_old_file_lacks_is_told_with_its_age(tmp_path):
    write_layers(LAYERS.drop(columns="depth"), tmp_path / "layers.parquet", NOW._replace(version="0.0.1", layout=1))
    with pytest.raises(InputError, match=r"no column depth.*Mind that it was written by proda 0\.0\.1 in layout 1"):
        read_layers(tmp_path / "layers.parquet")


def test_forcing_of_the_first_layout_has_its_carbon_in_the_unit(study):
    path = study().path("forcing.nc")
    data = xr.load_dataset(path)
    for name in ("npp_mean", "npp_min", "npp_max"):
        data[name].attrs["units"] = "g C m-2 yr-1"
    data.attrs = {}
    data.to_netcdf(path)
    with pytest.warns(VersionWarning, match="carries no version"):
        assert (read_forcing(path).npp_mean == 400.0).all()


@pytest.mark.parametrize("name", STAMPED)
def test_a_file_of_another_study_is_noticed_though_it_is_as_large(study, tmp_path, name):
    one, other = study("one"), study("other", npp_max_multiple=1.4)
    content = other.path(name).read_bytes()
    shutil.copy(other.path(name), one.path(name))
    with pytest.raises(InputError, match=rf"{name} belongs to another study: it was written for us-profiles"):
        check_study([one.path(name)], one)
    marker = stages.marker_path(one.out, "01-data-cleaning")
    recorded = json.loads(marker.read_text())
    recorded["files"][name]["bytes"] = len(content)  # as if the two were of one size
    stages.write_json(marker, recorded)
    with pytest.raises(MissingOutput, match=rf"its file {name} has other content .* is it of another study\?"):
        read_cleaned_study(one)


def test_a_file_of_another_study_is_told_with_both_names(study, tmp_path):
    opened = study()
    write_layers(LAYERS, tmp_path / "layers.parquet", NOW)
    with pytest.raises(InputError, match="was written for made-tiny.*this is us-profiles-demo.*--from 1"):
        check_study([tmp_path / "layers.parquet"], opened)


def test_the_stamp_follows_seed_settings_and_data_and_nothing_else(study):
    opened = study()
    again = Study.open("us-profiles", data=opened.data, out=opened.out)
    assert study_stamp(again) == study_stamp(opened)
    changed = Study.open("us-profiles", data=opened.data, out=opened.out, settings={"min_layers": 3})
    assert study_stamp(changed).inputs != study_stamp(opened).inputs
    late = Study.open("us-profiles", data=opened.data, out=opened.out, settings={"epochs": 3})
    assert study_stamp(late) == study_stamp(opened)


@pytest.mark.parametrize("name", ["layers.parquet", "forcing.nc"])
def test_a_file_cut_short_is_told(study, name):
    path = study().path(name)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=rf"{name}: cannot be read as \w+: .*Is it cut short\?"):
        file_stamp(path)


def test_a_stage_of_another_version_is_told_to_be_one(study):
    opened = study()
    path = stages.marker_path(opened.out, "01-data-cleaning")
    marker = json.loads(path.read_text())
    stages.write_json(path, {**marker, "version": "0.0.9", "fingerprint": {**marker["fingerprint"], "code": "other"}})
    with pytest.raises(MissingOutput, match=r"the package has changed since \(written by proda 0\.0\.9\)"):
        opened.require("01-data-cleaning")


def test_forcing_without_a_single_value_is_told(study):
    path = study().path("forcing.nc")
    data = xr.load_dataset(path)
    (data.map(lambda values: values * np.nan, keep_attrs=True)).to_netcdf(path)
    with pytest.raises(InputError, match=r"forcing\.nc.*soil_temperature"):
        read_forcing(path)
