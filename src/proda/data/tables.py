"""The tidy tables of soil profiles and their layers: columns, units, order; how they are written and read back.

What every file of the data stage says of itself: the version that wrote it, the layout, the study it belongs to.

In Parquet the stamp stands in the table's `attrs`, which pandas keeps in the file's metadata; in NetCDF it is global
attributes. A file of another version is told, one of a newer layout or of another study is an error.

Tables against their schemas (pandera); errors in the words of this package: file, row, value, expected, remedy.

The CSV tables that account for every row: exclusions.csv of cleaning and site_status.csv of the assimilation.

The tables of a study as they came, kept beside the cleaned ones: what was lost, where, and how carbon was known.

The truth of a study that has one.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import geopandas
import numpy as np
import pandas as pd
import pandera.pandas as pa
import pyarrow
import pyarrow.parquet
import xarray as xr
from pandera.errors import SchemaError, SchemaErrorReason, SchemaErrors

from proda import __version__
from proda.errors import InputError
from proda.study import Study

# 1: without a stamp. 2: with one, and NPP in units that UDUNITS knows. A reader takes every layout up to its own.
LAYOUT = 2


class VersionWarning(UserWarning):
    """A file was written by another version of this software; it could be read."""


class Stamp(NamedTuple):
    """`version` of the software, `layout` of the file, `study` with scale, and a digest of what it was made from."""

    version: str = ""
    layout: int = 1
    study: str = ""
    inputs: str = ""

    @property
    def attributes(self) -> dict[str, Any]:
        """As they stand in a file."""
        return {f"proda_{name}": value for name, value in self._asdict().items()}


def cf_attributes(stamp: Stamp) -> dict[str, Any]:
    """Global attributes of a NetCDF file: the stamp, and the history that CF asks for.

    No time stands in it, so that the same data make the same file.
    """
    return {**stamp.attributes, "history": f"written by proda {stamp.version} for the study {stamp.study}"}


def study_stamp(study: Study, stage: str = "01-data-cleaning") -> Stamp:
    """The stamp of the files that ``study`` writes now."""
    made_from = {name: part for name, part in study.fingerprints()[stage].items() if name != "code"}
    digest = hashlib.sha256(json.dumps(made_from, sort_keys=True, default=str).encode()).hexdigest()
    return Stamp(__version__, LAYOUT, study.label, digest[:12])


def stamped(
    table: pd.DataFrame, stamp: Stamp | None, units: Mapping[str, str], meanings: Mapping[str, str]
) -> pd.DataFrame:
    """``table`` with stamp, units and meanings of its columns as attributes, which `to_parquet` writes."""
    result = table.copy(deep=False)
    known = {name: unit for name, unit in units.items() if name in table}
    told = {name: text for name, text in meanings.items() if name in table}
    result.attrs = {**(stamp.attributes if stamp else {}), "units": known, "long_names": told}
    return result


def file_stamp(path: Path | str) -> Stamp:
    """The stamp of a Parquet or NetCDF file; that of layout 1 for a file without one.

    Raises
    ------
    InputError
        When the file cannot be read as what its name says.
    """
    path = Path(path)
    try:
        if path.suffix == ".parquet":
            found = json.loads((pyarrow.parquet.read_schema(path).metadata or {}).get(b"PANDAS_ATTRS", b"{}"))
        else:
            with xr.open_dataset(path) as file:
                found = dict(file.attrs)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise InputError(
            f"{path}: cannot be read as {'Parquet' if path.suffix == '.parquet' else 'NetCDF'}: {error}. Is it cut "
            "short? Run notebook 01-data-cleaning again, which writes it."
        ) from error
    named = {name: found[f"proda_{name}"] for name in Stamp._fields if f"proda_{name}" in found}
    return Stamp(**named)._replace(layout=int(named.get("layout", 1)))


@contextmanager
def version_checked(path: Path | str) -> Iterator[Stamp]:
    """Read the file ``path`` in the block: what is raised there then says which version wrote the file.

    Raises
    ------
    InputError
        When the file's layout is newer than this version knows.

    Warns
    -----
    VersionWarning
        When the file could be read and was written by another version.
    """
    stamp = file_stamp(path)
    if stamp.layout > LAYOUT:
        raise InputError(
            f"{path}: written by proda {stamp.version} in layout {stamp.layout}; this is proda {__version__}, which "
            f"reads layouts up to {LAYOUT}. Update the package, or run notebook 01-data-cleaning again with this one."
        )
    told = ""
    if not stamp.version:
        told = "it carries no version: it was written by an early proda, or by other software"
    elif stamp.version != __version__:
        told = f"it was written by proda {stamp.version} in layout {stamp.layout}; this is proda {__version__}"
    try:
        yield stamp
    except InputError as error:
        raise InputError(f"{error} Mind that {told}." if told else str(error)) from None
    if told:
        warnings.warn(f"{path}: {told}. It was read, for it has what is needed.", VersionWarning, stacklevel=4)


def check_study(paths: Iterable[Path], study: Study) -> None:
    """Check that stamped files belong to ``study`` as it is opened.

    Raises
    ------
    InputError
        Names the first file of another study, and both studies.
    """
    own = study_stamp(study)
    for path in paths:
        found = file_stamp(path)
        if found.study and (found.study, found.inputs) != (own.study, own.inputs):
            raise InputError(
                f"{path} belongs to another study: it was written for {found.study} (made from {found.inputs}), this "
                f"is {own.study} (made from {own.inputs}). Give that study's own folder as --out, or write the file "
                f"anew: {study.command('--from', '1')}"
            )


Place = Callable[[int], str]
_TWICE = (SchemaErrorReason.SERIES_CONTAINS_DUPLICATES, SchemaErrorReason.DUPLICATES)
_NO_NUMBER = (SchemaErrorReason.DATATYPE_COERCION, SchemaErrorReason.WRONG_DATATYPE)


def row_check(
    passes: Callable[[pd.Series], pd.Series], expected: str, remedy: str = "", missing_pass: bool = True
) -> pa.Check:
    """A check of every value of a column, or with a schema's ``checks`` of every row of a table.

    Parameters
    ----------
    passes : callable
        Values -> which are as they should be, same shape.
    expected : str
        What they should be; ends "..., expected".
    remedy : str
        What to do, a sentence.
    missing_pass : bool
        Whether a missing value is none of this check's business.
    """
    return pa.Check(passes, name="row", error=expected, description=remedy, ignore_na=missing_pass)


def whole_check(least: int) -> pa.Check:
    """A check that every value is a whole number from `least` on."""
    return row_check(lambda x: (x >= least) & (x % 1 == 0), f"a whole number, {least} or above")


def median_check(low: float, high: float, unit: str, remedy: str) -> pa.Check:
    """A check of the middle one of all values: another unit shows there, where single odd values do not."""

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
    """A schema of the columns ``{name: meaning}``; further columns are nobody's business.

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


