"""A study's file names where profiles, forcing, covariates and reference maps come from, and stage 1 brings them in."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from history_files import truth
from small_archive import N, write_archive
from small_maps import geotiff, in_degrees
from small_sources import EAST, OWN, TRANSFORM, study_with, write_everything, write_history, write_maps
from small_tables import N as N_TABLES
from small_tables import grid_rows, write_tables

from proda.data.cleaned import read_raw_tables
from proda.data.covariates import BINN_LIST, covariate_list, site_only_covariates
from proda.data.forcing import has_forcing
from proda.data.readers.archive import archive_forcing
from proda.data.readers.rasters import covariates_from_maps
from proda.data.sources import study_list, with_npp
from proda.data.stage import cleaned_study
from proda.errors import InputError
from proda.model.configuration import CESM2, PAPER
from proda.study import Study

WOSIS = '[source]\nkind = "wosis"\nlayout = "december-2023"\n'
HISTORY = '[source.forcing]\nkind = "clm-history"\nfolder = "history"\n'
MAPS = '[source.covariates]\nkind = "maps"\nfolder = "maps"\nlist = "covariates.csv"\n'
REFERENCES = '[source.references]\nfolder = "maps"\n'


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return write_everything(tmp_path_factory.mktemp("Böden und Karten"))


@pytest.fixture
def opened(tmp_path, raw):
    def study(*tables, **settings):
        return study_with(tmp_path, WOSIS + "".join(tables), raw, **settings)

    return study


@pytest.fixture(scope="module")
def from_maps(tmp_path_factory, raw):
    study = study_with(tmp_path_factory.mktemp("études"), WOSIS + HISTORY + MAPS + REFERENCES, raw)
    return study, cleaned_study(study)


def test_wosis_with_history_files_and_maps_gives_a_study_whose_every_row_is_counted(from_maps):
    _, result = from_maps
    last = result.account.iloc[-1]
    assert last["profiles_after"] == len(result.profiles) > 100
    assert len(result.profiles) + result.exclusions["layer"].isna().sum() == 150
    assert (result.site_covariates.columns == result.cell_covariates.columns).all()
    assert np.isfinite(result.site_covariates.to_numpy()).all()
    assert 2800 < result.grid.sizes["cell"] < 3500


def test_forcing_is_that_of_the_run_at_the_cells(from_maps):
    _, result = from_maps
    grid = result.grid
    months = [truth("TSOI", year, m, grid["lon"].values, grid["lat"].values, 1.0) for year in (2001, 2002) for m in
              range(1, 13)]  # fmt: skip
    at_one_metre = np.array([np.interp(1.0, PAPER.column.node, column) for column in result.forcing.soil_temperature.T])
    # The nearest cell is up to 1.25 degrees off, and the annual mean weighs months by length.
    assert np.abs(at_one_metre - np.mean(months, axis=0)).max() < 0.5
    assert (
        (result.forcing.npp_min < result.forcing.npp_mean) & (result.forcing.npp_mean < result.forcing.npp_max)
    ).all()


def test_sites_whose_position_is_known_take_the_pixel_they_lie_in_and_classes_become_columns(from_maps):
    study, result = from_maps
    table = result.site_covariates
    assert list(table) == ["IGBP=4", "IGBP=10", "NPPmean", "NPPmin", "NPPmax", "BIO1", "slope"]
    east = np.floor(result.profiles["lon"] / 0.25) * 0.25 + 0.125
    uncertainty = read_raw_tables(study.out).profiles.set_index("profile_id")["position_uncertainty"]
    known = ~(uncertainty[result.profiles["profile_id"]].to_numpy() >= 0.25 * 111_320)
    centre = result.grid["lon"].values[result.profiles["cell"]]
    np.testing.assert_allclose(table["slope"], np.abs(np.where(known, east, centre)) / 10)
    assert 0 < known.sum() < known.size
    note = result.findings.set_index(["source", "variable"])["note"]["map of slope, sites", "slope"]
    assert note == f"{known.sum()} at their own position, {(~known).sum()} of their cell"
    assert (table["IGBP=10"] == (east < -100)).all() and (result.profiles["land_cover"].isin([4, 10])).all()
    np.testing.assert_allclose(result.cell_covariates["slope"], np.abs(result.grid["lon"]) / 10, rtol=1e-6)


def test_cells_beyond_a_map_are_left_out_and_counted(from_maps):
    study, result = from_maps
    assert result.grid["lat"].max() < 48.3 and result.grid.attrs["cells_left_out"] > 100
    missing = result.findings.set_index(["source", "variable"])["missing"]
    assert missing["WorldClim 2.1, cells", "BIO1"] > 100 and missing["CLM history", "TSOI"] == 0
    assert set(result.findings["variable"]) >= {"slope", "NPP, least year", "ref_soilgrids_2_100cm"}


def test_reference_maps_become_columns_of_the_grid_and_no_covariates(from_maps):
    _, result = from_maps
    np.testing.assert_allclose(result.grid["ref_soilgrids_2_100cm"], 15.0)
    assert result.grid["ref_soilgrids_2_100cm"].attrs["units"] == "kg m-2"
    assert not any(name.startswith("ref_") for name in result.site_covariates)


def test_history_files_go_with_the_covariates_of_the_half_degree_table(opened):
    result = cleaned_study(opened(HISTORY))
    assert {"igbp_land_cover=4", "koppen_class=19", "sand_fraction"} <= set(result.cell_covariates)
    assert result.forcing.soil_temperature[0].max() > 285 and has_forcing(result.forcing).all()


def test_npp_can_be_that_of_the_covariates(opened):
    result = cleaned_study(opened(HISTORY + 'npp = "covariates"\n', MAPS))
    np.testing.assert_allclose(result.forcing.npp_mean, 400.0)
    np.testing.assert_allclose(result.forcing.npp_min, 393.0)
    with pytest.raises(InputError, match="npp is 'covariates', but they lack NPPmean, NPPmin, NPPmax"):
        cleaned_study(opened(HISTORY + 'npp = "covariates"\n', name="other"))


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ('[source.forcing]\nkind = "era5"\n', "kind is 'era5', expected one of half-degree-table, clm-history"),
        ('[source.forcng]\nkind = "clm-history"\n', r"unknown table \[source.forcng\]: did you mean 'forcing'"),
        (HISTORY + 'verticl = "match"\n', "clm-history has no option 'verticl': did you mean 'vertical'"),
        (HISTORY + 'npp = "year"\n', "npp is 'year', expected one of years, multiples, covariates"),
        ('[source.forcing]\nkind = "clm-history"\nfolder = "../elsewhere"\n', "no '../elsewhere' in the data folder"),
        ('[source.covariates]\nclasses = "numbers"\n', "classes is 'numbers', expected one of one-hot, as numbers"),
        ('[source.references]\nfolder = "history"\n', "no reference map for .source.references."),
        (MAPS.replace("covariates.csv", "paper"), "no map of Climate, Soil_Type, Veg_Cover, BIO2"),
    ],
)
def test_an_unknown_source_or_option_is_named_with_the_study_file(opened, tables, message):
    with pytest.raises(InputError, match=message):
        cleaned_study(opened(tables))


def test_the_unpacked_archive_becomes_a_study(tmp_path):
    """Thirty profiles lie in the United States, ten in Europe; site 4 lacks a covariate; site 5 a layer's carbon."""
    folder = tmp_path / "archive"
    folder.mkdir()
    root = write_archive(folder)
    study = Study.open("archive", data=folder, out=tmp_path / "out")
    result = cleaned_study(study)
    gone = result.exclusions[result.exclusions["layer"].isna()]
    assert len(result.profiles) + len(gone) == N
    assert (gone["rule"] == "outside the domain").sum() == 10
    assert gone.loc[gone["profile_id"] == "1028", "rule"].tolist() == ["no covariates"]
    row = (result.profiles["profile_id"].astype(int) - 1000) / 7  # as the test archive numbers its profiles
    np.testing.assert_allclose(result.site_covariates["BIO1"], row + 0.18)
    assert (result.site_covariates["ESA_Land_Cover=12"] == (row == 12)).all() and (row == 12).any()
    assert result.configuration is CESM2
    lon, lat = result.grid["lon"].values, result.grid["lat"].values
    for own, native in zip(result.forcing, archive_forcing(root, lon, lat).forcing, strict=True):
        np.testing.assert_array_equal(own, native)
    units = pd.read_parquet(study.path("covariates.parquet")).attrs["units"]
    assert units["BIO1"] == "degC" and units["nbedrock"] == "layers"
    assert study_list(study)["name"].tolist() == [row.name for row in BINN_LIST]

    paper = cleaned_study(replace(study, configuration="paper", out=tmp_path / "paper"))
    cell = paper.profiles["cell"].to_numpy()
    np.testing.assert_allclose(paper.forcing.npp_mean[cell] - paper.forcing.npp_min[cell], 100)
    expected = archive_forcing(root, lon, lat, PAPER).forcing.soil_temperature
    np.testing.assert_allclose(paper.forcing.soil_temperature, expected)


