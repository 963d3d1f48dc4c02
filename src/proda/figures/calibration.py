"""Figures of calibration: ranks of the truth against the uniform, and how often intervals hold what they should."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from proda.assimilation.rank_band import outside_band, rank_band, rank_ecdf
from proda.figures.style import CYCLE, INK

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


def calibration_figure(ranks: Mapping[str, NDArray], n_ranked: int, names: Sequence[str]) -> Figure:
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
