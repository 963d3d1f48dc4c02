"""What to see in a figure, in a sentence or two that stand below it on its page.

A caption stays with the function that draws: it goes with the figure through notebook and page, and into the file.
"""

from __future__ import annotations

from matplotlib.figure import Figure

CAPTION = "caption"  # of the metadata of a notebook's output


def captioned(figure: Figure, caption: str) -> Figure:
    """The figure with a caption in plain words; it takes the place of an earlier one."""
    setattr(figure, f"_proda_{CAPTION}", " ".join(caption.split()))
    return figure


def caption_of(figure: Figure) -> str:
    """The caption that `captioned` gave; empty when there is none."""
    return getattr(figure, f"_proda_{CAPTION}", "")
