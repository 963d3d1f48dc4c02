"""One-batch assimilation: one set of parameters for all profiles together (Tao et al. 2020, section 2.3).

The profiles of a grid cell share their forcing, so their misfits add up to one quadratic form and the column is solved
once for all of them. Eq. 5.1 leaves the constant B open: with B = 1 the posterior is the formal one of all profiles;
with B = 1/(number of profiles) it holds one profile's worth of information, and is about as wide as the paper's.
"""

import shutil
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.assimilation.chains import SiteProblem
from proda.errors import InputError
from proda.kernels import metropolis
from proda.kernels.metropolis import KEPT_ACCEPTED, TEST_ACCEPTED, Chains, Proposal, Schedule, Target, new_chains
from proda.kernels.misfit import misfit_forms
from proda.kernels.simd import BLOCK_WIDTH, generator_states
from proda.kernels.steady_state import block_work
from proda.model.parameters import PAPER_PARAMETERS
from proda.stage import write_errors_explained

SECONDS_BETWEEN = 20.0  # between two saved states of a chain
STEPS_PER_REPORT = 50
WINDOW = 0.15, 0.50  # the paper's, of accepted steps
_RAISE = 1.5  # factor by which D changes after a piece of the test run outside the window


class OneBatch(NamedTuple):
    """The posterior of one parameter set for all profiles."""

    x: NDArray[np.float64]  # (chain, draw, parameter), on the unit cube
    phi: NDArray[np.float64]  # (chain, draw), misfit summed over all profiles, not tempered
    acceptance: NDArray[np.float64]  # (chain, 2), of the test run and of the kept part
    D: NDArray[np.float64]  # (chain,), of Eq. 7 at the end of the test run
    B: float  # of Eq. 5.1


def batch_constant(setting: str | float, n_profiles: int) -> float:
    """B of Eq. 5.1 from the setting `one_batch_B`: a positive number, or "1/n" for one over the number of profiles."""
    text = str(setting).replace(" ", "")
    with suppress(ValueError):
        value = 1.0 / n_profiles if text == "1/n" else float(text)
        if 0.0 < value < np.inf:
            return value
    raise InputError(
        f"one_batch_B is {setting!r}, expected a positive number or '1/n' (one over the number of profiles)."
    )


def one_batch_posterior(
    problem: SiteProblem,
    cell: ArrayLike,
    seed: int,
    schedule: Schedule,
    n_chains: int = 3,
    B: float = 1.0,
    proposal: Proposal = metropolis.DEFAULT_PROPOSAL,
    n_workers: int = 2,
    report: Callable[[int], None] = lambda n_steps: None,
    checkpoints: Path | None = None,
) -> OneBatch:
    """Sample Eq. 5.1 over all profiles.

    `cell` is the grid cell of every site, (n_sites,): sites of one cell have the same forcing. `report` is called with
    the number of steps just taken. In the folder `checkpoints` the chains save their state from time to time, and go on
    from it to the same bits. An InputError when a chain never moves or finds no finite misfit; a ProdaError when the
    disk refuses the state of a chain.
    """
    cells, first, column = np.unique(np.asarray(cell), return_index=True, return_inverse=True)
    forms = misfit_forms(column[problem.site], cells.size, problem.depth, problem.soc, problem.weight, problem.sd)
    target = metropolis.new_target(problem.forcing.take(first), B * forms, pooled=True, proposal=proposal)

    def run(chain: int) -> Progress:
        own = target._replace(theta=np.zeros_like(target.theta), work=block_work())
        path = checkpoints / f"chain-{chain + 1}.npz" if checkpoints else None
        return _sampled_chain(own, (seed, 0, chain), schedule, path, report)

    with ThreadPoolExecutor(n_workers) as pool:
        done = list(pool.map(run, range(n_chains)))
    accepted = np.array([[one.accepted(TEST_ACCEPTED), one.accepted(KEPT_ACCEPTED)] for one in done])
    result = OneBatch(
        x=np.stack([one.draws[0] for one in done]).astype(np.float64),
        phi=np.stack([one.phis[0] for one in done]) / B,
        acceptance=accepted / [schedule.test_steps, schedule.kept_steps],
        D=np.array([1.0 / one.chains.widest[0] for one in done]),
        B=B,
    )
    if not np.isfinite(result.phi).all() or (result.acceptance[:, 1] == 0.0).any():
        worst = int(np.argmin(result.acceptance[:, 1]))
        if checkpoints is not None:
            shutil.rmtree(checkpoints, ignore_errors=True)  # they lead here again, and other settings are the remedy
        raise InputError(
            f"one-batch: chain {worst + 1} of {n_chains} never moved in its kept part, at a misfit of "
            f"{result.phi[worst, -1]:g}; expected a finite misfit and accepted steps. Check relative_sd and "
            f"one_batch_B ({B:g}), or run longer (one_batch_steps)."
        )
    return result


