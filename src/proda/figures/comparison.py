"""Figures of the comparison: what every method scores on what it has not seen, and how far land lies from profiles."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm
from numpy.typing import ArrayLike

from proda.figures.quantities import Quantity
from proda.figures.style import INK, draw_cells
from proda.learning.folds import BLOCKS, RANDOM

COLOUR = {RANDOM: "#0072B2", BLOCKS: "#D55E00"}
LOWEST = -0.5
_DISTANCES = [0, 10, 25, 50, 75, 100, 150, 200, 300, 500]


def method_scores(table: pd.DataFrame, ax: Axes, score: str = "efficiency") -> Axes:
    """Score of every method at its training sites, at withheld random sites and on withheld blocks, the best on top.

    Parameters
    ----------
    table : DataFrame
        From `proda.learning.comparison.comparison_table`.
    score : "efficiency" or "r2"
        A score below -0.5 stands at the left edge as an arrow, with its value.
    """
    wide = table.set_index(["method", "kind"])[[score, f"train_{score}"]].unstack("kind")  # noqa: PD010
    wide = wide.sort_values((score, BLOCKS))
    rows = np.arange(len(wide))
    training = wide[f"train_{score}"].mean(axis=1).to_numpy()
    ax.plot(np.clip(training, LOWEST, None), rows, "|", color=INK, markersize=9, label="training sites")
    for kind, marker in ((RANDOM, "o"), (BLOCKS, "D")):
        values = wide[score, kind].to_numpy()
        seen = values >= LOWEST
        ax.plot(values[seen], rows[seen], marker, color=COLOUR[kind], markersize=6, label=f"withheld {kind}")
        ax.plot(np.full((~seen).sum(), LOWEST), rows[~seen], "<", color=COLOUR[kind], markersize=6)
        for row, value in zip(rows[~seen], values[~seen], strict=True):
            up = 0.28 if kind == RANDOM else -0.28
            ax.annotate(f"{value:.1f}", (LOWEST, row + up), xytext=(6, 0), textcoords="offset points", fontsize=7.5,
                        va="center", color=COLOUR[kind])  # fmt: skip
    ax.axvline(0.0, color=INK, linewidth=0.6)
    ax.set_yticks(rows, wide.index, fontsize=8.5)
    ax.grid(axis="y", linewidth=0.3)
    name = "1:1 efficiency (skill against the mean)" if score == "efficiency" else "$r^2$"
    ax.set(xlabel=f"{name} of SOC at all layers", xlim=(LOWEST - 0.04, 1.0), ylim=(-0.7, len(wide) - 0.3))
    ax.legend(loc="lower right")
    return ax


def distance_map(kilometres: ArrayLike, grid: xr.Dataset | pd.DataFrame, ax: Axes) -> ScalarMappable:
    """Distance of every cell to the nearest training site, km.

    Parameters
    ----------
    kilometres : (n_cells,)
        From `proda.learning.folds.kilometres_to_nearest`.
    grid : Dataset
        `lon`, `lat` of the cells.
    ax : Axes
        From `proda.figures.style.map_axes`.
    """
    classes = BoundaryNorm(_DISTANCES, 256, extend="max")
    return draw_cells(
        kilometres, grid, ax, Quantity("Distance to the nearest training site (km)", "cividis_r", classes)
    )
