"""The files of a study folder as later stages open them, and as a stage opens its own before it counts as complete.

A reader raises an `InputError` that names the file and what it lacks: a column, a variable with its dimensions, or a
number where one is expected.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import xarray as xr

from proda.data.tables import LAYER_COLUMNS, PROFILE_COLUMNS, checked, no_gaps, row_check
from proda.errors import InputError
from proda.model.parameters import TABLES
from proda.stage import DATA, SITE_BY_SITE
from proda.study import Study

_AGAIN = "Run the notebook that writes it again."
# Variables of `truth.nc` and their dimensions.
TRUTH = {
    "x_site": ("parameter", "site"),
    "x_cell": ("parameter", "cell"),
    "soc_site": ("layer", "site"),
    "soc_cell": ("layer", "cell"),
}


def existing(path: Path | str, notebook: str = DATA) -> Path:
    """`path`, which `notebook` writes; `InputError` when there is no such file."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Run notebook {notebook}, which writes it.")
    return path


@contextmanager
def unreadable_named(path: Path | str, remedy: str = _AGAIN) -> Iterator[None]:
    """Turn what a reader raises at a file that is cut short into an `InputError` that names the file `path`."""
    try:
        yield
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{path}: cannot be read ({reason}). Cut short? {remedy}") from error


def read_dataset(
    path: Path | str,
    variables: Mapping[str, Iterable[str]],
    gaps: Collection[str] = (),
    group: str | None = None,
    notebook: str = DATA,
) -> xr.Dataset:
    """A NetCDF file that `notebook` writes, in memory: an `InputError` unless `checked_variables` are in it."""
    with unreadable_named(path):
        content = xr.load_dataset(existing(path, notebook), group=group)
    return checked_variables(content, variables, path, gaps)


def checked_variables(
    content: xr.Dataset, variables: Mapping[str, Iterable[str]], path: Path | str, gaps: Collection[str] = ()
) -> xr.Dataset:
    """`content` of the file `path`, once it has the `variables` with their dimensions, in any order.

    They are finite everywhere but in `gaps`, and a dimension `parameter` is that of the model.
    """
    for name, dims in variables.items():
        here = content[name] if name in content.variables else None
        if here is None or set(here.dims) != set(dims):
            found = "is missing" if here is None else f"has the dimensions {here.dims}"
            raise InputError(f"{path}: {name} {found}, expected {name} ({', '.join(dims)}). {_AGAIN}")
        if "parameter" in here.dims and tuple(content["parameter"].values) not in [table.names for table in TABLES]:
            raise InputError(
                f"{path}: expected the parameters of {name} to be those of the model, in their order. {_AGAIN}"
            )
        if name not in gaps and (unknown := int((~np.isfinite(here)).sum())):
            raise InputError(
                f"{path}: {name} has no number at {unknown:,} of {here.size:,} places, expected one at each. {_AGAIN}"
            )
    return content


def read_table(
    path: Path | str,
    whole: Collection[str],
    gaps: Collection[str] = (),
    read: Callable[[Path], pd.DataFrame] = pd.read_parquet,
    notebook: str = DATA,
) -> pd.DataFrame:
    """A table that `notebook` writes: an `InputError` unless it has the columns `whole`, without gaps, and `gaps`."""
    with unreadable_named(path):
        table = read(existing(path, notebook))
    if missing := [name for name in (*whole, *gaps) if name not in table]:
        raise InputError(f"{path}: no column {', '.join(missing)}; it has {', '.join(map(str, table))}. {_AGAIN}")
    finite = row_check(lambda values: ~values.isin([np.inf, -np.inf]), "a finite number")
    return checked(table, dict.fromkeys(whole, (no_gaps, finite)), path)


def read_profiles(path: Path | str) -> geopandas.GeoDataFrame:
    """`profiles.parquet` of a study folder, one row a site, with `PROFILE_COLUMNS`."""
    gaps = ("land_use", "state", "year")
    whole = [name for name in PROFILE_COLUMNS if name not in gaps]
    return read_table(path, whole, gaps, geopandas.read_parquet)[[*PROFILE_COLUMNS, "geometry"]]


def read_layers(path: Path | str) -> pd.DataFrame:
    """`layers.parquet` of a study folder, sorted by site and depth, with `LAYER_COLUMNS`."""
    return read_table(path, LAYER_COLUMNS)[list(LAYER_COLUMNS)]


def read_csv(path: Path | str, types: Mapping[str, Any] | None = None, notebook: str = DATA) -> pd.DataFrame:
    """A CSV file that `notebook` writes: only an empty field is missing, for a profile may be called "NA"."""
    with unreadable_named(path):
        return pd.read_csv(existing(path, notebook), dtype=types, keep_default_na=False, na_values=[""])


def read_site_status(path: Path | str) -> pd.DataFrame:
    """`site_status.csv` of a study folder: profile_id, site, status, used_downstream and more, one row a site."""
    whole, read = ("profile_id", "site", "used_downstream"), partial(read_csv, types={"profile_id": str})
    return read_table(path, whole, read=read, notebook=SITE_BY_SITE)


def known_truth(study: Study) -> xr.Dataset | None:
    """What `truth.nc` holds (`proda.data.virtual_profiles.truth_dataset`); None for a study of real profiles.

    `x_site` (parameter, site) and `x_cell` (parameter, cell) on the unit cube; `soc_site` (layer, site) and `soc_cell`
    (layer, cell), g C m-3.
    """
    return read_truth(study.out)


def read_truth(folder: Path) -> xr.Dataset | None:
    """`known_truth` of the study in `folder`."""
    path = folder / "truth.nc"
    return read_dataset(path, TRUTH) if path.is_file() else None
