"""Figures of what a network leans on, and of how its parameters answer to a covariate."""

from __future__ import annotations

from itertools import product
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from proda.data.covariate_lists import LISTS
from proda.data.land_use import LAND_USE
from proda.errors import InputError
from proda.figures.style import INK, METHOD_COLOUR, colour_bar
from proda.learning.covariate_groups import codes_of, is_class
from proda.model.parameters import PAPER_PARAMETERS

NETWORK, TRUTH = METHOD_COLOUR["network"], METHOD_COLOUR["truth"]
LEAST_SPAN = 0.02  # of the unit cube: below this a curve is flat, and is to look so
_LISTED = {row.name: row for rows in (*LISTS.values(), (LAND_USE,)) for row in rows}


def importance_bars(table: pd.DataFrame, ax: Axes) -> Axes:
    """Increase of the mean squared error of SOC by group, the most important on top; the loss of efficiency above.

    Parameters
    ----------
    table : DataFrame
        From `proda.learning.explanation.group_importance`. Lines reach one sd over the repeats to both sides.
    """
    table = table.sort_values("mse_increase", ignore_index=True, kind="stable")
    rows = np.arange(len(table))
    ax.barh(rows, table["mse_increase"], color=NETWORK, height=0.7)
    spread = table["mse_increase_sd"].fillna(0.0)
    ax.hlines(rows, table["mse_increase"] - spread, table["mse_increase"] + spread, color=INK, linewidth=1.2)
    ax.axvline(0.0, color=INK, linewidth=0.6)
    counts = table["n_covariates"].astype(str)
    ax.set_yticks(rows, table["group"] + " (" + counts + ")")
    ax.set(
        xlabel="Increase of the mean squared error ((kg C m$^{-3}$)$^2$)",
        ylabel="Group, number of covariates",
        ylim=(-0.6, len(table) - 0.4),
    )
    # One is the other over the variance of the observed layers: the same bars, read on a second scale.
    greatest = table["mse_increase"].abs().idxmax()
    factor = table["efficiency_loss"][greatest] / table["mse_increase"][greatest]
    if np.isfinite(factor) and factor > 0.0:
        above = ax.secondary_xaxis("top", functions=(lambda x: x * factor, lambda x: x / factor))
        above.set_xlabel("Loss of 1:1 efficiency")
        above.xaxis.set_major_locator(MaxNLocator(6))
    return ax


