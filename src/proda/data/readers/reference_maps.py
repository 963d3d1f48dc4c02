"""Published maps of soil organic carbon to compare with: SoilGrids and HWSD, stocks in kg m-2 of grid cells.

A stock to a depth is the sum over the map's own layers; a layer that ends below the depth gives the share above it.

WISE30sec (Batjes 2016, doi 10.1016/j.geoderma.2016.01.034): stocks of map units, laid over their map.

The map numbers its units; a second table gives each number its code, a third the soils of every unit with their shares
and, for seven layers down to 2 m, carbon, bulk density and coarse fragments.

HWSD 2.0 (FAO and IIASA 2023, doi 10.4060/cc3823en): stocks of map units, laid over their map of 30 arc-seconds.

The map, an ESRI raster, numbers its units; the table HWSD2_LAYERS of the database, brought from Access to SQLite by
ISRIC, has the soils of every unit with their shares and seven layers down to 2 m. Layout after the descriptions of
others who read the files, not after the files themselves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.data.findings import Finding, checked_unit, finding, findings_table
from proda.data.grid import RESOLUTION
from proda.data.readers.map_layers import Layer, check_values, map_file
from proda.data.readers.rasters import Raster, cell_code_shares, cell_means
from proda.data.readers.tidy import check_fields
from proda.data.tables import checked, csv_line, row_with, table_schema
from proda.errors import InputError

DEPTHS = (0.3, 1.0, 2.0)  # m
Depths = Iterable[float]

# Layers of SoilGrids, bounds in m.
_LAYERS = ((0.0, 0.05), (0.05, 0.15), (0.15, 0.3), (0.3, 0.6), (0.6, 1.0), (1.0, 2.0))
_GREATEST = 1000.0  # kg m-2; two metres of peat hold some 200


class ReferenceMap(NamedTuple):
    """Stocks of a published map.

    Attributes
    ----------
    stocks : DataFrame
        One row a cell, one column a depth, `ref_<map>_<depth in cm>cm`, kg m-2; NaN where the map has no value.
    findings : DataFrame
        One row a column, `proda.data.findings.Finding`.
    """

    stocks: pd.DataFrame
    findings: pd.DataFrame


def reference_map(name: str, citation: str, stocks: dict[float, NDArray], notes: dict[float, str]) -> ReferenceMap:
    """Stocks by depth (m) as a `ReferenceMap`, columns as `grid.nc` and the maps' scores expect them."""
    columns = {f"ref_{name}_{round(100 * depth)}cm": values for depth, values in stocks.items()}
    found: list[Finding] = [
        finding(citation, column, "kg m-2", values, notes.get(depth, ""))
        for (column, values), depth in zip(columns.items(), stocks, strict=True)
    ]
    return ReferenceMap(pd.DataFrame(columns), findings_table(found))


def soilgrids_2_stocks(
    folder: Path | str, lon: ArrayLike, lat: ArrayLike, depths: Depths = DEPTHS, resolution: float = RESOLUTION
) -> ReferenceMap:
    """SoilGrids 2.0 (Poggio et al. 2021, doi 10.5194/soil-7-217-2021; CC BY 4.0), from its organic carbon density.

    Parameters
    ----------
    folder : path
        Holds `ocd_0-5cm_mean.tif` and on to 100-200 cm, as far down as the depths need: stored as hg m-3.
    lon, lat : (n,), degrees
        Centres of the cells.
    depths : m
    """
    density = {}
    for top, bottom in _LAYERS[: _needed(depths)]:
        name = f"ocd_{round(100 * top)}-{round(100 * bottom)}cm"
        layer = Layer(name, f"{name}_mean*.*", "kg m-3", 0.0, 300.0, 0.1)
        density[top, bottom] = _cells(folder, layer, lon, lat, resolution, "in kg m-3 already? The map stores hg m-3.")
    stocks = {depth: sum(d * _overlap(*bounds, depth) for bounds, d in density.items()) for depth in depths}
    return reference_map("soilgrids_2", "SoilGrids 2.0", stocks, dict.fromkeys(stocks, "ocd, hg m-3 times 0.1"))


def soilgrids_2017_stocks(
    folder: Path | str, lon: ArrayLike, lat: ArrayLike, depths: Depths = DEPTHS, resolution: float = RESOLUTION
) -> ReferenceMap:
    """SoilGrids 2017 (Hengl et al. 2017, doi 10.1371/journal.pone.0169748; ODbL 1.0), from the stocks of its layers.

    Parameters as in `soilgrids_2_stocks`; the files are `OCSTHA_M_sd1_*_ll.tif` to `sd6`, in t ha-1.
    """
    layers = {}
    for i, (top, bottom) in enumerate(_LAYERS[: _needed(depths)], start=1):
        layer = Layer(f"OCSTHA sd{i}", f"OCSTHA_M_sd{i}_*_ll.tif", "kg m-2", 0.0, _GREATEST, 0.1)
        layers[top, bottom] = _cells(folder, layer, lon, lat, resolution, "in another unit than t ha-1?")
    stocks = {
        depth: sum(s * _overlap(*bounds, depth) / (bounds[1] - bounds[0]) for bounds, s in layers.items())
        for depth in depths
    }
    return reference_map("soilgrids_2017", "SoilGrids 2017", stocks, dict.fromkeys(stocks, "OCSTHA, t ha-1 times 0.1"))


