"""The hybrid of a study: taught by the same sites as the paper's network, with its error on withheld land."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from proda.errors import InputError
from proda.learning import splits
from proda.learning.cell_error import cell_residuals, common_variance, coverage, unseen_variance
from proda.learning.encoding import n_bins_of
from proda.learning.folds import BLOCKS
from proda.learning.hybrid import HybridPlan
from proda.learning.hybrid_predictor import HybridPredictor, save_hybrid
from proda.learning.inputs import Inputs
from proda.learning.material import Material
from proda.learning.paper_training import STAGE
from proda.learning.teaching import taught_by_layers, taught_by_panel
from proda.model.column import STRATA, interval_name
from proda.model.parameters import PAPER_PARAMETERS
from proda.study import Study

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
        panel_share=study["hybrid_panel_share"],
        n_bins=n_bins_of(n_sites),
    )
    return plan if plan.panel_share > 0.0 else plan.of_layers_alone()


def trained_hybrid(
    study: Study, inputs: Inputs, material: Material, taught: NDArray[np.int64], seed: int, progress: bool = True
) -> HybridTraining:
    """The study's hybrid, having learnt from the rows `taught` of `material`, at all sites and cells.

    Its error on withheld land is not yet in `parameters` (`with_error_on_blocks`).
    """
    plan = hybrid_plan(study, material.observed.n_sites)
    hybrid = taught_by_layers(material, taught, plan.of_layers_alone(), seed, progress=progress)
    if plan.panel_share > 0.0:
        hybrid = taught_by_panel(material, taught, plan, hybrid, seed, progress)
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
    """The same with the error of every stratum, from blocks that were withheld (`proda.learning.cell_error`).

    Parameters
    ----------
    compared : Dataset
        From `proda.learning.comparison.compared_methods`.
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


def taught_rows(split: NDArray, known: NDArray[np.int64]) -> NDArray[np.int64]:
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
