"""ArviZ's diagnostic figures, with whichever ArviZ is installed (0.x on Python 3.11, 1.x from 3.12).

Each function takes an object from `assimilation.posterior.inference_data` and the names of a few parameters, and
returns the figure. `kind` and probabilities are always given: their defaults differ between the two.

Figures of the assimilation: what the data tell about each parameter, how chains converged, how sites are fitted.

Maps of what is known of every site: any variable of `sites.zarr` in one line, and how the chains converged.

Figures of calibration: ranks of the truth against the uniform, and how often intervals hold what they should.

Figures that compare ways to assimilate, and that show what they cost.

Fig. S5: the most likely values of all sites together, against the posterior of one set of parameters for all.

Fig. S5: how far the profiles narrow each parameter, beside what the paper found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from proda.assimilation.problem import SiteProblem
from proda.assimilation.results import ABOVE, AT_MOST, PRIOR_VARIANCE, PUBLISHED_ABOVE, PUBLISHED_AT_MOST
from proda.assimilation.results import CLASSIC_ARVIZ as CLASSIC
from proda.assimilation.sbc import outside_band, rank_band, rank_ecdf
from proda.figures.style import (
    CYCLE,
    INK,
    METHOD_COLOUR,
    METHOD_LABEL,
    Quantity,
    beyond_ends,
    colour_bar,
    draw_sites,
    label_plainly,
    map_axes,
)
from proda.model.configuration import PAPER_COLUMN
from proda.model.parameters import CONSTRAINED_BELOW


def side_by_side(
    figure_of: Callable[..., Figure], looked: Mapping[str, Any], parameters: Sequence[str], **how: Any
) -> Figure:
    """The same figure of several posteriors beside one another, each under its name, for the same parameters.

    The figures are put together as pictures: the two ArviZ lay theirs out by rules of their own.

    Parameters
    ----------
    figure_of : callable
        One of the functions of this module.
    looked : mapping
        Name -> ArviZ object.
    """
    pictures, dpi = [], 2.0 * plt.rcParams["figure.dpi"]
    for data in looked.values():
        one = figure_of(data, parameters, columns=2, **how)
        one.set_dpi(dpi)
        one.canvas.draw()
        pictures.append(np.asarray(one.canvas.buffer_rgba()).copy())
        plt.close(one)
    height, width = (max(picture.shape[side] for picture in pictures) / dpi for side in (0, 1))
    heading = 0.3
    figure = plt.figure(figsize=(width * len(pictures), height + heading), layout="none")
    # The pictures have no words of their own (`alt_text`); what the figure is stands in the first line of its function.
    figure.set_label(f"{(figure_of.__doc__ or figure_of.__name__).splitlines()[0]} Parameters: {', '.join(parameters)}")
    for k, (name, picture) in enumerate(zip(looked, pictures, strict=True)):
        place = (k / len(pictures), 0.0, 1.0 / len(pictures), height / (height + heading))
        ax = figure.add_axes(place)
        ax.imshow(picture, aspect="equal")
        ax.set_anchor("N")
        ax.set_axis_off()
        ax.set_title(name, fontsize=11, fontweight="bold", pad=3)
    return figure


def _drawn(
    draw: Callable[..., Any], data: Any, parameters: Sequence[str], size: tuple[float, float], **how: Any
) -> Figure:
    """What an ArviZ function draws for some parameters of `x`, resized and without its layout engine."""
    how |= {"var_names": ["x"], "coords": {"parameter": list(parameters)}}
    # Not `rc_context`: on leaving it undoes what the first figure of a notebook sets up, and later ones stay unseen.
    layout = plt.rcParams["figure.constrained_layout.use"]
    plt.rcParams["figure.constrained_layout.use"] = False
    try:
        if CLASSIC:
            draw(data, **how)
        else:
            draw(data, backend="matplotlib", **how)
        figure = plt.gcf()
    finally:
        plt.rcParams["figure.constrained_layout.use"] = layout
    figure.set_size_inches(*size)
    for ax in figure.axes:
        ax.set_title(_plain(ax.get_title()), fontsize=10)
        ax.set_xlabel(_plain(ax.get_xlabel()), fontsize=9)
        ax.set_ylabel(_plain(ax.get_ylabel()), fontsize=9)
        ax.tick_params(labelsize=8)
        if ax.get_legend():
            ax.get_legend().remove()
    if draw is not az.plot_pair:
        figure.tight_layout()
    return figure


def _plain(label: str) -> str:
    """The parameter's name alone of a label such as "x, q10": all parameters are elements of `x`."""
    return label.removeprefix("x\n").removeprefix("x[").removesuffix("]")


