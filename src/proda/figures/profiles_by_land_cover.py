"""Fig. 5: mean SOC against depth in each class of land cover, observed and by method."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from proda.figures.captions import captioned
from proda.figures.style import METHOD_COLOUR, METHOD_LABEL
from proda.maps.vegetation import CLASSES, vegetation_class

CAPTION = (
    "Figure 5. Mean soil organic carbon against depth in eight kinds of vegetation, on a logarithmic axis: points "
    "observed, lines modelled at the same layers. A line beside the points has the right shape and the wrong amount; a "
    "line that crosses them has the wrong shape."
)
DEPTH_EDGES = np.array([0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0])
LEAST_LAYERS = 5


def mean_by_depth(depth: ArrayLike, soc: ArrayLike) -> pd.DataFrame:
    """Mean SOC of the layers in each depth interval: depth (m, mean of the layers), soc, n; thin intervals left out."""
    layers = pd.DataFrame({"depth": np.asarray(depth, float), "soc": np.asarray(soc, float)})
    interval = np.digitize(layers["depth"], DEPTH_EDGES)
    groups = layers[interval < DEPTH_EDGES.size].groupby(interval[interval < DEPTH_EDGES.size])
    means = groups.mean().assign(n=groups.size())
    return means[means["n"] >= LEAST_LAYERS]


def soc_profiles(depth: ArrayLike, soc: dict[str, ArrayLike], ax: Axes) -> Axes:
    """Mean SOC against depth, observed as black points and a line for each method, on a log axis.

    Parameters
    ----------
    depth : array_like
        (n_layers,) m, of observed layers.
    soc : dict
        "observed" and methods -> (n_layers,) kg C m-3 at the same layers.
    """
    for name, values in soc.items():
        mean = mean_by_depth(depth, values)
        look = {"marker": "o", "ms": 4, "ls": "none", "zorder": 5} if name == "observed" else {"lw": 1.6}
        ax.plot(mean["soc"], mean["depth"], color=METHOD_COLOUR.get(name), label=METHOD_LABEL.get(name, name), **look)
    ax.set(xscale="log", ylim=(2.0, 0.0), yticks=[0, 0.5, 1, 1.5, 2])
    return ax


def land_cover_figure(
    layers: pd.DataFrame, modelled: dict[str, ArrayLike], sites: pd.DataFrame, figure: Figure | None = None
) -> Figure:
    """Small multiples of `soc_profiles`, one for each vegetation class, sharing axes.

    Parameters
    ----------
    layers : pandas.DataFrame
        `site` (row of `sites`), `depth` (m), `soc` (g C m-3).
    modelled : dict
        Method -> (n_layers,) g C m-3; layers that any method lacks are left out for all.
    sites : pandas.DataFrame
        See `vegetation_class`.
    """
    figure = figure if figure is not None else plt.figure(figsize=(8, 6.2))
    axes = figure.subplots(2, 4, sharex=True, sharey=True)
    vegetation = vegetation_class(sites)[layers["site"].to_numpy()]
    soc = {"observed": layers["soc"].to_numpy(float)} | {name: np.asarray(v, float) for name, v in modelled.items()}
    complete = np.all([np.isfinite(values) for values in soc.values()], axis=0)
    for ax, name in zip(axes.ravel(), CLASSES, strict=True):
        chosen = complete & (vegetation == name)
        soc_profiles(layers["depth"].to_numpy()[chosen], {k: v[chosen] / 1e3 for k, v in soc.items()}, ax)
        n_sites = layers["site"].to_numpy()[chosen]
        ax.set_title(f"{name}\n{np.unique(n_sites).size:,} sites", fontsize=9.5)
        ax.grid(axis="x", color="#e5e5e5", lw=0.6)
        if not chosen.any():
            ax.text(0.5, 0.5, "no sites here", transform=ax.transAxes, ha="center", color="#777777")
    low, high = axes[0, 0].get_xlim()
    ticks = [tick for tick in (0.3, 1, 3, 10, 30, 100, 300) if low <= tick <= high]
    axes[0, 0].set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes[0, 0].minorticks_off()
    figure.supxlabel("Soil organic carbon (kg C m$^{-3}$)", fontsize=9.5)
    figure.supylabel("Depth (m)", fontsize=9.5)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 4), fontsize=8.5)
    return captioned(figure, CAPTION)
