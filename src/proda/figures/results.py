"""Figures of results: agreement with the profiles (Fig. 2), stocks (Fig. 4), profiles by vegetation (Fig. 5)."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from proda.data.region import is_conterminous
from proda.figures import style
from proda.figures.style import INK, METHOD_COLOUR, method_label
from proda.learning.scores import scores
from proda.maps.regions import CLASSES, stock_differences, vegetation_class
from proda.maps.scores import PUBLISHED_SCORES, row_name
from proda.model.configuration import STRATA, interval_name

# r2 and RMSE (kg C m-3) of Table 1 of the paper.
PUBLISHED_FIT = {row_name(*key): (r2, rmse) for key, (r2, _, rmse) in PUBLISHED_SCORES.items()}
DENSITY_LIMITS = (0.1, 300.0)  # kg C m-3
PUBLISHED = "#8a8a8a"
DEPTH_EDGES = np.array([0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0])  # m
LEAST_LAYERS = 5


def density_scatter(observed: ArrayLike, modelled: ArrayLike, ax: Axes, published: tuple | None = None) -> Axes:
    """Modelled against observed SOC of all layers, kg C m-3, on log axes, as counts in hexagons, with scores.

    Values beyond the axes are drawn at their ends. `published` is r2 and RMSE (kg C m-3) of the paper.
    """
    low, high = np.log10(DENSITY_LIMITS)
    ends = DENSITY_LIMITS[0] * 1.01, DENSITY_LIMITS[1] * 0.99
    ax.counts = ax.hexbin(
        np.clip(observed, *ends), np.clip(modelled, *ends), xscale="log", yscale="log", gridsize=40, mincnt=1,
        extent=(low, high, low, high), cmap=plt.get_cmap("viridis_r", 24), norm=LogNorm(1), linewidths=0.1,
    )  # fmt: skip
    ax.plot(DENSITY_LIMITS, DENSITY_LIMITS, color=INK, lw=0.8, ls="--")
    score = scores(observed, modelled)
    text = f"$r^2$ {score['r2']:.2f}   RMSE {score['rmse']:.1f}   bias {score['bias']:+.1f} kg C m$^{{-3}}$"
    if published is not None:
        text += f"\npublished: $r^2$ {published[0]:.2f}   RMSE {published[1]:.2f}"
    ax.set_title(text, loc="right", fontsize=8)
    ax.set(xlim=DENSITY_LIMITS, ylim=DENSITY_LIMITS, aspect="equal")
    ticks = [0.1, 1, 10, 100]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    return ax


def agreement_figure(
    layers: pd.DataFrame, modelled: dict[str, ArrayLike], sites: pd.DataFrame, published: dict = PUBLISHED_FIT
) -> Figure:
    """One row a method: map of its stock differences at the sites, and its SOC against the observed at all layers.

    The maps share one scale, symmetric about zero and to the 2 and 98 % quantiles of all differences.
    `modelled` is method -> (n_layers,) g C m-3 at the observed `layers`; NaN leaves a layer out. `published` are
    scores of the paper, by method, shown in its region alone.
    """
    observed = layers["soc"].to_numpy(float)
    published = published if is_conterminous(sites["lon"], sites["lat"]) else {}
    figure = plt.figure(figsize=(8, 2.5 * len(modelled) + 1.0), layout="constrained")
    places = figure.add_gridspec(len(modelled), 2, width_ratios=(1.6, 1))
    differences = {name: stock_differences(layers, soc, len(sites)) for name, soc in modelled.items()}
    quantity = style.scale_of("difference", np.concatenate(list(differences.values())))
    left, right = [], []
    for row, (name, soc) in enumerate(modelled.items()):
        left.append(style.map_axes(sites, figure, places[row, 0]))
        left[-1].differences = style.draw_sites(differences[name], sites, left[-1], quantity, on_top="any")
        left[-1].set_title(method_label(name), loc="left", fontweight="bold")
        finite = np.isfinite(soc)
        right.append(figure.add_subplot(places[row, 1], sharex=right[0] if right else None))
        density_scatter(observed[finite] / 1e3, np.asarray(soc)[finite] / 1e3, right[-1], published=published.get(name))
        right[-1].set_ylabel("Modelled (kg C m$^{-3}$)")
        right[-1].tick_params(labelbottom=name == list(modelled)[-1])
    style.colour_bar(left[-1].differences, left[-1], orientation="horizontal", extend="both", aspect=34)
    most = max(ax.counts.get_array().max() for ax in right)
    for ax in right:
        ax.counts.set_norm(LogNorm(1, most))
    right[-1].set_xlabel("Observed (kg C m$^{-3}$)")
    bar = style.colour_bar(
        right[-1].counts, right[-1], "Layers in a hexagon", orientation="horizontal", shrink=0.85, aspect=20
    )
    style.label_plainly(bar.ax.xaxis)
    bar.set_ticks([tick for tick in (1, 10, 100, 1000, 10000) if tick <= most])
    return figure


def stocks_shown(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the stock table for the whole continent: published, or with a value on at least 98 % of the land."""
    strata = table["interval"].isin([interval_name(stratum) for stratum in STRATA])
    return table[strata & ((table["source"] == "published") | (table["land_share"] >= 0.98))]


