"""Comparison of the model with reference cases of the original programs, of either configuration.

The steady state is computed three times: by NumPy (the version to read), by JAX (the one with gradients) and compiled
(the one of the samplers). What it is compared with, and how closely it must agree, the cases themselves know.

Fields of a JSON file of reference cases, or what is wrong with them: the file, the case and the field are named.

Reference cases of the `cesm2` configuration: what the authors' matrix program makes of inputs made for the purpose.

A case holds two references. `octave` is the authors' own program: the matrices K, V and u, and the pools of a dense
solve in double precision. `exact` solves the same equations with 120 digits. Where MATLAB would reject the matrix as
singular, the program's pools are rounding error and only the second reference counts. Both have the leaking bottom of
the published program.

Reference cases of the `paper` configuration: inputs and pools as the original programs of the 2020 study have them.

The original tabulates its grid to nine decimals (and prints the top of the fifth layer one unit above the bottom of the
fourth). That alone changes densities by up to 6e-9; on the grid as tabulated the two agree to some 1e-12. The cases are
therefore computed on the tabulated grid, and the difference to the exact grid of the package is shown beside.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.errors import InputError
from proda.kernels import steady_state as lanes
from proda.kernels.misfit import layer_weights
from proda.model.checks import checked_parameters, validated
from proda.model.configuration import CESM2_AS_PUBLISHED, PAPER, PAPER_COLUMN, Column, Configuration
from proda.model.forcing import Forcing, MonthlyForcing
from proda.model.matrices import decay_rates, input_vector, mixing_matrix, respiration
from proda.model.observation import at_depths
from proda.model.parameters import PAPER_PARAMETERS, physical
from proda.model.rates import input_amounts, jax_namespace
from proda.model.solver import POOLS, soc_density, steady_state


def case_records(path: Path) -> dict[str, dict]:
    """The cases of a file by where they stand in it, ``"cases.json: case_000"``, each a nested dictionary with an `id`.

    Raises
    ------
    InputError
        When the file is not JSON, holds no list of cases, or a case has no name of its own.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not readable JSON ({error}). Is the file cut short?") from error
    cases = content.get("cases") if isinstance(content, dict) else None
    if not isinstance(cases, list) or not cases:
        expected = "expected at least one" if cases == [] else "expected a key 'cases' with a list of cases"
        raise InputError(f"{path}: found {_found(content)}, {expected}. Is it a file of `cesm2` cases?")
    records: dict[str, dict] = {}
    for k, case in enumerate(cases, 1):
        if not isinstance(case, dict):
            raise InputError(f"{path}: case {k} of {len(cases)} is {_short(case)}, expected a dictionary of fields.")
        where = f"{path}: {word(case, 'id', f'{path}: case {k} of {len(cases)}')}"
        if where in records:
            raise InputError(f"{where} is the name of two cases, the second is number {k}; expected one of its own.")
        records[where] = case
    return records


def word(record: dict, name: str, where: str, kind: type = str) -> Any:
    """The text (or the truth value, if `kind` is bool) in the field `name`."""
    value = _field(record, name, where)
    if not isinstance(value, kind):
        expected = {str: "text", bool: "true or false"}[kind]
        raise InputError(f"{where}: {name} is {_short(value)}, expected {expected}.")
    return value


def numbers(record: dict, name: str, shape: tuple[int, ...], where: str) -> NDArray[np.float64]:
    """The finite numbers in the field `name`, ``"octave.cpools"``, of the given shape; -1 stands for one or more."""
    value = _field(record, name, where)
    wrong = [leaf for leaf in _leaves(value) if type(leaf) not in (int, float)]
    if wrong:
        raise InputError(f"{where}: {name} holds {_short(wrong[0])}, expected numbers.")
    expected = f"expected {' x '.join('one or more' if n < 0 else str(n) for n in shape) or 'a single number'}"
    try:
        array = np.array(value, dtype=np.float64)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{where}: {name} holds rows of unequal length, or too large numbers; {expected}.") from error
    if array.ndim != len(shape) or not array.size or any(0 <= n != m for n, m in zip(shape, array.shape, strict=True)):
        found = f"{' x '.join(map(str, array.shape))} numbers" if array.ndim else "a single number"
        raise InputError(f"{where}: {name} holds {found}, {expected}.")
    if not np.isfinite(array).all():
        at = tuple(int(i[0]) + 1 for i in np.nonzero(~np.isfinite(array)))
        raise InputError(
            f"{where}: {name}{list(at) if at else ''} is {array[~np.isfinite(array)][0]:g}, expected a finite number."
        )
    return array


