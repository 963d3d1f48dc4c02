"""Figures of sensitivity: what moves SOC at which depth, and what profiles tell about each parameter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from numpy.typing import ArrayLike, NDArray

from proda.assimilation.prior import CONSTRAINED_BELOW
from proda.figures.style import CYCLE, INK, colour_bar

BLUE, GREEN, GREY = CYCLE[0], CYCLE[2], "#888888"


def elasticity_heat_map(
    elasticity: NDArray, depth: ArrayLike, names: Sequence[str], ax: Axes, reach: float | None = None
) -> Axes:
    """Relative change of the SOC density with each parameter over its range, at each depth of one profile.

    Parameters
    ----------
    elasticity : (n_depths, n_parameters)
        `SocJacobian.derivative` over its `value`.
    depth : (n_depths,), m
        Increasing. A depth's colour reaches halfway to its neighbours.
    reach : float, optional
        Change at both ends of the colour scale; the 95 % quantile of the magnitudes if left out.
    """
    depth = np.asarray(depth, dtype=float)
    middle = 0.5 * (depth[1:] + depth[:-1])
    edges = np.concatenate([[max(0.0, 1.5 * depth[0] - 0.5 * depth[1])], middle, [1.5 * depth[-1] - 0.5 * depth[-2]]])
    reach = reach or float(np.quantile(np.abs(elasticity), 0.95)) or 1.0
    beyond = elasticity.max() > reach, elasticity.min() < -reach
    ax.elasticity = ax.pcolormesh(
        np.arange(len(names) + 1) - 0.5, edges, elasticity, cmap="RdBu_r", norm=TwoSlopeNorm(0.0, -reach, reach)
    )
    extend = {(False, False): "neither", (True, False): "max", (False, True): "min"}.get(beyond, "both")
    colour_bar(ax.elasticity, ax, "Relative change of SOC\nover the parameter's range (1)", extend=extend)
    ax.set_xticks(np.arange(len(names)), names, rotation=90)
    ax.set(ylim=(edges[-1], edges[0]), ylabel="Depth (m)")
    return ax


def sd_ratio_bars(sd_ratio: NDArray, names: Sequence[str], ax: Axes, told_below: float = CONSTRAINED_BELOW) -> Axes:
    """Linearised posterior over prior standard deviation by parameter, (n_parameters, n): bars to the median over
    profiles, lines over the middle half of them.
    """
    low, median, high = np.quantile(sd_ratio, [0.25, 0.5, 0.75], axis=1)
    place = np.arange(len(names))[::-1]
    ax.barh(place, median, color=np.where(median < told_below, GREEN, GREY))
    if sd_ratio.shape[1] > 1:
        ax.hlines(place, low, high, color=INK, lw=1.2)
    ax.axvline(1.0, color=INK, lw=0.8)
    ax.axvline(told_below, color=INK, lw=0.8, ls="--")
    ax.set(
        yticks=place,
        yticklabels=names,
        xlabel="Linearised posterior sd / prior sd (median and middle half of the profiles)",
        xlim=(0.0, 1.05),
        ylim=(-0.6, len(names) - 0.4),
    )
    return ax


def contraction_scatter(
    linearised: NDArray, sampled: NDArray, names: Sequence[str], ax: Axes, told_below: float = CONSTRAINED_BELOW
) -> Axes:
    """Sampled against linearised posterior sd over prior sd, (n_parameters, n) each, as medians over the profiles.

    Parameters that either finds told, or on whose ratios the two differ by more than a tenth, are named.
    """
    across, up = np.median(linearised, axis=1), np.median(sampled, axis=1)
    least = min(across.min(), up.min()) - 0.06
    limits = least, 1.04
    ax.plot(limits, limits, color=INK, lw=0.8, ls="--", zorder=1)
    for place in (ax.axvline, ax.axhline):
        place(told_below, color=GREY, lw=0.8, ls=":", zorder=1)
    told = (across < told_below) | (up < told_below)
    ax.scatter(across, up, s=24, c=np.where(told, GREEN, GREY), linewidths=0, zorder=2)
    for i in np.flatnonzero(told | (np.abs(across - up) > 0.1)):
        ax.annotate(names[i], (across[i], up[i]), (4, 3), textcoords="offset points", fontsize=8)
    ax.set(
        xlim=limits,
        ylim=limits,
        aspect="equal",
        xlabel="Linearised posterior sd / prior sd (1)",
        ylabel="Sampled posterior sd / prior sd (1)",
    )
    return ax
