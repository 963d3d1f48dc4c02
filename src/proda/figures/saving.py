"""Figures as PNG files of few colours: a third of the size, with the colours of the colour bars kept exactly."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from scipy.spatial import cKDTree

from proda.figures.alt_text import alt_text
from proda.figures.captions import caption_of

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
