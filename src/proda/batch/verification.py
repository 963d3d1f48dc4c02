"""Comparison of the model with reference cases of the original programs, of either configuration.

The steady state is computed three times: by NumPy (the version to read), by JAX (the one with gradients) and compiled
(the one of the samplers). What it is compared with, and how closely it must agree, the cases themselves know.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from proda.batch.cesm2_cases import Cesm2Cases, read_cesm2_cases
from proda.batch.paper_cases import TOLERANCE, PaperCases, read_paper_cases
from proda.errors import InputError
from proda.model import lanes
from proda.model.namespace import jax_namespace
from proda.model.steady_state import steady_state

__all__ = ["TOLERANCE", "agreement", "read_cases", "verify"]

AnyCases = PaperCases | Cesm2Cases
_READERS = {".csv": read_paper_cases, ".json": read_cesm2_cases}


def read_cases(path: Path) -> AnyCases:
    """The cases of a .csv file (`paper` configuration) or a .json file (`cesm2`), as the model specification lays out.

    Raises
    ------
    InputError
        When there is no such file, its name ends otherwise, or something in it is not as it should be.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file of reference cases at {path}")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"{path}: its name ends in {path.suffix!r}, expected .csv (cases of the `paper` configuration) or .json "
            "(cases of the `cesm2` configuration)."
        )
    return reader(path)


def agreement(cases: AnyCases) -> pd.DataFrame:
    """Worst relative error of each case by the NumPy, JAX and compiled versions, and whatever else the cases hold.

    The columns in `cases.tolerance` are errors, NaN where a case has no reference; `finite` is whether all three
    versions are finite and nowhere negative.
    """
    import jax

    theta, forcing, configuration = cases.theta, cases.forcing, cases.configuration
    pools = steady_state(theta, forcing, configuration)
    with jax.enable_x64(True):
        traced = jax.jit(steady_state, static_argnums=(2, 3))
        by_jax = np.asarray(traced(theta, forcing, configuration, jax_namespace()))
    soc = lanes.soc_density(theta, forcing, configuration)
    everything = np.concatenate([*pools, *by_jax, soc])
    finite = (np.isfinite(everything) & (everything >= 0.0)).all(axis=0)
    return cases.errors(pools, by_jax, soc).assign(finite=finite)


def verify(path: Path) -> int:
    """Print how the model compares with the cases in `path`; 0 when all agree within the tolerance, else 1."""
    path = Path(path)
    cases = read_cases(path)
    table = agreement(cases)
    tolerance = pd.Series(cases.tolerance)
    compared = table[tolerance.index]
    # NaN stands where a case has no reference; a result that is no number is infinitely wrong.
    beyond = compared.gt(tolerance)
    passed = not beyond.any(axis=None) and bool(table["finite"].all())
    print(f"Worst relative error of each case of the {cases.configuration.name!r} configuration ({path.name})\n")
    print(_shown(table, tolerance, beyond, cases.without_reference))
    print(f"\n{cases.legend}\n")
    row, at = np.unravel_index(np.nanargmax((compared / tolerance).to_numpy()), compared.shape)
    column, case = compared.columns[at], table.index[row]
    lacking = int(compared.isna().any(axis=1).sum())
    if not passed:
        not_finite = int((~table["finite"]).sum())
        print(f"{int(beyond.to_numpy().sum())} errors beyond tolerance (!), {not_finite} cases not finite or negative")
    print(
        f"{'passed' if passed else 'FAILED'}: worst {compared.iloc[row, at]:.1e}, {tolerance[column]:g} allowed "
        f"({column}, {case if isinstance(case, str) else f'case {case}'}), over {len(table)} cases"
        + (f", {lacking} of them {cases.without_reference} in the original program" if lacking else "")
    )
    return 0 if passed else 1


def _shown(table: pd.DataFrame, tolerance: pd.Series, beyond: pd.DataFrame, without: str) -> str:
    """The table as text: errors with two digits, marked where beyond tolerance, and the tolerances in the last row."""
    shown = table.astype(object)
    for name in table.select_dtypes("float"):
        mark = beyond[name] if name in beyond else pd.Series(False, table.index)
        shown[name] = [
            without if np.isnan(value) else f"{value:.1e}{' !' if marked else ''}"
            for value, marked in zip(table[name], mark, strict=True)
        ]
    shown.loc["tolerance"] = {name: f"{tolerance[name]:g}" if name in tolerance else "" for name in table}
    return shown.rename_axis(None).to_string()
