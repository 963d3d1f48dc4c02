"""Stage 6: SOC by every method at sites and cells, scored, summed, and written to the study's folder."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from proda.learning.scores import TEST, TRAIN
from proda.maps.netcdf import OF_HYBRID, observed_period, parameter_product, soc_product, write_csoil, write_product
from proda.maps.prediction import METHODS, Inputs, at_observed_layers, maps_by_method, read_inputs, soc_at_sites
from proda.maps.regions import regional_biases
from proda.maps.scores import (
    SOC_MAPS,
    comparable_sites,
    map_scores,
    published_findings,
    read_densities,
    row_name,
    table_1,
    with_published,
)
from proda.maps.stocks import reference_scores, stock_table
from proda.study import Study


class Results(NamedTuple):
    """The results of stage 6."""

    inputs: Inputs
    maps: xr.Dataset  # from `proda.maps.prediction.maps_by_method`
    modelled: dict[str, NDArray]  # method -> (n_observed,) g C m-3 at the observed layers
    table: pd.DataFrame  # Table 1, kg C m-3
    headline: pd.DataFrame  # Table 1 as the paper prints it, with the published values
    stocks: pd.DataFrame  # continental stocks, Pg C
    regional: pd.DataFrame  # biases by region, kg C m-2
    findings: pd.DataFrame  # findings of the paper and whether they hold here
    references: pd.DataFrame  # scores against published maps; empty for a grid without any
    true_maps: pd.DataFrame | None  # scores of maps against the truth of a virtual study, kg C m-2
    true_sites: pd.DataFrame | None  # scores of SOC at the observed depths against the truth, kg C m-3

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

    Raises `MissingOutput` if a stage before is not up to date, `InputError` if its parameters have no finite SOC.
    """
    inputs = read_inputs(study)
    maps = maps_by_method(inputs, study["map_draws"], study.seed)
    layers, sites = inputs.layers, inputs.sites
    operator = study["observation_operator"]
    modelled = at_observed_layers(soc_at_sites(inputs, maps), layers, operator)
    subsets = inputs.used, inputs.split, sites["cell"].to_numpy()
    true_maps = true_sites = None
    if inputs.truth is not None:
        truth = {"truth": inputs.truth["soc_site"].transpose("layer", "site").values}
        true_layers = layers.assign(soc=at_observed_layers(truth, layers, operator)["truth"])
        true_sites = table_1(true_layers, modelled, *subsets)
        true_sites = true_sites[true_sites["source"] == "this study"]
        true_maps = map_scores(maps)
    table, stocks = table_1(layers, modelled, *subsets), stock_table(maps, inputs.grid)
    by_method = {method: modelled[method] for method in METHODS}
    chosen = inputs.used & comparable_sites(layers["site"], by_method, len(sites))
    regional = regional_biases(layers, by_method, sites, chosen)
    return Results(
        inputs=inputs,
        maps=maps,
        modelled=modelled,
        table=table,
        headline=with_published(table),
        stocks=stocks,
        regional=regional,
        findings=published_findings(inputs, modelled, table, stocks, regional),
        references=reference_scores(maps, inputs.grid),
        true_maps=true_maps,
        true_sites=true_sites,
    )


def write_results(results: Results, study: Study, folder: Path) -> None:
    """Write the tables and the maps of stage 6 that `docs/outputs.md` describes."""
    for name, table in {
        "table_1": results.table,
        "table_1_summary": results.headline,
        "stocks": results.stocks,
        "regional_biases": results.regional,
        "published_findings": results.findings,
        "reference_scores": results.references,
        "truth_scores_maps": results.true_maps,
        "truth_scores_sites": results.true_sites,
    }.items():
        if table is not None and len(table):
            named = table.index.names != [None]
            table.to_csv(folder / f"{name}.csv", index=named, float_format="%.6g")
    inputs, maps, forcing, grid = results.inputs, results.maps, results.inputs.forcing, results.inputs.grid
    model = f"CLM soil-carbon matrix model ({inputs.configuration.column.n_layers} layers, 7 pools, steady state)"
    source = f"{model}; study {study.label}, seed {study.seed}"
    title = f"Soil organic carbon by six parameterisations of one model: {study.title}"
    write_product(soc_product(maps, grid, title, source), folder / SOC_MAPS)
    read_densities(folder / SOC_MAPS)
    title = f"Soil-carbon parameters predicted from the environment by a network: {study.title}"
    extrapolated = inputs.network_extrapolated
    parameters = parameter_product(inputs.network_cells, forcing, grid, title, source, extrapolated)
    write_product(parameters, folder / "parameter_maps.nc")
    x = inputs.hybrid["x_cell"].mean("member").transpose("cell", "parameter").values
    extrapolated = inputs.hybrid["extrapolated_cell"].values
    title = f"Soil-carbon parameters predicted by networks trained through the soil model: {study.title}"
    parameters = parameter_product(x, forcing, grid, title, source, extrapolated, OF_HYBRID)
    write_product(parameters, folder / "hybrid_parameter_maps.nc")
    period = observed_period(inputs.sites["year"])
    write_csoil(maps, grid, period, folder / "ilamb", f"Soil organic carbon: {study.title}", source)
