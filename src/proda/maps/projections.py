"""A century ahead: the response of soil carbon to pathways of warming and carbon input, by parameterisation.

Carbon starts from the steady state of today's forcing. A pathway changes soil temperature and carbon input, while water
and the depth of thaw stay as they are, or it is the forcing of every year, from files. Steady stocks are input times
residence time: profiles cannot separate the two, so methods with the same stocks may differ in their response.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from proda.data.files import unreadable_named
from proda.data.forcing import check_variables, forcing_in
from proda.data.sources import source_table
from proda.errors import InputError
from proda.kernels.transient import pathway_places, trajectories
from proda.maps.netcdf import EPOCH, PLACE, file_attributes, raster_dataset, raster_of, rastered
from proda.maps.prediction import Inputs, one_batch_draws
from proda.maps.stocks import QUANTILES, land_area, overlap, petagrams, soil_layers
from proda.model.configuration import DAYS_PER_YEAR, Configuration, configuration_of, validated
from proda.model.forcing import AnyForcing
from proda.model.parameters import default_parameters, physical
from proda.model.transient import efolding_time
from proda.stage import progress_bar
from proda.study import Study
from proda.workers import in_parallel

FIRST_YEAR, LAST_YEAR = 2020, 2100
WARMING = (0.0, 1.5, 3.0, 4.5)  # K until the end of the last year
DEPTH = (0.0, 1.0)  # m, interval of maps and totals
MAP_INTERVAL = 20  # yr between the maps that are kept
STATISTICS = ("mean", "p05", "p95")
CHUNK = 1024  # cells that a worker takes: with the forcing of 80 years some 40 MB


class Pathway(NamedTuple):
    """Forcing of every year after the first, relative to today's or as a whole."""

    warming: NDArray[np.float64]  # (n_years,), K above today
    input: NDArray[np.float64]  # (n_years,), carbon input over today's
    yearly: tuple[AnyForcing, ...] = ()  # of every cell in every year, in place of both
    first_year: int = FIRST_YEAR  # that of the steady state

    def forcing(self, today: AnyForcing, cells: slice) -> list[AnyForcing]:
        """Today's forcing of some cells and that of every year."""
        now = today.take(cells)
        if self.yearly:
            return [now, *(forcing.take(cells) for forcing in self.yearly)]
        changes = zip(self.warming, self.input, strict=True)
        return [now, *(now.warmed(float(kelvin)).fertilised(float(factor)) for kelvin, factor in changes)]


def standard_pathways(input_rise: float, last_year: int = LAST_YEAR) -> dict[str, Pathway]:
    """Linear paths to each of `WARMING`, without and with a rise of input (a share), by name, as means of years."""
    share = (np.arange(last_year - FIRST_YEAR) + 0.5) / (last_year - FIRST_YEAR)
    return {
        (f"+{kelvin:g} K" if kelvin else "constant") + (f", +{100 * rise:g} % input" if rise else ""): Pathway(
            kelvin * share, 1.0 + rise * share
        )
        for rise in dict.fromkeys((0.0, input_rise))
        for kelvin in WARMING
    }


def pathway_of_files(folder: Path, today: AnyForcing, grid: xr.Dataset) -> Pathway:
    """The pathway of a folder with a file of forcing a year, laid out as `forcing.nc`, whose names end in the year.

    Its warming is the mean over cells and layers. Raises an InputError for years with gaps, other cells than those of
    `grid`, and other variables or units than those of `forcing.nc`.
    """
    paths = sorted((path for path in folder.glob("*.nc") if re.search(r"\d{4}$", path.stem)), key=_year_of)
    years, expected = list(map(_year_of, paths)), "expected one file a year, such as forcing_2021.nc"
    if not years:
        raise InputError(f"{folder}: found no file whose name ends in a year, {expected}")
    for year in range(years[0], years[-1] + 1):
        if years.count(year) != 1:
            raise InputError(f"{folder}: found {years.count(year)} files of {year}, {expected}")
    yearly = []
    for path in paths:
        yearly.append(_forcing_of_year(path, configuration_of(today), grid))
    warming = [float((forcing.soil_temperature - today.soil_temperature).mean()) for forcing in yearly]
    return Pathway(np.array(warming), np.full(len(years), np.nan), tuple(yearly), years[0] - 1)


def _year_of(path: Path) -> int:
    return int(path.stem[-4:])


