"""Figures of the network stage and its supplements: training, predicted parameters, scores of methods, importance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from numpy.typing import ArrayLike

from proda.figures.style import INK, METHOD_COLOUR, colour_bar, draw_cells, label_plainly
from proda.learning.scores import BLOCKS, MAP, RANDOM, SITE, TEST, TRAIN, correlations, mean_scores
from proda.model.parameters import CONSTRAINED_BELOW, table_of

NETWORK, POSTERIOR, TRUTH = METHOD_COLOUR["network"], METHOD_COLOUR["site-by-site"], METHOD_COLOUR["truth"]
PALE, WITHHELD = "#c4c4c4", "#D55E00"
WHAT = {RANDOM: "random sites", BLOCKS: "blocks of land"}
COLOUR = {RANDOM: "#0072B2", BLOCKS: WITHHELD}
LOWEST = -0.5  # efficiency at the left edge of the figure of scores


def learning_curve(curve: pd.DataFrame, ax: Axes) -> Axes:
    """Training and validation loss by epoch (mean squared error on the unit cube), the kept epoch marked."""
    ax.plot(curve["epoch"], curve["loss"], color=NETWORK, label="training sites (with dropout)")
    ax.plot(curve["epoch"], curve["validation_loss"], color=WITHHELD, label="validation sites")
    kept = curve[curve["kept"]].iloc[0]
    ax.axvline(kept["epoch"], color=INK, linewidth=0.7, linestyle=":")
    ax.plot(kept["epoch"], kept["validation_loss"], "o", color=WITHHELD, label=f"kept: epoch {kept['epoch']:.0f}")
    # The first epochs fall from the untrained network's loss: on a linear axis they would hide all that follows.
    ax.set_yscale("log")
    label_plainly(ax.yaxis, finely=True)
    ax.set(xlabel="Epoch", ylabel="Mean squared error (unit cube)", xlim=(0, curve["epoch"].max() + 1))
    ax.legend()
    return ax


def hybrid_curve(curve: pd.DataFrame, ax: Axes) -> Axes:
    """Loss of the hybrid by epoch, (kg C m-3)2."""
    ax.plot(curve["epoch"], curve["loss"], color=METHOD_COLOUR["hybrid"])
    ax.set_yscale("log")
    label_plainly(ax.yaxis, finely=True)
    ax.set(xlabel="Epoch", ylabel="Loss of the layers ((kg C m$^{-3}$)$^2$)", xlim=(0, curve["epoch"].max() + 1))
    return ax


def predicted_against_assimilated(predicted: ArrayLike, x_mean: ArrayLike, split: ArrayLike, axes: ArrayLike) -> None:
    """Fig. S6 of the paper: the network's parameters against the posterior means, small axes for each parameter.

    `predicted`, `x_mean` are (n, n_parameters), unit cube. By `split` (n,) training sites are pale and test sites, of
    which r is, in colour; of the `axes` those without a parameter stay empty.
    """
    axes = np.asarray(axes)
    predicted, x_mean, split = np.asarray(predicted), np.asarray(x_mean), np.asarray(split, dtype=object)
    r_test = correlations(predicted[split == TEST], x_mean[split == TEST])
    names = table_of(x_mean.shape[1]).names
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    for i, (ax, name) in enumerate(zip(axes.flat, names, strict=False)):
        for part, colour, size, alpha in ((TRAIN, PALE, 3, 0.6), (TEST, NETWORK, 4, 0.7)):
            x, y = x_mean[split == part, i], predicted[split == part, i]
            # As pixels: thousands of vector points in all axes would make the page slow.
            ax.scatter(x, y, s=size, c=colour, alpha=alpha, linewidths=0, rasterized=True)
        ax.plot([0, 1], [0, 1], color=INK, linewidth=0.6)
        ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        ax.set_title(f"{name}  r = {r_test[i]:.2f}", fontsize=8.5, pad=3)
        ax.tick_params(labelsize=7.5)
    figure = axes.flat[0].figure
    figure.supxlabel("Posterior mean of the site (unit cube)", fontsize=10)
    figure.supylabel("Predicted by the network (unit cube)", fontsize=10)


def skill_by_parameter(skill: pd.DataFrame, axes: Sequence[Axes]) -> None:
    """Test correlation of every parameter, beside how far its profile narrowed it; the best predicted on top.

    `skill` is from `proda.learning.scores.parameter_skill`; `r_block_folds` and `truth_r_map` are drawn where they are
    there.
    """
    table = skill.assign(order=skill["r_test"].fillna(-1.0)).sort_values("order", ignore_index=True)
    rows = np.arange(len(table))
    left, right = axes
    left.barh(rows, table["r_test"], color=NETWORK, height=0.7, label="test sites")
    left.plot(table["r_train"], rows, "|", color=INK, markersize=8, label="training sites")
    marks = {
        "r_block_folds": (WITHHELD, "D", "withheld blocks"),
        "truth_r_map": (TRUTH, "o", "all cells, with the truth"),
    }
    drawn = [name for name in marks if name in table]
    for name in drawn:
        colour, marker, label = marks[name]
        left.plot(table[name], rows, marker, color=colour, markersize=4, label=label)
    left.axvline(0.0, color=INK, linewidth=0.6)
    left.set_yticks(rows, table["parameter"], fontsize=8.5)
    least = min(0.0, table[["r_test", *drawn]].min().min()) - 0.02
    left.set(xlabel="Correlation with the posterior mean", xlim=(least, 1.0), ylim=(-0.6, len(table) - 0.4))
    left.figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    right.barh(rows, table["sd_ratio"], color=POSTERIOR, height=0.7)
    right.axvline(1.0, color=INK, linewidth=0.6)
    right.axvline(CONSTRAINED_BELOW, color=INK, linewidth=0.7, linestyle=":")
    greatest = max(1.1, table["sd_ratio"].max() + 0.05)
    right.set(xlabel="Posterior sd / prior sd (median of the sites)", xlim=(0.0, greatest))


def parameter_maps(cells: pd.DataFrame, grid, names: Sequence[str], axes: Sequence[Axes]) -> Sequence[Axes]:
    """Maps of parameters on the unit cube, one for each name, with one colour bar over the middle 96 % of all values.

    `cells` has a column a parameter, in the order of `grid` (`lon`, `lat`); `axes` are from
    `proda.figures.style.map_axes`.
    """
    # Predicted parameters keep near the middle of the cube: on a bar from 0 to 1 all maps would be one colour.
    low, high = np.nanquantile(cells[list(names)].to_numpy(), [0.02, 0.98])
    limits = (low, high) if high > low else None
    for name, ax in zip(names, axes, strict=True):
        drawn = draw_cells(cells[name].to_numpy(), grid, ax, "parameter", limits)
        ax.set_title(name)
    colour_bar(drawn, list(axes))
    return axes


def method_scores(table: pd.DataFrame, ax: Axes) -> Axes:
    """Efficiency of every method of `score_table` at withheld sites, the best on blocks on top.

    Bars are one standard error over the repeats; open symbols are of methods that also take what only profiles have. A
    score below -0.5 stands at the left edge as an arrow, with its value.
    """
    means = mean_scores(table)
    methods = list(means.loc[MAP].index[::-1])
    for (kind, marker, up), (covariates, fill) in product(
        ((RANDOM, "o", 0.15), (BLOCKS, "D", -0.15)), ((MAP, "full"), (SITE, "none"))
    ):
        if covariates not in means.index.get_level_values("covariates"):
            continue
        values = means.loc[covariates].reindex(methods)
        rows, efficiency = np.arange(len(values)) + up, values["efficiency", kind].to_numpy()
        label = f"withheld {WHAT[kind]}" + (", own land use and texture as well" if covariates == SITE else "")
        style = dict(color=COLOUR[kind], markersize=6)
        shown = np.where(efficiency >= LOWEST, efficiency, np.nan)
        ax.errorbar(
            shown, rows, xerr=values["se", kind], fmt=marker, fillstyle=fill, label=label, elinewidth=0.8, **style
        )
        for row, value in zip(rows, efficiency, strict=True):
            if value < LOWEST:
                ax.plot(LOWEST, row, "<", **style)
                ax.text(LOWEST + 0.02, row, f"{value:.1f}", fontsize=7.5, va="center", color=COLOUR[kind])
    ax.axvline(0.0, color=INK, linewidth=0.6)
    ax.set_yticks(np.arange(len(methods)), methods, fontsize=8.5)
    ax.grid(axis="y", linewidth=0.3)
    least = max(LOWEST, min(0.0, float(np.nanmin(means["efficiency"])))) - 0.04
    ax.set(xlabel="Efficiency of SOC at all withheld layers", xlim=(least, 1.0), ylim=(-0.7, len(methods) - 0.3))
    ax.figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return ax


def importance_bars(table: pd.DataFrame, ax: Axes) -> Axes:
    """Increase of the mean squared error of SOC by group (`group_importance`), with one sd over the repeats."""
    table = table.sort_values("mse_increase", ignore_index=True, kind="stable")
    rows = np.arange(len(table))
    ax.barh(rows, table["mse_increase"], xerr=table["mse_increase_sd"], color=NETWORK, ecolor=INK, height=0.7)
    ax.axvline(0.0, color=INK, linewidth=0.6)
    ax.set_yticks(rows, table["group"] + " (" + table["n_columns"].astype(str) + ")")
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.set(xlabel="Increase of the mean squared error ((kg C m$^{-3}$)$^2$)", ylabel="Group, number of columns")
    return ax


def parameter_importance_map(table: pd.DataFrame, ax: Axes) -> Axes:
    """Share of each parameter's variance that each group decides (`parameter_importance`), a row a parameter."""
    wide = table.pivot_table("share", "parameter", "group", dropna=False, sort=False)
    share = wide.to_numpy(float)
    top = min(1.0, np.ceil(10.0 * np.nanmax(share, initial=0.1)) / 10.0)
    drawn = ax.imshow(share, cmap="cividis", norm=Normalize(0.0, top), aspect="auto")
    for row, column in np.argwhere(np.isfinite(share)):
        value = share[row, column]
        colour = "k" if value > 0.55 * top else "w"
        ax.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7.5, color=colour)
    ax.set_xticks(np.arange(wide.shape[1]), wide.columns, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(np.arange(wide.shape[0]), wide.index)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    beyond = "max" if np.nanmax(share, initial=0.0) > top else "neither"
    colour_bar(drawn, ax, "Share of the parameter's variance\nthat the group has a part in", extend=beyond)
    return ax
