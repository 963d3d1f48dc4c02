"""Figures of the assimilation: what the data tell about each parameter, how chains converged, how sites are fitted."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from proda.assimilation.prior import CONSTRAINED_BELOW
from proda.assimilation.site_problem import SiteProblem
from proda.figures.style import label_plainly
from proda.model.column import PAPER_COLUMN

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#888888"


def parameter_intervals(
    x: NDArray, names: list[str], defaults: NDArray, ax: Axes, chains: NDArray | None = None
) -> Axes:
    """90 % and 50 % intervals of every parameter on the unit cube, (n_draws, n_parameters), and CLM's default.

    With `chains` (n_chains, n_draws, n_parameters) the median of each is marked: far apart where they disagree.
    """
    low, lower, middle, upper, high = np.quantile(x, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
    place = np.arange(len(names))[::-1]
    ax.hlines(place, low, high, color=BLUE, lw=1.2, label="90 % of the posterior")
    ax.hlines(place, lower, upper, color=BLUE, lw=4, label="50 %")
    ax.plot(middle, place, "o", ms=4, color="white", mec=BLUE)
    for k, one in enumerate(np.median(chains, axis=1) if chains is not None else []):
        ax.plot(one, place, "|", ms=9, mew=1.4, color="black", label=None if k else "median of a chain")
    inside = (defaults >= 0) & (defaults <= 1)
    ax.plot(defaults[inside], place[inside], "D", ms=4, color=ORANGE, label="CLM default")
    ax.set(yticks=place, yticklabels=names, xlim=(-0.02, 1.02), xlabel="Position between the bounds of the prior")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8)
    return ax


def constraint_bars(ratio: NDArray, names: list[str], ax: Axes) -> Axes:
    """Posterior over prior standard deviation of every parameter, (n_parameters,): 1 says nothing was learned."""
    place = np.arange(len(names))[::-1]
    ax.barh(place, ratio, color=np.where(ratio < CONSTRAINED_BELOW, GREEN, GREY))
    ax.axvline(1.0, color="#333333", lw=0.8)
    ax.set(
        yticks=place,
        yticklabels=names,
        xlabel="Posterior sd / prior sd (mean over sites)",
        ylim=(-0.6, len(names) - 0.4),
    )
    return ax


def convergence_histograms(status: pd.DataFrame, limit: float) -> Figure:
    """R-hat, effective sample sizes and acceptance over all sites, the worst parameter of each site."""
    figure, axes = plt.subplots(1, 3, figsize=(9.5, 2.8))
    rhat = status["rhat_max"].clip(upper=2.0)
    axes[0].hist(rhat, bins=np.linspace(1.0, 2.0, 41), color=BLUE)
    axes[0].axvline(limit, color=ORANGE, ls="--", label=f"limit {limit:g}")
    axes[0].set(xlabel="R-hat of the worst parameter", ylabel="Sites")
    axes[0].legend(fontsize=8)
    bulk, tail = status["ess_bulk_min"].dropna(), status["ess_tail_min"].dropna()
    bins = np.geomspace(max(min(bulk.min(), tail.min()), 1.0), max(bulk.max(), tail.max()) + 1.0, 40)
    axes[1].hist(bulk, bins=bins, color=BLUE, label="bulk")
    axes[1].hist(tail, bins=bins, color=ORANGE, histtype="step", lw=1.2, label="tail")
    axes[1].axvline(400.0, color="#333333", ls=":", lw=1.0, label="400")
    axes[1].set(xscale="log", xlabel="Effective sample size of the worst parameter")
    label_plainly(axes[1].xaxis)
    axes[1].legend(fontsize=8, frameon=True, framealpha=1.0, edgecolor="none")
    axes[2].hist(status["acceptance"], bins=40, color=BLUE)
    axes[2].axvspan(0.15, 0.5, color=GREEN, alpha=0.15, lw=0)
    axes[2].set(xlabel="Acceptance of the kept part")
    return figure


def fit_histogram(status: pd.DataFrame, ax: Axes) -> Axes:
    """1:1 efficiency of the mean profile of every site, cut at -1; negative sites are excluded downstream."""
    value = status["efficiency"].clip(lower=-1.0).dropna()
    ax.hist(value[value >= 0], bins=np.linspace(-1, 1, 41), color=BLUE, label="used downstream")
    ax.hist(
        value[value < 0], bins=np.linspace(-1, 1, 41), color=ORANGE, label="excluded (-1 and below in the first bar)"
    )
    ax.set(xlabel="1:1 efficiency of the mean modelled profile", ylabel="Sites")
    ax.legend(fontsize=8, loc="upper center")
    return ax


def site_profiles(problem: SiteProblem, sites: xr.Dataset, chosen: list[int]) -> Figure:
    """Observed layers with their standard deviation, and the mean modelled profile with one sd, for a few sites."""
    figure, axes = plt.subplots(1, len(chosen), figsize=(2.4 * len(chosen), 3.3), sharey=True, squeeze=False)
    for ax, site in zip(axes[0], chosen, strict=True):
        mean, sd = (sites[name].values[site] / 1000.0 for name in ("soc_mean", "soc_sd"))
        ax.fill_betweenx(PAPER_COLUMN.node, np.maximum(mean - sd, 0), mean + sd, color=BLUE, alpha=0.2, lw=0)
        ax.plot(mean, PAPER_COLUMN.node, color=BLUE, label="model")
        here = problem.site == site
        observed, error = problem.soc[here] / 1000.0, problem.sd[here] / 1000.0
        ax.errorbar(observed, problem.depth[here], xerr=error, fmt="ko", ms=4, lw=1, label="observed")
        ax.set_title(f"{problem.profile_id[site]}\nefficiency {float(sites['efficiency'][site]):.2f}", fontsize=8.5)
        ax.set(xlabel="SOC (kg C m$^{-3}$)", xlim=(0, None))
    deepest = max(problem.depth[problem.site == site].max() for site in chosen)
    axes[0, 0].set(ylim=(1.15 * deepest, 0), ylabel="Depth (m)")
    axes[0, 0].legend(fontsize=8)
    return figure


def recovery_bars(correlation: pd.Series, ax: Axes) -> Axes:
    """Correlation over sites of posterior means with the true parameters, by parameter, in their order."""
    place = np.arange(len(correlation))[::-1]
    ax.barh(place, correlation, color=np.where(correlation > 0.3, GREEN, GREY))
    ax.set(yticks=place, yticklabels=correlation.index, xlabel="Correlation with the truth over sites", xlim=(-0.2, 1))
    ax.set_ylim(-0.6, len(correlation) - 0.4)
    return ax
