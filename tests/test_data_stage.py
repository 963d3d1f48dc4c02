"""Stage 1 of a study of tidy tables, from the raw folder to the tidy files."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from small_tables import N, grid_rows, small_study

from proda import __version__
from proda.data import stage
from proda.data.cleaned import read_raw_tables
from proda.data.stage import cleaned_study
from proda.errors import InputError
from proda.study import Study


def test_sites_take_the_covariates_and_the_land_cover_of_their_cell(tmp_path):
    grid = grid_rows()
    grid["npp_gC_m2_yr"] = [400.0, 500.0]
    result = cleaned_study(small_study(tmp_path, grid, lon=-99.6))
    assert len(result.profiles) == N
    assert (result.profiles["cell"] == 1).all()
    assert (result.site_covariates["npp_gC_m2_yr"] == 500.0).all()
    assert (result.profiles["land_cover"] == 10).all()
    assert "ref_whrc_soc_0_30cm_kg_m2" in result.grid


def test_settings_of_the_study_reach_the_forcing(tmp_path):
    forcing = cleaned_study(small_study(tmp_path, npp_max_multiple=1.6, soil_minus_air_temperature=2.0)).forcing
    np.testing.assert_allclose(forcing.npp_max / forcing.npp_mean, 1.6)
    np.testing.assert_allclose(forcing.soil_temperature, 285.15)


def test_a_cell_without_npp_is_left_out_and_its_profiles_are_counted(tmp_path):
    grid = grid_rows()
    grid.loc[0, "npp_gC_m2_yr"] = np.nan
    study = small_study(tmp_path, grid, lon=[-100.2] * 10 + [-99.7] * 20)
    result = cleaned_study(study)
    assert len(result.profiles) == 20 and (result.profiles["cell"] == 0).all()
    assert result.grid.attrs["cells_left_out"] == 1
    assert result.grid["lon"].to_numpy().tolist() == [-99.75]
    gone = result.exclusions[result.exclusions["rule"] == "no forcing"]
    assert gone["layer"].isna().sum() == 10 and len(gone) == 30
    raw = read_raw_tables(study.out)
    assert len(raw.layers) == 2 * N and (raw.profiles["n_layers"] == 2).all()
    assert raw.profiles["excluded_by"].fillna("kept").value_counts().to_dict() == {"kept": 20, "no forcing": 10}
    kept = raw.profiles["profile_id"][raw.profiles["excluded_by"].isna()]
    assert set(kept) == set(result.profiles["profile_id"])


def test_a_cell_without_a_covariate_is_left_out_and_its_profiles_are_counted(tmp_path):
    grid = grid_rows().astype({"koppen_class": float})
    grid.loc[0, "koppen_class"] = np.nan
    result = cleaned_study(small_study(tmp_path, grid, lon=[-100.2] * 10 + [-99.7] * 20))
    assert set(result.exclusions["rule"]) == {"no covariates"} and len(result.profiles) == 20


@pytest.mark.parametrize(
    ("npp", "koppen", "message"),
    [
        ([0, 900], [6, np.nan], r"no land cell has .* koppen_class \(.*, sites\) is missing at 10 of 30 places"),
        ([np.nan, 400], [6, 6], "npp_gC_m2_yr is missing at 67% of 30 sites, expected at most a third. Leave it out"),
    ],
)
def test_a_driver_that_leaves_no_cell_or_too_few_sites_is_named(tmp_path, npp, koppen, message):
    grid = grid_rows().assign(npp_gC_m2_yr=npp, koppen_class=koppen)
    with pytest.raises(InputError, match=message):
        cleaned_study(small_study(tmp_path, grid, lon=[-100.2] * 20 + [-99.7] * 10))


def test_a_missing_density_is_estimated_when_the_study_names_a_function(tmp_path):
    study = small_study(tmp_path, bulk_density_rule="manrique-jones-1991")
    layers = pd.read_csv(study.data / "layers.csv").assign(oc_percent=1.0, bulk_density_g_cm3=np.nan)
    layers.loc[::2, "soc_kg_m3"] = np.nan
    layers.to_csv(study.data / "layers.csv", index=False)
    result = cleaned_study(study)
    np.testing.assert_allclose(result.layers["soc"][::2], 13_420.0)
    assert result.layers["density_relative_sd"].tolist() == [0.18, 0.0] * N


def test_carbon_of_limestone_is_recognised_in_the_columns_of_the_tables(tmp_path):
    study = small_study(tmp_path)
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


def test_profiles_with_exchanged_coordinates_or_beyond_the_grid_are_counted(tmp_path):
    study = small_study(tmp_path, lon=[-100.2] * 20 + [-99.7] * 8 + [-110.0] * 2)
    path = study.data / "profiles.csv"
    profiles = pd.read_csv(path)
    profiles.loc[:2, ["lon", "lat"]] = [40.2, -100.2]  # no such latitude
    profiles.loc[3:4, ["lon", "lat"]] = [40.2, -80.2]  # possible, and in Antarctica
    profiles.to_csv(path, index=False)
    result = cleaned_study(study)
    gone = result.exclusions[result.exclusions["layer"].isna()]
    assert gone.groupby("rule")["profile_id"].agg(list).to_dict() == {
        "position missing": ["p00", "p01", "p02"],
        "outside the domain": ["p03", "p04", "p28", "p29"],
    }
    assert "lon -110, lat 40.2" in set(gone["value"]) and len(result.profiles) == N - 7


def test_identifiers_that_look_like_numbers_or_missing_values_come_back_as_they_were(tmp_path):
    study = small_study(tmp_path)
    odd = ["007", "7", "1e5", "-nan", "<NA>", "#NA", "1.#IND", "True", "a,b", 'a "b"', "é", "日本", "=1+1", "x'y", "-1"]
    ids = [f"kept {name}" for name in odd] + odd
    for name, part in (("profiles", slice(0, N)), ("layers", slice(0, N + N // 2))):
        table = pd.read_csv(study.data / f"{name}.csv")
        each = ids if name == "profiles" else [*np.repeat(ids[: N // 2], 2), *odd]
        table.iloc[part].assign(profile_id=each).to_csv(study.data / f"{name}.csv", index=False)
    result = cleaned_study(study)
    assert sorted(result.profiles["profile_id"]) == sorted(ids[: N // 2])
    gone = result.exclusions[result.exclusions["layer"].isna()]
    assert gone["profile_id"].tolist() == odd and set(gone["rule"]) == {"too few layers"}


def test_a_stage_that_cannot_be_read_back_is_not_complete(tmp_path, monkeypatch):
    study = small_study(tmp_path)
    monkeypatch.setattr(stage, "write_covariates", lambda *given: pd.DataFrame({"place": []}).to_parquet(given[3]))
    with pytest.raises(InputError, match=r"covariates.parquet: no column cell, profile_id, site; it has place"):
        cleaned_study(study)
    assert study.faults()["01-data-cleaning"].startswith("failed: ")


def test_every_file_names_the_version_and_the_study(tmp_path):
    study = small_study(tmp_path)
    cleaned_study(study)
    for name in ("profiles", "layers", "covariates", "raw_profiles", "raw_layers"):
        attributes = pd.read_parquet(study.path(f"{name}.parquet")).attrs
        assert (attributes["proda_version"], attributes["proda_study"]) == (__version__, "your-region-demo")
    for name in ("forcing.nc", "grid.nc"):
        with xr.open_dataset(study.path(name)) as file:
            assert file.attrs["history"] == f"written by proda {__version__} for the study your-region-demo"


def test_the_other_configuration_needs_monthly_forcing(tmp_path):
    study = small_study(tmp_path)
    file = tmp_path / "own.toml"
    file.write_text(study.file.read_text().replace('configuration = "paper"', 'configuration = "cesm2"'))
    with pytest.raises(InputError, match="'cesm2' takes monthly forcing, and that of half-degree-table is annual"):
        cleaned_study(Study.open(file, data=study.data, out=tmp_path / "out"))


def test_no_value_of_a_reference_map_reaches_the_network_or_the_model(tmp_path):
    results = []
    for factor in (1.0, 7.0):
        grid = grid_rows()
        references = [name for name in grid if name.startswith("ref_")]
        grid[references] *= factor
        results.append(cleaned_study(small_study(tmp_path / f"{factor:g}", grid)))
    one, other = results
    assert references and not np.array_equal(one.grid[references[0]], other.grid[references[0]])
    pd.testing.assert_frame_equal(one.site_covariates, other.site_covariates)
    pd.testing.assert_frame_equal(one.cell_covariates, other.cell_covariates)
    assert not [name for name in one.site_covariates if name.startswith("ref_")]
    for field, same in zip(one.forcing, other.forcing, strict=True):
        np.testing.assert_array_equal(field, same)
