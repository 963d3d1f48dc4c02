"""Fig. 4: how much carbon the continent's soils hold by each method, beside the published numbers.

Totals go from a few Pg to more than five hundred, and so do their intervals: on a logarithmic axis of points and lines
the least can be read as well as the greatest. Bars would have to begin at zero, which such an axis does not have.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from proda.figures.captions import captioned
from proda.figures.style import INK, METHOD_COLOUR, METHOD_LABEL, label_plainly
from proda.model.column import STRATA, interval_name

COVERS_THE_LAND = 0.98
PUBLISHED = "#8a8a8a"
LEAST = 1.0  # Pg C, where the axis may begin at the latest
CAPTION = (
    "Figure 4. Soil organic carbon of the continent in three depth intervals, on a logarithmic axis: filled points are "
    "of this study, open grey ones published by Tao et al. (2020), lines span 5 to 95 % of the totals; the same "
    "numbers stand at the right. Compare a filled point with the open one below it, and see how the methods part with "
    "depth."
)


def stocks_shown(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the stock table that stand for the continent: published, or with a value on nearly all land."""
    strata = table["interval"].isin([interval_name(stratum) for stratum in STRATA])
    return table[strata & ((table["source"] == "published") | (table["land_share"] >= COVERS_THE_LAND))]


def axis_of(shown: pd.DataFrame) -> tuple[float, float]:
    """Ends of the logarithmic axis, Pg C: around all points and lines, from `LEAST` or a positive value below."""
    numbers = shown[["stock_pg", "p05_pg", "p95_pg"]].to_numpy(float)
    known = numbers[np.isfinite(numbers) & (numbers > 0)]
    return min(LEAST, 0.8 * known.min(initial=LEAST)), 1.25 * known.max(initial=10.0 * LEAST)


def stock_points(table: pd.DataFrame, interval: str, ax: Axes) -> Axes:
    """Points of one depth interval, ours above the published, with 5-95 % where there are draws, and their numbers.

    Parameters
    ----------
    table : pandas.DataFrame
        From `proda.maps.stocks.stock_table`: source, method, interval, stock_pg, p05_pg, p95_pg.
    interval : str
        Such as "30-100 cm".
    """
    shown = stocks_shown(table)
    low, high = axis_of(shown)
    names = list(dict.fromkeys(shown["method"]))
    is_published = shown["source"] == "published"
    both = set(shown.loc[is_published, "method"]) & set(shown.loc[~is_published, "method"])
    for row in shown[shown["interval"] == interval].itertuples():
        published = row.source == "published"
        y = names.index(row.method) + (0.22 if published else -0.22) * (row.method in both)
        colour = PUBLISHED if published else METHOD_COLOUR.get(row.method, METHOD_COLOUR["reference"])
        if np.isfinite(row.p95_pg):
            ax.plot([max(row.p05_pg, low), row.p95_pg], [y, y], color=colour, lw=1.8, solid_capstyle="butt", zorder=2)
        ax.plot(row.stock_pg, y, "o", ms=5.5, color=colour, mfc="white" if published else colour, mew=1.3, zorder=3)
        ax.text(
            1.03, y, number_text(row), transform=ax.get_yaxis_transform(), va="center", fontsize=8,
            color="#6a6a6a" if published else INK,
        )  # fmt: skip
    for k in range(1, len(names)):
        ax.axhline(k - 0.5, color="#ededed", lw=0.8, zorder=0)
    ax.set_yticks(range(len(names)), [METHOD_LABEL.get(name, name) for name in names])
    ax.set(xscale="log", xlim=(low, high), ylim=(len(names) - 0.5, -0.5), xlabel="Pg C")
    ax.set_title(interval)
    label_plainly(ax.xaxis)
    ax.set_xticks([tick for tick in (0.1, 1, 10, 100, 1000) if low <= tick <= high])
    ax.grid(axis="x", color="#e5e5e5", lw=0.6)
    ax.tick_params(axis="y", length=0)
    return ax


def number_text(row) -> str:
    """The total of a row of the stock table with its interval in brackets, Pg C: "77 (49-112)".

    Ours have a decimal below 10, published ones the digits of the paper.
    """
    fine = row.source != "published"
    values = (row.stock_pg, row.p05_pg, row.p95_pg)
    digits = [f"{value:.1f}" if fine and value < 9.95 else f"{value:.0f}" for value in values]
    return f"{digits[0]} ({digits[1]}\u2013{digits[2]})" if np.isfinite(row.p95_pg) else digits[0]


def stock_figure(table: pd.DataFrame, figure: Figure | None = None) -> Figure:
    """Points of the three depth intervals side by side, with shared axes."""
    n_names = stocks_shown(table)["method"].nunique()
    figure = figure if figure is not None else plt.figure(figsize=(8.4, 0.42 * n_names + 1.5))
    axes = figure.subplots(1, len(STRATA), sharex=True, sharey=True)
    for ax, interval in zip(axes, STRATA, strict=True):
        stock_points(table, interval_name(interval), ax)
    colour = METHOD_COLOUR["network"]
    point = {"marker": "o", "ls": "", "ms": 5.5, "mew": 1.3}
    marks = {
        "this study (a colour for each method)": Line2D([], [], color=colour, **point),
        "reference map": Line2D([], [], color=METHOD_COLOUR["reference"], **point),
        "published (Tao et al. 2020)": Line2D([], [], color=PUBLISHED, mfc="white", **point),
        "5-95 % of totals, in brackets": Line2D([], [], color=INK, lw=1.8),
    }
    if "reference map" not in set(stocks_shown(table)["source"]):
        del marks["reference map"]
    figure.legend(marks.values(), marks, loc="outside lower center", ncols=len(marks), fontsize=8.5)
    return captioned(figure, CAPTION)
