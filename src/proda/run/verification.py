"""Comparison of the model, in NumPy, JAX and compiled, with reference cases of the original programs.

The layout of the cases is that of section 9 of the model specification; the JSON file also holds 120-digit solutions.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.errors import InputError
from proda.kernels.steady_state import soc_density as compiled_soc_density
from proda.model.configuration import (
    CESM2_AS_PUBLISHED,
    PAPER,
    PAPER_COLUMN,
    Configuration,
    checked_parameters,
    validated,
)
from proda.model.forcing import AnyForcing, Forcing, MonthlyForcing
from proda.model.parameters import PAPER_PARAMETERS, physical
from proda.model.rates import jax_namespace
from proda.model.solver import POOLS, soc_density, steady_state

PROGRAM_TOLERANCE = 1e-9  # relative, of SOC density (`paper`), or of the largest density of a pool (`cesm2`)
EXACT_TOLERANCE = 1e-11  # relative, of every number of the 120-digit solution
NEGLIGIBLE = 1e-12  # of the column's largest density: below, the rounding of the `paper` program shows
SMALLEST = 1e-250  # below, 120 digits leave the range of double precision
# The `paper` grid as the original program tabulates it, to nine decimals: up to 6e-9 in density.
_ROUNDED = {name: np.round(getattr(PAPER_COLUMN, name), 9) for name in ("node", "top", "bottom", "thickness")}
_ROUNDED["top"][4] = 0.165529232
PAPER_AS_TABULATED = replace(PAPER, column=replace(PAPER_COLUMN, **_ROUNDED))


class Cases(NamedTuple):
    """n reference cases: inputs, and the pools of the original program."""

    names: list
    configuration: Configuration
    theta: NDArray[np.float64]  # (n_parameters, n)
    forcing: AnyForcing
    program: NDArray[np.float64]  # (7, n_layers, n), g C m-3, NaN where the original should stop at a singular matrix
    exact: NDArray[np.float64] | None = None  # (7, n_layers, n), g C m-3, with 120 digits


def verify(path: Path) -> int:
    """Print how the model compares with the cases in `path`; 0 when all agree within the tolerance, else 1."""
    cases = read_cases(path)
    errors, allowed = agreement(cases), pd.Series(tolerances(cases), name="allowed")
    print(f"Worst relative error of each case of the {cases.configuration.name!r} configuration ({Path(path).name})\n")
    print(pd.concat([errors, allowed.to_frame().T]).to_string(float_format="{:.1e}".format, na_rep="-"))
    passed = not errors.gt(allowed).any(axis=None)
    worst = (errors / allowed).max(axis=1).idxmax()
    column = (errors / allowed).loc[worst].idxmax()
    print(
        "\n-: no reference; the original program stopped at a singular matrix, or should have.\n"
        f"{'passed' if passed else 'FAILED'}: worst {errors.loc[worst, column]:.1e}, {allowed[column]:g} allowed "
        f"({column}, {worst}), over {len(errors)} cases"
    )
    return 0 if passed else 1


def agreement(cases: Cases) -> pd.DataFrame:
    """Worst relative error of each case by the NumPy, JAX and compiled versions, NaN where there is no reference.

    `paper`: of SOC density. `cesm2`: of all pools against the exact solution, and in the column `program` relative to
    the largest density of a pool in the program. A result that is negative or not a number is infinitely wrong.
    """
    import jax

    about = cases.theta, cases.forcing, cases.configuration
    pools = steady_state(*about)
    with jax.enable_x64(True):
        by_jax = np.asarray(jax.jit(steady_state, static_argnums=(2, 3))(*about, jax_namespace()))
    results = {"numpy": pools, "jax": by_jax, "compiled": compiled_soc_density(*about)}
    if cases.exact is None:
        program = soc_density(cases.program)
        densities = {name: result if name == "compiled" else soc_density(result) for name, result in results.items()}
        negligible = NEGLIGIBLE * program.max(axis=0)
        errors = {name: worst_relative(soc, program, negligible) for name, soc in densities.items()}
    else:
        exact = {"numpy": cases.exact, "jax": cases.exact, "compiled": soc_density(cases.exact)}
        errors = {name: worst_relative(result, exact[name], SMALLEST) for name, result in results.items()}
        size = np.maximum(np.abs(cases.program).max(axis=1, keepdims=True), SMALLEST)
        errors["program"] = np.abs((pools - cases.program) / size).max(axis=(0, 1))
    for name, result in results.items():
        sound = (np.isfinite(result) & (result >= 0.0)).reshape(-1, result.shape[-1]).all(axis=0)
        errors[name] = np.where(sound, errors[name], np.inf)
    return pd.DataFrame(errors, index=pd.Index(cases.names, name="case"))


def tolerances(cases: Cases) -> dict[str, float]:
    """The error that is allowed in each column of `agreement`."""
    tolerance = PROGRAM_TOLERANCE if cases.exact is None else EXACT_TOLERANCE
    allowed = dict.fromkeys(("numpy", "jax", "compiled"), tolerance)
    return allowed if cases.exact is None else allowed | {"program": PROGRAM_TOLERANCE}


def worst_relative(values: NDArray, reference: NDArray, negligible: Any) -> NDArray[np.float64]:
    """Worst relative error of each case, (n,), of arrays (..., n) where the reference exceeds `negligible`, else NaN.

    Where the reference is below 1e-250, the value must be so too: else the error is infinite.
    """
    counts = np.abs(reference) > negligible
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(counts, np.abs(values - reference) / np.abs(reference), 0.0)
    error = np.where((np.abs(reference) <= SMALLEST) & (np.abs(values) > 2.0 * SMALLEST), np.inf, error)
    error = np.where(np.isnan(reference), np.nan, error)
    return error.reshape(-1, reference.shape[-1]).max(axis=0)


def read_cases(path: Path) -> Cases:
    """The cases of a .csv (`paper`) or .json (`cesm2`) file; raises an InputError with file, row or case, and field."""
    path = Path(path)
    readers = {".csv": _read_paper_cases, ".json": _read_cesm2_cases}
    if not path.is_file() or path.suffix not in readers:
        raise InputError(
            f"{path}: expected an existing file that ends in .csv (cases of the `paper` configuration) or .json (of "
            "the `cesm2` configuration)."
        )
    return readers[path.suffix](path)


def _read_paper_cases(path: Path) -> Cases:
    layers = range(1, PAPER_COLUMN.n_layers + 1)
    x = [f"x{k}" for k in range(1, len(PAPER_PARAMETERS) + 1)]
    temperature, potential = ([f"{name}{j}" for j in layers] for name in ("T", "psi"))
    single = ["alt", "npp_mean", "npp_min", "npp_max"]
    pools = [f"{pool}_{j}" for pool in POOLS for j in layers]
    try:
        table = pd.read_csv(path).reindex(columns=[*x, *temperature, *potential, *single, *pools])
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable CSV table ({error})") from error
    numbers = table.apply(pd.to_numeric, errors="coerce")
    faulty = numbers.isna()
    stopped = table[pools].isna().all(axis=1)  # cases without any pools: there the original program stopped
    faulty.loc[stopped, pools] = False
    if stopped.all() or faulty.any(axis=None):
        row, column = np.argwhere(faulty.to_numpy())[0] if faulty.any(axis=None) else (0, -1)
        raise InputError(
            f"{path}: row {row + 2}: {faulty.columns[column]} is missing or not a number; expected every input of "
            "every case, and the pools of at least one. Is it a complete file of `paper` cases?"
        )
    one_each = (numbers[name].to_numpy() for name in single)
    forcing = Forcing(numbers[temperature].to_numpy().T, numbers[potential].to_numpy().T, *one_each)
    theta, forcing = _checked(numbers[x].to_numpy().T, forcing, PAPER, path)
    program = numbers[pools].to_numpy().T.reshape(7, len(layers), -1)
    return Cases([f"row {k + 2}" for k in table.index], PAPER_AS_TABULATED, theta, forcing, program)


def _read_cesm2_cases(path: Path) -> Cases:
    try:
        records = {record["id"]: record for record in json.loads(path.read_text(encoding="utf-8"))["cases"]}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: not a complete JSON file of `cesm2` cases under 'cases' ({error!r}).") from error

    def array(name: str, *shape: int) -> NDArray[np.float64]:
        """The numbers under a dotted name in every case, cases along the last axis."""
        arrays = []
        for case, value in records.items():
            try:
                for key in name.split("."):
                    value = value[key]
                arrays.append(np.array(value, dtype=np.float64).reshape(shape))
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise InputError(
                    f"{path}: {case}: {name} is missing or not {' x '.join(map(str, shape))} numbers ({error!r})."
                ) from error
        return np.stack(arrays, axis=-1)

    forcing = MonthlyForcing(
        *(array(f"inputs.{name}", 20, 12) for name in ("tsoi", "w_scalar", "o_scalar", "n_scalar")),
        *(array(f"inputs.{name}", 12) for name in ("altmax", "altmax_lastyear")),
        np.stack([array(f"inputs.input_{kind}", 12) for kind in ("cwd", "litter1", "litter2", "litter3")]),
        array("inputs.nbedrock", 12)[0],
    )
    theta, forcing = _checked(array("inputs.kp", 21), forcing, CESM2_AS_PUBLISHED, path)
    exact, program = (array(f"{source}.cpools", 20, 7).swapaxes(0, 1) for source in ("exact", "octave"))
    # Where MATLAB rejects the matrix as singular, the program's pools are rounding error.
    program[..., array("matlab_would_reject", 1)[0] == 1.0] = np.nan
    return Cases(list(records), CESM2_AS_PUBLISHED, theta, forcing, program, exact)


def _checked(
    x: NDArray, forcing: AnyForcing, configuration: Configuration, path: Path
) -> tuple[NDArray[np.float64], AnyForcing]:
    try:
        forcing = validated(forcing, configuration)
        theta = physical(x, forcing, configuration.parameters)
        return checked_parameters(theta, forcing.n_columns, configuration), forcing
    except InputError as error:
        raise InputError(f"{path}: {error} (column 0 is the first case)") from error