def whole_number(record: dict, name: str, shape: tuple[int, ...], where: str) -> int:
    """The one whole number that the field `name` repeats in an array of the given shape."""
    array = numbers(record, name, shape, where)
    if array.min() != array.max() or array.min() % 1.0:
        raise InputError(
            f"{where}: {name} holds {', '.join(f'{value:g}' for value in np.unique(array))}, expected a single whole "
            "number, the same all year."
        )
    return int(array.flat[0])


def _field(record: dict, name: str, where: str) -> Any:
    value: Any = record
    for key in name.split("."):
        if not isinstance(value, dict) or key not in value:
            raise InputError(f"{where}: no field {name!r}. Is it a complete file of `cesm2` cases?")
        value = value[key]
    return value


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def _found(content: Any) -> str:
    if isinstance(content, dict):
        if content.get("cases") == []:
            return "an empty list of cases"
        return f"the keys {', '.join(map(repr, list(content)[:5]))}" if content else "no keys"
    return {list: "an array", str: "text", type(None): "null", bool: "a truth value"}.get(type(content), "a number")


def _short(value: Any) -> str:
    """What was found, in at most forty characters."""
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


EXACT_TOLERANCE = 1e-11  # relative, of every number above `SMALLEST`
PROGRAM_TOLERANCE = 1e-9  # relative to the largest density of a pool in its column
SMALLEST = 1e-250  # below, 120 digits leave the range of double precision
RELATIVE_SD = 0.6  # of the observations, in the program's cost

_CLIMATE = ("tsoi", "w_scalar", "o_scalar", "n_scalar")
_KINDS = ("input_cwd", "input_litter1", "input_litter2", "input_litter3")
_REFERENCE = {
    "exact.cpools": (20, 7),
    **dict.fromkeys(("exact.soc_stock", "exact.input_gC_m2_day", "exact.resp_over_input"), ()),
    "exact.transport_loss_over_input": (),
    "octave.cpools": (20, 7), "octave.soc_layer": (20, 4), "octave.soc_stock": (),
    "octave.K_per_day": (7, 20), "octave.V_per_day": (20, 20), "octave.u_gC_m3_day": (4, 20),
    "obs.cost_rank_sigma0p6": (), "obs.cost_exp_sigma0p6": (),
}  # fmt: skip
_OBSERVED = ("depth_m", "soc_gC_m3", "model_at_obs", "weight_rank", "weight_exp")


