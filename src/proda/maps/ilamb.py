"""SOC maps as ILAMB reads them: one NetCDF file a method with `cSoil` and `cSoilAbove1m` on time, lat and lon.

ILAMB (Collier et al. 2018, doi 10.1029/2018MS001354) takes CF files whose variable carries CMIP's name; it finds time,
latitude and longitude by the names of the dimensions, and the period to compare from the bounds of time
(ilamb.org, "Formatting a Benchmark Dataset"). Its soil carbon is `cSoilAbove1m`, or `cSoil` where a model has only
that; in the data set it makes of HWSD v2, `cSoil` is 0 to 2 m, as here. A file can be a benchmark (`source` in a
configuration) or stand among the models: ILAMB 2.7.3 reads it as either, and scores a map against itself with 1. ILAMB
takes whole cells for its totals: along coasts they are above `stocks.csv`, which counts land only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from proda.errors import InputError
from proda.maps.cf import PLACE, file_attributes, land_variables, raster_coordinates, write_product
from proda.maps.products import LEVELS, METHOD, SOC_CONTENT
from proda.maps.raster import raster_of, rastered

EPOCH = "1850-01-01"
# CMIP's variable and the lower depth of its interval, m.
VARIABLES = {"cSoil": (2.0, "carbon mass in the soil from 0 to 2 m"),
             "cSoilAbove1m": (1.0, "carbon mass in the soil from 0 to 1 m")}  # fmt: skip


def observed_period(years: pd.Series) -> tuple[int, int]:
    """First and last year that the profiles stand for: 5 and 95 % of their dates; 1960 to 2020 without any date."""
    known = pd.Series(years, dtype=float).dropna()
    if known.empty:
        return 1960, 2020
    return int(np.floor(known.quantile(0.05))), int(np.floor(known.quantile(0.95)))


def csoil_product(
    maps: xr.Dataset, grid: xr.Dataset, method: str, period: tuple[int, int], title: str, source: str = ""
) -> xr.Dataset:
    """The map of one method as a Dataset for ILAMB.

    Parameters
    ----------
    maps : xarray.Dataset
        From `proda.maps.prediction.maps_by_method`.
    grid : xarray.Dataset
        Cells: `lon`, `lat`, `cell_area` (m2), `land_fraction`.
    period : tuple of int
        First and last year, both whole, that the map stands for.

    Returns
    -------
    xarray.Dataset
        `cSoil` and `cSoilAbove1m` (time, lat, lon), kg m-2 of land, at one time with bounds; quantiles `_p05`, `_p50`,
        `_p95` where the method has draws; cells without a value are missing.

    Raises
    ------
    InputError
        When there is no such method, or the period ends before it begins.
    """
    if method not in maps[METHOD].values:
        raise InputError(f"no map by {method!r}; there are: {', '.join(map(str, maps[METHOD].values))}")
    if period[0] > period[1]:
        raise InputError(f"the period is {period[0]} to {period[1]}: give the first year and then the last")
    raster = raster_of(grid)
    product = raster_coordinates(raster).assign_coords(_time(period))
    bounds = [pd.Timestamp(year, 1, 1) for year in (period[0], period[1] + 1)]
    product["time_bounds"] = (("time", "bounds"), [[float((day - pd.Timestamp(EPOCH)).days) for day in bounds]])
    stock = maps["stock"].sel({METHOD: method})
    lower = [round(float(text.split("-")[1].split()[0]) / 100, 6) for text in maps["interval"].values]
    for name, (depth, meaning) in VARIABLES.items():
        for statistic, suffix in LEVELS.items():
            values = stock.sel(statistic=statistic).isel(depth=lower.index(depth)).values
            if statistic != "mean" and not np.isfinite(values).any():
                continue
            attributes = {"standard_name": SOC_CONTENT, "units": "kg m-2", "long_name": f"{meaning}, {statistic}"}
            attributes |= PLACE | {"cell_methods": "area: mean where land time: mean"}
            product[name + suffix] = (("time", "lat", "lon"), rastered(values, raster).astype("f4")[None], attributes)
    comment = (
        f"By {method}. Steady state under mean forcing; time says from when the observed profiles are. Per area of "
        "land: totals are sums over cell_area times land_area_fraction; ILAMB itself takes whole cells, so that its "
        "totals are higher along coasts. Per method one file: read as variable cSoil (0 to 2 m) or cSoilAbove1m."
    )
    return product.assign(land_variables(grid)).assign_attrs(file_attributes(title, source, comment))


def _time(period: tuple[int, int]) -> dict[str, tuple]:
    first, after = pd.Timestamp(period[0], 1, 1), pd.Timestamp(period[1] + 1, 1, 1)
    middle = (first - pd.Timestamp(EPOCH)).days + (after - first).days / 2
    attributes = {"standard_name": "time", "long_name": "middle of the years of the observed profiles", "axis": "T"}
    attributes |= {"units": f"days since {EPOCH} 00:00:00", "calendar": "standard", "bounds": "time_bounds"}
    return {"time": ("time", [middle], attributes)}


def write_csoil(
    maps: xr.Dataset, grid: xr.Dataset, period: tuple[int, int], folder: Path, title: str, source: str = ""
) -> list[Path]:
    """The files written into `folder`: `cSoil_<method>.nc` for every method, and `proda.cfg`, which names them.

    `proda.cfg` is a configuration that `ilamb-run` takes as it is; its paths are those under `$ILAMB_ROOT` once the
    folder has been copied to `DATA/cSoil/PRODA`. In a larger configuration it goes under a section (h1) of that.
    """
    folder.mkdir(exist_ok=True)
    # ILAMB stops at a variable (h2) that stands in no section (h1).
    written, lines = [], ["[h1: Ecosystem and Carbon Cycle]", "", "[h2: Soil Carbon]"]
    lines += ['variable       = "cSoil"', 'alternate_vars = "cSoilAbove1m"', ""]
    for method in map(str, maps[METHOD].values):
        name = f"cSoil_{method}.nc"
        product = csoil_product(maps, grid, method, period, f"{title}, {method}", source)
        written.append(write_product(product, folder / name))
        lines += [f"[PRODA-{method}]", f'source     = "DATA/cSoil/PRODA/{name}"', 'table_unit = "Pg"']
        lines += ['plot_unit  = "kg m-2"', "space_mean = False", "skip_rmse  = True", ""]
    configuration = folder / "proda.cfg"
    configuration.write_text("\n".join(lines), encoding="utf-8")
    return [*written, configuration]
