"""Reference cases of the `cesm2` configuration: what the authors' matrix program makes of inputs made for the purpose.

A case holds two references. `octave` is the authors' own program: the matrices K, V and u, and the pools of a dense
solve in double precision. `exact` solves the same equations with 120 digits. Where MATLAB would reject the matrix as
singular, the program's pools are rounding error and only the second reference counts. Both have the leaking bottom of
the published program.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.assimilation.misfit import layer_weights
from proda.batch.case_fields import case_records, numbers, whole_number, word
from proda.errors import InputError
from proda.model.carbon_input import input_amounts
from proda.model.checks import checked_parameters, validated
from proda.model.configuration import CESM2_AS_PUBLISHED, Configuration
from proda.model.forcing import MonthlyForcing
from proda.model.observation import at_depths
from proda.model.operators import decay_rates, input_vector, mixing_matrix, respiration
from proda.model.parameters import physical
from proda.model.steady_state import soc_density

EXACT_TOLERANCE = 1e-11  # relative, of every number above `NEGLIGIBLE`
PROGRAM_TOLERANCE = 1e-9  # relative to the largest density of a pool in its column
NEGLIGIBLE = 1e-250  # below, 120 digits leave the range of double precision
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
        modelled = at_depths(soc, case, depth, self.configuration.column, run_on=True)
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
    counts = np.abs(reference) > NEGLIGIBLE
    error = np.abs(values - reference) / np.where(counts, np.abs(reference), 1.0)
    error = np.where(counts, error, np.where(np.abs(values) <= 2.0 * NEGLIGIBLE, 0.0, np.inf))
    return np.nan_to_num(error, nan=np.inf, posinf=np.inf).reshape(-1, reference.shape[-1]).max(axis=0)


def _relative_to_largest(values: NDArray, reference: NDArray) -> NDArray[np.float64]:
    """Worst error of each case, (n,), of arrays (n_layers, ..., n), relative to the largest value in the column."""
    error = np.abs(values - reference)
    size = np.abs(reference).max(axis=0)
    relative = np.where(error == 0.0, 0.0, error / np.where(size > 0.0, size, NEGLIGIBLE))
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
