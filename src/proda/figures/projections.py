"""Figures of the projections: maps of the change, its course by pathway, and where its spread comes from."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from proda.figures import style
from proda.figures.style import CYCLE, INK, METHOD_COLOUR, map_axes, method_label


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
