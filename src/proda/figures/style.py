"""The look of every figure: colours by method, and maps on an Albers equal-area projection.

State lines come from the repository's own outlines: drawing never asks the network for anything.

What to see in a figure, in a sentence or two that stand below it on its page.

A caption stays with the function that draws: it goes with the figure through notebook and page, and into the file.

What a figure shows, in words for those who do not see it, put together from its own titles, labels and legends.

A notebook's figures carry these words, and their caption, in the metadata of their output, and `figures.saving` writes
both into the file.

How each quantity is shown wherever it appears: label with unit, colours, and one scale through the report.

Figures as PNG files of few colours: a third of the size, with the colours of the colour bars kept exactly.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import cartopy.crs as ccrs
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import BoundaryNorm, Colormap, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.path import Path as Outline
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from scipy.spatial import cKDTree

from proda.data import grid as outlines
from proda.maps.netcdf import raster_of, rastered

CAPTION_KEY = "caption"  # of the metadata of a notebook's output


def captioned(figure: Figure, caption: str) -> Figure:
    """The figure with a caption in plain words; it takes the place of an earlier one."""
    setattr(figure, f"_proda_{CAPTION_KEY}", " ".join(caption.split()))
    return figure


def caption_of(figure: Figure) -> str:
    """The caption that `captioned` gave; empty when there is none."""
    return getattr(figure, f"_proda_{CAPTION_KEY}", "")


PNG = "image/png"
# Beyond this many names a list is cut: nobody wants the titles of 25 panels read out.
LISTED = 8
RAISED = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
LOWERED = str.maketrans("0123456789+-−", "₀₁₂₃₄₅₆₇₈₉₊₋₋")


def alt_text(figure: Figure) -> str:
    """One to a few sentences on what `figure` shows: its maps, charts, legends and colour bars; empty for none.

    A figure whose parts say too little is given words with ``figure.set_label(...)``: they come first.
    """
    bars = [ax for ax in figure.axes if hasattr(ax, "_colorbar")]
    panels = [ax for ax in figure.axes if ax not in bars and ax.get_visible() and ax.has_data()]
    maps = [ax for ax in panels if hasattr(ax, "projection")]
    titles = [figure.get_label(), figure.get_suptitle(), *(part.get_suptitle() for part in figure.subfigs)]
    sentences = [title for title in map(plain, titles) if title]
    if maps:
        sentences.append(_named("Map" if len(maps) == 1 else f"{len(maps)} maps", [_title(ax) for ax in maps]))
    charts: dict[str, list[Axes]] = {}
    for ax in (ax for ax in panels if ax not in maps):
        charts.setdefault(_relation(ax, figure), []).append(ax)
    for relation, group in charts.items():
        kind = relation or "chart"
        counted = kind if len(group) == 1 else f"{len(group)} panels of {kind}" if relation else f"{len(group)} charts"
        sentences.append(_named(counted, [_title(ax) for ax in group]))
    legends = [legend for ax in panels if (legend := ax.get_legend())] + list(figure.legends)
    entries = _different(plain(text.get_text()) for legend in legends for text in legend.get_texts())
    if entries:
        sentences.append(f"Shown are {_listed(entries)}")
    colours = _different(plain(ax.get_ylabel() or ax.get_xlabel() or ax.get_title()) for ax in bars)
    if colours:
        sentences.append(f"Colours give {_listed(colours)}")
    return " ".join(f"{_begun(text).rstrip('.')}." for text in sentences)


def plain(text: str) -> str:
    """`text` of a figure without the signs of its mathematics: "kg m$^{-2}$" becomes "kg m⁻²"."""
    return " ".join(re.sub(r"\$([^$]*)\$", lambda found: _plain_mathematics(found[1]), text).split())


def _plain_mathematics(text: str) -> str:
    text = re.sub(r"\^\{?([-+−0-9]+)\}?", lambda found: found[1].translate(RAISED), text)
    text = re.sub(r"_\{?([-+−0-9]+)\}?", lambda found: found[1].translate(LOWERED), text)
    text = re.sub(r"\\(?:mathrm|mathregular|mathit|mathbf|text|bar|hat|tilde)\s*", "", text)
    return re.sub(r"\\([A-Za-z]+)|[{}\\]", lambda found: found[1] or "", text)


def tell_in_notebooks() -> None:
    """Let the figures that this notebook shows from now on carry `alt_text` in their output; elsewhere do nothing."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None or not hasattr(shell, "display_formatter"):
        return
    if "inline" in matplotlib.get_backend():
        import_module("matplotlib_inline.backend_inline")  # it sets how figures are shown, and would do so later
    formatter = shell.display_formatter.formatters[PNG]
    try:
        shown = formatter.lookup_by_type(Figure)
    except KeyError:  # a terminal, which shows no pictures
        return
    if not getattr(shown, "tells", False):
        formatter.for_type(Figure, _telling(shown))


