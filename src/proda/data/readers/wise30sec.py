"""WISE30sec (Batjes 2016, doi 10.1016/j.geoderma.2016.01.034): stocks of map units, laid over their map.

The map numbers its units; a second table gives each number its code, a third the soils of every unit with their shares
and, for seven layers down to 2 m, carbon, bulk density and coarse fragments.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.data.grid import RESOLUTION
from proda.data.readers.csv_tables import check_fields
from proda.data.readers.gridded_covariates import map_file
from proda.data.readers.raster import Raster
from proda.data.readers.raster_values import cell_code_shares
from proda.data.readers.reference_maps import DEPTHS, ReferenceMap, reference_map
from proda.data.validation import checked, csv_line, table_schema
from proda.errors import InputError

MAP, CODES, SOILS = "wise_30sec_v1.tif", "wise_30sec_v1.tsv", "HW30s_FULL.txt"
COLUMNS = ("NEWSUID", "SCID", "PROP", "TopDep", "BotDep", "CFRAG", "BULK", "ORGC")
_NUMBER = {"dtype": float, "nullable": False, "remedy": "Unpack the archive of WISE30sec again."}
SCHEMA = table_schema(
    dict.fromkeys(COLUMNS, ""), {"NEWSUID": {"nullable": False}, **dict.fromkeys(COLUMNS[1:], _NUMBER)}
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
    stocks, covered = unit_means(map_file(folder, MAP, "the map of WISE30sec"), by_number, CODES, lon, lat, resolution)
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
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise InputError(
            f"{path}: no column {', '.join(missing)}; it has: {', '.join(header.columns[:12])}, ... Separated by "
            "semicolons, with decimal commas? Expected commas and points."
        )
    check_fields(path)
    table = checked(pd.read_csv(path, usecols=list(COLUMNS), low_memory=False), SCHEMA, path, csv_line)
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
