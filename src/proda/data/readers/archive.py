"""The public input archive of the group's later work (BINN/ScIReN, osf.io/download/682ed7b80f8ae3415deac68b): profiles
and layers, covariates of sites and of a world grid, and CESM2 fields as forcing of both model configurations.

All files but the layers are joined by the position of the profile in the archive's table, `archive_row`.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pandas as pd
import scipy.io
from numpy.typing import ArrayLike, NDArray

from proda.data import tables
from proda.data.covariates import DEPTHS
from proda.data.readers.clm_history import MONTH_DAYS, SECONDS_PER_DAY
from proda.data.readers.rasters import nearest_index
from proda.errors import InputError
from proda.model.configuration import CESM2, CESM2_COLUMN, DAYS_PER_YEAR, Configuration
from proda.model.forcing import Forcing, MonthlyForcing

SNAPSHOT = "wosis_2019_snap_shot"
PROFILES = f"{SNAPSHOT}/soil_profile_wosis_2019_snapshot_hugelius_mishra.nc"
LAYERS = f"{SNAPSHOT}/soil_data_integrate_wosis_2019_snapshot_hugelius_mishra.nc"
SITE_ENVIRONMENT = f"{SNAPSHOT}/wosis_2019_snapshot_hugelius_mishra_env_info.mat"
GRID_ENVIRONMENT = f"{SNAPSHOT}/world_grid_envinfo_present.mat"
FIELD = "cesm2_simu/spinup_ss/sasu_f05_g16_checked_step4_cesm2_ss_4da_661_680_{name}.mat"
VARIABLE = "var_record_monthly_mean"  # of every field

PROFILE_COLUMNS = ("profile_id", "country_id", "country_code", "lon", "lat", "layer_num", "date")
LAYER_COLUMNS = (
    "profile_id", "date", "upper_depth", "lower_depth", "node_depth", "soc_layer_weight", "soc_stock", "bulk_density",
    "is_pedo",
)  # fmt: skip


def _triple(name: str) -> tuple[str, ...]:
    return tuple(f"{name}_{depth}" for depth in DEPTHS)


ENVIRONMENT_COLUMNS = (
    "ProfileNum", "ProfileID", "LayerNum", "Lon", "Lat", "Date", "Rmean", "Rmax", "Rmin", "ESA_Land_Cover", "ET",
    "IGBP", "Climate", "Soil_Type", "NPPmean", "NPPmax", "NPPmin", "Veg_Cover", *(f"BIO{i}" for i in range(1, 20)),
    "Abs_Depth_to_Bedrock", *_triple("Bulk_Density"), *_triple("CEC"), *_triple("Clay_Content"),
    *_triple("Coarse_Fragments_v"), "Depth_Bedrock_R", "Garde_Acid", "Occurrence_R_Horizon", *_triple("pH_Water"),
    *_triple("Sand_Content"), *_triple("Silt_Content"), *_triple("SWC_v_Wilting_Point"), *_triple("Texture_USDA"),
    "USDA_Suborder", "WRB_Subgroup", "Drought", "Elevation", "Max_Depth", "Koppen_Climate_2018", "cesm2_npp",
    "cesm2_npp_std", "cesm2_gpp", "cesm2_gpp_std", "cesm2_vegc", "nbedrock", "R_Squared",
)  # fmt: skip
GRID_ENVIRONMENT_COLUMNS = ENVIRONMENT_COLUMNS[3:-1]

# Cell centres of the CESM2 fields, degrees: north to south and west to east.
N_LAT, N_LON = 384, 576
GRID_LAT = 90.0 - 180.0 / N_LAT * (np.arange(N_LAT) + 0.5)
GRID_LON = -180.0 + 360.0 / N_LON * (np.arange(N_LON) + 0.5)
INPUTS = ("CWD_INPUT_ACC_VECTOR", "LITR1_INPUT_ACC_VECTOR", "LITR2_INPUT_ACC_VECTOR", "LITR3_INPUT_ACC_VECTOR")
# Name: unit, least and greatest plausible value.
FIELDS = {
    "TSOI": ("K", 180.0, 350.0),
    "W_SCALAR": ("1", 0.0, 1.0 + 1e-6),
    "O_SCALAR": ("1", 0.0, 1.0 + 1e-6),
    "FPI_vr": ("1", 0.0, 1.0 + 1e-6),
    "ALTMAX": ("m", 0.0, 100.0),
    "ALTMAX_LASTYEAR": ("m", 0.0, 100.0),
    "nbedrock": ("layers", 1.0, 25.0),
    "SOILPSI": ("MPa", -1e4, 0.0),
    "NPP": ("g C m-2 s-1", -1e-4, 5e-4),
    **{name: ("g C m-3 month-1", -1e-6, 1e6) for name in INPUTS},
}
_CHECKS = {
    **{name: [tables.row_check(lambda x: x.abs() <= 180, "-180 to 180", "From 0 to 360?")] for name in ("lon", "Lon")},
    **{name: [tables.row_check(lambda x: x.abs() <= 90, "-90 to 90", "Columns exchanged?")] for name in ("lat", "Lat")},
    "lower_depth": [tables.median_check(3, 1000, "cm", "Depths in metres? Multiply by 100.")],
    "soc_stock": [tables.median_check(200, 2e5, "g C m-3", "In kg? Multiply by 1000.")],
}
_BAND = 72  # meridians read at once; 72 of 20 layers from pole to pole are 53 MB


def read_archive_profiles(folder: Path | str) -> tables.ProfileTables:
    """Profiles and layers of an unpacked archive; `profiles` has one more column, `archive_row`, from 0.

    Carbon is by volume, g C m-3, so carbon by mass, bulk density and pH are left out; `bulk_density_method` marks a
    density that the archive estimated. A table that is not as described, or in other units, is an `InputError`.
    """
    info = _profile_info(folder)
    year = info["date"].where(info["date"] < 1e4, np.floor(info["date"] / 1e4))  # written as 20070615 or 2007
    profiles = pd.DataFrame(
        {
            "profile_id": _identifiers(info["profile_id"]),
            "lon": info["lon"],
            "lat": info["lat"],
            "source": "WoSIS 2019, Hugelius, Mishra",
            **dict.fromkeys(("land_use", "state"), None),
            "year": year.where(year.between(1800, 2100)),
            "position_uncertainty": np.nan,
            "archive_row": np.arange(len(info)),
        }
    )
    table = _netcdf_table(archive_root(folder) / LAYERS, "data_soc_integrate", LAYER_COLUMNS)
    identifier = _identifiers(table["profile_id"])
    layers = pd.DataFrame(
        {
            "profile_id": identifier,
            "layer": table.groupby(identifier.to_numpy(), sort=False).cumcount() + 1,
            "upper_depth": table["upper_depth"] / 100.0,
            "lower_depth": table["lower_depth"] / 100.0,
            "soc": table["soc_stock"],
            **dict.fromkeys(("organic_carbon", "bulk_density", "coarse_fraction", "ph"), np.nan),
            "bulk_density_method": np.where(table["is_pedo"] == 1, "ptf of the archive", None),
            "litter": False,
        }
    )
    return tables.ProfileTables(profiles, layers)


def read_site_environment(folder: Path | str) -> pd.DataFrame:
    """The 81 columns of EnvInfo, one row a profile, by `archive_row`; `InputError` when rows are of other profiles."""
    path = archive_root(folder) / SITE_ENVIRONMENT
    table = _environment(path, ENVIRONMENT_COLUMNS)
    ours, theirs = _profile_info(folder)["profile_id"], table["ProfileID"]
    differs = (theirs - ours).abs() > 0.5
    if len(theirs) != len(ours) or differs.any():
        raise InputError(
            f"{path}: {len(theirs)} rows, expected one for each of the {len(ours)} profiles in the order of their "
            f"table; ProfileID differs in {int(differs.sum())}. Files of two versions, or rows shifted by one?"
        )
    return table


def read_grid_environment(folder: Path | str) -> pd.DataFrame:
    """The 77 columns of EnvInfo for the cells of the world grid: Lon, Lat, Date, ... nbedrock."""
    return _environment(archive_root(folder) / GRID_ENVIRONMENT, GRID_ENVIRONMENT_COLUMNS)


def archive_forcing(
    folder: Path | str,
    lon: ArrayLike,
    lat: ArrayLike,
    configuration: Configuration = CESM2,
    npp_multiples: tuple[float, float] = (0.7, 1.3),
) -> tables.SourcedForcing:
    """Forcing of places at `lon`, `lat` (degrees) from an unpacked archive.

    A place takes the nearest row and column of the grid, as in the group's programs; where its cell is no land, NaN.
    `CESM2` takes the mean year, month by month, with carbon inputs summed over the layers (g C m-2 month-1). `PAPER`
    takes annual means, interpolated in depth to the nodes of CLM4.5; `npp_multiples` are its least and greatest annual
    NPP as multiples of the mean. A field that is missing, or not as described, is an `InputError`.
    """
    cells = archive_cells(lon, lat)
    findings: list[tables.Finding] = []

    def field(name: str) -> NDArray:
        values = _read_field(folder, name, *cells)
        findings.append(tables.finding("CESM2 fields of the archive", name, FIELDS[name][0], values))
        return values

    comment = "CESM2 (CLM5) fields of the public BINN/ScIReN archive, mean year of the model years 661 to 680"
    if configuration.monthly:
        return tables.SourcedForcing(_monthly(field), tables.findings_table(findings), f"{comment}, month by month.")
    forcing = _annual(field, configuration, npp_multiples)
    comment += (
        ", annual means, interpolated in depth to the nodes of CLM4.5; annual NPP assumed to range from "
        "{:g} to {:g} times its mean.".format(*npp_multiples)
    )
    return tables.SourcedForcing(forcing, tables.findings_table(findings), comment)


def archive_root(folder: Path | str) -> Path:
    """The folder `INPUT_DATA` of an unpacked archive, given itself or a folder above it, where there is one."""
    roots = sorted(path.parent for path in Path(folder).rglob(SNAPSHOT) if path.is_dir())
    if len(roots) != 1:
        raise InputError(
            f"{folder}: {len(roots)} folders {SNAPSHOT!r} in it or below, expected one. Unpack the archive and give "
            "the folder it unpacks to."
        )
    return roots[0]


def archive_cells(lon: ArrayLike, lat: ArrayLike) -> tuple[NDArray, NDArray]:
    """Row (from the north) and column (from the west) of the grid cell nearest to each place, from 0."""
    lon = np.asarray(lon, float)
    return nearest_index(GRID_LAT, lat), nearest_index(GRID_LON, np.where(lon > 180.0, lon - 360.0, lon))


def _monthly(field) -> MonthlyForcing:
    temperature = field("TSOI")
    scalars = [np.clip(field(name), 0.0, 1.0) for name in ("W_SCALAR", "O_SCALAR", "FPI_vr")]
    thaw = [field(name) for name in ("ALTMAX", "ALTMAX_LASTYEAR")]
    carbon = np.stack([np.einsum("jtn,j->tn", field(name), CESM2_COLUMN.thickness) for name in INPUTS])
    bedrock = field("nbedrock")
    known = np.isfinite(bedrock).all(axis=0)
    deepest = np.where(known, np.minimum(bedrock[0], CESM2_COLUMN.n_layers), np.nan)
    return MonthlyForcing(temperature, *scalars, *thaw, np.maximum(carbon, 0.0), deepest)


def _annual(field, configuration: Configuration, multiples: tuple[float, float]) -> Forcing:
    month = MONTH_DAYS / MONTH_DAYS.sum()
    node, wanted = CESM2_COLUMN.node, configuration.column.node
    shares = np.array([np.interp(wanted, node, unit) for unit in np.eye(node.size)])  # (20, n_layers)
    temperature, potential = (np.einsum("jtn,t,jk->kn", field(name), month, shares) for name in ("TSOI", "SOILPSI"))
    thaw = month @ field("ALTMAX")
    npp = SECONDS_PER_DAY * DAYS_PER_YEAR * (month @ field("NPP"))
    return Forcing(temperature, potential, thaw, npp, multiples[0] * npp, multiples[1] * npp)


def _read_field(folder: Path | str, name: str, row: NDArray, column: NDArray) -> NDArray[np.float64]:
    """A field at grid cells: (12, n), or (20, 12, n) when it has layers; NaN where the model has no land."""
    path = archive_root(folder) / FIELD.format(name=name)
    n_layers = CESM2_COLUMN.n_layers
    try:
        with h5py.File(path) as file:
            stored = file[VARIABLE]
            layered = stored.ndim == 4 and stored.shape[1] >= n_layers
            if stored.shape[0] != 12 or stored.shape[-2:] != (N_LON, N_LAT) or not (layered or stored.ndim == 3):
                raise InputError(
                    f"{path}: {VARIABLE} is stored with shape {stored.shape}, expected (12, {N_LON}, {N_LAT}) or (12, "
                    f"{n_layers} layers or more, {N_LON}, {N_LAT}), MATLAB's [lat, lon, (layer,) month] in reverse."
                )
            cells, place = np.unique(column * N_LAT + row, return_inverse=True)
            values = _columns(stored, cells // N_LAT, cells % N_LAT, (slice(0, n_layers),) if layered else ())
    except (OSError, KeyError) as error:
        raise InputError(f"{path}: no readable {VARIABLE!r} in a MATLAB 7.3 file ({error}). Unpack it again.") from None
    values = values[..., place]
    tables.check_range(values, *FIELDS[name], f"{path}: {name}", "another unit?")
    return np.swapaxes(values, 0, 1) if layered else values


def _columns(stored: h5py.Dataset, lon: NDArray, lat: NDArray, levels: tuple[slice, ...]) -> NDArray[np.float64]:
    """Values at cells, (12, [layers,] n), read a band of meridians at a time."""
    result = np.empty((12, *(level.stop for level in levels), lon.size))
    for band in np.unique(lon // _BAND):
        here = np.flatnonzero(lon // _BAND == band)
        west, north = int(lon[here].min()), int(lat[here].min())
        window = (slice(west, int(lon[here].max()) + 1), slice(north, int(lat[here].max()) + 1))
        block = stored[(slice(None), *levels, *window)]
        result[..., here] = block[..., lon[here] - west, lat[here] - north]
    return result


def _profile_info(folder: Path | str) -> pd.DataFrame:
    path = archive_root(folder) / PROFILES
    info = _netcdf_table(path, "soil_profile_info", PROFILE_COLUMNS)
    return tables.checked(info, {"profile_id": [tables.no_gaps, tables.no_repeats]}, path)


def _netcdf_table(path: Path, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        with netCDF4.Dataset(path) as file:
            stored = np.ma.filled(file[name][:].astype(np.float64), np.nan)
    except (OSError, IndexError) as error:
        raise InputError(f"{path}: no readable {name!r} in a NetCDF file ({error}). Unpack it again.") from None
    return _table(path, name, stored.T, columns)


def _environment(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        values = scipy.io.loadmat(path)["EnvInfo"]
    except Exception as error:  # a broken file fails in many ways: zlib, struct, shapes
        raise InputError(f"{path}: no readable 'EnvInfo' in a .mat file ({error}). Unpack it again.") from None
    return _table(path, "EnvInfo", np.asarray(values, dtype=np.float64), columns)


def _table(path: Path, name: str, values: NDArray, columns: tuple[str, ...]) -> pd.DataFrame:
    if values.ndim != 2 or values.shape[1] != len(columns):
        raise InputError(f"{path}: {name} has shape {values.shape}, expected {len(columns)} columns. Transposed?")
    return tables.checked(pd.DataFrame(values, columns=list(columns)), _CHECKS, path)


def _identifiers(values: pd.Series) -> pd.Series:
    return values.map("{:.0f}".format).astype(str)
