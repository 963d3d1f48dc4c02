"""Small files in the layout of CLM history output, for the tests of their reader."""

import numpy as np
import xarray as xr

from proda.model.configuration import CESM2_COLUMN, PAPER_COLUMN

MONTH_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
INPUTS = ("CWD_INPUT", "LITR1_INPUT", "LITR2_INPUT", "LITR3_INPUT")
UNITS = {
    "TSOI": "K", "SOILPSI": "MPa", "W_SCALAR": "unitless", "O_SCALAR": "unitless", "FPI_vr": "proportion",
    "ALTMAX": "m", "ALTMAX_LASTYEAR": "m", "NPP": "gC/m^2/s", **dict.fromkeys(INPUTS, "gC/m^3/s"),
}  # fmt: skip
LON, LAT = np.arange(0.0, 360.0, 2.5), np.arange(30.0, 51.0, 1.875)


def truth(name, year, month, lon, lat, depth=None):
    """The field a file holds: linear in lon and lat between 230 and 300 degrees, with seasons and a trend."""
    east, season = np.mod(lon, 360.0), np.cos(2 * np.pi * (month - 7) / 12)
    flat = {
        "TSOI": 290.0 - 0.5 * (lat - 30) + 0.02 * (east - 260) + 10 * season + 0.1 * (year - 2001),
        "SOILPSI": -0.5 - 0.001 * (east - 230) + 0.2 * season,
        "W_SCALAR": 0.5 + 0.2 * season + 0 * lat,
        "O_SCALAR": 0.9 + 0 * lat + 0 * east,
        "FPI_vr": 0.8 + 0.001 * (lat - 30) + 0 * east,
        "ALTMAX": 3.0 + 0.01 * (lat - 30) + 0 * east,
        "ALTMAX_LASTYEAR": 2.5 + 0 * lat + 0 * east,
        "NPP": (1.6e-5 + 1e-7 * (lat - 30)) * (1 + 0.1 * (year - 2002)) + 0 * east,
    }
    base = flat[name] if name in flat else 1e-6 * (1 + INPUTS.index(name)) * (1.2 + season) + 0 * lat + 0 * east
    return base if depth is None else base + (depth if name == "TSOI" else 0.0 * depth)


def history(years=(2001, 2002, 2003), configuration="paper", lon=LON, lat=LAT, land=None):
    """A dataset as CLM writes it: single precision, fill values in the sea, months stamped with their end."""
    paper = configuration == "paper"
    names = ("TSOI", "SOILPSI", "ALTMAX", "NPP")
    if not paper:
        names = ("TSOI", "W_SCALAR", "O_SCALAR", "FPI_vr", "ALTMAX", "ALTMAX_LASTYEAR", *INPUTS)
    column = PAPER_COLUMN if paper else CESM2_COLUMN
    below = column.node[-1] + np.array([2.0, 5.0, 9.0, 15.0, 25.0])
    depth = np.concatenate([column.node, below]).astype("f4")
    when = [(year, month) for year in years for month in range(1, 13)]
    length = np.tile(MONTH_DAYS, len(years))
    end = 365 * (years[0] - 2000) + np.cumsum(length)
    east, north = np.meshgrid(lon, lat)
    data = {}
    for name in names:
        levels = name not in ("ALTMAX", "ALTMAX_LASTYEAR", "NPP")
        at_depth = depth[:, None, None] if levels else None
        field = np.array([truth(name, *at, east, north, at_depth) for at in when])
        if land is not None:
            field = np.where(land, field, np.nan)
        dims = ("time", "levgrnd", "lat", "lon") if levels else ("time", "lat", "lon")
        data[name] = (dims, field.astype("f4"), {"units": UNITS[name], "cell_methods": "time: mean"})
    data["time_bounds"] = (("time", "hist_interval"), np.column_stack([end - length, end]).astype(float))
    if not paper:
        data["nbedrock"] = (("lat", "lon"), np.full(east.shape, 12.0))
    time = ("time", end.astype(float), {"units": "days since 2000-01-01 00:00:00", "calendar": "noleap"})
    time[2]["bounds"] = "time_bounds"
    return xr.Dataset(data, {"time": time, "lon": lon, "lat": lat, "levgrnd": ("levgrnd", depth, {"units": "m"})})


def written(ds, path):
    fill = {name: {"_FillValue": np.float32(1e36)} for name in ds.data_vars if ds[name].dtype == "f4"}
    ds.to_netcdf(path, encoding=fill | {"time": {"_FillValue": None}})
    return path
