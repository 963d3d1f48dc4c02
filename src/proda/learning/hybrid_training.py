"""The hybrid of a study: taught by the same sites as the paper's network, with its error on withheld land.

How wrong the ensemble is about the mean carbon of a cell: its members' spread, and what that does not show.

Members that learnt from the same profiles agree more than they are right. What is missing is measured where blocks of
land were withheld. The logarithm of observed over predicted carbon at site j of cell i is taken as b + c_i + e_ij: a
bias, an error that the sites of a cell share, and the scatter of single profiles. Scatter within cells gives the
variance of e, means of cells that of b + c (the analysis of variance of one factor), and only the latter is an error of
the map.

A trained ensemble with all it needs to be used: encoding of covariates, names, notes. Saved as two files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.learning import splits
from proda.learning.distillation import distilled, trained_on_layers
from proda.learning.encoding import Encoding, n_bins_of
from proda.learning.ensemble import member_parameters
from proda.learning.hybrid import HybridPlan
from proda.learning.paper_network import STAGE, check_parameters, described_network, write_described
from proda.learning.splits import BLOCKS
from proda.learning.training_data import Inputs, TrainingData
from proda.model.configuration import STRATA, interval_name
from proda.model.parameters import PAPER_PARAMETERS, with_positive_cwd_share
from proda.study import Study

WIDTH_90 = 1.645
LEAST_PAIRS = 10  # degrees of freedom within cells; with fewer all scatter is counted as error of the map


class CellResiduals(NamedTuple):
    """Withheld cells, (n_cells,) each: mean logarithm of observed over predicted carbon, number of sites, variance of
    the members' logarithm, the block that the cell lies in, mean carbon as observed and as predicted; and `within`, the
    variance of single profiles."""

    mean: NDArray[np.float64]
    n: NDArray[np.int64]
    members: NDArray[np.float64]
    block: NDArray[np.int64]
    observed: NDArray[np.float64]
    predicted: NDArray[np.float64]
    within: float

    def part(self, rows: NDArray[np.bool_]) -> CellResiduals:
        """The cells `rows`."""
        return CellResiduals(*(values[rows] for values in self[:-1]), self.within)


def cell_residuals(
    cell: ArrayLike, block: ArrayLike, observed: ArrayLike, predicted: ArrayLike, log_sd: ArrayLike
) -> CellResiduals:
    """Residuals of withheld sites by cell.

    Parameters
    ----------
    cell, block : (n_sites,) int
    observed, predicted : (n_sites,)
        Such as the mean of the layers above 30 cm, in one unit; NaN at sites that have none.
    log_sd : (n_sites,)
        Standard deviation over the members of the logarithm of the prediction.

    Raises
    ------
    InputError
        When there are no two blocks to compare.
    """
    table = pd.DataFrame({"cell": cell, "block": block, "o": observed, "p": predicted, "v": np.square(log_sd)})
    table = table[np.isfinite(table[["o", "p", "v"]]).all(axis=1) & (table["o"] > 0) & (table["p"] > 0)]
    if table["block"].nunique() < 2:
        raise InputError(f"{len(table)} withheld sites in {table['block'].nunique()} block(s): expected at least 2 "
                         "blocks, to tell how wrong the map is. Take smaller blocks (network_block_km).")  # fmt: skip
    table["r"] = np.log(table["o"] / table["p"])
    groups = table.groupby("cell")
    freedom = len(table) - groups.ngroups
    scatter = float(((table["r"] - groups["r"].transform("mean")) ** 2).sum())
    within = scatter / freedom if freedom >= LEAST_PAIRS else 0.0
    # The model predicts means: of a skewed scatter of that variance the logarithm lies lower by half of it.
    found = groups.agg(
        mean=("r", "mean"),
        n=("r", "size"),
        members=("v", "mean"),
        block=("block", "first"),
        o=("o", "mean"),
        p=("p", "mean"),
    )
    found["mean"] += within / 2.0
    return CellResiduals(*(found[name].to_numpy() for name in found), within)


def unseen_variance(residuals: CellResiduals) -> float:
    """Variance of the logarithm of a cell's mean carbon that the members do not show, bias included; 0 or more."""
    weight = residuals.n / residuals.n.sum()
    seen = residuals.within / residuals.n + residuals.members
    return max(0.0, float(np.sum(weight * (residuals.mean**2 - seen))))


def common_variance(residuals: CellResiduals) -> float:
    """Second moment of the relative error that all land has in common, the part that does not average out in a total.

    The logarithm of the ratio of all observed to all predicted carbon, squared, and how well the blocks tell that ratio
    (the variance of a ratio of sums over clusters, Cochran 1977, section 6.3; a single block cannot say).
    """
    observed, predicted = residuals.observed, residuals.predicted
    ratio = observed.sum() / predicted.sum()
    by_block = pd.Series((observed - ratio * predicted) / observed.sum()).groupby(residuals.block).sum()
    n_blocks = len(by_block)
    return float(np.log(ratio) ** 2 + np.square(by_block).sum() * n_blocks / max(n_blocks - 1, 1))


