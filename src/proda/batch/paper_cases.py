"""Reference cases of the `paper` configuration: inputs and pools as the original programs of the 2020 study have them.

The original tabulates its grid to nine decimals (and prints the top of the fifth layer one unit above the bottom of the
fourth). That alone changes densities by up to 6e-9; on the grid as tabulated the two agree to some 1e-12. The cases are
therefore computed on the tabulated grid, and the difference to the exact grid of the package is shown beside.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.errors import InputError
from proda.model.checks import checked_parameters, validated
from proda.model.column import PAPER_COLUMN, Column
from proda.model.configuration import PAPER, Configuration
from proda.model.forcing import Forcing
from proda.model.parameters import PAPER_PARAMETERS, physical
from proda.model.steady_state import POOLS, soc_density, steady_state

TOLERANCE = 1e-9  # relative, in SOC density
NEGLIGIBLE = 1e-12  # of the column's largest density: below, the original's own rounding shows


@cache
def tabulated_column() -> Column:
    """The grid of the `paper` configuration as the original program tabulates it."""
    node, top, bottom, thickness = (
        np.round(values, 9)
        for values in (PAPER_COLUMN.node, PAPER_COLUMN.top, PAPER_COLUMN.bottom, PAPER_COLUMN.thickness)
    )
    top[4] = 0.165529232
    return Column("paper", node, top, bottom, thickness)


@dataclass(frozen=True)
class PaperCases:
    """Reference cases: `theta` (25, n), `forcing`, and `pools` (7, 10, n), NaN where the original stopped."""

    theta: NDArray[np.float64]
    forcing: Forcing
    pools: NDArray[np.float64]

    without_reference = "singular"
    legend = (
        "numpy, jax, compiled: SOC density against that of the original programs, on the grid as they tabulate it.\n"
        "exact grid: the same by NumPy on the package's own grid, for information.\n"
        "finite: whether all results are finite and none is negative; all that is asked of cases where the original "
        "stopped with a singular matrix."
    )

    @property
    def configuration(self) -> Configuration:
        return PAPER.on(tabulated_column())

    @property
    def tolerance(self) -> dict[str, float]:
        """What each column of `errors` may be."""
        return dict.fromkeys(("numpy", "jax", "compiled"), TOLERANCE)

    def errors(self, pools: NDArray, by_jax: NDArray, soc: NDArray) -> pd.DataFrame:
        """Worst relative error of each case in SOC density, by each version, and by NumPy on the exact grid."""
        on_exact_grid = steady_state(self.theta, self.forcing)
        return pd.DataFrame(
            {
                "numpy": worst_errors(soc_density(pools), self),
                "jax": worst_errors(soc_density(by_jax), self),
                "compiled": worst_errors(soc, self),
                "exact grid": worst_errors(soc_density(on_exact_grid), self),
            }
        ).rename_axis("case")


def worst_errors(soc: NDArray, cases: PaperCases) -> NDArray[np.float64]:
    """Worst relative error in SOC density of each case, (n,); NaN for cases without a reference.

    A density that is not a number where the reference has one is infinitely wrong.
    """
    reference = soc_density(cases.pools)
    size = np.abs(reference)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(size > NEGLIGIBLE * size.max(axis=0), np.abs(soc / reference - 1.0), 0.0).max(axis=0)
    return np.where(np.isnan(reference).all(axis=0), np.nan, np.nan_to_num(error, nan=np.inf, posinf=np.inf))


def read_paper_cases(path: Path) -> PaperCases:
    """Cases from a CSV file in the layout of the model specification.

    Raises
    ------
    InputError
        When columns are missing, the file holds no case, or an input is not a finite and possible number.
    """
    try:
        table = pd.read_csv(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable CSV table ({error})") from error
    layers = range(1, PAPER_COLUMN.n_layers + 1)
    x = [f"x{k}" for k in range(1, len(PAPER_PARAMETERS) + 1)]
    drivers = [f"{name}{j}" for name in ("T", "psi") for j in layers]
    inputs = [*x, *drivers, "npp_min", "npp_max", "npp_mean", "alt"]
    pools = [f"{pool}_{j}" for pool in POOLS for j in layers]
    missing = [name for name in [*inputs, *pools] if name not in table]
    if missing:
        raise InputError(
            f"{path}: {len(missing)} columns are missing, the first is {missing[0]!r}. Is it a file of `paper` cases?"
        )
    table[inputs] = table[inputs].apply(pd.to_numeric, errors="coerce")
    if table.empty or table[inputs].isna().any(axis=None):
        at = (
            "no rows"
            if table.empty
            else f"row {int(table[inputs].isna().any(axis=1).to_numpy().argmax()) + 2} lacks a number"
        )
        raise InputError(f"{path}: {at}; expected every input of every case. Is the file cut short?")
    reference = _reference(table, pools, path)
    forcing = Forcing(
        table[drivers[: len(layers)]].to_numpy().T,
        table[drivers[len(layers) :]].to_numpy().T,
        *(table[name].to_numpy() for name in ("alt", "npp_mean", "npp_min", "npp_max")),
    )
    try:
        forcing = validated(forcing)
        theta = checked_parameters(physical(table[x].to_numpy().T, forcing), forcing.n_columns)
    except InputError as error:
        raise InputError(f"{path}: {error} (column 0 is the case in row 2 of the file.)") from error
    return PaperCases(theta, forcing, reference.reshape(7, len(layers), -1))


def _reference(table: pd.DataFrame, pools: list[str], path: Path) -> NDArray[np.float64]:
    """The 70 pools of every case, (70, n), g C m-3."""
    numbers = table[pools].apply(pd.to_numeric, errors="coerce")
    cut = numbers.isna().any(axis=1) & ~table[pools].isna().all(axis=1)
    if cut.any():
        raise InputError(
            f"{path}: row {int(cut.to_numpy().argmax()) + 2} has some pools and lacks others; expected all of a case, "
            "or none where the original program stopped. Is the file cut short?"
        )
    if numbers.isna().all(axis=None):
        raise InputError(f"{path}: no case has pools; expected those of the original program to compare with.")
    return numbers.to_numpy().T
