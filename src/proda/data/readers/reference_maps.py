"""Published maps of soil organic carbon as stocks in kg m-2 of grid cells: SoilGrids, WISE30sec and HWSD 2.

A stock to a depth is the sum over the map's own layers; a layer that ends below the depth gives the share above it.
WISE30sec (Batjes 2016, doi 10.1016/j.geoderma.2016.01.034) and HWSD 2.0 (FAO and IIASA 2023, doi 10.4060/cc3823en) map
soil units, whose soils stand in a table with their shares and seven layers down to 2 m.
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

from proda.data.findings import finding, findings_table
from proda.data.grid import RESOLUTION
from proda.data.readers.delimited import DataFile, read_delimited
from proda.data.readers.map_layers import map_file
from proda.data.readers.rasters import Layer, map_values
from proda.errors import InputError

DEPTHS = (0.3, 1.0, 2.0)  # m
WISE_MAP, WISE_CODES, WISE_SOILS = "wise_30sec_v1.tif", "wise_30sec_v1.tsv", "HW30s_FULL.txt"
HWSD2_MAP, HWSD2_DATABASE, HWSD2_TABLE = "HWSD2.bil", "HWSD2.sqlite", "HWSD2_LAYERS"
# Column of HWSD 2.0: name of the same thing in WISE30sec, from which its soils come.
_HWSD2_COLUMNS = {
    "HWSD2_SMU_ID": "NEWSUID", "SEQUENCE": "SCID", "SHARE": "PROP", "TOPDEP": "TopDep", "BOTDEP": "BotDep",
    "COARSE": "CFRAG", "BULK": "BULK", "ORG_CARBON": "ORGC",
}  # fmt: skip
ROCK = (-3.0, -7.0)  # codes of rock: no carbon, where other negative codes are "unknown"
_SOILGRIDS_LAYERS = ((0.0, 0.05), (0.05, 0.15), (0.15, 0.3), (0.3, 0.6), (0.6, 1.0), (1.0, 2.0))  # m
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


def reference_map(name: str, citation: str, stocks: dict[float, NDArray], note: str = "") -> ReferenceMap:
    """Stocks by depth (m) as a `ReferenceMap`, columns as `grid.nc` and the maps' scores expect them."""
    columns = {f"ref_{name}_{round(100 * depth)}cm": values for depth, values in stocks.items()}
    findings = [finding(citation, column, "kg m-2", values, note) for column, values in columns.items()]
    return ReferenceMap(pd.DataFrame(columns), findings_table(findings))