def parameter_importance_map(table: pd.DataFrame, ax: Axes) -> Axes:
    """Which group decides which parameter: share of the prediction's variance, a row a parameter, a column a group.

    Parameters
    ----------
    table : DataFrame
        From `proda.learning.explanation.parameter_importance`.
    """
    parameters, groups = table["parameter"].unique(), table["group"].unique()
    by_both = table.pivot_table("share", "parameter", "group", dropna=False)
    share = by_both.loc[parameters, groups].to_numpy(float)
    top = min(1.0, np.ceil(10.0 * np.nanmax(share, initial=0.1)) / 10.0)
    ax.share = ax.imshow(share, cmap="cividis", norm=Normalize(0.0, top), aspect="auto")
    for row, column in np.argwhere(np.isfinite(share)):
        value = share[row, column]
        ax.text(
            column,
            row,
            f"{value:.2f}",
            ha="center",
            va="center",
            fontsize=7.5,
            color="k" if value > 0.55 * top else "w",
        )
    ax.set_xticks(np.arange(len(groups)), groups, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(np.arange(len(parameters)), parameters)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    beyond = "max" if np.nanmax(share, initial=0.0) > top else "neither"
    colour_bar(ax.share, ax, "Share of the parameter's variance\nthat the group has a part in", extend=beyond)
    return ax


def dependence_curves(
    table: pd.DataFrame, axes: ArrayLike, sites: pd.DataFrame | None = None, truth: pd.DataFrame | None = None
) -> np.ndarray:
    """Partial dependence in small panels: a row for each parameter, a column for each covariate.

    The line is the mean of the members, the band their 5 to 95 %. Classes are points, with the number of sites. All
    panels span the same part of the unit cube, each parameter about its own level: slopes can be compared everywhere,
    and a covariate without effect looks it.

    Parameters
    ----------
    table : DataFrame
        One or several results of `proda.learning.explanation.partial_dependence`, concatenated.
    axes : array of Axes
        n_parameters x n_covariates of them in reading order, such as those of ``plt.subplots(n_parameters,
        n_covariates, sharey="row", squeeze=False)``. What is left over is hidden.
    sites : DataFrame, optional
        Covariates of the held-out sites, whose deciles are marked on the axis: between marks lies a tenth of the sites.
    truth : DataFrame, optional
        The dependence of the true parameters of a virtual study, at the same values, drawn dashed.
    """
    axes = np.asarray(axes)
    panels = axes.ravel()
    covariates, parameters = table["covariate"].unique(), table["parameter"].unique()
    n_panels = len(covariates) * len(parameters)
    if panels.size < n_panels:
        raise InputError(f"{panels.size} axes for {len(parameters)} parameters x {len(covariates)} covariates.")
    everything = table if truth is None else pd.concat([table, truth])
    limits = _common_span(everything)
    for ax, (parameter, covariate) in zip(panels, product(parameters, covariates), strict=False):
        of_classes = is_class(covariate) or bool(sites is not None and codes_of(map(str, sites), covariate))
        draw = _points if of_classes else _curve
        draw(_rows(table, parameter, covariate), sites, ax)
        if truth is not None:
            known = _rows(truth, parameter, covariate)
            place = np.arange(len(known)) if of_classes else known["value"]
            ax.plot(place, known["mean"], "_" if of_classes else "--", color=TRUTH, linewidth=1.1, label="truth")
        ax.set_ylim(limits[parameter])
        ax.yaxis.set_major_locator(MaxNLocator(4))
        ax.tick_params(labelsize=7.5)
        if len(covariates) == 1:
            ax.set_title(_range(parameter, " "), fontsize=8.5)
        elif covariate == covariates[0]:
            ax.set_ylabel(_range(parameter, "\n"), fontsize=8.5)
        if parameter == parameters[-1] or len(covariates) == 1:
            ax.set_xlabel(_meaning(covariate), fontsize=8)
    _refuse_common_scale(panels[:n_panels], limits)
    for ax in panels[n_panels:]:
        ax.set_visible(False)
    if truth is not None:
        panels[0].legend(fontsize=7.5)
    panels[0].figure.supylabel("Mean prediction over the held-out sites (unit cube)", fontsize=9.5)
    return axes


def _rows(table: pd.DataFrame, parameter: str, covariate: str) -> pd.DataFrame:
    return table[(table["parameter"] == parameter) & (table["covariate"] == covariate)]


def _common_span(table: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Limits of every parameter about the middle of its own curves, all as far apart as the widest needs."""
    by_parameter = table.groupby("parameter")
    low, high = by_parameter["q05"].min(), by_parameter["q95"].max()
    half = 0.58 * max((high - low).max(), LEAST_SPAN)
    return {name: (middle - half, middle + half) for name, middle in (0.5 * (low + high)).items()}


def _refuse_common_scale(panels: np.ndarray, limits: dict[str, tuple[float, float]]) -> None:
    drawn = {ax.get_ylim() for ax in panels}
    if len(drawn) < len(set(limits.values())):
        raise InputError('the axes of several parameters share one y axis: make them with sharey="row", or with '
                         "sharey=False for one covariate.")  # fmt: skip


def _curve(rows: pd.DataFrame, sites: pd.DataFrame | None, ax: Axes) -> None:
    ax.fill_between(rows["value"], rows["q05"], rows["q95"], color=NETWORK, alpha=0.25, linewidth=0)
    ax.plot(rows["value"], rows["mean"], color=NETWORK, linewidth=1.5)
    ax.set_xlim(rows["value"].min(), rows["value"].max())
    ax.xaxis.set_major_locator(MaxNLocator(4))
    if sites is not None:
        deciles = np.quantile(sites[rows["covariate"].iloc[0]].to_numpy(float), np.arange(1, 10) / 10)
        ax.plot(deciles, np.zeros(9), "|", color=INK, markersize=9, transform=ax.get_xaxis_transform())


def _points(rows: pd.DataFrame, sites: pd.DataFrame | None, ax: Axes) -> None:
    codes = rows["value"].astype(int)
    place = np.arange(len(rows))
    ax.vlines(place, rows["q05"], rows["q95"], color=NETWORK, alpha=0.4, linewidth=3)
    ax.plot(place, rows["mean"], "o", color=NETWORK, markersize=4)
    labels = [str(code) for code in codes]
    if sites is not None:
        covariate = rows["covariate"].iloc[0]
        one_hot = codes_of(map(str, sites), covariate)
        is_it = [sites[one_hot[code]] == 1.0 if one_hot else sites[covariate] == code for code in codes]
        labels = [f"{label}\n{int(here.sum())}" for label, here in zip(labels, is_it, strict=True)]
    ax.set_xticks(place, labels)
    ax.set_xlim(-0.6, len(rows) - 0.4)


def _meaning(covariate: str) -> str:
    known = _LISTED.get(covariate)
    if known is None:
        return covariate
    unit = "" if known.kind == "categorical" else " (" + known.unit.replace(" ", "\N{NO-BREAK SPACE}") + ")"
    return f"{covariate}\n{fill(known.meaning + unit, 28, break_on_hyphens=False)}"


def _range(parameter: str, gap: str) -> str:
    row = PAPER_PARAMETERS.rows[PAPER_PARAMETERS.index(parameter)]
    if row.name == "ins":
        return f"ins{gap}(range of the site's NPP)"
    return f"{parameter}{gap}({row.minimum:g} to {row.maximum:g}{'' if row.unit == '1' else ' ' + row.unit})"