def _forcing_of_year(path: Path, configuration: Configuration, grid: xr.Dataset) -> AnyForcing:
    """The forcing in a file; an InputError unless units and cells are those of the study, the cells in its order."""
    with unreadable_named(path, "Copy it again."):
        file = xr.load_dataset(path)
    check_variables(file, str(path))
    if file.sizes["cell"] != grid.sizes["cell"]:
        fault = f"has {file.sizes['cell']:,} cells, expected the study's {grid.sizes['cell']:,}"
    elif missing := [name for name in ("lon", "lat") if name not in file.variables]:
        fault = f"has no {missing[0]} of its cells"
    else:
        here, there = (np.stack([of["lon"].to_numpy(), of["lat"].to_numpy()]) for of in (file, grid))
        apart = ~(np.abs(here - there) < 1e-3).all(axis=0)
        if not apart.any():
            return validated(forcing_in(file), configuration, str(path))
        k = int(np.argmax(apart))
        fault = f"has cell {k} at {here[0, k]:g}, {here[1, k]:g}, expected {there[0, k]:g}, {there[1, k]:g}"
    raise InputError(f"{path} {fault} (lon, lat): give the cells in the order of forcing.nc of the study")


def study_pathways(study: Study, today: AnyForcing, grid: xr.Dataset) -> dict[str, Pathway]:
    """The pathways of a study: one a folder below that of [source.projections], and constancy; else the standard ones.

    Raises an InputError where there is no folder, or the folders hold different years.
    """
    if "projections" not in study.source:
        return standard_pathways(study["projection_input_rise"])
    folder = source_table(study, "projections").folder
    read = {path.name: pathway_of_files(path, today, grid) for path in sorted(folder.glob("*")) if path.is_dir()}
    spans = {name: (pathway.first_year, len(pathway.warming)) for name, pathway in read.items()}
    if len(set(spans.values())) != 1:
        found = ", ".join(f"{name} {first + 1} to {first + n}" for name, (first, n) in spans.items()) or "none"
        raise InputError(
            f"{folder}: expected a folder of forcing for every pathway, all of the same years; found {found}"
        )
    first_year, n_years = next(iter(spans.values()))
    return {"constant": Pathway(np.zeros(n_years), np.ones(n_years), first_year=first_year)} | read


# Physical parameters, (n_parameters, n), of the cells of an index.
ParameterSet: TypeAlias = Callable[[Any], NDArray]


def parameter_sets(inputs: Inputs, n_draws: int, seed: int) -> dict[str, list[ParameterSet]]:
    """Parameters of every parameterisation: `n_draws` of one-batch, the hybrid's members, one set of the others.

    In a virtual study the true parameters are among them, as "truth".
    """
    forcing, table = inputs.forcing, inputs.configuration.parameters
    default = default_parameters(forcing, inputs.grid["sand_percent"].values, table)

    def of_cube(x: NDArray) -> ParameterSet:
        """Of (n_cells, n_parameters), or of (n_parameters,) everywhere."""
        return lambda cells: physical(x if x.ndim == 1 else x[cells].T, forcing.take(cells), table)

    members = inputs.hybrid["x_cell"].transpose("member", "cell", "parameter").values.astype(float)
    sets = {
        "default": [lambda cells: default[:, cells]],
        "one-batch": [of_cube(x) for x in one_batch_draws(inputs.one_batch, n_draws, seed)],
        "network": [of_cube(inputs.network_cells)],
        "hybrid": [of_cube(x) for x in members],
    }
    if inputs.truth is not None:
        sets["truth"] = [of_cube(inputs.truth["x_cell"].transpose("cell", "parameter").values)]
    return sets


class Responses(NamedTuple):
    """Soil organic carbon of 0 to 1 m along the pathways, at the end of every year."""

    # `total` (parameterisation, pathway, draw, year), Pg C; NaN beyond a parameterisation's draws.
    total: xr.DataArray
    # `change` (parameterisation, pathway, statistic, map_year, cell), kg C m-2 since the first year.
    change: xr.DataArray
    warming: xr.DataArray  # (pathway,), K, mean of the last year
    imbalance: float  # greatest |change - input + respiration| of a column over its carbon


