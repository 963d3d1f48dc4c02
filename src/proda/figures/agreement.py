"""Fig. 2: where a method is too high or too low, and how its SOC compares with every observed layer."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, TwoSlopeNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from proda.figures.captions import captioned
from proda.figures.quantities import QUANTITIES
from proda.figures.style import INK, METHOD_LABEL, colour_bar, draw_sites, label_plainly, map_axes
from proda.learning.agreement import scores
from proda.maps.regional_bias import stock_differences

CAPTION = (
    "Figure 2. Left: modelled minus observed stock of the profiles, red where a method has too much carbon and blue "
    "where too little; each map has a scale of its own. Right: modelled against observed carbon of all layers, with "
    "the dashed 1:1 line. See whether errors of one sign lie together on the map, and whether the cloud lies along the "
    "line, beside it or across it."
)
DENSITY_LIMITS = (0.1, 300.0)


def difference_norm(difference: ArrayLike) -> TwoSlopeNorm:
    """Colour scale of Fig. 2: from the 5 % quantile of the negative differences over zero to the 95 % of the positive.

    Both sides have half of the colours, however far they reach: their ends stand at the colour bar.

    Parameters
    ----------
    difference : array_like
        (n,) NaN is left out.
    """
    values = np.asarray(difference, float)
    low, high = (values[side] for side in (values < 0, values > 0))
    ends = np.quantile(low, 0.05) if low.size else 0.0, np.quantile(high, 0.95) if high.size else 0.0
    reach = max(abs(ends[0]), ends[1]) or 1.0
    # A side without a difference gets the reach of the other, so that the scale has two sides.
    return TwoSlopeNorm(0.0, float(ends[0] or -reach), float(ends[1] or reach))


def difference_map(difference: ArrayLike, sites: pd.DataFrame, ax: Axes, norm: TwoSlopeNorm | None = None) -> Axes:
    """Map of modelled minus observed stock at the sites.

    Parameters
    ----------
    difference : array_like
        (n_sites,) kg C m-2; NaN is left out.
    sites : pandas.DataFrame
        `lon`, `lat` of the same sites.
    ax : matplotlib.axes.Axes
        From `proda.figures.style.map_axes`.
    norm : TwoSlopeNorm, optional
        Colour scale; `difference_norm` of these differences if left out.
    """
    size = float(np.clip(12000 / max(len(sites), 1), 1.5, 14))
    quantity = QUANTITIES["difference"]._replace(norm=norm or difference_norm(difference))
    ax.differences = draw_sites(difference, sites, ax, quantity, size=size, on_top="any")
    return ax


def density_scatter(
    observed: ArrayLike, modelled: ArrayLike, ax: Axes, most: float | None = None, published: tuple | None = None
) -> Axes:
    """Modelled against observed SOC of all layers on log axes, as counts in hexagons, with the 1:1 line and scores.

    Parameters
    ----------
    observed, modelled : array_like
        (n_layers,) kg C m-3. The scores are of these values, not of their logarithms; values beyond the axes are drawn
        at their ends.
    most : float, optional
        Count at the end of the colour scale; the largest count if left out.
    published : (float, float), optional
        r2 and RMSE (kg C m-3) of the paper, to stand below ours.
    """
    low, high = np.log10(DENSITY_LIMITS)
    ends = DENSITY_LIMITS[0] * 1.01, DENSITY_LIMITS[1] * 0.99
    ax.counts = ax.hexbin(
        np.clip(observed, *ends), np.clip(modelled, *ends), xscale="log", yscale="log", gridsize=40, mincnt=1,
        extent=(low, high, low, high), cmap=plt.get_cmap("viridis_r", 24), norm=LogNorm(1, most), linewidths=0.1,
    )  # fmt: skip
    ax.plot(DENSITY_LIMITS, DENSITY_LIMITS, color=INK, lw=0.8, ls="--")
    found = scores(observed, modelled)
    text = f"$r^2$ {found['r2']:.2f}   RMSE {found['rmse']:.1f}   bias {found['bias']:+.1f} kg C m$^{{-3}}$"
    if published is not None:
        text += f"\npublished: $r^2$ {published[0]:.2f}   RMSE {published[1]:.2f}"
    ax.set_title(text, loc="right", fontsize=8)
    ax.set(xlim=DENSITY_LIMITS, ylim=DENSITY_LIMITS, aspect="equal")
    ticks = [0.1, 1, 10, 100]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    return ax


def agreement_figure(
    layers: pd.DataFrame, modelled: dict[str, ArrayLike], sites: pd.DataFrame,
    published: Mapping[str, tuple[float, float]] | None = None, figure: Figure | None = None,
) -> Figure:  # fmt: skip
    """One row a method: map of its stock differences at the sites, and its SOC against the observed at all layers.

    As in the paper every map has a scale of its own (`difference_norm`), so colours show a pattern and not an amount.

    Parameters
    ----------
    layers : pandas.DataFrame
        Observed layers: `site` (row of `sites`), `upper_depth`, `lower_depth` (m), `soc` (g C m-3).
    modelled : dict
        Method -> (n_layers,) g C m-3; NaN leaves a layer out.
    sites : pandas.DataFrame
        `lon`, `lat`.
    published : mapping, optional
        Method -> r2 and RMSE of the paper.
    """
    observed = layers["soc"].to_numpy(float)
    figure = figure if figure is not None else plt.figure(figsize=(8, 2.85 * len(modelled) + 0.6))
    figure.get_layout_engine().set(h_pad=0.09)  # a bar's label must not read as the title below
    places = figure.add_gridspec(len(modelled), 2, width_ratios=(1.6, 1))
    left, right = [], []
    for row, (name, soc) in enumerate(modelled.items()):
        difference = stock_differences(layers, soc, len(sites))
        left.append(difference_map(difference, sites, map_axes(figure, places[row, 0])))
        left[-1].set_title(METHOD_LABEL.get(name, name), loc="left", fontweight="bold")
        _bar_of_differences(left[-1])
        finite = np.isfinite(soc)
        right.append(figure.add_subplot(places[row, 1], sharex=right[0] if right else None))
        density_scatter(
            observed[finite] / 1e3, np.asarray(soc)[finite] / 1e3, right[-1], published=(published or {}).get(name)
        )
        right[-1].set_ylabel("Modelled (kg C m$^{-3}$)")
        right[-1].tick_params(labelbottom=name == list(modelled)[-1])
    most = max(ax.counts.get_array().max() for ax in right)
    for ax in right:
        ax.counts.set_norm(LogNorm(1, most))
    right[-1].set_xlabel("Observed (kg C m$^{-3}$)")
    bar = colour_bar(
        right[-1].counts, right[-1], "Layers in a hexagon", orientation="horizontal", shrink=0.85, aspect=20
    )
    label_plainly(bar.ax.xaxis)
    bar.set_ticks([tick for tick in (1, 10, 100, 1000, 10000) if tick <= most])
    return captioned(figure, CAPTION)


def _bar_of_differences(ax: Axes) -> None:
    norm = ax.differences.norm
    ticks = [norm.vmin, norm.vmin / 2, 0.0, norm.vmax / 2, norm.vmax]
    ax.bar = colour_bar(ax.differences, ax, orientation="horizontal", extend="both", shrink=0.8, aspect=34, ticks=ticks)
    ax.bar.ax.set_xticklabels([_short(tick) for tick in ticks])


def _short(value: float) -> str:
    """A signed number of two digits, or of all before the point."""
    return f"{value:+.0f}" if abs(value) >= 10 else f"{value:+.2g}" if value else "0"