@dataclass(frozen=True)
class Cesm2Cases:
    """Reference cases.

    Attributes
    ----------
    about : DataFrame, n rows
        `climate` and `parameters` of the cases in words, and whether MATLAB would have `rejected` their matrix.
    theta : (21, n)
    forcing : MonthlyForcing
    reference : dict of arrays, cases along the last axis
        The numbers of a case by their place in the file, ``"octave.K_per_day"``.
    observed : DataFrame
        Observations, the modelled density at their depths and their weights, under the names of the file; `case` is
        the number of the case, from 0.
    """

    about: pd.DataFrame
    theta: NDArray[np.float64]
    forcing: MonthlyForcing
    reference: dict[str, NDArray[np.float64]]
    observed: pd.DataFrame

    without_reference = "rejected"
    legend = (
        "numpy, jax: all pools, and compiled: SOC density, against the solution with 120 digits.\n"
        "balance: stock, input and the shares of it that are respired and lost at the bottom, against the same.\n"
        "K, V, u: against the matrices of the authors' program.\n"
        "program: pools and stock against those of the program, relative to the largest density of a pool.\n"
        "observed: density at observed depths, weights and the two costs, against the program's.\n"
        "rejected: MATLAB rejects the matrix as singular; the program's pools are no reference there."
    )

    @property
    def configuration(self) -> Configuration:
        return CESM2_AS_PUBLISHED

    @property
    def tolerance(self) -> dict[str, float]:
        """What each column of `errors` may be."""
        exact = dict.fromkeys(("numpy", "jax", "compiled", "balance", "K, V, u"), EXACT_TOLERANCE)
        return exact | dict.fromkeys(("program", "observed"), PROGRAM_TOLERANCE)

    def errors(self, pools: NDArray, by_jax: NDArray, soc: NDArray) -> pd.DataFrame:
        """Worst relative error of each case, of everything it holds: see `legend`."""
        exact = self.reference["exact.cpools"].swapaxes(0, 1)
        return pd.DataFrame(
            {
                "climate": self.about["climate"],
                "parameters": self.about["parameters"],
                "numpy": worst_relative(pools, exact),
                "jax": worst_relative(by_jax, exact),
                "compiled": worst_relative(soc, soc_density(exact)),
                "balance": self._of_the_balance(pools),
                "K, V, u": self._of_the_matrices(),
                "program": np.where(self.about["rejected"], np.nan, self._of_the_program(pools)),
                "observed": np.where(self.about["rejected"], np.nan, self._of_the_observed(pools)),
            },
            index=self.about.index,
        )

    def _of_the_balance(self, pools: NDArray) -> NDArray[np.float64]:
        about, thickness = (self.theta, self.forcing, self.configuration), self.configuration.column.thickness
        entering = input_amounts(*about).sum(axis=0)
        respired = respiration(pools, *about) / entering
        lost = np.einsum("jkn,pkn,j->n", mixing_matrix(*about), pools[1:], thickness) / entering
        reference = {name.removeprefix("exact."): values for name, values in self.reference.items()}
        return _worst(
            worst_relative(thickness @ soc_density(pools), reference["soc_stock"]),
            worst_relative(entering, reference["input_gC_m2_day"]),
            np.abs(respired - reference["resp_over_input"]),
            np.abs(lost - reference["transport_loss_over_input"]),
        )

    def _of_the_matrices(self) -> NDArray[np.float64]:
        about = self.theta, self.forcing, self.configuration
        u = input_vector(*about).T.reshape(7, self.configuration.column.n_layers, -1)[:4]
        return _worst(
            worst_relative(decay_rates(*about), self.reference["octave.K_per_day"]),
            worst_relative(mixing_matrix(*about), self.reference["octave.V_per_day"]),
            worst_relative(u, self.reference["octave.u_gC_m3_day"]),
        )

    def _of_the_program(self, pools: NDArray) -> NDArray[np.float64]:
        soc = soc_density(pools)
        layers = np.stack([*pools[4:], soc], axis=1)
        return _worst(
            _relative_to_largest(pools.swapaxes(0, 1), self.reference["octave.cpools"]),
            _relative_to_largest(layers, self.reference["octave.soc_layer"]),
            worst_relative(self.configuration.column.thickness @ soc, self.reference["octave.soc_stock"]),
        )

    def _of_the_observed(self, pools: NDArray) -> NDArray[np.float64]:
        case, depth, observed, reference, by_rank, by_depth = (self.observed[name] for name in ("case", *_OBSERVED))
        soc = soc_density(pools)
        modelled = at_depths(soc, case, depth, self.configuration.column, extrapolate=True)
        squares = ((modelled - observed) / (RELATIVE_SD * observed)) ** 2 / 2.0
        costs = (np.bincount(case, weight * squares, soc.shape[1]) for weight in (by_rank, by_depth))
        single = _worst(
            np.abs(modelled - reference) / soc.max(axis=0)[case],
            np.abs(layer_weights(case, depth) / by_depth - 1.0),
        )
        return _worst(
            pd.Series(single).groupby(case.to_numpy()).max().to_numpy(),
            *(
                worst_relative(cost, self.reference[f"obs.cost_{name}_sigma0p6"])
                for cost, name in zip(costs, ("rank", "exp"), strict=True)
            ),
        )


def _worst(*errors: NDArray) -> NDArray[np.float64]:
    """The largest of several errors; one that is not a number is infinitely large."""
    return np.nan_to_num(np.max(errors, axis=0), nan=np.inf, posinf=np.inf)


