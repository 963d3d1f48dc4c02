"""The public input archive of the group's later work (BINN/ScIReN): its files, its columns, its index conventions.

From OSF, osf.io/download/682ed7b80f8ae3415deac68b; the zip unpacks to ENSEMBLE/INPUT_DATA. Everything the readers
expect of it stands here; what they find is compared with it.

Arrays of the public archive: NetCDF written from MATLAB, .mat files of both kinds; names and shapes are checked.

The CESM2 fields of the public archive, read by slices: monthly means of a mean year on a half-degree-like grid.

A field of twenty layers is 425 MB in double precision and there are a dozen, so only the grid columns asked for are
read. The files are MATLAB's version 7.3, which is HDF5 with the axes in reverse order.

Forcing of both model configurations from the CESM2 fields of the public archive.

The environment of sites and grid cells in the public archive, and the ranges it was scaled by.

Profiles and layers of the public archive as the tidy tables that cleaning takes.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import h5py
import netCDF4
import numpy as np
import pandas as pd
import scipy.io
from numpy.typing import ArrayLike, NDArray

from proda.data.covariates import DEPTHS
from proda.data.findings import Finding, SourcedForcing, finding, findings_table
from proda.data.readers.rasters import nearest_on_axis
from proda.data.tables import ProfileTables
from proda.errors import InputError
from proda.model.configuration import CESM2, CESM2_COLUMN, DAYS_PER_YEAR, Configuration
from proda.model.forcing import Forcing, MonthlyForcing

SNAPSHOT = "wosis_2019_snap_shot"
PROFILES = f"{SNAPSHOT}/soil_profile_wosis_2019_snapshot_hugelius_mishra.nc"
LAYERS = f"{SNAPSHOT}/soil_data_integrate_wosis_2019_snapshot_hugelius_mishra.nc"
SITE_ENVIRONMENT = f"{SNAPSHOT}/wosis_2019_snapshot_hugelius_mishra_env_info.mat"
GRID_ENVIRONMENT = f"{SNAPSHOT}/world_grid_envinfo_present.mat"
SCALING = f"{SNAPSHOT}/world_grid_envinfo_present_cesm2_clm5_cen_vr_v2_whole_time_col_max_min.mat"
REPRESENTATIVE = f"{SNAPSHOT}/wosis_2019_snapshot_hugelius_mishra_representative_profiles.mat"
GELMAN_RUBIN = f"{SNAPSHOT}/cesm2_clm5_cen_vr_v2_para_gr.mat"
R_SQUARED = f"{SNAPSHOT}/cesm2_clm5_cen_vr_v2_stat_r2.mat"
ELIGIBLE = f"{SNAPSHOT}/eligible_profile_loc_0_cesm2_clm5_cen_vr_v2_whole_time.mat"
NETWORK = "PRODA_Results/nn_{what}_full_cesm2_clm5_cen_vr_v2_whole_time_exp_pc_cesm2_23_cross_valid_0_{run}.csv"
NETWORK_RUNS = tuple(range(1, 10))
FIELD = "cesm2_simu/spinup_ss/sasu_f05_g16_checked_step4_cesm2_ss_4da_661_680_{name}.mat"

PROFILE_COLUMNS = ("profile_id", "country_id", "country_code", "lon", "lat", "layer_num", "date")
LAYER_COLUMNS = (
    "profile_id", "date", "upper_depth", "lower_depth", "node_depth", "soc_layer_weight", "soc_stock", "bulk_density",
    "is_pedo",
)  # fmt: skip
US_CODE = 156  # in `country_code`
US_BOX = (-124.763068, -66.949895, 24.5, 49.384358)  # west, east, south, north; of sites
US_GRID_BOX = (-124.763068, -66.949895, 24.521694, 49.384358)  # of grid cells


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

# The grid of the CESM2 fields: cell centres, north to south and west to east.
N_LAT, N_LON = 384, 576
LAT_STEP, LON_STEP = 180.0 / N_LAT, 360.0 / N_LON


def archive_root(folder: Path | str) -> Path:
    """The folder `INPUT_DATA` of an unpacked archive, given itself or a folder above it.

    Raises
    ------
    InputError
        When there is none, or more than one.
    """
    found = sorted(path.parent for path in Path(folder).rglob(SNAPSHOT) if path.is_dir())
    if len(found) == 1:
        return found[0]
    told = f"{len(found) or 'no'} folder{'s' if found else ''} {SNAPSHOT!r} in it or below"
    raise InputError(f"{folder}: {told}. Unpack the archive and give the folder it unpacks to.")


# "n" stands for any length.
Shape = tuple[int | str, ...]


def existing(path: Path) -> Path:
    """`path`, once it is a file.

    Raises
    ------
    InputError
        When it is not.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected it in the unpacked archive. Was it unpacked completely?")
    return path