def soc_responses(inputs: Inputs, pathways: Mapping[str, Pathway], n_draws: int, seed: int) -> Responses:
    """The responses of all parameterisations to the pathways, which are of one length, in yearly steps."""
    sets, area, configuration = parameter_sets(inputs, n_draws, seed), land_area(inputs.grid), inputs.configuration
    first, most = next(iter(pathways.values())), max(map(len, sets.values()))
    n_years = len(first.warming)
    years = first.first_year + np.arange(n_years + 1)
    kept = np.unique(np.append(np.arange(0, n_years + 1, MAP_INTERVAL), n_years))
    total = np.full((len(sets), len(pathways), most, n_years + 1), np.nan)
    change = np.full((len(sets), len(pathways), len(STATISTICS), len(kept), area.size), np.nan, np.float32)
    imbalance, n_columns = 0.0, area.size * len(pathways) * sum(map(len, sets.values()))
    parts = [slice(start, start + CHUNK) for start in range(0, area.size, CHUNK)]
    jobs = list(product(range(len(pathways)), parts))
    shared = list(pathways.values()), list(sets.values()), inputs.forcing, area, kept, configuration
    with (
        progress_bar(n_columns, "projections", "column") as bar,
        in_parallel(_part_of_responses, jobs, *shared) as of_parts,
    ):
        for (p, cells), results in zip(jobs, of_parts, strict=True):
            for m, (of_draws, changed, lost) in enumerate(results):
                n_draws = len(of_draws)
                total[m, p, :n_draws] = np.nan_to_num(total[m, p, :n_draws]) + of_draws
                change[m, p, : len(changed), :, cells] = changed
                imbalance = max(imbalance, lost)
                bar.update(n_draws * changed.shape[-1])
    names = {"parameterisation": list(sets), "pathway": list(pathways)}
    of_maps = names | {"statistic": list(STATISTICS), "map_year": years[kept]}
    warming = [pathway.warming[-1] for pathway in pathways.values()]
    return Responses(
        xr.DataArray(total, names | {"draw": range(most), "year": years}, [*names, "draw", "year"]),
        xr.DataArray(change, of_maps, [*of_maps, "cell"]),
        xr.DataArray(warming, {"pathway": names["pathway"]}),
        imbalance,
    )


def _part_of_responses(
    job: tuple[int, slice],
    pathways: Sequence[Pathway],
    sets: Sequence[Sequence[ParameterSet]],
    today: AnyForcing,
    area: NDArray,
    kept: NDArray,
    configuration: Configuration,
) -> list[tuple[NDArray, NDArray, float]]:
    """Of some cells on one pathway, a parameterisation each: `total`, `change` and `imbalance` of `Responses`."""
    p, cells = job
    places, results = pathway_places(pathways[p].forcing(today, cells), configuration), []
    in_depth = overlap([DEPTH], configuration.column)[..., None] * soil_layers(today.take(cells))
    for ours in sets:
        totals, changed, imbalance = [], np.empty((len(ours), len(kept), len(area[cells])), np.float32), 0.0
        for k, theta in enumerate(ours):
            stock, lost = _response(theta(cells), places, in_depth, configuration)
            totals.append(petagrams(stock, area[cells]))
            changed[k] = stock[kept] - stock[0]
            imbalance = max(imbalance, lost)
        statistics = [changed.mean(axis=0, dtype=np.float64)]
        if len(ours) > 1:
            statistics += list(np.quantile(changed, QUANTILES[::2], axis=0))
        results.append((np.array(totals), np.array(statistics), imbalance))
    return results


def _response(
    theta: NDArray, places: NDArray, in_depth: NDArray, configuration: Configuration
) -> tuple[NDArray[np.float64], float]:
    """Carbon in `DEPTH`, (n_years + 1, n), kg m-2, and the greatest imbalance of a column over the whole time."""
    run = trajectories(theta, places, DAYS_PER_YEAR, in_depth, configuration)
    unexplained = run.everything[-1] - run.everything[0] - (run.entered - run.respired).sum(axis=0)
    return run.soil[:, 0] / 1000.0, float(np.max(np.abs(unexplained) / run.everything[0]))


def response_series(responses: Responses) -> pd.DataFrame:
    """Carbon of the land since the first year, Pg C: parameterisation, pathway, year, change, p05, p95, stock."""
    total = responses.total
    change = total - total.isel(year=0)
    low, high = (change.quantile(q, "draw").drop_vars("quantile") for q in QUANTILES[::2])
    several = np.isfinite(total).sum("draw") > 1
    columns = {"change": change.mean("draw"), "p05": low.where(several), "p95": high.where(several)}
    return xr.Dataset(columns | {"stock": total.mean("draw")}).to_dataframe().reset_index()


def spread_shares(responses: Responses) -> pd.DataFrame:
    """Spread of the change in the last year by pathway, Pg C: sd between the parameterisations' means, and of draws.

    `of_parameters` is the root of the mean variance over the draws of a parameterisation, 0 for those with one set;
    `share_of_parameters` is its part of the sum of both variances.
    """
    change = (responses.total - responses.total.isel(year=0)).isel(year=-1)
    change = change.sel(parameterisation=change["parameterisation"] != "truth")
    between = change.mean("draw").var("parameterisation", ddof=1)
    within = change.var("draw").mean("parameterisation")
    shares = {"between_methods": np.sqrt(between), "of_parameters": np.sqrt(within)}
    # Where nothing changes there is no spread but that of rounding.
    share = (within / (between + within)).where(between + within > 1e-12)
    return xr.Dataset(shares | {"share_of_parameters": share}).to_dataframe()


