"""The lists say what every covariate is; a class becomes a number only where the study says so."""

import numpy as np
import pandas as pd
import pytest

from proda.data.covariates import (
    BINN_LIST,
    GRID_TABLE_LIST,
    PAPER_COVARIATES,
    PAPER_LIST,
    Covariate,
    covariate_frame,
    covariate_list,
    numeric_covariates,
)
from proda.data.fetch import known_sources
from proda.data.readers.archive import ENVIRONMENT_COLUMNS
from proda.data.readers.map_layers import SOURCES
from proda.data.readers.tidy import grid_covariates
from proda.errors import InputError


def test_the_papers_list_describes_its_sixty_covariates_in_its_order():
    assert tuple(row.name for row in PAPER_LIST) == PAPER_COVARIATES
    table = covariate_frame(PAPER_LIST)
    assert table.shape == (60, 6) and (table != "").all(axis=None)
    classes = table.loc[table["kind"] == "categorical", "name"]
    assert set(classes) == {
        "IGBP", "Climate", "Soil_Type", "Texture_USDA_0cm", "Texture_USDA_30cm", "Texture_USDA_100cm", "USDA_Suborder",
        "WRB_Subgroup",
    }  # fmt: skip
    assert ((table["unit"] == "class") == (table["kind"] == "categorical")).all()


def test_the_list_of_binn_is_another_sixty_columns_of_the_archive():
    names = [row.name for row in BINN_LIST]
    assert len(set(names)) == 60 and set(names) <= set(ENVIRONMENT_COLUMNS)
    assert "NPPmean" not in names and names[:3] == ["Lon", "Lat", "ESA_Land_Cover"]


def test_the_list_of_the_half_degree_table_describes_what_its_reader_gives():
    names = [row.name for row in GRID_TABLE_LIST]
    assert list(grid_covariates(pd.DataFrame(columns=[*names, "lon", "ref_map"]))) == names
    assert [row.name for row in GRID_TABLE_LIST if row.kind == "categorical"] == ["igbp_land_cover", "koppen_class"]


def test_a_list_of_ones_own_is_read_from_a_table(tmp_path):
    path = tmp_path / "höhe.csv"
    own = [Covariate("slope", "slope of the land", "%", "continuous", "own", "CC0"), PAPER_LIST[0]]
    covariate_frame(own).to_csv(path, index=False)
    assert list(covariate_list(path)) == own
    covariate_frame(own).assign(kind="ordinal").to_csv(path, index=False)
    with pytest.raises(InputError, match="line 2: kind is 'ordinal', expected continuous or categorical"):
        covariate_list(path)
    covariate_frame(own).drop(columns="unit").to_csv(path, index=False)
    with pytest.raises(InputError, match="no column unit"):
        covariate_list(str(path))


def test_names_choose_from_the_lists_and_a_wrong_one_is_told():
    assert [row.unit for row in covariate_list(["BIO1", "CEC_0cm"])] == ["degC", "cmol(+) kg-1"]
    with pytest.raises(InputError, match="no description of the covariate 'BIO20'"):
        covariate_list(["BIO1", "BIO20"])
    with pytest.raises(InputError, match="'BIO1' occurs twice"):
        covariate_list(["BIO1", "BIO1"])
    with pytest.raises(InputError, match="neither a list .paper, binn, grid-table. nor a file"):
        covariate_list("papre")


CHOSEN = covariate_list(["BIO1", "IGBP", "Drought"])
SITES = pd.DataFrame({"BIO1": [5.0, -3.0, np.nan], "IGBP": [4.0, 10.0, 4.0], "Drought": [-0.5, 0.1, 0.2], "x": 1.0})
CELLS = pd.DataFrame({"BIO1": [1.0, 2.0, 3.0], "IGBP": [10.0, 7.0, np.nan], "Drought": [0.0, 0.0, -1.5]})


def test_a_class_becomes_a_column_for_each_that_a_site_has_and_others_are_missing_and_counted():
    result = numeric_covariates(SITES, CELLS, CHOSEN)
    assert list(result.sites) == list(result.cells) == ["BIO1", "IGBP=4", "IGBP=10", "Drought"]
    assert result.sites["IGBP=4"].tolist() == [1, 0, 1] and result.sites["IGBP=10"].tolist() == [0, 1, 0]
    np.testing.assert_array_equal(result.cells[["IGBP=4", "IGBP=10"]], [[0, 1], [np.nan] * 2, [np.nan] * 2])
    account = result.account.set_index("covariate")
    assert account.loc["IGBP"].tolist() == [2, 0, 1, 1]
    assert account.loc["BIO1", "sites_missing"] == 1 and np.isnan(result.sites["BIO1"][2])


def test_as_the_paper_did_classes_are_numbers_and_places_with_a_value_below_zero_are_missing():
    result = numeric_covariates(SITES, CELLS, CHOSEN, "as the paper did")
    np.testing.assert_allclose(result.sites["BIO1"], [278.15, 270.15, np.nan])
    assert result.sites["IGBP"].tolist() == [4, 10, 4]
    np.testing.assert_allclose(result.sites["Drought"], [0.5, 1.1, 1.2])
    assert result.cells.isna().all(axis=1).tolist() == [False, False, True]  # Drought -1.5 + 1 is below zero
    assert result.account.set_index("covariate").loc["Drought", "cells_missing"] == 1


def test_as_numbers_leaves_codes_and_units_as_they_are():
    result = numeric_covariates(SITES, CELLS, CHOSEN, "as numbers")
    pd.testing.assert_frame_equal(result.sites, SITES[["BIO1", "IGBP", "Drought"]])
    assert result.cells["IGBP"].tolist()[:2] == [10, 7]
    assert result.units == {"BIO1": "degC", "IGBP": "class", "Drought": "1"}
    assert numeric_covariates(SITES, CELLS, CHOSEN, "as the paper did").units["BIO1"] == "K"


def test_a_licence_is_told_alike_wherever_it_stands():
    """In the list of covariates, at the reader of the maps and where they are downloaded."""
    fetched = {name: source.licence for name, source in known_sources().items()}
    lists = {row.name: row.licence for row in (*PAPER_LIST, *BINN_LIST)}
    for covariate, reader, download in (
        ("BIO1", "WorldClim 2.1", "worldclim-10m"),
        ("Clay_Content_0cm", "SoilGrids 2017", "soilgrids-2017"),
        ("Abs_Depth_to_Bedrock", "SoilGrids 2017", "soilgrids-2017"),
        ("", "SoilGrids 2.0", "soilgrids-5km"),
        ("IGBP", "MODIS MCD12", "igbp-mcd12c1"),
        ("Koppen_Climate_2018", "Koppen-Geiger 2018", "koppen-2018"),
        ("NPPmean", "", "modis-npp"),
    ):
        told = {fetched[download], lists.get(covariate, fetched[download])}
        assert len(told | ({SOURCES[reader].licence} if reader else set())) == 1, (covariate, told)


def test_a_mean_of_classes_and_an_unknown_treatment_are_told():
    with pytest.raises(InputError, match="'IGBP' is a class but holds 4.5"):
        numeric_covariates(SITES.assign(IGBP=4.5), CELLS, CHOSEN)
    with pytest.raises(InputError, match="treatment of classes is 'numbers'"):
        numeric_covariates(SITES, CELLS, CHOSEN, "numbers")
    with pytest.raises(InputError, match="of the cells: no column Drought"):
        numeric_covariates(SITES, CELLS.drop(columns="Drought"), CHOSEN)
