"""What a figure shows, in words for those who do not see it, put together from its own titles, labels and legends.

A notebook's figures carry these words, and their caption, in the metadata of their output, and `figures.saving` writes
both into the file.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from proda.figures.captions import CAPTION, caption_of

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
        caption = {CAPTION: words} if (words := caption_of(figure)) else {}
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
