"""The two configurations of the model: `PAPER`, Tao et al. 2020, and `CESM2`, Tao et al. 2023.

They share the equations, and differ in grid, parameters and forcing (doi 10.1038/s41586-023-06042-3).
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.model.forcing import AnyForcing, Forcing, MonthlyForcing
from proda.model.parameters import CESM2_PARAMETERS, PAPER_PARAMETERS, ParameterTable

DAYS_PER_YEAR = 365.0
STRATA = ((0.0, 0.3), (0.3, 1.0), (1.0, 2.0))  # m, depth intervals of the reported stocks and errors


def interval_name(interval: tuple[float, float]) -> str:
    """Name of a depth interval in metres, such as "30-100 cm"."""
    return f"{100 * interval[0]:.0f}-{100 * interval[1]:.0f} cm"


@dataclass(frozen=True, eq=False)
class Column:
    """Layers of a soil column, top down; depths are positive down."""

    name: str
    node: NDArray[np.float64]  # (n_layers,), m, depth at which state, temperature and water potential are given
    top: NDArray[np.float64]  # (n_layers,), m
    bottom: NDArray[np.float64]  # (n_layers,), m
    thickness: NDArray[np.float64]  # (n_layers,), m

    @property
    def n_layers(self) -> int:
        return self.node.size

    @cached_property
    def spacing(self) -> NDArray[np.float64]:
        """Distance between neighbouring nodes, (n_layers - 1,), m."""
        return np.diff(self.node)

    @cached_property
    def share_above(self) -> NDArray[np.float64]:
        """Share of the distance between neighbouring nodes that lies above their interface, (n_layers - 1,), 1."""
        return (self.bottom[:-1] - self.node[:-1]) / self.spacing


def _clm45_column() -> Column:
    """Ten layers of the CLM4.5 grid (Oleson et al. 2013, Eq. 6.5-6.7); the last interface needs the node below."""
    node = 0.025 * np.expm1(0.5 * (np.arange(1, 12) - 0.5))
    interface = np.concatenate([[0.0], 0.5 * (node[:-1] + node[1:])])
    return Column("paper", node[:-1], interface[:-1], interface[1:], np.diff(interface))


def _clm5_column() -> Column:
    """The upper twenty layers of the CLM5 soil grid, 8.60 m: nodes are layer centres (Lawrence et al. 2019)."""
    thickness = np.concatenate([[0.02, 0.04, 0.06, 0.08, 0.12], np.linspace(0.16, 0.44, 8), np.linspace(0.54, 1.14, 7)])
    bottom = np.cumsum(thickness)
    interface = np.concatenate([[0.0], bottom])
    return Column("cesm2", bottom - 0.5 * thickness, interface[:-1], bottom, np.diff(interface))


PAPER_COLUMN = _clm45_column()
CESM2_COLUMN = _clm5_column()


@dataclass(frozen=True)
class Configuration:
    """What distinguishes one configuration from another; the `published` bottom leaks (`rates.published_exchange`)."""

    name: str
    column: Column
    parameters: ParameterTable
    forcing: type[AnyForcing]
    input_depth: float  # m, no carbon enters below
    bottom: Literal["closed", "published"] = "closed"

    @property
    def monthly(self) -> bool:
        """Whether the forcing holds CLM's own scalars and litter fall, month by month."""
        return self.forcing is MonthlyForcing

    @property
    def forcing_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every field of the forcing, in their order, without its last axis, that of columns."""
        size = {"layers": self.column.n_layers, "kinds": 4, "months": MONTHS}
        return {name: tuple(size[dim] for dim in dims) for name, (dims, *_) in _RANGES[self.forcing].items()}

    def soil_thickness(self, forcing: AnyForcing) -> NDArray[np.float64]:
        """Thickness of layers above bedrock, zero below, (n_layers, n), m."""
        thickness = np.repeat(self.column.thickness[:, None], forcing.n_columns, axis=1)
        if self.monthly:
            thickness[np.arange(self.column.n_layers)[:, None] >= forcing.bedrock] = 0.0
        return thickness


PAPER = Configuration("paper", PAPER_COLUMN, PAPER_PARAMETERS, Forcing, input_depth=3.8)
CESM2 = Configuration("cesm2", CESM2_COLUMN, CESM2_PARAMETERS, MonthlyForcing, input_depth=np.inf)
CESM2_AS_PUBLISHED = replace(CESM2, bottom="published")
CONFIGURATIONS = {each.name: each for each in (PAPER, CESM2)}  # that studies run
MONTHS = 12


def configuration_of(forcing: AnyForcing) -> Configuration:
    """The configuration whose forcing this is, of those that studies run."""
    return CESM2 if isinstance(forcing, MonthlyForcing) else PAPER


def column_of(n_layers: int) -> Column:
    """The column with so many layers, of these configurations."""
    return next(each.column for each in CONFIGURATIONS.values() if each.column.n_layers == n_layers)


# Dimensions, unit, least and greatest plausible value, which catch wrong units and not unusual places, and a remedy.
_TEMPERATURE = "K", 200.0, 340.0, "temperatures in degrees Celsius? Add 273.15."
_THAW = "m", 0.0, 100.0, "a depth in centimetres? Divide by 100. Without permafrost give 35 m."
_SCALAR = "1", 0.0, 1.0, "a percentage? Divide by 100. CLM's fill value (1e36)? Mask it first."
_NPP = "g C m-2 yr-1", 0.0, 1e4, "per second? Multiply by 3.1536e7. In kg? By 1000."
_RANGES = {
    Forcing: {
        "soil_temperature": (("layers",), *_TEMPERATURE),
        "water_potential": (("layers",), "MPa", -1e4, 0.0, "unsaturated soil has a negative one: change the sign."),
        "active_layer": ((), *_THAW),
        "npp_mean": ((), "g C m-2 yr-1", 1e-3, *_NPP[2:]),
        **dict.fromkeys(("npp_min", "npp_max"), ((), *_NPP)),
    },
    MonthlyForcing: {
        "soil_temperature": (("layers", "months"), *_TEMPERATURE),
        **{f"{name}_scalar": (("layers", "months"), *_SCALAR) for name in ("water", "oxygen", "nitrogen")},
        **dict.fromkeys(("active_layer", "active_layer_last_year"), (("months",), *_THAW)),
        "carbon_input": (("kinds", "months"), "g C m-2 month-1", 0.0, 2e4, "a flux out of the litter?"),
        "bedrock": ((), "layers", 1.0, None, "CLM's nbedrock counts whole layers from 1."),
    },
}


def validated(forcing: AnyForcing, configuration: Configuration = PAPER, source: str = "forcing") -> AnyForcing:
    """`forcing` as contiguous float64 arrays; raises an InputError with variable, column, value, range and remedy."""
    if not isinstance(forcing, configuration.forcing):
        raise InputError(
            f"{source} is a {type(forcing).__name__}; the {configuration.name!r} configuration takes a "
            f"{configuration.forcing.__name__}."
        )
    fields = {name: np.ascontiguousarray(values, dtype=np.float64) for name, values in forcing._asdict().items()}
    n = fields[forcing._fields[-1]].shape[-1]
    shapes = configuration.forcing_shapes
    for name, (dims, unit, low, high, remedy) in _RANGES[configuration.forcing].items():
        values = fields[name]
        expected = (*shapes[name], n)
        if values.shape != expected:
            raise InputError(
                f"{source}: {name} has shape {values.shape}, expected {expected} "
                f"({', '.join([*dims, 'columns'])}) for the {configuration.name!r} grid."
            )
        high = configuration.column.n_layers if high is None else high
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
        return MonthlyForcing(**fields | {"bedrock": fields["bedrock"].astype(np.int64)})
    low, mean, high = (fields[name] for name in ("npp_min", "npp_mean", "npp_max"))
    ordered = (low <= mean) & (mean <= high) & (low < high)
    if not ordered.all():
        i = int(np.argmin(ordered))
        raise InputError(
            f"{source}: column {i} has npp_min {low[i]:g}, npp_mean {mean[i]:g}, npp_max {high[i]:g} g C m-2 yr-1; "
            "expected npp_min <= npp_mean <= npp_max with npp_min < npp_max, since they bound the carbon input."
        )
    return Forcing(**fields)


# What a physical parameter can be at all, whatever its prior: 0 to 1 if it is not listed.
_POSSIBLE = {
    **dict.fromkeys(("diffus", "cryo"), (0.0, 0.1)), "q10": (1.0, 10.0), "efolding": (1e-6, 100.0),
    "tau4cwd": (1e-6, 1e3), **dict.fromkeys(("tau4l1", "tau4l2l3", "tau4s1"), (1e-6, 100.0)), "tau4s2": (1e-3, 1e4),
    "tau4s3": (1.0, 1e6), "ins": (0.0, 100.0), "beta": (0.1, 0.99999), "maxpsi": (-25.0, 0.0),
    "w_scaling": (0.0, 100.0),
}  # fmt: skip
_SUMS = ("fs1s2", "fs1s3"), ("fs2s1", "fs2s3"), ("p4ll", "p4ml", "p4cl")  # fractions of one flux


def checked_parameters(theta: ArrayLike, n_columns: int, configuration: Configuration = PAPER) -> NDArray[np.float64]:
    """Physical parameters, labelled or not, as float64, (n_parameters, n) or (n_parameters, 1).

    Raises an InputError with the parameter, the value and the expected range, also where fractions of a flux exceed 1.
    """
    table = configuration.parameters
    theta = table.as_columns(theta, n_columns, "theta")
    for row, name, unit in zip(theta, table.names, table.unit, strict=True):
        low, high = _POSSIBLE.get(name, (0.0, 1.0))
        bad = ~((row >= low) & (row <= high))
        if bad.any():
            i = int(np.argmax(bad))
            raise InputError(
                f"theta: {name} is {row[i]:g}{'' if unit == '1' else ' ' + unit} in column {i}, expected {low:g} to "
                f"{high:g}. Are the rows in the order of the table ({', '.join(table.names[:4])}, ...), and physical "
                "values, not positions on the unit cube (`physical` converts)?"
            )
    for names in _SUMS:
        if set(names) <= set(table.names):
            total = theta[[table.index(name) for name in names]].sum(axis=0)
            if (total > 1.0 + 1e-12).any():
                i = int(np.argmax(total))
                raise InputError(f"theta: {' + '.join(names)} is {total[i]:g} in column {i}, expected at most 1.")
    return theta
