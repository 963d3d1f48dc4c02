"""Fig. S5: the most likely values of all sites together, against the posterior of one set of parameters for all."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from proda.figures.captions import captioned
from proda.figures.style import INK, METHOD_COLOUR, METHOD_LABEL

CAPTION = (
    "Figure S5. The parameters on the range of their priors: filled the most likely values of all sites, as a line the "
    "posterior of one set of parameters for all profiles, dotted the uniform prior, a triangle at CLM's default. A "
    "hill in the middle under a flat line is often a parameter that no profile tells anything about; a line that "
    "stands apart from the hill is the price of one value for all."
)
BINS = np.linspace(0.0, 1.0, 26)


def parameter_density(modes: ArrayLike, draws: ArrayLike, default: float, name: str, ax: Axes) -> Axes:
    """Densities of one parameter on the unit cube: most likely values of the sites filled, one-batch as a line.

    Parameters
    ----------
    modes : (n_sites,)
        NaN is left out.
    draws : (n_draws,)
        Of the one-batch posterior.
    default : float
        CLM's; marked where it lies between the bounds.
    """
    modes = np.asarray(modes, float)
    sites, pooled = METHOD_COLOUR["site-by-site"], METHOD_COLOUR["one-batch"]
    label = f"{METHOD_LABEL['site-by-site']}: most likely value of each site"
    ax.hist(modes[np.isfinite(modes)], BINS, density=True, color=sites, alpha=0.55, label=label)
    label = f"{METHOD_LABEL['one-batch']}: posterior"
    ax.hist(draws, BINS, density=True, histtype="step", color=pooled, lw=1.6, label=label)
    ax.axhline(1.0, color=INK, lw=0.6, ls=":", label="Uniform prior")
    if 0.0 <= default <= 1.0:
        ax.plot(default, 0.0, "^", color=METHOD_COLOUR["default"], ms=6, clip_on=False, zorder=5, label="CLM default")
    ax.set(xlim=(0, 1), xticks=[0, 0.5, 1])
    ax.set_title(name, fontsize=9, pad=3)
    ax.tick_params(labelsize=8)
    return ax


def parameter_densities(
    modes: ArrayLike, draws: ArrayLike, defaults: ArrayLike, names: Sequence[str], figure: Figure | None = None
) -> Figure:
    """Small multiples of `parameter_density`, a panel a parameter, with common axes.

    The common vertical axis holds three panels in four; a bar that goes beyond is cut there, and its panel has an arrow
    and the height.

    Parameters
    ----------
    modes : (n_sites, n_parameters)
    draws : (n_draws, n_parameters)
    defaults : (n_parameters,)
        On the unit cube.
    """
    modes, draws = np.asarray(modes, float), np.asarray(draws, float)
    rows = -(-len(names) // 5)
    figure = figure if figure is not None else plt.figure(figsize=(8.4, 1.5 * rows + 0.9))
    axes = figure.subplots(rows, 5, sharex=True, sharey=True, squeeze=False)
    marks: dict = {}
    for i, (name, ax) in enumerate(zip(names, axes.flat, strict=False)):
        parameter_density(modes[:, i], draws[:, i], defaults[i], name, ax)
        marks |= dict(zip(*ax.get_legend_handles_labels()[::-1], strict=True))
    heights = [max(_highest(modes[:, i]), _highest(draws[:, i])) for i in range(len(names))]
    top = 1.05 * float(np.quantile(heights, 0.75))
    axes[0, 0].set_ylim(0, top)
    for height, ax in zip(heights, axes.flat, strict=False):
        if height > top:
            ax.text(0.97, 0.96, f"\u25b4 {height:.0f}", transform=ax.transAxes, ha="right", va="top", fontsize=8)
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    figure.supxlabel("Position between the bounds of the prior (0 to 1)", fontsize=9.5)
    figure.supylabel("Density (1)", fontsize=9.5)
    figure.legend(marks.values(), marks, loc="outside upper center", ncols=2, fontsize=8.5)
    return captioned(figure, CAPTION)


def _highest(values: np.ndarray) -> float:
    return float(np.histogram(values[np.isfinite(values)], BINS, density=True)[0].max())
