"""The look of every figure: colours by method, and maps on an Albers equal-area projection.

State lines come from the repository's own outlines: drawing never asks the network for anything.
"""

from __future__ import annotations

import sys
from functools import cache

import cartopy.crs as ccrs
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.path import Path
from matplotlib.ticker import LogLocator, NullLocator

from proda.data import outlines
from proda.figures.alt_text import tell_in_notebooks
from proda.figures.quantities import Quantity, scale_of
from proda.maps.raster import raster_of, rastered

ALBERS = ccrs.AlbersEqualArea(central_longitude=-96, central_latitude=37.5, standard_parallels=(29.5, 45.5))
PLATE = ccrs.PlateCarree()
MISSING = "#bdbdbd"
MANY_SITES = 2000  # smooth edges of more points are a third of a picture's weight, and nobody sees them
LAND = "#ececec"
INK = "#333333"

# Okabe and Ito's palette: distinct with every common colour vision.
METHOD_COLOUR = {
    "observed": "#000000",
    "truth": "#000000",
    "default": "#D55E00",
    "one-batch": "#E69F00",
    "random-sampling": "#CC79A7",
    "site-by-site": "#009E73",
    "network": "#0072B2",
    "hybrid": "#56B4E9",
    "reference": "#888888",
}
METHOD_LABEL = {
    "observed": "Observed",
    "truth": "Truth",
    "default": "Default",
    "one-batch": "One-batch",
    "random-sampling": "Random-sampling",
    "site-by-site": "Site-by-site",
    "network": "Neural network",
    "hybrid": "Hybrid",
}
CYCLE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]


