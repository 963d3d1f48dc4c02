"""Stage 5 on small studies whose truth is known."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from proda.errors import InputError, MissingOutput
from proda.learning.paper_network import loaded_network, paper_results, trained_predictor, write_paper_results
from proda.learning.stage import HybridTraining, NetworkTraining, training_rows, write_training
from proda.learning.training_data import network_inputs
from proda.model.parameters import PAPER_PARAMETERS, cwd_share
from proda.study import Study

N_SITES, N_CELLS, N_COVARIATES = 300, 90, 6
STUDY = """
title = "A made-up study"
seed = 11
[source]
kind = "virtual"
[settings]
epochs = 40
batch_size = 16
network_folds = 2
network_block_km = 400.0
hybrid_members = 2
hybrid_epochs = 2
hybrid_prior_weight = 0.0
[scales.tiny]
"""


def made_up(file: Path, settings: dict | None = None) -> Study:
    """A study whose first two stages are done: six parameters follow from covariates, the others from nothing."""
    study = Study.open(file, "tiny", out=file.parent / "out", settings=settings)
    rng = np.random.default_rng(20200017)
    n_sites, n_cells, n_covariates = N_SITES, N_CELLS, N_COVARIATES
    covariates = rng.uniform(0, 30, (n_sites + n_cells, n_covariates))
    covariates[:n_sites] *= 0.95  # some cells lie beyond the sites
    unit = covariates / 30
    truth = rng.random((n_sites + n_cells, 25))
    for i in range(6):
        truth[:, i] = 0.05 + 0.9 * unit[:, i % n_covariates] ** (0.5 + i / 4)
    mean = 0.5 + np.where(np.arange(25) < 6, 0.7, 0.05) * (truth - 0.5) + 0.03 * rng.standard_normal(truth.shape)
    used = rng.random(n_sites) < 0.95
    ids = np.array([f"made_{i:04d}" for i in range(n_sites)])
    keys = pd.DataFrame(
        {
            "place": ["site"] * n_sites + ["cell"] * n_cells,
            "profile_id": pd.array([*ids, *[None] * n_cells], dtype="string"),
            "site": pd.array([*range(n_sites), *[None] * n_cells], dtype="Int64"),
            "cell": [*rng.integers(0, n_cells, n_sites), *range(n_cells)],
        }
    )
    values = pd.DataFrame(covariates, columns=[f"covariate_{i}" for i in range(n_covariates)])
    with study.stage("01-data-cleaning") as folder:
        pd.concat([keys, values], axis=1).to_parquet(folder / "covariates.parquet")
        x = {"x_site": (("parameter", "site"), truth[:n_sites].T), "x_cell": (("parameter", "cell"), truth[n_sites:].T)}
        x |= {f"soc_{p}": (("layer", p), np.ones((10, n))) for p, n in (("site", n_sites), ("cell", n_cells))}
        xr.Dataset(x, {"parameter": list(PAPER_PARAMETERS.names)}).to_netcdf(folder / "truth.nc")
    with study.stage("04-site-by-site-assimilation") as folder:
        sd = np.broadcast_to(np.where(np.arange(25) < 6, 0.15, 0.285), (n_sites, 25))
        x = {"x_mean": np.where(used[:, None], mean[:n_sites], np.nan), "x_sd": sd}
        sites = xr.Dataset(
            {name: (("site", "parameter"), values) for name, values in x.items()},
            {"profile_id": ("site", ids.astype(object)), "parameter": np.array(PAPER_PARAMETERS.names, dtype=object)},
        )
        sites.to_zarr(folder / "sites.zarr", consolidated=False)
        status = pd.DataFrame({"profile_id": ids, "site": np.arange(n_sites), "used_downstream": used})
        status.to_csv(folder / "site_status.csv", index=False)
    return study


def network_training(study: Study):
    """The part of the stage that is the paper's network, as a stage of its own."""
    with study.stage("05-network-training") as folder:
        results = paper_results(study, network_inputs(study))
        write_paper_results(results, folder)
    return results


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "made-up.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def study(file: Path) -> Study:
    return made_up(file)


@pytest.fixture(scope="module")
def trained(study: Study):
    return network_training(study)


@pytest.fixture
def fresh(tmp_path: Path) -> Study:
    path = tmp_path / "made-up.toml"
    path.write_text(STUDY)
    return made_up(path, {"epochs": 1})


def test_the_stages_files_hold_what_it_returns(study, trained):
    pd.testing.assert_frame_equal(pd.read_parquet(study.path("network_parameters.parquet")), trained.parameters)
    curve = pd.read_csv(study.path("training.csv"))
    assert list(curve.columns) == ["epoch", "loss", "validation_loss", "kept"] and len(curve) == 40
    description = json.loads(study.path("network.json").read_text())
    assert [name for name, *_ in description["parameters"]] == list(PAPER_PARAMETERS.names)
    assert description["study"] == "made-up-tiny"
    study.require("05-network-training")


def test_every_site_and_every_cell_has_parameters_a_model_accepts(trained):
    assert len(trained.at("site")) == N_SITES and len(trained.at("cell")) == N_CELLS
    x = trained.parameters[list(PAPER_PARAMETERS.names)].to_numpy()
    assert np.isfinite(x).all() and x.min() >= 0 and x.max() <= 1
    theta = PAPER_PARAMETERS.minimum + x * (PAPER_PARAMETERS.maximum - PAPER_PARAMETERS.minimum)
    assert cwd_share(theta.T).min() > 0
    assert trained.at("cell")["split"].isna().all()
    assert set(trained.at("site")["split"]) == {"train", "validation", "test", "unused"}


