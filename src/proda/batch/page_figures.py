"""The figures of an executed notebook as files of a page: small, with alternative texts, and captions below them."""

import re
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from html import escape
from io import BytesIO
from pathlib import Path

import nbformat
from PIL import Image

from proda.batch.page_check import says_nothing
from proda.figures.captions import CAPTION
from proda.figures.saving import in_few_colours

PNG = "image/png"
FOLDER = "_static/figures"  # as a page names it
HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)


def with_figures_as_files(notebook: nbformat.NotebookNode, name: str, source: Path) -> nbformat.NotebookNode:
    """`notebook` with every PNG among its outputs as a file below the folder `source`; changed in place.

    A reader gets the figure at the width that its notebook gave it, and opens it in full with a click or the Enter key.
    Its caption is that of the cell's metadata (``mystnb.figure.caption``), else the figure's own
    (`proda.figures.captions`).

    Parameters
    ----------
    name : the notebook's name, with which the files' names begin
    """
    folder = source / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for number, (output, alt, caption) in enumerate(figures_with_words(notebook), start=1):
        image = Image.open(BytesIO(b64decode(output["data"][PNG])))
        file = folder / f"{name}-{number}.webp"
        # A fifth smaller than a PNG of the same pixels.
        in_few_colours(image).convert("RGB").save(file, lossless=True, quality=80, method=4)
        shown = output.get("metadata", {}).get(PNG, {})
        width, height = shown.get("width", image.width), shown.get("height", image.height)
        shown_as = figure_html(f"{FOLDER}/{file.name}", alt, width, height, caption)
        output["data"] = nbformat.from_dict({"text/html": shown_as})
    return notebook


def figure_html(address: str, alt: str, width: float, height: float, caption: str = "") -> str:
    """A figure in a page, linked to itself in full, with its caption below if it has one."""
    size = f'width="{round(width)}" height="{round(height)}"'
    picture = f'<a class="figure" href="{address}"><img src="{address}" {size} alt="{escape(alt)}"></a>'
    below = f"<figcaption>{escape(caption, quote=False)}</figcaption>" if caption else ""
    return f"<figure>{picture}{below}</figure>"


def figures_with_words(notebook: nbformat.NotebookNode) -> Iterator[tuple[nbformat.NotebookNode, str, str]]:
    """Every output of `notebook` that is a PNG, with its alternative text and its caption, which may be empty.

    The alternative text is what the cell's metadata say (``mystnb.image.alt``), else what the figure tells of itself
    (`proda.figures.alt_text`), else the heading above the cell and the first sentence below that. Words that say too
    little get the heading's in front, and no two figures have the same.
    """
    heading, sentence, told = "the notebook", "", Counter()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading, sentence = _place(cell.source, heading, sentence)
            continue
        about = cell.metadata.get("mystnb", {})
        given = str(about.get("image", {}).get("alt", "")).strip()
        below = str(about.get("figure", {}).get("caption", "")).strip()
        for output in (output for output in cell.get("outputs", []) if PNG in output.get("data", {})):
            own = output.get("metadata", {}).get(PNG, {})
            alt = given or own.get("alt", "")
            if says_nothing(alt):
                alt = " ".join(f"Figure of the section “{heading}”. {alt or sentence}".split())
            told[alt] += 1
            yield output, alt if told[alt] == 1 else f"{alt} ({told[alt]} of these)", below or own.get(CAPTION, "")


def _place(markdown: str, heading: str, sentence: str) -> tuple[str, str]:
    """The last heading of a cell and the first sentence of the prose below it, or those of the cells before."""
    headings = list(HEADING.finditer(markdown))
    if not headings:
        return heading, sentence
    below = [line for line in markdown[headings[-1].end() :].splitlines() if line[:1].isalpha()]
    first = re.split(r"(?<=[.:?])\s", below[0])[0] if below else ""
    return _without_marks(headings[-1][1]), _without_marks(first)


def _without_marks(text: str) -> str:
    return re.sub(r"\[([^]]*)\]\([^)]*\)|[*`$]", lambda found: found[1] or "", text).strip()