def netcdf_table(path: Path, name: str, columns: int) -> NDArray[np.float64]:
    """A table that MATLAB wrote into a NetCDF file: stored (columns, n), returned (n, columns).

    Raises
    ------
    InputError
        When the file cannot be read, or lacks the variable, or the variable has another shape.
    """
    existing(path)
    try:
        with netCDF4.Dataset(path) as file:
            _check_name(path, name, list(file.variables))
            stored = np.ma.filled(file[name][:].astype(np.float64), np.nan)
    except OSError as error:
        raise _unreadable(path, "NetCDF", error) from None
    return checked_shape(stored, (columns, "n"), path, name).T


def mat_array(path: Path, name: str, shape: Shape) -> NDArray[np.float64]:
    """An array of a .mat file of version 5 or 7.

    Raises
    ------
    InputError
        When the file cannot be read, is of version 7.3, or lacks the variable, or the variable has another shape.
    """
    existing(path)
    try:
        content = scipy.io.loadmat(path)
    except NotImplementedError:
        raise InputError(
            f"{path}: a .mat file of version 7.3 (HDF5), expected version 5 or 7. Save it with -v7."
        ) from None
    except Exception as error:  # a broken file fails in many ways: zlib, struct, shapes
        raise _unreadable(path, "MATLAB", error) from None
    _check_name(path, name, [key for key in content if not key.startswith("__")])
    return checked_shape(np.asarray(content[name], dtype=np.float64), shape, path, name)


def checked_shape(values: NDArray, shape: Shape, path: Path, name: str) -> NDArray:
    """`values`, once they have the shape expected.

    Raises
    ------
    InputError
        Says which shape it was, and when the axes seem exchanged.
    """
    if _fits(values.shape, shape):
        return values
    turned = " The axes are exchanged: transposed when it was written?" if _fits(values.shape[::-1], shape) else ""
    raise InputError(f"{path}: {name} has shape {values.shape}, expected ({', '.join(map(str, shape))}).{turned}")


def _fits(found: tuple[int, ...], expected: Shape) -> bool:
    return len(found) == len(expected) and all(e in ("n", f) for f, e in zip(found, expected, strict=True))


def _check_name(path: Path, name: str, names: list[str]) -> None:
    if name not in names:
        raise InputError(f"{path}: no variable {name!r}; it has: {', '.join(names) or 'none'}.")


def _unreadable(path: Path, kind: str, error: Exception) -> InputError:
    return InputError(f"{path}: not a readable {kind} file ({str(error).splitlines()[0]}). Broken off in transfer?")


GRID_LAT = 90.0 - LAT_STEP * (np.arange(N_LAT) + 0.5)
GRID_LON = -180.0 + LON_STEP * (np.arange(N_LON) + 0.5)
VARIABLE = "var_record_monthly_mean"
NARROWEST_BAND, WIDEST_BAND = 8, 72  # meridians; 72 of 20 layers from pole to pole are 53 MB
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
    "CELLSAND": ("%", 0.0, 100.0),
    **{name: ("g C m-3 month-1", -1e-6, 1e6) for name in INPUTS},
    "NPP": ("g C m-2 s-1", -1e-4, 5e-4),
    "T_SCALAR": ("1", 0.0, 10.0),
    "TOTSOMC": ("g C m-2", 0.0, 2e6),  # the run's own carbon, to compare with
}


def archive_cells(lon: ArrayLike, lat: ArrayLike) -> tuple[NDArray, NDArray]:
    """Row (from the north) and column (from the west) of the grid cell nearest to each place, from 0."""
    lon = np.asarray(lon, float)
    return nearest_on_axis(GRID_LAT, lat), nearest_on_axis(GRID_LON, np.where(lon > 180.0, lon - 360.0, lon))


