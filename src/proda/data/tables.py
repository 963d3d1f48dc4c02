"""The tidy tables of a study: their columns, units and schemas; how they are written, read back and checked.

Every file of stage 1 names the version that wrote it and the study: Parquet files in the metadata that pandas shows as
`attrs`, NetCDF files in their global attributes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import geopandas
import numpy as np
import pandas as pd
import pandera.pandas as pa
import xarray as xr
from pandera.errors import SchemaError, SchemaErrorReason, SchemaErrors

from proda import __version__
from proda.errors import InputError
from proda.study import Study

KINDS = ("mineral", "organic", "litter", "unknown")
STATUSES = ("converged", "not converged", "a chain is stuck", "out of reach", "no finite posterior", "not sampled")


class ProfileTables(NamedTuple):
    """Profiles and layers as a reader delivers them, before cleaning.

    Attributes
    ----------
    profiles : DataFrame
        `profile_id` (unique), `lon`, `lat`, `source`, `land_use`, `state`, `year`, `position_uncertainty` (m, missing
        where unknown).
    layers : DataFrame
        `profile_id`, `layer` (the source's own number), `upper_depth`, `lower_depth` (m), `soc` (g C m-3; missing
        where there is carbon by mass but no density to turn it into carbon by volume), `organic_carbon` (g kg-1),
        `bulk_density` (g cm-3, of the fine earth), `bulk_density_method`, `coarse_fraction` (of volume), `ph`
        (in water), `litter`.
        `proda.data.bulk_density.with_soc_density` adds `kind`, `density_source` and `density_relative_sd`.
    """

    profiles: pd.DataFrame
    layers: pd.DataFrame


def row_check(
    passes: Callable[[pd.Series], pd.Series], expected: str, remedy: str = "", missing_pass: bool = True
) -> pa.Check:
    """A check of every value of a column, or, among a schema's ``checks``, of every row of a table.

    Parameters
    ----------
    passes : callable
        Values -> which of them are valid, same shape.
    expected : str
        What they should be; ends "..., expected".
    remedy : str
        What to do, a sentence.
    missing_pass : bool
        Whether a missing value passes.
    """
    return pa.Check(passes, name="row", error=expected, description=remedy, ignore_na=missing_pass)


def between(low: float, high: float, remedy: str = "") -> pa.Check:
    """A check that every value lies from `low` to `high`."""
    return row_check(lambda x: x.between(low, high), f"{low:g} to {high:g}", remedy)


def whole_check(least: int) -> pa.Check:
    """A check that every value is a whole number from `least` on."""
    return row_check(lambda x: (x >= least) & (x % 1 == 0), f"a whole number, {least} or above")


def median_check(low: float, high: float, unit: str, remedy: str) -> pa.Check:
    """A check of the median of all values, which shows another unit where every single value is possible."""

    def passes(values: pd.Series) -> bool:
        middle = pd.to_numeric(values, errors="coerce").median()
        return bool(np.isnan(middle) or low <= middle <= high)

    if np.isinf(low) or np.isinf(high):
        expected = f"{'at most' if np.isinf(low) else 'at least'} {high if np.isinf(low) else low:g} {unit}"
    else:
        expected = f"{low:g} to {high:g} {unit}"
    return pa.Check(passes, name="median", error=expected.strip(), description=remedy)


def table_schema(
    columns: Mapping[str, str],
    rules: Mapping[str, Mapping[str, Any]],
    checks: Sequence[pa.Check] = (),
    columns_remedy: str = "",
    empty_remedy: str = "",
) -> pa.DataFrameSchema:
    """A schema of the columns ``{name: meaning}``; further columns are allowed and not checked.

    Parameters
    ----------
    rules : {name: arguments of pandera's Column}
        A column without an entry may hold anything, and gaps. ``remedy`` is what to do about gaps and repeats.
    checks : of whole rows
    columns_remedy, empty_remedy : what to do when a column or every row is missing, a sentence
    """
    made = {}
    for name, meaning in columns.items():
        rule = {"nullable": True, **rules.get(name, {})}
        remedy = {"remedy": rule.pop("remedy", "")}
        coerce = rule.get("dtype") not in (None, bool)  # every text is true to bool()
        made[name] = pa.Column(description=meaning, coerce=coerce, metadata=remedy, **rule)
    return pa.DataFrameSchema(made, list(checks), metadata={"columns": columns_remedy, "empty": empty_remedy})


Place = Callable[[int], str]


def csv_line(row: int) -> str:
    """The line of a row in a CSV file with one line of header."""
    return f"line {row + 2}"


def row_with(table: pd.DataFrame, names: Sequence[str]) -> Place:
    """Row position -> "row 7 (profile a, layer 0)", from the columns ``names`` without their "_id"."""

    def place(row: int) -> str:
        who = ", ".join(f"{name.removesuffix('_id')} {table[name].iloc[row]}" for name in names if name in table)
        return f"row {row} ({who})" if who else f"row {row}"

    return place


def checked(
    table: pd.DataFrame, schema: pa.DataFrameSchema, source: Path | str, place: Place = "row {}".format
) -> pd.DataFrame:
    """``table`` with its columns in the types of ``schema``.

    Parameters
    ----------
    source : the file, for the error
    place : row position -> its name in the error

    Raises
    ------
    InputError
        For the first fault: missing columns, no rows, then column by column.
    """
    remedies = schema.metadata or {}
    missing = [name for name, column in schema.columns.items() if column.required and name not in table]
    if missing:
        has = f"it has {', '.join(map(str, table.columns))}. {remedies.get('columns', '')}"
        raise InputError(f"{source}: no column {', '.join(missing)}; {has}".strip())
    if not len(table):
        raise InputError(
            f"{source}: the table is empty: it has a header but no rows. {remedies.get('empty', '')}".strip()
        )
    numbered = table.reset_index(drop=True)
    try:
        valid = schema.validate(numbered, lazy=True)
    except SchemaErrors as errors:
        faults = sorted(errors.schema_errors, key=lambda error: _order(error, list(schema.columns)))
        raise InputError(_message(faults[0], numbered, str(source), place)) from None
    return valid.set_axis(table.index)


_REPEATED = (SchemaErrorReason.SERIES_CONTAINS_DUPLICATES, SchemaErrorReason.DUPLICATES)
_NO_NUMBER = (SchemaErrorReason.DATATYPE_COERCION, SchemaErrorReason.WRONG_DATATYPE)
_MISSING = (SchemaErrorReason.SERIES_CONTAINS_NULLS,)


def _order(error: SchemaError, columns: list[str]) -> tuple[int, int, bool]:
    """Wrong types first, for they make other checks fail; then gaps, repeats and checks, in the order of columns."""
    name = getattr(error.schema, "name", None)
    position = columns.index(name) if name in columns else len(columns)
    kinds = (_NO_NUMBER, _MISSING, _REPEATED)
    kind = next((i for i, reasons in enumerate(kinds) if error.reason_code in reasons), len(kinds))
    return kind, position, getattr(error.check, "name", "") != "row"


def _message(error: SchemaError, table: pd.DataFrame, source: str, place: Place) -> str:
    """File, row, column, value, what was expected and what to do."""
    name, check = getattr(error.schema, "name", None), error.check
    if getattr(check, "name", "") == "median":
        middle = pd.to_numeric(table[name], errors="coerce").median()
        return f"{source}: the median of {name} is {middle:.4g}, expected {check.error}. {check.description}".strip()
    rows = _rows(error, table, name)
    where, more = f"{source}, {place(rows[0])}", f" ({len(rows)} rows in all)" if len(rows) > 1 else ""
    if name is None or name not in table:
        return f"{where}: {check.error}{more}. {check.description or ''}".strip()
    value = table[name].iloc[rows[0]]
    shown = f"{value:.10g}" if isinstance(value, (float, np.floating)) else repr(value)
    remedy = (error.schema.metadata or {}).get("remedy", "")
    if error.reason_code in _MISSING:
        return f"{where}: {name} is missing{more}, expected one in every row. {remedy}".strip()
    if error.reason_code in _REPEATED:
        return f"{where}: {name} {shown} occurs a second time, expected once{more}. {remedy}".strip()
    if error.reason_code in _NO_NUMBER:
        kind = "True or False" if "bool" in str(error.schema.dtype) else "a number"
        empty = " or an empty field" if error.schema.nullable else ""
        return f"{where}: {name} is {shown}, expected {kind}{empty}{more}. {_text_remedy(value) or remedy}".strip()
    return f"{where}: {name} is {shown}, expected {check.error}{more}. {check.description or remedy}".strip()


def _text_remedy(value: object) -> str:
    """What to do about a text that should be a number."""
    text = str(value).strip()
    if re.fullmatch(r"[-+]?\d+,\d+", text):
        return "A decimal comma? Write a point."
    if text.startswith("{"):
        return "Values in braces are a list; give one number, such as WoSIS has in its column value_avg."
    return ""


def _rows(error: SchemaError, table: pd.DataFrame, name: str | None) -> list[int]:
    """Positions of the rows at fault, in order; of values that repeat, those after the first."""
    if error.reason_code in _REPEATED and name is not None:
        return np.flatnonzero(table[name].duplicated()).tolist()
    cases = error.failure_cases
    index = cases["index"].dropna() if isinstance(cases, pd.DataFrame) and "index" in cases else []
    return sorted({int(row) for row in index}) or [0]


PROFILE_COLUMNS = {
    "profile_id": "identifier, unique",
    "lon": "longitude, degrees east (WGS84)",
    "lat": "latitude, degrees north (WGS84)",
    "source": "collection the profile comes from",
    "land_use": "land use in the source's own words, or missing",
    "state": "state in the source's own words, or missing",
    "year": "year of sampling, or missing",
    "cell": "0-based index of the land cell whose forcing the profile takes",
    "land_cover": "IGBP class of that cell",
    "n_layers": "layers left after cleaning",
    "max_depth": "lower bound of the deepest layer, m",
}
LAYER_COLUMNS = {
    "profile_id": "identifier of the profile",
    "site": "0-based row of the profile in profiles.parquet",
    "layer": "0-based number of the layer, top down",
    "upper_depth": "upper bound, m, positive down",
    "lower_depth": "lower bound, m, positive down",
    "depth": "mid-depth, m, positive down",
    "soc": "organic carbon per volume of soil, g C m-3",
    "kind": "mineral, organic (120 g kg-1 of carbon or more), litter, or unknown where carbon by mass is not given",
    "density_relative_sd": "relative standard deviation of soc from an estimated bulk density; 0 where it was measured",
}
UNITS = {
    "lon": "degrees_east",
    "lat": "degrees_north",
    "max_depth": "m",
    "upper_depth": "m",
    "lower_depth": "m",
    "depth": "m",
    "soc": "g m-3",
    "density_relative_sd": "1",
    "position_uncertainty": "m",
    "organic_carbon": "g kg-1",
    "bulk_density": "g cm-3",
    "coarse_fraction": "1",
    "ph": "1",
}

_AGAIN = "Run notebook 01-data-cleaning again."
_EMPTY = "See exclusions.csv beside it for what cleaning excluded."
_KEY = {"nullable": False, "remedy": _AGAIN}
_INDEX = {"checks": whole_check(0), **_KEY}
_KIND = row_check(lambda x: x.isin(KINDS), f"one of: {', '.join(KINDS)}", _AGAIN)

PROFILES = table_schema(
    PROFILE_COLUMNS,
    {
        "profile_id": {**_KEY, "unique": True},
        "lon": {"dtype": float, "checks": between(-180, 180, _AGAIN), **_KEY},
        "lat": {"dtype": float, "checks": between(-90, 90, _AGAIN), **_KEY},
        "source": _KEY,
        "year": {"dtype": float},
        "cell": _INDEX,
        "land_cover": _INDEX,
        "n_layers": {**_INDEX, "checks": whole_check(1)},
        "max_depth": {"dtype": float, "checks": row_check(lambda x: x > 0, "above 0 m", _AGAIN), **_KEY},
    },
    columns_remedy=_AGAIN,
    empty_remedy=_EMPTY,
)
LAYERS = table_schema(
    LAYER_COLUMNS,
    {
        "profile_id": _KEY,
        "site": _INDEX,
        "layer": _INDEX,
        "upper_depth": {"dtype": float, "checks": row_check(lambda x: x >= 0, "0 m or deeper", _AGAIN), **_KEY},
        "lower_depth": {"dtype": float, **_KEY},
        "depth": {"dtype": float, **_KEY},
        "soc": {
            "dtype": float,
            "checks": [
                row_check(lambda x: (x > 0) & np.isfinite(x), "a positive number of g C m-3", _AGAIN),
                median_check(200, np.inf, "g C m-3, thousands", "Carbon in kg m-3? Multiply by 1,000."),
            ],
            **_KEY,
        },
        "kind": {"checks": _KIND, **_KEY},
        "density_relative_sd": {
            "dtype": float,
            "checks": row_check(lambda x: (x >= 0) & np.isfinite(x), "0 or above", _AGAIN),
            **_KEY,
        },
    },
    checks=[
        row_check(lambda t: t["lower_depth"] > t["upper_depth"], "lower_depth is not below upper_depth", _AGAIN),
        row_check(
            lambda t: (t["site"] * 1e3 + t["depth"]).diff().fillna(0.0) >= 0,
            "out of order, expected rows sorted by site and depth",
            _AGAIN,
        ),
    ],
    columns_remedy=_AGAIN,
    empty_remedy=_EMPTY,
)
_NEEDED = {"nullable": False}
SITE_STATUS = table_schema(
    {
        "profile_id": "identifier",
        "site": "0-based row in profiles.parquet",
        "status": "outcome of the chains",
        "used_downstream": "whether later stages use the site",
    },
    {
        "profile_id": {"unique": True, **_NEEDED},
        "site": {"checks": whole_check(0), "unique": True, **_NEEDED},
        "status": {
            "checks": row_check(lambda x: x.isin(STATUSES), f"one of: {', '.join(STATUSES)}"),
            "required": False,
        },
        "used_downstream": {"dtype": bool, **_NEEDED},
    },
    columns_remedy="Run the site-by-site assimilation again.",
)


def file_attributes(study: Study) -> dict[str, Any]:
    """Attributes of every file of stage 1: version and study, and the history that CF asks for.

    It has no time, so that the same data make the same file.
    """
    history = f"written by proda {__version__} for the study {study.label}"
    return {"proda_version": __version__, "proda_study": study.label, "history": history}


def with_attributes(
    table: pd.DataFrame, units: Mapping[str, str], meanings: Mapping[str, str], attributes: Mapping[str, Any]
) -> pd.DataFrame:
    """``table`` with units and meanings of its columns and the file's attributes, which `to_parquet` writes."""
    result = table.copy(deep=False)
    result.attrs = {
        **attributes,
        "units": {name: unit for name, unit in units.items() if name in table},
        "long_names": {name: meaning for name, meaning in meanings.items() if name in table},
    }
    return result


def existing(path: Path | str, notebook: str = "01-data-cleaning") -> Path:
    """`path`, which `notebook` writes.

    Raises
    ------
    InputError
        When there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Run notebook {notebook}, which writes it.")
    return path


def write_profiles(profiles: pd.DataFrame, path: Path | str, attributes: Mapping[str, Any] | None = None) -> None:
    """Write profiles as GeoParquet, points in EPSG:4326, with units and the file's `attributes`."""
    points = geopandas.points_from_xy(profiles["lon"], profiles["lat"], crs=4326)
    text = dict.fromkeys(("profile_id", "source", "land_use", "state"), "string")
    table = geopandas.GeoDataFrame(profiles[list(PROFILE_COLUMNS)].astype(text).reset_index(drop=True), geometry=points)
    with_attributes(table, UNITS, PROFILE_COLUMNS, attributes or {}).to_parquet(path, index=False)


def read_profiles(path: Path | str) -> geopandas.GeoDataFrame:
    """`profiles.parquet` of a study folder, one row a site.

    Raises
    ------
    InputError
        When the file or a column is missing, the table is empty, an identifier occurs twice, or a value is none that
        cleaning leaves.
    """
    return checked(geopandas.read_parquet(existing(path)), PROFILES, path)


def write_layers(layers: pd.DataFrame, path: Path | str, attributes: Mapping[str, Any] | None = None) -> None:
    """Write layers as Parquet, with units and the file's `attributes`."""
    with_attributes(layers, UNITS, LAYER_COLUMNS, attributes or {}).to_parquet(path, index=False)


def read_layers(path: Path | str) -> pd.DataFrame:
    """`layers.parquet` of a study folder, sorted by site and depth.

    Raises
    ------
    InputError
        When the file or a column is missing, the table is empty or unsorted, or carbon is not positive or is in
        another unit than g C m-3.
    """
    layers = pd.read_parquet(existing(path))
    return checked(layers, LAYERS, path, row_with(layers, ["profile_id", "layer"]))


def write_site_status(status: pd.DataFrame, path: Path | str) -> None:
    """Write `site_status.csv`, one row a site, checked."""
    checked(status, SITE_STATUS, path)
    status.to_csv(path, index=False)


def read_site_status(path: Path | str) -> pd.DataFrame:
    """`site_status.csv` of a study folder.

    Raises
    ------
    InputError
        When the file or a column is missing, a site occurs twice, or `used_downstream` is not True or False.
    """
    table = pd.read_csv(existing(path, "04-site-by-site-assimilation"), dtype={"profile_id": str})
    return checked(table, SITE_STATUS, path, csv_line)


def known_truth(study: Study) -> xr.Dataset | None:
    """What `truth.nc` holds (`proda.data.virtual_profiles.truth_dataset`); None for a study of real profiles.

    `x_site` (parameter, site) and `x_cell` (parameter, cell) on the unit cube; `soc_site` (layer, site) and `soc_cell`
    (layer, cell), g C m-3.
    """
    path = study.path("truth.nc")
    return xr.load_dataset(path) if path.is_file() else None
