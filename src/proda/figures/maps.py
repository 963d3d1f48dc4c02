"""Maps of soil carbon (Fig. 3), their uncertainty (Fig. S4), differences from published maps, biases, projections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from proda.figures import style
from proda.figures.style import CYCLE, INK, METHOD_COLOUR, METHOD_LABEL, map_axes, method_label
from proda.maps.regions import CLASSES, HIGH
from proda.maps.stocks import MAP_INTERVALS, land_area, reference_stocks, stock_in, weighted_scores
from proda.model.configuration import interval_name

STIPPLED = "dotted: a covariate outside the range of the training sites"


# Two lines at most: a row of Fig. 3 is an inch high.
ROW_LABEL = METHOD_LABEL | {"site-by-site": "Observations\n(site-by-site)"}


def mapped_stocks(maps, grid) -> dict[str, NDArray]:
    """Rows of Fig. 3, from the observations down: name -> (3, n_cells), kg C m-2, NaN where missing.

    A reference is shown in the intervals that it has itself and is all NaN in the others: nothing is resampled.
    """
    mean = maps["stock"].sel(statistic="mean").transpose("parameterisation", "depth", "cell")
    ours = {str(name): mean.sel(parameterisation=name).values for name in mean["parameterisation"].values}
    missing = np.full(grid.sizes["cell"], np.nan)
    references = {
        f"{name} (reference)": np.stack([reference.get(interval, missing) for interval in MAP_INTERVALS])
        for name, reference in reference_stocks(grid).items()
    }
    first = {name: ours[name] for name in ("truth", "site-by-site") if name in ours}
    return first | references | ours


def stock_maps(stocks: dict[str, NDArray], grid) -> Figure:
    """Small maps of `mapped_stocks`, one row a method and one column a depth interval, on one scale."""
    figure = plt.figure(figsize=(8, 1.72 * len(stocks) + 0.9), layout="constrained")
    places = figure.add_gridspec(len(stocks), len(MAP_INTERVALS))
    axes = np.empty((len(stocks), len(MAP_INTERVALS)), dtype=object)
    for row, (name, values) in enumerate(stocks.items()):
        for column, interval in enumerate(MAP_INTERVALS):
            axes[row, column] = ax = map_axes(grid, figure, places[row, column])
            if np.isfinite(values[column]).any():
                shown = style.draw_cells(values[column], grid, ax, "soc_stock")
            else:
                ax.text(
                    0.5, 0.5, "no map of\nthis interval", transform=ax.transAxes, ha="center", va="center", fontsize=8,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 3}, zorder=4,
                )  # fmt: skip
            if row == 0:
                ax.set_title(interval_name(interval))
        axes[row, 0].text(
            -0.03, 0.5, ROW_LABEL.get(name, name).replace(" (", "\n("), transform=axes[row, 0].transAxes,
            rotation=90, ha="right", va="center", fontsize=9,
        )  # fmt: skip
    bar = style.colour_bar(shown, axes.ravel().tolist(), orientation="horizontal", shrink=0.8, aspect=50, pad=0.01)
    gaps = [np.isfinite(values) for stock in stocks.values() for values in stock]
    if any(known.any() and not known.all() for known in gaps):
        bar.ax.legend(handles=[style.missing_patch()], loc="lower right", bbox_to_anchor=(1.0, -4.2), fontsize=8.5)
    return figure


def stock_map(values, grid, title: str, extrapolated) -> Figure:
    """One map of stocks (n_cells,), kg C m-2, with dots in cells where `extrapolated` (n_cells,) is above 0."""
    figure = plt.figure(figsize=(8, 5.4), layout="constrained")
    ax = map_axes(grid, figure)
    ax.set_title(title, loc="left")
    style.colour_bar(style.draw_cells(values, grid, ax, "soc_stock"), ax, orientation="horizontal", aspect=45)
    beyond = np.asarray(extrapolated) > 0
    if beyond.any():
        points = ax.project(*(np.asarray(grid[name], float)[beyond] for name in ("lon", "lat")))
        ax.stippled = ax.scatter(*points, s=2.0, c="black", linewidths=0, zorder=2.8)
        dots = Line2D([], [], marker=".", ls="", ms=4, c="black", label=STIPPLED)
        ax.legend(handles=[dots], loc="lower left", fontsize=8.5, handletextpad=0.2, borderaxespad=0.0)
    return figure


def widths_by_method(maps: xr.Dataset) -> dict[str, NDArray[np.float64]]:
    """Width of the 5-95 % interval of the stock to 1 m over its mean, label of a method with draws -> (n_cells,) %."""
    stock = maps["stock"].isel(depth=MAP_INTERVALS.index((0.0, 1.0)))
    widths = 100.0 * (stock.sel(statistic="p95") - stock.sel(statistic="p05")) / stock.sel(statistic="mean")
    widths = widths.dropna("parameterisation", how="all")
    return {method_label(width["parameterisation"].item()): width.values for width in widths}


def width_figure(widths: Mapping[str, NDArray], grid: xr.Dataset) -> Figure:
    """Maps of `widths_by_method` side by side on one logarithmic scale, with their histograms below."""
    every = np.concatenate([width[np.isfinite(width)] for width in widths.values()])
    low, high = max(np.quantile(every, 0.005), 1e-3), np.quantile(every, 0.995)
    norm = LogNorm(low, max(high, 1.01 * low))
    figure = plt.figure(figsize=(8.4, 4.3), layout="constrained")
    places = figure.add_gridspec(2, len(widths), height_ratios=(2.4, 1))
    axes, below = [], None
    for column, (name, width) in enumerate(widths.items()):
        axes.append(map_axes(grid, figure, places[0, column]))
        axes[-1].set_title(name)
        shown = style.draw_cells(width, grid, axes[-1], style.Quantity("", "viridis", norm))
        below = figure.add_subplot(places[1, column], sharex=below)
        finite = width[np.isfinite(width)]
        below.hist(finite, bins=np.geomspace(low, high, 60), color=CYCLE[0])
        below.set(xscale="log", xlabel="Width over the mean (%)")
        style.label_plainly(below.xaxis, finely=norm.vmax < 4 * norm.vmin)
        below.axvline(np.median(finite), color=CYCLE[1], lw=1.2, label=f"median {np.median(finite):.0f} %")
        below.legend(fontsize=8.5)
        if column == 0:
            below.set_ylabel("Cells")
    bar = style.colour_bar(shown, axes, "Width over the mean (%)", extend="both", aspect=18)
    style.label_plainly(bar.ax.yaxis, finely=norm.vmax < 10 * norm.vmin)
    return figure


def reference_bias_maps(maps: xr.Dataset, grid: xr.Dataset, methods: Sequence[str]) -> Figure:
    """Maps of our stock to 1 m minus a reference's, by method and reference, on one scale centred at zero.

    The scale ends where 95 % of all differences lie; r is weighted by land.
    """
    interval = (0.0, 1.0)
    area, ours = land_area(grid), stock_in(maps, interval)
    ours = {method: ours.sel(parameterisation=method).values for method in methods}
    references = {name: stocks[interval] for name, stocks in reference_stocks(grid).items() if interval in stocks}
    biases = {(m, name): ours[m] - stock for m in methods for name, stock in references.items()}
    every = np.concatenate([np.abs(values[np.isfinite(values)]) for values in biases.values()])
    end = float(np.quantile(every, 0.95)) if every.size else 1.0
    n = max(len(references), 2)
    rows = -(-len(biases) // n)
    figure = plt.figure(figsize=(3.4 * n + 0.4, 2.4 * rows + 0.8), layout="constrained")
    axes = []
    for k, ((method, name), values) in enumerate(biases.items(), start=1):
        axes.append(map_axes(grid, figure, (rows, n, k)))
        shown = style.draw_cells(values, grid, axes[-1], "difference", limits=(-end, end))
        score = weighted_scores(references[name], ours[method], area)
        axes[-1].set_title(
            f"{method_label(method)} minus {name}\nr {score['r']:.2f}, bias {score['bias']:+.1f} kg C m$^{{-2}}$",
            fontsize=9,
        )
    label = f"Ours minus reference, {interval_name(interval)} (kg C m$^{{-2}}$)"
    bar = style.colour_bar(shown, axes, label, orientation="horizontal", extend="both", shrink=0.7, aspect=40)
    if not all(np.isfinite(values).all() for values in biases.values()):
        bar.ax.legend(handles=[style.missing_patch()], loc="center left", bbox_to_anchor=(1.05, 0.5), fontsize=8.5)
    return figure


def regional_bias_figure(table: pd.DataFrame) -> Figure:
    """Mean biases of `proda.maps.regions.regional_biases`, with two standard errors, methods side by side.

    Triangles are the published sign, filled where ours is the same; sites in brackets.
    """
    methods = list(dict.fromkeys(table.index.get_level_values("method")))
    figure = plt.figure(figsize=(9, 1.3 + 0.29 * len(table) / len(methods)), layout="constrained")
    axes = figure.subplots(1, len(methods), sharex=True, sharey=True, squeeze=False)[0]
    for method, ax in zip(methods, axes, strict=True):
        rows = table.xs(method, level="method").fillna({"bias_agrees": False})
        place = np.arange(len(rows))
        colour = style.METHOD_COLOUR.get(method, INK)
        ax.axvline(0.0, color=INK, lw=0.8)
        for y in (0.5, len(rows) - len(CLASSES) - 0.5):
            ax.axhline(y, color="#c4c4c4", lw=0.8)
        ax.errorbar(rows["bias"], place, xerr=2 * rows["se"], fmt="o", ms=4.5, color=colour, lw=1.2, zorder=3)
        for y, row in zip(place, rows.itertuples(), strict=True):
            if row.published:
                marker = ">" if row.published == HIGH else "<"
                fill = INK if row.bias_agrees else "white"
                ax.plot(0.95, y, marker, transform=ax.get_yaxis_transform(), ms=6.5, mec=INK, mfc=fill, zorder=4)
        ax.set_title(method_label(method), fontsize=9.5)
        ax.set(ylim=(len(rows) - 0.5, -0.5))
        ax.set_yticks(place, [f"{name} ({n:,})" for name, n in zip(rows.index, rows["n_sites"], strict=True)])
        ax.tick_params(axis="y", length=0)
    # Room for the triangles beside the farthest bar.
    end = 1.3 * float((table["bias"].abs() + 2 * table["se"].fillna(0.0)).max())
    axes[0].set_xlim(-end, end)
    axes[0].xaxis.set_major_locator(MaxNLocator(3, symmetric=True))
    figure.supxlabel(
        "Modelled minus observed stock of the profiles, mean and two standard errors (kg C m$^{-2}$)", fontsize=9.5
    )
    marks = {
        "published sign, as here": plt.Line2D([], [], marker=">", ls="", mfc=INK, mec=INK, ms=7),
        "published sign, not as here": plt.Line2D([], [], marker=">", ls="", mfc="white", mec=INK, ms=7),
    }
    if (table["published"] != "").any():
        figure.legend(marks.values(), marks, loc="outside upper center", ncols=2, fontsize=8.5)
    return figure


def change_maps(change: xr.DataArray, grid: xr.Dataset, pathways: Sequence[str]) -> Figure:
    """Maps of the mean change in the last year (kg C m-2), a row a method and a column a pathway, on one scale.

    `change` is that of `proda.maps.projections.Responses`. The scale ends where 95 % of all changes lie.
    """
    last = change.isel(map_year=-1).sel(statistic="mean")
    methods = list(map(str, last["parameterisation"].values))
    shown = last.sel(pathway=list(pathways)).values
    end = float(np.nanquantile(np.abs(shown), 0.95)) or 1.0
    figure = plt.figure(figsize=(8, 2.0 * len(methods) + 0.8), layout="constrained")
    places, axes = figure.add_gridspec(len(methods), len(pathways)), []
    for row, method in enumerate(methods):
        for column, pathway in enumerate(pathways):
            axes.append(ax := map_axes(grid, figure, places[row, column]))
            values = last.sel(parameterisation=method, pathway=pathway).values
            drawn = style.draw_cells(values, grid, ax, "difference", limits=(-end, end))
            if row == 0:
                ax.set_title(pathway)
            if column == 0:
                label = {"rotation": 90, "ha": "right", "va": "center", "fontsize": 9}
                ax.text(-0.03, 0.5, method_label(method), transform=ax.transAxes, **label)
    text = f"Change of carbon to 1 m since {int(change['map_year'][0])} (kg C m$^{{-2}}$)"
    style.colour_bar(drawn, axes, text, orientation="horizontal", extend="both", shrink=0.7, aspect=40)
    return figure


def response_figure(series: pd.DataFrame) -> Figure:
    """Change of the land's carbon to 1 m by pathway, lines by parameterisation; bands span 5-95 % of the draws.

    `series` is that of `proda.maps.response_series`.
    """
    pathways = list(dict.fromkeys(series["pathway"]))
    rows = -(-len(pathways) // 4)
    figure, axes = plt.subplots(
        rows, min(len(pathways), 4), figsize=(9, 2.6 * rows + 0.5), sharex=True, sharey=True, squeeze=False
    )
    for ax, pathway in zip(axes.ravel(), pathways, strict=False):
        for method, line in series[series["pathway"] == pathway].groupby("parameterisation", sort=False):
            colour = METHOD_COLOUR[method]
            ax.fill_between(line["year"], line["p05"], line["p95"], color=colour, alpha=0.25, lw=0)
            dashes = "--" if method == "truth" else "-"
            ax.plot(line["year"], line["change"], dashes, color=colour, lw=1.6, label=method_label(method))
        ax.axhline(0.0, color=INK, lw=0.7)
        ax.set_title(pathway, fontsize=9.5)
        ax.xaxis.set_major_locator(plt.MaxNLocator(3, integer=True))
    for ax in axes.ravel()[len(pathways) :]:
        ax.set_visible(False)
    for ax in axes[:, 0]:
        ax.set_ylabel("Change (Pg C)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


def spread_figure(shares: pd.DataFrame) -> Figure:
    """Standard deviation of the change in the last year by pathway: between methods, and over a method's draws."""
    shares = shares[shares["share_of_parameters"].notna()]
    place = np.arange(len(shares))
    figure, ax = plt.subplots(figsize=(7, 0.42 * len(shares) + 1.2))
    ax.barh(place - 0.2, shares["between_methods"], 0.38, color=CYCLE[0], label="between methods")
    ax.barh(place + 0.2, shares["of_parameters"], 0.38, color=CYCLE[4], label="draws of one method")
    for y, row in zip(place, shares.itertuples(), strict=True):
        end = max(row.between_methods, row.of_parameters)
        text = f"{100 * row.share_of_parameters:.0f} % parameters"
        ax.annotate(text, (end, y), (5, 0), textcoords="offset points", va="center", fontsize=8.5)
    ax.set_yticks(place, shares.index)
    ax.invert_yaxis()
    ax.set(xlabel="Standard deviation of the change (Pg C)", xlim=(0, 1.25 * ax.get_xlim()[1]))
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure
