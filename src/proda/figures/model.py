"""Figures of the matrix model: its grids, its pools with depth, and what a solve costs.

Figures of the matrices of the carbon balance, and of what a dense solution of them is worth.

Figures of soil carbon in time: the way to the steady state, and the answer to a change.

Figures of sensitivity: what moves SOC at which depth, and what profiles tell about each parameter.

Figures of ages and of traceability: how old carbon is with depth, and why places store what they store.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LogNorm, TwoSlopeNorm
from matplotlib.image import AxesImage
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from numpy.typing import ArrayLike, NDArray

from proda.figures.style import CYCLE, INK, colour_bar
from proda.model.age import LIMITS
from proda.model.configuration import DAYS_PER_YEAR, PAPER_COLUMN, Column
from proda.model.parameters import CONSTRAINED_BELOW
from proda.model.solver import POOLS

POOL_COLOUR = dict(
    zip(POOLS, ["#8c6d31", "#b5cf6b", "#8ca252", "#637939", "#9ecae1", "#3182bd", "#08306b"], strict=True)
)
POOL_LABEL = dict(
    zip(
        POOLS,
        [
            "Woody debris",
            "Metabolic litter",
            "Cellulose litter",
            "Lignin litter",
            "Fast SOC",
            "Slow SOC",
            "Passive SOC",
        ],
        strict=True,
    )
)


def grid_figure(ax: Axes, column: Column = PAPER_COLUMN) -> Axes:
    """Layers as bands and nodes as points, depth downwards."""
    for j, (top, bottom) in enumerate(zip(column.top, column.bottom, strict=True)):
        ax.axhspan(top, bottom, color="#e5d8c3" if j % 2 else "#cbb592", lw=0)
    ax.plot(np.full(column.n_layers, 0.5), column.node, "o", ms=3.5, color="#333333")
    # Numbers stand where there is room for them.
    apart = np.diff(column.node, prepend=column.node[0]) > 0.035 * column.bottom[-1]
    for j in np.flatnonzero(apart):
        ax.annotate(f"{j + 1}", (0.56, column.node[j]), va="center", fontsize=8)
    ax.set(xlim=(0, 1), ylim=(column.bottom[-1], 0), xticks=[], ylabel="Depth (m)", title="Layers and nodes")
    return ax


def pool_profiles(pools: NDArray, ax: Axes, column: Column = PAPER_COLUMN) -> Axes:
    """Carbon density of the seven pools of one column against depth, (7, n_layers), g C m-3, on a log axis."""
    for pool, density in zip(POOLS, pools / 1000.0, strict=True):
        ax.plot(
            np.where(density > 1e-6, density, np.nan),
            column.node,
            "o-",
            ms=3,
            color=POOL_COLOUR[pool],
            label=POOL_LABEL[pool],
        )
    ax.set(xscale="log", ylim=(column.bottom[-1], 0), xlabel="Carbon (kg C m$^{-3}$)", ylabel="Depth (m)")
    ax.set_title("Pools at steady state")
    ax.legend(fontsize=8)
    return ax


def cost_figure(table: pd.DataFrame, ax: Axes) -> Axes:
    """Time of a steady state or a sampler step by method on a log axis, and how many times faster than the first row.

    Parameters
    ----------
    table : DataFrame
        `batch.speed.measured(quick=True)`, or one case of its whole table: indexed by task, with the columns
        `microseconds` and `times dense NumPy`.
    """
    order = table.iloc[::-1]
    time, ratio = order["microseconds"], order["times dense NumPy"]
    rows = range(len(order))
    ax.set_yticks(rows, order.index)
    ax.hlines(rows, time.min() / 2, time, color="#cccccc", lw=1.5, zorder=1)
    ax.scatter(time, rows, s=32, color=["#888888" if "dense" in task else "#0072B2" for task in order.index])
    for i, (t, r) in enumerate(zip(time, ratio, strict=True)):
        label = f"{t:.3g} µs, {f'{r:,.0f}' if r >= 10 else f'{r:.2g}'} x"
        ax.annotate(label, (t, i), (7, 0), textcoords="offset points", va="center", fontsize=8.5)
    ax.set(xscale="log", xlim=(time.min() / 2, time.max() * 20), ylim=(-0.6, len(order) - 0.4))
    ax.set_xlabel("Microseconds for one steady state or step on one core (x: times faster than the first row)")
    ax.tick_params(axis="y", length=0)
    return ax


def transfer_figure(operators: xr.Dataset, ax: Axes, column: int = 0) -> Axes:
    """Where the carbon that leaves a pool goes, in percent: the matrix A, and what is respired as a last row.

    `operators` is that of `model.operators.labelled_matrices`.
    """
    a = operators["A"].isel(column=column).transpose("pool", "donor").values
    names = list(operators["pool"].values)
    passed = np.vstack([np.where(a > 0.0, a, 0.0), -a.sum(axis=0)])
    ax.imshow(passed, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for i, j in np.argwhere(passed > 5e-4):
        share = 100.0 * passed[i, j]
        colour = "white" if share > 60.0 else INK
        ax.annotate(f"{share:.3g}", (j, i), ha="center", va="center", fontsize=8.5, color=colour)
    ax.axhline(len(names) - 0.5, color=INK, lw=1)
    ax.set(xticks=range(len(names)), xticklabels=names, yticks=range(len(names) + 1), yticklabels=[*names, "CO$_2$"])
    ax.set(xlabel="Carbon that decays in", ylabel="goes to", title="$A$: transfer (%)")
    return ax


def decay_figure(operators: xr.Dataset, ax: Axes, column: int = 0) -> Axes:
    """Time a pool takes to decay in each layer, one over K, in years, against depth."""
    rates, depth = operators["K"].isel(column=column), operators["node_depth"].values
    for pool in operators["pool"].values[[0, 1, 2, 4, 5, 6]]:
        label = "Cellulose, lignin litter" if pool == "L2" else POOL_LABEL[pool]
        years = 1.0 / (DAYS_PER_YEAR * rates.sel(pool=pool).values)
        ax.plot(years, depth, "o-", ms=2.5, color=POOL_COLOUR[pool], label=label)
    ax.set(xscale="log", xlabel="Years to decay", ylabel="Depth (m)", title="$K$: decay")
    ax.invert_yaxis()
    ax.legend(fontsize=7.5)
    return ax


def mixing_figure(operators: xr.Dataset, ax: Axes, column: int = 0) -> AxesImage:
    """Size of the elements of V, day-1; a row gives to and takes from its neighbours. The image, for `colour_bar`."""
    v = operators["V"].isel(column=column).transpose("layer", "neighbour").values
    size = np.abs(np.where(v == 0.0, np.nan, v))
    # Where nothing mixes the scale has no ends.
    ends = (np.nanmin(size), np.nanmax(size)) if np.isfinite(size).any() else (1e-7, 1e-3)
    image = ax.imshow(size, cmap="cividis", norm=LogNorm(*ends))
    number = np.arange(0, len(v), 1 if len(v) <= 10 else 4)
    ax.set(xticks=number, yticks=number, xticklabels=number + 1, yticklabels=number + 1)
    ax.set(xlabel="Layer", ylabel="Layer", title="$V$: mixing")
    image.set_label("Size of the element (day$^{-1}$)")
    return image


def dense_error_figure(errors: pd.DataFrame, ax: Axes) -> Axes:
    """Worst relative error of a dense solution in any pool against the e-folding depth of decomposition.

    Parameters
    ----------
    errors : DataFrame
        One row for each draw: `efolding` (m), `error` (1), `singular` (whether the matrix is singular to double
        precision) and `configuration`.
    """
    for colour, (name, each) in zip(CYCLE, errors.groupby("configuration", sort=False), strict=False):
        for singular, part in each.groupby("singular"):
            style = {"marker": "x", "s": 14, "lw": 0.8} if singular else {"marker": "o", "s": 9, "lw": 0}
            label = f"{name}, {'singular' if singular else 'regular'} ({len(part) / len(each):.0%})"
            error = np.maximum(part["error"], 1e-16)
            ax.scatter(part["efolding"], error, color=colour, alpha=0.6, label=label, **style)
    ax.set(xscale="log", yscale="log", xlabel="e-folding depth of decomposition (m)")
    ax.set_ylabel("Worst relative error of a pool")
    ax.legend(fontsize=8, loc="upper right", frameon=True)
    return ax


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


def sd_ratio_bars(
    sd_ratio: NDArray, names: Sequence[str], ax: Axes, constrained_below: float = CONSTRAINED_BELOW
) -> Axes:
    """Linearised posterior over prior standard deviation by parameter, (n_parameters, n): bars to the median over
    profiles, lines over the middle half of them.
    """
    low, median, high = np.quantile(sd_ratio, [0.25, 0.5, 0.75], axis=1)
    place = np.arange(len(names))[::-1]
    ax.barh(place, median, color=np.where(median < constrained_below, GREEN, GREY))
    if sd_ratio.shape[1] > 1:
        ax.hlines(place, low, high, color=INK, lw=1.2)
    ax.axvline(1.0, color=INK, lw=0.8)
    ax.axvline(constrained_below, color=INK, lw=0.8, ls="--")
    ax.set(
        yticks=place,
        yticklabels=names,
        xlabel="Linearised posterior sd / prior sd (median and middle half of the profiles)",
        xlim=(0.0, 1.05),
        ylim=(-0.6, len(names) - 0.4),
    )
    return ax


def contraction_scatter(
    linearised: NDArray, sampled: NDArray, names: Sequence[str], ax: Axes, constrained_below: float = CONSTRAINED_BELOW
) -> Axes:
    """Sampled against linearised posterior sd over prior sd, (n_parameters, n) each, as medians over the profiles.

    Parameters that either finds told, or on whose ratios the two differ by more than a tenth, are named.
    """
    across, up = np.median(linearised, axis=1), np.median(sampled, axis=1)
    least = min(across.min(), up.min()) - 0.06
    limits = least, 1.04
    ax.plot(limits, limits, color=INK, lw=0.8, ls="--", zorder=1)
    for place in (ax.axvline, ax.axhline):
        place(constrained_below, color=GREY, lw=0.8, ls=":", zorder=1)
    told = (across < constrained_below) | (up < constrained_below)
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
        From `proda.model.age.traceability`. Limits that act nowhere are left out.
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
    return [limit for limit in reversed(LIMITS) if (found[f"{limit}_factor"] != 1.0).any()]


def _names(found: xr.Dataset, names: ArrayLike | None) -> list[str]:
    return [str(name) for name in (np.arange(1, found.sizes["column"] + 1) if names is None else names)]
