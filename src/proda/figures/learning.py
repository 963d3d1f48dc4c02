"""Figures of the network stage: how it learnt, and which parameters it can predict.

Figures of the comparison: what every method scores on what it has not seen, and how far land lies from profiles.

Figures of what a network leans on, and of how its parameters answer to a covariate.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from textwrap import fill

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Normalize
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike

from proda.data.covariates import LAND_USE, LISTS
from proda.errors import InputError
from proda.figures.style import INK, METHOD_COLOUR, Quantity, colour_bar, draw_cells, label_plainly
from proda.learning.encoding import codes_of, is_class
from proda.learning.scores import RECOVERED_FROM, correlations
from proda.learning.splits import BLOCKS, RANDOM, TEST, TRAIN
from proda.model.parameters import CONSTRAINED_BELOW, PAPER_PARAMETERS

NETWORK, POSTERIOR, PALE = METHOD_COLOUR["network"], METHOD_COLOUR["site-by-site"], "#c4c4c4"
WITHHELD = "#D55E00"


def learning_curve(curve: pd.DataFrame, ax: Axes) -> Axes:
    """Training and validation loss by epoch, the kept epoch marked.

    Parameters
    ----------
    curve : DataFrame
        `epoch`, `loss`, `validation_loss` (mean squared error on the unit cube), `kept`.
    """
    ax.plot(curve["epoch"], curve["loss"], color=NETWORK, label="training sites (with dropout)")
    ax.plot(curve["epoch"], curve["validation_loss"], color="#D55E00", label="validation sites")
    kept = curve[curve["kept"]].iloc[0]
    ax.axvline(kept["epoch"], color=INK, linewidth=0.7, linestyle=":")
    ax.plot(kept["epoch"], kept["validation_loss"], "o", color="#D55E00", label=f"kept: epoch {kept['epoch']:.0f}")
    # The first epochs fall from the untrained network's loss: on a linear axis they would hide all that follows.
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter("{x:.3g}")
    ax.set(xlabel="Epoch", ylabel="Mean squared error (unit cube)", xlim=(0, curve["epoch"].max() + 1))
    ax.legend()
    return ax


def hybrid_curve(curve: pd.DataFrame, ax: Axes) -> Axes:
    """Loss of the hybrid by epoch.

    Parameters
    ----------
    curve : DataFrame
        `epoch`, `loss`: Huber's loss of the layers, (kg C m-3)2, with the prior term if there is one.
    """
    ax.plot(curve["epoch"], curve["loss"], color=METHOD_COLOUR["hybrid"])
    ax.set_yscale("log")
    label_plainly(ax.yaxis, finely=True)
    ax.set(xlabel="Epoch", ylabel="Loss of the layers ((kg C m$^{-3}$)$^2$)", xlim=(0, curve["epoch"].max() + 1))
    return ax


def predicted_against_assimilated(
    predicted: ArrayLike, x_mean: ArrayLike, split: ArrayLike, names: Sequence[str], axes: ArrayLike
) -> np.ndarray:
    """Fig. S6 of the paper: the network's parameters against the posterior means, a small panel for each parameter.

    Parameters
    ----------
    predicted, x_mean : (n, n_parameters)
        Unit cube.
    split : (n,) str
        Training sites are drawn pale, test sites in colour; r is that of the test sites.
    names : sequence of str
    axes : array of Axes
        At least n_parameters of them, such as those of ``plt.subplots(5, 5, sharex=True, sharey=True)``.
    """
    axes = np.asarray(axes)
    predicted, x_mean, split = np.asarray(predicted), np.asarray(x_mean), np.asarray(split, dtype=object)
    r_test = correlations(predicted[split == TEST], x_mean[split == TEST])
    for i, (ax, name) in enumerate(zip(axes.flat, names, strict=False)):
        for part, colour, size, alpha in ((TRAIN, PALE, 3, 0.6), (TEST, NETWORK, 4, 0.7)):
            rows = split == part
            # As pixels: thousands of vector points in 25 panels would make the page slow.
            ax.scatter(
                x_mean[rows, i], predicted[rows, i], s=size, c=colour, alpha=alpha, linewidths=0, rasterized=True
            )
        ax.plot([0, 1], [0, 1], color=INK, linewidth=0.6)
        ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        ax.set_title(f"{name}  r = {r_test[i]:.2f}", fontsize=8.5, pad=3)
        ax.tick_params(labelsize=7.5)
    figure = axes.flat[0].figure
    figure.supxlabel("Posterior mean of the site (unit cube)", fontsize=10)
    figure.supylabel("Predicted by the network (unit cube)", fontsize=10)
    return axes


def skill_by_parameter(skill: pd.DataFrame, axes: Sequence[Axes]) -> Sequence[Axes]:
    """Test correlation of every parameter, beside how far its profile narrowed it; the best predicted on top.

    Parameters
    ----------
    skill : DataFrame
        `parameter`, `r_train`, `r_test`, `sd_ratio`; `r_block_folds`, if there, is drawn too.
    axes : two Axes
        Side by side, with a common y axis.
    """
    table = skill.assign(order=skill["r_test"].fillna(-1.0)).sort_values("order", ignore_index=True)
    told = [name for name in ("r_test", "r_block_folds") if name in table]
    rows = np.arange(len(table))
    left, right = axes
    left.barh(rows, table["r_test"], color=NETWORK, height=0.7, label="test sites")
    left.plot(table["r_train"], rows, "|", color=INK, markersize=8, label="training sites")
    if "r_block_folds" in table:
        left.plot(table["r_block_folds"], rows, "D", color=WITHHELD, markersize=4, label="withheld blocks")
    left.axvline(0.0, color=INK, linewidth=0.6)
    left.set_yticks(rows, table["parameter"], fontsize=8.5)
    left.set(xlabel="Correlation with the posterior mean", xlim=(min(0.0, table[told].min().min()) - 0.02, 1.0))
    left.set_ylim(-0.6, len(table) - 0.4)
    left.legend(loc="lower right")
    right.barh(rows, table["sd_ratio"], color=POSTERIOR, height=0.7)
    right.axvline(1.0, color=INK, linewidth=0.6)
    right.axvline(CONSTRAINED_BELOW, color=INK, linewidth=0.7, linestyle=":")
    right.set(
        xlabel="Posterior sd / prior sd (median of the sites)", xlim=(0.0, max(1.1, table["sd_ratio"].max() + 0.05))
    )
    return axes


def truth_by_parameter(skill: pd.DataFrame, ax: Axes) -> Axes:
    """Virtual study: correlation with the true parameters, of the posterior means and of the network.

    Parameters
    ----------
    skill : DataFrame
        `parameter`, `truth_r_assimilated`, `truth_r_test`, `truth_r_map`.
    """
    table = skill.assign(order=skill["truth_r_map"].fillna(-1.0)).sort_values("order", ignore_index=True)
    rows = np.arange(len(table))
    columns = ["truth_r_assimilated", "truth_r_test", "truth_r_map"]
    ax.hlines(rows, table[columns].min(axis=1), table[columns].max(axis=1), color=PALE, linewidth=1.0, zorder=1)
    for column, colour, marker, label in (
        ("truth_r_assimilated", POSTERIOR, "s", "posterior means, test sites"),
        ("truth_r_test", NETWORK, "o", "network, test sites"),
        ("truth_r_map", WITHHELD, "D", "network, all cells"),
    ):
        ax.scatter(table[column], rows, s=24, color=colour, marker=marker, label=label, zorder=2)
    ax.axvline(0.0, color=INK, linewidth=0.6)
    ax.axvline(RECOVERED_FROM, color=INK, linewidth=0.7, linestyle=":")
    ax.set_yticks(rows, table["parameter"], fontsize=8.5)
    ax.set(xlabel="Correlation with the true parameter", ylim=(-0.6, len(table) - 0.4))
    ax.set_xlim(min(-0.1, table[columns].min().min() - 0.05), 1.0)
    ax.legend(loc="lower right")
    return ax


def parameter_maps(cells: pd.DataFrame, grid, names: Sequence[str], axes: Sequence[Axes]) -> Sequence[Axes]:
    """Maps of parameters on the unit cube, one for each name, with one colour bar over the middle 96 % of all values.

    Parameters
    ----------
    cells : (n_cells,) DataFrame
        One column a parameter, in the order of `grid`.
    grid : xarray.Dataset
        `lon`, `lat` of the cells.
    names : sequence of str
    axes : sequence of Axes
        From `proda.figures.style.map_axes`.
    """
    # Predicted parameters keep near the middle of the cube: on a bar from 0 to 1 all maps would be one colour.
    low, high = np.nanquantile(cells[list(names)].to_numpy(), [0.02, 0.98])
    limits = (low, high) if high > low else None
    for name, ax in zip(names, axes, strict=True):
        drawn = draw_cells(cells[name].to_numpy(), grid, ax, "parameter", limits)
        ax.set_title(name)
    colour_bar(drawn, list(axes))
    return axes


COLOUR = {RANDOM: "#0072B2", BLOCKS: "#D55E00"}
LOWEST = -0.5
_DISTANCES = [0, 10, 25, 50, 75, 100, 150, 200, 300, 500]


def method_scores(table: pd.DataFrame, ax: Axes, score: str = "efficiency") -> Axes:
    """Score of every method at its training sites, at withheld random sites and on withheld blocks, the best on top.

    Parameters
    ----------
    table : DataFrame
        From `proda.learning.cross_validation.comparison_table`.
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
        From `proda.learning.splits.kilometres_to_nearest`.
    grid : Dataset
        `lon`, `lat` of the cells.
    ax : Axes
        From `proda.figures.style.map_axes`.
    """
    classes = BoundaryNorm(_DISTANCES, 256, extend="max")
    return draw_cells(
        kilometres, grid, ax, Quantity("Distance to the nearest training site (km)", "cividis_r", classes)
    )


NETWORK, TRUTH = METHOD_COLOUR["network"], METHOD_COLOUR["truth"]
LEAST_SPAN = 0.02  # of the unit cube: below this a curve is flat, and is to look so
_LISTED = {row.name: row for rows in (*LISTS.values(), (LAND_USE,)) for row in rows}


def importance_bars(table: pd.DataFrame, ax: Axes) -> Axes:
    """Increase of the mean squared error of SOC by group, the most important on top; the loss of efficiency above.

    Parameters
    ----------
    table : DataFrame
        From `proda.learning.importance.group_importance`. Lines reach one sd over the repeats to both sides.
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
        From `proda.learning.importance.parameter_importance`.
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
        One or several results of `proda.learning.importance.partial_dependence`, concatenated.
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
