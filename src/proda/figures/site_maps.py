"""Maps of what is known of every site: any variable of `sites.zarr` in one line, and how the chains converged."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from proda.figures.quantities import Quantity, beyond_ends
from proda.figures.style import colour_bar, draw_sites, label_plainly, map_axes


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
