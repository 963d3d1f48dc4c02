"""Maps as GeoTIFF or NetCDF: values at places and over the cells of the study's grid, and covariates of public maps.

Over a cell, a map is read on pixels that divide the cell, each the nearest of the map's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyproj
import rasterio
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.transform import Affine
from rasterio.warp import reproject, transform_bounds
from rasterio.windows import Window
from scipy.stats import mode

from proda.data.covariates import KNOWN, PAPER_LIST, Covariate
from proda.data.readers.pixels import Layer, Pixels
from proda.data.tables import finding, findings_table
from proda.errors import InputError

DEGREES = "EPSG:4326"
TILE = 512  # pixels; places are read tile by tile
KM_PER_DEGREE = 111.32
FINEST = 240  # pixels along the edge of a cell, at most; 250 m in half a degree
_LON_NAMES, _LAT_NAMES = ("lon", "longitude", "x"), ("lat", "latitude", "y")


_UNITS = {row.name: row.unit for row in PAPER_LIST}
_TEMPERATURE, _RAIN = (-70.0, 60.0), (0.0, 15000.0)
_BIO_RANGES = {
    **{i: _TEMPERATURE for i in (1, 5, 6, 8, 9, 10, 11)}, 2: (0.0, 40.0), 3: (0.0, 100.0), 4: (0.0, 3000.0),
    7: (0.0, 100.0), **{i: _RAIN for i in (12, 13, 14, 16, 17, 18, 19)}, 15: (0.0, 400.0),
}  # fmt: skip
# Covariate: (code in the file names of 2017, factor; code in those of SoilGrids 2.0, factor; unit, least, greatest).
_SOIL = {
    "Bulk_Density": ("BLDFIE", None, "bdod", 10.0, "kg m-3", 50.0, 2800.0),
    "CEC": ("CECSOL", None, "cec", 0.1, "cmol(+) kg-1", 0.0, 250.0),
    "Clay_Content": ("CLYPPT", None, "clay", 0.1, "%", 0.0, 100.0),
    "Coarse_Fragments_v": ("CRFVOL", None, "cfvo", 0.1, "%", 0.0, 100.0),
    "pH_Water": ("PHIHOX", 0.1, "phh2o", 0.1, "pH", 2.0, 12.0),
    "Sand_Content": ("SNDPPT", None, "sand", 0.1, "%", 0.0, 100.0),
    "Silt_Content": ("SLTPPT", None, "silt", 0.1, "%", 0.0, 100.0),
    "SWC_v_Wilting_Point": ("WWP", None, "wv1500", 0.1, "%", 0.0, 100.0),
}
# SoilGrids 2017 predicts at seven depths, of which 0, 30 and 100 cm are these; 2.0 predicts for intervals, of which the
# ones that begin at these depths are taken.
_POINTS = {"0cm": "sl1", "30cm": "sl4", "100cm": "sl6"}
_INTERVALS = {"0cm": "0-5cm", "30cm": "30-60cm", "100cm": "100-200cm"}

SOURCES = {
    # Fick and Hijmans (2017), doi 10.1002/joc.5086
    "WorldClim 2.1": tuple(
        Layer(f"BIO{i}", f"wc2.1_*_bio_{i}.tif", _UNITS[f"BIO{i}"], *_BIO_RANGES[i], real=True) for i in range(1, 20)
    ),
    # Hengl et al. (2017), doi 10.1371/journal.pone.0169748
    "SoilGrids 2017": (
        *(
            Layer(f"{name}_{depth}", f"{code}_M_{level}_*_ll.tif", unit, low, high, factor)
            for name, (code, factor, _, _, unit, low, high) in _SOIL.items()
            for depth, level in _POINTS.items()
        ),
        *(
            Layer(f"Texture_USDA_{depth}", f"TEXMHT_M_{level}_*_ll.tif", "class", 1, 12, classes=True)
            for depth, level in _POINTS.items()
        ),
        Layer("Abs_Depth_to_Bedrock", "BDTICM_M_*_ll.tif", "cm", 0.0, 60000.0),
        Layer("Depth_Bedrock_R", "BDRICM_M_*_ll.tif", "cm", 0.0, 250.0),
        Layer("Occurrence_R_Horizon", "BDRLOG_M_*_ll.tif", "%", 0.0, 100.0),
        Layer("Garde_Acid", "ACDWRB_M_ss_*_ll.tif", "grade", 0.0, 10.0),
        Layer("USDA_Suborder", "TAXOUSDA_*_ll.tif", "class", 0, 254, classes=True),
        Layer("WRB_Subgroup", "TAXNWRB_*_ll.tif", "class", 0, 254, classes=True),
    ),
    # Poggio et al. (2021), doi 10.5194/soil-7-217-2021
    "SoilGrids 2.0": tuple(
        Layer(f"{name}_{depth}", f"{code}_{interval}_mean*.*", unit, low, high, factor)
        for name, (_, _, code, factor, unit, low, high) in _SOIL.items()
        for depth, interval in _INTERVALS.items()
    ),
    # Friedl et al. (2010), doi 10.1016/j.rse.2009.08.016. Class 0 (17 in later collections) is water and 255 is
    # unclassified: no land cover, so neither is the most frequent class of a coastal cell.
    "MODIS MCD12": (Layer("IGBP", "*LC_Type1*.tif", "class", 1, 16, missing=(0, 17, 254, 255), classes=True),),
    # Beck et al. (2018), doi 10.1038/sdata.2018.214
    "Koppen-Geiger 2018": (
        Layer("Koppen_Climate_2018", "Beck_KG_V1_present_0p0083.tif", "class", 1, 30, missing=(0,), classes=True),
    ),
}
# Annual NPP of MODIS MOD17A3; the codes, with and without a sign, are those of water, cities, rock, ice and fill.
_CODES = (*range(32761, 32768), *range(65529, 65536))
_NPP = Layer("NPP", "*[Nn][Pp][Pp]*.tif", "g C m-2 yr-1", -500.0, 3200.0, 0.1, missing=_CODES)
NPP_YEARS = tuple(range(2000, 2015))
_NPP_STATISTICS = {"NPPmean": np.mean, "NPPmax": np.max, "NPPmin": np.min}
_BESIDE = (".xml", ".ovr", ".tfw", ".msk", ".md5", ".sha256")  # what stands beside a map under its name


class Covariates(NamedTuple):
    """Covariates of places, read from maps."""

    values: pd.DataFrame  # one row a place, one column a covariate; NaN where the map has no value, never zero
    findings: pd.DataFrame  # one row a covariate: how many values are missing, and the range of the others


def covariates_from_maps(
    covariates: Iterable[Covariate],
    folder: Path | str,
    lon: ArrayLike,
    lat: ArrayLike,
    resolution: float | None = None,
    uncertainty: ArrayLike = 0.0,
) -> Covariates:
    """Covariates from the maps below `folder`, in the order of the list, NaN where a map has no value.

    A covariate that no public map in the folder has is read from a map of one's own, `<name>.tif` or `<name>.nc`, in
    the unit of the list. NPP statistics come from one map for each of the years 2000 to 2014, with "NPP" and the year
    in their names; a place without a value in any of the years is missing. Places, cells and errors are as in
    `map_values`; no map of a covariate, or two of one, is an `InputError` too.
    """
    folder = Path(folder)
    names = [row.name for row in covariates]
    layers = {row.name: _layer_of(row, folder) for row in covariates if row.name not in ("Lon", "Lat")}
    npp = [name for name, layer in layers.items() if not layer and name in _NPP_STATISTICS]
    npp = npp if any(folder.rglob(_NPP.pattern)) else []
    missing = [name for name, layer in layers.items() if not layer and name not in npp]
    if missing:
        raise InputError(
            f"{folder}: no map of {', '.join(missing)}. Put the public files there under their own names "
            f"(data/README.md), or maps of your own named like {missing[0]}.tif, or leave these out of the list of "
            "covariates."
        )
    columns, findings = {"Lon": np.asarray(lon, float), "Lat": np.asarray(lat, float)}, []
    notes: dict[str, list[str]] = {}
    how = lon, lat, resolution, None, uncertainty
    for _, layer in filter(None, layers.values()):
        path = map_file(folder, layer.pattern, layer.name)
        notes[layer.name] = [
            path.name + (f", stored values times {layer.factor:g}" if layer.factor is not None else "")
        ]
        columns[layer.name] = map_values(path, layer, *how, notes[layer.name])
    public = {name: found for name, found in layers.items() if found}
    right = _check_texture(folder, public, columns, notes, how)
    for name, (source, layer) in public.items():
        if resolution is not None and source not in right:  # few sites may all lie on one soil
            notes[name] += _check_scale(folder, source, layer, columns[name])
        findings.append(finding(source, name, layer.unit, columns[name], "; ".join(notes[name])))
    if npp:
        # The year stands alone or, as AppEEARS writes it, before the day: doy2001001.
        paths = [map_file(folder, _NPP.pattern, f"NPP of {y}", rf"(?<!\d){y}(001)?(?!\d)") for y in NPP_YEARS]
        doubts: list[str] = []
        annual = np.array([map_values(path, _NPP, *how, doubts) for path in paths])
        note = f"{NPP_YEARS[0]} to {NPP_YEARS[-1]}, {len(NPP_YEARS)} files"
        note += f"; {len(doubts)} of them {doubts[0]}" if doubts else ""
        for name in npp:
            columns[name] = values = _NPP_STATISTICS[name](annual, axis=0)
            findings.append(finding("MODIS MOD17A3", name, _NPP.unit, values, note))
    return Covariates(pd.DataFrame(columns)[names], findings_table(findings))


def _check_texture(
    folder: Path, layers: Mapping[str, tuple[str, Layer]], columns: dict[str, NDArray], notes: dict, how: tuple
) -> set[str]:
    """Refuse sand, silt and clay of one source that do not add up to 100 %; the sources of those that do.

    Maps of the three beside one that is a covariate are read, with the arguments `how` of `map_values`, and kept in
    `columns`; `notes` takes how many places are a little off.
    """
    right = set()
    for depth in _POINTS:
        names = [f"{part}_Content_{depth}" for part in ("Sand", "Silt", "Clay")]
        found = [_layer_of(KNOWN[name], folder) for name in names if set(names) & set(layers)]
        if not found or None in found or len({source in SOURCES and source for source, _ in found}) > 1:
            continue
        for name, (_, layer) in zip(names, found, strict=True):
            if name not in columns:
                columns[name] = map_values(map_file(folder, layer.pattern, name), layer, *how)
        total = np.sum([columns[name] for name in names], axis=0)
        wrong, off = (np.abs(total - 100.0) > limit for limit in (10.0, 3.0))
        if wrong.any():
            raise InputError(
                f"{folder}: {', '.join(names)} add up to {total[wrong][0]:.3g} % at {wrong.mean():.2%} of the places, "
                "expected 100 %. Whole percents under the name of another product, or a fill value of 0?"
            )
        if off.any():
            text = f"doubtful: {', '.join(names)} add up to {total[off][0]:.1f} % at {off.mean():.2%} of the places"
            notes[next(name for name in names if name in notes)].append(text)
        right.add(found[0][0])
    return right


def _check_scale(folder: Path, source: str, layer: Layer, values: NDArray) -> list[str]:
    """Doubts in words where all cells are below a tenth of what is possible, as those of another unit are.

    An InputError for texture: that some soil of a region has more than 10 % of a fraction is sure enough.
    """
    limit, greatest = layer.greatest / 10 if layer.factor == 10.0 else 10.0, np.nanmax(values)
    if layer.factor not in (0.1, 10.0) or layer.greatest < 100.0 or greatest > limit:
        return []
    text = f"at most {greatest:g} {layer.unit} in any cell. Whole numbers under the name of another product?"
    if "_Content_" in layer.name:
        raise InputError(
            f"{folder}: {layer.name} of {source} is {text} Put the maps of sand, silt and clay there, which show it by "
            f"their sum. If right, bring the map to {layer.unit} and name it {layer.name}.tif."
        )
    return [f"doubtful: {text} Maps of sand, silt and clay beside it would show it by their sum"]


def _layer_of(row: Covariate, folder: Path) -> tuple[str, Layer] | None:
    for source, layers in SOURCES.items():
        for layer in layers:
            if layer.name == row.name and any(folder.rglob(layer.pattern)):
                return source, layer
    for ending in ("tif", "nc"):
        if any(folder.rglob(f"{row.name}.{ending}")):
            classes = row.kind == "categorical"
            named = [layer for layers in SOURCES.values() for layer in layers if layer.name == row.name and not classes]
            ends = (named[0].least, named[0].greatest) if named else (-np.inf, np.inf)
            return f"map of {row.name}", Layer(row.name, f"{row.name}.{ending}", row.unit, *ends, classes=classes)
    return None


def map_file(folder: Path | str, pattern: str, what: str, with_text: str = "") -> Path:
    """The one file below `folder` whose name fits `pattern` and holds the regular expression `with_text`.

    A GeoTIFF goes before a .vrt; quality layers are no maps. None, or more than one, is an `InputError`.
    """
    paths = [path for path in sorted(Path(folder).rglob(pattern)) if re.search(with_text, path.name)]
    paths = [path for path in paths if path.suffix not in _BESIDE and "_QC" not in path.name]
    paths = [path for path in paths if path.suffix != ".vrt"] if len(paths) > 1 else paths
    if len(paths) != 1:
        has = f"{len(paths)} files: {', '.join(path.name for path in paths[:3])}" if paths else "none"
        raise InputError(f"{folder}: {what} is read from one file named like {pattern}; there are {has}.")
    return paths[0]


def map_values(
    path: Path | str,
    layer: Layer,
    lon: ArrayLike,
    lat: ArrayLike,
    resolution: float | None = None,
    convert: Callable[[NDArray], NDArray] | None = None,
    uncertainty: ArrayLike = 0.0,
    doubts: list[str] | None = None,
) -> NDArray[np.float64]:
    """Values of a map in the layer's unit, (n,); NaN where it has none.

    A place at `lon`, `lat` (degrees, (n,)) takes the pixel it lies in, NaN where the `uncertainty` of its position (km,
    (n,)) is not smaller than the pixel's side. With a `resolution` (degrees), places are the
    centres of cells of a regular grid: a cell takes the mean over its pixels with a value, by area, or the most
    frequent class, the lowest on ties. `convert` turns stored values into the layer's unit, in the place of its factor.
    What is doubtful and no error is added to `doubts`.
    What is no map on the globe, has no value at any place, or one that the layer cannot have, is an `InputError`.
    """
    lon, lat = np.mod(np.asarray(lon, float) + 180.0, 360.0) - 180.0, np.asarray(lat, float)
    try:
        with _opened(Path(path)) as file:
            pixels = Pixels(Path(path), layer, file, convert)
            if resolution is None:
                values = pixels.values(_at_places(file, lon, lat))
            else:
                values = _over_cells(pixels, file, lon, lat, resolution)
            pixels.check()
            if doubts is not None and (doubt := pixels.doubt()):
                doubts.append(doubt)
            too_uncertain = np.asarray(uncertainty) >= _pixel_km(file)
    except (RasterioError, OSError) as error:
        raise InputError(f"{path}: cannot be read as a map ({error}). Broken off in transfer?") from None
    if not np.isfinite(values).any():
        raise InputError(
            f"{path}: {layer.name} has no value at any of the {values.size} places. A map of another region, or "
            "longitudes and latitudes exchanged?"
        )
    return np.where(too_uncertain, np.nan, values)


def nearest_index(axis: ArrayLike, values: ArrayLike, period: float | None = None) -> NDArray[np.int64]:
    """Index of the point of `axis` nearest to each value, the first on ties; `period` 360 for longitudes."""
    away = np.abs(np.asarray(axis, float) - np.asarray(values, float)[..., None])
    return (away if period is None else np.minimum(away % period, -away % period)).argmin(axis=-1)


@contextmanager
def _opened(path: Path) -> Iterator[rasterio.DatasetReader]:
    """The map as a rasterio dataset, once it has one band, axes along north and a place on the globe."""
    with ExitStack() as stack:
        memory = stack.enter_context(_from_netcdf(path)) if path.suffix in (".nc", ".nc4") else None
        file = stack.enter_context(memory.open() if memory else rasterio.open(path))
        if file.crs is None or file.count != 1 or file.transform.b or file.transform.d:
            raise InputError(
                f"{path}: expected one band, with rows and columns along the axes of a coordinate reference system; it "
                f"has {file.count} bands, reference {file.crs}, transform {tuple(file.transform)[:6]}."
            )
        (west, east), (south, north) = sorted(file.bounds[::2]), sorted(file.bounds[1::2])
        margin = max(map(abs, file.res))
        if file.crs.is_geographic and (max(-south, north) > 90 + margin or max(-west, east) > 180 + margin):
            raise InputError(
                f"{path}: the map reaches from {west:g} to {east:g} degrees east and {south:g} to {north:g} north, "
                "expected -180 to 180 and -90 to 90. Longitude and latitude exchanged, or longitudes from 0 to 360?"
            )
        yield file


def _from_netcdf(path: Path) -> MemoryFile:
    """The one variable of a NetCDF file on longitude and latitude as a GeoTIFF in memory, from 180 degrees west on."""
    with xr.open_dataset(path, decode_times=False, engine="netcdf4") as content:
        names = {axis.lower(): axis for axis in map(str, content.variables)}
        lon, lat = (next((names[n] for n in known if n in names), "") for known in (_LON_NAMES, _LAT_NAMES))
        maps = [str(name) for name in content.data_vars if lon and content[name].dims == (lat, lon)]
        if len(maps) != 1:
            raise InputError(f"{path}: {len(maps)} variables on (latitude, longitude) {maps}, expected one.")
        field = content[maps[0]].astype(np.float64).load()
    if float(field[lon].max()) > 180.0 and float(field[lat].max()) <= 90.0:
        field = field.assign_coords({lon: np.mod(field[lon] + 180.0, 360.0) - 180.0}).sortby(lon)
    x, y = field[lon].to_numpy(), field[lat].to_numpy()
    dx, dy = ((axis[-1] - axis[0]) / (axis.size - 1) for axis in (x, y))
    if not (np.allclose(np.diff(x), dx, rtol=1e-3) and np.allclose(np.diff(y), dy, rtol=1e-3)):
        raise InputError(f"{path}: longitudes or latitudes are not evenly spaced; expected a regular grid.")
    profile = {"driver": "GTiff", "height": y.size, "width": x.size, "count": 1, "dtype": "float64", "nodata": np.nan}
    memory = MemoryFile()
    with memory.open(**profile, crs=DEGREES, transform=Affine(dx, 0, x[0] - dx / 2, 0, dy, y[0] - dy / 2)) as file:
        file.write(field.to_numpy(), 1)
    return memory


def _pixel_km(file: rasterio.DatasetReader) -> float:
    """The longer side of a pixel."""
    return max(file.res) * (KM_PER_DEGREE if file.crs.is_geographic else file.crs.linear_units_factor[1] / 1000.0)


def _row_column(file: rasterio.DatasetReader, x: ArrayLike, y: ArrayLike) -> tuple[NDArray, NDArray]:
    """Row and column of the pixels that positions in the map's reference lie in, also beyond the map."""
    t = file.transform
    return tuple(np.floor(part).astype(np.int64) for part in ((np.asarray(y) - t.f) / t.e, (np.asarray(x) - t.c) / t.a))