def use_style() -> None:
    """Set Matplotlib's defaults for the report: sizes that stay legible when a page shows figures 800 pixels wide.

    A notebook's figures come out at twice `figure.dpi` and are shown at their size: sharp in print and on a phone.
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        from matplotlib_inline.config import InlineBackend

        InlineBackend.instance(parent=shell).figure_formats = {"retina"}
        if "inline" in plt.get_backend():
            # A figure is drawn when it is shown; Matplotlib would draw it once more before, for nobody to see.
            plt.uninstall_repl_displayhook()
    plt.rcParams.update(
        {
            "figure.dpi": 100,
            "savefig.dpi": 200,
            "figure.constrained_layout.use": True,
            "font.size": 9.5,
            "axes.titlesize": 10.5,
            "axes.labelsize": 9.5,
            "axes.edgecolor": INK,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": plt.cycler(color=CYCLE),
            "legend.frameon": False,
            "image.cmap": "viridis",
            "hatch.linewidth": 0.4,
        }
    )
    tell_in_notebooks()


def map_axes(figure: Figure | None = None, position=111) -> Axes:
    """Map of the conterminous United States, Albers equal area, with state lines and nothing else.

    Parameters
    ----------
    figure : matplotlib.figure.Figure, optional
        Figure to add the map to; a new one (7 x 4.6 inches) if left out.
    position : int, tuple or matplotlib.gridspec.SubplotSpec
        As in `Figure.add_subplot`.
    """
    figure = figure if figure is not None else plt.figure(figsize=(7, 4.6))
    place = position if isinstance(position, tuple) else (position,)
    ax = figure.add_subplot(*place, projection=ALBERS)
    lines = state_lines()
    ax.add_collection(PolyCollection(lines, facecolor=LAND, linewidth=0, zorder=0.5), autolim=False)
    ax.add_collection(LineCollection(lines, colors=INK, linewidths=0.4, zorder=3), autolim=False)
    points = np.concatenate(lines)
    (west, south), (east, north) = points.min(axis=0), points.max(axis=0)
    margin = 0.015 * (east - west)
    ax.set_xlim(west - margin, east + margin)
    ax.set_ylim(south - margin, north + margin)
    ax.set_axis_off()
    return ax


@cache
def state_lines() -> list[np.ndarray]:
    """Outlines of the conterminous states, a list of (n, 2) arrays in Albers metres."""
    shapes = outlines.states().to_crs(ALBERS.proj4_init).geometry
    polygons = [polygon for shape in shapes for polygon in getattr(shape, "geoms", [shape])]
    return [np.asarray(polygon.exterior.coords)[:, :2] for polygon in polygons]


def draw_cells(values, grid, ax: Axes, quantity: str | Quantity | None = None, limits=None) -> ScalarMappable:
    """Values at the cells of a grid as coloured cells; cells without a value are hatched grey.

    Parameters
    ----------
    values : array_like
        (n_cells,); NaN where missing.
    grid : xarray.Dataset or pandas.DataFrame
        `lon`, `lat` of the cell centres, degrees.
    ax : matplotlib.axes.Axes
        From `map_axes`.
    quantity : str or Quantity, optional
        A name in `QUANTITIES`, or a label, colour map and scale of one's own.
    limits : (float, float), optional
        Ends of the colour scale, in place of the quantity's.

    Returns
    -------
    matplotlib.cm.ScalarMappable
        What `colour_bar` takes.
    """
    values = np.asarray(values, float)
    raster = raster_of(grid)
    shown = scale_of(quantity, values, limits)
    edges_lon = np.append(raster.lon_bounds[:, 0], raster.lon_bounds[-1, 1])
    edges_lat = np.append(raster.lat_bounds[:, 0], raster.lat_bounds[-1, 1])
    corners = ALBERS.transform_points(PLATE, *np.meshgrid(edges_lon, edges_lat))[..., :2]
    mesh = ax.pcolormesh(
        corners[..., 0], corners[..., 1], rastered(values, raster), cmap=shown.colours, norm=shown.norm, zorder=2
    )
    missing = ~np.isfinite(values)
    if missing.any():
        row, column = raster.row[missing], raster.column[missing]
        steps = [(0, 0), (0, 1), (1, 1), (1, 0)]
        quads = np.stack([corners[row + up, column + right] for up, right in steps], axis=1)
        # One path: the hatching of thousands of single cells takes longer than all the rest of a map.
        together = Path.make_compound_path_from_polys(quads)
        look = {"facecolor": MISSING, "edgecolor": "#8c8c8c", "linewidth": 0, "hatch": "////"}
        ax.add_collection(PathCollection([together], zorder=1.5, **look), autolim=False)
    mesh.set_label(shown.label)
    return mesh


def missing_patch() -> Patch:
    """Legend entry of cells without a value."""
    return Patch(facecolor=MISSING, edgecolor="#8c8c8c", hatch="////", linewidth=0, label="no value")


def draw_sites(
    values, sites, ax: Axes, quantity: str | Quantity | None = None, limits=None, size=5, on_top="largest"
) -> ScalarMappable:
    """Values at sites as coloured points; sites without a value are left out.

    Parameters
    ----------
    values : array_like or str
        (n_sites,) or one colour for all sites.
    sites : pandas.DataFrame or xarray.Dataset
        `lon`, `lat` in degrees (WGS84).
    size : float
        Area of a point, points squared.
    on_top : {"largest", "smallest", "any"}
        Which of points that overlap is seen: by magnitude, or one as likely as another, so that neither side of a
        scale hides the other.

    Returns
    -------
    matplotlib.cm.ScalarMappable
    """
    points = ALBERS.transform_points(PLATE, np.asarray(sites["lon"], float), np.asarray(sites["lat"], float))
    if isinstance(values, str):
        return ax.scatter(points[:, 0], points[:, 1], s=size, c=values, linewidths=0, zorder=2.5)
    values = np.asarray(values, float)
    shown = scale_of(quantity, values, limits)
    order = np.argsort(np.abs(values))[: np.isfinite(values).sum()]
    if on_top == "any":
        order = np.random.default_rng(0).permutation(order)
    elif on_top == "smallest":
        order = order[::-1]
    dots = ax.scatter(
        points[order, 0], points[order, 1], s=size, c=values[order], cmap=shown.colours, norm=shown.norm,
        linewidths=0, zorder=2.5, antialiased=len(order) <= MANY_SITES,
    )  # fmt: skip
    dots.set_label(shown.label)
    return dots


def label_plainly(axis: Axis, finely: bool = False) -> None:
    """1, 2, 5, 10 on a logarithmic axis, not powers of ten; `finely` also 1.5, 3 and 7, for less than a decade."""
    axis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if finely else (1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def colour_bar(mappable: ScalarMappable, axes, label: str | None = None, **options):
    """Colour bar with its quantity and unit, beside one Axes or a group of them."""
    figure = np.ravel(axes)[0].figure
    options = {"shrink": 0.8, "pad": 0.02, "aspect": 28} | options
    bar = figure.colorbar(mappable, ax=axes, **options)
    bar.set_label(label if label is not None else mappable.get_label())
    bar.outline.set_linewidth(0.4)
    return bar
