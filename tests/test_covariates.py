"""Covariates keep their order and their places, and a gap is named."""

import numpy as np
import pandas as pd
import pytest

from proda.data.covariates import PAPER_COVARIATES, covariate_table, read_covariates
from proda.data.virtual_continent import bioclimatic_variables
from proda.errors import InputError

SITES = pd.DataFrame({"BIO1": [1.0, 2.0], "IGBP": [4, 10]})
CELLS = pd.DataFrame({"BIO1": [5.0, 6.0, 7.0], "IGBP": [1, 2, 3]})
PROFILES = pd.DataFrame({"profile_id": ["a", "b"], "cell": [2, 0]})


def test_the_paper_has_sixty_covariates():
    assert len(PAPER_COVARIATES) == len(set(PAPER_COVARIATES)) == 60
    assert "Sand_Content_30cm" in PAPER_COVARIATES


def test_what_is_written_is_what_is_read(tmp_path):
    covariate_table(SITES, CELLS, PROFILES).to_parquet(tmp_path / "covariates.parquet")
    sites, cells = read_covariates(tmp_path / "covariates.parquet")
    pd.testing.assert_frame_equal(sites, SITES.astype(float))
    pd.testing.assert_frame_equal(cells, CELLS.astype(float))


def test_rows_are_put_in_the_order_of_sites_and_cells(tmp_path):
    table = covariate_table(SITES, CELLS, PROFILES).sample(frac=1, random_state=1)
    table.to_parquet(tmp_path / "covariates.parquet")
    sites, cells = read_covariates(tmp_path / "covariates.parquet")
    assert sites["BIO1"].tolist() == [1.0, 2.0]
    assert cells["BIO1"].tolist() == [5.0, 6.0, 7.0]


def test_a_missing_value_is_named_with_its_place():
    with pytest.raises(InputError, match=r"covariates, site 1 \(profile b\): BIO1 is missing.*Fill it in"):
        covariate_table(SITES.assign(BIO1=[1.0, np.nan]), CELLS, PROFILES)


def test_columns_that_differ_between_sites_and_cells_are_named():
    with pytest.raises(InputError, match="different columns: elevation"):
        covariate_table(SITES.assign(elevation=0.0), CELLS, PROFILES)


def test_a_gap_in_the_numbering_of_sites_is_found(tmp_path):
    table = covariate_table(SITES, CELLS, PROFILES)
    table[table["site"] != 0].to_parquet(tmp_path / "covariates.parquet")
    with pytest.raises(InputError, match="place 'site' are not numbered 0 to 0"):
        read_covariates(tmp_path / "covariates.parquet")


def test_bioclimatic_variables_of_a_made_year_are_those_of_their_definitions():
    month = np.arange(12)[:, None]
    temperature = 10.0 - 10.0 * np.cos(2 * np.pi * month / 12)  # coldest in January, warmest in July
    rain = np.where(month < 3, 100.0, 10.0)  # wettest quarter: January to March
    bio = bioclimatic_variables(temperature, rain, np.array([8.0]))
    assert bio["BIO1"].item() == pytest.approx(10.0)
    assert bio["BIO5"].item() == pytest.approx(24.0)
    assert bio["BIO6"].item() == pytest.approx(-4.0)
    assert bio["BIO7"].item() == pytest.approx(28.0)
    assert bio["BIO8"].item() == pytest.approx(temperature[:3].mean())
    assert bio["BIO11"].item() == pytest.approx(temperature[[11, 0, 1]].mean())
    assert bio["BIO12"].item() == pytest.approx(390.0)
    assert bio["BIO16"].item() == pytest.approx(300.0)
    assert bio["BIO18"].item() == pytest.approx(30.0)
    assert bio["BIO19"].item() == pytest.approx(210.0)