def test_history_files_give_monthly_forcing_to_a_monthly_study_and_annual_tables_do_not(tmp_path, raw, opened):
    study = replace(opened(HISTORY.replace('"history"', '"monthly"')), configuration="cesm2")
    with pytest.raises(InputError, match="no 'monthly' in the data folder"):
        cleaned_study(study)
    write_history(raw / "monthly", years=(2001,), configuration="cesm2")
    result = cleaned_study(study)
    assert result.configuration is CESM2 and np.ptp(result.forcing.soil_temperature, axis=1).max() > 1.0
    with pytest.raises(InputError, match="'cesm2' takes monthly forcing, and that of half-degree-table is annual"):
        cleaned_study(replace(opened(name="annual"), configuration="cesm2"))
    with pytest.raises(InputError, match="npp is 'years', but in configuration 'cesm2' carbon enters as the litter"):
        cleaned_study(replace(opened(HISTORY + 'npp = "years"\n', name="npp"), configuration="cesm2"))


def collections(folder, east=6, same=False):
    """Two collections with the grid in the first, and a map of 0.05 degrees with no value where the last `east` lie.

    The second repeats one profile of the first; every other one has a position to 50 km, a word and a texture.
    """
    grid = pd.concat([grid_rows(), grid_rows().assign(lon=[-101.25, -100.75])])
    for name, factor in (("a", 1.0), ("b", 1.1)):
        raw = write_tables(folder / name, grid, lon=[-100.12] * (N_TABLES - east) + [-99.93] * east)
        profiles, layers = (pd.read_csv(raw / f"{table}.csv") for table in ("profiles", "layers"))
        layers["soc_kg_m3"] *= np.where(layers["profile_id"] == "p00", 1.0, factor)
        layers.loc[::4, ["sand_percent", "clay_percent"]] = [70.0, 10.0]
        profiles.loc[::2, ["coord_uncertainty_km", "land_use"]] = [50.0, "wetland"]
        for table in (profiles, layers):
            table["profile_id"] = ("" if same else name) + table["profile_id"]
        profiles.to_csv(raw / "profiles.csv", index=False)
        layers.to_csv(raw / "layers.csv", index=False)
    (folder / "b" / "grid_half_degree.csv").unlink()
    transform, lon, _ = in_degrees(-103.0, 42.0, 0.05, 80, 100)
    geotiff(folder / "maps" / "slope.tif", np.where(lon > -100, np.nan, -lon), transform, -9999.0)
    (folder / "list.csv").write_text(OWN.splitlines()[0] + "\nslope,slope,%,continuous,own,CC0\n")
    source = '[source]\nkind = "tidy-tables"\nfolders = ["a", "b"]\n[source.forcing]\nfolder = "a"\n'
    return study_with(folder, source + MAPS.replace("covariates.csv", "list.csv") + 'missing = "nearest"\n', folder)