class Progress(NamedTuple):
    """A chain after `step` steps; all elements of its SIMD block are alike."""

    step: int
    chains: Chains
    draws: NDArray[np.float32]  # (BLOCK_WIDTH, n_draws, n_parameters), filled as far as it got
    phis: NDArray[np.float64]  # (BLOCK_WIDTH, n_draws), likewise
    accepted_before: float = 0.0  # steps accepted when the width of the test run was last adjusted

    def accepted(self, row: int) -> float:
        """Number of accepted steps of the test run or the kept part, the row of `Chains.tuning`."""
        return float(self.chains.tuning[row * BLOCK_WIDTH])


def saved_chain(path: Path) -> Progress | None:
    """The chain as it was saved; None when it was not, or when the file cannot be read."""
    with suppress(OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile), np.load(path) as saved:
        chains = Chains(**{name: saved[f"chains_{name}"] for name in Chains._fields})
        draws, phis = (np.repeat(saved[name][None], BLOCK_WIDTH, axis=0) for name in ("draws", "phis"))
        return Progress(int(saved["step"]), chains, draws, phis, float(saved["accepted_before"]))
    return None


def _save(progress: Progress, path: Path) -> None:
    state = {f"chains_{name}": value for name, value in progress.chains._asdict().items()}
    state |= {"draws": progress.draws[0], "phis": progress.phis[0]}
    partial = path.with_suffix(".part.npz")
    with write_errors_explained(path, "the chain goes on from where it was last saved"):
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(partial, step=progress.step, accepted_before=progress.accepted_before, **state)
        partial.replace(path)


def _sampled_chain(
    target: Target, entropy: tuple[int, ...], schedule: Schedule, path: Path | None, report: Callable[[int], None]
) -> Progress:
    """One chain from its start, or from where it was saved, to its end."""
    progress, saved = saved_chain(path) if path else None, time.monotonic()
    if progress is None:
        # Every element carries the same chain, so that its misfit can be summed over the cells of each block.
        chains = new_chains(len(PAPER_PARAMETERS), np.repeat(generator_states([entropy]), BLOCK_WIDTH, axis=1))
        metropolis.start_chains(chains, target)
        # As the draws of sites: one compilation serves both.
        draws = np.empty((BLOCK_WIDTH, schedule.n_draws, len(PAPER_PARAMETERS)), np.float32)
        progress = Progress(0, chains, draws, np.empty((BLOCK_WIDTH, schedule.n_draws)))
    report(progress.step)
    piece = max(1, schedule.test_steps // 20 // STEPS_PER_REPORT) * STEPS_PER_REPORT
    for begin in range(progress.step, schedule.total, STEPS_PER_REPORT):
        end = min(begin + STEPS_PER_REPORT, schedule.total)
        metropolis.run_chains(progress.chains, target, schedule, begin, end, progress.draws, progress.phis)
        progress = progress._replace(step=end)
        if end % piece == 0 and end < schedule.test_steps:
            progress = _with_adjusted_width(progress, piece)
        report(end - begin)
        if path and time.monotonic() - saved >= SECONDS_BETWEEN:
            _save(progress, path)
            saved = time.monotonic()
    return progress


def _with_adjusted_width(progress: Progress, piece: int) -> Progress:
    """Raise D of Eq. 7 when too few steps of a piece of the test run were accepted; lower it, to 5, when too many."""
    accepted = progress.accepted(TEST_ACCEPTED)
    share = (accepted - progress.accepted_before) / piece
    widest = progress.chains.widest
    if share < WINDOW[0]:
        widest /= _RAISE
    elif share > WINDOW[1]:
        widest[:] = np.minimum(widest * _RAISE, metropolis.WIDEST)
    return progress._replace(accepted_before=accepted)