def stock_points(table: pd.DataFrame, interval: str, ax: Axes) -> Axes:
    """Points of one depth interval, ours above the published, with 5-95 % where there are draws, and their numbers."""
    shown = stocks_shown(table)
    numbers = shown[["stock_pg", "p05_pg", "p95_pg"]].to_numpy(float)
    positive = numbers[np.isfinite(numbers) & (numbers > 0)]
    low, high = min(1.0, 0.8 * positive.min(initial=1.0)), 1.25 * positive.max(initial=10.0)
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
    ax.set_yticks(range(len(names)), [method_label(name) for name in names])
    ax.set(xscale="log", xlim=(low, high), ylim=(len(names) - 0.5, -0.5), xlabel="Pg C")
    ax.set_title(interval)
    style.label_plainly(ax.xaxis)
    ax.set_xticks([tick for tick in (0.1, 1, 10, 100, 1000) if low <= tick <= high])
    ax.grid(axis="x", color="#e5e5e5", lw=0.6)
    ax.tick_params(axis="y", length=0)
    return ax


def number_text(row) -> str:
    """The total of a row of the stock table with its interval, Pg C: "77 (49-112)"; ours have a decimal below 10."""
    fine = row.source != "published"
    values = (row.stock_pg, row.p05_pg, row.p95_pg)
    digits = [f"{value:.1f}" if fine and value < 9.95 else f"{value:.0f}" for value in values]
    return f"{digits[0]} ({digits[1]}\u2013{digits[2]})" if np.isfinite(row.p95_pg) else digits[0]


def stock_figure(table: pd.DataFrame) -> Figure:
    """Totals of `proda.maps.stocks.stock_table` in the three depth intervals side by side, with shared axes."""
    n_names = stocks_shown(table)["method"].nunique()
    figure = plt.figure(figsize=(8.4, 0.42 * n_names + 1.5), layout="constrained")
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
    return figure


def mean_by_depth(depth: ArrayLike, soc: ArrayLike) -> pd.DataFrame:
    """Mean SOC of the layers in each depth interval: depth (m, mean of the layers), soc, n; thin intervals left out."""
    layers = pd.DataFrame({"depth": np.asarray(depth, float), "soc": np.asarray(soc, float)})
    interval = np.digitize(layers["depth"], DEPTH_EDGES)
    groups = layers[interval < DEPTH_EDGES.size].groupby(interval[interval < DEPTH_EDGES.size])
    means = groups.mean().assign(n=groups.size())
    return means[means["n"] >= LEAST_LAYERS]


def land_cover_figure(layers: pd.DataFrame, modelled: dict[str, ArrayLike], sites: pd.DataFrame) -> Figure:
    """Mean SOC against depth by vegetation class, observed and by method, of the layers that no method lacks."""
    figure = plt.figure(figsize=(8, 6.2), layout="constrained")
    axes = figure.subplots(2, 4, sharex=True, sharey=True)
    vegetation = vegetation_class(sites)[layers["site"].to_numpy()]
    soc = {"observed": layers["soc"].to_numpy(float)} | {name: np.asarray(v, float) for name, v in modelled.items()}
    complete = np.all([np.isfinite(values) for values in soc.values()], axis=0)
    for ax, name in zip(axes.ravel(), CLASSES, strict=True):
        chosen = complete & (vegetation == name)
        for method, values in soc.items():
            mean = mean_by_depth(layers["depth"].to_numpy()[chosen], values[chosen] / 1e3)
            look = {"marker": "o", "ms": 4, "ls": "none", "zorder": 5} if method == "observed" else {"lw": 1.6}
            ax.plot(mean["soc"], mean["depth"], color=METHOD_COLOUR.get(method), label=method_label(method), **look)
        ax.set(xscale="log", ylim=(2.0, 0.0), yticks=[0, 0.5, 1, 1.5, 2])
        n_sites = layers["site"].to_numpy()[chosen]
        ax.set_title(f"{name}\n{np.unique(n_sites).size:,} sites", fontsize=9.5)
        ax.grid(axis="x", color="#e5e5e5", lw=0.6)
        if not chosen.any():
            ax.text(0.5, 0.5, "no sites here", transform=ax.transAxes, ha="center", color="#777777")
    low, high = axes[0, 0].get_xlim()
    ticks = [tick for tick in (0.3, 1, 3, 10, 30, 100, 300) if low <= tick <= high]
    axes[0, 0].set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes[0, 0].minorticks_off()
    figure.supxlabel("Soil organic carbon (kg C m$^{-3}$)", fontsize=9.5)
    figure.supylabel("Depth (m)", fontsize=9.5)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 4), fontsize=8.5)
    return figure
