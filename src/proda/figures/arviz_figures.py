"""ArviZ's diagnostic figures, with whichever ArviZ is installed (0.x on Python 3.11, 1.x from 3.12).

Each function takes an object from `assimilation.posterior.inference_data` and the names of a few parameters, and
returns the figure. `kind` and probabilities are always given: their defaults differ between the two.
"""

from collections.abc import Callable, Sequence
from typing import Any

import arviz as az
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from proda.assimilation.posterior import CLASSIC_ARVIZ as CLASSIC


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


def trace_figure(data: Any, parameters: Sequence[str]) -> Figure:
    """Value against draw for every chain: chains that have converged look alike and go nowhere."""
    size = (8.5, 1.7 * len(parameters))
    if CLASSIC:
        return _drawn(az.plot_trace, data, parameters, size, kind="trace", compact=False, combined=False)
    return _drawn(az.plot_trace_dist, data, parameters, size, compact=False)


def rank_figure(data: Any, parameters: Sequence[str]) -> Figure:
    """Ranks of each chain among all draws: uniform where the chains sample the same distribution."""
    size = (8.5, 2.3 * -(-len(parameters) // 4))
    how = {"kind": "bars"} if CLASSIC else {}
    return _drawn(az.plot_rank, data, parameters, size, **how)


def autocorrelation_figure(data: Any, parameters: Sequence[str], max_lag: int = 100) -> Figure:
    """Autocorrelation of the draws, chains combined: how many draws are worth one independent draw."""
    how = {"combined": True} if CLASSIC else {}
    return _drawn(az.plot_autocorr, data, parameters, (8.5, 2.3 * -(-len(parameters) // 4)), max_lag=max_lag, **how)


def ess_figure(data: Any, parameters: Sequence[str]) -> Figure:
    """Effective sample size against the number of draws used: grows in a straight line once a chain mixes."""
    size = (8.5, 2.5 * -(-len(parameters) // 4))
    if CLASSIC:
        return _drawn(az.plot_ess, data, parameters, size, kind="evolution", min_ess=400)
    return _drawn(az.plot_ess_evolution, data, parameters, size, min_ess=400)


def pair_figure(data: Any, parameters: Sequence[str]) -> Figure:
    """Posterior of each pair of parameters: which trade off against each other."""
    size = (1.9 * len(parameters), 1.8 * len(parameters))
    if CLASSIC:
        style = {"scatter_kwargs": {"alpha": 0.15, "s": 3.0}}
        return _drawn(az.plot_pair, data, parameters, size, kind="scatter", marginals=True, **style)
    style = {"scatter": {"alpha": 0.15, "s": 3.0}}
    return _drawn(az.plot_pair, data, parameters, size, marginal=True, marginal_kind="kde", visuals=style)