def hwsd_stocks(folder: Path | str, lon: ArrayLike, lat: ArrayLike, resolution: float = RESOLUTION) -> ReferenceMap:
    """HWSD 1.2 as regridded by Wieder et al. (2014, doi 10.3334/ORNLDAAC/1247): 0 to 30 and 0 to 100 cm.

    Parameters
    ----------
    folder : path
        Holds `AWT_T_SOC.nc4` (0 to 30 cm) and `AWT_S_SOC.nc4` (30 to 100 cm), kg m-2 on 0.05 degree, -1 where missing.
    """
    parts = {}
    for name, variable in (("AWT_T_SOC", "SUM_t_c_12"), ("AWT_S_SOC", "SUM_s_c_1")):
        path = map_file(folder, f"{name}.nc4", "organic carbon of HWSD")
        with Raster(path, variable, valid=(0.0, 1e30)) as raster:
            if raster.unit is not None:
                checked_unit(raster.unit, ("kg C m-2",), f"{path}: {variable}")
            values = cell_means(raster, lon, lat, resolution)
        check_values(values, Layer(name, "", "kg m-2", 0.0, _GREATEST), path, "in t ha-1 or g m-2?")
        parts[name] = values
    top = parts["AWT_T_SOC"]
    return reference_map("hwsd", "HWSD 1.2, regridded", {0.3: top, 1.0: top + parts["AWT_S_SOC"]}, {})


def _cells(folder: Path | str, layer: Layer, lon: ArrayLike, lat: ArrayLike, resolution: float, hint: str) -> NDArray:
    path = map_file(folder, layer.pattern, layer.name)
    with Raster(path) as raster:
        values = cell_means(raster, lon, lat, resolution) * layer.factor
    check_values(values, layer, path, hint)
    return values


def _needed(depths: Depths) -> int:
    """How many layers reach down to the greatest depth."""
    return 1 + int(np.searchsorted([bottom for _, bottom in _LAYERS], max(depths) - 1e-9))


def _overlap(top: float, bottom: float, depth: float) -> float:
    return max(0.0, min(bottom, depth) - top)


WISE_MAP, CODES, SOILS = "wise_30sec_v1.tif", "wise_30sec_v1.tsv", "HW30s_FULL.txt"
WISE_COLUMNS = ("NEWSUID", "SCID", "PROP", "TopDep", "BotDep", "CFRAG", "BULK", "ORGC")
_NUMBER = {"dtype": float, "nullable": False, "remedy": "Unpack the archive of WISE30sec again."}
SCHEMA = table_schema(
    dict.fromkeys(WISE_COLUMNS, ""), {"NEWSUID": {"nullable": False}, **dict.fromkeys(WISE_COLUMNS[1:], _NUMBER)}
)
ROCK = (-3.0, -7.0)  # codes of layers and soils that are rock: no carbon, where other negative codes are "unknown"


def wise30sec_stocks(
    folder: Path | str,
    lon: ArrayLike,
    lat: ArrayLike,
    depths: Iterable[float] = DEPTHS,
    resolution: float = RESOLUTION,
) -> ReferenceMap:
    """Stocks of grid cells, kg m-2: means over the map units in each, by area.

    Parameters
    ----------
    folder : path
        Holds `wise_30sec_v1.tif`, `wise_30sec_v1.tsv` and `HW30s_FULL.txt`, as the archive of WISE30sec does in
        "Interchangeable_format".
    lon, lat : (n,), degrees
        Centres of the cells.
    depths : m, at most 2

    Raises
    ------
    InputError
        When a file or column is missing, a unit on the map is in no table, or shares and depths are not as described.
    """
    depths = tuple(depths)
    soils = read_soils(map_file(folder, SOILS, "the soils of WISE30sec"))
    codes = _codes(map_file(folder, CODES, "the codes of WISE30sec"))
    by_number = unit_stocks(soils, depths).reindex(codes).set_axis(codes.index)
    stocks, covered = unit_means(
        map_file(folder, WISE_MAP, "the map of WISE30sec"), by_number, CODES, lon, lat, resolution
    )
    return reference_map("wise30sec", "WISE30sec", stocks, covered)


