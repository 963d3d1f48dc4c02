"""The lists describe every covariate, classes become columns, and the file keeps order and places."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from proda.data import covariates
from proda.data.covariates import GRID_TABLE_LIST, PAPER_LIST, Covariate, class_of_cover, filled_covariates
from proda.data.fetch import known_sources
from proda.data.readers.archive import ENVIRONMENT_COLUMNS
from proda.data.readers.tidy import grid_covariates
from proda.errors import InputError


def test_the_papers_list_describes_its_sixty_covariates_in_its_order():
    table = pd.DataFrame(PAPER_LIST)
    assert table["name"].is_unique and table["name"].tolist()[:8] == [
        "IGBP", "Climate", "Soil_Type", "NPPmean", "NPPmax", "NPPmin", "Veg_Cover", "BIO1",
    ]  # fmt: skip
    assert table.shape == (60, 6) and (table != "").all(axis=None)
    classes = table.loc[table["kind"] == "categorical", "name"]
    assert set(classes) == {
        "IGBP", "Climate", "Soil_Type", "Texture_USDA_0cm", "Texture_USDA_30cm", "Texture_USDA_100cm", "USDA_Suborder",
        "WRB_Subgroup",
    }  # fmt: skip
    assert ((table["unit"] == "class") == (table["kind"] == "categorical")).all()


def test_the_list_of_binn_is_another_sixty_columns_of_the_archive():
    names = [row.name for row in covariates.BINN_LIST]
    assert len(set(names)) == 60 and set(names) <= set(ENVIRONMENT_COLUMNS)
    assert "NPPmean" not in names and names[:3] == ["Lon", "Lat", "ESA_Land_Cover"]


def test_the_list_of_the_half_degree_table_describes_what_its_reader_gives():
    names = [row.name for row in GRID_TABLE_LIST]
    assert list(grid_covariates(pd.DataFrame(columns=[*names, "lon", "ref_map"]))) == names
    assert [row.name for row in GRID_TABLE_LIST if row.kind == "categorical"] == ["igbp_land_cover", "koppen_class"]


def test_a_list_of_ones_own_is_read_from_a_table(tmp_path):
    path = tmp_path / "höhe.csv"
    own = [Covariate("slope", "slope of the land", "%", "continuous", "own", "CC0"), PAPER_LIST[0]]
    pd.DataFrame(own).to_csv(path, index=False)
    assert list(covariates.covariate_list(path)) == own
    pd.DataFrame(own).assign(kind="ordinal").to_csv(path, index=False)
    with pytest.raises(InputError, match="line 2: kind is 'ordinal', expected continuous or categorical"):
        covariates.covariate_list(path)
    pd.DataFrame(own).drop(columns="unit").to_csv(path, index=False)
    with pytest.raises(InputError, match="no column unit"):
        covariates.covariate_list(str(path))


def test_names_choose_from_the_lists_and_a_wrong_one_is_named():
    assert [row.unit for row in covariates.covariate_list(["BIO1", "CEC_0cm"])] == ["degC", "cmol(+) kg-1"]
    with pytest.raises(InputError, match="no description of the covariate 'BIO20'"):
        covariates.covariate_list(["BIO1", "BIO20"])
    with pytest.raises(InputError, match="'BIO1' occurs twice"):
        covariates.covariate_list(["BIO1", "BIO1"])
    with pytest.raises(InputError, match="neither a list .paper, binn, grid-table. nor a file"):
        covariates.covariate_list("papre")


CHOSEN = covariates.covariate_list(["BIO1", "IGBP", "Drought"])
SITES = pd.DataFrame({"BIO1": [5.0, -3.0, np.nan], "IGBP": [4.0, 10.0, 4.0], "Drought": [-0.5, 0.1, 0.2], "x": 1.0})
CELLS = pd.DataFrame({"BIO1": [1.0, 2.0, 3.0], "IGBP": [10.0, 7.0, np.nan], "Drought": [0.0, 0.0, -1.5]})


def test_a_class_becomes_a_column_for_each_that_a_site_has_and_others_are_missing_and_counted():
    result = covariates.numeric_covariates(SITES, CELLS, CHOSEN)
    assert list(result.sites) == list(result.cells) == ["BIO1", "IGBP=4", "IGBP=10", "Drought"]
    assert result.sites["IGBP=4"].tolist() == [1, 0, 1] and result.sites["IGBP=10"].tolist() == [0, 1, 0]
    np.testing.assert_array_equal(result.cells[["IGBP=4", "IGBP=10"]], [[0, 1], [np.nan] * 2, [np.nan] * 2])
    assert result.unknown == {"IGBP": 1} and np.isnan(result.sites["BIO1"][2])


def test_as_numbers_leaves_codes_and_units_as_they_are():
    result = covariates.numeric_covariates(SITES, CELLS, CHOSEN, "as numbers")
    pd.testing.assert_frame_equal(result.sites, SITES[["BIO1", "IGBP", "Drought"]])
    assert result.cells["IGBP"].tolist()[:2] == [10, 7]
    assert result.units == {"BIO1": "degC", "IGBP": "class", "Drought": "1"}


def test_a_licence_is_the_same_in_the_list_of_covariates_and_where_they_are_downloaded():
    fetched = {name: source.licence for name, source in known_sources().items()}
    lists = {row.name: row.licence for row in (*PAPER_LIST, *covariates.BINN_LIST)}
    for covariate, download in (
        ("BIO1", "worldclim-10m"),
        ("Clay_Content_0cm", "soilgrids-2017"),
        ("Abs_Depth_to_Bedrock", "soilgrids-2017"),
        ("IGBP", "igbp-mcd12c1"),
        ("Koppen_Climate_2018", "koppen-2018"),
        ("NPPmean", "modis-npp"),
    ):
        assert fetched[download] == lists[covariate], covariate


def test_a_mean_of_classes_and_a_missing_column_are_named():
    with pytest.raises(InputError, match="'IGBP' is a class but holds 4.5"):
        covariates.numeric_covariates(SITES.assign(IGBP=4.5), CELLS, CHOSEN)
    with pytest.raises(InputError, match="no values of the covariates Drought; the source has BIO1, IGBP"):
        covariates.numeric_covariates(SITES, CELLS.drop(columns="Drought"), CHOSEN)


def named(codes):
    return [covariates.CLASSES.get(int(code), "") if np.isfinite(code) else "" for code in codes]


def test_land_use_follows_the_words_of_several_collections():
    words = {
        "wetland": "wetland", "woodyWetlands": "wetland", "Forested Upland": "forest", "evergreenForest": "forest",
        "shrubScrub": "shrubland", "Non-Natural Woody": "shrubland", "rangeland": "grassland",
        "pastureHay": "pasture and hay", "CRP": "pasture and hay", "Planted/Cultivated": "cropland",
        "cultivatedCrops": "cropland", "Developed": "developed", "urban": "developed", "Barren": "barren",
    }  # fmt: skip
    land_use = covariates.land_use_of_sites(pd.Series(list(words)), np.full(len(words), 10))
    assert named(land_use) == list(words.values())


def test_land_use_without_a_known_word_is_the_land_cover_of_the_cell():
    land_use = covariates.land_use_of_sites(pd.Series([None, "wetland", "orchid house", None]), [12, 12, 7, 99])
    assert named(land_use) == ["cropland", "wetland", "shrubland", ""]
    assert all(named(class_of_cover(range(1, 18)))) and np.isnan(class_of_cover([0, 18, np.nan])).all()


def test_the_file_is_read_in_the_order_of_sites_and_cells(tmp_path):
    sites = pd.DataFrame({"BIO1": [1.0, 2.0], "IGBP": [4, 10]})
    cells = pd.DataFrame({"BIO1": [5.0, 6.0, 7.0], "IGBP": 1})
    profiles, path = pd.DataFrame({"profile_id": ["a", "b"], "cell": [2, 0]}), tmp_path / "covariates.parquet"
    for own in (pd.DataFrame({"own_land_use": [6.0, 1.0], "own_sand": [20.0, 70.0]}), pd.DataFrame(index=range(2))):
        covariates.write_covariates(sites, cells, profiles, path, {"IGBP": "class", "BIO1": "degC"}, {}, own)
        for read, written in zip(covariates.read_covariates(path), (sites, cells), strict=True):
            pd.testing.assert_frame_equal(read, written.astype(float))
        pd.testing.assert_frame_equal(covariates.site_only_covariates(path), own, check_column_type=False)
        assert covariates.class_covariates(path) == ("IGBP", *list(own)[:1])


@given(st.integers(0, 2**32), st.integers(2, 30))
def test_a_gap_is_filled_from_the_nearest_cell_that_has_a_value_and_no_value_is_changed(seed, n):
    rng = np.random.default_rng(seed)
    cells = pd.DataFrame({"lon": rng.uniform(-125, -66, n), "lat": rng.uniform(24, 50, n)})
    values = pd.DataFrame({"BIO1": np.where(rng.random(n) < 0.6, np.nan, rng.normal(size=n))})
    values.loc[0, "BIO1"] = 3.0
    of_cells, of_sites = filled_covariates(values, values.iloc[::-1].reset_index(drop=True), ["BIO1"], cells, range(n))
    known = values["BIO1"].notna().to_numpy()
    at, earth = cells.to_numpy(), Geod(ellps="sphere")
    away = [earth.inv(*np.broadcast_arrays(*place, *at[known].T))[2].argmin() for place in at]
    nearest = values["BIO1"].to_numpy()[known][away]
    np.testing.assert_array_equal(of_cells["BIO1"], nearest)
    np.testing.assert_array_equal(of_sites["BIO1"], np.where(known[::-1], values["BIO1"][::-1], nearest))