def _at_places(file: rasterio.DatasetReader, lon: NDArray, lat: NDArray) -> NDArray:
    """Stored values of the pixels that places lie in, read a tile at a time; NaN beyond the map."""
    x, y = pyproj.Transformer.from_crs(DEGREES, file.crs.to_wkt(), always_xy=True).transform(lon, lat)
    known = np.isfinite(x) & np.isfinite(y)
    row, column = _row_column(file, np.where(known, x, 0.0), np.where(known, y, 0.0))
    inside = np.flatnonzero(known & (row >= 0) & (row < file.height) & (column >= 0) & (column < file.width))
    tile = row[inside] // TILE * file.width + column[inside] // TILE
    result = np.full(row.size, np.nan)
    for group in pd.Series(inside).groupby(tile).groups.values():
        here = inside[group]
        r, c = row[here], column[here]
        window = Window.from_slices((r.min(), r.max() + 1), (c.min(), c.max() + 1))
        result[here] = _read(file, window)[r - r.min(), c - c.min()]
    return result


def _read(file: rasterio.DatasetReader, window: Window) -> NDArray:
    return file.read(1, window=window, masked=True).astype(np.float64).filled(np.nan)


def _over_cells(pixels: Pixels, file, lon: NDArray, lat: NDArray, resolution: float) -> NDArray:
    west, north = lon.min() - resolution / 2, lat.max() + resolution / 2
    row, column = (np.floor(x / resolution).astype(np.int64) for x in (north - lat, lon - west))
    n_columns = int(column.max()) + 1
    along = int(np.clip(round(resolution * KM_PER_DEGREE / _pixel_km(file)), 1, FINEST))  # pixels along the edge
    step = resolution / along
    result = np.full(lon.size, np.nan)
    for strip in np.unique(row):
        here = np.flatnonzero(row == strip)
        top = north - resolution * strip
        stored = _on_fine_pixels(file, west, top, step, (along, n_columns * along))
        pixels.note_edges(stored)
        cells = pixels.values(stored.reshape(along, n_columns, along)[:, column[here]])
        if pixels.layer.classes:
            known = np.isfinite(cells).any(axis=(0, 2))
            result[here[known]] = mode(cells[:, known], axis=(0, 2), nan_policy="omit").mode
        else:
            area = np.cos(np.radians(top - step * (np.arange(along) + 0.5)))[:, None, None]
            known = np.isfinite(cells)
            with np.errstate(invalid="ignore"):
                total = np.where(known, cells * area, 0.0).sum(axis=(0, 2))
                result[here] = total / np.where(known, area, 0.0).sum(axis=(0, 2))
    return result


def _on_fine_pixels(file, west: float, north: float, step: float, shape: tuple[int, int]) -> NDArray:
    """Stored values of the pixels nearest to the centres of finer ones of `step` degrees from a corner on, `shape`."""
    bounds = (west - step, north - step * (shape[0] + 1), west + step * (shape[1] + 1), north + step)
    left, bottom, right, top = transform_bounds(DEGREES, file.crs, *bounds, densify_pts=99)
    row, column = _row_column(file, [left, right], [top, bottom])
    window = Window.from_slices(
        (max(row.min(), 0), max(min(row.max() + 1, file.height), 0)),
        (max(column.min(), 0), max(min(column.max() + 1, file.width), 0)),
    )
    result = np.full(shape, np.nan)
    if window.height > 0 and window.width > 0:
        reproject(
            _read(file, window),
            result,
            src_transform=file.window_transform(window),
            src_crs=file.crs,
            src_nodata=np.nan,
            dst_transform=Affine(step, 0, west, 0, -step, north),
            dst_crs=DEGREES,
            dst_nodata=np.nan,
        )
    return result
