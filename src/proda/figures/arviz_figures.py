"""ArviZ's diagnostic figures, with whichever ArviZ is installed (0.x on Python 3.11, 1.x from 3.12).

Each function takes an object from `assimilation.posterior.inference_data` and the names of a few parameters, and
returns the figure. `kind` and probabilities are always given: their defaults differ between the two.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from proda.assimilation.posterior import CLASSIC_ARVIZ as CLASSIC


def side_by_side(
    figure_of: Callable[..., Figure], looked: Mapping[str, Any], parameters: Sequence[str], **how: Any
) -> Figure:
    """The same figure of several posteriors beside one another, each under its name, for the same parameters.

    The figures are put together as pictures: the two ArviZ lay theirs out by rules of their own.

    Parameters
    ----------
    figure_of : callable
        One of the functions of this module.
    looked : mapping
        Name -> ArviZ object.
    """
    pictures, dpi = [], 2.0 * plt.rcParams["figure.dpi"]
    for data in looked.values():
        one = figure_of(data, parameters, columns=2, **how)
        one.set_dpi(dpi)
        one.canvas.draw()
        pictures.append(np.asarray(one.canvas.buffer_rgba()).copy())
        plt.close(one)
    height, width = (max(picture.shape[side] for picture in pictures) / dpi for side in (0, 1))
    heading = 0.3
    figure = plt.figure(figsize=(width * len(pictures), height + heading), layout="none")
    # The pictures have no words of their own (`alt_text`); what the figure is stands in the first line of its function.
    figure.set_label(f"{(figure_of.__doc__ or figure_of.__name__).splitlines()[0]} Parameters: {', '.join(parameters)}")
    for k, (name, picture) in enumerate(zip(looked, pictures, strict=True)):
        place = (k / len(pictures), 0.0, 1.0 / len(pictures), height / (height + heading))
        ax = figure.add_axes(place)
        ax.imshow(picture, aspect="equal")
        ax.set_anchor("N")
        ax.set_axis_off()
        ax.set_title(name, fontsize=11, fontweight="bold", pad=3)
    return figure


def _drawn(
    draw: Callable[..., Any], data: Any, parameters: Sequence[str], size: tuple[float, float], **how: Any
) -> Figure:
    """What an ArviZ function draws for some parameters of `x`, resized and without its layout engine."""
    how |= {"var_names": ["x"], "coords": {"parameter": list(parameters)}}
    # Not `rc_context`: on leaving it undoes what the first figure of a notebook sets up, and later ones stay unseen.
    layout = plt.rcParams["figure.constrained_layout.use"]
    plt.rcParams["figure.constrained_layout.use"] = False
    try:
        if CLASSIC:
            draw(data, **how)
        else:
            draw(data, backend="matplotlib", **how)
        figure = plt.gcf()
    finally:
        plt.rcParams["figure.constrained_layout.use"] = layout
    figure.set_size_inches(*size)
    for ax in figure.axes:
        ax.set_title(_plain(ax.get_title()), fontsize=10)
        ax.set_xlabel(_plain(ax.get_xlabel()), fontsize=9)
        ax.set_ylabel(_plain(ax.get_ylabel()), fontsize=9)
        ax.tick_params(labelsize=8)
        if ax.get_legend():
            ax.get_legend().remove()
    if draw is not az.plot_pair:
        figure.tight_layout()
    return figure


def _plain(label: str) -> str:
    """The parameter's name alone of a label such as "x, q10": all parameters are elements of `x`."""
    return label.removeprefix("x\n").removeprefix("x[").removesuffix("]")


def _size(n_panels: int, columns: int, row_height: float) -> tuple[float, float]:
    """Inches of a figure of so many panels, 2.1 a column and `row_height` a row."""
    return 2.15 * columns, row_height * -(-n_panels // columns)


def _layout(n_panels: int, columns: int) -> dict[str, Any]:
    """How each ArviZ is told the number of columns."""
    columns = min(columns, n_panels)
    return {"grid": (-(-n_panels // columns), columns)} if CLASSIC else {"col_wrap": columns}


def trace_figure(data: Any, parameters: Sequence[str], columns: int = 4) -> Figure:
    """Value against draw for every chain: chains that have converged look alike and go nowhere."""
    size = (2.15 * columns, (1.7 if columns > 2 else 1.35) * len(parameters))
    if CLASSIC:
        return _drawn(az.plot_trace, data, parameters, size, kind="trace", compact=False, combined=False)
    return _drawn(az.plot_trace_dist, data, parameters, size, compact=False)


def rank_figure(data: Any, parameters: Sequence[str], columns: int = 4) -> Figure:
    """Ranks of each chain among all draws: uniform where the chains sample the same distribution."""
    how = _layout(len(parameters), columns) | ({"kind": "bars"} if CLASSIC else {})
    return _drawn(az.plot_rank, data, parameters, _size(len(parameters), columns, 2.0), **how)


def autocorrelation_figure(data: Any, parameters: Sequence[str], columns: int = 4, max_lag: int = 100) -> Figure:
    """Autocorrelation of the draws, chains combined: how many draws are worth one independent draw."""
    how = _layout(len(parameters), columns) | ({"combined": True} if CLASSIC else {})
    return _drawn(az.plot_autocorr, data, parameters, _size(len(parameters), columns, 2.0), max_lag=max_lag, **how)


def ess_figure(data: Any, parameters: Sequence[str], columns: int = 4) -> Figure:
    """Effective sample size against the number of draws used: grows in a straight line once a chain mixes."""
    size, how = _size(len(parameters), columns, 2.2), _layout(len(parameters), columns)
    if CLASSIC:
        return _drawn(az.plot_ess, data, parameters, size, kind="evolution", min_ess=400, **how)
    return _drawn(az.plot_ess_evolution, data, parameters, size, min_ess=400, **how)


def pair_figure(data: Any, parameters: Sequence[str], columns: int = 4) -> Figure:
    """Posterior of each pair of parameters: which trade off against each other."""
    wide = columns > 2
    width = 1.9 if wide else 4.3 / len(parameters)
    size, dots = (width * len(parameters), 0.95 * width * len(parameters)), {"alpha": 0.2, "s": 3.0}
    if CLASSIC:
        figure = _drawn(az.plot_pair, data, parameters, size, kind="scatter", marginals=True, scatter_kwargs=dots)
    else:
        style = {"scatter": dots}
        figure = _drawn(az.plot_pair, data, parameters, size, marginal=True, marginal_kind="kde", visuals=style)
    if not wide:
        figure.subplots_adjust(left=0.16, right=0.98, bottom=0.11, top=0.98)
        for ax in figure.axes:
            ax.locator_params(nbins=2)
            ax.tick_params(labelsize=7)
    return figure