def carbon_climate_sensitivity(responses: Responses) -> pd.DataFrame:
    """Change of carbon in the last year over the warming, Pg C K-1, by parameterisation and pathway with warming.

    That of a pathway with a rise of input is the difference to the pathway with this rise alone.
    """
    last = responses.total.isel(year=-1)
    rows = []
    for name in map(str, last["pathway"].values):
        kelvin = float(responses.warming.sel(pathway=name))
        _, comma, rise = name.partition(", ")
        reference = f"constant{comma}{rise}"
        if abs(kelvin) < 1e-9 or reference not in last["pathway"]:
            continue
        gamma = (last.sel(pathway=name) - last.sel(pathway=reference)) / kelvin
        for method in gamma["parameterisation"].values:
            values = gamma.sel(parameterisation=method).dropna("draw").values
            low, high = np.quantile(values, QUANTILES[::2]) if values.size > 1 else (np.nan, np.nan)
            rows.append((str(method), name, values.mean(), low, high))
    columns = ["parameterisation", "pathway", "pg_per_k", "p05", "p95"]
    return pd.DataFrame(rows, columns=columns).set_index(["parameterisation", "pathway"])


def efolding_times(inputs: Inputs, n_cells: int, n_draws: int, seed: int) -> pd.DataFrame:
    """Years to 1 - 1/e of the response to a sudden 1 K in `n_cells` cells: median, 10 and 90 % by parameterisation."""
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.choice(inputs.forcing.n_columns, min(n_cells, inputs.forcing.n_columns), replace=False))
    sets = parameter_sets(inputs, n_draws, seed)
    # Of several sets each cell takes another; all methods at once, since a step costs little more for more columns.
    theta = [of[k % len(of)](sample[k : k + 1]) for of in sets.values() for k in range(len(sample))]
    here = inputs.forcing.take(np.tile(sample, len(sets)))
    times = efolding_time(np.concatenate(theta, axis=1), here, here.warmed(1.0), inputs.configuration, DEPTH[1])
    quantiles = np.nanquantile(times.reshape(len(sets), -1), [0.5, 0.1, 0.9], axis=1)
    index = pd.Index(list(sets), name="parameterisation")
    return pd.DataFrame(quantiles.T, index, ["median", "p10", "p90"])


_COMMENT = (
    "Change since the first time of the carbon from 0 to 1 m, from the steady state of today's forcing. The carbon "
    "input of a pathway is prescribed; water and the depth of thaw stay as they are but with yearly forcing. Steady "
    "stocks cannot separate carbon input from turnover, so the parameterisations may have right stocks and wrong "
    "responses."
)


def response_product(responses: Responses, grid: xr.Dataset, title: str, source: str = "") -> xr.Dataset:
    """Maps of the change as a CF-1.8 Dataset: `soil_carbon_change` (parameterisation, pathway, time, lat, lon), kg m-2.

    With `_p05` and `_p95` over the draws, missing for a parameterisation with one set of parameters, and `warming`
    (pathway), K in the last year.
    """
    raster, change = raster_of(grid), responses.change
    years = [pd.Timestamp(int(year), 12, 31) for year in change["map_year"].values]
    time = {"standard_name": "time", "units": f"days since {EPOCH} 00:00:00", "calendar": "standard", "axis": "T"}
    response = raster_dataset(grid, title, source, _COMMENT)
    response = response.assign_attrs(file_attributes(title, source, _COMMENT, "notebook 07-projections"))
    response = response.assign_coords(
        time=("time", [float((year - pd.Timestamp(EPOCH)).days) for year in years], time),
        **{
            name: (name, change[name].values.astype(str), {"long_name": meaning})
            for name, meaning in (
                ("parameterisation", "method that set the model's parameters"),
                ("pathway", "change of soil temperature and carbon input from the first to the last year"),
            )
        },
    )
    response["warming"] = (
        "pathway",
        responses.warming.values,
        {"units": "K", "long_name": "mean warming of the last year"},
    )
    dims = ("parameterisation", "pathway", "time", "lat", "lon")
    for statistic in STATISTICS:
        values = change.sel(statistic=statistic).transpose("parameterisation", "pathway", "map_year", "cell").values
        name = "soil_carbon_change" + ("" if statistic == "mean" else f"_{statistic}")
        attributes = {"units": "kg m-2", "long_name": f"change of soil organic carbon to 1 m, {statistic} of the draws"}
        response[name] = (
            dims,
            rastered(values, raster),
            attributes | PLACE | {"cell_methods": "area: mean where land"},
        )
    return response
