"""Figures of what a network leans on, and of how its parameters answer to a covariate."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from proda.data.covariate_lists import LISTS
from proda.figures.style import INK, METHOD_COLOUR, colour_bar
from proda.learning.covariate_groups import codes_of, is_class
from proda.model.parameters import PAPER_PARAMETERS

NETWORK, GREY = METHOD_COLOUR["network"], "#8a8a8a"
_UNITS = {row.name: row.unit for rows in LISTS.values() for row in rows}


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
    ax.share = ax.imshow(share, cmap="cividis", norm=Normalize(0.0, 1.0), aspect="auto")
    for row, column in np.argwhere(np.isfinite(share)):
        value = share[row, column]
        ax.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7.5, color=INK if value > 0.5 else "w")
    ax.set_xticks(np.arange(len(groups)), groups, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(np.arange(len(parameters)), parameters)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    beyond = "max" if np.nanmax(share, initial=0.0) > 1.0 else "neither"
    colour_bar(ax.share, ax, "Share of the parameter's variance\nthat the group has a part in", extend=beyond)
    return ax


def dependence_curves(table: pd.DataFrame, axes: ArrayLike, sites: pd.DataFrame | None = None) -> np.ndarray:
    """Partial dependence in small panels of one scale: a row for each parameter, a column for each covariate.

    The line is the mean of the members, the band their 5 to 95 %. Classes are points, with the number of sites.

    Parameters
    ----------
    table : DataFrame
        One or several results of `proda.learning.explanation.partial_dependence`, concatenated.
    axes : array of Axes
        n_parameters x n_covariates of them in reading order, such as those of ``plt.subplots(n_parameters,
        n_covariates, sharey=True, squeeze=False)``. What is left over is hidden.
    sites : DataFrame, optional
        Covariates of the held-out sites, whose deciles are marked on the axis: between marks lies a tenth of the sites.
    """
    axes = np.asarray(axes)
    panels = axes.ravel()
    covariates, parameters = table["covariate"].unique(), table["parameter"].unique()
    for i, parameter in enumerate(parameters):
        for j, covariate in enumerate(covariates):
            rows = table[(table["parameter"] == parameter) & (table["covariate"] == covariate)]
            ax = panels[i * len(covariates) + j]
            one_hot = codes_of(map(str, sites), covariate) if sites is not None else {}
            if one_hot or is_class(covariate):
                _points(rows, ax, None if sites is None else _counts(sites, covariate, one_hot))
            else:
                _curve(rows, ax, None if sites is None else sites[covariate].to_numpy(float))
            if i == 0 and len(covariates) > 1:
                ax.set_title(covariate, fontsize=9)
            if i == len(parameters) - 1 or len(covariates) == 1:
                unit = _UNITS.get(covariate, "")
                ax.set_xlabel(f"{covariate} ({unit})" if unit not in ("", "class") else covariate, fontsize=8.5)
            if len(covariates) == 1:
                ax.set_title(f"{parameter}{_range(parameter)}", fontsize=8.5)
            elif j == 0:
                ax.set_ylabel(f"{parameter}\n{_range(parameter).strip()}", fontsize=8.5)
            ax.tick_params(labelsize=7.5)
    for ax in panels[len(covariates) * len(parameters) :]:
        ax.set_visible(False)
    used = panels[: len(covariates) * len(parameters)]
    low, high = table["q05"].min(), table["q95"].max()
    margin = 0.08 * max(high - low, 0.05)
    for ax in used:
        ax.set_ylim(low - margin, high + margin)
    used[0].figure.supylabel("Mean prediction over the held-out sites (unit cube)", fontsize=9.5)
    return axes


def _curve(rows: pd.DataFrame, ax: Axes, found: np.ndarray | None) -> None:
    ax.fill_between(rows["value"], rows["q05"], rows["q95"], color=NETWORK, alpha=0.25, linewidth=0)
    ax.plot(rows["value"], rows["mean"], color=NETWORK, linewidth=1.5)
    ax.set_xlim(rows["value"].min(), rows["value"].max())
    ax.xaxis.set_major_locator(MaxNLocator(4))
    if found is not None:
        deciles = np.quantile(found, np.arange(0.1, 0.95, 0.1))
        ax.plot(deciles, np.full(9, 0.0), "|", color=INK, markersize=9, transform=ax.get_xaxis_transform())


def _points(rows: pd.DataFrame, ax: Axes, counts: dict[int, int] | None) -> None:
    codes = rows["value"].astype(int)
    place = np.arange(len(rows))
    ax.vlines(place, rows["q05"], rows["q95"], color=NETWORK, alpha=0.4, linewidth=3)
    ax.plot(place, rows["mean"], "o", color=NETWORK, markersize=4)
    labels = [f"{code}" if counts is None else f"{code}\n{counts[code]}" for code in codes]
    ax.set_xticks(place, labels)
    ax.set_xlim(-0.6, len(rows) - 0.4)


def _counts(sites: pd.DataFrame, covariate: str, one_hot: dict[int, str]) -> dict[int, int]:
    if one_hot:
        return {code: int((sites[column] == 1.0).sum()) for code, column in one_hot.items()}
    return {int(code): int(n) for code, n in sites[covariate].value_counts().items()}


def _range(parameter: str) -> str:
    row = PAPER_PARAMETERS.rows[PAPER_PARAMETERS.index(parameter)]
    if row.name == "ins":
        return " (range of the site's NPP)"
    return f" ({row.minimum:g} to {row.maximum:g}{'' if row.unit == '1' else ' ' + row.unit})"
