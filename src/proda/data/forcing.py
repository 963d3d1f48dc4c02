"""Forcing of the land cells: from annual climate and texture where there is no land model, and the file `forcing.nc`.

A land model would simulate soil temperature and moisture through the year. From annual temperature, precipitation and
texture alone they follow from three published relations and one assumption:

1. soil temperature: Soil Survey Staff (1999), Soil Taxonomy, 2nd ed., USDA Agriculture Handbook 436;
2. potential and actual evaporation: Turc (1954), Annales agronomiques 5, 491-595, with his own constant 0.9 (Pike
   1964, Journal of Hydrology 2, 116-123, put 1 in its place);
3. mean soil moisture, the assumption: a bucket that evaporates in proportion to its filling;
4. retention: Clapp and Hornberger (1978), Water Resources Research 14, 601-604, with the regressions of Cosby et al.
   (1984), Water Resources Research 20, 682-690, as in CLM4.5 (Oleson et al. 2013, section on hydraulic properties).

The potential of the mean moisture is closer to zero than the mean of the potential, which dry spells dominate: this
forcing is wetter, and decomposition somewhat faster, than with the annual mean of CLM.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from proda.data.files import existing, read_dataset, unreadable_named
from proda.errors import InputError
from proda.model.configuration import CONFIGURATIONS, MONTHS, PAPER_COLUMN, configuration_of, validated
from proda.model.forcing import AnyForcing, Forcing, MonthlyForcing

FREEZING = 273.15
MPA_PER_MM = 9.80665e-6  # weight of one millimetre of water
WILTING_POINT = -1.5  # MPa
FIELD_CAPACITY = -0.033  # MPa
DRIEST = -25.0  # MPa; the model's water scalar is zero below
NO_PERMAFROST = 35.0  # m; an active layer deeper than any model column


def soil_temperature(air_temperature: ArrayLike, offset: float = 1.0, n_layers: int = 10) -> NDArray:
    """Annual-mean soil temperature, (n_layers, n), K.

    Over most of the United States mean annual soil temperature is mean annual air temperature plus 1 degree (Soil
    Survey Staff 1999). A periodic surface temperature has the same annual mean at every depth under pure conduction,
    so all layers share it; insulation by snow, which warms northern soils by a few degrees more, is left out. Air
    temperature is (n,), degrees Celsius, and `offset` soil minus air, K.
    """
    return np.repeat(np.asarray(air_temperature, float)[None] + offset + FREEZING, n_layers, axis=0)


def potential_evaporation(air_temperature: ArrayLike) -> NDArray:
    """Annual potential evaporation, mm yr-1: L = 300 + 25 T + 0.05 T^3, T in degrees Celsius (Turc 1954).

    Below freezing L keeps its value at 0 degrees, 300 mm: the formula was fitted to warmer catchments.
    """
    warmth = np.maximum(np.asarray(air_temperature, float), 0.0)
    return 300.0 + 25.0 * warmth + 0.05 * warmth**3


def actual_evaporation(precipitation: ArrayLike, potential: ArrayLike) -> NDArray:
    """Annual evaporation, mm yr-1: E = P / sqrt(0.9 + (P/L)^2), and E = P where P/L < sqrt(0.1) (Turc 1954)."""
    precipitation = np.asarray(precipitation, float)
    ratio = precipitation / np.asarray(potential, float)
    return precipitation / np.sqrt(np.maximum(0.9 + ratio**2, 1.0))


def retention(sand_percent: ArrayLike, clay_percent: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    """Moisture (m3 m-3) and potential (MPa) at saturation, and exponent of the Clapp-Hornberger curve, by texture (%).

    Cosby et al. (1984), as in CLM4.5; the potential at saturation is -10 x 10^(1.88 - 0.0131 sand) mm of water.
    """
    sand, clay = np.asarray(sand_percent, float), np.asarray(clay_percent, float)
    return 0.489 - 0.00126 * sand, -10.0 * 10.0 ** (1.88 - 0.0131 * sand) * MPA_PER_MM, 2.91 + 0.159 * clay


def moisture_at(potential: float, sand_percent: ArrayLike, clay_percent: ArrayLike) -> NDArray:
    """Volumetric water content, m3 m-3, at a water potential in MPa: theta = theta_s (psi / psi_s)^(-1/b)."""
    saturation, at_saturation, exponent = retention(sand_percent, clay_percent)
    return saturation * np.minimum(potential / at_saturation, np.inf) ** (-1.0 / exponent)


def water_potential(wetness: ArrayLike, sand_percent: ArrayLike, clay_percent: ArrayLike) -> NDArray:
    """Soil water potential, MPa, of soils whose available water is filled to `wetness`; texture in % by mass.

    `wetness` is 0 at wilting point (-1.5 MPa), 1 at field capacity (-0.033 MPa).
    """
    wilting = moisture_at(WILTING_POINT, sand_percent, clay_percent)
    capacity = moisture_at(FIELD_CAPACITY, sand_percent, clay_percent)
    saturation, at_saturation, exponent = retention(sand_percent, clay_percent)
    moisture = wilting + np.asarray(wetness, float) * (capacity - wilting)
    return np.clip(at_saturation * (moisture / saturation) ** -exponent, DRIEST, at_saturation)


def wetness_of_climate(air_temperature: ArrayLike, precipitation: ArrayLike) -> NDArray:
    """Mean filling of the available water, 0 to 1, as the ratio of actual to potential evaporation.

    An assumption: evaporation is its potential times the filling of the bucket, up to the brim, so that over a year
    the ratio of the two is the mean filling, weighted by the potential. The bucket of Manabe (1969, Monthly Weather
    Review 97, 739-774) evaporates at the potential rate from three quarters of its capacity on: its filling would be
    0.75 times this one where the ratio is below 1, and decomposition 8 to 11 % slower for ratios of 0.3 to 0.95 (a
    loam, `maxpsi` -0.002 MPa).
    """
    potential = potential_evaporation(air_temperature)
    return actual_evaporation(precipitation, potential) / potential


_LAYERED, _OF_CELLS = ("layer", "cell"), ("cell",)
_BY_LAYER, _BY_MONTH = ("layer", "month", "cell"), ("month", "cell")
_TEMPERATURE = {"standard_name": "soil_temperature", "units": "K", "units_metadata": "temperature: on_scale"}
_POTENTIAL = "soil water potential at annual mean moisture, negative when unsaturated"
_NPP = {"standard_name": "net_primary_productivity_of_biomass_expressed_as_carbon", "units": "g m-2 yr-1"}
_THAW = {"units": "m", "positive": "down", "long_name": "annual maximum depth of thaw"}
# Variable in the file: (field of the forcing, dims, attributes).
VARIABLES: dict[type[AnyForcing], dict[str, tuple[str, tuple[str, ...], dict[str, str]]]] = {}
VARIABLES[Forcing] = {
    "soil_temperature": ("soil_temperature", _LAYERED, _TEMPERATURE | {"long_name": "annual mean soil temperature"}),
    "soil_water_potential": ("water_potential", _LAYERED, {"units": "MPa", "long_name": _POTENTIAL}),
    "active_layer_depth": ("active_layer", _OF_CELLS, _THAW),
    **{
        f"npp_{name}": (f"npp_{name}", _OF_CELLS, _NPP | {"long_name": f"net primary production, g of carbon, {year}"})
        for name, year in (("mean", "mean year"), ("min", "least year"), ("max", "greatest year"))
    },
}
_INPUT = "carbon entering the column as woody debris, metabolic, cellulose and lignin litter, g of carbon"
_ROCK = "number of layers above bedrock"
VARIABLES[MonthlyForcing] = {
    "soil_temperature": ("soil_temperature", _BY_LAYER, _TEMPERATURE | {"long_name": "monthly mean soil temperature"}),
    **{
        f"soil_{name}_scalar": (f"{name}_scalar", _BY_LAYER, {"units": "1", "long_name": f"CLM's {variable}"})
        for name, variable in (("water", "W_SCALAR"), ("oxygen", "O_SCALAR"), ("nitrogen", "FPI_vr"))
    },
    "active_layer_depth": ("active_layer", _BY_MONTH, _THAW | {"long_name": "greatest depth of thaw in this year"}),
    "active_layer_depth_last_year": (
        "active_layer_last_year", _BY_MONTH, _THAW | {"long_name": "greatest depth of thaw in the previous year"}
    ),
    "carbon_input": ("carbon_input", ("kind", "month", "cell"), {"units": "g m-2 month-1", "long_name": _INPUT}),
    "bedrock": ("bedrock", _OF_CELLS, {"units": "1", "long_name": _ROCK}),
}  # fmt: skip


def surrogate_forcing(
    cells: pd.DataFrame,
    npp_min_multiple: float = 0.7,
    npp_max_multiple: float = 1.3,
    soil_minus_air_temperature: float = 1.0,
) -> Forcing:
    """Forcing from annual climate and texture; NaN where a cell lacks one of them or has an impossible value.

    `cells` have `air_temperature` (degrees Celsius), `precipitation` (mm yr-1), `npp` (g C m-2 yr-1), `sand_percent`,
    `clay_percent` and may have the `active_layer`, m, without which there is no permafrost. Least and greatest annual
    NPP are assumed as multiples of the mean; they bound the parameter `ins`. `soil_minus_air_temperature` is in K.
    """
    air, rain, npp = (cells[name].to_numpy(float) for name in ("air_temperature", "precipitation", "npp"))
    sand, clay = (cells[name].to_numpy(float) for name in ("sand_percent", "clay_percent"))
    possible = (rain >= 0) & (sand >= 0) & (clay >= 0) & (sand + clay <= 100)
    wetness = np.where(possible, wetness_of_climate(air, rain), np.nan)
    psi = water_potential(wetness, sand, clay)
    temperature = soil_temperature(air, soil_minus_air_temperature, PAPER_COLUMN.n_layers)
    potential = np.repeat(psi[None], PAPER_COLUMN.n_layers, axis=0)
    thaw = cells["active_layer"].to_numpy(float) if "active_layer" in cells else np.full(len(cells), NO_PERMAFROST)
    return Forcing(temperature, potential, thaw, npp, npp_min_multiple * npp, npp_max_multiple * npp)


def has_forcing(forcing: AnyForcing) -> NDArray[np.bool_]:
    """Which columns have every value the model needs, with a positive carbon input, (n,)."""
    complete = np.isfinite(forcing.annual_input) & (forcing.annual_input > 0)
    for field in forcing:
        complete &= np.isfinite(field).reshape(-1, forcing.n_columns).all(axis=0)
    return complete


def forcing_dataset(forcing: AnyForcing, lon: ArrayLike, lat: ArrayLike, comment: str) -> xr.Dataset:
    """`forcing` of the land cells as the dataset that `forcing.nc` holds.

    `lon`, `lat` are the cells' centres, (n,), degrees; `comment` names where the forcing comes from.
    """
    configuration = configuration_of(forcing)
    forcing, column = validated(forcing, configuration, "forcing of the land cells"), configuration.column
    variables = VARIABLES[configuration.forcing]
    data = {name: (dims, getattr(forcing, field), attrs) for name, (field, dims, attrs) in variables.items()}
    bounds = np.stack([column.top, column.bottom], axis=1)
    data["node_depth_bounds"] = (("layer", "bounds"), bounds, {"units": "m"}, {"_FillValue": None})
    depth = {"standard_name": "depth", "long_name": "depth of the node of a soil layer", "units": "m"}
    depth |= {"positive": "down", "axis": "Z", "bounds": "node_depth_bounds"}
    coords = {
        "node_depth": ("layer", column.node, depth),
        "lon": ("cell", np.asarray(lon, float), {"standard_name": "longitude", "units": "degrees_east"}),
        "lat": ("cell", np.asarray(lat, float), {"standard_name": "latitude", "units": "degrees_north"}),
    }
    if configuration.monthly:
        coords["month"] = ("month", np.arange(1, MONTHS + 1), {"units": "1", "long_name": "month of the mean year"})
    title = "Forcing of the soil-carbon model on the land cells of the study"
    return xr.Dataset(data, coords, {"Conventions": "CF-1.11", "title": title, "comment": comment})


def read_forcing(path: Path | str) -> AnyForcing:
    """Forcing of all land cells, from `forcing.nc`: monthly where the file has months.

    `InputError` names what the file lacks, or the first missing or impossible value.
    """
    with unreadable_named(path), xr.open_dataset(existing(path)) as file:
        kind = kind_of_forcing(file)
    dims = {name: dims for name, (_, dims, _) in VARIABLES[kind].items()}
    forcing = forcing_in(read_dataset(path, dims, gaps=dims))  # which column has none is what `validated` says
    return validated(forcing, configuration_of(forcing), str(path))


def kind_of_forcing(file: xr.Dataset) -> type[AnyForcing]:
    """The kind of forcing in a dataset in the variables of `forcing.nc`."""
    return MonthlyForcing if "month" in file.dims else Forcing


def forcing_in(file: xr.Dataset) -> AnyForcing:
    """The forcing in such a dataset, not checked, in 64 bits."""
    kind = kind_of_forcing(file)
    return kind(**{
        field: file[name].transpose(*dims).to_numpy().astype(np.float64)
        for name, (field, dims, _) in VARIABLES[kind].items()
    })  # fmt: skip


def check_variables(source: xr.Dataset, name: str, others: Sequence[str] = ()) -> None:
    """An InputError unless `source`, called `name`, has the variables of `forcing.nc`, and `others` on its cells."""
    kind = kind_of_forcing(source)
    needed = {variable: (set(dims), about["units"]) for variable, (_, dims, about) in VARIABLES[kind].items()}
    needed |= {other: ({"cell"}, None) for other in others}
    for variable, (dims, unit) in needed.items():
        here = source[variable] if variable in source.variables else None
        if here is None or set(here.dims) != dims or unit not in (None, here.attrs.get("units")):
            fault = "is missing" if here is None else f"has dimensions {here.dims}, unit {here.attrs.get('units')!r}"
            raise InputError(
                f"{name}: {variable} {fault}; expected dimensions {sorted(dims)}, unit {unit!r}. A map on lat and lon "
                'becomes one on cell by source.stack(cell=("lat", "lon")).reset_index("cell")'
            )
    n_layers = next(each.column.n_layers for each in CONFIGURATIONS.values() if each.forcing is kind)
    if source.sizes["layer"] != n_layers:
        raise InputError(
            f"{name} has {source.sizes['layer']} layers, expected the {n_layers} of the model, as in forcing.nc"
        )
