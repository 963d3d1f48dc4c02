"""Stage 6: SOC by every method at sites and cells, scored, summed, and written to the study's folder."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from proda.errors import InputError
from proda.maps.netcdf import BEYOND, METHOD, observed_period, soc_product, write_csoil, write_product
from proda.maps.parameter_maps import NOTES, OF_HYBRID, parameter_product
from proda.maps.prediction import AT_MEAN, Inputs, at_observed_depths, maps_by_method, read_inputs, soc_at_sites
from proda.maps.scores import map_scores, table_1, with_published
from proda.maps.stocks import stock_table
from proda.study import Study

STAGE = "06-final-figures"


class Results(NamedTuple):
    """What stage 6 finds.

    Attributes
    ----------
    inputs : Inputs
        The files of the stages before.
    maps : xarray.Dataset
        From `maps_by_method`.
    profiles : dict
        Method -> (n_layers, n_sites) g C m-3.
    modelled : dict
        Method -> (n_observed,) g C m-3 at the observed layers.
    table : pandas.DataFrame
        Table 1.
    stocks : pandas.DataFrame
        Continental stocks.
    true_maps, true_sites : pandas.DataFrame or None
        Scores against the truth, where it is known: of maps on cells, of SOC at the observed depths.
    """

    inputs: Inputs
    maps: xr.Dataset
    profiles: dict[str, NDArray]
    modelled: dict[str, NDArray]
    table: pd.DataFrame
    stocks: pd.DataFrame
    true_maps: pd.DataFrame | None
    true_sites: pd.DataFrame | None

    @property
    def headline(self) -> pd.DataFrame:
        """Table 1 as the paper prints it, published values beside."""
        return with_published(self.table)


def final_results(study: Study) -> Results:
    """Everything stage 6 computes for a study; nothing is written.

    Raises
    ------
    MissingOutput, InputError
        As `proda.maps.prediction.read_inputs`.
    """
    inputs = read_inputs(study)
    maps = maps_by_method(inputs, study["map_draws"], study.seed)
    profiles = soc_at_sites(inputs, maps)
    layers = inputs.layers
    modelled = at_observed_depths(profiles, layers)
    subsets = inputs.used, inputs.split, inputs.sites["cell"].to_numpy()
    true_maps = true_sites = None
    if inputs.truth is not None:
        true_profiles = {"truth": inputs.truth["soc_site"].transpose("layer", "site").values}
        true_soc = at_observed_depths(true_profiles, layers)["truth"]
        against_truth = table_1(layers.assign(soc=true_soc), modelled, *subsets)
        true_sites = against_truth[against_truth["source"] == "this study"]
        true_maps = map_scores(maps)
    return Results(
        inputs=inputs,
        maps=maps,
        profiles=profiles,
        modelled=modelled,
        table=table_1(layers, modelled, *subsets),
        stocks=stock_table(maps, inputs.grid),
        true_maps=true_maps,
        true_sites=true_sites,
    )


def write_results(results: Results, study: Study, folder: Path) -> None:
    """Write `table_1.csv`, `table_1_summary.csv` (as the paper prints it), `stocks.csv` and the maps for other models.

    The maps are `soc_maps.nc` (all methods, CF-1.8), `parameter_maps.nc` and `hybrid_parameter_maps.nc` (what network
    and hybrid predict) and the folder `ilamb`, one file of `cSoil` a method. Where the truth is known, the scores
    against it go to `truth_scores_maps.csv` and `truth_scores_sites.csv`.
    """
    results.table.to_csv(folder / "table_1.csv", index=False, float_format="%.6g")
    results.headline.to_csv(folder / "table_1_summary.csv", float_format="%.6g")
    results.stocks.to_csv(folder / "stocks.csv", index=False, float_format="%.6g")
    if results.true_maps is not None and results.true_sites is not None:
        results.true_maps.to_csv(folder / "truth_scores_maps.csv", index=False, float_format="%.6g")
        results.true_sites.to_csv(folder / "truth_scores_sites.csv", index=False, float_format="%.6g")
    inputs, maps = results.inputs, results.maps
    source = f"CLM soil-carbon matrix model (10 layers, 7 pools, steady state); study {study.label}, seed {study.seed}"
    title = f"Soil organic carbon by six parameterisations of one model: {study.title}"
    write_product(soc_product(maps, inputs.grid, title, source), folder / "soc_maps.nc", [METHOD])
    title = f"Soil-carbon parameters predicted from the environment by a network: {study.title}"
    notes = network_notes(study, inputs.grid.sizes["cell"])
    parameters = parameter_product(inputs.network_cells, inputs.forcing, inputs.grid, title, source, notes)
    write_product(parameters, folder / "parameter_maps.nc")
    title = f"Soil-carbon parameters predicted by networks trained through the soil model: {study.title}"
    x, notes = inputs.hybrid_cells.mean(axis=0), pd.DataFrame({BEYOND: inputs.hybrid_extrapolated})
    parameters = parameter_product(x, inputs.forcing, inputs.grid, title, source, notes, OF_HYBRID)
    write_product(parameters, folder / "hybrid_parameter_maps.nc")
    period = observed_period(inputs.sites["year"])
    write_csoil(maps, inputs.grid, period, folder / "ilamb", f"Soil organic carbon: {study.title}", source)


def network_notes(study: Study, n_cells: int) -> pd.DataFrame:
    """What the network noted of its prediction at every cell: the columns of `proda.maps.parameter_maps.NOTES`.

    Raises
    ------
    InputError
        When `network_parameters.parquet` has other cells than the grid.
    """
    path = study.path("network_parameters.parquet")
    table = pd.read_parquet(path)
    cells = table[table["place"] == "cell"].sort_values("cell")
    if not np.array_equal(cells["cell"].to_numpy(), np.arange(n_cells)):
        raise InputError(f"{path}: its cells are not 0 to {n_cells - 1}, those of grid.nc: run notebook 05 again")
    return cells[[name for name in NOTES if name in cells]].reset_index(drop=True)


def mean_parameter_bias(results: Results) -> pd.DataFrame:
    """How far SOC computed at a site's mean parameters lies from the mean of its SOC, by depth, at the used sites.

    Returns
    -------
    pandas.DataFrame
        By interval of depth (cm): mean SOC over the draws, SOC at the mean parameters, their difference (kg C m-3), and
        the share of layers where the latter is higher.
    """
    layers = results.inputs.layers
    mean, at_mean = results.modelled["site-by-site"] / 1e3, results.modelled[AT_MEAN] / 1e3
    chosen = results.inputs.used[layers["site"].to_numpy()] & np.isfinite(mean) & np.isfinite(at_mean)
    interval = pd.cut(layers["depth"].to_numpy()[chosen] * 100, [0, 30, 100, 200, 400], right=False)
    table = pd.DataFrame(
        {
            "depth (cm)": interval,
            "mean SOC": mean[chosen],
            "SOC at mean parameters": at_mean[chosen],
            "difference": (at_mean - mean)[chosen],
            "share higher": (at_mean > mean)[chosen],
        }
    )
    return table.groupby("depth (cm)", observed=True).mean()
