"""Fig. 4: how much carbon the continent's soils hold by each method, beside the published numbers."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from proda.figures.style import INK, METHOD_COLOUR, METHOD_LABEL
from proda.model.column import STRATA, interval_name

COVERS_THE_LAND = 0.98
PUBLISHED = "#bdbdbd"


def stocks_shown(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the stock table that stand for the continent: published, or with a value on nearly all land."""
    strata = table["interval"].isin([interval_name(stratum) for stratum in STRATA])
    return table[strata & ((table["source"] == "published") | (table["land_share"] >= COVERS_THE_LAND))]


def reach_of(shown: pd.DataFrame) -> float:
    """End of the axis, Pg C: room for all bars and lines but the published default, which would dwarf the others."""
    others = shown[(shown["source"] != "published") | (shown["method"] != "default")]
    return 1.22 * float(others[["stock_pg", "p95_pg"]].max().max())


def stock_bars(table: pd.DataFrame, interval: str, ax: Axes) -> Axes:
    """Bars of one depth interval, ours above the published, with 5-95 % where there are draws.

    Parameters
    ----------
    table : pandas.DataFrame
        From `proda.maps.stocks.stock_table`: source, method, interval, stock_pg, p05_pg, p95_pg.
    interval : str
        Such as "30-100 cm".
    """
    shown = stocks_shown(table)
    reach, names = reach_of(shown), list(dict.fromkeys(shown["method"]))
    is_published = shown["source"] == "published"
    both = set(shown.loc[is_published, "method"]) & set(shown.loc[~is_published, "method"])
    for row in shown[shown["interval"] == interval].itertuples():
        published = row.source == "published"
        y = names.index(row.method) + (0.21 if published else -0.21) * (row.method in both)
        colour = PUBLISHED if published else METHOD_COLOUR.get(row.method, METHOD_COLOUR["reference"])
        ax.barh(y, min(row.stock_pg, reach), 0.38, color=colour)
        if np.isfinite(row.p95_pg):
            ax.plot([row.p05_pg, row.p95_pg], [y, y], color=INK, lw=1.1, solid_capstyle="butt")
        _write_number(ax, row, y, reach, "#777777" if published else INK)
    ax.set_yticks(range(len(names)), [METHOD_LABEL.get(name, name) for name in names])
    ax.set(xlim=(0, 1.1 * reach), ylim=(len(names) - 0.5, -0.5), title=interval, xlabel="Pg C")
    ax.tick_params(axis="y", length=0)
    return ax


def _write_number(ax: Axes, row, y: float, reach: float, colour: str) -> None:
    end, text = max(row.stock_pg, np.nan_to_num(row.p95_pg)), f"{row.stock_pg:.0f}"
    beyond = end > reach
    ax.annotate(
        f"{text} \u25b8" if beyond else text, (min(end, reach), y), xytext=(-3 if beyond else 3, 0), color="k" if beyond
        else colour, textcoords="offset points", va="center", ha="right" if beyond else "left", fontsize=8,
    )  # fmt: skip


def stock_figure(table: pd.DataFrame, figure: Figure | None = None) -> Figure:
    """Bars of the three depth intervals side by side, with shared axes; an arrow marks a bar that goes on."""
    n_names = stocks_shown(table)["method"].nunique()
    figure = figure if figure is not None else plt.figure(figsize=(8, 0.5 * n_names + 1.5))
    axes = figure.subplots(1, len(STRATA), sharex=True, sharey=True)
    for ax, interval in zip(axes, STRATA, strict=True):
        stock_bars(table, interval_name(interval), ax)
    marks = {
        "this study (a colour for each method)": Patch(color=METHOD_COLOUR["network"]),
        "reference map": Patch(color=METHOD_COLOUR["reference"]),
        "published (Tao et al. 2020)": Patch(color=PUBLISHED),
        "5-95 % of totals": plt.Line2D([], [], color=INK, lw=1.1),
    }
    if "reference map" not in set(stocks_shown(table)["source"]):
        del marks["reference map"]
    figure.legend(marks.values(), marks, loc="outside lower center", ncols=len(marks), fontsize=8.5)
    return figure