def _size(n_panels: int, columns: int, row_height: float) -> tuple[float, float]:
    """Inches of a figure of so many panels, 2.1 a column and `row_height` a row."""
    return 2.15 * columns, row_height * -(-n_panels // columns)


def _layout(n_panels: int, columns: int) -> dict[str, Any]:
    """How each ArviZ is told the number of columns."""
    columns = min(columns, n_panels)
    return {"grid": (-(-n_panels // columns), columns)} if CLASSIC else {"col_wrap": columns}


def trace_figure(data: Any, parameters: Sequence[str], columns: int = 4) -> Figure:
    """Value against draw for every chain: chains that have converged look alike and go nowhere."""
    size = (2.15 * columns, (1.7 if columns > 2 else 1.35) * len(parameters))
    if CLASSIC:
        return _drawn(az.plot_trace, data, parameters, size, kind="trace", compact=False, combined=False)
    return _drawn(az.plot_trace_dist, data, parameters, size, compact=False)


def rank_figure(data: Any, parameters: Sequence[str], columns: int = 4) -> Figure:
    """Ranks of each chain among all draws: uniform where the chains sample the same distribution."""
    how = _layout(len(parameters), columns) | ({"kind": "bars"} if CLASSIC else {})
    return _drawn(az.plot_rank, data, parameters, _size(len(parameters), columns, 2.0), **how)


def autocorrelation_figure(data: Any, parameters: Sequence[str], columns: int = 4, max_lag: int = 100) -> Figure:
    """Autocorrelation of the draws, chains combined: how many draws are worth one independent draw."""
    how = _layout(len(parameters), columns) | ({"combined": True} if CLASSIC else {})
    return _drawn(az.plot_autocorr, data, parameters, _size(len(parameters), columns, 2.0), max_lag=max_lag, **how)


def ess_figure(data: Any, parameters: Sequence[str], columns: int = 4) -> Figure:
    """Effective sample size against the number of draws used: grows in a straight line once a chain mixes."""
    size, how = _size(len(parameters), columns, 2.2), _layout(len(parameters), columns)
    if CLASSIC:
        return _drawn(az.plot_ess, data, parameters, size, kind="evolution", min_ess=400, **how)
    return _drawn(az.plot_ess_evolution, data, parameters, size, min_ess=400, **how)


def pair_figure(data: Any, parameters: Sequence[str], columns: int = 4) -> Figure:
    """Posterior of each pair of parameters: which trade off against each other."""
    wide = columns > 2
    width = 1.9 if wide else 4.3 / len(parameters)
    size, dots = (width * len(parameters), 0.95 * width * len(parameters)), {"alpha": 0.2, "s": 3.0}
    if CLASSIC:
        figure = _drawn(az.plot_pair, data, parameters, size, kind="scatter", marginals=True, scatter_kwargs=dots)
    else:
        style = {"scatter": dots}
        figure = _drawn(az.plot_pair, data, parameters, size, marginal=True, marginal_kind="kde", visuals=style)
    if not wide:
        figure.subplots_adjust(left=0.16, right=0.98, bottom=0.11, top=0.98)
        for ax in figure.axes:
            ax.locator_params(nbins=2)
            ax.tick_params(labelsize=7)
    return figure


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


def site_map(
    values: xr.DataArray,
    ax: Axes | None = None,
    label: str = "",
    colours: str = "viridis",
    norm: Normalize | None = None,
    on_top: str = "largest",
) -> Axes:
    """A variable of the sites on the map: ``site_map(sites["x_sd"].sel(parameter="q10"))``.

    Parameters
    ----------
    values : (site,) DataArray
        With the coordinates `lon` and `lat`; NaN is left out.
    ax : Axes, optional
        From `proda.figures.style.map_axes`; a new figure if left out.
    label : str, optional
        Of the colour bar; name and unit from the attributes if left out.
    norm : Normalize, optional
        Colour scale; from the 2 % to the 98 % quantile of the values if left out.
    """
    ax = ax if ax is not None else map_axes()
    size = float(np.clip(12000 / max(values.size, 1), 1.5, 14))
    quantity = Quantity(label or label_of(values), colours, norm)
    dots = draw_sites(values, values, ax, quantity, size=size, on_top=on_top)
    bar = colour_bar(dots, ax, orientation="horizontal", shrink=0.75, extend=beyond_ends(values, dots.norm))
    if isinstance(norm, LogNorm):
        label_plainly(bar.ax.xaxis)
    return ax


def label_of(values: xr.DataArray) -> str:
    """What a variable is, with its parameter where one has been selected, and its unit."""
    name = str(values.attrs.get("long_name", values.name or ""))
    chosen = [
        str(values[key].values) for key in ("parameter", "statistic") if key in values.coords and values[key].ndim == 0
    ]
    unit = str(values.attrs.get("units", "1"))
    about = ", ".join([*chosen, name])
    return about if unit == "1" else f"{about} ({unit})"


def convergence_maps(sites: xr.Dataset, rhat_limit: float, figure: Figure | None = None) -> Figure:
    """Where the chains mix and where they do not: R-hat and effective sample size of each site's worst parameter.

    Parameters
    ----------
    sites : Dataset
        `rhat`, `ess_bulk`, `ess_tail` (site, parameter), with the coordinates `lon` and `lat`.
    rhat_limit : float
        The scale of R-hat ends at five times its distance from one, or where nine sites in ten lie below, if farther.
    """
    figure = figure if figure is not None else plt.figure(figsize=(9.5, 3.9))
    rhat = sites["rhat"].max("parameter")
    ess = np.fmin(sites["ess_bulk"], sites["ess_tail"]).min("parameter")
    scale = Normalize(1.0, max(1.0 + 5.0 * (rhat_limit - 1.0), float(rhat.quantile(0.9))))
    site_map(rhat, map_axes(figure, (1, 2, 1)), "R-hat of the worst parameter", "viridis_r", scale)
    low, high = np.nanquantile(ess, [0.02, 0.98])
    scale = LogNorm(max(low, 1.0), max(high, low + 1.0))
    label = "Effective sample size of the worst parameter, bulk or tail"
    site_map(ess, map_axes(figure, (1, 2, 2)), label, "viridis", scale, on_top="smallest")
    return figure


_NAMED = 6  # parameters in the legend, at most


def rank_ecdf_axes(ranks: NDArray, n_ranked: int, names: Sequence[str], ax: Axes) -> Axes:
    """Distribution of the ranks (n, n_parameters) of the truth, less the uniform one, and the band for all parameters.

    A line above zero at small ranks says that the truth is too often below the posterior; an S that rises first, that
    the posterior is too narrow. Parameters that leave the band are coloured, those farthest out are named.
    """
    band, ecdf = rank_band(len(ranks), n_ranked, len(names)), rank_ecdf(ranks, n_ranked)
    outside = outside_band(ranks, n_ranked)
    ax.fill_between(band.z, band.low - band.z, band.high - band.z, color=CYCLE[5], alpha=0.3, lw=0, zorder=1)
    ax.axhline(0.0, color=INK, lw=0.8, zorder=1.5)
    away = ecdf - band.z[:, None]
    order = np.argsort(-np.abs(away).max(axis=0))
    out = [k for k in order if outside[k]]
    ax.plot(band.z, away[:, ~outside], color="#777777", lw=0.7, zorder=2)
    for k in out[_NAMED:]:
        ax.plot(band.z, away[:, k], color="#D55E00", lw=0.7, zorder=2.2)
    for colour, k in zip((*CYCLE[:5], CYCLE[6]), out[:_NAMED], strict=False):
        ax.plot(band.z, away[:, k], color=colour, lw=1.4, label=names[k], zorder=2.5)
    if out:
        title = f"outside ({len(out)})" if len(out) <= _NAMED else f"farthest outside\n(of {len(out)})"
        ax.legend(title=title, fontsize=8, title_fontsize=8, loc="upper right", ncols=2)
    ax.set(xlim=(0, 1), xlabel="Rank of the truth among the draws (0 to 1)")
    return ax


def sbc_figure(ranks: Mapping[str, NDArray], n_ranked: int, names: Sequence[str]) -> Figure:
    """`rank_ecdf_axes` of several calibrations side by side, by their names, on one scale."""
    figure, axes = plt.subplots(1, len(ranks), figsize=(4.7 * len(ranks), 3.6), sharey=True, squeeze=False)
    for ax, (name, values) in zip(axes[0], ranks.items(), strict=True):
        rank_ecdf_axes(values, n_ranked, names, ax).set_title(name)
    reach = 1.25 * max(abs(end) for ax in axes[0] for end in ax.get_ylim())
    axes[0, 0].set(ylim=(-reach, reach), ylabel="Share of ranks below, less the uniform")
    return figure


def coverage_figure(shares: Mapping[str, pd.Series], layers: pd.Series, ax: Axes, nominal: float = 0.9) -> Axes:
    """Shares of intervals that hold what they should, by depth, with the 95 % interval of such a share of so many.

    Parameters
    ----------
    shares : mapping
        Name -> share by depth, in the order of `layers`.
    layers : Series
        Number of intervals by depth.
    """
    rows = np.arange(len(layers), dtype=float)
    markers = "osD^v<"
    for k, (name, share) in enumerate(shares.items()):
        value = share.to_numpy(float)
        low, high = _binomial_interval(value, layers.to_numpy())
        place = rows + 0.14 * (k - 0.5 * (len(shares) - 1))
        ax.errorbar(
            100 * value,
            place,
            # A share of 1 is the end of its interval, but for rounding.
            xerr=100 * np.maximum(0.0, [value - low, high - value]),
            fmt=markers[k % 6],
            color=CYCLE[k % 5],
            ms=5,
            lw=1.2,
            label=name,
        )
    ax.axvline(100 * nominal, color=INK, lw=0.8, ls="--", zorder=1)
    ax.set_yticks(rows, [f"{depth}\n({n:,})" for depth, n in layers.items()])
    ax.set(
        ylim=(len(layers) - 0.5, -0.5),
        xlabel=f"Intervals of {100 * nominal:.0f} % that hold it (%)",
        ylabel="Depth (layers)",
    )
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=1 if len(shares) < 3 else 2, fontsize=8.5)
    return ax


def _binomial_interval(share: NDArray, n: NDArray) -> tuple[NDArray, NDArray]:
    """Wilson's interval of 95 %, which ends at 0 and 1."""
    z2 = 1.96**2
    middle, half = share + z2 / (2 * n), 1.96 * np.sqrt(share * (1.0 - share) / n + z2 / (4 * n**2))
    return (middle - half) / (1.0 + z2 / n), (middle + half) / (1.0 + z2 / n)


def variants_figure(table: pd.DataFrame, columns: Mapping[str, str]) -> Figure:
    """Some columns of a table, a panel each, its rows as points beside the first one's.

    Parameters
    ----------
    table : DataFrame
        A row for each variant, the reference first.
    columns : mapping
        Column -> label of its axis.
    """
    rows = np.arange(len(table))
    figure, axes = plt.subplots(
        1, len(columns), figsize=(1.8 * len(columns) + 1.8, 0.42 * len(table) + 1.0), sharey=True
    )
    for ax, (name, label) in zip(np.atleast_1d(axes), columns.items(), strict=True):
        value = table[name].to_numpy(float)
        ax.axvline(value[0], color=INK, lw=0.8, ls=":")
        ax.hlines(rows, value[0], value, color="#c4c4c4", lw=1.5, zorder=1)
        ax.scatter(value, rows, s=30, color=[CYCLE[0], *[CYCLE[1]] * (len(rows) - 1)], zorder=2)
        ax.set(xlabel=label, ylim=(len(rows) - 0.5, -0.5))
        ax.margins(x=0.2)
        ax.set_yticks(rows, table.index)
    return figure


def cost_axes(cost: pd.DataFrame, varied: str, ax: Axes) -> Axes:
    """Seconds against the number of sites or steps, and the straight line nearest to them.

    Parameters
    ----------
    cost : DataFrame
        From `proda.assimilation.experiments.cost_table`.
    """
    table = cost[cost["varied"] == varied].sort_values(varied)
    ends = np.array([0.0, 1.05 * table[varied].max()])
    if len(table) > 1:
        slope, start = np.polyfit(table[varied], table["seconds"], 1)
        ax.plot(ends, start + slope * ends, color=INK, lw=0.8, ls="--", label="straight line")
    ax.plot(table[varied], table["seconds"], "o", color=CYCLE[0], label="measured")
    other = {"sites": "steps", "steps": "sites"}[varied]
    ax.set(
        xlim=(0, None), ylim=(0, None), xlabel={"sites": "Sites", "steps": "Steps of a chain"}[varied], ylabel="Seconds"
    )
    ax.set_title(f"{table[other].iloc[0]:,} {other}")
    ax.legend(fontsize=8.5)
    return ax


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
    return figure


def _highest(values: np.ndarray) -> float:
    return float(np.histogram(values[np.isfinite(values)], BINS, density=True)[0].max())


OURS, AGREES, DIFFERS = "#9a9a9a", CYCLE[0], CYCLE[1]


def variance_bars(variance: pd.Series, ax: Axes) -> Axes:
    """Mean posterior variance on the unit scale by parameter, the widest on top, and the prior's as a line.

    Parameters of which the paper says where their variance lies have a triangle at that bound which points to the
    published side; their bars are blue where ours lies on that side, orange where it does not.

    Parameters
    ----------
    variance : Series
        By parameter.
    """
    ordered = variance.sort_values()
    rows = np.arange(len(ordered))
    agrees = {name: variance[name] > ABOVE for name in PUBLISHED_ABOVE}
    agrees |= {name: variance[name] <= AT_MOST for name in PUBLISHED_AT_MOST}
    colour_of = {name: AGREES if agree else DIFFERS for name, agree in agrees.items()}
    ax.barh(rows, ordered, color=[colour_of.get(name, OURS) for name in ordered.index], height=0.75)
    for names, bound, marker in ((PUBLISHED_ABOVE, ABOVE, ">"), (PUBLISHED_AT_MOST, AT_MOST, "<")):
        word = "above" if marker == ">" else "at most"
        places = [ordered.index.get_loc(name) for name in names]
        ax.plot(
            [bound] * len(places),
            places,
            marker,
            color="white",
            mec=INK,
            ms=6.5,
            lw=0,
            label=f"published: {word} {bound:g}",
        )
    for colour, label in ((AGREES, "ours, as published"), (DIFFERS, "ours, not as published"), (OURS, "ours, others")):
        if colour in set(colour_of.values()) or colour == OURS:
            ax.barh(0.0, 0.0, color=colour, label=label)
    ax.axvline(PRIOR_VARIANCE, color=INK, lw=0.9, ls="--", label="prior, 1/12")
    ax.set_yticks(rows, ordered.index, fontsize=8.5)
    ax.set(
        ylim=(-0.6, len(rows) - 0.4),
        xlim=(0.0, max(0.098, 1.05 * variance.max())),
        xlabel="Mean posterior variance over sites (unit cube)",
    )
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=8.5)
    return ax