def _telling(shown: Callable[[Figure], Any]) -> Callable[[Figure], Any]:
    def told(figure: Figure) -> Any:
        made = shown(figure)
        if made is None:
            return None
        picture, metadata = made if isinstance(made, tuple) else (made, {})
        caption = {CAPTION_KEY: words} if (words := caption_of(figure)) else {}
        return picture, {**(metadata or {}), "alt": alt_text(figure), **caption}

    told.tells = True
    return told


def _title(ax: Axes) -> str:
    return plain(next((text for where in ("center", "left", "right") if (text := ax.get_title(where))), ""))


def _relation(ax: Axes, figure: Figure) -> str:
    """What the axes of a chart say, "carbon against depth"; a panel within a grid takes the words of its neighbours."""
    x, y = (
        plain(own)
        or next((plain(label) for other in shared.get_siblings(ax) if (label := read(other))), "")
        or plain(whole)
        for own, shared, read, whole in (
            (ax.get_xlabel(), ax.get_shared_x_axes(), Axes.get_xlabel, figure.get_supxlabel()),
            (ax.get_ylabel(), ax.get_shared_y_axes(), Axes.get_ylabel, figure.get_supylabel()),
        )
    )
    return f"{y} against {x}" if x and y else x or y


def _begun(sentence: str) -> str:
    """A sentence with a great letter in front, unless a name begins it: "q10" keeps its own."""
    return sentence[0].upper() + sentence[1:] if sentence.split()[0].isalpha() else sentence


def _named(kind: str, titles: list[str]) -> str:
    names = _different(titles)
    return f"{kind}: {_listed(names)}" if names else kind


def _listed(names: list[str]) -> str:
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")


def _different(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))


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
        together = Outline.make_compound_path_from_polys(quads)
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


COMMON, RARE = 160, 24
# Keywords of the PNG specification.
DESCRIPTION, COMMENT = "Description", "Comment"


def palette_of(colours: NDArray[np.uint8], counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """At most 184 colours (n, 3) that stand for `colours` (m, 3) that occur `counts` (m,) times.

    The most frequent ones are taken as they are: they are the classes of the colour bars, which median cut alone would
    blend with their neighbours. Median cut over the others, each counted once, serves edges and gradients.
    """
    order = np.argsort(-counts, kind="stable")
    common, rare = colours[order[:COMMON]], colours[order[COMMON:]]
    if len(rare) <= RARE:
        return colours[order]
    cut = Image.fromarray(rare[None]).quantize(RARE, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return np.concatenate([common, np.array(cut.getpalette(), dtype=np.uint8).reshape(-1, 3)[:RARE]])


def in_few_colours(image: Image.Image) -> Image.Image:
    """An image with a palette of at most 184 colours, every pixel in the nearest of them."""
    pixels = np.asarray(image.convert("RGB"))
    packed = pixels.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32)
    # Counted in a table of all colours there are: to sort the pixels takes longer.
    times = np.bincount(packed.ravel(), minlength=2**24)
    values = np.flatnonzero(times)
    colours = np.stack([values >> 16, (values >> 8) & 255, values & 255], axis=1).astype(np.uint8)
    palette = palette_of(colours, times[values])
    nearest = np.zeros(2**24, np.uint8)
    nearest[values] = cKDTree(palette.astype(float)).query(colours.astype(float))[1]
    found = Image.fromarray(nearest[packed])
    found.putpalette(palette.tobytes())
    return found


def small_png(image: Image.Image, description: str, caption: str = "") -> bytes:
    """An image as a PNG file of few colours with `description`, words for those who do not see it, and its caption."""
    told, small = PngInfo(), BytesIO()
    told.add_itxt(DESCRIPTION, description)
    if caption:
        told.add_itxt(COMMENT, caption)
    size = {"dpi": image.info["dpi"]} if "dpi" in image.info else {}
    in_few_colours(image).save(small, format="png", optimize=True, pnginfo=told, **size)
    return small.getvalue()


def description_in(path: str | Path) -> str:
    """The words that `small_png` put into a PNG file; empty when there are none."""
    with Image.open(path) as image:
        return image.text.get(DESCRIPTION, "")


def saved(figure: Figure, path: str | Path) -> Path:
    """Path of the figure, written as PNG at the report's resolution; its folder is made if need be."""
    whole = BytesIO()
    figure.savefig(whole, format="png")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(small_png(Image.open(whole), alt_text(figure), caption_of(figure)))
    return path
