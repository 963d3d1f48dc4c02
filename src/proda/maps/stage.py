"""Stage 6: SOC by every method at sites and cells, scored, summed, and written to the study's folder."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from proda.learning.scores import TEST, TRAIN
from proda.maps.findings import published_findings
from proda.maps.netcdf import BEYOND, METHOD, observed_period, soc_product, write_csoil, write_product
from proda.maps.parameter_maps import OF_HYBRID, parameter_product
from proda.maps.prediction import METHODS, Inputs, at_observed_depths, maps_by_method, read_inputs, soc_at_sites
from proda.maps.references import reference_scores
from proda.maps.regions import regional_biases, vegetation_biases
from proda.maps.scores import map_scores, row_name, table_1, with_published
from proda.maps.stocks import stock_table
from proda.study import Study

STAGE = "06-final-figures"


class Results(NamedTuple):
    """The results of stage 6."""

    inputs: Inputs
    maps: xr.Dataset  # from `proda.maps.prediction.maps_by_method`
    modelled: dict[str, NDArray]  # method -> (n_observed,) g C m-3 at the observed layers
    table: pd.DataFrame  # Table 1, kg C m-3
    stocks: pd.DataFrame  # continental stocks, Pg C
    regional: pd.DataFrame  # biases by region, kg C m-2
    findings: pd.DataFrame  # findings of the paper and whether they hold here
    references: pd.DataFrame  # scores against published maps; empty for a grid without any
    true_maps: pd.DataFrame | None  # scores of maps against the truth of a virtual study, kg C m-2
    true_sites: pd.DataFrame | None  # scores of SOC at the observed depths against the truth, kg C m-3

    @property
    def headline(self) -> pd.DataFrame:
        """Table 1 as the paper prints it, with the published values."""
        return with_published(self.table)

    def at_used_sites(self, by_part: bool = False) -> tuple[pd.DataFrame, dict[str, NDArray]]:
        """Layers of the used sites, and method -> (n,) g C m-3 at them.

        With `by_part`, the network comes apart for training and test sites, as in Fig. 2 of the paper, and the hybrid
        for test sites; NaN at the layers of other sites.
        """
        chosen = self.inputs.used[self.inputs.layers["site"].to_numpy()]
        layers = self.inputs.layers[chosen]
        modelled = {method: self.modelled[method][chosen] for method in METHODS}
        if by_part:
            part = self.inputs.split[layers["site"].to_numpy()]
            for method, subset in (("network", TRAIN), ("network", TEST), ("hybrid", TEST)):
                modelled[row_name(method, subset)] = np.where(part == subset, modelled[method], np.nan)
            del modelled["network"], modelled["hybrid"]
        return layers, modelled


def final_results(study: Study) -> Results:
    """Everything stage 6 computes for a study; nothing is written.

    Raises
    ------
    MissingOutput
        If a stage before has not been run or is out of date.
    InputError
        If parameters of a stage before have no finite SOC.
    """
    inputs = read_inputs(study)
    maps = maps_by_method(inputs, study["map_draws"], study.seed)
    layers, sites, used = inputs.layers, inputs.sites, inputs.used
    modelled = at_observed_depths(soc_at_sites(inputs, maps), layers)
    subsets = used, inputs.split, sites["cell"].to_numpy()
    true_maps = true_sites = None
    if inputs.truth is not None:
        truth = {"truth": inputs.truth["soc_site"].transpose("layer", "site").values}
        against_truth = table_1(layers.assign(soc=at_observed_depths(truth, layers)["truth"]), modelled, *subsets)
        true_sites = against_truth[against_truth["source"] == "this study"]
        true_maps = map_scores(maps)
    table, stocks = table_1(layers, modelled, *subsets), stock_table(maps, inputs.grid)
    by_method = {method: modelled[method] for method in METHODS}
    regional = regional_biases(layers, by_method, sites, used)
    by_vegetation = vegetation_biases(layers, by_method, sites, used)
    return Results(
        inputs=inputs,
        maps=maps,
        modelled=modelled,
        table=table,
        stocks=stocks,
        regional=regional,
        findings=published_findings(table, stocks, regional, by_vegetation),
        references=reference_scores(maps, inputs.grid),
        true_maps=true_maps,
        true_sites=true_sites,
    )


def write_results(results: Results, study: Study, folder: Path) -> None:
    """Write the tables and the maps of stage 6; `docs/outputs.md` describes them.

    Tables: `table_1.csv`, `table_1_summary.csv` (as the paper prints it), `stocks.csv`, `regional_biases.csv`,
    `published_findings.csv`, `reference_scores.csv` where the grid has reference maps, `truth_scores_maps.csv` and
    `truth_scores_sites.csv` where the truth is known. Maps: `soc_maps.nc` (all methods, CF-1.8), `parameter_maps.nc`
    and `hybrid_parameter_maps.nc` (parameters of network and hybrid), `ilamb/` with one file of `cSoil` a method.
    """

    def write(table: pd.DataFrame | None, name: str, index: bool = False) -> None:
        if table is not None and len(table):
            table.to_csv(folder / name, index=index, float_format="%.6g")

    write(results.table, "table_1.csv")
    write(results.headline, "table_1_summary.csv", index=True)
    write(results.stocks, "stocks.csv")
    write(results.regional, "regional_biases.csv", index=True)
    write(results.findings, "published_findings.csv", index=True)
    write(results.references, "reference_scores.csv")
    write(results.true_maps, "truth_scores_maps.csv")
    write(results.true_sites, "truth_scores_sites.csv")
    inputs, maps, grid = results.inputs, results.maps, results.inputs.grid
    source = f"CLM soil-carbon matrix model (10 layers, 7 pools, steady state); study {study.label}, seed {study.seed}"
    title = f"Soil organic carbon by six parameterisations of one model: {study.title}"
    write_product(soc_product(maps, grid, title, source), folder / "soc_maps.nc", [METHOD])
    title = f"Soil-carbon parameters predicted from the environment by a network: {study.title}"
    parameters = parameter_product(
        inputs.network_cells, inputs.forcing, grid, title, source, notes=inputs.network_notes
    )
    write_product(parameters, folder / "parameter_maps.nc")
    title = f"Soil-carbon parameters predicted by networks trained through the soil model: {study.title}"
    x, notes = inputs.hybrid_cells.mean(axis=0), pd.DataFrame({BEYOND: inputs.hybrid_extrapolated})
    parameters = parameter_product(x, inputs.forcing, grid, title, source, notes, OF_HYBRID)
    write_product(parameters, folder / "hybrid_parameter_maps.nc")
    period = observed_period(inputs.sites["year"])
    write_csoil(maps, grid, period, folder / "ilamb", f"Soil organic carbon: {study.title}", source)
