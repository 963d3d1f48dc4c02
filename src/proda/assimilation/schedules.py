"""How long to sample and how, from the settings of a study."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from proda.assimilation.chain_state import Schedule
from proda.assimilation.soc_chains import DEFAULT_MOVES, Moves
from proda.errors import InputError

LEAST_BURN_IN = 100


class SitePlan(NamedTuple):
    """How the chains of a site are run.

    Attributes
    ----------
    schedule : Schedule
    n_chains : int
    moves : Moves
    accepted_only : bool
        Keep only states that a step arrived at, as the published programs do: waiting times are lost.
    rhat_limit, ess_limit : float
        A site has converged when the rank-normalised R-hat of every parameter is at most, and its bulk and tail
        effective sample sizes are at least these.
    max_steps : int
        Chains of a site that has not converged go on, up to this many steps each; 0 to take the schedule as it is.
    n_kept : int
        Draws stored of a site, all chains together.
    """

    schedule: Schedule
    n_chains: int = 3
    moves: Moves = DEFAULT_MOVES
    accepted_only: bool = False
    rhat_limit: float = 1.05
    ess_limit: float = 400.0
    max_steps: int = 0
    n_kept: int = 500


def schedule(test_steps: int, steps: int, draws: int) -> Schedule:
    """Half of all steps are kept (the paper's), and thinned to at most `draws` a chain.

    Parameters
    ----------
    test_steps : int
        Length of the test run (Eq. 7).
    steps : int
        Length of the formal run (Eq. 8): what is not kept of it is burn-in.
    draws : int
        Number of states to store for a chain.

    Raises
    ------
    InputError
        When the formal run leaves no room for a burn-in, or fewer kept steps than draws.
    """
    kept = (test_steps + steps) // 2
    burn_in = steps - kept
    if burn_in < LEAST_BURN_IN or kept < draws:
        raise InputError(
            f"{test_steps} test and {steps} formal steps leave {burn_in} steps of burn-in and {kept} kept "
            f"steps for {draws} draws; expected at least {LEAST_BURN_IN} and {draws}: raise the number of formal steps."
        )
    thin = kept // draws
    # Steps that would not complete a draw belong to the burn-in.
    return Schedule(test_steps, steps - thin * draws, thin * draws, thin)


def lengthened(first: Schedule, times: int) -> Schedule:
    """A later round of a site that has not converged: `times` the kept steps of the first for as many draws.

    The quarter of them that comes before lets the chains settle with the covariance that they have learned together.
    """
    kept = times * first.kept_steps
    return Schedule(0, kept // 4, kept, times * first.thin)


def site_plan(settings: Mapping[str, Any]) -> SitePlan:
    """The plan of site-by-site assimilation, from the settings of a study (`Study.settings`, or the study itself)."""
    return SitePlan(
        schedule=schedule(settings["site_test_steps"], settings["site_steps"], settings["kept_draws"]),
        n_chains=settings["chains"],
        moves=Moves(settings["site_coordinates"], settings["site_acceptance"] == "annealed"),
        accepted_only=settings["site_kept_states"] == "accepted",
        rhat_limit=settings["site_rhat_limit"],
        ess_limit=settings["site_ess_limit"],
        max_steps=settings["site_max_steps"],
        n_kept=settings["kept_draws"],
    )
