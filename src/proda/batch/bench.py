"""``python -m proda bench``: the speeds of `proda.batch.speed` as a table to read and as JSON."""

import json
import platform
import textwrap
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from proda.batch.bench_columns import bench_columns
from proda.batch.speed import Measurements, measured, measurements

__all__ = ["as_record", "as_text", "bench", "bench_columns", "measured"]

_SCALES = 1.5  # faster on all cores than on one by this much: worth the other cores
# Columns of the table as they are printed: heading and format.
_SHOWN = {
    "columns at once": ("at once", "{:,.0f}"),
    "microseconds": ("microseconds", "{:,.3f}"),
    "per second": ("per second", "{:,.0f}"),
    "times dense NumPy": ("x dense NumPy", "{:,.1f}"),
    "times JAX": ("x JAX", "{:,.1f}"),
    "Gflop/s": ("Gflop/s", "{:.1f}"),
    "% of peak": ("% of peak", "{:.0f}"),
    "all cores: microseconds": ("all cores", "{:,.3f}"),
    "all cores: speedup": ("speedup", "{:.2f}"),
}


def bench(path: Path | None = None) -> int:
    """Print the measurements, and write them to `path` as JSON."""
    print("Compiling, which takes minutes the first time, and measuring ...", flush=True)
    found = measurements()
    print(as_text(found))
    if path:
        Path(path).write_text(json.dumps(as_record(found), indent=1, allow_nan=False) + "\n")
    return 0


def as_text(found: Measurements) -> str:
    """The measurements for a reader."""
    parts = [
        f"Least of {found.rounds} interleaved rounds, on one core unless said otherwise.\n"
        "x dense NumPy: how many times faster than the first row; x JAX: cost of a derivative over that of JAX alone;\n"
        f"all cores: microseconds with {found.cores} threads at the same time, and the speedup over one core."
    ]
    for case, counts in found.operations.iterrows():
        table = found.table.loc[case]
        shown = pd.DataFrame({heading: _column(table[name], form) for name, (heading, form) in _SHOWN.items()})
        operations = " and ".join(f"{count:,} {kind}" for kind, count in counts.items())
        title = f"{case}: {operations} for one steady state"
        parts.append(f"{title}\n{shown.rename_axis(None).to_string()}\n{_what_scales(table)}")
    parts.append(
        f"One core does at most {found.peak:.1f} Gflop/s of multiplications and additions (measured).\n"
        "Gflop/s and % of peak: sums, products and quotients of a steady state, not its exponentials and logarithms."
    )
    return "\n\n".join(parts)


def _column(values: pd.Series, form: str) -> pd.Series:
    return values.map(lambda value: "" if pd.isna(value) else form.format(value))


def _what_scales(table: pd.DataFrame) -> str:
    """Which tasks gain from all cores and which do not, in words."""
    speedup = table["all cores: speedup"].dropna()
    gaining = speedup >= _SCALES
    groups = {f"{_SCALES:g} times faster on all cores": speedup.index[gaining], "not": speedup.index[~gaining]}
    text = "; ".join(f"{verdict}: {', '.join(tasks)}" for verdict, tasks in groups.items() if len(tasks))
    return textwrap.fill(text, 120)


def as_record(found: Measurements) -> dict[str, Any]:
    """The measurements for a program: nested dictionaries of numbers, None where nothing was measured."""
    table = found.table.astype(object).where(found.table.notna(), None)
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("numpy", "numba", "jax")},
        "processor": platform.machine(),
        "cores": found.cores,
        "rounds": found.rounds,
        "peak Gflop/s of one core": found.peak,
        "operations": found.operations.to_dict("index"),
        "measured": {case: table.loc[case].to_dict("index") for case in found.operations.index},
    }
