"""Files of a study folder that are not as they should be: each reader names the file and what it lacks."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from made_sites import SHORT, few_sites, study_in
from small_study import finish
from synthetic_study import FolderStudy, small_results, write_study

from proda.assimilation import stage as assimilation
from proda.assimilation.one_batch import OneBatch
from proda.assimilation.results import read_posterior
from proda.assimilation.store import site_status
from proda.data.cleaned import read_raw_tables
from proda.data.covariates import read_covariates
from proda.data.files import known_truth, read_layers, read_profiles, read_site_status
from proda.data.forcing import read_forcing
from proda.data.grid import read_grid
from proda.errors import InputError, ProdaError
from proda.kernels.metropolis import Schedule
from proda.learning.stage import read_predicted
from proda.maps.netcdf import read_maps, write_product
from proda.maps.scores import read_densities
from proda.maps.stage import write_results
from proda.model.parameters import PAPER_PARAMETERS
from proda.stage import ONE_BATCH, SITE_BY_SITE


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("made"), n_sites=40, resolution=5.0)


@pytest.fixture
def study(made, tmp_path):
    """A folder of the study's files that may be changed."""
    shutil.copytree(made.out, tmp_path / "study")
    return type(made)(tmp_path / "study")


# File: what opens it, and a variable that has a number everywhere (of a table: a column).
NETCDF = {
    "forcing.nc": (lambda study: read_forcing(study.path("forcing.nc")), "npp_mean"),
    "grid.nc": (lambda study: read_grid(study.path("grid.nc")), "sand_percent"),
    "truth.nc": (known_truth, "x_cell"),
    "one_batch.nc": (lambda study: read_posterior(study.path("one_batch.nc")), "x"),
    "hybrid_parameters.nc": (lambda study: read_predicted(study.out), "x_cell"),
}
TABLES = {
    "profiles.parquet": (lambda study: read_profiles(study.path("profiles.parquet")), "cell"),
    "layers.parquet": (lambda study: read_layers(study.path("layers.parquet")), "soc"),
    "network_parameters.parquet": (lambda study: read_predicted(study.out), "q10"),
    "site_status.csv": (lambda study: read_site_status(study.path("site_status.csv")), "used_downstream"),
    "network_skill.csv": (lambda study: read_predicted(study.out), "parameter"),
}


@pytest.mark.parametrize("name", [*NETCDF, "profiles.parquet", "layers.parquet", "network_parameters.parquet"])
def test_a_file_that_is_cut_short_is_named(study, name):
    path = study.path(name)
    read, _ = (NETCDF | TABLES)[name]
    read(study)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=rf"{name}: cannot be read \(.*Cut short\? Run the notebook"):
        read(study)
    path.unlink()
    if name != "truth.nc":  # which studies of real profiles have not
        with pytest.raises(InputError, match=rf"{name}: no such file. Run notebook 0\d-"):
            read(study)


@pytest.mark.parametrize("name", NETCDF)
def test_a_missing_variable_other_dimensions_and_no_number_are_named(study, name):
    (read, variable), path = NETCDF[name], study.path(name)
    group = "posterior" if name == "one_batch.nc" else None
    content = xr.load_dataset(path, group=group)
    turned = xr.Variable(("elsewhere", *content[variable].dims[1:]), content[variable].values)
    gap = content[variable].copy(deep=True)
    gap.values.flat[0] = np.nan
    faults = {
        f"{variable} is missing, expected {variable}": content.drop_vars(variable),
        f"{variable} has the dimensions .*'elsewhere'": content.assign({variable: turned}),
        f"{variable} (has no number at 1 of|is nan)": content.assign({variable: gap}),
    }
    for message, broken in faults.items():
        broken.to_netcdf(path, group=group, mode="w")
        with pytest.raises(InputError, match=rf"{name}: {message}"):
            read(study)


@pytest.mark.parametrize("name", TABLES)
def test_a_missing_column_and_a_gap_are_named(study, name):
    (read, column), path = TABLES[name], study.path(name)
    table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    table = read(study) if name == "profiles.parquet" else table  # with points
    gap = table.astype({column: object})
    gap.loc[1, column] = None
    for message, broken in {
        f"no column {column}": table.drop(columns=column),
        f"row 1: {column} is missing": gap,
    }.items():
        broken.to_csv(path, index=False) if path.suffix == ".csv" else broken.to_parquet(path)
        with pytest.raises(InputError, match=rf"{name}[:,] {message}"):
            read(study)


def test_covariates_without_a_value_are_named(tmp_path):
    path = tmp_path / "covariates.parquet"
    table = pd.DataFrame({"place": ["site", "cell"], "profile_id": ["a", None], "site": [0, None], "cell": [0, 0]})
    table.assign(BIO1=[1.0, np.nan]).to_parquet(path)
    with pytest.raises(InputError, match=r"covariates.parquet, row 0: BIO1 is missing"):
        read_covariates(path)


def test_raw_tables_without_their_layers_are_named(tmp_path):
    table = pd.DataFrame({"profile_id": ["a"], "source": "S", "lon": 0.0, "lat": 0.0, "excluded_by": None})
    table.to_parquet(tmp_path / "raw_profiles.parquet")
    with pytest.raises(InputError, match=r"raw_layers.parquet: no such file"):
        read_raw_tables(tmp_path)


