"""Fig. S5: how far the profiles narrow each parameter, beside what the paper found."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from proda.assimilation.parameter_table import ABOVE, AT_MOST, PRIOR_VARIANCE, PUBLISHED_ABOVE, PUBLISHED_AT_MOST
from proda.figures.style import CYCLE, INK

OURS, AGREES, DIFFERS = "#9a9a9a", CYCLE[0], CYCLE[1]


def variance_bars(variance: pd.Series, ax: Axes) -> Axes:
    """Mean posterior variance on the unit scale by parameter, the widest on top, and the prior's as a line.

    Parameters of which the paper says where their variance lies have a triangle at that bound which points to the
    published side; their bars are blue where ours lies on that side, orange where it does not.

    Parameters
    ----------
    variance : Series
        By parameter.
    """
    ordered = variance.sort_values()
    rows = np.arange(len(ordered))
    agrees = {name: variance[name] > ABOVE for name in PUBLISHED_ABOVE}
    agrees |= {name: variance[name] <= AT_MOST for name in PUBLISHED_AT_MOST}
    colour_of = {name: AGREES if agree else DIFFERS for name, agree in agrees.items()}
    ax.barh(rows, ordered, color=[colour_of.get(name, OURS) for name in ordered.index], height=0.75)
    for names, bound, marker in ((PUBLISHED_ABOVE, ABOVE, ">"), (PUBLISHED_AT_MOST, AT_MOST, "<")):
        word = "above" if marker == ">" else "at most"
        places = [ordered.index.get_loc(name) for name in names]
        ax.plot(
            [bound] * len(places),
            places,
            marker,
            color="white",
            mec=INK,
            ms=6.5,
            lw=0,
            label=f"published: {word} {bound:g}",
        )
    for colour, label in ((AGREES, "ours, as published"), (DIFFERS, "ours, not as published"), (OURS, "ours, others")):
        if colour in set(colour_of.values()) or colour == OURS:
            ax.barh(0.0, 0.0, color=colour, label=label)
    ax.axvline(PRIOR_VARIANCE, color=INK, lw=0.9, ls="--", label="prior, 1/12")
    ax.set_yticks(rows, ordered.index, fontsize=8.5)
    ax.set(
        ylim=(-0.6, len(rows) - 0.4),
        xlim=(0.0, max(0.098, 1.05 * variance.max())),
        xlabel="Mean posterior variance over sites (unit cube)",
    )
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=8.5)
    return ax
