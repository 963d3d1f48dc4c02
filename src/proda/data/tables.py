"""The tidy tables of a study: their columns and units, reading and checking raw tables, and writing those of stage 1.

Every file of stage 1 names the version that wrote it and the study: Parquet files in the metadata that pandas shows as
`attrs`, NetCDF files in their global attributes. Its marker guards what they hold (`proda.stage`).
"""

from __future__ import annotations

import codecs
import csv
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import geopandas
import numpy as np
import pandas as pd
import pyarrow
import pyarrow.csv
from numpy.typing import ArrayLike, NDArray
from pyarrow import compute

from proda import __version__
from proda.errors import InputError
from proda.model.forcing import AnyForcing
from proda.study import Study, utf8_text

KINDS = ("mineral", "organic", "litter", "unknown")


class ProfileTables(NamedTuple):
    """Profiles and layers as a reader delivers them, before cleaning.

    Profiles have `profile_id` (unique), `lon`, `lat`, `source`, `land_use`, `state`, `year`, `position_uncertainty` (m,
    missing where unknown). Layers have `profile_id`, `layer` (the source's own number), `upper_depth`, `lower_depth`
    (m), `soc` (g C m-3; missing where there is carbon by mass but no density), `organic_carbon` (g kg-1),
    `bulk_density` (g cm-3, of the fine earth), `bulk_density_method`, `coarse_fraction` (of volume), `ph` (in water),
    `litter`; `proda.data.cleaning.with_soc_density` adds `kind`, `density_source` and `density_relative_sd`.
    """

    profiles: pd.DataFrame
    layers: pd.DataFrame


Fault = tuple[int | None, str]  # row position, or None for the whole column; what is wrong and what to do
Check = Callable[[pd.Series], Fault | None]  # values of a column -> its first fault


def row_check(passes: Callable[[pd.Series], pd.Series], expected: str, remedy: str = "") -> Check:
    """A check of every value that is not missing: `passes` gives which are valid, `expected` is what they should be."""

    def check(values: pd.Series) -> Fault | None:
        rows = np.flatnonzero(values.notna() & ~passes(values))
        if not rows.size:
            return None
        value = values.iloc[rows[0]]
        shown = f"{value:.10g}" if isinstance(value, float) else repr(value)
        more = f" ({rows.size} rows in all)" if rows.size > 1 else ""
        return int(rows[0]), f"is {shown}, expected {expected}{more}. {remedy}"

    return check


def median_check(low: float, high: float, unit: str, remedy: str) -> Check:
    """A check of the median of all values, which shows another unit where every single value is possible."""

    def check(values: pd.Series) -> Fault | None:
        middle = values.median()
        if np.isnan(middle) or low <= middle <= high:
            return None
        return None, f"is {middle:.4g}, expected {low:g} to {high:g} {unit}. {remedy}"

    return check


def no_gaps(values: pd.Series) -> Fault | None:
    """A check that no value is missing."""
    missing = values.isna()
    return (int(np.argmax(missing)), "is missing, expected one in every row.") if missing.any() else None


def no_repeats(values: pd.Series) -> Fault | None:
    """A check that no value occurs twice."""
    twice = values.duplicated()
    row = int(np.argmax(twice))
    return (row, f"{values.iloc[row]!r} occurs a second time, expected once.") if twice.any() else None


def checked(
    table: pd.DataFrame, checks: Mapping[str, Iterable[Check]], source: Path | str, place: str = "row"
) -> pd.DataFrame:
    """`table`, once its columns pass their `checks`; a column that it lacks is not checked.

    An InputError when the table has no rows, or for the first fault: names the file `source`, and the row by its index
    after the word `place`: "line" for a table of `read_delimited`.
    """
    if not len(table):
        raise InputError(f"{source}: the table is empty: it has a header but no rows.")
    for name in (name for name in checks if name in table):
        for check in checks[name]:
            if fault := check(table[name]):
                row, text = fault
                where = f"{source}: the median of" if row is None else f"{source}, {place} {table.index[row]}:"
                raise InputError(f"{where} {name} {text}".strip())
    return table