def test_collections_and_maps_make_one_study_in_which_every_value_has_its_place(tmp_path):
    study = collections(tmp_path)
    result = cleaned_study(study)
    assert result.exclusions[["profile_id", "rule"]].drop_duplicates().values.tolist() == [
        ["bp00", "duplicate profile"]
    ]
    assert len(result.profiles) == 2 * N_TABLES - 1
    uncertain, in_hole = result.profiles["land_use"].notna(), result.profiles["lon"] > -100
    # A pixel, the mean of the cell, and in the hole the cell to the west.
    expected = np.where(uncertain | in_hole, 100.25, 100.125)
    np.testing.assert_allclose(result.site_covariates["slope"], expected)
    np.testing.assert_allclose(result.cell_covariates["slope"], [100.25, 100.25, 101.25, 100.75])
    assert (result.grid["land_cover"] == 10).all() and (result.grid["sand_percent"] == 40).all()
    notes = result.findings.set_index("source")["note"]
    assert notes["map of slope, sites"] == (
        "24 at their own position, 24 of their cell; 12 of the nearest cell with a value"
    )
    assert notes["map of slope, cells"] == "slope.tif; 1 of the nearest cell with a value"
    own = site_only_covariates(study.path("covariates.parquet"))
    texture = np.where(uncertain, 70.0, 40.0), np.where(uncertain, 10.0, 20.0)
    np.testing.assert_array_equal(own, np.column_stack([np.where(uncertain, 6, 3), *texture]))
    assert list(own) == ["own_land_use", "own_sand", "own_clay"] and list(result.cell_covariates) == ["slope"]