def unit_means(
    path: Path,
    stock: pd.DataFrame,
    table: str,
    lon: ArrayLike,
    lat: ArrayLike,
    resolution: float,
    valid: tuple[float, float] | None = None,
) -> tuple[dict[float, NDArray], dict[float, str]]:
    """Stocks of grid cells as means over the map units in each, by area, and how much of the area has one, by depth.

    Parameters
    ----------
    path : of the map of the units' numbers
    stock : DataFrame
        kg m-2, one row a unit by its number, one column a depth (m); NaN where it is unknown.
    table : str
        Where `stock` is from, for the error.
    valid : (float, float), optional
        Least and greatest number of a unit; what lies beyond is no land.
    """
    with Raster(path, valid=valid) as raster:
        cell, number, share = cell_code_shares(raster, lon, lat, resolution)
    unknown = ~np.isin(number, stock.index)
    if unknown.any():
        raise InputError(f"{path}: unit {number[unknown][0]} is not in {table}; expected files of one version.")
    stocks, covered = {}, {}
    for depth in stock:
        values = stock.loc[number, depth].to_numpy()
        known = np.isfinite(values)
        n = np.size(lon)
        weight = np.bincount(cell[known], share[known], n)
        with np.errstate(invalid="ignore"):
            mean = np.bincount(cell[known], share[known] * values[known], n) / weight
        stocks[depth] = np.where(weight > 0, mean, np.nan)
        covered[depth] = f"{100 * weight.sum() / max(share.sum(), 1e-300):.1f} % of the mapped area has a stock"
    return stocks, covered


