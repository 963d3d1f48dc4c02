"""The forcing file of a study: what climate and vegetation give each land cell, with units, for the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from proda.data import climate
from proda.data.stamps import told_if_of_another_version
from proda.errors import InputError
from proda.model.checks import validated
from proda.model.column import PAPER_COLUMN, Column
from proda.model.forcing import AnyForcing, Forcing, MonthlyForcing

NO_PERMAFROST = 35.0  # m; an active layer deeper than any model column

# Layout 1 wrote a C for carbon, which UDUNITS takes for coulombs.
_OLDER_UNITS = {"g m-2 yr-1": ("g C m-2 yr-1",)}
# variable in the file: (field of Forcing, dims, attributes)
VARIABLES = {
    "soil_temperature": (
        "soil_temperature",
        ("layer", "cell"),
        {
            "standard_name": "soil_temperature",
            "units": "K",
            "units_metadata": "temperature: on_scale",
            "long_name": "annual mean soil temperature",
        },
    ),
    "soil_water_potential": (
        "water_potential",
        ("layer", "cell"),
        {"units": "MPa", "long_name": "soil water potential at annual mean moisture, negative when unsaturated"},
    ),
    "active_layer_depth": (
        "active_layer",
        ("cell",),
        {"units": "m", "positive": "down", "long_name": "annual maximum depth of thaw"},
    ),
    **{
        name: (
            name,
            ("cell",),
            {
                "standard_name": "net_primary_productivity_of_biomass_expressed_as_carbon",
                "units": "g m-2 yr-1",
                "long_name": f"net primary production, g of carbon, {year} year",
            },
        )
        for name, year in (("npp_mean", "mean"), ("npp_min", "least"), ("npp_max", "greatest"))
    },
}


def surrogate_forcing(
    cells: pd.DataFrame,
    npp_min_multiple: float = 0.7,
    npp_max_multiple: float = 1.3,
    soil_minus_air_temperature: float = 1.0,
    column: Column = PAPER_COLUMN,
) -> Forcing:
    """Forcing made from annual climate and texture (`proda.data.climate`), NaN where a cell lacks one of them or has an
    impossible one.

    Parameters
    ----------
    cells : DataFrame
        `air_temperature` (degrees Celsius), `precipitation` (mm yr-1), `npp` (g C m-2 yr-1), `sand_percent`,
        `clay_percent`.
    npp_min_multiple, npp_max_multiple : float
        Assumed least and greatest annual NPP as multiples of the mean: they bound the parameter `ins`.
    soil_minus_air_temperature : float, K
    """
    air, rain, npp = (cells[name].to_numpy(float) for name in ("air_temperature", "precipitation", "npp"))
    sand, clay = (cells[name].to_numpy(float) for name in ("sand_percent", "clay_percent"))
    possible = (rain >= 0) & (sand >= 0) & (clay >= 0) & (sand + clay <= 100)
    wetness = np.where(possible, climate.wetness_of_climate(air, rain), np.nan)
    psi = climate.water_potential(wetness, sand, clay)
    return Forcing(
        soil_temperature=climate.soil_temperature(air, soil_minus_air_temperature, column.n_layers),
        water_potential=np.repeat(psi[None], column.n_layers, axis=0),
        active_layer=np.full(len(cells), NO_PERMAFROST),
        npp_mean=npp,
        npp_min=npp_min_multiple * npp,
        npp_max=npp_max_multiple * npp,
    )


def has_forcing(forcing: AnyForcing) -> NDArray[np.bool_]:
    """Which columns have every value the model needs, with a positive carbon input, (n,)."""
    carbon = forcing.carbon_input.sum(axis=(0, 1)) if isinstance(forcing, MonthlyForcing) else forcing.npp_mean
    complete = np.isfinite(carbon) & (carbon > 0)
    for field in forcing:
        complete &= np.isfinite(field).reshape(-1, forcing.n_columns).all(axis=0)
    return complete


def forcing_dataset(forcing: Forcing, lon: ArrayLike, lat: ArrayLike, comment: str) -> xr.Dataset:
    """`forcing` of the land cells as the dataset that `forcing.nc` holds.

    Parameters
    ----------
    lon, lat : (n,), degrees
        Of the cells' centres.
    comment : str
        Where the forcing comes from; stands in the file.
    """
    forcing = validated(forcing, source="forcing of the land cells")
    data = {name: (dims, getattr(forcing, field), attrs) for name, (field, dims, attrs) in VARIABLES.items()}
    bounds = np.stack([PAPER_COLUMN.top, PAPER_COLUMN.bottom], axis=1)
    data["node_depth_bounds"] = (("layer", "bounds"), bounds, {"units": "m"}, {"_FillValue": None})
    depth = {"standard_name": "depth", "long_name": "depth of the node of a soil layer", "units": "m"}
    depth |= {"positive": "down", "axis": "Z", "bounds": "node_depth_bounds"}
    coords = {
        "node_depth": ("layer", PAPER_COLUMN.node, depth),
        "lon": ("cell", np.asarray(lon, float), {"standard_name": "longitude", "units": "degrees_east"}),
        "lat": ("cell", np.asarray(lat, float), {"standard_name": "latitude", "units": "degrees_north"}),
    }
    title = "Forcing of the soil-carbon model on the land cells of the study"
    return xr.Dataset(data, coords, {"Conventions": "CF-1.11", "title": title, "comment": comment})


def read_forcing(path: Path | str) -> Forcing:
    """Forcing of all land cells, checked for units, shapes and missing values.

    Raises
    ------
    InputError
        Naming the file, the variable, the first bad cell and layer, what was found and what was expected.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Run notebook 01-data-cleaning, which writes it.")
    with told_if_of_another_version(path), xr.open_dataset(path) as file:
        missing = [name for name in VARIABLES if name not in file]
        if missing:
            raise InputError(
                f"{path}: no variable {', '.join(missing)}; it has {', '.join(map(str, file.data_vars))}. "
                f"Expected {', '.join(VARIABLES)}."
            )
        for name, (_, dims, attrs) in VARIABLES.items():
            unit = file[name].attrs.get("units")
            if unit not in (attrs["units"], *_OLDER_UNITS.get(attrs["units"], ())):
                raise InputError(
                    f"{path}: {name} is in {unit!r}, expected {attrs['units']!r}. Convert the values and set the "
                    "attribute `units`."
                )
            if set(file[name].dims) != set(dims):
                raise InputError(f"{path}: {name} has dimensions {file[name].dims}, expected {dims}.")
        fields = {field: file[name].transpose(*dims).to_numpy() for name, (field, dims, _) in VARIABLES.items()}
        return validated(Forcing(**fields), source=str(path))
