"""Figures of ages and of traceability: how old carbon is with depth, and why places store what they store."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from numpy.typing import ArrayLike, NDArray

from proda.figures.model import POOL_COLOUR, POOL_LABEL
from proda.figures.style import INK
from proda.model.column import PAPER_COLUMN, Column
from proda.model.steady_state import POOLS
from proda.model.traceability import LIMITS

LIMIT_COLOUR = dict(zip(LIMITS, ["#D55E00", "#0072B2", "#56B4E9", "#009E73", "#8c6d31"], strict=True))


def age_profiles(age: NDArray, ax: Axes, column: Column = PAPER_COLUMN, soil: NDArray | None = None) -> Axes:
    """Mean age of the seven pools of one column against depth, (7, n_layers), yr, on a log axis.

    `soil`, (n_layers,), yr, adds the mean age of all soil organic carbon. Where there is no carbon nothing is drawn.
    """
    for pool, years in zip(POOLS, age, strict=True):
        ax.plot(years, column.node, "o-", ms=3, color=POOL_COLOUR[pool], label=POOL_LABEL[pool])
    if soil is not None:
        ax.plot(soil, column.node, color=INK, ls="--", lw=1.5, label="All SOC")
    ax.set(xscale="log", ylim=(column.bottom[-1], 0), xlabel="Mean age (yr)", ylabel="Depth (m)")
    ax.legend(fontsize=8)
    return ax


def residence_steps(found: xr.Dataset, ax: Axes, names: ArrayLike | None = None) -> Axes:
    """How the residence time of a handful of places arises: from the baseline, limit by limit, on a log axis.

    Parameters
    ----------
    found : xarray.Dataset
        From `proda.model.traceability.traceability`. Limits that act nowhere are left out.
    names : (n,) str, optional
        Of the places; else they are numbered from 1.
    """
    limits = acting_limits(found)
    years = np.asarray(found["baseline_residence_time"])
    width = 0.8 / max(len(limits), 1)
    places = np.arange(years.size)
    _levels(ax, years, places - 0.4, width, np.full(years.size, -1))
    low, high, change = np.nanmin(years), np.nanmax(years), np.zeros(years.size)
    for k, limit in enumerate(limits):
        before, years = years, years / np.asarray(found[f"{limit}_factor"])
        left, change = places - 0.4 + k * width, years - before
        ax.bar(left, change, width, before, align="edge", color=LIMIT_COLOUR[limit], label=limit.capitalize())
        low, high = min(low, np.nanmin(years)), max(high, np.nanmax(years))
    _levels(ax, years, places + 0.4 - width, width, np.where(change < 0.0, -1, 1))
    ax.set(yscale="log", ylabel="Residence time (yr)", ylim=(0.8 * low, 1.25 * high), xlim=(-0.6, years.size - 0.4))
    _plain_numbers(ax.yaxis)
    ax.set_xticks(places, _names(found, names))
    ax.legend(ncols=max(len(limits), 1), loc="lower left", bbox_to_anchor=(0.0, 1.0), columnspacing=1.2)
    return ax


def storage_plane(found: xr.Dataset, ax: Axes, names: ArrayLike | None = None) -> Axes:
    """The same places between carbon input and residence time, on log axes over lines of equal storage.

    Beside `residence_steps` on a shared axis of residence time, draw it second: its lines are labelled where they leave
    the axes.
    """
    entering, years = (np.asarray(found[name]) for name in ("carbon_input", "residence_time"))
    ax.scatter(entering, years, s=30, color=INK, zorder=3)
    # Names stand towards the middle, and alternately above and below their points: places may be alike.
    rank, middle = np.argsort(np.argsort(years)), np.sqrt(np.nanmin(entering) * np.nanmax(entering))
    for name, x, y, k in zip(_names(found, names), entering, years, rank, strict=True):
        side, reach = ("left", 5) if x < middle else ("right", -5)
        va, rise = ("bottom", 2) if k % 2 else ("top", -2)
        ax.annotate(name, (x, y), (reach, rise), textcoords="offset points", ha=side, va=va)
    ax.set(xscale="log", yscale="log", xlabel="Carbon input (kg C m$^{-2}$ yr$^{-1}$)", ylabel="Residence time (yr)")
    ax.set(xlim=(0.75 * np.nanmin(entering), 1.5 * np.nanmax(entering)), ylim=ax.get_ylim())
    _plain_numbers(ax.xaxis)
    _plain_numbers(ax.yaxis)
    (_, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    for storage in (digit * 10.0**power for power in range(-3, 5) for digit in (1, 2, 5)):
        ax.axline((1.0, storage), (10.0, storage / 10.0), color="#bbbbbb", lw=0.7, zorder=0)
        if bottom < storage / right < top:
            ax.annotate(f"{storage:g}", (right, storage / right), (3, 0), textcoords="offset points", va="center",
                        color="#777777", fontsize=8, annotation_clip=False)  # fmt: skip
    ax.set_title("Grey: storage = input x residence time (kg C m$^{-2}$)", fontsize=9)
    return ax


def _levels(ax: Axes, years: NDArray, left: NDArray, width: float, side: NDArray) -> None:
    """A line across one step of each place, with its value above it where `side` is 1 and below it where it is -1."""
    ax.hlines(years, left, left + width, color=INK, lw=2, zorder=3)
    for x, y, up in zip(left, years, side, strict=True):
        if up > 0:
            ax.annotate(f"{y:.3g}", (x + 0.5 * width, y), (0, 3), textcoords="offset points", ha="center", fontsize=8)
        else:
            ax.annotate(f"{y:.3g}", (x, y), (0, -3), textcoords="offset points", va="top", fontsize=8)


def _plain_numbers(axis: Axis) -> None:
    """Ticks of a log axis at 1, 2, 3, 5, 10, ..., written out."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def acting_limits(found: xr.Dataset) -> list[str]:
    """The limits with a factor other than 1 anywhere, in the order in which they are put back onto the baseline."""
    lifted = found.attrs["limits_lifted_in_order"].split(", ")
    return [limit for limit in reversed(lifted) if (found[f"{limit}_factor"] != 1.0).any()]


def _names(found: xr.Dataset, names: ArrayLike | None) -> list[str]:
    return [str(name) for name in (np.arange(1, found.sizes["column"] + 1) if names is None else names)]