def test_identifiers_of_sites_stay_text(tmp_path):
    (tmp_path / "site_status.csv").write_text("profile_id,site,used_downstream\n0012,0,True\n")
    read = read_site_status(tmp_path / "site_status.csv")
    assert read["profile_id"].tolist() == ["0012"] and read["used_downstream"].dtype == bool


def test_other_parameters_than_the_models_are_refused(study):
    path = study.path("hybrid_parameters.nc")
    names = list(PAPER_PARAMETERS.names)
    xr.load_dataset(path).assign_coords(parameter=names[::-1]).to_netcdf(path)
    with pytest.raises(InputError, match=r"hybrid_parameters.nc: expected the parameters of x_site to be those of"):
        read_predicted(study.out)


# Whole stages.


@pytest.mark.parametrize("name", ["table.csv", "table.parquet", "field.nc", "summary.json"])
def test_a_stage_that_leaves_a_file_cut_short_is_not_complete(opened, name):
    study, table = opened(), pd.DataFrame({"a": np.arange(50.0)})
    write = {
        "table.csv": lambda to: table.to_csv(to, index=False),
        "table.parquet": table.to_parquet,
        "field.nc": table.to_xarray().to_netcdf,
        "summary.json": lambda to: to.write_text(json.dumps(table.to_dict())),
    }[name]
    with pytest.raises(ProdaError, match=f"{name} cannot be read back"), study.stage("01-data-cleaning") as folder:
        write(folder / name)
        (folder / name).write_bytes((folder / name).read_bytes()[:-3])
    assert "cannot be read back" in study.faults()["01-data-cleaning"] and not study.path(name).exists()
    with study.stage("01-data-cleaning") as folder:
        write(folder / name)
    study.require("01-data-cleaning")


@pytest.fixture
def assimilated(tmp_path, monkeypatch):
    """A study whose stage 1 counts as done, and a problem that its stages 3 and 4 take for its own."""
    study, problem = study_in(tmp_path / "out"), few_sites(4)
    finish(study, "01-data-cleaning")
    cleaned = small_results().inputs  # any profiles and layers will do
    profiles = cleaned.sites.head(4).assign(profile_id=problem.profile_id)
    made = type("Cleaned", (), {"profiles": profiles, "layers": cleaned.layers, "forcing": problem.forcing})
    monkeypatch.setattr(assimilation, "read_cleaned_study", lambda study: made)
    monkeypatch.setattr(assimilation, "site_problem", lambda *given: problem)
    return study


def test_one_batch_without_a_number_is_not_complete(assimilated, monkeypatch, rng):
    x = rng.random((3, 10, 25))
    x[1, 2, 3] = np.nan
    parts = x, rng.random((3, 10)), np.full((3, 2), 0.3), np.ones(3), 1.0, np.full((3, 10, 2), np.nan)
    monkeypatch.setattr(assimilation, "one_batch_posterior", lambda *given: OneBatch(*parts))
    with pytest.raises(InputError, match=r"one_batch.nc: x has no number at 1 of 750 places"):
        assimilation.one_batch_assimilation(assimilated)
    assert "one_batch.nc: x has no number" in assimilated.faults()[ONE_BATCH]


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        ("x/c/0/0/0/0", "sites.zarr: x of profile 'P0' has no numbers, contrary to its status"),
        ("x_mean/c/0/0", "sites.zarr: x_mean of profile 'P0' has no numbers"),
        ("x_sd", "sites.zarr: x_sd is missing, expected x_sd (site, parameter)"),
        ("zarr.json", "sites.zarr: cannot be read"),
    ],
)
def test_a_store_of_sites_that_has_lost_a_file_is_not_complete(assimilated, monkeypatch, chunk, message):
    monkeypatch.setattr(assimilation, "site_plan", lambda settings: SHORT._replace(schedule=Schedule(60, 60, 60, 2)))

    def losing(*given):
        status = site_status(*given)
        lost = next(assimilated.out.rglob("sites.zarr")) / chunk
        shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
        return status

    monkeypatch.setattr(assimilation, "site_status", losing)
    with pytest.raises(InputError) as refused:
        assimilation.site_assimilation(assimilated)
    assert message in str(refused.value)
    assert "sites.zarr" in assimilated.faults()[SITE_BY_SITE]


def test_maps_with_a_gap_on_land_or_without_their_densities_are_refused(tmp_path):
    results, path = small_results(), tmp_path / "soc_maps.nc"
    write_results(results, FolderStudy(tmp_path), tmp_path)
    product = read_maps(path)
    maps = results.maps.copy(deep=True)
    maps["soc"].loc[{"parameterisation": "hybrid", "cell": 3}] = np.nan
    with pytest.raises(InputError, match=r"soc_maps.nc: soc_density has a value in \d+ of \d+ land cells"):
        write_results(results._replace(maps=maps), FolderStudy(tmp_path), tmp_path)
    write_product(product.drop_vars("soc_density"), path)
    with pytest.raises(InputError, match=r"soc_maps.nc: expected soc_density .*KeyError"):
        read_densities(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"soc_maps.nc: cannot be read"):
        read_maps(path)