def checked(
    table: pd.DataFrame, schema: pa.DataFrameSchema, source: Path | str, place: Place | None = None
) -> pd.DataFrame:
    """``table`` as ``schema`` has it, columns in the schema's types.

    Parameters
    ----------
    source : the file, for the error
    place : row position -> where that row stands, for the error; "row 3" when None

    Raises
    ------
    InputError
        For the first thing that is wrong: missing columns, no rows, then column by column.
    """
    remedies = schema.metadata or {}
    missing = [name for name, column in schema.columns.items() if column.required and name not in table]
    if missing:
        has = f"it has {', '.join(map(str, table.columns))}. {remedies.get('columns', '')}"
        raise InputError(f"{source}: no column {', '.join(missing)}; {has}".strip())
    if not len(table):
        told = f"the table is empty: it has a header but no rows. {remedies.get('empty', '')}"
        raise InputError(f"{source}: {told}".strip())
    numbered = table.reset_index(drop=True)
    try:
        valid = schema.validate(numbered, lazy=True)
    except SchemaErrors as errors:
        faults = sorted(errors.schema_errors, key=lambda error: _rank(error, list(schema.columns)))
        raise InputError(_message(faults[0], numbered, str(source), place or "row {}".format)) from None
    return valid.set_axis(table.index)


def row_with(table: pd.DataFrame, names: Sequence[str]) -> Place:
    """Row position -> "row 7 (profile a, layer 0)", from the columns ``names`` without their "_id"."""

    def place(row: int) -> str:
        who = ", ".join(f"{name.removesuffix('_id')} {table[name].iloc[row]}" for name in names if name in table)
        return f"row {row} ({who})" if who else f"row {row}"

    return place


def csv_line(row: int) -> str:
    """Where a row stands in a CSV file with one line of header."""
    return f"line {row + 2}"


