"""How each quantity is shown wherever it appears: label with unit, colours, and one scale through the report."""

from __future__ import annotations

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import BoundaryNorm, Colormap, Normalize, TwoSlopeNorm

COLOUR_STEPS = 24  # of a continuous scale: as many as a bar can tell apart, and a file keeps every one of them exactly


class Quantity(NamedTuple):
    """How one quantity is shown wherever it appears: label with unit, colour map, colour scale."""

    label: str
    colours: str | Colormap
    norm: Normalize | None


def _classes(edges: list[float], colours: str) -> BoundaryNorm:
    return BoundaryNorm(edges, plt.get_cmap(colours).N, extend="max")


# Stocks to 30 cm and to 2 m share one scale, so that panels can be compared: classes widen as stocks do.
QUANTITIES = {
    "soc_stock": Quantity(
        "Soil organic carbon (kg C m$^{-2}$)",
        "viridis_r",
        _classes([0, 1, 2, 3, 4, 6, 8, 10, 12, 15, 20, 25, 30, 40, 60, 100, 160], "viridis_r"),
    ),
    "parameter": Quantity("Parameter on its range (0 to 1)", "cividis", Normalize(0, 1)),
    # Air and soil, forcing and covariates: wherever they are shown. Steps of 1.25 degrees and 50 g.
    "temperature": Quantity("\u00b0C", "inferno", Normalize(-5, 25)),
    "npp": Quantity("g C m$^{-2}$ yr$^{-1}$", "viridis_r", Normalize(0, 1200)),
    "potential": Quantity("MPa", "cividis_r", None),
    "difference": Quantity("Modelled minus observed (kg C m$^{-2}$)", plt.get_cmap("RdBu_r", 21), None),
}


def beyond_ends(values, norm: Normalize) -> str:
    """Which ends of a colour bar need an arrow: "neither", "min", "max" or "both", as Matplotlib calls them."""
    below, above = np.nanmin(values) < norm.vmin, np.nanmax(values) > norm.vmax
    return {(False, False): "neither", (True, False): "min", (False, True): "max"}.get(
        (bool(below), bool(above)), "both"
    )


def scale_of(quantity: str | Quantity | None, values, limits=None) -> Quantity:
    """Colour scale of a quantity; where the quantity fixes none, from `limits` or from the values' 2 and 98 %.

    Scales of differences are symmetric about zero, so white always means no difference. A continuous scale has
    `COLOUR_STEPS` colours.
    """
    found = QUANTITIES[quantity] if isinstance(quantity, str) else quantity or Quantity("", "viridis", None)
    colours = plt.get_cmap(found.colours)
    if colours.N > COLOUR_STEPS and not isinstance(found.norm, BoundaryNorm):
        found = found._replace(colours=colours.resampled(COLOUR_STEPS))
    if found.norm is not None and limits is None:
        return found
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    low, high = limits or (np.quantile(finite, [0.02, 0.98]) if finite.size else (0.0, 1.0))
    if found.colours == QUANTITIES["difference"].colours:
        reach = max(abs(low), abs(high)) or 1.0
        return found._replace(norm=TwoSlopeNorm(0.0, -reach, reach))
    return found._replace(norm=Normalize(low, high if high > low else low + 1.0))
