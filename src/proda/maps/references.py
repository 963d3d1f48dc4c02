"""Published maps of soil carbon that a grid carries: their names, and the depth intervals that each of them has.

They are there to compare with. No covariate, no forcing and no parameter comes from them.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]

# Columns of `proda.data.readers`, which give a stock from the surface down to one depth, and the names of their maps.
_READ = {
    "soilgrids_2": "SoilGrids 2.0",
    "soilgrids_2017": "SoilGrids 2017",
    "wise30sec": "WISE30sec",
    "hwsd": "HWSD 1.2",
}


def reference_stocks(grid: Any) -> dict[str, dict[Interval, NDArray]]:
    """Reference maps of a grid: name -> depth interval in m -> (n_cells,) kg C m-2, as published, nothing resampled.

    Variables are named `ref_<map>_soc_<upper>_<lower>cm_kg_m2`, as in a half-degree table, or `ref_<map>_<lower>cm`, as
    the readers of published maps name them.
    """
    found: dict[str, dict[Interval, NDArray]] = {}
    for column in _columns(grid):
        named = _named(column)
        if named is not None:
            name, interval = named
            found.setdefault(name, {})[interval] = np.asarray(grid[column], float)
    return {name: dict(sorted(found[name].items())) for name in found}


def unread_references(grid: Any) -> list[str]:
    """Variables `ref_*` of a grid whose names do not tell a depth interval: no figure or table has them."""
    return [column for column in _columns(grid) if _named(column) is None]


def _columns(grid: Any) -> list[str]:
    return [name for name in map(str, getattr(grid, "data_vars", grid)) if name.startswith("ref_")]


def _named(column: str) -> tuple[str, Interval] | None:
    for key, name in _READ.items():
        match = re.fullmatch(rf"ref_{key}_(\d+)cm", column)
        if match:
            return name, (0.0, int(match[1]) / 100)
    # The name of a map may hold numbers of its own, so the two depths are the last ones.
    match = re.fullmatch(r"ref_(\w+?)(?:_soc)?_(\d+)_(\d+)cm(?:_kg_m2)?", column)
    if match is None or int(match[2]) >= int(match[3]):
        return None
    return match[1].upper(), (int(match[2]) / 100, int(match[3]) / 100)
