"""Figures of soil carbon in time: the way to the steady state, and the answer to a change."""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from proda.figures.style import CYCLE, INK


def approach_figure(years: NDArray, stock: NDArray, final: float, ax: Axes) -> Axes:
    """Carbon in a column, (n_steps,), kg C m-2, growing from nothing, and the steady state that it must reach."""
    ax.plot(years, stock, color=CYCLE[0], lw=2, label="time stepping")
    ax.axhline(final, color=CYCLE[1], ls="--", lw=1.5, label="steady state")
    ax.set(xscale="log", xlabel="Years from bare ground", ylabel="Carbon in the column (kg C m$^{-2}$)")
    ax.set_title("Arriving at the steady state")
    ax.legend(loc="lower right")
    return ax


def response_figure(responses: dict[str, NDArray], ax: Axes) -> Axes:
    """Change of soil carbon in percent against years since a sudden change of the forcing.

    Parameters
    ----------
    responses : {label: (years + 1, n_columns)}
        From `model.response.soc_response`; the line is the median column, the band holds 80 % of the columns.
    """
    for colour, (label, relative) in zip(CYCLE, responses.items(), strict=False):
        change = 100.0 * (relative - 1.0)
        low, middle, high = np.quantile(change, [0.1, 0.5, 0.9], axis=1)
        years = np.arange(len(change))
        ax.fill_between(years, low, high, color=colour, alpha=0.2, lw=0)
        ax.plot(years, middle, color=colour, lw=2)
        ax.annotate(f" {label}", (years[-1], middle[-1]), color=colour, va="center", fontsize=9)
    ax.axhline(0.0, color=INK, lw=0.8)
    ax.set(xlim=(0, 1.22 * years[-1]), xlabel="Years since the change", ylabel="Change of soil carbon (%)")
    ax.set_xticks(np.linspace(0, years[-1], 6))
    return ax
