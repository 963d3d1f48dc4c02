"""A long chain on disk: its whole state, saved from time to time, so that it can go on after any interruption.

The state decides all later steps, so a chain that goes on ends with the bits of one that never stopped, wherever it was
saved.
"""

import os
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from proda.assimilation.chain_state import Chains
from proda.checkpoints import refusal_told
from proda.model.lane_type import LANES

SECONDS_BETWEEN = 20.0


class Progress(NamedTuple):
    """A chain of one-batch assimilation after `step` steps; all its lanes are alike.

    `draws` (LANES, n_draws, n_parameters) and `phis` (LANES, n_draws) are filled as far as it got; `accepted_before` is
    the number of steps accepted when the width of the test run was last judged.
    """

    step: int
    chains: Chains
    draws: NDArray[np.float64]
    phis: NDArray[np.float64]
    accepted_before: float = 0.0

    def accepted(self, row: int) -> float:
        """Number of accepted steps of the test run or the kept part, the row of `Chains.tuning`."""
        return float(self.chains.tuning[row * LANES])


class ChainCheckpoint:
    """The file of one chain; without a path nothing is saved or found."""

    def __init__(self, path: Path | None) -> None:
        self.path, self._saved = path, time.monotonic()

    def read(self) -> Progress | None:
        """The chain as it was saved; None when it was not, or when the file cannot be read."""
        if self.path is None or not self.path.is_file():
            return None
        try:
            with np.load(self.path) as saved:
                chains = Chains(**{name: saved[f"chains_{name}"] for name in Chains._fields})
                draws, phis = (np.repeat(saved[name][None], LANES, axis=0) for name in ("draws", "phis"))
                return Progress(int(saved["step"]), chains, draws, phis, float(saved["accepted_before"]))
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            return None

    def write_now_and_then(self, progress: Progress) -> None:
        """Save the chain if `SECONDS_BETWEEN` have passed since it was last saved.

        Raises
        ------
        ProdaError
            When the disk refuses; what was saved before stays.
        """
        if self.path is None or time.monotonic() - self._saved < SECONDS_BETWEEN:
            return
        state = {f"chains_{name}": value for name, value in progress.chains._asdict().items()}
        partial = self.path.with_suffix(".part.npz")
        with refusal_told(self.path, "the chain goes on from where it was last saved"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as stream:
                np.savez(
                    stream,
                    step=progress.step,
                    draws=progress.draws[0],
                    phis=progress.phis[0],
                    accepted_before=progress.accepted_before,
                    **state,
                )
            os.replace(partial, self.path)
        self._saved = time.monotonic()
