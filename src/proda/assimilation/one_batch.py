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

from proda.assimilation.chains import (
    ACCEPTED,
    ERROR_BOUNDS,
    ErrorModel,
    SiteProblem,
    inert_parameters,
    one_of_accepted,
    with_inert_from_prior,
)
from proda.errors import InputError
from proda.kernels import coordinates, metropolis
from proda.kernels.metropolis import KEPT_ACCEPTED, TEST_ACCEPTED, Chains, Proposal, Schedule, Target, new_chains
from proda.kernels.misfit import misfit_forms
from proda.kernels.simd import BLOCK_WIDTH, generator_states
from proda.kernels.steady_state import soc_density
from proda.model.forcing import AnyForcing
from proda.model.observation import layer_operator
from proda.model.parameters import physical
from proda.stage import write_errors_explained

SECONDS_BETWEEN = 20.0  # between two saved states of a chain
STEPS_PER_REPORT = 50
_RAISE = 1.5  # factor by which D changes after a piece of the test run outside the window


ERROR_EVERY = 200  # steps between updates of an estimated error


class OneBatch(NamedTuple):
    """The posterior of one parameter set for all profiles."""

    x: NDArray[np.float64]  # (chain, draw, parameter), on the unit cube
    phi: NDArray[np.float64]  # (chain, draw), misfit summed over all profiles, not tempered
    acceptance: NDArray[np.float64]  # (chain, 2), of the test run and of the kept part
    D: NDArray[np.float64]  # (chain,), of Eq. 7 at the end of the test run
    B: float  # of Eq. 5.1
    error: NDArray[np.float64]  # (chain, draw, 2), relative part and floor (kg C m-3) where they are estimated, or NaN
    posterior_chain: int = -1  # the one chain that is the posterior, -1 for all

    @property
    def posterior(self) -> NDArray[np.float64]:
        """Draws of the posterior, (n, parameter)."""
        x = self.x if self.posterior_chain < 0 else self.x[self.posterior_chain]
        return x.reshape(-1, x.shape[-1])


def batch_constant(setting: str | float, n_profiles: int) -> float:
    """B of Eq. 5.1 from the setting `one_batch_B`: a positive number, at most 1, or "k/n", k over that of profiles."""
    text = str(setting).replace(" ", "")
    with suppress(ValueError):
        value = float(text.removesuffix("/n")) / n_profiles if text.endswith("/n") else float(text)
        if 0.0 < value < np.inf:
            return min(value, 1.0)
    raise InputError(
        f"one_batch_B is {setting!r}, expected a positive number, or such as '100/n' (100 over the number of profiles)."
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
    estimated: ErrorModel | None = None,
) -> OneBatch:
    """Sample Eq. 5.1 over all profiles.

    `cell` is the grid cell of every site, (n_sites,): sites of one cell have the same forcing. `report` is called with
    the number of steps just taken. In the folder `checkpoints` the chains save their state from time to time, and go on
    from it to the same bits. With `estimated`, the error model of `problem`, its relative part and its floor are
    sampled with the parameters. An InputError when a chain never moves or finds no finite misfit; a ProdaError when the
    disk refuses the state of a chain.
    """
    cells, first, column = np.unique(np.asarray(cell), return_index=True, return_inverse=True)
    of_cells = problem.forcing.take(first)
    target = _pooled_target(problem, of_cells, column, B, proposal)
    likelihood = _ErrorLikelihood(problem, of_cells, column, B, proposal, estimated) if estimated else None

    def run(chain: int) -> Progress:
        work = {name: np.zeros_like(getattr(target, name)) for name in ("theta", "work", "values")}
        own = target._replace(**work)
        path = checkpoints / f"chain-{chain + 1}.npz" if checkpoints else None
        return _sampled_chain(own, (seed, 0, chain), schedule, path, report, likelihood)

    with ThreadPoolExecutor(n_workers) as pool:
        done = list(pool.map(run, range(n_chains)))
    accepted = np.array([[one.accepted(TEST_ACCEPTED), one.accepted(KEPT_ACCEPTED)] for one in done])
    x = np.stack([one.draws[0] for one in done]).astype(np.float64)[None]
    inert = inert_parameters(of_cells).all(axis=0)[None] & (not proposal.literal)
    result = OneBatch(
        x=with_inert_from_prior(x, inert, [(seed, 0, 99)])[0],
        phi=np.stack([one.phis[0] for one in done]) / B,
        acceptance=accepted / [schedule.test_steps, schedule.kept_steps],
        D=np.array([1.0 / one.chains.widest[0] for one in done]),
        B=B,
        error=np.stack([one.errors for one in done]),
    )
    if proposal.literal:
        result = result._replace(posterior_chain=int(one_of_accepted(result.acceptance[:, 1], (seed, 0, 98))))
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
    errors: NDArray[np.float64]  # (n_draws, 2), likewise, NaN where the error is not estimated
    error: NDArray[np.float64]  # (2,), at present
    accepted_before: float = 0.0  # steps accepted when the width of the test run was last adjusted

    def accepted(self, row: int) -> float:
        """Number of accepted steps of the test run or the kept part, the row of `Chains.tuning`."""
        return float(self.chains.tuning[row * BLOCK_WIDTH])


