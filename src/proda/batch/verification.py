"""Comparison of the model with the reference cases of the original programs.

The original tabulates its grid to nine decimals (and prints the top of the fifth layer one unit above the bottom of the
fourth). That alone changes densities by up to 6e-9; on the grid as tabulated the two agree to some 1e-12. The cases are
therefore computed on the tabulated grid, and the difference to the exact grid of the package is shown beside.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.errors import InputError
from proda.model import lanes
from proda.model.column import PAPER_COLUMN, Column
from proda.model.configuration import PAPER
from proda.model.forcing import Forcing
from proda.model.namespace import jax_namespace
from proda.model.parameters import PAPER_PARAMETERS, physical
from proda.model.steady_state import POOLS, soc_density, steady_state

TOLERANCE = 1e-9  # relative, in SOC density
NEGLIGIBLE = 1e-12  # of the column's largest density: below, the original's own rounding shows


class Cases(NamedTuple):
    """Reference cases: `theta` (25, n), `forcing`, and `pools` (7, 10, n), NaN where the original stopped."""

    theta: NDArray[np.float64]
    forcing: Forcing
    pools: NDArray[np.float64]


def tabulated_column() -> Column:
    """The grid of the `paper` configuration as the original program tabulates it."""
    node, top, bottom, thickness = (
        np.round(values, 9)
        for values in (PAPER_COLUMN.node, PAPER_COLUMN.top, PAPER_COLUMN.bottom, PAPER_COLUMN.thickness)
    )
    top[4] = 0.165529232
    return Column("paper", node, top, bottom, thickness)


def read_cases(path: Path) -> Cases:
    """Cases from a CSV file in the layout of the model specification.

    Raises
    ------
    InputError
        When columns are missing, the file holds no case, or an input is not a finite number.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file of reference cases at {path}")
    if path.suffix != ".csv":
        raise InputError(
            f"{path}: expected a .csv file of `paper` cases; the `cesm2` configuration (.json) is not in this version."
        )
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
    forcing = Forcing(
        table[drivers[: len(layers)]].to_numpy().T,
        table[drivers[len(layers) :]].to_numpy().T,
        *(table[name].to_numpy() for name in ("alt", "npp_mean", "npp_min", "npp_max")),
    )
    reference = table[pools].apply(pd.to_numeric, errors="coerce")
    cut = reference.isna().any(axis=1) & ~table[pools].isna().all(axis=1)
    if cut.any():
        raise InputError(
            f"{path}: row {int(cut.to_numpy().argmax()) + 2} has some pools and lacks others; expected all of a case, "
            "or none where the original program stopped. Is the file cut short?"
        )
    reference = reference.to_numpy().T
    return Cases(physical(table[x].to_numpy().T, forcing), forcing, reference.reshape(7, len(layers), -1))


def worst_errors(soc: NDArray, cases: Cases) -> NDArray[np.float64]:
    """Worst relative error in SOC density of each case, (n,); NaN for cases without a reference.

    A density that is not a number where the reference has one is infinitely wrong.
    """
    reference = soc_density(cases.pools)
    size = np.abs(reference)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(size > NEGLIGIBLE * size.max(axis=0), np.abs(soc / reference - 1.0), 0.0).max(axis=0)
    return np.where(np.isnan(reference).all(axis=0), np.nan, np.nan_to_num(error, nan=np.inf))


def agreement(cases: Cases) -> pd.DataFrame:
    """Worst relative error of each case by the NumPy, JAX and compiled versions, and by NumPy on the exact grid.

    Also whether all three are finite and nowhere negative, which is all that can be asked where the original program
    stopped with a singular matrix.
    """
    import jax

    tabulated = PAPER.on(tabulated_column())
    pools = steady_state(cases.theta, cases.forcing, tabulated)
    with jax.enable_x64(True):
        compiled = jax.jit(lambda theta: steady_state(theta, cases.forcing, tabulated, jax_namespace()))
        by_jax = np.asarray(compiled(cases.theta))
    in_lanes = lanes.soc_density(cases.theta, cases.forcing, tabulated)
    everything = np.concatenate([*pools, *by_jax, in_lanes])
    return pd.DataFrame(
        {
            "numpy": worst_errors(soc_density(pools), cases),
            "jax": worst_errors(soc_density(by_jax), cases),
            "compiled": worst_errors(in_lanes, cases),
            "exact grid": worst_errors(soc_density(steady_state(cases.theta, cases.forcing)), cases),
            "finite": (np.isfinite(everything) & (everything >= 0.0)).all(axis=0),
        }
    ).rename_axis("case")


def verify(path: Path) -> int:
    """Print how the model compares with the cases in `path`; 0 when all agree within the tolerance, else 1."""
    table = agreement(read_cases(path))
    versions = ["numpy", "jax", "compiled"]
    shown = table.map(
        lambda value: value if isinstance(value, bool | np.bool_) else "singular" if np.isnan(value) else f"{value:.1e}"
    )
    print(f"Worst relative error in SOC density, tolerance {TOLERANCE:g} ({path.name})")
    print(shown.to_string())
    worst = float(np.nanmax(table[versions].to_numpy()))
    passed = worst <= TOLERANCE and bool(table["finite"].all())
    n_singular = int(table["numpy"].isna().sum())
    print(
        f"{'passed' if passed else 'FAILED'}: worst {worst:.1e} over {len(table)} cases, {n_singular} of them without "
        "a reference (the original stopped there: finite, non-negative pools are required)."
    )
    return 0 if passed else 1