def _rank(error: SchemaError, columns: list[str]) -> tuple[int, int, int]:
    """Order in which faults are told: wrong kinds of value, then gaps and repeats, then checks; in order of columns."""
    name = getattr(error.schema, "name", None)
    position = columns.index(name) if name in columns else len(columns)
    kinds = (_NO_NUMBER, (SchemaErrorReason.SERIES_CONTAINS_NULLS,), _TWICE)
    kind = next((i for i, reasons in enumerate(kinds) if error.reason_code in reasons), len(kinds))
    return kind, position, 0 if getattr(error.check, "name", "") == "row" else 1


def _message(error: SchemaError, table: pd.DataFrame, source: str, place: Place) -> str:
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
    if error.reason_code is SchemaErrorReason.SERIES_CONTAINS_NULLS:
        return f"{where}: {name} is missing{more}, expected one in every row. {remedy}".strip()
    if error.reason_code in _TWICE:
        return f"{where}: {name} {shown} occurs a second time, expected once{more}. {remedy}".strip()
    if error.reason_code in _NO_NUMBER:
        kind = "True or False" if "bool" in str(error.schema.dtype) else "a number"
        empty = " or an empty field" if error.schema.nullable else ""
        return f"{where}: {name} is {shown}, expected {kind}{empty}{more}. {_guess(value) or remedy}".strip()
    return f"{where}: {name} is {shown}, expected {check.error}{more}. {check.description or remedy}".strip()


def _guess(value: object) -> str:
    """What a text that should be a number probably is, and what to do."""
    text = str(value).strip()
    if re.fullmatch(r"[-+]?\d+,\d+", text):
        return "A decimal comma? Write a point."
    if text.startswith("{"):
        return "Values in braces are a list; give one number, such as WoSIS has in its column value_avg."
    return ""


def _rows(error: SchemaError, table: pd.DataFrame, name: str | None) -> list[int]:
    """Positions of the rows at fault, in order; of values that repeat, those after the first."""
    if error.reason_code in _TWICE and name is not None:
        return np.flatnonzero(table[name].duplicated()).tolist()
    cases = error.failure_cases
    index = cases["index"].dropna() if isinstance(cases, pd.DataFrame) and "index" in cases else []
    return sorted({int(row) for row in index}) or [0]


# Cleaned tables: column and what it means.
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

KINDS = ("mineral", "organic", "litter", "unknown")
UNITS = {
    "lon": "degrees_east",
    "lat": "degrees_north",
    "max_depth": "m",
    "upper_depth": "m",
    "lower_depth": "m",
    "depth": "m",
    "soc": "g m-3",
    "density_relative_sd": "1",
}
_AGAIN = "Run notebook 01-data-cleaning again."
_EMPTY = "See exclusions.csv beside it for what cleaning took out."
_INDEX = {"checks": whole_check(0), "nullable": False, "remedy": _AGAIN}
_KEY = {"nullable": False, "remedy": _AGAIN}