def worst_relative(values: NDArray, reference: NDArray) -> NDArray[np.float64]:
    """Worst relative error of each case, (n,), of arrays (..., n): number by number.

    Where the reference is negligible, the value must be so too: else, and where it is not a number, the error is
    infinite.
    """
    counts = np.abs(reference) > SMALLEST
    error = np.abs(values - reference) / np.where(counts, np.abs(reference), 1.0)
    error = np.where(counts, error, np.where(np.abs(values) <= 2.0 * SMALLEST, 0.0, np.inf))
    return np.nan_to_num(error, nan=np.inf, posinf=np.inf).reshape(-1, reference.shape[-1]).max(axis=0)


def _relative_to_largest(values: NDArray, reference: NDArray) -> NDArray[np.float64]:
    """Worst error of each case, (n,), of arrays (n_layers, ..., n), relative to the largest value in the column."""
    error = np.abs(values - reference)
    size = np.abs(reference).max(axis=0)
    relative = np.where(error == 0.0, 0.0, error / np.where(size > 0.0, size, SMALLEST))
    return _worst(relative.reshape(-1, reference.shape[-1]).max(axis=0))


def read_cesm2_cases(path: Path) -> Cesm2Cases:
    """Cases from a JSON file in the layout of the model specification.

    Raises
    ------
    InputError
        Naming the case and the field, what was found and what was expected.
    """
    records = case_records(path)
    inputs = [_inputs(record, where) for where, record in records.items()]
    reference = {
        name: np.stack([numbers(record, name, shape, where) for where, record in records.items()], axis=-1)
        for name, shape in _REFERENCE.items()
    }
    about = pd.DataFrame(
        {
            "climate": [word(record, "climate", where) for where, record in records.items()],
            "parameters": [word(record, "param_kind", where) for where, record in records.items()],
            "rejected": [word(record, "matlab_would_reject", where, bool) for where, record in records.items()],
        },
        index=pd.Index([record["id"] for record in records.values()], name="case"),
    )
    return Cesm2Cases(
        about,
        np.concatenate([theta for theta, _ in inputs], axis=1),
        MonthlyForcing(*(np.concatenate(fields, axis=-1) for fields in zip(*(f for _, f in inputs), strict=True))),
        reference,
        pd.concat([_observed(record, where, k) for k, (where, record) in enumerate(records.items())]),
    )


def _inputs(record: dict, where: str) -> tuple[NDArray[np.float64], MonthlyForcing]:
    """Physical parameters and forcing of one case, a column each."""
    forcing = MonthlyForcing(
        *(numbers(record, f"inputs.{name}", (20, 12), where)[..., None] for name in _CLIMATE),
        *(numbers(record, f"inputs.{name}", (12,), where)[..., None] for name in ("altmax", "altmax_lastyear")),
        np.stack([numbers(record, f"inputs.{name}", (12,), where) for name in _KINDS])[..., None],
        np.array([whole_number(record, "inputs.nbedrock", (12,), where)]),
    )
    x = numbers(record, "inputs.kp", (21,), where)
    try:
        forcing = validated(forcing, CESM2_AS_PUBLISHED, "inputs")
        theta = physical(x, forcing, CESM2_AS_PUBLISHED.parameters)
        return checked_parameters(theta, 1, CESM2_AS_PUBLISHED), forcing
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _observed(record: dict, where: str, case: int) -> pd.DataFrame:
    """The observations of one case, a row each."""
    depth = numbers(record, "obs.depth_m", (-1,), where)
    columns = {name: numbers(record, f"obs.{name}", depth.shape, where) for name in _OBSERVED}
    bottom = CESM2_AS_PUBLISHED.column.bottom[-1]
    if not (columns["soc_gC_m3"] > 0.0).all() or not ((depth >= 0.0) & (depth <= bottom)).all():
        raise InputError(
            f"{where}: obs has depths {depth.min():g} to {depth.max():g} m and densities from "
            f"{columns['soc_gC_m3'].min():g} g C m-3; expected depths of 0 to {bottom:g} m and positive densities."
        )
    return pd.DataFrame({"case": case} | columns)


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
