"""Figures of the assimilation: posteriors, the convergence of chains, the fit of sites, and maps of site results.

ArviZ is 0.x on Python 3.11 and 1.x from 3.12: what differs between them is here, in `trace_figure`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from proda.assimilation.chains import SiteProblem
from proda.assimilation.sbc import outside_band, rank_band, rank_ecdf
from proda.figures import style
from proda.figures.style import CYCLE, INK, METHOD_COLOUR, METHOD_LABEL
from proda.model.configuration import column_of

BLUE, ORANGE, GREEN = CYCLE[0], CYCLE[1], CYCLE[2]
GREY = "#777777"


def trace_figure(tree: xr.DataTree, parameters: Sequence[str]) -> Figure:
    """ArviZ's density and trace of every chain of a posterior (`proda.assimilation.results`)."""
    import arviz as az  # takes seconds

    which = {"var_names": ["x"], "coords": {"parameter": list(parameters)}, "compact": False}
    # Not `rc_context`: on leaving it undoes what the first figure of a notebook sets up, and later ones stay unseen.
    layout = plt.rcParams["figure.constrained_layout.use"]
    plt.rcParams["figure.constrained_layout.use"] = False
    try:
        if az.__version__.startswith("0."):
            groups = {name: node.to_dataset() for name, node in tree.children.items()}
            az.plot_trace(az.InferenceData(**groups), combined=False, **which)
        else:
            az.plot_trace_dist(tree, backend="matplotlib", **which)
    finally:
        plt.rcParams["figure.constrained_layout.use"] = layout
    figure = plt.gcf()
    figure.set_size_inches(8.6, 1.7 * len(parameters))
    for ax in figure.axes:
        for text in (ax.title, ax.xaxis.label, ax.yaxis.label):
            # All parameters are elements of `x`.
            text.set_text(text.get_text().removeprefix("x\n").removeprefix("x[").removesuffix("]"))
            text.set_fontsize(10)
        ax.tick_params(labelsize=8)
        if ax.get_legend():
            ax.get_legend().remove()
    figure.tight_layout()
    return figure


