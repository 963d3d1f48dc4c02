"""HWSD 2.0 (FAO and IIASA 2023, doi 10.4060/cc3823en): stocks of map units, laid over their map of 30 arc-seconds.

The map, an ESRI raster, numbers its units; the table HWSD2_LAYERS of the database, brought from Access to SQLite by
ISRIC, has the soils of every unit with their shares and seven layers down to 2 m. Layout after the descriptions of
others who read the files, not after the files themselves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pandas as pd
from numpy.typing import ArrayLike

from proda.data.grid import RESOLUTION
from proda.data.readers.gridded_covariates import map_file
from proda.data.readers.reference_maps import DEPTHS, ReferenceMap, reference_map
from proda.data.readers.wise30sec import unit_means, unit_stocks
from proda.data.validation import checked, row_with, table_schema
from proda.errors import InputError

MAP, DATABASE, TABLE = "HWSD2.bil", "HWSD2.sqlite", "HWSD2_LAYERS"
# Column of the table: name of the same thing in WISE30sec, from which the soils of HWSD 2.0 come.
COLUMNS = {
    "HWSD2_SMU_ID": "NEWSUID", "SEQUENCE": "SCID", "SHARE": "PROP", "TOPDEP": "TopDep", "BOTDEP": "BotDep",
    "COARSE": "CFRAG", "BULK": "BULK", "ORG_CARBON": "ORGC",
}  # fmt: skip
_SCHEMA = table_schema(dict.fromkeys(COLUMNS, ""), dict.fromkeys(COLUMNS, {"dtype": float, "nullable": False}))
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
    path = map_file(folder, MAP, "the map of HWSD 2.0")
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
            missing = [name for name in COLUMNS if name not in has]
            if missing:
                found = f"it has {', '.join(has)}" if has else "there is no such table"
                raise InputError(f"{path}: no column {', '.join(missing)} in {TABLE}; {found}.")
            table = pd.read_sql_query(f"SELECT {', '.join(COLUMNS)} FROM {TABLE}", database)
    except (sqlite3.DatabaseError, pd.errors.DatabaseError) as error:
        raise InputError(f"{path}: not a readable SQLite database ({error}). Broken off in transfer?") from None
    for name in ("COARSE", "BULK", "ORG_CARBON"):  # an empty field is as unknown as a negative one
        table[name] = table[name].fillna(-9)
    table = checked(table, _SCHEMA, f"{path}, {TABLE}", row_with(table, ["HWSD2_SMU_ID"])).rename(columns=COLUMNS)
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
