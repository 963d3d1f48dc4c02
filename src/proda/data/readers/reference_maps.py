"""Published maps of soil organic carbon as stocks in kg m-2 of grid cells: SoilGrids 2.0, WISE30sec and HWSD 2.0.

A stock to a depth is the sum over the map's own layers; a layer that ends below the depth gives the share above it.
WISE30sec (Batjes 2016, doi 10.1016/j.geoderma.2016.01.034) and HWSD 2.0 (FAO and IIASA 2023, doi 10.4060/cc3823en) map
soil units, whose soils stand in a table with their shares and seven layers down to 2 m.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.data.readers.pixels import Layer
from proda.data.readers.rasters import map_file, map_values
from proda.data.region import RESOLUTION
from proda.data.tables import finding, findings_table
from proda.errors import InputError

DEPTHS = (0.3, 1.0, 2.0)  # m
WISE_MAP, WISE_CODES, WISE_SOILS = "wise_30sec_v1.tif", "wise_30sec_v1.tsv", "HW30s_FULL.txt"
HWSD2_MAP, HWSD2_DATABASE, HWSD2_TABLE = "HWSD2.bil", "HWSD2.sqlite", "HWSD2_LAYERS"
# Column of HWSD 2.0: name of the same thing in WISE30sec, from which its soils come.
_HWSD2_COLUMNS = {
    "HWSD2_SMU_ID": "NEWSUID", "SEQUENCE": "SCID", "SHARE": "PROP", "TOPDEP": "TopDep", "BOTDEP": "BotDep",
    "COARSE": "CFRAG", "BULK": "BULK", "ORG_CARBON": "ORGC",
}  # fmt: skip
_ROCK = (-3.0, -7.0)  # outcrop, and rock below shallow soils, in WISE30sec and HWSD 2.0: no carbon
_SOILGRIDS_BOUNDS = (0, 5, 15, 30, 60, 100, 200)  # cm, of the layers


class ReferenceMap(NamedTuple):
    """A published map of soil organic carbon, at the cells of a grid."""

    stocks: pd.DataFrame  # a column a depth, `ref_<map>_<depth in cm>cm`, kg m-2; NaN where the map has no value
    findings: pd.DataFrame  # a row a column, `proda.data.tables.Finding`


def reference_map(name: str, citation: str, stocks: dict[float, NDArray], note: str = "") -> ReferenceMap:
    """The map `name` from its stocks (n_cells,), kg C m-2, from the surface to each depth, m."""
    columns = {f"ref_{name}_{round(100 * depth)}cm": values for depth, values in stocks.items()}
    findings = [finding(citation, column, "kg m-2", values, note) for column, values in columns.items()]
    return ReferenceMap(pd.DataFrame(columns), findings_table(findings))


def soilgrids_2_stocks(
    folder: Path | str, lon: ArrayLike, lat: ArrayLike, resolution: float = RESOLUTION
) -> ReferenceMap:
    """SoilGrids 2.0 (Poggio et al. 2021, doi 10.5194/soil-7-217-2021; CC BY 4.0), from its organic carbon density.

    `folder` holds `ocd_0-5cm_mean.tif` and on to 100-200 cm, stored as hg m-3; `lon`, `lat` are centres of cells of
    `resolution` degrees, as in the functions below.
    """
    stocks, doubts = dict.fromkeys(DEPTHS, 0.0), []
    for top, bottom in zip(_SOILGRIDS_BOUNDS, _SOILGRIDS_BOUNDS[1:], strict=False):
        name = f"ocd_{top}-{bottom}cm"
        layer = Layer(name, f"{name}_mean*.*", "kg m-3", 0.0, 300.0, 0.1)
        density = map_values(map_file(folder, layer.pattern, name), layer, lon, lat, resolution, doubts=doubts)
        for depth in stocks:
            stocks[depth] = stocks[depth] + density * max(0.0, min(bottom / 100, depth) - top / 100)
    return reference_map("soilgrids_2", "SoilGrids 2.0", stocks, "; ".join(["ocd, hg m-3 times 0.1", *doubts[:1]]))


def wise30sec_stocks(
    folder: Path | str, lon: ArrayLike, lat: ArrayLike, resolution: float = RESOLUTION
) -> ReferenceMap:
    """WISE30sec: means over the map units in each cell, by area.

    `folder` holds `wise_30sec_v1.tif`, `wise_30sec_v1.tsv` and `HW30s_FULL.txt`, as the archive of WISE30sec does in
    "Interchangeable_format"; a missing file or unit, and tables that are not as described, are an `InputError`.
    """
    path = map_file(folder, WISE_CODES, "the codes of WISE30sec")
    codes = _text_table(path, sep="\t")
    # The authors' heading of the numbers is misspelt, so columns go by place.
    if codes.shape[1] < 2 or not pd.api.types.is_integer_dtype(codes.iloc[:, 0]):
        raise InputError(f"{path}: expected the number of a unit and its code, separated by a tab.")
    codes = pd.Series(codes.iloc[:, 1].astype(str).to_numpy(), index=codes.iloc[:, 0].to_numpy(np.int64))
    path = map_file(folder, WISE_SOILS, "the soils of WISE30sec")
    soils = _text_table(path, usecols=list(_HWSD2_COLUMNS.values()), dtype={"NEWSUID": str})
    _check_soils(path, soils)
    stocks = unit_stocks(soils).reindex(codes).set_axis(codes.index)
    path = map_file(folder, WISE_MAP, "the map of WISE30sec")
    return reference_map("wise30sec", "WISE30sec", _unit_means(path, stocks, WISE_CODES, lon, lat, resolution))


def hwsd2_stocks(folder: Path | str, lon: ArrayLike, lat: ArrayLike, resolution: float = RESOLUTION) -> ReferenceMap:
    """HWSD 2.0: means over the map units in each cell, by area. Layout after the descriptions of others who read it.

    `folder` holds `HWSD2.bil` with its `HWSD2.hdr` and `HWSD2.prj`, and `HWSD2.sqlite`; errors as of WISE30sec.
    """
    path = map_file(folder, HWSD2_DATABASE, "the soils of HWSD 2.0")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            soils = pd.read_sql_query(f"SELECT {', '.join(_HWSD2_COLUMNS)} FROM {HWSD2_TABLE}", database)
        # An empty field is unknown.
        soils = soils.rename(columns=_HWSD2_COLUMNS).astype(float).fillna({"CFRAG": -9, "BULK": -9, "ORGC": -9})
    except (sqlite3.DatabaseError, pd.errors.DatabaseError, ValueError) as error:
        raise InputError(
            f"{path}: expected an SQLite database with numbers in the table {HWSD2_TABLE} ({error}). Broken off in "
            "transfer, or another version?"
        ) from None
    greatest = soils["ORGC"].max()
    if greatest > 60.0:  # organic matter holds some 58 % carbon
        raise InputError(f"{path}: ORG_CARBON reaches {greatest:g} %, expected at most 60. In g per kg? Divide by 10.")
    soils["ORGC"] = soils["ORGC"].where(soils["ORGC"] < 0, 10.0 * soils["ORGC"])  # g kg-1; negative is a code
    _check_soils(path, soils)
    path = map_file(folder, HWSD2_MAP, "the map of HWSD 2.0")
    # 16 bits; 0 and 65535 are no land.
    units = unit_stocks(soils.astype({"NEWSUID": "int64"}))
    means = _unit_means(path, units, HWSD2_DATABASE, lon, lat, resolution, (0, 65535))
    return reference_map("hwsd_2", "HWSD 2.0", means)


def unit_stocks(soils: pd.DataFrame) -> pd.DataFrame:
    """Stocks of map units, kg m-2, by NEWSUID and depth (m).

    A soil's layer holds ORGC (g kg-1) x BULK (kg dm-3) x (1 - CFRAG / 100) x thickness. Negative numbers are codes:
    rock holds nothing; a soil with any other code above the depth is unknown and leaves its share to the others of its
    unit.
    """
    codes = soils[["ORGC", "BULK", "CFRAG"]].to_numpy(float)
    barren = np.isin(codes, _ROCK).any(axis=1)
    unknown = (codes < 0).any(axis=1) & ~barren
    density = np.where(barren, 0.0, np.where(unknown, np.nan, codes[:, 0] * codes[:, 1] * (1 - codes[:, 2] / 100)))
    top, bottom = (soils[name].to_numpy(float) / 100 for name in ("TopDep", "BotDep"))
    result = {}
    for depth in DEPTHS:
        thickness = np.clip(np.minimum(bottom, depth) - top, 0.0, None)
        part = np.where(thickness > 0, density * thickness, 0.0)
        layers = pd.DataFrame({"unit": soils["NEWSUID"], "soil": soils["SCID"], "stock": part, "reach": thickness})
        layers["unknown"] = layers["stock"].isna()
        # A soil whose layers do not reach the depth is unknown too.
        grouped = layers.groupby(["unit", "soil"])
        stock = grouped["stock"].sum()
        stock[grouped["unknown"].any() | (grouped["reach"].sum() < depth - 1e-6)] = np.nan
        share = soils.groupby(["NEWSUID", "SCID"])["PROP"].first().reindex(stock.index)
        total = share.where(stock.notna()).groupby(level=0).sum(min_count=1)
        result[depth] = (stock * share).groupby(level=0).sum(min_count=1) / total
    return pd.DataFrame(result)


def _unit_means(
    path: Path,
    stocks: pd.DataFrame,
    table: str,
    lon: ArrayLike,
    lat: ArrayLike,
    resolution: float,
    missing: tuple[float, ...] = (),
) -> dict[float, NDArray]:
    """Stocks of grid cells by depth; `stocks` has a row for every number on the map, `table` is where it is from."""

    def stock_of(number: NDArray, depth: float) -> NDArray:
        known = np.isfinite(number)
        units = number[known].astype(np.int64)
        unknown = np.setdiff1d(units, stocks.index)
        if unknown.size:
            raise InputError(f"{path}: unit {unknown[0]} is not in {table}; expected files of one version.")
        result = np.full(number.shape, np.nan)
        result[known] = stocks[depth].reindex(units)
        return result

    layer = Layer("carbon stock", "", "kg m-2", 0.0, 1000.0, missing=missing)  # two metres of peat hold some 200
    return {
        depth: map_values(path, layer, lon, lat, resolution, lambda number, depth=depth: stock_of(number, depth))
        for depth in stocks
    }


def _text_table(path: Path, **how: Any) -> pd.DataFrame:
    try:
        return pd.read_csv(path, **how)
    except ValueError as error:  # of the parser and of the encoding too
        raise InputError(f"{path}: not a table of WISE30sec ({error}). Unpack it again.") from None


def _check_soils(path: Path, soils: pd.DataFrame) -> None:
    if soils.isna().any(axis=None):
        raise InputError(f"{path}: {int(soils.isna().any(axis=1).sum())} rows have an empty field. Unpack it again.")
    if soils["BotDep"].max() < 20 or not (soils["TopDep"] < soils["BotDep"]).all():
        raise InputError(f"{path}: layers from TopDep to BotDep; expected cm, downwards, to 200.")
    if soils["BULK"].max() > 2.65:
        raise InputError(f"{path}: BULK reaches {soils['BULK'].max():g}, expected g per cm3, at most 2.65.")