PROFILES = table_schema(
    PROFILE_COLUMNS,
    {
        "profile_id": {**_KEY, "unique": True},
        "lon": {"dtype": float, "checks": row_check(lambda x: x.between(-180, 180), "-180 to 180", _AGAIN), **_KEY},
        "lat": {"dtype": float, "checks": row_check(lambda x: x.between(-90, 90), "-90 to 90", _AGAIN), **_KEY},
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
        "lower_depth": {"dtype": float, "checks": row_check(lambda x: x > 0, "below the surface, m", _AGAIN), **_KEY},
        "depth": {"dtype": float, **_KEY},
        "soc": {
            "dtype": float,
            "checks": [
                row_check(lambda x: (x > 0) & np.isfinite(x), "a positive number of g C m-3", _AGAIN),
                median_check(200, np.inf, "g C m-3, thousands", "Carbon in kg m-3? Multiply by 1,000."),
            ],
            **_KEY,
        },
        "kind": {"checks": row_check(lambda x: x.isin(KINDS), f"one of: {', '.join(KINDS)}", _AGAIN), **_KEY},
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


def write_profiles(profiles: pd.DataFrame, path: Path | str, stamp: Stamp | None = None) -> None:
    """Write profiles as GeoParquet, points in EPSG:4326, with units, and with the study's stamp if given."""
    points = geopandas.points_from_xy(profiles["lon"], profiles["lat"], crs=4326)
    text = {name: "string" for name in ("profile_id", "source", "land_use", "state")}
    table = geopandas.GeoDataFrame(profiles[list(PROFILE_COLUMNS)].astype(text).reset_index(drop=True), geometry=points)
    stamped(table, stamp, UNITS, PROFILE_COLUMNS).to_parquet(path, index=False)


def write_layers(layers: pd.DataFrame, path: Path | str, stamp: Stamp | None = None) -> None:
    """Write layers as Parquet, with units, and with the study's stamp if given."""
    stamped(layers, stamp, UNITS, LAYER_COLUMNS).to_parquet(path, index=False)


def read_profiles(path: Path | str) -> geopandas.GeoDataFrame:
    """`profiles.parquet` of a study folder, one row a site.

    Raises
    ------
    InputError
        When the file or a column is missing, the table is empty, an identifier occurs twice, or a value is none that
        cleaning leaves.
    """
    path = _existing(path)
    with version_checked(path):
        return checked(geopandas.read_parquet(path), PROFILES, path)


def read_layers(path: Path | str) -> pd.DataFrame:
    """`layers.parquet` of a study folder, sorted by site and depth.

    Raises
    ------
    InputError
        When the file or a column is missing, the table is empty or unsorted, or carbon is not positive or is in
        another unit than g C m-3.
    """
    path = _existing(path)
    with version_checked(path):
        layers = pd.read_parquet(path)
        return checked(layers, LAYERS, path, row_with(layers, ["profile_id", "layer"]))


def _existing(path: Path | str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Run notebook 01-data-cleaning, which writes it.")
    return path


_NEEDED = {"nullable": False}
_COUNT = {"checks": whole_check(0), **_NEEDED}
_POSITIVE = {"dtype": float, "checks": row_check(lambda x: x >= 0, "0 or above")}

EXCLUSIONS = table_schema(
    {
        "profile_id": "identifier of the excluded profile, or of the profile of the excluded layer",
        "layer": "the source's own number of the layer; empty when the whole profile went",
        "rule": "name of the rule",
        "value": "what offended",
        "kind": "of an excluded layer, as in layers.parquet; empty when the whole profile went",
        "source": "collection the profile comes from",
    },
    {
        "profile_id": _NEEDED,
        "rule": _NEEDED,
        "layer": {"dtype": "Int64"},
        "kind": {"checks": row_check(lambda x: x.isin(KINDS), f"one of: {', '.join(KINDS)}")},
    },
    columns_remedy="Run notebook 01-data-cleaning again.",
)
STATUSES = (
    "converged",
    "not converged",
    "a chain is stuck",
    "out of reach",
    "no finite posterior",
    "not sampled",
)
SITE_STATUS = table_schema(
    {"profile_id": "identifier", "site": "0-based row in profiles.parquet", "used_downstream": "whether others use it"},
    {
        "profile_id": {**_NEEDED, "unique": True},
        "site": {**_COUNT, "unique": True},
        "used_downstream": {"dtype": bool, **_NEEDED},
    },
    columns_remedy="Run the site-by-site assimilation again.",
)
# What an assimilation writes besides; a table without these columns can still be used downstream.
SITE_NUMBERS = table_schema(
    {
        "status": "about the chains",
        "n_layers": "observed layers",
        "r2": "squared correlation of observed and modelled carbon",
        "efficiency": "1 - SSE/SST about the 1:1 line",
        "rhat_gelman_rubin_max": "greatest of all parameters",
        "rhat_max": "greatest rank-normalised R-hat of all parameters",
        "ess_bulk_min": "least of all parameters",
        "ess_tail_min": "least of all parameters",
        "misfit": "median of the best chain",
        "steps": "of each chain",
        "acceptance": "share of accepted steps",
    },
    {
        "status": {"checks": row_check(lambda x: x.isin(STATUSES), f"one of: {', '.join(STATUSES)}"), **_NEEDED},
        "n_layers": _COUNT,
        "r2": {"dtype": float, "checks": row_check(lambda x: x.between(0, 1 + 1e-9), "0 to 1")},
        "efficiency": {"dtype": float, "checks": row_check(lambda x: x <= 1, "at most 1")},
        "rhat_gelman_rubin_max": _POSITIVE,
        "rhat_max": _POSITIVE,
        "ess_bulk_min": _POSITIVE,
        "ess_tail_min": _POSITIVE,
        "misfit": _POSITIVE,
        "steps": _POSITIVE,
        "acceptance": {"dtype": float, "checks": row_check(lambda x: x.between(0, 1), "0 to 1")},
    },
)


def write_exclusions(exclusions: pd.DataFrame, path: Path | str) -> None:
    """Write `exclusions.csv`, checked; a study in which nothing was excluded has a header alone."""
    _exclusions(exclusions, path, "row {}".format).to_csv(path, index=False)


def read_exclusions(path: Path | str) -> pd.DataFrame:
    """`exclusions.csv` of a study folder, one row an excluded profile or layer, in the order of the rules.

    Raises
    ------
    InputError
        When the file or a column is missing, or a row has no profile or no rule.
    """
    table = pd.read_csv(_existing_of(path, "01-data-cleaning"), dtype={"profile_id": str, "layer": "Int64"})
    return _exclusions(table, path, csv_line)


def write_site_status(status: pd.DataFrame, path: Path | str) -> None:
    """Write `site_status.csv`, one row a site, checked."""
    for schema in (SITE_STATUS, SITE_NUMBERS):
        checked(status, schema, path)
    status.to_csv(path, index=False)


def read_site_status(path: Path | str) -> pd.DataFrame:
    """`site_status.csv` of a study folder.

    Raises
    ------
    InputError
        When the file or a column is missing, a site occurs twice, or `used_downstream` is not True or False.
    """
    table = pd.read_csv(_existing_of(path, "04-site-by-site-assimilation"), dtype={"profile_id": str})
    return checked(table, SITE_STATUS, path, csv_line)


def _exclusions(table: pd.DataFrame, path: Path | str, place) -> pd.DataFrame:
    missing = [name for name in EXCLUSIONS.columns if name not in table]
    return table if not len(table) and not missing else checked(table, EXCLUSIONS, path, place)


def _existing_of(path: Path | str, notebook: str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Run notebook {notebook}, which writes it.")
    return path


_UNITS = UNITS | {
    "position_uncertainty": "m",
    "organic_carbon": "g kg-1",
    "bulk_density": "g cm-3",
    "coarse_fraction": "1",
    "ph": "1",
}
RAW_PROFILES, RAW_LAYERS = "raw_profiles.parquet", "raw_layers.parquet"
_LAYER_COLUMNS = [
    "profile_id", "layer", "upper_depth", "lower_depth", "soc", "organic_carbon", "bulk_density", "coarse_fraction",
    "ph", "kind", "density_source", "density_relative_sd",
]  # fmt: skip


def write_raw_tables(tables: ProfileTables, exclusions: pd.DataFrame, folder: Path, stamp: Stamp | None = None) -> None:
    """Write raw profiles, with the rule that took each out as `excluded_by`, and raw layers, with units and stamp.

    Parameters
    ----------
    tables : ProfileTables
        After `proda.data.bulk_density.with_soc_density`.
    exclusions : DataFrame
        As in `proda.data.cleaning.CleanedTables`.
    """
    whole = exclusions[exclusions["layer"].isna()]
    rule = pd.Series(whole["rule"].to_numpy(object), whole["profile_id"].to_numpy(object), dtype=object)
    text = dict.fromkeys(("profile_id", "source", "excluded_by"), "string")
    profiles = tables.profiles[["profile_id", "lon", "lat", "source", "position_uncertainty"]]
    profiles = profiles.assign(
        n_layers=profiles["profile_id"].map(tables.layers["profile_id"].value_counts()).fillna(0).astype(int),
        excluded_by=profiles["profile_id"].map(rule),
    )
    stamped(profiles.astype(text), stamp, _UNITS, PROFILE_COLUMNS).to_parquet(folder / RAW_PROFILES, index=False)
    words = dict.fromkeys(("profile_id", "kind", "density_source"), "string")
    layers = tables.layers[_LAYER_COLUMNS].astype(words)
    meanings = LAYER_COLUMNS | {"layer": "the source's own number"}
    stamped(layers, stamp, _UNITS, meanings).to_parquet(folder / RAW_LAYERS, index=False)


def read_raw_tables(folder: Path | str) -> ProfileTables:
    """Raw profiles (profile_id, lon, lat, source, position_uncertainty, n_layers, excluded_by) and raw layers.

    Raises
    ------
    InputError
        When a file is missing.
    """
    return ProfileTables(*(_read(Path(folder) / name) for name in (RAW_PROFILES, RAW_LAYERS)))


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(f"{path}: no such file. Run notebook 01-data-cleaning, which writes it.")
    with version_checked(path):
        return pd.read_parquet(path)


def known_truth(study: Study) -> xr.Dataset | None:
    """What `truth.nc` holds (`proda.data.virtual_profiles.truth_dataset`); None for a study of real profiles.

    `x_site` (parameter, site) and `x_cell` (parameter, cell) on the unit cube; `soc_site` (layer, site) and `soc_cell`
    (layer, cell), g C m-3.
    """
    path = study.path("truth.nc")
    if not path.is_file():
        return None
    with xr.open_dataset(path) as truth:
        return truth.load()
