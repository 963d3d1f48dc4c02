"""How long to sample, from the settings of a study."""

from proda.assimilation.adaptive_metropolis import Schedule
from proda.errors import InputError

LEAST_BURN_IN = 100


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
