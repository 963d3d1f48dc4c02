"""A small archive of exactly the layout of the public one: few profiles, the full grid, known values."""

import h5py
import netCDF4
import numpy as np
import scipy.io

from proda.data.readers import archive as layout
from proda.data.readers.archive import FIELDS, INPUTS, VARIABLE

N = 40


def places(seed=3):
    """Positions: the first 30 in the conterminous United States, the others in Europe."""
    random = np.random.default_rng(seed)
    lon, lat = random.uniform(-110, -80, N), random.uniform(33, 45, N)
    lon[30:], lat[30:] = random.uniform(5, 20, 10), random.uniform(45, 55, 10)
    return lon, lat


def profile_table():
    lon, lat = places()
    return np.column_stack([
        1000.0 + 7 * np.arange(N), np.arange(N) % 4, np.where(np.arange(N) < 30, 156, 78), lon, lat,
        np.full(N, 3), np.where(np.arange(N) % 2, 20070615.0, np.nan),
    ])  # fmt: skip


def layer_table():
    identifier = np.repeat(1000.0 + 7 * np.arange(N), 3)
    top, bottom = np.tile([0.0, 10.0, 30.0], N), np.tile([10.0, 30.0, 100.0], N)
    carbon = 20000.0 * np.exp(-0.02 * (top + bottom) / 2) + identifier
    carbon[5] = np.nan
    return np.column_stack([
        identifier, np.full(3 * N, np.nan), top, bottom, (top + bottom) / 2, np.ones(3 * N), carbon,
        np.full(3 * N, 1.3), np.zeros(3 * N),
    ])  # fmt: skip


def environment_table():
    lon, lat = places()
    values = np.arange(N)[:, None] + np.arange(81) / 100.0
    values[:, 0], values[:, 1] = np.arange(1, N + 1), 1000.0 + 7 * np.arange(N)
    values[:, 3], values[:, 4] = lon, lat
    names = list(layout.ENVIRONMENT_COLUMNS)
    for name in ("Soil_Type", "Climate", "ESA_Land_Cover", "USDA_Suborder", "WRB_Subgroup"):
        values[:, names.index(name)] = np.arange(N)
    for name in ("IGBP", "Koppen_Climate_2018", "Texture_USDA_0cm", "Texture_USDA_30cm", "Texture_USDA_100cm"):
        values[:, names.index(name)] = np.arange(N) % 5 + 1
    for name, npp in (("NPPmean", 400.0), ("NPPmax", 500.0), ("NPPmin", 300.0)):
        values[:, names.index(name)] = npp + np.arange(N)
    values[4, 40] = np.nan
    return values


def field_value(name, lat_index, lon_index, layer, month):
    """What a field holds, from 0-based indices; it differs along every axis."""
    pattern = lat_index / 400 + lon_index / 600 * 0.3 + layer / 100 + month / 1000  # 0 to 1.6
    if name == "nbedrock":
        return 3.0 + (lat_index + lon_index) % 18 + 0 * month
    base, scale = {
        "TSOI": (250.0, 20.0), "SOILPSI": (-3.0, 1.0),
        "ALTMAX": (0.1, 2.0), "ALTMAX_LASTYEAR": (0.2, 2.0),
        "NPP": (0.0, 1e-5), **{i: (0.0, 10.0 + k) for k, i in enumerate(INPUTS)},
    }.get(name, (0.1, 0.5))  # fmt: skip
    return base + scale * pattern


def write_nc(path, name, table):
    with netCDF4.Dataset(path, "w") as file:
        rows, columns = table.shape
        file.createDimension("row", rows)
        file.createDimension("column", columns)
        file.createVariable(name, "f8", ("column", "row"))[:] = table.T


def write_field(root, name):
    """One field, on the full grid, in MATLAB's order of axes; only the box of the tests' places is filled."""
    layered = name not in ("ALTMAX", "ALTMAX_LASTYEAR", "nbedrock", "NPP")
    shape = (12, *((25,) if layered else ()), layout.N_LON, layout.N_LAT)
    path = root / layout.FIELD.format(name=name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        chunk = (*shape[:-2], 24, 24)
        stored = file.create_dataset(VARIABLE, shape, "f4", chunks=chunk, compression="lzf", fillvalue=np.nan)
        lon, lat = np.arange(96, 168), np.arange(72, 144)
        month, layer = np.arange(12), np.arange(25 if layered else 1)
        grid = np.meshgrid(month, layer, lon, lat, indexing="ij")
        values = field_value(name, grid[3], grid[2], grid[1], grid[0])
        values = values if layered else values[:, 0]
        stored[..., 96:168, 72:144] = values.astype("f4")
    return path


def write_archive(folder, fields=tuple(FIELDS)):
    """The archive below `folder`; returns its root."""
    root = folder / "ENSEMBLE" / "INPUT_DATA"
    (root / layout.SNAPSHOT).mkdir(parents=True)
    write_nc(root / layout.PROFILES, "soil_profile_info", profile_table())
    write_nc(root / layout.LAYERS, "data_soc_integrate", layer_table())
    environment = environment_table()
    scipy.io.savemat(root / layout.SITE_ENVIRONMENT, {"EnvInfo": environment})
    scipy.io.savemat(root / layout.GRID_ENVIRONMENT, {"EnvInfo": environment[:, 3:-1]})
    for name in fields:
        write_field(root, name)
    return root
