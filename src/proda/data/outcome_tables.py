"""The CSV tables that account for every row: exclusions.csv of cleaning and site_status.csv of the assimilation."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from proda.data.profiles import KINDS
from proda.data.validation import checked, csv_line, row_check, table_schema, whole_check
from proda.errors import InputError

_KEY = {"nullable": False}
_COUNT = {"checks": whole_check(0), **_KEY}
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
        "profile_id": _KEY,
        "rule": _KEY,
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
        "profile_id": {**_KEY, "unique": True},
        "site": {**_COUNT, "unique": True},
        "used_downstream": {"dtype": bool, **_KEY},
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
        "status": {"checks": row_check(lambda x: x.isin(STATUSES), f"one of: {', '.join(STATUSES)}"), **_KEY},
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
    table = pd.read_csv(_existing(path, "01-data-cleaning"), dtype={"profile_id": str, "layer": "Int64"})
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
    table = pd.read_csv(_existing(path, "04-site-by-site-assimilation"), dtype={"profile_id": str})
    return checked(table, SITE_STATUS, path, csv_line)


def _exclusions(table: pd.DataFrame, path: Path | str, place) -> pd.DataFrame:
    missing = [name for name in EXCLUSIONS.columns if name not in table]
    return table if not len(table) and not missing else checked(table, EXCLUSIONS, path, place)


def _existing(path: Path | str, notebook: str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Run notebook {notebook}, which writes it.")
    return path