_MISSING = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None")


def read_delimited(
    file: Path | zipfile.Path,
    numbers: Sequence[str],
    texts: Sequence[str] = (),
    optional: Sequence[str] = (),
    prefix: str | None = None,
) -> pd.DataFrame:
    """Columns of a text table, `numbers` as floats and `texts` without blanks around them; the index is the line.

    A field that is empty or NA is missing. A name that ends in ".tsv" stands for tabs and no quotes, any other for
    commas. The `optional` columns need not be there; columns of numbers whose names begin with `prefix` are read too. A
    table that is not whole, has no number where one is expected, or a field over several lines is an `InputError` with
    the line: every line that is not blank is a row.
    """
    tabs = file.name.endswith(".tsv")
    try:
        with file.open("rb") as stream:
            content = stream.read()
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InputError(f"{file}: not a whole file ({error}). Download it again.") from None
    utf8_text(content, str(file))
    lines = content.removeprefix(codecs.BOM_UTF8).splitlines()
    del content  # a download of WoSIS has hundreds of MB
    number = [i for i, line in enumerate(lines, start=1) if line.strip()]  # of the lines that are not blank
    lines = [lines[i - 1] for i in number]
    names = next(csv.reader([line.decode() for line in lines[:1]], delimiter="\t" if tabs else ","), [])
    missing = [name for name in (*texts, *numbers) if name not in names and name not in optional]
    twice = [name for name in (*texts, *numbers) if names.count(name) > 1]
    if missing or twice:
        raise InputError(
            f"{file}: {'two columns' if twice else 'no column'} {', '.join(twice or missing)}; it has "
            f"{', '.join(names) or 'none'}, separated by {'tabs' if tabs else 'commas'}. data/README.md describes the "
            "layout."
        )
    kinds = {name: pyarrow.string() for name in texts if name in names}
    kinds |= {name: pyarrow.float64() for name in numbers if name in names}
    kinds |= {name: pyarrow.float64() for name in names if prefix and name.startswith(prefix)}
    try:
        how = (
            pyarrow.csv.ReadOptions(use_threads=False),  # for the row in an error
            pyarrow.csv.ParseOptions(delimiter="\t" if tabs else ",", quote_char=False if tabs else '"'),
            pyarrow.csv.ConvertOptions(column_types=kinds, include_columns=list(kinds), null_values=_MISSING),
        )
        table = pyarrow.csv.read_csv(pyarrow.py_buffer(b"\n".join([*lines, b""])), *how)
        fault = "" if len(table) == len(lines) - 1 else "lines and rows differ in number"
    except pyarrow.ArrowException as error:
        fault = str(error)
    if fault:
        raise InputError(f"{file}{_fault(fault, names, lines, number, tabs)}")
    for name in (name for name in texts if name in names):
        # Some fields of WoSIS 2019 have quotes around them.
        values = compute.utf8_trim(table[name], ' "') if tabs else table[name]
        values = compute.utf8_trim_whitespace(values)
        known = compute.invert(compute.is_in(values, pyarrow.array(_MISSING)))
        table = table.set_column(table.column_names.index(name), name, compute.if_else(known, values, None))
    return table.to_pandas().set_axis(number[1:])