def test_what_keeps_collections_and_maps_from_being_one_study_is_named(tmp_path):
    with pytest.raises(InputError, match=r"'p00' stands in .*a/profiles.csv and in .*b/profiles.csv \(30 identifiers"):
        cleaned_study(collections(tmp_path / "ids", same=True))
    with pytest.raises(InputError, match="slope is missing at 37% of 60 sites, expected at most a third. Leave it out"):
        cleaned_study(collections(tmp_path / "hole", east=11))
    study = collections(tmp_path / "folders")
    for folders, message in (
        (["a", "c"], "no 'c' in the data folder .*/folders, .* as --data DIR"),
        ("a", "a list of"),
    ):
        with pytest.raises(InputError, match=r"\[source\] folders.*" + message):
            cleaned_study(replace(study, source=study.source | {"folders": folders}))


def test_npp_of_another_map_replaces_all_three_and_gaps_stay_gaps(from_maps):
    forcing = from_maps[1].forcing.take(slice(0, 4))
    npp = pd.DataFrame({"NPPmean": [400.0, np.nan, 400.0, 300.0], "NPPmin": [350.0, 300.0, 500.0, -20.0]})
    result = with_npp(forcing, npp.assign(NPPmax=[500.0, 450.0, 600.0, 400.0]))
    assert has_forcing(result).tolist() == [True, False, False, True]
    assert result.npp_min[3] == 0.0 and result.npp_max[0] == 500.0
    assert result.soil_temperature is forcing.soil_temperature


def test_maps_of_ones_own_go_before_annual_npp_and_a_covariate_without_a_map_is_named(tmp_path):
    write_maps(tmp_path)
    places = ([-100.1, -90.2], [40.1, 38.3])
    rows = covariate_list(["Lon", "NPPmean", "BIO1"])
    result = covariates_from_maps(rows, tmp_path, *places)
    assert list(result.values) == ["Lon", "NPPmean", "BIO1"] and result.values["Lon"].tolist() == places[0]
    np.testing.assert_allclose(result.values["NPPmean"], 400.0)
    geotiff(tmp_path / "NPPmean.tif", 7.0 + 0 * EAST, TRANSFORM)
    np.testing.assert_allclose(covariates_from_maps(rows, tmp_path, *places).values["NPPmean"], 7.0)
    cells = covariates_from_maps(covariate_list(["IGBP"]), tmp_path, [-99.75], [40.25], 0.5)
    assert cells.values["IGBP"].tolist() == [4]
    with pytest.raises(InputError, match=r"no map of Drought, BIO2.*Drought\.tif"):
        covariates_from_maps(covariate_list(["Drought", "BIO2"]), tmp_path, *places)
