"""The look of every figure: colours by method, labels and scales by quantity, maps on an equal-area projection.

Borders come from the repository's own outlines: drawing never asks the network for anything. Method colours are
those of Okabe and Ito, distinct with every common colour vision.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cartopy.crs as ccrs
import matplotlib.pyplot as plt
import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.colors import BoundaryNorm, Colormap, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path as Outline
from matplotlib.ticker import LogLocator, NullLocator
from pyproj import Transformer

from proda.data import region
from proda.errors import InputError
from proda.maps.netcdf import raster_of, rastered

MISSING = "#bdbdbd"
MANY_SITES = 2000  # smooth edges of more points are a third of a picture's size, and nobody sees them
LAND = "#ececec"
INK = "#333333"

METHOD_COLOUR = {
    "observed": "#000000", "truth": "#000000", "default": "#D55E00", "one-batch": "#E69F00",
    "random-sampling": "#CC79A7", "site-by-site": "#009E73", "network": "#0072B2", "hybrid": "#56B4E9",
    "reference": "#888888",
}  # fmt: skip
METHOD_LABEL = {name: name.capitalize() for name in METHOD_COLOUR} | {"network": "Neural network"}
CYCLE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]


class Quantity(NamedTuple):
    """How one quantity is shown wherever it appears: label with unit, colour map, colour scale."""

    label: str
    colours: str | Colormap
    norm: Normalize | None


# Stocks to 30 cm and to 2 m share one scale, so that maps can be compared: classes widen as stocks do.
_STOCK_EDGES = [0, 1, 2, 3, 4, 6, 8, 10, 12, 15, 20, 25, 30, 40, 60, 100, 160]
QUANTITIES = {
    "soc_stock": Quantity(
        "Soil organic carbon (kg C m$^{-2}$)", "viridis_r", BoundaryNorm(_STOCK_EDGES, 256, extend="max")
    ),
    "parameter": Quantity("Parameter on its range (0 to 1)", "cividis", Normalize(0, 1)),
    # Air and soil, forcing and covariates: wherever they are shown. Steps of 1.25 degrees and 50 g.
    "temperature": Quantity("\u00b0C", "inferno", Normalize(-5, 25)),
    "npp": Quantity("g C m$^{-2}$ yr$^{-1}$", "viridis_r", Normalize(0, 1200)),
    "potential": Quantity("MPa", "cividis_r", None),
    "scalar": Quantity("1", "cividis_r", Normalize(0, 1)),
    "swing": Quantity("K", "viridis", None),
    "difference": Quantity("Modelled minus observed (kg C m$^{-2}$)", plt.get_cmap("RdBu_r", 21), None),
}


def beyond_ends(values, norm: Normalize) -> str:
    """Which ends of a colour bar need an arrow: "neither", "min", "max" or "both", as Matplotlib calls them."""
    if np.nanmin(values) < norm.vmin:
        return "both" if np.nanmax(values) > norm.vmax else "min"
    return "max" if np.nanmax(values) > norm.vmax else "neither"


def scale_of(quantity: str | Quantity | None, values, limits=None) -> Quantity:
    """Colour scale of a quantity; where the quantity fixes none, from `limits` or from the values' 2 and 98 %.

    Scales of differences are symmetric about zero, so white always means no difference.
    """
    shown = QUANTITIES[quantity] if isinstance(quantity, str) else quantity or Quantity("", "viridis", None)
    if shown.norm is not None and limits is None:
        return shown
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    low, high = limits or (np.quantile(finite, [0.02, 0.98]) if finite.size else (0.0, 1.0))
    if shown.colours == QUANTITIES["difference"].colours:
        end = max(abs(low), abs(high)) or 1.0
        return shown._replace(norm=TwoSlopeNorm(0.0, -end, end))
    return shown._replace(norm=Normalize(low, high if high > low else low + 1.0))


def method_label(name: str) -> str:
    """Name of a method in a figure, such as "Neural network (test sites)" of "network (test sites)"."""
    method, bracket, rest = name.partition(" (")
    return METHOD_LABEL.get(method, method) + bracket + rest


def use_style() -> None:
    """Set Matplotlib's defaults for the report: sizes that stay legible when a page shows figures 800 pixels wide."""
    if "IPython" in sys.modules and "inline" in plt.get_backend():
        # A figure is drawn when it is shown; Matplotlib would draw it once more before, for nobody to see.
        plt.uninstall_repl_displayhook()
    plt.rcParams |= {"figure.dpi": 120, "savefig.dpi": 200, "figure.constrained_layout.use": True, "font.size": 9.5}
    plt.rc("axes", titlesize=10.5, labelsize=9.5, edgecolor=INK, prop_cycle=plt.cycler(color=CYCLE))
    plt.rcParams |= {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    plt.rcParams |= {"image.cmap": "viridis", "hatch.linewidth": 0.4}


def save_figures(figures: Mapping[str, Figure], folder: Path) -> None:
    """Write each figure as `<name>.png` in a folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png")


def map_axes(places: Any, figure: Figure | None = None, position=111) -> Axes:
    """Map of the extent of `places` (`lon`, `lat`: a grid or sites), with borders, at a position of `add_subplot`.

    Its attribute `project` takes longitudes and latitudes (degrees) to the map's equal-area coordinates (m).
    """
    figure = figure if figure is not None else plt.figure(figsize=(7, 4.6))
    lon, lat = (np.asarray(places[name], float) for name in ("lon", "lat"))
    known = np.isfinite(lon) & np.isfinite(lat)
    if not known.any():
        raise InputError("a map needs a place with longitude and latitude: there is none")
    crs = region.equal_area(lon[known], lat[known])
    place = position if isinstance(position, tuple) else (position,)
    ax = figure.add_subplot(*place, projection=_projection(crs))
    ax.project = Transformer.from_crs(4326, crs, always_xy=True).transform
    x, y = (np.asarray(values) for values in ax.project(lon[known], lat[known]))
    # Half a degree of room, or more for a single place.
    room = max(6e4, 0.015 * np.ptp(x), 0.015 * np.ptp(y)) if len(x) > 1 else 3e5
    ax.set(xlim=(x.min() - room, x.max() + room), ylim=(y.min() - room, y.max() + room))
    lon, lat = region.continuous(lon[known]), lat[known]
    outline = _outline(crs, *(round(float(end), 2) for end in (lon.min(), lat.min(), lon.max(), lat.max())))
    ax.add_patch(PathPatch(outline, facecolor=LAND, linewidth=0, zorder=0.5))
    width = 0.4 if np.ptp(lon) < 100 else 0.2
    ax.add_patch(PathPatch(outline, facecolor="none", edgecolor=INK, linewidth=width, zorder=3))
    ax.set_axis_off()
    return ax


def _projection(crs: str) -> ccrs.Projection:
    """Cartopy's projection of one of `equal_area`."""
    words = dict(word.lstrip("+").split("=") for word in crs.split())
    given = {name: value if name in ("proj", "datum", "units") else float(value) for name, value in words.items()}
    if given["proj"] == "eqearth":
        return ccrs.EqualEarth(given["lon_0"])
    centre = {"central_longitude": given["lon_0"], "central_latitude": given["lat_0"]}
    if given["proj"] == "laea":
        return ccrs.LambertAzimuthalEqualArea(**centre)
    return ccrs.AlbersEqualArea(**centre, standard_parallels=(given["lat_1"], given["lat_2"]))


@lru_cache(maxsize=16)
def _outline(crs: str, west: float, south: float, east: float, north: float) -> Outline:
    """Borders about an extent (degrees, east up to 360) on the map of a projection."""
    # Room for what a conic or azimuthal map shows beyond the parallels and meridians of its corners.
    height, finest = max(3.0, 0.2 * (north - south)), max(east - west, north - south) / 1500
    width = max(3.0, 0.2 * (east - west)) / np.cos(np.radians(min(max(abs(south), abs(north)), 80.0)))
    extent = west - width, max(south - height, -89.9), east + width, min(north + height, 89.9)
    if east - west > 300:
        extent = -180.0, extent[1], 180.0, extent[3]
    shapes = region.borders().simplify(finest).to_numpy()
    turns = [shapely.transform(shapes, lambda points, turn=turn: points + [turn, 0.0]) for turn in (-360.0, 0.0, 360.0)]
    inside = [shapely.clip_by_rect(shapely.make_valid(shape), *extent) for shape in turns]
    joined = shapely.segmentize(shapely.union_all(inside, axis=0), 1.0)
    polygons = [part for part in shapely.get_parts(shapely.orient_polygons(joined)) if part.geom_type == "Polygon"]
    project = Transformer.from_crs(4326, crs, always_xy=True).transform
    rings = [ring for polygon in polygons for ring in (polygon.exterior, *polygon.interiors)]
    corners = [np.column_stack(project(*np.asarray(ring.coords).T[:2])) for ring in rings]
    paths = [Outline(points, closed=True) for points in corners if np.isfinite(points).all()]
    return Outline.make_compound_path(*paths)


def draw_cells(values, grid, ax: Axes, quantity: str | Quantity | None = None, limits=None) -> ScalarMappable:
    """Values (n_cells,) at the cells of a grid as coloured cells, for `colour_bar`; missing ones are hatched grey.

    `ax` is from `map_axes`; `quantity` is a name in `QUANTITIES` or a `Quantity`, whose scale `limits` replaces.
    """
    values = np.asarray(values, float)
    raster = raster_of(grid)
    shown = scale_of(quantity, values, limits)
    edges = (np.append(bounds[:, 0], bounds[-1, 1]) for bounds in (raster.bounds("lon"), raster.bounds("lat")))
    corners = np.stack(ax.project(*np.meshgrid(*edges)), axis=-1)
    mesh = ax.pcolormesh(
        corners[..., 0], corners[..., 1], rastered(values, raster), cmap=shown.colours, norm=shown.norm, zorder=2
    )
    missing = ~np.isfinite(values)
    if missing.any():
        row, column = raster.row[missing], raster.column[missing]
        steps = [(0, 0), (0, 1), (1, 1), (1, 0)]
        quads = np.stack([corners[row + up, column + right] for up, right in steps], axis=1)
        # One path: the hatching of thousands of single cells takes longer than all the rest of a map.
        together = Outline.make_compound_path_from_polys(quads)
        look = {"facecolor": MISSING, "edgecolor": "#8c8c8c", "linewidth": 0, "hatch": "////"}
        ax.add_collection(PathCollection([together], zorder=1.5, **look), autolim=False)
    mesh.set_label(shown.label)
    return mesh


def missing_patch() -> Patch:
    """Legend entry of cells without a value."""
    return Patch(facecolor=MISSING, edgecolor="#8c8c8c", hatch="////", linewidth=0, label="no value")


def draw_sites(values, sites, ax: Axes, quantity: str | Quantity | None = None, on_top="largest") -> ScalarMappable:
    """Values (n_sites,) at sites as coloured points, the smaller the more; sites without a value are left out.

    `on_top` is which of points that overlap is seen: the "largest", or "any", so that neither side of a scale hides the
    other.
    """
    points = np.column_stack(ax.project(np.asarray(sites["lon"], float), np.asarray(sites["lat"], float)))
    values = np.asarray(values, float)
    shown, size = scale_of(quantity, values), np.clip(12000 / max(values.size, 1), 1.5, 14)
    order = np.argsort(np.abs(values))[: np.isfinite(values).sum()]
    if on_top == "any":
        order = np.random.default_rng(0).permutation(order)
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
