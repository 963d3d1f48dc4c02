"""Figures of the matrix model: grids, pools and matrices; speed; responses, ages, residence times, elasticities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, TwoSlopeNorm
from matplotlib.image import AxesImage
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from numpy.typing import ArrayLike, NDArray

from proda.figures.style import CYCLE, INK, colour_bar
from proda.model.age import LIMITS
from proda.model.configuration import DAYS_PER_YEAR, PAPER_COLUMN, Column
from proda.model.solver import POOLS

_COLOURS = ("#8c6d31", "#b5cf6b", "#8ca252", "#637939", "#9ecae1", "#3182bd", "#08306b")
_LABELS = "Woody debris, Metabolic litter, Cellulose litter, Lignin litter, Fast SOC, Slow SOC, Passive SOC".split(", ")
POOL_COLOUR, POOL_LABEL = (dict(zip(POOLS, values, strict=True)) for values in (_COLOURS, _LABELS))
LIMIT_COLOUR = dict(zip(LIMITS, ["#D55E00", "#0072B2", "#56B4E9", "#009E73", "#8c6d31"], strict=True))


def grid_figure(ax: Axes, column: Column = PAPER_COLUMN) -> Axes:
    """Layers as bands and nodes as points, depth downwards."""
    for j, (top, bottom) in enumerate(zip(column.top, column.bottom, strict=True)):
        ax.axhspan(top, bottom, color="#e5d8c3" if j % 2 else "#cbb592", lw=0)
    ax.plot(np.full(column.n_layers, 0.5), column.node, "o", ms=3.5, color=INK)
    ax.set(xlim=(0, 1), ylim=(column.bottom[-1], 0), xticks=[], ylabel="Depth (m)", title=column.name)
    return ax


def pool_profiles(pools: NDArray, ax: Axes, column: Column = PAPER_COLUMN) -> Axes:
    """Carbon density of the seven pools of one column against depth, (7, n_layers), g C m-3, on a log axis."""
    density = np.where(pools > 1e-3, pools / 1000.0, np.nan)
    _pool_lines(density, ax, column)
    ax.set(xlabel="Carbon (kg C m$^{-3}$)")
    return ax


def age_profiles(age: NDArray, soil: NDArray, ax: Axes, column: Column = PAPER_COLUMN) -> Axes:
    """Mean ages in one column against depth on a log axis, yr: of the pools, (7, n_layers), and of SOC, (n_layers,)."""
    _pool_lines(age, ax, column)
    ax.plot(soil, column.node, color=INK, ls="--", lw=1.5, label="All SOC")
    ax.set(xlabel="Mean age (yr)")
    ax.legend(fontsize=8)
    return ax


def _pool_lines(values: NDArray, ax: Axes, column: Column) -> None:
    for pool, profile in zip(POOLS, values, strict=True):
        ax.plot(profile, column.node, "o-", ms=3, color=POOL_COLOUR[pool], label=POOL_LABEL[pool])
    ax.set(xscale="log", ylim=(column.bottom[-1], 0), ylabel="Depth (m)")
    ax.legend(fontsize=8)


def transfer_figure(matrices: xr.Dataset, ax: Axes, column: int = 0) -> Axes:
    """The matrix A of `labelled_matrices` in percent: where decayed carbon goes; the last row is respired."""
    a = matrices["A"].isel(column=column).transpose("pool", "donor").values
    names = list(matrices["pool"].values)
    passed = np.vstack([np.where(a > 0.0, a, 0.0), -a.sum(axis=0)])
    ax.imshow(passed, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for i, j in np.argwhere(passed > 5e-4):
        colour = "white" if passed[i, j] > 0.6 else INK
        ax.annotate(f"{100.0 * passed[i, j]:.3g}", (j, i), ha="center", va="center", fontsize=8.5, color=colour)
    ax.axhline(len(names) - 0.5, color=INK, lw=1)
    ax.set(xticks=range(len(names)), xticklabels=names, yticks=range(len(names) + 1), yticklabels=[*names, "CO$_2$"])
    ax.set(xlabel="Carbon that decays in", ylabel="goes to", title="$A$: transfer (%)")
    return ax


def decay_figure(matrices: xr.Dataset, ax: Axes, column: int = 0) -> Axes:
    """Turnover time of each pool against depth, one over K of `labelled_matrices`, yr."""
    years = 1.0 / (DAYS_PER_YEAR * matrices["K"].isel(column=column))
    for pool in ("CWD", "L1", "L2", "S1", "S2", "S3"):
        label = "Cellulose, lignin litter" if pool == "L2" else POOL_LABEL[pool]
        ax.plot(years.sel(pool=pool), matrices["node_depth"], "o-", ms=2.5, color=POOL_COLOUR[pool], label=label)
    ax.set(xscale="log", xlabel="Turnover time (yr)", ylabel="Depth (m)", title="$K$: decay")
    ax.invert_yaxis()
    ax.legend(fontsize=7.5)
    return ax


def mixing_figure(matrices: xr.Dataset, ax: Axes, column: int = 0) -> AxesImage:
    """Absolute elements of V of `labelled_matrices`, day-1; the image, for `colour_bar`."""
    v = np.abs(matrices["V"].isel(column=column).transpose("layer", "neighbour").values)
    size = np.where(v == 0.0, np.nan, v)
    # Where nothing mixes the scale has no ends.
    ends = (np.nanmin(size), np.nanmax(size)) if np.isfinite(size).any() else (1e-7, 1e-3)
    image = ax.imshow(size, cmap="cividis", norm=LogNorm(*ends))
    number = np.arange(0, len(v), 1 if len(v) <= 10 else 4)
    ax.set(xticks=number, yticks=number, xticklabels=number + 1, yticklabels=number + 1)
    ax.set(xlabel="Layer", ylabel="Layer", title="$V$: mixing")
    image.set_label("Size of the element (day$^{-1}$)")
    return image


def response_figure(responses: dict[str, NDArray], ax: Axes) -> Axes:
    """Change of soil carbon, `soc_response` by label, (years + 1, n), in percent: median and 80 % of the columns."""
    for colour, (label, relative) in zip(CYCLE, responses.items(), strict=False):
        low, middle, high = np.quantile(100.0 * (relative - 1.0), [0.1, 0.5, 0.9], axis=1)
        years = np.arange(len(relative))
        ax.fill_between(years, low, high, color=colour, alpha=0.2, lw=0)
        ax.plot(years, middle, color=colour, lw=2)
        ax.annotate(f" {label}", (years[-1], middle[-1]), color=colour, va="center", fontsize=9)
    ax.axhline(0.0, color=INK, lw=0.8)
    ax.set(xlim=(0, 1.22 * years[-1]), xlabel="Years since the change", ylabel="Change of soil carbon (%)")
    return ax


def residence_steps(factors: xr.Dataset, names: Sequence[str], ax: Axes) -> Axes:
    """From the baseline residence time of places to the actual one, limit by limit (of `traceability`), log axis."""
    limits = [limit for limit in reversed(LIMITS) if (factors[f"{limit}_factor"] != 1.0).any()]
    years = np.asarray(factors["baseline_residence_time"])
    width, left = 0.8 / len(limits), np.arange(years.size) - 0.4
    levels = [years]
    for k, limit in enumerate(limits):
        before, years = years, years / np.asarray(factors[f"{limit}_factor"])
        colour = LIMIT_COLOUR[limit]
        ax.bar(left + k * width, years - before, width, before, align="edge", color=colour, label=limit.capitalize())
        levels.append(years)
    for x, y in zip(left + 0.8 - 0.5 * width, years, strict=True):
        ax.annotate(f"{y:.3g}", (x, y), (0, 3), textcoords="offset points", ha="center", fontsize=8)
    ax.hlines(levels[0], left, left + 0.8, color=INK, lw=1, zorder=3)
    ax.set(yscale="log", ylabel="Residence time (yr)", ylim=(0.8 * np.nanmin(levels), 1.25 * np.nanmax(levels)))
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_xticks(np.arange(years.size), list(names))
    ax.legend(ncols=len(limits), loc="lower left", bbox_to_anchor=(0.0, 1.0), columnspacing=1.2)
    return ax


def elasticity_heat_map(elasticity: NDArray, depth: ArrayLike, names: Sequence[str], ax: Axes) -> Axes:
    """Relative change of SOC over each parameter's range, (n_depths, n_parameters), at the depths (m) of a profile."""
    reach = float(np.quantile(np.abs(elasticity), 0.95)) or 1.0
    image = ax.pcolormesh(
        np.arange(len(names)), depth, elasticity, cmap="RdBu_r", norm=TwoSlopeNorm(0.0, -reach, reach)
    )
    colour_bar(image, ax, "Relative change of SOC\nover the parameter's range (1)", extend="both")
    ax.set_xticks(np.arange(len(names)), names, rotation=90)
    ax.set(ylabel="Depth (m)")
    ax.invert_yaxis()
    return ax
