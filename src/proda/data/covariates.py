"""The table of environmental covariates: one row a site, one row a land cell, the same columns for both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
from numpy.typing import NDArray

from proda.data.stamps import Stamp, stamped, told_if_of_another_version
from proda.data.validation import checked, row_check, table_schema
from proda.errors import InputError

CLASS_UNIT = "class"  # a covariate of this unit is a class: its numbers are names
PLACE_COLUMNS = ("place", "profile_id", "site", "cell")
DEPTHS = ("0cm", "30cm", "100cm")


def _triple(name: str) -> tuple[str, ...]:
    return tuple(f"{name}_{depth}" for depth in DEPTHS)


# The 60 covariates of Tao et al. 2020; a triple stands at 0, 30 and 100 cm; "Garde_Acid" is the authors' spelling.
PAPER_COVARIATES = (
    "IGBP", "Climate", "Soil_Type", "NPPmean", "NPPmax", "NPPmin", "Veg_Cover",
    *(f"BIO{i}" for i in range(1, 20)),
    "Abs_Depth_to_Bedrock", *_triple("Bulk_Density"), *_triple("CEC"), *_triple("Clay_Content"),
    *_triple("Coarse_Fragments_v"), "Depth_Bedrock_R", "Garde_Acid", "Occurrence_R_Horizon", *_triple("pH_Water"),
    *_triple("Sand_Content"), *_triple("Silt_Content"), *_triple("SWC_v_Wilting_Point"), *_triple("Texture_USDA"),
    "USDA_Suborder", "WRB_Subgroup", "Drought",
)  # fmt: skip


def has_covariates(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows have every covariate, (n,)."""
    return np.isfinite(table.to_numpy(float)).all(axis=1)


def covariate_table(sites: pd.DataFrame, cells: pd.DataFrame, profiles: pd.DataFrame) -> pd.DataFrame:
    """Covariates of sites and cells in one table, as `covariates.parquet` holds them.

    Parameters
    ----------
    sites, cells : DataFrame
        Covariates only, in the order of the sites (rows of `profiles`) and of the land cells.
    profiles : DataFrame
        `profile_id` and `cell` of the sites.

    Raises
    ------
    InputError
        When the columns differ, the sites are not those of `profiles`, or a value is missing.
    """
    if list(sites) != list(cells):
        odd = sorted(set(sites) ^ set(cells))
        raise InputError(f"covariates: sites and cells have different columns: {', '.join(odd) or 'another order'}.")
    if len(sites) != len(profiles):
        raise InputError(f"covariates: {len(sites)} rows for {len(profiles)} sites; expected one row a site.")
    site_keys = pd.DataFrame(
        {
            "place": "site",
            "profile_id": profiles["profile_id"].to_numpy(),
            "site": np.arange(len(profiles)),
            "cell": profiles["cell"].to_numpy(),
        }
    )
    cell_keys = pd.DataFrame({"place": "cell", "profile_id": None, "site": pd.NA, "cell": np.arange(len(cells))})
    keys = pd.concat([site_keys.astype({"site": "Int64"}), cell_keys.astype({"site": "Int64"})], ignore_index=True)
    values = pd.concat([sites, cells], ignore_index=True).astype(float)
    table = pd.concat([keys.astype({"profile_id": "string"}), values], axis=1)
    _check_values(table, "covariates")
    return table


def _check_values(table: pd.DataFrame, source: str) -> None:
    remedy = "Fill it in the source, or leave the place out: cleaning counts it as 'no covariates'."
    finite = {"dtype": float, "checks": row_check(np.isfinite, "a finite number"), "nullable": False, "remedy": remedy}
    names = [name for name in table if name not in PLACE_COLUMNS]
    schema = table_schema(
        dict.fromkeys(("place", *names), ""),
        {"place": {"checks": row_check(lambda x: x.isin(["site", "cell"]), "site or cell"), "nullable": False}}
        | dict.fromkeys(names, finite),
    )

    def where(row: int) -> str:
        who = table.iloc[row]
        return f"site {who['site']} (profile {who['profile_id']})" if who["place"] == "site" else f"cell {who['cell']}"

    checked(table, schema, source, where)


def write_covariates(
    table: pd.DataFrame, path: Path | str, stamp: Stamp | None = None, units: Mapping[str, str] | None = None
) -> None:
    """Write `covariates.parquet`, with the units that are known, and with the study's stamp if given."""
    stamped(table, stamp, units or {}, {}).to_parquet(path, index=False)


def read_covariates(path: Path | str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Covariates of the sites and of the land cells.

    Returns
    -------
    sites, cells : DataFrame
        Covariate columns only, float, indexed 0..n-1 in the order of the sites and of the cells.

    Raises
    ------
    InputError
        When the file is missing, lacks a column, has no covariates, or a value is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Run notebook 01-data-cleaning, which writes it.")
    with told_if_of_another_version(path):
        return _sites_and_cells(pd.read_parquet(path), path)


def _sites_and_cells(table: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    missing = [name for name in PLACE_COLUMNS if name not in table]
    names = [name for name in table if name not in PLACE_COLUMNS]
    if missing or not names:
        what = f"no column {', '.join(missing)}" if missing else "no covariate columns"
        raise InputError(f"{path}: {what}; it has: {', '.join(table.columns)}.")
    _check_values(table, str(path))
    parts = []
    for place in ("site", "cell"):
        part = table[table["place"] == place].sort_values(place)
        if list(part[place]) != list(range(len(part))):
            raise InputError(f"{path}: rows of place {place!r} are not numbered 0 to {len(part) - 1} without gaps.")
        parts.append(part[names].reset_index(drop=True).astype(float))
    return parts[0], parts[1]


def class_covariates(path: Path | str) -> tuple[str, ...]:
    """Names of the covariates of `covariates.parquet` that are classes given as numbers, in their order."""
    found = json.loads((pyarrow.parquet.read_schema(path).metadata or {}).get(b"PANDAS_ATTRS", b"{}"))
    return tuple(name for name, unit in found.get("units", {}).items() if unit == CLASS_UNIT)