def _fault(error: str, names: list[str], lines: list[bytes], number: list[int], tabs: bool) -> str:
    """What is wrong with which line, from an error of the parser, which counts rows from the header on."""
    begin = 0
    reader = csv.reader(line.decode() for line in (() if tabs else lines))
    for _ in reader:
        if reader.line_num > begin + 1:
            return (
                f", line {number[begin]}: a field goes on in line {number[reader.line_num - 1]}, expected one line a "
                "row. A quote that is not closed? Remove the quote, or the line break."
            )
        begin = reader.line_num
    if match := re.search(r"column #(\d+): Row #(\d+): .* to double: invalid value '(.*)'", error):
        column, row, text = match.groups()
        return (
            f", line {number[int(row) - 1]}: {names[int(column)]} is {text!r}, expected a number or an empty field. A "
            "decimal comma? Write a point. A list in braces? Give one number."
        )
    if match := re.search(r"Row #(\d+): (Expected .*)", error, flags=re.DOTALL):
        row, text = match.groups()
        remedy = "A comma or a quote in a text, a decimal comma, or a line cut short?"
        return f", line {number[int(row) - 1]}: {text[:200]!r}. {remedy}"
    return f": not a whole table ({error}). Save it as CSV, or download it again."


def check_identifiers(tables: ProfileTables, source: str) -> None:
    """An InputError when layers have no profile, though they would with identifiers written alike; names both.

    Layers without a profile are otherwise left to cleaning, which counts them, unless they are all.
    """
    of_profiles, of_layers = tables.profiles["profile_id"].dropna(), tables.layers["profile_id"].dropna()
    lost = of_layers[~of_layers.isin(of_profiles)].drop_duplicates()
    free = of_profiles[~of_profiles.isin(of_layers)]
    # Without zeros in front, the .0 of a number, capitals and anything but letters and digits.
    plain = [s.str.casefold().str.replace(r"\.0+$|[\W_]", "", regex=True).str.lstrip("0") for s in (lost, free)]
    alike = plain[0].isin(plain[1]).to_numpy()
    if alike.any() or (len(lost) and lost.size == of_layers.nunique()):
        mine = (lost[alike] if alike.any() else lost).iloc[0]
        theirs = free[plain[1] == plain[0][lost == mine].iloc[0]] if alike.any() else free
        raise InputError(
            f"{source}: layers of {mine!r} have no profile; the profiles without layers are {theirs.iloc[0]!r} and on "
            f"({len(lost):,} identifiers of layers and {len(free):,} of profiles have no counterpart). "
            + ("Zeros, capitals or blanks changed by a spreadsheet? " if alike.any() else "Tables of two data sets? ")
            + "Write the identifiers alike in both tables."
        )


def check_range(values: NDArray, unit: str, low: float, high: float, where: str, guess: str) -> None:
    """An InputError unless any of n places has a value, and all values, (..., n), lie from `low` to `high`.

    `where` names file and variable, `guess` is what else the values may be.
    """
    if not np.isfinite(values).any():
        raise InputError(f"{where} has no value at any of the {values.shape[-1]} places. In the sea, another domain?")
    bad = (values < low) | (values > high)
    if bad.any():
        raise InputError(
            f"{where} is {values[bad][0]:.4g} {unit}, expected {low:g} to {high:g} ({bad.mean():.2%} of {bad.size:,} "
            f"values are outside): {guess} Or a fill value that is not declared?"
        )


class Finding(NamedTuple):
    """One variable of a source at the places of the study."""

    source: str  # name of the data set or file
    variable: str
    unit: str
    values: int  # number of places
    missing: int  # of them without a value
    least: float
    middle: float  # median
    greatest: float
    note: str = ""  # what was chosen, converted, clipped or counted


def finding(source: str, variable: str, unit: str, values: ArrayLike, note: str = "") -> Finding:
    """Number, range and median of `values` of `variable`."""
    values = np.asarray(values, float).ravel()
    known = values[np.isfinite(values)]
    ends = (known.min(), float(np.median(known)), known.max()) if known.size else (np.nan,) * 3
    return Finding(source, variable, unit, values.size, values.size - known.size, *map(float, ends), note)


def findings_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """Findings as a table, one row a variable."""
    return pd.DataFrame(list(findings), columns=list(Finding._fields))


