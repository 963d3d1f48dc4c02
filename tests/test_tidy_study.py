"""A study of tidy tables from raw folder to tidy files."""

import numpy as np
import pandas as pd
import pytest
from test_tidy_tables import grid_rows

from proda.data.stage import cleaned_study
from proda.data.tables import read_raw_tables
from proda.errors import InputError
from proda.study import Study

N = 30


@pytest.fixture
def opened(tmp_path):
    def study(grid=None, lon=-100.2, **settings):
        rng = np.random.default_rng(1)
        ids = np.repeat([f"p{i:02d}" for i in range(N)], 2)
        pd.DataFrame({"profile_id": ids[::2], "lon": lon, "lat": 40.2, "source": "S"}).to_csv(
            tmp_path / "profiles.csv", index=False
        )
        layers = pd.DataFrame({"profile_id": ids, "layer": [1, 2] * N, "upper_depth_m": [0, 0.3] * N})
        layers = layers.assign(lower_depth_m=[0.3, 1.0] * N, soc_kg_m3=rng.uniform(5, 30, 2 * N))
        layers.to_csv(tmp_path / "layers.csv", index=False)
        (grid_rows() if grid is None else grid).to_csv(tmp_path / "grid_half_degree.csv", index=False)
        return Study.open("us-profiles", data=tmp_path, out=tmp_path / "out", settings=settings)

    return study


def test_sites_take_the_covariates_and_the_land_cover_of_their_cell(opened):
    grid = grid_rows()
    grid["npp_gC_m2_yr"] = [400.0, 500.0]
    result = cleaned_study(opened(grid, lon=-99.6))
    assert len(result.profiles) == N
    assert (result.profiles["cell"] == 1).all()
    assert (result.site_covariates["npp_gC_m2_yr"] == 500.0).all()
    assert (result.profiles["land_cover"] == 10).all()
    assert "ref_whrc_soc_0_30cm_kg_m2" in result.grid


def test_settings_of_the_study_reach_the_forcing(opened):
    forcing = cleaned_study(opened(npp_max_multiple=1.6, soil_minus_air_temperature=2.0)).forcing
    np.testing.assert_allclose(forcing.npp_max / forcing.npp_mean, 1.6)
    np.testing.assert_allclose(forcing.soil_temperature, 285.15)


def test_a_cell_without_npp_is_left_out_and_its_profiles_are_counted(opened):
    grid = grid_rows()
    grid.loc[0, "npp_gC_m2_yr"] = np.nan
    study = opened(grid, lon=[-100.2] * 10 + [-99.7] * 20)
    result = cleaned_study(study)
    assert len(result.profiles) == 20
    assert (result.profiles["cell"] == 0).all()
    assert result.grid.attrs["cells_left_out"] == 1
    assert result.grid["lon"].to_numpy().tolist() == [-99.75]
    gone = result.exclusions[result.exclusions["rule"] == "no forcing"]
    assert gone["layer"].isna().sum() == 10
    assert len(gone) == 30


def test_a_cell_without_a_covariate_is_left_out_and_its_profiles_are_counted(opened):
    grid = grid_rows().astype({"koppen_class": float})
    grid.loc[0, "koppen_class"] = np.nan
    result = cleaned_study(opened(grid, lon=[-100.2] * 10 + [-99.7] * 20))
    assert set(result.exclusions["rule"]) == {"no covariates"}
    assert len(result.profiles) == 20


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("precipitation_mm_yr", r"soil_water_potential \(derived from grid_half_degree\.csv\) is missing at 20 of 20"),
        ("npp_gC_m2_yr", r"npp_mean \(derived .* is missing at 2 of 2 places.*npp_gC_m2_yr \(.* at 2 of 2"),
        (
            "koppen_class",
            r"no land cell .* covariates\. koppen_class \(grid_half_degree\.csv, cells\) is missing at 2 of 2",
        ),
    ],
)
def test_a_driver_without_a_single_value_is_named_when_no_cell_is_usable(opened, column, told):
    with pytest.raises(InputError, match=told):
        cleaned_study(opened(grid_rows().assign(**{column: np.nan})))