def parameter_intervals(x: NDArray, names: Sequence[str], defaults: NDArray, ax: Axes) -> Axes:
    """90 % and 50 % intervals of every parameter on the range of its prior, the median of each chain, and the default.

    The draws x (n_chains, n_draws, n_parameters) and CLM's `defaults` (n_parameters,), marked where they lie between
    the bounds, are on the unit cube.
    """
    low, lower, middle, upper, high = np.quantile(x.reshape(-1, len(names)), [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
    place = np.arange(len(names))[::-1]
    ax.hlines(place, low, high, color=BLUE, lw=1.2, label="90 % of the posterior")
    ax.hlines(place, lower, upper, color=BLUE, lw=4, label="50 %")
    ax.plot(middle, place, "o", ms=4, color="white", mec=BLUE)
    for k, chain in enumerate(np.median(x, axis=1)):
        ax.plot(chain, place, "|", ms=9, mew=1.4, color="black", label=None if k else "median of a chain")
    inside = (defaults >= 0) & (defaults <= 1)
    ax.plot(defaults[inside], place[inside], "D", ms=4, color=ORANGE, label="CLM default")
    ax.set(yticks=place, yticklabels=names, xlim=(-0.02, 1.02), xlabel="Position between the bounds of the prior")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, fontsize=8)
    return ax


def convergence_histograms(status: pd.DataFrame, limit: float, ess_limit: float = 400.0) -> Figure:
    """R-hat, effective sample sizes and acceptance over all sites, the worst parameter of each site.

    `status` is the table of `site_status.csv`, `limit` that of R-hat, `ess_limit` that of effective sample sizes.
    """
    figure, axes = plt.subplots(1, 3, figsize=(9.5, 2.8))
    end = float(np.clip(status["rhat_max"].quantile(0.99), 3.0 * limit - 2.0, 2.0))
    axes[0].hist(status["rhat_max"].clip(upper=end), bins=np.linspace(1.0, end, 41), color=BLUE)
    axes[0].axvline(limit, color=ORANGE, ls="--", label=f"limit {limit:g}")
    axes[0].set(xlabel="R-hat (last bar: and above)", ylabel="Sites")
    axes[0].legend(fontsize=8)
    bulk, tail = status["ess_bulk_min"].dropna(), status["ess_tail_min"].dropna()
    bins = np.geomspace(max(min(bulk.min(), tail.min()), 1.0), max(bulk.max(), tail.max()) + 1.0, 40)
    axes[1].hist(bulk, bins=bins, color=BLUE, label="bulk")
    axes[1].hist(tail, bins=bins, color=ORANGE, histtype="step", lw=1.2, label="tail")
    axes[1].axvline(ess_limit, color=INK, ls=":", lw=1.0, label=f"limit {ess_limit:g}")
    axes[1].set(xscale="log", xlabel="Effective sample size of the worst parameter")
    style.label_plainly(axes[1].xaxis)
    axes[1].legend(fontsize=8, frameon=True, framealpha=1.0, edgecolor="none")
    axes[2].hist(status["acceptance"], bins=40, color=BLUE)
    axes[2].axvspan(0.15, 0.5, color=GREEN, alpha=0.15, lw=0)
    axes[2].set(xlabel="Acceptance of the kept part")
    return figure


def fit_histogram(status: pd.DataFrame, ax: Axes) -> Axes:
    """Model efficiency of the mean profile of every site, cut at -1; negative sites are excluded downstream."""
    value = status["efficiency"].clip(lower=-1.0).dropna()
    bins = np.linspace(-1, 1, 41)
    ax.hist(value[value >= 0], bins=bins, color=BLUE, label="used downstream")
    ax.hist(value[value < 0], bins=bins, color=ORANGE, label="excluded (-1 and below in the first bar)")
    ax.set(xlabel="Model efficiency of the mean modelled profile", ylabel="Sites")
    ax.legend(fontsize=8, loc="upper center")
    return ax


def site_profiles(problem: SiteProblem, sites: xr.Dataset, chosen: Sequence[int]) -> Figure:
    """Observed layers with their standard deviation, and the mean modelled profile with one sd, for a few sites."""
    figure, axes = plt.subplots(1, len(chosen), figsize=(2.4 * len(chosen), 3.3), sharey=True, squeeze=False)
    deepest = max(problem.depth[problem.site == site].max() for site in chosen)
    node = column_of(sites.sizes["layer"]).node
    node = node[: np.searchsorted(node, 1.15 * deepest) + 1]  # what lies below would set the scale
    for ax, site in zip(axes[0], chosen, strict=True):
        mean, sd = (sites[name].values[site, : node.size] / 1000.0 for name in ("soc_mean", "soc_sd"))
        ax.fill_betweenx(node, np.maximum(mean - sd, 0), mean + sd, color=BLUE, alpha=0.2, lw=0)
        ax.plot(mean, node, color=BLUE, label="model")
        here = problem.site == site
        observed, error = problem.soc[here] / 1000.0, problem.sd[here] / 1000.0
        ax.errorbar(observed, problem.depth[here], xerr=error, fmt="ko", ms=4, lw=1, label="observed")
        ax.set_title(f"{problem.profile_id[site]}\nefficiency {float(sites['efficiency'][site]):.2f}", fontsize=8.5)
        ax.set(xlabel="SOC (kg C m$^{-3}$)", xlim=(0, None))
    axes[0, 0].set(ylim=(1.15 * deepest, 0), ylabel="Depth (m)")
    axes[0, 0].legend(fontsize=8)
    return figure


def site_map(values: xr.DataArray, label: str = "", colours: str = "viridis") -> Axes:
    """A variable of the sites on the map: ``site_map(sites["x_sd"].sel(parameter="q10"))``.

    `values` (site,) have the coordinates `lon` and `lat`; NaN is left out. `label` is that of the colour bar, if left
    out parameter, name and unit from the coordinates and attributes.
    """
    if not label:
        parameter = f"{values['parameter'].item()}, " if "parameter" in values.coords else ""
        unit = values.attrs.get("units", "1")
        label = f"{parameter}{values.attrs.get('long_name', values.name)}" + ("" if unit == "1" else f" ({unit})")
    ax = style.map_axes(values)
    dots = style.draw_sites(values, values, ax, style.Quantity(label, colours, None))
    style.colour_bar(dots, ax, orientation="horizontal", shrink=0.75, extend=style.beyond_ends(values, dots.norm))
    return ax


_NAMED = 6  # parameters in the legend, at most


def sbc_figure(ranks: Mapping[str, NDArray], names: Sequence[str]) -> Figure:
    """Distribution of the ranks of the truth less the uniform one, one axes each for several error models.

    The band holds all points of all parameters with a probability of 95 % where the ranks are uniform. A line above
    zero at small ranks: the truth is too often below the posterior; an S that rises first: the posterior is too narrow.
    Parameters that leave the band are coloured, those farthest out are named. `ranks` gives the number of `N_RANKED`
    draws below the truth, (n, n_parameters), by title.
    """
    figure, axes = plt.subplots(1, len(ranks), figsize=(4.7 * len(ranks), 3.6), sharey=True, squeeze=False)
    for ax, (title, values) in zip(axes[0], ranks.items(), strict=True):
        _draw_rank_ecdf(values, names, ax)
        ax.set_title(title)
    limit = 1.25 * max(abs(end) for ax in axes[0] for end in ax.get_ylim())
    axes[0, 0].set(ylim=(-limit, limit), ylabel="Share of ranks below, less the uniform")
    return figure


def _draw_rank_ecdf(ranks: NDArray, names: Sequence[str], ax: Axes) -> None:
    z, low, high = rank_band(*ranks.shape)
    away = rank_ecdf(ranks) - z[:, None]
    outside = outside_band(ranks)
    ax.fill_between(z, low - z, high - z, color=CYCLE[5], alpha=0.3, lw=0, zorder=1)
    ax.axhline(0.0, color=INK, lw=0.8, zorder=1.5)
    ax.plot(z, away[:, ~outside], color=GREY, lw=0.7, zorder=2)
    out = [k for k in np.argsort(-np.abs(away).max(axis=0)) if outside[k]]
    ax.plot(z, away[:, out[_NAMED:]], color=ORANGE, lw=0.7, zorder=2.2)
    for colour, k in zip((*CYCLE[:5], CYCLE[6]), out[:_NAMED], strict=False):
        ax.plot(z, away[:, k], color=colour, lw=1.4, label=names[k], zorder=2.5)
    if out:
        title = f"outside ({len(out)})" if len(out) <= _NAMED else f"farthest outside\n(of {len(out)})"
        ax.legend(title=title, fontsize=8, title_fontsize=8, loc="upper right", ncols=2)
    ax.set(xlim=(0, 1), xlabel="Rank of the truth among the draws (0 to 1)")


BINS = np.linspace(0.0, 1.0, 26)


def parameter_densities(modes: NDArray, names: Sequence[str], one_batch: NDArray | None = None) -> Figure:
    """Fig. S5: densities of the most likely values of all sites, and of the one-batch posterior, one axes a parameter.

    The common vertical axis fits three axes in four; a bar that goes beyond is cut there and marked by an arrow
    and the height. `modes` (n_sites, n_parameters; NaN is left out) and the draws `one_batch` (n_draws, n_parameters)
    are on the unit cube.
    """
    figure = plt.figure(figsize=(8.4, 1.5 * -(-len(names) // 5) + 0.9))
    axes = figure.subplots(-(-len(names) // 5), 5, sharex=True, sharey=True, squeeze=False)
    heights = []
    for i, (name, ax) in enumerate(zip(names, axes.flat, strict=False)):
        sites = modes[np.isfinite(modes[:, i]), i]
        label = f"{METHOD_LABEL['site-by-site']}: most likely value of each site"
        look = {"color": METHOD_COLOUR["site-by-site"], "alpha": 0.55}
        height = ax.hist(sites, BINS, density=True, label=label, **look)[0].max()
        if one_batch is not None:
            look = {"histtype": "step", "color": METHOD_COLOUR["one-batch"], "lw": 1.6}
            label = f"{METHOD_LABEL['one-batch']}: posterior"
            height = max(height, ax.hist(one_batch[:, i], BINS, density=True, label=label, **look)[0].max())
        ax.axhline(1.0, color=INK, lw=0.6, ls=":", label="Uniform prior")
        ax.set_title(name, fontsize=9, pad=3)
        ax.set(xlim=(0, 1), xticks=[0, 0.5, 1])
        ax.tick_params(labelsize=8)
        heights.append(height)
    top = 1.05 * float(np.quantile(heights, 0.75))
    axes[0, 0].set_ylim(0, top)
    for height, ax in zip(heights, axes.flat, strict=False):
        if height > top:
            ax.text(0.97, 0.96, f"\u25b4 {height:.0f}", transform=ax.transAxes, ha="right", va="top", fontsize=8)
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    figure.supxlabel("Position between the bounds of the prior (0 to 1)", fontsize=9.5)
    figure.supylabel("Density (1)", fontsize=9.5)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=8.5)
    return figure