def saved_chain(path: Path) -> Progress | None:
    """The chain as it was saved; None when it was not, or when the file cannot be read."""
    with suppress(OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile), np.load(path) as saved:
        chains = Chains(**{name: saved[f"chains_{name}"] for name in Chains._fields})
        draws, phis = (np.repeat(saved[name][None], BLOCK_WIDTH, axis=0) for name in ("draws", "phis"))
        errors = saved["errors"], saved["error"]
        return Progress(int(saved["step"]), chains, draws, phis, *errors, float(saved["accepted_before"]))
    return None


def _save(progress: Progress, path: Path) -> None:
    state = {f"chains_{name}": value for name, value in progress.chains._asdict().items()}
    state |= {"draws": progress.draws[0], "phis": progress.phis[0], "errors": progress.errors, "error": progress.error}
    partial = path.with_suffix(".part.npz")
    with write_errors_explained(path, "the chain goes on from where it was last saved"):
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(partial, step=progress.step, accepted_before=progress.accepted_before, **state)
        partial.replace(path)


def _sampled_chain(
    target: Target,
    entropy: tuple[int, ...],
    schedule: Schedule,
    path: Path | None,
    report: Callable[[int], None],
    likelihood: "_ErrorLikelihood | None",
) -> Progress:
    """One chain from its start, or from where it was saved, to its end."""
    progress, saved = saved_chain(path) if path else None, time.monotonic()
    if progress is None:
        # Every element carries the same chain, so that its misfit can be summed over the cells of each block.
        random = np.repeat(generator_states([entropy]), BLOCK_WIDTH, axis=1)
        chains = new_chains(target.low.size, random, target.scale)
        metropolis.start_chains(chains, target)
        # As the draws of sites: one compilation serves both.
        draws = np.empty((BLOCK_WIDTH, schedule.n_draws, target.low.size), np.float32)
        error = np.array(likelihood.begin[:2] if likelihood else (np.nan, np.nan))
        errors = np.full((schedule.n_draws, 2), np.nan)
        progress = Progress(0, chains, draws, np.empty((BLOCK_WIDTH, schedule.n_draws)), errors, error)
    elif likelihood:
        target = likelihood.target(progress.error, target)
    report(progress.step)
    piece = max(1, schedule.test_steps // 20 // STEPS_PER_REPORT) * STEPS_PER_REPORT
    for begin in range(progress.step, schedule.total, STEPS_PER_REPORT):
        end = min(begin + STEPS_PER_REPORT, schedule.total)
        metropolis.run_chains(progress.chains, target, schedule, begin, end, progress.draws, progress.phis)
        before, after = (max(0, t - schedule.total + schedule.kept_steps) // schedule.thin for t in (begin, end))
        progress.errors[before:after] = progress.error
        progress = progress._replace(step=end)
        if end % piece == 0 and end < schedule.test_steps and not target.literal:
            progress = _with_adjusted_width(progress, piece)
        if likelihood and end % ERROR_EVERY == 0:
            progress = progress._replace(error=likelihood.drawn(progress, np.random.default_rng([*entropy, end])))
            target = likelihood.target(progress.error, target)
        report(end - begin)
        if path and time.monotonic() - saved >= SECONDS_BETWEEN:
            _save(progress, path)
            saved = time.monotonic()
    return progress


def _pooled_target(
    problem: SiteProblem, of_cells: AnyForcing, column: NDArray, B: float, proposal: Proposal, sd: NDArray | None = None
) -> Target:
    """The target of one chain for all sites; `column` is the cell of every site."""
    configuration, sd = problem.configuration, problem.sd if sd is None else sd
    operator = layer_operator(problem.upper, problem.lower, configuration.column)
    forms = misfit_forms(column[problem.site], of_cells.n_columns, operator, problem.soc, problem.weight, sd)
    return metropolis.new_target(of_cells, B * forms, pooled=True, proposal=proposal, configuration=configuration)


class _ErrorLikelihood(NamedTuple):
    """The density of the error's relative part and floor, given the parameters of a chain."""

    problem: SiteProblem
    of_cells: AnyForcing
    column: NDArray[np.int64]  # the cell of every site
    B: float
    proposal: Proposal
    begin: ErrorModel

    @property
    def of_density(self) -> NDArray[np.float64]:
        """The part of the standard deviations that is no error of carbon: that of an estimated bulk density."""
        return np.sqrt(np.maximum(self.problem.sd**2 - self.begin.sd(self.problem.soc) ** 2, 0.0))

    def sd(self, error: NDArray) -> NDArray[np.float64]:
        return np.hypot(ErrorModel(*error).sd(self.problem.soc), self.of_density)

    def target(self, error: NDArray, like: Target) -> Target:
        """The target of the parameters with this error, in the work space of `like`."""
        new = _pooled_target(self.problem, self.of_cells, self.column, self.B, self.proposal, self.sd(error))
        return new._replace(theta=like.theta, work=like.work, values=like.values)

    def drawn(self, progress: Progress, rng: np.random.Generator) -> NDArray[np.float64]:
        """The next error of a chain, by slice sampling (Neal 2003) of one part after the other; updates its misfit."""
        problem, u = self.problem, progress.chains.x.reshape(-1, BLOCK_WIDTH)[:, 0]
        configuration = problem.configuration
        x = np.array(coordinates.position(u, self.proposal.coordinates, configuration.parameters))
        x = np.repeat(x[:, None], self.of_cells.n_columns, axis=1)
        theta = physical(x, self.of_cells, configuration.parameters)
        soc = soc_density(theta, self.of_cells, configuration)
        misfit = problem.weight * (problem.modelled(soc[:, self.column]) - problem.soc) ** 2 / 2.0
        error, before = progress.error.copy(), (misfit / self.sd(progress.error) ** 2).sum()
        for part, (low, high) in enumerate(ERROR_BOUNDS):

            def density(value: float, part: int = part) -> float:
                sd = self.sd(np.where(np.arange(2) == part, value, error))
                return -self.B * float((misfit / sd**2 + problem.weight * np.log(sd)).sum())

            level = density(error[part]) - rng.exponential()
            while density(value := rng.uniform(low, high)) < level:
                low, high = (value, high) if value < error[part] else (low, value)
            error[part] = value
        progress.chains.phi[:] += self.B * ((misfit / self.sd(error) ** 2).sum() - before)
        return error


def _with_adjusted_width(progress: Progress, piece: int) -> Progress:
    """Raise D of Eq. 7 when too few steps of a piece of the test run were accepted; lower it, to 5, when too many."""
    accepted = progress.accepted(TEST_ACCEPTED)
    share = (accepted - progress.accepted_before) / piece
    widest = progress.chains.widest
    if share < ACCEPTED[0]:
        widest /= _RAISE
    elif share > ACCEPTED[1]:
        widest[:] = np.minimum(widest * _RAISE, metropolis.WIDEST)
    return progress._replace(accepted_before=accepted)
