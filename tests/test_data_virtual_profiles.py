"""The virtual study: its truth is known, its profiles are the model's, its faults are found by their rules."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from proda.data.grid import cells_at
from proda.data.region import Region, conterminous_land
from proda.data.stage import cleaned_study
from proda.data.virtual_profiles import VirtualContinent, pits, virtual_continent, write_raw_profiles
from proda.model.configuration import CONFIGURATIONS
from proda.model.observation import layer_means
from proda.model.parameters import default_parameters
from proda.model.solver import soc_density, steady_state
from proda.study import Study

SEED = 20200017
CONTERMINOUS_US = Region("", conterminous_land(), 0.5)


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def continent(request):
    return virtual_continent(CONTERMINOUS_US, SEED, CONFIGURATIONS[request.param])


@pytest.fixture(scope="module", params=["virtual", "virtual-cesm2"])
def study(request, tmp_path_factory) -> Study:
    return Study.open(request.param, scale="tiny", out=tmp_path_factory.mktemp("virtual") / "out")


@pytest.fixture(scope="module")
def result(study):
    return cleaned_study(study)


def test_profiles_without_error_are_the_models(continent):
    dug = pits(40, continent, SEED, relative_sd=0.0)
    cell, _ = cells_at(dug.profiles["lon"], dug.profiles["lat"], continent.cells)
    forcing = continent.forcing.take(cell)
    soc = continent.soc(dug.x, forcing)
    row = dug.layers["profile_id"].map(pd.Series(range(40), dug.profiles["profile_id"])).to_numpy()
    bounds = (dug.layers[name].to_numpy() for name in ("upper_depth_m", "lower_depth_m"))
    np.testing.assert_allclose(
        1000 * dug.layers["soc_kg_m3"], layer_means(soc, row, *bounds, continent.configuration.column), rtol=1e-12
    )


def test_the_error_of_observation_is_thirty_percent_and_unbiased(continent):
    made = pits(3000, continent, SEED)
    exact = pits(3000, continent, SEED, relative_sd=0.0)
    ratio = made.layers["soc_kg_m3"] / exact.layers["soc_kg_m3"]
    assert ratio.min() > 0
    assert ratio.mean() == pytest.approx(1.0, abs=0.01)
    assert ratio.std() == pytest.approx(0.3, abs=0.01)


def test_the_same_seed_writes_the_same_files(continent, tmp_path):
    for name in ("one", "two"):
        write_raw_profiles(continent, 30, SEED, tmp_path / name)
    for name in ("profiles.csv", "layers.csv", "planted_faults.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    write_raw_profiles(continent, 30, SEED + 1, tmp_path / "other")
    assert (tmp_path / "one/layers.csv").read_bytes() != (tmp_path / "other/layers.csv").read_bytes()


def test_every_planted_fault_is_found_by_its_rule_and_nothing_else_is(study, result):
    planted = pd.read_csv(study.path("raw/planted_faults.csv"), dtype={"layer": "Int64"})
    rules_for_profiles = set(planted.loc[planted["layer"].isna(), "rule"])
    excluded = result.exclusions
    direct = excluded[excluded["layer"].isna() | ~excluded["rule"].isin(rules_for_profiles)]

    def listed(table):
        return set(table[["profile_id", "layer", "rule"]].astype(str).itertuples(index=False, name=None))

    assert listed(direct) == listed(planted)
    assert len(planted["rule"].unique()) == 10


def test_all_sound_profiles_survive_and_rows_in_are_rows_out_plus_rows_excluded(study, result):
    assert len(result.profiles) == study["n_profiles"]
    assert result.profiles["n_layers"].min() >= 2
    whole = result.exclusions["layer"].isna()
    assert len(pd.read_csv(study.path("raw/profiles.csv"))) == len(result.profiles) + whole.sum()
    assert len(pd.read_csv(study.path("raw/layers.csv"))) == len(result.layers) + (~whole).sum()


def test_the_truth_belongs_to_its_sites_and_covariates_explain_what_the_defaults_cannot(study, result):
    truth = xr.load_dataset(study.path("truth.nc"))
    cell = result.profiles["cell"].to_numpy()
    configuration = result.configuration
    continent = VirtualContinent(None, None, None, result.forcing)
    soc = continent.soc(truth["x_site"].to_numpy(), result.forcing.take(cell))
    np.testing.assert_allclose(truth["soc_site"], soc, rtol=1e-9)
    assert truth["profile_id"].to_numpy().tolist() == result.profiles["profile_id"].tolist()
    forcing, layers = result.forcing, result.layers
    default = default_parameters(forcing, result.grid["sand_percent"], configuration.parameters)
    default = soc_density(steady_state(default, forcing, configuration))
    smooth = truth["soc_cell"].to_numpy()

    def r2(soc):
        bounds = layers["upper_depth"].to_numpy(), layers["lower_depth"].to_numpy()
        modelled = layer_means(soc, cell[layers["site"].to_numpy()], *bounds, configuration.column)
        return np.corrcoef(modelled, layers["soc"])[0, 1] ** 2

    assert 2.0 < default.mean() / smooth.mean() < 4.5
    assert r2(default) < 0.55 < 0.65 < r2(smooth)