def read_soils(path: Path) -> pd.DataFrame:
    """The table of soils, one row a layer of a soil of a unit.

    Raises
    ------
    InputError
        When a column is missing, a line is shifted, a value is no number, or a depth is not as described.
    """
    try:
        header = pd.read_csv(path, nrows=0)
    except (pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a table ({error}).") from None
    missing = [name for name in WISE_COLUMNS if name not in header]
    if missing:
        raise InputError(
            f"{path}: no column {', '.join(missing)}; it has: {', '.join(header.columns[:12])}, ... Separated by "
            "semicolons, with decimal commas? Expected commas and points."
        )
    check_fields(path)
    table = checked(pd.read_csv(path, usecols=list(WISE_COLUMNS), low_memory=False), SCHEMA, path, csv_line)
    if table["BotDep"].max() < 20 or not (table["TopDep"] < table["BotDep"]).all():
        raise InputError(f"{path}: layers from TopDep to BotDep; expected cm, downwards, to 200.")
    return table


def unit_stocks(soils: pd.DataFrame, depths: Iterable[float], rock: Iterable[float] = ROCK) -> pd.DataFrame:
    """Stocks of map units, kg m-2, by NEWSUID and depth (m).

    A soil's layer holds ORGC (g kg-1) x BULK (kg dm-3) x (1 - CFRAG / 100) x thickness. Negative numbers are codes:
    `rock` holds nothing; a soil with any other code above the depth is unknown and leaves its share to the others of
    its unit.
    """
    codes = soils[["ORGC", "BULK", "CFRAG"]].to_numpy(float)
    barren = np.isin(codes, tuple(rock)).any(axis=1)
    unknown = (codes < 0).any(axis=1) & ~barren | ~np.isfinite(codes).all(axis=1)
    density = np.where(barren, 0.0, np.where(unknown, np.nan, codes[:, 0] * codes[:, 1] * (1 - codes[:, 2] / 100)))
    top, bottom = (soils[name].to_numpy(float) / 100 for name in ("TopDep", "BotDep"))
    result = {}
    for depth in depths:
        thickness = np.clip(np.minimum(bottom, depth) - top, 0.0, None)
        part = np.where(thickness > 0, density * thickness, 0.0)
        layers = pd.DataFrame({"unit": soils["NEWSUID"], "soil": soils["SCID"], "stock": part, "reach": thickness})
        layers["unknown"] = layers["stock"].isna()
        # A soil whose layers do not reach the depth is unknown too.
        grouped = layers.groupby(["unit", "soil"])
        stock = grouped["stock"].sum()
        stock[grouped["unknown"].any() | (grouped["reach"].sum() < depth - 1e-6)] = np.nan
        share = soils.groupby(["NEWSUID", "SCID"])["PROP"].first().reindex(stock.index)
        share = share.where(stock.notna())
        total = share.groupby(level=0).sum(min_count=1)
        result[depth] = (stock * share).groupby(level=0).sum(min_count=1) / total
    return pd.DataFrame(result)


def _codes(path: Path) -> pd.Series:
    """Code of each number on the map; the authors' heading of the numbers is misspelt, so columns go by place."""
    table = pd.read_csv(path, sep="\t")
    if table.shape[1] < 2 or not pd.api.types.is_integer_dtype(table.iloc[:, 0]):
        raise InputError(f"{path}: expected the number of a unit and its code, separated by a tab.")
    return pd.Series(table.iloc[:, 1].astype(str).to_numpy(), index=table.iloc[:, 0].to_numpy(np.int64))


HWSD2_MAP, DATABASE, TABLE = "HWSD2.bil", "HWSD2.sqlite", "HWSD2_LAYERS"
# Column of the table: name of the same thing in WISE30sec, from which the soils of HWSD 2.0 come.
HWSD2_COLUMNS = {
    "HWSD2_SMU_ID": "NEWSUID", "SEQUENCE": "SCID", "SHARE": "PROP", "TOPDEP": "TopDep", "BOTDEP": "BotDep",
    "COARSE": "CFRAG", "BULK": "BULK", "ORG_CARBON": "ORGC",
}  # fmt: skip
_SCHEMA = table_schema(
    dict.fromkeys(HWSD2_COLUMNS, ""), dict.fromkeys(HWSD2_COLUMNS, {"dtype": float, "nullable": False})
)
UNITS = (1.0, 65534.0)  # of the map's 16 bits; 0 and 65535 are no land
GREATEST_PERCENT = 60.0  # organic matter holds some 58 % carbon


def hwsd2_stocks(
    folder: Path | str,
    lon: ArrayLike,
    lat: ArrayLike,
    depths: Iterable[float] = DEPTHS,
    resolution: float = RESOLUTION,
) -> ReferenceMap:
    """Stocks of grid cells, kg m-2: means over the map units in each, by area.

    Parameters
    ----------
    folder : path
        Holds `HWSD2.bil` with its `HWSD2.hdr` and `HWSD2.prj`, and `HWSD2.sqlite`.
    lon, lat : (n,), degrees
        Centres of the cells.
    depths : m, at most 2

    Raises
    ------
    InputError
        When a file, the table or a column is missing, a unit on the map is not in the table, or units, shares and
        depths are not as described.
    """
    stocks = unit_stocks(read_layers(map_file(folder, DATABASE, "the soils of HWSD 2.0")), tuple(depths), rock=())
    path = map_file(folder, HWSD2_MAP, "the map of HWSD 2.0")
    means, covered = unit_means(path, stocks, DATABASE, lon, lat, resolution, UNITS)
    return reference_map("hwsd_2", "HWSD 2.0", means, covered)


def read_layers(path: Path) -> pd.DataFrame:
    """The soils of every unit, one row a layer, in the columns and units that `wise30sec.unit_stocks` takes.

    Carbon comes in percent of mass and is turned to g kg-1. A negative number means that a property is not known, as of
    what is no soil: such a soil leaves its share to the others of its unit. Which code would be bare rock, and so hold
    nothing, the descriptions do not say.

    Raises
    ------
    InputError
        When the file is no SQLite database, lacks the table or a column, or holds another unit.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            has = [row[1] for row in database.execute(f"PRAGMA table_info({TABLE})")]
            missing = [name for name in HWSD2_COLUMNS if name not in has]
            if missing:
                found = f"it has {', '.join(has)}" if has else "there is no such table"
                raise InputError(f"{path}: no column {', '.join(missing)} in {TABLE}; {found}.")
            table = pd.read_sql_query(f"SELECT {', '.join(HWSD2_COLUMNS)} FROM {TABLE}", database)
    except (sqlite3.DatabaseError, pd.errors.DatabaseError) as error:
        raise InputError(f"{path}: not a readable SQLite database ({error}). Broken off in transfer?") from None
    for name in ("COARSE", "BULK", "ORG_CARBON"):  # an empty field is as unknown as a negative one
        table[name] = table[name].fillna(-9)
    table = checked(table, _SCHEMA, f"{path}, {TABLE}", row_with(table, ["HWSD2_SMU_ID"])).rename(columns=HWSD2_COLUMNS)
    if table["BotDep"].max() < 20 or not (table["TopDep"] < table["BotDep"]).all():
        raise InputError(f"{path}: layers from TOPDEP to BOTDEP; expected cm, downwards, to 200.")
    known = {name: table.loc[table[name] > 0, name] for name in ("ORGC", "BULK")}
    if known["ORGC"].max() > GREATEST_PERCENT:
        raise InputError(
            f"{path}: ORG_CARBON reaches {known['ORGC'].max():g}, expected percent of the mass, at most "
            f"{GREATEST_PERCENT:g}: values in g per kg? Divide by 10."
        )
    if known["BULK"].max() > 2.65:
        raise InputError(f"{path}: BULK reaches {known['BULK'].max():g}, expected g per cm3, at most 2.65.")
    table["ORGC"] *= 10.0
    return table.astype({"NEWSUID": "int64"})
