"""What climate and vegetation give a soil column: the input of the model that is not a parameter."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.model.column import PAPER_COLUMN, Column


class Forcing(NamedTuple):
    """Annual-mean forcing of `n` soil columns.

    Attributes
    ----------
    soil_temperature : (n_layers, n), K
    water_potential : (n_layers, n), MPa, zero or negative
    active_layer : (n,), m
        Annual maximum depth of thaw; large where there is no permafrost.
    npp_mean, npp_min, npp_max : (n,), g C m-2 yr-1
        Mean over the years, and the least and greatest year: they bound the carbon input.
    """

    soil_temperature: NDArray
    water_potential: NDArray
    active_layer: NDArray
    npp_mean: NDArray
    npp_min: NDArray
    npp_max: NDArray

    @property
    def n_columns(self) -> int:
        return self.npp_mean.shape[-1]

    def take(self, index: ArrayLike) -> "Forcing":
        """The forcing of the columns `index` (integers, a mask or a slice)."""
        return Forcing(*(np.asarray(field)[..., index] for field in self))


# name, unit, least and greatest plausible value; the bounds catch wrong units, not unusual places.
_RANGES = {
    "soil_temperature": ("K", 200.0, 340.0, "temperatures in degrees Celsius? Add 273.15."),
    "water_potential": ("MPa", -1e4, 0.0, "the potential of unsaturated soil is negative: change the sign."),
    "active_layer": ("m", 0.0, 100.0, "a depth in centimetres? Divide by 100. Without permafrost give 35 m."),
    "npp_mean": ("g C m-2 yr-1", 1e-3, 5e3, "per second? Multiply by 3.1536e7. In kg? By 1000."),
    "npp_min": ("g C m-2 yr-1", 0.0, 5e3, "the least annual NPP cannot be negative in this model."),
    "npp_max": ("g C m-2 yr-1", 1e-3, 1e4, "the greatest annual NPP must be positive."),
}


def validated(forcing: Forcing, column: Column = PAPER_COLUMN, source: str = "forcing") -> Forcing:
    """`forcing` as contiguous float64 arrays, once everything in it has been found sane.

    Raises
    ------
    InputError
        Naming the variable, the first offending column, the value, the expected range and the likely remedy.
    """
    fields = {name: np.ascontiguousarray(values, dtype=np.float64) for name, values in forcing._asdict().items()}
    n = fields["npp_mean"].size
    for name, values in fields.items():
        layered = name in ("soil_temperature", "water_potential")
        expected = (column.n_layers, n) if layered else (n,)
        if values.shape != expected:
            raise InputError(
                f"{source}: {name} has shape {values.shape}, expected {expected} "
                f"({'layers, columns' if layered else 'columns'}) for the {column.name!r} grid."
            )
        unit, low, high, remedy = _RANGES[name]
        bad = ~((values >= low) & (values <= high))  # also true for NaN
        if bad.any():
            where = tuple(int(i[0]) for i in np.nonzero(bad))
            raise InputError(
                f"{source}: {name} is {values[where]:g} {unit} in column {where[-1]}"
                f"{f' (layer {where[0] + 1})' if layered else ''}, expected {low:g} to {high:g} {unit} "
                f"({int(bad.sum())} of {bad.size} values are outside). Hint: {remedy}"
            )
    ordered = (fields["npp_min"] <= fields["npp_mean"]) & (fields["npp_mean"] <= fields["npp_max"])
    if not ordered.all() or (fields["npp_min"] >= fields["npp_max"]).any():
        i = int(np.argmin(ordered & (fields["npp_min"] < fields["npp_max"])))
        low, mean, high = (fields[k][i] for k in ("npp_min", "npp_mean", "npp_max"))
        raise InputError(
            f"{source}: column {i} has npp_min {low:g}, npp_mean {mean:g}, npp_max {high:g} g C m-2 yr-1; "
            "expected npp_min <= npp_mean <= npp_max with npp_min < npp_max, since they bound the carbon input."
        )
    return Forcing(**fields)