def read_field(folder: Path | str, name: str, row: NDArray, column: NDArray) -> NDArray[np.float64]:
    """A field at grid cells: (12, n), or (20, 12, n) when it has layers; NaN where the model has no land.

    Raises
    ------
    InputError
        When the file is missing or no HDF5, lacks its variable, has another shape, or holds impossible values.
    """
    if name not in FIELDS:
        raise InputError(f"no field {name!r}; the reader knows: {', '.join(FIELDS)}.")
    path = existing(archive_root(folder) / FIELD.format(name=name))
    try:
        file = h5py.File(path)
    except OSError as error:
        raise InputError(
            f"{path}: not a readable HDF5 file ({str(error).splitlines()[0]}); expected MATLAB's version 7.3. Broken "
            "off in transfer, or saved in an older version?"
        ) from None
    with file:
        if VARIABLE not in file:
            raise InputError(f"{path}: no variable {VARIABLE!r}; it has: {', '.join(file)}.")
        stored = file[VARIABLE]
        layers = _layers(stored.shape, path)
        cells, place = np.unique(column * N_LAT + row, return_inverse=True)
        values = _columns(stored, cells // N_LAT, cells % N_LAT, layers)[..., place]
    unit, low, high = FIELDS[name]
    bad = (values < low) | (values > high)
    if bad.any():
        raise InputError(
            f"{path}: {name} is {values[bad][0]:.4g} {unit} somewhere, expected {low:g} to {high:g} "
            f"({int(bad.sum())} of {bad.size} values are outside). Another unit, or a fill value?"
        )
    # MATLAB's axes are lat, lon, layer, month; the file's are month, layer, ...
    return values if layers is None else np.swapaxes(values, 0, 1)


def _layers(shape: tuple[int, ...], path: Path) -> int | None:
    """Number of layers to read; None for a field without."""
    if shape == (12, N_LON, N_LAT):
        return None
    if len(shape) == 4 and shape[0] == 12 and shape[2:] == (N_LON, N_LAT):
        if shape[1] >= CESM2_COLUMN.n_layers:
            return CESM2_COLUMN.n_layers
        raise InputError(f"{path}: {VARIABLE} has {shape[1]} layers, expected at least {CESM2_COLUMN.n_layers}.")
    turned = " Axes in the order of Python: written by another program?" if shape[:2] == GRID_SHAPE else ""
    raise InputError(
        f"{path}: {VARIABLE} is stored with shape {shape}, expected (12, {N_LON}, {N_LAT}) or "
        f"(12, layers, {N_LON}, {N_LAT}), MATLAB's [lat, lon, (layer,) month] in reverse.{turned}"
    )


GRID_SHAPE = (N_LAT, N_LON)


def _columns(stored: h5py.Dataset, lon: NDArray, lat: NDArray, layers: int | None) -> NDArray[np.float64]:
    """Values at cells, (12, [layers,] n), read a band of meridians at a time, as wide as the file's chunks."""
    result = np.empty((12, lon.size) if layers is None else (12, layers, lon.size))
    levels = () if layers is None else (slice(0, layers),)
    width = min(stored.chunks[-2], WIDEST_BAND) if stored.chunks else NARROWEST_BAND
    for band in np.unique(lon // width):
        here = np.flatnonzero(lon // width == band)
        west, north = int(lon[here].min()), int(lat[here].min())
        window = (slice(west, int(lon[here].max()) + 1), slice(north, int(lat[here].max()) + 1))
        block = stored[(slice(None), *levels, *window)]
        result[..., here] = block[..., lon[here] - west, lat[here] - north]
    return result


SOURCE = "CESM2 fields of the archive"
MONTH_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], float)
SECONDS_PER_DAY = 86400.0


class _Fields:
    """The fields at places, each noted as it is read."""

    def __init__(self, folder: Path | str, lon: ArrayLike, lat: ArrayLike):
        self.folder, self.cells = folder, archive_cells(lon, lat)
        self.found: list[Finding] = []

    def __call__(self, name: str, note: str = "") -> NDArray:
        values = read_field(self.folder, name, *self.cells)
        if not np.isfinite(values).any():
            raise InputError(
                f"{FIELD.format(name=name)}: no value at any of the {values.shape[-1]} places. Places in the "
                "sea, or longitudes and latitudes exchanged?"
            )
        self.found.append(finding(SOURCE, name, FIELDS[name][0], values, note))
        return values


def archive_forcing(
    folder: Path | str,
    lon: ArrayLike,
    lat: ArrayLike,
    configuration: Configuration = CESM2,
    npp_multiples: tuple[float, float] = (0.7, 1.3),
) -> SourcedForcing:
    """Forcing of places at `lon`, `lat` (degrees) from an unpacked archive.

    A place takes the nearest row and the nearest column of the grid, as in the group's programs; one whose cell is not
    land is NaN.

    Parameters
    ----------
    configuration : Configuration
        `CESM2` takes the mean year, month by month; carbon inputs are multiplied by the thickness of their layer and
        summed over the twenty layers, which gives g C m-2 month-1. `PAPER` takes annual means, interpolated in depth
        from the nodes of CLM5 to those of CLM4.5, with the water potential SOILPSI and the run's NPP.
    npp_multiples : (float, float)
        `PAPER`: least and greatest annual NPP as multiples of the mean, for the fields hold a mean year only;
        the npp of a study's [source.forcing] can put those of MODIS in its place.

    Raises
    ------
    InputError
        As `archive_fields.read_field`; when a field has no value at any place, or the number of layers above bedrock
        changes through the year.
    """
    field = _Fields(folder, lon, lat)
    forcing = _monthly(field) if configuration.monthly else _annual(field, configuration, npp_multiples)
    comment = "CESM2 (CLM5) fields of the public BINN/ScIReN archive, mean year of the model years 661 to 680" + (
        ", month by month."
        if configuration.monthly
        else ", annual means, interpolated in depth to the nodes of CLM4.5; annual NPP assumed to range from "
        f"{npp_multiples[0]:g} to {npp_multiples[1]:g} times its mean."
    )
    return SourcedForcing(forcing, findings_table(field.found), comment)


def _monthly(field: _Fields) -> MonthlyForcing:
    temperature = field("TSOI")
    scalars = [np.clip(field(name), 0.0, 1.0) for name in ("W_SCALAR", "O_SCALAR", "FPI_vr")]
    thaw = [field(name) for name in ("ALTMAX", "ALTMAX_LASTYEAR")]
    carbon = np.stack([np.einsum("jtn,j->tn", field(name), CESM2_COLUMN.thickness) for name in INPUTS])
    bedrock = field("nbedrock")
    known = np.isfinite(bedrock).all(axis=0)
    if (np.ptp(bedrock[:, known], axis=0) > 0).any():
        raise InputError(
            f"{FIELD.format(name='nbedrock')}: the layers above bedrock change from month to month, expected a "
            "constant."
        )
    deepest = np.where(known, np.minimum(bedrock[0], CESM2_COLUMN.n_layers), np.nan)
    return MonthlyForcing(temperature, *scalars, *thaw, np.maximum(carbon, 0.0), deepest)


def _annual(field: _Fields, configuration: Configuration, multiples: tuple[float, float]) -> Forcing:
    month = MONTH_DAYS / MONTH_DAYS.sum()
    node, wanted = CESM2_COLUMN.node, configuration.column.node
    shares = np.array([np.interp(wanted, node, unit) for unit in np.eye(node.size)])  # (20, n_layers)
    temperature, potential = (np.einsum("jtn,t,jk->kn", field(name), month, shares) for name in ("TSOI", "SOILPSI"))
    thaw = month @ field("ALTMAX")
    npp = SECONDS_PER_DAY * DAYS_PER_YEAR * (month @ field("NPP", "turned to g C m-2 yr-1"))
    return Forcing(temperature, potential, thaw, npp, multiples[0] * npp, multiples[1] * npp)


def read_site_environment(folder: Path | str, info: pd.DataFrame) -> pd.DataFrame:
    """The 81 columns of EnvInfo, row i that of profile i of the archive.

    Parameters
    ----------
    info : DataFrame
        `ArchiveProfiles.info`: the rows are compared with it, for the file is joined by position.

    Raises
    ------
    InputError
        When the file is not as described, or its rows are not those of `info` in the same order.
    """
    path = archive_root(folder) / SITE_ENVIRONMENT
    values = mat_array(path, "EnvInfo", (len(info), len(ENVIRONMENT_COLUMNS)))
    table = pd.DataFrame(values, columns=list(ENVIRONMENT_COLUMNS)).rename_axis("archive_row")
    for theirs, ours, tolerance in (("ProfileID", "profile_id", 0.5), ("Lon", "lon", 0.01), ("Lat", "lat", 0.01)):
        differs = (table[theirs] - info[ours].to_numpy()).abs() > tolerance
        if differs.any():
            row = int(np.argmax(differs))
            raise InputError(
                f"{path}: {theirs} is {table[theirs].iloc[row]:g} in row {row} (from 0), but {info[ours].iloc[row]:g} "
                f"in the table of profiles ({int(differs.sum())} rows differ). Files of two versions, rows shifted by "
                "one, or columns in another order?"
            )
    return table


def read_grid_environment(folder: Path | str) -> pd.DataFrame:
    """The 77 columns of EnvInfo for the cells of the world grid: Lon, Lat, Date, ... nbedrock.

    Raises
    ------
    InputError
        When the file is not as described or positions are none.
    """
    path = archive_root(folder) / GRID_ENVIRONMENT
    names = GRID_ENVIRONMENT_COLUMNS
    table = pd.DataFrame(mat_array(path, "EnvInfo", ("n", len(names))), columns=list(names))
    if not (table["Lon"].abs() <= 180).all() or not (table["Lat"].abs() <= 90).all():
        raise InputError(
            f"{path}: the first two columns are no longitudes and latitudes; expected {', '.join(names[:3])}."
        )
    return table


def read_scaling(folder: Path | str) -> pd.DataFrame:
    """Least and greatest value of each environment column, by which the archive's networks scaled them.

    The file's variable is called `col_max_min`, but its first column is the least value.

    Returns
    -------
    DataFrame
        `minimum`, `maximum`, by column name; NaN for a column that is not scaled.

    Raises
    ------
    InputError
        When the file is not as described, or a least value is above the greatest: the columns are exchanged.
    """
    path = archive_root(folder) / SCALING
    values = mat_array(path, "col_max_min", (len(ENVIRONMENT_COLUMNS), 2))
    ranges = pd.DataFrame(values, index=list(ENVIRONMENT_COLUMNS), columns=["minimum", "maximum"])
    turned = ranges["minimum"] > ranges["maximum"]
    if turned.any():
        raise InputError(
            f"{path}: {ranges.index[turned][0]} has {ranges['minimum'][turned].iloc[0]:g} before "
            f"{ranges['maximum'][turned].iloc[0]:g} ({int(turned.sum())} columns); expected the least value first, "
            "whatever the name of the variable says."
        )
    return ranges


def scaled(table: pd.DataFrame, ranges: pd.DataFrame) -> pd.DataFrame:
    """Environment columns as the archive's networks take them: (x - least) / (greatest - least), clipped to 0 and 1.

    The first three columns of EnvInfo and those without a range stay as they are, and so does a missing value.
    """
    result = table.copy()
    bounded = ranges.index[3:][np.isfinite(ranges.iloc[3:]).all(axis=1)]
    for name in bounded.intersection(table.columns):
        low, high = ranges.loc[name]
        width = high - low
        result[name] = ((table[name] - low) / width).clip(0.0, 1.0) if width > 0 else table[name] * 0.0
    return result


class ArchiveProfiles(NamedTuple):
    """Profiles of the archive.

    Attributes
    ----------
    tables : ProfileTables
        As every reader gives them; `profiles` has one more column, `archive_row`, the position of the profile in the
        archive's table, from 0: by it, not by the identifier, all other files of the archive are joined.
    info : DataFrame
        The archive's own columns, `archive_layout.PROFILE_COLUMNS`, indexed by `archive_row`.
    """

    tables: ProfileTables
    info: pd.DataFrame


def read_archive_profiles(folder: Path | str) -> ArchiveProfiles:
    """Profiles and layers of an unpacked archive.

    Layers keep their order; one whose depth or carbon is missing, or whose profile is not in the table, is left to
    cleaning, which counts it. Depths are turned from cm to m; carbon is in g C m-3 already, by volume, so carbon by
    mass, bulk density and pH are left out; a density that the archive estimated is told by `bulk_density_method`.

    Raises
    ------
    InputError
        When a file, a variable or its shape is not what `archive_layout` says, an identifier occurs twice, positions
        are none, or depths or carbon are in another unit.
    """
    info = read_archive_info(folder)
    profiles = pd.DataFrame(
        {
            "profile_id": _identifiers(info["profile_id"]),
            "lon": info["lon"],
            "lat": info["lat"],
            "source": "WoSIS 2019, Hugelius, Mishra",
            "land_use": None,
            "state": None,
            "year": _years(info["date"]),
            "position_uncertainty": np.nan,
            "archive_row": np.arange(len(info)),
        }
    )
    return ArchiveProfiles(ProfileTables(profiles, _profile_layers(archive_root(folder) / LAYERS)), info)


def read_archive_info(folder: Path | str) -> pd.DataFrame:
    """The archive's own table of profiles: `archive_layout.PROFILE_COLUMNS`, indexed by `archive_row`.

    Raises
    ------
    InputError
        As `read_archive_profiles`.
    """
    path = archive_root(folder) / PROFILES
    table = netcdf_table(path, "soil_profile_info", len(PROFILE_COLUMNS))
    info = pd.DataFrame(table, columns=list(PROFILE_COLUMNS)).rename_axis("archive_row")
    twice = info["profile_id"].duplicated() | info["profile_id"].isna()
    if twice.any():
        row = int(np.argmax(twice))
        raise InputError(
            f"{path}: profile_id {info['profile_id'].iloc[row]:g} in row {row} (from 0) is missing or occurs a second "
            "time; layers cannot be told apart."
        )
    lon, lat = info["lon"], info["lat"]
    if lon.abs().max() > 180 or lat.abs().max() > 90:
        raise InputError(
            f"{path}: lon runs from {lon.min():g} to {lon.max():g}, lat from {lat.min():g} to {lat.max():g}; expected "
            "-180 to 180 and -90 to 90. Columns exchanged, or longitudes from 0 to 360?"
        )
    return info


def _profile_layers(path: Path) -> pd.DataFrame:
    table = pd.DataFrame(netcdf_table(path, "data_soc_integrate", len(LAYER_COLUMNS)), columns=list(LAYER_COLUMNS))
    depth, carbon = table["lower_depth"].median(), table["soc_stock"].median()
    if depth < 3.0:
        raise InputError(f"{path}: the median of lower_depth is {depth:.3g}, expected tens of cm. Depths in metres?")
    if not 200 < carbon < 2e5:
        raise InputError(
            f"{path}: the median of soc_stock is {carbon:.3g}, expected thousands of g C m-3. In kg? Multiply by 1000."
        )
    upper, lower = table["upper_depth"], table["lower_depth"]
    outside = (table["node_depth"] < np.minimum(upper, lower)) | (table["node_depth"] > np.maximum(upper, lower))
    if outside.mean() > 0.01:
        row = int(np.argmax(outside))
        raise InputError(
            f"{path}: {int(outside.sum())} of {len(table)} layers have their node outside their bounds, the first in "
            f"row {row} (from 0): {upper[row]:g} to {lower[row]:g} cm, node {table['node_depth'][row]:g}. Columns in "
            f"another order than {', '.join(LAYER_COLUMNS)}?"
        )
    identifier = _identifiers(table["profile_id"])
    return pd.DataFrame(
        {
            "profile_id": identifier,
            "layer": table.groupby(identifier.to_numpy(), sort=False).cumcount() + 1,
            "upper_depth": upper / 100.0,
            "lower_depth": lower / 100.0,
            "soc": table["soc_stock"],
            "organic_carbon": np.nan,
            "bulk_density": np.nan,
            "bulk_density_method": np.where(table["is_pedo"] == 1, "ptf of the archive", None),
            "coarse_fraction": np.nan,
            "ph": np.nan,
            "litter": False,
        }
    )


def _identifiers(values: pd.Series) -> pd.Series:
    return values.map("{:.0f}".format).astype(str)


def _years(date: pd.Series) -> pd.Series:
    """Years of dates written as 20070615 or 2007; missing where they are neither."""
    year = date.where(date < 1e4, np.floor(date / 1e4))
    return year.where(year.between(1800, 2100))