class SourcedForcing(NamedTuple):
    """Forcing of some places and where it comes from."""

    forcing: AnyForcing  # NaN at places for which the source has no value, such as the sea
    findings: pd.DataFrame
    comment: str  # one or two sentences for `forcing.nc`


# Expected unit: other spellings of the same unit, compared without blanks, '^', '*', brackets and case.
_SPELLINGS = {
    "K": ("k", "kelvin", "degk", "kelvins"),
    "MPa": ("mpa", "megapascal"),
    "m": ("m", "meter", "meters", "metre", "metres"),
    "%": ("%", "percent", "pct"),
    "1": ("", "1", "-", "none", "unitless", "proportion", "fraction", "dimensionless"),
    "layers": ("", "1", "-", "none", "unitless", "layer", "layers", "index"),
    "g C m-2 s-1": ("gc/m2/s", "gcm-2s-1", "gm-2s-1"),
    "g C m-3 s-1": ("gc/m3/s", "gcm-3s-1", "gm-3s-1"),
    "g C m-3 month-1": ("gc/m3/month", "gc/m3/mon", "gcm-3month-1", "gcm-3mon-1"),
    "kg C m-2": ("kgc/m2", "kgcm-2", "kg/m2", "kgm-2"),
}

# What another unit probably is and what to do about it, by expected unit.
_REMEDIES = {
    "K": "Temperatures in degrees Celsius? Add 273.15",
    "MPa": "Water potential as a head in mm? Multiply by 9.80665e-6; in kPa? Divide by 1000",
    "m": "A depth in centimetres? Divide by 100",
    "g C m-2 s-1": "A flux per day? Divide by 86400; in kg? Multiply by 1000",
}


def checked_unit(unit: str | None, expected: tuple[str, ...], where: str) -> str:
    """The one of the `expected` units that `unit`, the attribute `units` of a variable (None: it has none), spells.

    A variable without a unit or in another one is an InputError, never converted; `where` names file and variable.
    """
    known = " or ".join(map(repr, expected))
    if unit is None and not {"1", "layers"} & set(expected):
        raise InputError(
            f"{where} has no attribute 'units', expected {known}. Make sure of the unit, then write it into the file."
        )
    plain, *spellings = ("".join(c for c in name.lower() if c not in " ^*()[]_.") for name in (unit or "", *expected))
    for name, spelling in zip(expected, spellings, strict=True):
        if plain in (spelling, *_SPELLINGS.get(name, ())):
            return name
    remedy = _REMEDIES.get(expected[0], "Convert the values")
    raise InputError(
        f"{where} is in {unit!r}, expected {known}. {remedy}, and set the attribute 'units' to {expected[0]!r}."
    )


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
    "lon": "degrees_east", "lat": "degrees_north",
    **dict.fromkeys(("max_depth", "upper_depth", "lower_depth", "depth"), "m"), "soc": "g m-3",
    "density_relative_sd": "1", "position_uncertainty": "m", "organic_carbon": "g kg-1", "bulk_density": "g cm-3",
    "coarse_fraction": "1", "ph": "1",
}  # fmt: skip


def file_attributes(study: Study) -> dict[str, Any]:
    """Attributes of every file of stage 1; CF's history has no time, so that the same data make the same file."""
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


def write_profiles(profiles: pd.DataFrame, path: Path | str, attributes: Mapping[str, Any]) -> None:
    """Write profiles as GeoParquet, points in EPSG:4326, with units and the file's `attributes`."""
    points = geopandas.points_from_xy(profiles["lon"], profiles["lat"], crs=4326)
    types = {**dict.fromkeys(("profile_id", "source", "land_use", "state"), "string"), "year": float}
    profiles = profiles[list(PROFILE_COLUMNS)].astype(types).reset_index(drop=True)
    table = geopandas.GeoDataFrame(profiles, geometry=points)
    with_attributes(table, UNITS, PROFILE_COLUMNS, attributes).to_parquet(path, index=False)