def test_a_failed_stage_leaves_nothing_that_could_be_taken_for_a_result(opened):
    study = opened()
    cleaned_study(study)
    (study.data / "layers.csv").write_text("profile_id,layer\n")
    with pytest.raises(InputError, match="no column upper_depth_m"):
        cleaned_study(study)
    assert "01-data-cleaning" in study.faults()
    assert study.faults()["01-data-cleaning"].startswith("failed")


def test_raw_tables_say_what_became_of_every_profile(opened):
    grid = grid_rows()
    grid.loc[0, "npp_gC_m2_yr"] = np.nan
    study = opened(grid, lon=[-100.2] * 10 + [-99.7] * 20)
    result = cleaned_study(study)
    raw = read_raw_tables(study.out)
    assert len(raw.layers) == 2 * N and (raw.profiles["n_layers"] == 2).all()
    assert raw.profiles["excluded_by"].fillna("kept").value_counts().to_dict() == {"kept": 20, "no forcing": 10}
    kept = raw.profiles["profile_id"][raw.profiles["excluded_by"].isna()]
    assert set(kept) == set(result.profiles["profile_id"])


def test_raw_tables_that_were_not_written_are_named(tmp_path):
    with pytest.raises(InputError, match=r"raw_profiles\.parquet: no such file. Run notebook 01"):
        read_raw_tables(tmp_path)


def test_a_missing_density_is_estimated_when_the_study_names_a_function(opened):
    study = opened(bulk_density_rule="manrique-jones-1991")
    layers = pd.read_csv(study.data / "layers.csv").assign(oc_percent=1.0, bulk_density_g_cm3=np.nan)
    layers.loc[::2, "soc_kg_m3"] = np.nan
    layers.to_csv(study.data / "layers.csv", index=False)
    result = cleaned_study(study)
    np.testing.assert_allclose(result.layers["soc"][::2], 13_420.0)
    assert result.layers["density_relative_sd"].tolist() == [0.18, 0.0] * N


def test_carbon_of_limestone_is_told_by_the_columns_of_the_tables(opened):
    study = opened()
    layers = pd.read_csv(study.data / "layers.csv").assign(oc_percent=1.0, bulk_density_g_cm3=1.4, ph=8.0)
    layers["bd_method"] = "measured_oven_dry"
    layers.loc[[1, 3], ["oc_percent", "bulk_density_g_cm3"]] = [4.9, 1.8]
    layers.loc[3, "bd_method"] = "ptf_adams"
    layers = layers.assign(soc_kg_m3=10 * layers["oc_percent"] * layers["bulk_density_g_cm3"])
    layers.loc[::2, "soc_kg_m3"] += np.arange(N) / 100  # no two profiles alike
    layers.to_csv(study.data / "layers.csv", index=False)
    gone = cleaned_study(study).exclusions
    assert gone[gone["rule"] == "carbon of limestone"][["profile_id", "layer"]].values.tolist() == [["p00", 2]]
    assert gone["value"].iloc[0] == "4.9 % carbon at pH 8.0 and 1.80 g cm-3"
    assert read_raw_tables(study.out).layers["ph"].eq(8.0).all()


def test_a_few_profiles_with_exchanged_coordinates_are_counted_and_none_is_placed(opened):
    study = opened(lon=[-100.2] * 20 + [-99.7] * 10)
    path = study.data / "profiles.csv"
    profiles = pd.read_csv(path)
    profiles.loc[:2, ["lon", "lat"]] = [40.2, -100.2]  # no such latitude
    profiles.loc[3:4, ["lon", "lat"]] = [40.2, -80.2]  # possible, and in Antarctica
    profiles.to_csv(path, index=False)
    result = cleaned_study(study)
    gone = result.exclusions[result.exclusions["layer"].isna()]
    assert gone.groupby("rule")["profile_id"].agg(list).to_dict() == {
        "position missing": ["p00", "p01", "p02"],
        "outside the domain": ["p03", "p04"],
    }
    assert len(result.profiles) == N - 5 and result.profiles["lat"].eq(40.2).all()


def test_profiles_that_the_grid_does_not_cover_are_counted(opened):
    result = cleaned_study(opened(lon=[-100.2] * 10 + [-110.0] * 20))
    gone = result.exclusions[result.exclusions["layer"].isna()]
    assert gone["rule"].tolist() == ["outside the domain"] * 20
    assert set(gone["value"]) == {"lon -110, lat 40.2"} and len(result.profiles) == 10
