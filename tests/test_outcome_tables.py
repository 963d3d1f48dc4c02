"""The tables that account for every row survive being written and read, and a changed one is refused."""

import numpy as np
import pandas as pd
import pytest

from proda.data.tables import read_exclusions, read_site_status, write_exclusions, write_site_status
from proda.errors import InputError

EXCLUSIONS = pd.DataFrame(
    {
        "profile_id": ["0012", "0012", "b"],
        "layer": pd.array([None, 1, 3], dtype="Int64"),
        "rule": ["off the land", "off the land", "no carbon"],
        "value": ["2 degrees", "2 degrees", "0 kg m-3"],
        "kind": [None, "organic", "unknown"],
        "source": ["S", "S", None],
    }
)
STATUS = pd.DataFrame(
    {
        "profile_id": ["0012", "b"],
        "site": [0, 1],
        "status": ["converged", "no finite posterior"],
        "n_layers": [3, 2],
        "r2": [0.9, np.nan],
        "efficiency": [0.8, -3.0],
        "rhat_gelman_rubin_max": [1.01, np.inf],
        "rhat_max": [1.02, np.nan],
        "ess_bulk_min": [400.0, np.nan],
        "ess_tail_min": [410.0, np.nan],
        "misfit": [1.5, np.nan],
        "steps": [50000, np.nan],
        "acceptance": [0.25, 0.0],
        "used_downstream": [True, False],
    }
)


def test_exclusions_are_read_as_they_were_written(tmp_path):
    write_exclusions(EXCLUSIONS, tmp_path / "exclusions.csv")
    read = read_exclusions(tmp_path / "exclusions.csv")
    assert read["profile_id"].tolist() == ["0012", "0012", "b"]
    assert read["layer"].isna().tolist() == [True, False, False] and read["layer"].dtype == "Int64"


def test_a_study_in_which_nothing_was_excluded_has_a_header_alone(tmp_path):
    write_exclusions(EXCLUSIONS.iloc[:0], tmp_path / "exclusions.csv")
    assert len(read_exclusions(tmp_path / "exclusions.csv")) == 0


def test_an_exclusion_without_its_rule_is_no_account(tmp_path):
    with pytest.raises(InputError, match=r"exclusions\.csv, row 2: rule is missing"):
        write_exclusions(EXCLUSIONS.assign(rule=["a", "b", None]), tmp_path / "exclusions.csv")
    assert not (tmp_path / "exclusions.csv").exists()


def test_the_kind_of_an_excluded_layer_survives_and_an_unknown_one_is_told(tmp_path):
    write_exclusions(EXCLUSIONS, tmp_path / "exclusions.csv")
    assert read_exclusions(tmp_path / "exclusions.csv")["kind"].fillna("").tolist() == ["", "organic", "unknown"]
    with pytest.raises(InputError, match="row 1: kind is 'peat', expected one of: mineral"):
        write_exclusions(EXCLUSIONS.assign(kind=[None, "peat", None]), tmp_path / "exclusions.csv")


def test_the_status_of_sites_is_read_as_it_was_written(tmp_path):
    write_site_status(STATUS, tmp_path / "site_status.csv")
    read = read_site_status(tmp_path / "site_status.csv")
    assert read["profile_id"].tolist() == ["0012", "b"] and read["used_downstream"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"status": ["fine", "converged"]}, "row 0: status is 'fine', expected one of: converged"),
        ({"efficiency": [1.5, 0.2]}, "row 0: efficiency is 1.5, expected at most 1"),
        ({"n_layers": [2.5, 2]}, "row 0: n_layers is 2.5, expected a whole number"),
        ({"profile_id": ["a", "a"]}, "row 1: profile_id 'a' occurs a second time"),
        ({"acceptance": [0.2, 20.0]}, "row 1: acceptance is 20, expected 0 to 1"),
    ],
)
def test_an_impossible_outcome_is_not_written(tmp_path, change, told):
    with pytest.raises(InputError, match=told):
        write_site_status(STATUS.assign(**change), tmp_path / "site_status.csv")
    assert not (tmp_path / "site_status.csv").exists()


def test_a_status_edited_by_hand_is_told_with_its_line(tmp_path):
    STATUS.assign(used_downstream=["True", "yes"]).to_csv(tmp_path / "site_status.csv", index=False)
    with pytest.raises(InputError, match=r"site_status\.csv, line 2: used_downstream is 'True', expected True or"):
        read_site_status(tmp_path / "site_status.csv")


def test_a_missing_file_names_the_notebook_that_makes_it(tmp_path):
    with pytest.raises(InputError, match="Run notebook 04-site-by-site-assimilation"):
        read_site_status(tmp_path / "site_status.csv")