def coverage(residuals: CellResiduals, seed: int) -> float:
    """Part of the withheld cells whose observed mean lies in its 90 % interval, the unseen variance from other blocks.

    The blocks are halved at random; each half is judged by what the other half says. The scatter of a cell's few
    profiles is part of the interval here, for the true mean is unknown.
    """
    blocks = np.random.default_rng(seed).permutation(np.unique(residuals.block))
    first = np.isin(residuals.block, blocks[: blocks.size // 2])
    held = np.zeros(first.size, dtype=bool)
    for judged in (first, ~first):
        variance = residuals.members + residuals.within / residuals.n + unseen_variance(residuals.part(~judged))
        held[judged] = (np.abs(residuals.mean) <= WIDTH_90 * np.sqrt(variance))[judged]
    return float(held.mean())


NETWORKS_FILE, DESCRIPTION_FILE = "hybrid.keras", "hybrid.json"


class EnsemblePrediction(NamedTuple):
    """Parameters of every member, (n_members, n, 25), unit cube, and how many covariates were never met, (n,)."""

    x: NDArray[np.float64]
    extrapolated: NDArray[np.int64]


@dataclass(frozen=True)
class HybridPredictor:
    """Covariates in their own units in, parameters of every member out.

    Attributes
    ----------
    networks : keras.Model
        `proda.learning.ensemble`; plain Keras loads them.
    encoding : Encoding
    notes : dict
        Whatever else is to be known about the training; kept in hybrid.json.
    parameters : tuple of str
    """

    networks: keras.Model
    encoding: Encoding
    notes: dict[str, Any] = field(default_factory=dict)
    parameters: tuple[str, ...] = PAPER_PARAMETERS.names

    def __post_init__(self) -> None:
        shapes = {tensor.name: tensor.shape[-1] for tensor in self.networks.inputs}
        expected = {"numbers": self.encoding.shape.n_numbers}
        if self.encoding.codes:
            expected["classes"] = len(self.encoding.codes)
        n_parameters = self.networks.output_shape[-1]
        if shapes != expected or n_parameters != len(self.parameters):
            raise InputError(
                f"the networks take {shapes} and give {n_parameters} parameters, their description names {expected} "
                f"and {len(self.parameters)}: {NETWORKS_FILE} and {DESCRIPTION_FILE} do not belong together."
            )

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of the covariates, in the order of their table."""
        return self.encoding.names

    @property
    def n_members(self) -> int:
        return int(self.networks.output_shape[1])

    def __call__(self, frame: pd.DataFrame, source: str = "covariates") -> EnsemblePrediction:
        """Parameters at the places of `frame`, which has the covariates of the training, all of them, in their order.

        Raises
        ------
        InputError
            When the covariates are others, in another order, or missing at some place.
        """
        x = member_parameters(self.networks, self.encoding.encoded(frame, source))
        inside = np.stack([with_positive_cwd_share(member)[0] for member in x])
        return EnsemblePrediction(inside, self.encoding.n_beyond(frame, source))


def save_hybrid(predictor: HybridPredictor, folder: str | Path) -> None:
    """Write hybrid.keras and hybrid.json into `folder`."""
    told = {**predictor.notes, "parameters": list(predictor.parameters), "encoding": predictor.encoding.as_dict()}
    write_described(predictor.networks, told, folder, NETWORKS_FILE, DESCRIPTION_FILE)


def loaded_hybrid(folder: str | Path) -> HybridPredictor:
    """The ensemble saved in `folder`, usually a study folder.

    Raises
    ------
    MissingOutput
        When one of the two files is not there.
    InputError
        When a file cannot be read, the two do not belong together, or the parameters are not this package's.
    """
    with described_network(folder, NETWORKS_FILE, DESCRIPTION_FILE) as (networks, notes):
        encoding, parameters = Encoding.from_dict(notes.pop("encoding")), tuple(notes.pop("parameters"))
    check_parameters(parameters, Path(folder) / DESCRIPTION_FILE)
    return HybridPredictor(networks, encoding, notes, parameters)


PARAMETERS_FILE = "hybrid_parameters.nc"


class HybridTraining(NamedTuple):
    """What is left behind: hybrid_training.csv, hybrid.keras with hybrid.json, and hybrid_parameters.nc.

    Attributes
    ----------
    curve : DataFrame
        `epoch`, `loss`.
    predictor : HybridPredictor
    parameters : Dataset
        `x_site` (member, site, parameter), `x_cell` (member, cell, parameter), `extrapolated_site`,
        `extrapolated_cell`, and `unseen_log_variance`, `common_log_variance`, `coverage` (stratum).
    """

    curve: pd.DataFrame
    predictor: HybridPredictor
    parameters: xr.Dataset


def hybrid_plan(study: Study, n_sites: int) -> HybridPlan:
    """The plan that the study's settings say, for as many sites."""
    plan = HybridPlan(
        n_members=study["hybrid_members"],
        epochs=study["hybrid_epochs"],
        prior_weight=study["hybrid_prior_weight"],
        panel_share=study["hybrid_distillation_share"],
        n_bins=n_bins_of(n_sites),
    )
    return plan if plan.panel_share > 0.0 else plan.of_layers_alone()


def trained_hybrid(
    study: Study, inputs: Inputs, material: TrainingData, taught: NDArray[np.int64], seed: int, progress: bool = True
) -> HybridTraining:
    """The study's hybrid, having learnt from the rows `taught` of `material`, at all sites and cells.

    Its error on withheld land is not yet in `parameters` (`with_error_on_blocks`).
    """
    plan = hybrid_plan(study, material.observed.n_sites)
    hybrid = trained_on_layers(material, taught, plan.of_layers_alone(), seed, progress=progress)
    if plan.panel_share > 0.0:
        hybrid = distilled(material, taught, plan, hybrid, seed, progress)
    notes = {
        "study": study.label,
        "fingerprint": study.fingerprints()[STAGE],
        "seed": seed,
        "plan": plan._asdict(),
        "sites": int(taught.size),
    }
    predictor = HybridPredictor(hybrid.own_networks(), hybrid.encoding, notes)
    at_sites = predictor(inputs.site_covariates, "covariates.parquet, sites")
    at_cells = predictor(inputs.cell_covariates, "covariates.parquet, cells")
    parameters = xr.Dataset(
        {
            "x_site": (("member", "site", "parameter"), at_sites.x.astype(np.float32)),
            "x_cell": (("member", "cell", "parameter"), at_cells.x.astype(np.float32)),
            "extrapolated_site": ("site", at_sites.extrapolated),
            "extrapolated_cell": ("cell", at_cells.extrapolated),
        },
        coords={"parameter": list(PAPER_PARAMETERS.names)},
        attrs={"study": study.label, "block_km": float(study["network_block_km"])},
    )
    return HybridTraining(hybrid.curve, predictor, parameters)


def with_error_on_blocks(
    hybrid: HybridTraining, compared: xr.Dataset, cell: NDArray, block: NDArray, seed: int
) -> HybridTraining:
    """The same with the error of every stratum, from blocks that were withheld (`proda.learning.hybrid_training`).

    Parameters
    ----------
    compared : Dataset
        From `proda.learning.cross_validation.compared_methods`.
    cell, block : (n_sites,) int
        Of its sites.

    Raises
    ------
    InputError
        When no two blocks have layers above 30 cm.
    """
    here = compared.sel(approach="hybrid", kind=BLOCKS)
    depth = compared["depth"].values
    variances, common, covered = [], [], []
    for upper, lower in STRATA:
        within = (depth >= upper) & (depth < lower)
        means = [_mean(values, within) for values in (compared["observed"].values, here["soc"].values,
                                                      compared["hybrid_log_sd"].values)]  # fmt: skip
        if np.unique(block[np.isfinite(means[0])]).size < 2 and variances:
            # No profiles go so deep: what is known of the stratum above has to do, and no coverage is told.
            variances.append(variances[-1])
            common.append(common[-1])
            covered.append(np.nan)
            continue
        residuals = cell_residuals(cell, block, *means)
        variances.append(unseen_variance(residuals))
        common.append(common_variance(residuals))
        covered.append(coverage(residuals, seed))
    names = [interval_name(stratum) for stratum in STRATA]
    found = {"unseen_log_variance": variances, "common_log_variance": common, "coverage": covered}
    told = {name: ("stratum", values) for name, values in found.items()}
    return hybrid._replace(parameters=hybrid.parameters.assign(told).assign_coords(stratum=names))


def _mean(values: NDArray, within: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean over the layers `within` of every site, NaN where there are none."""
    count = within.sum(axis=1)
    total = np.where(within, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def training_rows(split: NDArray, known: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of the material that may teach the hybrid: training and validation sites of the paper's network.

    The same sites for both, so that both are judged on the same sites that neither has seen.
    """
    return np.flatnonzero(np.isin(np.asarray(split, dtype=object)[known], (splits.TRAIN, splits.VALIDATION)))


def write_hybrid(hybrid: HybridTraining, folder: Path) -> None:
    """Write the files of `HybridTraining` into `folder`."""
    save_hybrid(hybrid.predictor, folder)
    hybrid.curve.to_csv(folder / "hybrid_training.csv", index=False)
    hybrid.parameters.to_netcdf(folder / PARAMETERS_FILE)


def read_hybrid_parameters(path: Path) -> xr.Dataset:
    """hybrid_parameters.nc, loaded, once its parameters are the model's.

    Raises
    ------
    InputError
        When the parameters are others.
    """
    with xr.open_dataset(path) as found:
        names = tuple(str(name) for name in found["parameter"].values)
        if names != PAPER_PARAMETERS.names:
            raise InputError(
                f"{path}: parameters are {', '.join(names)}; expected {', '.join(PAPER_PARAMETERS.names)}."
            )
        return found.load()