def test_parameters_that_follow_from_the_covariates_are_recovered_and_the_others_named_as_not(trained):
    skill = trained.skill.set_index("parameter")
    known, unknown = list(PAPER_PARAMETERS.names[:6]), list(PAPER_PARAMETERS.names[6:])
    assert skill.loc[known, "truth_r_map"].min() > 0.6 and skill.loc[known, "recovered"].all()
    assert not skill.loc[unknown, "recovered"].any()
    assert skill.loc[known, "constrained"].all() and not skill.loc[unknown, "constrained"].any()


def test_what_is_mapped_is_trained_on_all_sites_in_use_and_what_is_scored_is_not(trained):
    notes = trained.predictor.notes
    assert notes["sites"] == {"train": int(trained.inputs.used.sum()), "unused": int((~trained.inputs.used).sum())}
    assert notes["kept_epoch"] == trained.curve["epoch"][trained.curve["kept"]].iloc[0]
    mapped = trained.predictor(trained.inputs.site_covariates).x
    assert (mapped != trained.at("site")[list(PAPER_PARAMETERS.names)].to_numpy()).any()


def test_neither_scaling_nor_weights_change_when_the_test_sites_do(study, trained, tmp_path):
    inputs, split = trained.inputs, trained.split
    unseen = (split == "test") | (split == "unused")
    covariates = inputs.site_covariates.copy()
    covariates.loc[unseen] = covariates.loc[unseen] * 7 - 100
    again, curve = trained_predictor(study, inputs._replace(site_covariates=covariates), split)
    first, _ = trained_predictor(study, inputs, split)
    np.testing.assert_array_equal(again.encoding.scaled_by, first.encoding.scaled_by)
    for before, after in zip(first.network.get_weights(), again.network.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    pd.testing.assert_frame_equal(curve, trained.curve)


def test_the_loaded_network_gives_the_stages_parameters_again(study, trained):
    names = list(PAPER_PARAMETERS.names)
    prediction = loaded_network(study.out)(trained.inputs.cell_covariates)
    np.testing.assert_array_equal(prediction.x, trained.at("cell")[names].to_numpy())


def test_the_grids_ranges_scale_when_asked_for(fresh):
    study = made_up(fresh.file, {"epochs": 1, "network_scaling": "grid"})
    result = network_training(study)
    encoding = result.predictor.encoding
    np.testing.assert_array_equal(encoding.scaled_by[1], result.inputs.cell_covariates.max())
    assert (encoding.training_range[1] < encoding.scaled_by[1]).any()


def test_nothing_is_written_when_the_assimilation_is_of_other_sites(fresh):
    status = pd.read_csv(fresh.path("site_status.csv"))
    with fresh.stage("04-site-by-site-assimilation") as folder:
        fresh.path("sites.zarr").rename(folder / "sites.zarr")
        status[::-1].to_csv(folder / "site_status.csv", index=False)
    with pytest.raises(InputError, match=r"site_status\.csv: site 0 is profile 'made_0299'.*'made_0000'"):
        network_training(fresh)
    assert not fresh.path("network.keras").exists()
    with pytest.raises(MissingOutput):
        fresh.require("05-network-training")


def test_hybrid_and_network_have_the_same_test_sites(trained):
    known = np.flatnonzero(trained.inputs.used)
    rows = training_rows(trained.split, known)
    assert set(trained.split[known[rows]]) == {"train", "validation"}
    assert (np.delete(trained.split[known], rows) == "test").all()


@pytest.mark.parametrize(
    ("name", "break_it", "message"),
    [
        (
            "hybrid_parameters.nc",
            lambda folds, maps: maps["x_cell"].values.fill(np.nan),
            "x_cell has no number at 200 of",
        ),
        ("folds.nc", lambda folds, maps: folds["soc"].values.fill(np.nan), "soc has no number at 24 of 24 places"),
        ("", lambda folds, maps: None, ""),
    ],
)
def test_training_whose_files_cannot_be_used_is_not_complete(study, trained, tmp_path, name, break_it, message):
    names = {"parameter": list(PAPER_PARAMETERS.names)}
    hybrid = xr.Dataset(coords=names).assign(
        x_site=(("member", "site", "parameter"), np.full((2, 3, 25), 0.5)),
        x_cell=(("member", "cell", "parameter"), np.full((2, 4, 25), 0.5)),
        extrapolated_cell=("cell", np.zeros(4)),
        **dict.fromkeys(("unseen_log_variance", "common_log_variance"), ("stratum", np.ones(3))),
    )
    folds = xr.Dataset({"soc": (("approach", "kind", "repeat", "obs"), np.ones((2, 2, 1, 6)))})
    folds["fold"] = ("kind", "repeat", "site"), np.zeros((2, 1, 3))
    folds = folds.assign(dict.fromkeys(("observed", "depth", "of_site"), ("obs", np.ones(6))))
    break_it(folds, hybrid)
    curve = trained.curve
    results = NetworkTraining(trained, folds, curve, HybridTraining(curve, trained.predictor, hybrid), None)
    if not name:
        return write_training(results, tmp_path)
    with pytest.raises(InputError, match=f"{name}: {message}"):
        write_training(results, tmp_path)
