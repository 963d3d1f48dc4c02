"""Figures of the network stage: how it learnt, and which parameters it can predict."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import ArrayLike

from proda.assimilation.prior import CONSTRAINED_BELOW
from proda.figures.captions import captioned
from proda.figures.style import INK, METHOD_COLOUR, colour_bar, draw_cells, label_plainly
from proda.learning.skill import RECOVERED_FROM, correlations
from proda.learning.splits import TEST, TRAIN

S6_CAPTION = (
    "Figure S6. Parameters that the network predicts against the posterior means of the sites, a panel for each; grey "
    "training sites, blue test sites, r of the test sites. A cloud along the line is a parameter that covariates tell; "
    "a flat one they do not tell, and a knot in the middle the profiles did not tell in the first place."
)
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
    figure = captioned(axes.flat[0].figure, S6_CAPTION)
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