def soilgrids_2_stocks(
    folder: Path | str,
    lon: ArrayLike,
    lat: ArrayLike,
    depths: Iterable[float] = DEPTHS,
    resolution: float = RESOLUTION,
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
    for top, bottom in _layers_above(depths):
        name = f"ocd_{round(100 * top)}-{round(100 * bottom)}cm"
        hint = "in kg m-3 already? The map stores hg m-3."
        layer = Layer(name, f"{name}_mean*.*", "kg m-3", 0.0, 300.0, 0.1, hint=hint)
        density[top, bottom] = map_values(map_file(folder, layer.pattern, name), layer, lon, lat, resolution)
    stocks = {depth: sum(d * _overlap(*bounds, depth) for bounds, d in density.items()) for depth in depths}
    return reference_map("soilgrids_2", "SoilGrids 2.0", stocks, "ocd, hg m-3 times 0.1")


def soilgrids_2017_stocks(
    folder: Path | str,
    lon: ArrayLike,
    lat: ArrayLike,
    depths: Iterable[float] = DEPTHS,
    resolution: float = RESOLUTION,
) -> ReferenceMap:
    """SoilGrids 2017 (Hengl et al. 2017, doi 10.1371/journal.pone.0169748; ODbL 1.0), from the stocks of its layers.

    Parameters as in `soilgrids_2_stocks`; the files are `OCSTHA_M_sd1_*_ll.tif` to `sd6`, in t ha-1.
    """
    of_layers = {}
    for i, (top, bottom) in enumerate(_layers_above(depths), start=1):
        layer = Layer(
            f"OCSTHA sd{i}", f"OCSTHA_M_sd{i}_*_ll.tif", "kg m-2", 0.0, _GREATEST, 0.1, hint="another unit than t ha-1?"
        )
        of_layers[top, bottom] = map_values(map_file(folder, layer.pattern, layer.name), layer, lon, lat, resolution)
    stocks = {
        depth: sum(s * _overlap(*bounds, depth) / (bounds[1] - bounds[0]) for bounds, s in of_layers.items())
        for depth in depths
    }
    return reference_map("soilgrids_2017", "SoilGrids 2017", stocks, "OCSTHA, t ha-1 times 0.1")


def wise30sec_stocks(
    folder: Path | str,
    lon: ArrayLike,
    lat: ArrayLike,
    depths: Iterable[float] = DEPTHS,
    resolution: float = RESOLUTION,
) -> ReferenceMap:
    """WISE30sec: means over the map units in each cell, by area.

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
    path = map_file(folder, WISE_CODES, "the codes of WISE30sec")
    codes = pd.read_csv(path, sep="\t")
    # The authors' heading of the numbers is misspelt, so columns go by place.
    if codes.shape[1] < 2 or not pd.api.types.is_integer_dtype(codes.iloc[:, 0]):
        raise InputError(f"{path}: expected the number of a unit and its code, separated by a tab.")
    codes = pd.Series(codes.iloc[:, 1].astype(str).to_numpy(), index=codes.iloc[:, 0].to_numpy(np.int64))
    soils = _wise_soils(map_file(folder, WISE_SOILS, "the soils of WISE30sec"))
    by_number = unit_stocks(soils, depths).reindex(codes).set_axis(codes.index)
    path = map_file(folder, WISE_MAP, "the map of WISE30sec")
    return reference_map("wise30sec", "WISE30sec", _unit_means(path, by_number, WISE_CODES, lon, lat, resolution))


def hwsd2_stocks(
    folder: Path | str,
    lon: ArrayLike,
    lat: ArrayLike,
    depths: Iterable[float] = DEPTHS,
    resolution: float = RESOLUTION,
) -> ReferenceMap:
    """HWSD 2.0: means over the map units in each cell, by area. Layout after the descriptions of others who read it.

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
    stocks = unit_stocks(_hwsd2_soils(map_file(folder, HWSD2_DATABASE, "the soils of HWSD 2.0")), depths)
    path = map_file(folder, HWSD2_MAP, "the map of HWSD 2.0")
    # 16 bits; 0 and 65535 are no land
    means = _unit_means(path, stocks, HWSD2_DATABASE, lon, lat, resolution, missing=(0, 65535))
    return reference_map("hwsd_2", "HWSD 2.0", means)


def unit_stocks(soils: pd.DataFrame, depths: Iterable[float]) -> pd.DataFrame:
    """Stocks of map units, kg m-2, by NEWSUID and depth (m).

    A soil's layer holds ORGC (g kg-1) x BULK (kg dm-3) x (1 - CFRAG / 100) x thickness. Negative numbers are codes:
    `ROCK` holds nothing; a soil with any other code above the depth is unknown and leaves its share to the others of
    its unit.
    """
    codes = soils[["ORGC", "BULK", "CFRAG"]].to_numpy(float)
    barren = np.isin(codes, ROCK).any(axis=1)
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

    layer = Layer("carbon stock", "", "kg m-2", 0.0, _GREATEST, missing=missing)
    return {
        depth: map_values(path, layer, lon, lat, resolution, lambda number, depth=depth: stock_of(number, depth))
        for depth in stocks
    }


def _wise_soils(path: Path) -> pd.DataFrame:
    numbers = ("SCID", "PROP", "TopDep", "BotDep", "CFRAG", "BULK", "ORGC")
    soils = read_delimited(DataFile(path), numbers, ("NEWSUID",))
    _check_soils(path, soils)
    return soils


def _hwsd2_soils(path: Path) -> pd.DataFrame:
    """The soils of every unit, one row a layer, in the columns and units of WISE30sec; an empty field is unknown."""
    names = ", ".join(_HWSD2_COLUMNS)
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            soils = pd.read_sql_query(f"SELECT {names} FROM {HWSD2_TABLE}", database)
        soils = soils.rename(columns=_HWSD2_COLUMNS).astype(float).fillna({"CFRAG": -9, "BULK": -9, "ORGC": -9})
    except (sqlite3.DatabaseError, pd.errors.DatabaseError, ValueError) as error:
        raise InputError(
            f"{path}: expected an SQLite database with the numbers {names} in the table {HWSD2_TABLE} ({error}). "
            "Broken off in transfer, or another version?"
        ) from None
    greatest = soils["ORGC"].max()
    if greatest > 60.0:  # organic matter holds some 58 % carbon
        raise InputError(
            f"{path}: ORG_CARBON reaches {greatest:g}, expected percent of the mass, at most 60: values in g per kg? "
            "Divide by 10."
        )
    soils["ORGC"] = soils["ORGC"].where(soils["ORGC"] < 0, 10.0 * soils["ORGC"])  # g kg-1; negative is a code
    _check_soils(path, soils)
    return soils.astype({"NEWSUID": "int64"})


def _check_soils(path: Path, soils: pd.DataFrame) -> None:
    if soils.isna().any(axis=None):
        raise InputError(f"{path}: {int(soils.isna().any(axis=1).sum())} rows have an empty field. Unpack it again.")
    if soils["BotDep"].max() < 20 or not (soils["TopDep"] < soils["BotDep"]).all():
        raise InputError(f"{path}: layers from TopDep to BotDep; expected cm, downwards, to 200.")
    if soils["BULK"].max() > 2.65:
        raise InputError(f"{path}: BULK reaches {soils['BULK'].max():g}, expected g per cm3, at most 2.65.")


def _layers_above(depths: Iterable[float]) -> tuple[tuple[float, float], ...]:
    """The layers of SoilGrids that reach down to the greatest depth."""
    return tuple(bounds for bounds in _SOILGRIDS_LAYERS if bounds[0] < max(depths) - 1e-9)


def _overlap(top: float, bottom: float, depth: float) -> float:
    return max(0.0, min(bottom, depth) - top)
