"""Checks of forcing and parameters where they enter the model: wrong units, wrong order and wrong shape are errors."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.model.configuration import PAPER, Configuration
from proda.model.forcing import AnyForcing, Forcing

# Dimensions, unit, least and greatest plausible value; the bounds catch wrong units, not unusual places.
_SCALAR = (("layers", "months"), "1", 0.0, 1.0, "a percentage? Divide by 100. CLM's fill value (1e36)? Mask it first.")
_MONTHLY_THAW = (("months",), "m", 0.0, 100.0, "a depth in centimetres? Divide by 100.")
_RANGES = {
    "paper": {
        "soil_temperature": (("layers",), "K", 200.0, 340.0, "temperatures in degrees Celsius? Add 273.15."),
        "water_potential": (
            ("layers",), "MPa", -1e4, 0.0, "the potential of unsaturated soil is negative: change the sign."
        ),
        "active_layer": (
            (), "m", 0.0, 100.0, "a depth in centimetres? Divide by 100. Without permafrost give 35 m."
        ),
        "npp_mean": ((), "g C m-2 yr-1", 1e-3, 5e3, "per second? Multiply by 3.1536e7. In kg? By 1000."),
        "npp_min": ((), "g C m-2 yr-1", 0.0, 5e3, "the least annual NPP cannot be negative in this model."),
        "npp_max": ((), "g C m-2 yr-1", 1e-3, 1e4, "the greatest annual NPP must be positive."),
    },
    "cesm2": {
        "soil_temperature": (("layers", "months"), "K", 200.0, 340.0, "temperatures in degrees Celsius? Add 273.15."),
        "water_scalar": _SCALAR,
        "oxygen_scalar": _SCALAR,
        "nitrogen_scalar": _SCALAR,
        "active_layer": _MONTHLY_THAW,
        "active_layer_last_year": _MONTHLY_THAW,
        "carbon_input": (
            ("kinds", "months"), "g C m-2 month-1", 0.0, 2e4, "a flux out of the litter? Carbon input is not negative."
        ),
        "bedrock": ((), "layers", 1.0, np.inf, "CLM's nbedrock counts whole layers from 1."),
    },
}  # fmt: skip


def validated(forcing: AnyForcing, configuration: Configuration = PAPER, source: str = "forcing") -> AnyForcing:
    """`forcing` as contiguous float64 arrays, if everything in it is plausible.

    Raises
    ------
    InputError
        Naming the variable, the first offending column, the value, the expected range and the likely remedy.
    """
    if not isinstance(forcing, configuration.forcing):
        raise InputError(
            f"{source} is a {type(forcing).__name__}; the {configuration.name!r} configuration takes a "
            f"{configuration.forcing.__name__}."
        )
    fields = {name: np.ascontiguousarray(values, dtype=np.float64) for name, values in forcing._asdict().items()}
    n = fields[forcing._fields[-1]].shape[-1]
    climate = fields["soil_temperature"]
    months = (climate.shape[1] if climate.ndim == 3 else 0) or 12
    size = {"layers": configuration.column.n_layers, "kinds": 4, "months": months}
    for name, (dims, unit, low, high, remedy) in _RANGES[configuration.name].items():
        values = fields[name]
        expected = (*(size[dim] for dim in dims), n)
        if values.shape != expected:
            raise InputError(
                f"{source}: {name} has shape {values.shape}, expected {expected} "
                f"({', '.join([*dims, 'columns'])}) for the {configuration.name!r} grid."
            )
        high = configuration.column.n_layers if name == "bedrock" else high
        bad = ~((values >= low) & (values <= high))  # also true for NaN
        if name == "bedrock":
            bad |= values != np.trunc(values)
        if bad.any():
            where = tuple(int(i[0]) for i in np.nonzero(bad))
            at = ", ".join(f"{dim[:-1]} {i + 1}" for dim, i in zip(dims, where, strict=False))
            unit = "" if unit == "1" else f" {unit}"
            raise InputError(
                f"{source}: {name} is {values[where]:g}{unit} in column {where[-1]}{f' ({at})' if at else ''}, "
                f"expected {low:g} to {high:g}{unit} ({int(bad.sum())} of {bad.size} values are outside). "
                f"Hint: {remedy}"
            )
    if configuration.monthly:
        return configuration.forcing(**fields | {"bedrock": fields["bedrock"].astype(np.int64)})
    low, mean, high = (fields[name] for name in ("npp_min", "npp_mean", "npp_max"))
    ordered = (low <= mean) & (mean <= high) & (low < high)
    if not ordered.all():
        i = int(np.argmin(ordered))
        raise InputError(
            f"{source}: column {i} has npp_min {low[i]:g}, npp_mean {mean[i]:g}, npp_max {high[i]:g} g C m-2 yr-1; "
            "expected npp_min <= npp_mean <= npp_max with npp_min < npp_max, since they bound the carbon input."
        )
    return Forcing(**fields)


# What a physical parameter can be at all, whatever its prior; the defaults of CLM may leave the prior.
_POSSIBLE = {
    "diffus": (0.0, 0.1), "cryo": (0.0, 0.1), "q10": (1.0, 10.0), "efolding": (1e-6, 100.0), "beta": (0.1, 0.99999),
    "tau4cwd": (1e-6, 1e3), "tau4l1": (1e-6, 100.0), "tau4l2l3": (1e-6, 100.0), "tau4s1": (1e-6, 100.0),
    "tau4s2": (1e-3, 1e4), "tau4s3": (1.0, 1e6), "ins": (0.0, 100.0), "maxpsi": (-25.0, 0.0),
    "w_scaling": (0.0, 100.0),
}  # fmt: skip


def checked_parameters(theta: ArrayLike, n_columns: int, configuration: Configuration = PAPER) -> NDArray[np.float64]:
    """Physical parameters as float64, (n_parameters, n) or (n_parameters, 1), if each of them is possible.

    Parameters
    ----------
    theta
        As in `ParameterTable.as_columns`.

    Raises
    ------
    InputError
        Naming the parameter, the value and the expected range: a wrong number of rows, names in another order, a value
        that no parameter of that name can have, or fractions that sum to more than 1.
    """
    table = configuration.parameters
    theta = table.as_columns(theta, n_columns, "theta")
    for row, name in zip(theta, table.names, strict=True):
        low, high = _POSSIBLE.get(name, (0.0, 1.0))
        bad = ~((row >= low) & (row <= high))
        if bad.any():
            i = int(np.argmax(bad))
            unit = table.unit[table.index(name)]
            raise InputError(
                f"theta: {name} is {row[i]:g}{'' if unit == '1' else ' ' + unit} in column {i}, expected {low:g} to "
                f"{high:g}. Are the rows in the order of the table ({', '.join(table.names[:4])}, ...), and physical "
                "values, not positions on the unit cube (`physical` converts)?"
            )
    for donor, names in {"fast SOC": ("fs1s2", "fs1s3"), "slow SOC": ("fs2s1", "fs2s3"),
                         "the carbon input": ("p4ll", "p4ml", "p4cl")}.items():  # fmt: skip
        if set(names) <= set(table.names):
            passed = sum(theta[table.index(name)] for name in names)
            if (passed > 1.0 + 1e-12).any():
                i = int(np.argmax(passed))
                raise InputError(
                    f"theta: {' + '.join(names)} is {passed[i]:g} in column {i}, expected at most 1: they are "
                    f"fractions of {donor}."
                )
    return theta
