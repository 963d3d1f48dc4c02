"""The calibrated parameters: names, meanings, units, ranges, defaults, and the unit cube they are sampled in.

Ranges and names are those of a public R port of Tao et al. 2020, whose Table S1 was not available. The share of coarse
woody debris (CWD) is what the shares of litter (p4ll, p4ml, p4cl) leave, and must be positive: the one corner of the
cube that is not allowed.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.model.forcing import AnyForcing


class Parameter(NamedTuple):
    """One row of a parameter table; `minimum` and `maximum` bound the uniform prior."""

    name: str
    meaning: str
    unit: str
    minimum: float
    maximum: float
    default: float


class ParameterTable:
    """The parameters of a configuration, in the order of their rows in every parameter array."""

    def __init__(self, configuration: str, rows: tuple[Parameter, ...]) -> None:
        self.configuration, self.rows = configuration, rows
        self.names, self.meaning, self.unit, *numbers = zip(*rows, strict=True)
        self.minimum, self.maximum, self.default = map(np.array, numbers)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def has_shares(self) -> bool:
        """Whether the shares of the carbon input are among the parameters."""
        return "p4ll" in self.names

    def index(self, name: str) -> int:
        return self.names.index(name)

    def as_columns(self, values: ArrayLike, n_columns: int, what: str) -> NDArray[np.float64]:
        """Parameters as float64, (n_parameters, n_columns) or (n_parameters, 1); (n_parameters,) serves all columns.

        Raises an InputError, which calls them `what`, for another shape or labels that are not the names in order.
        """
        coords = getattr(values, "coords", None)
        labels = coords.get("parameter") if coords is not None else getattr(values, "index", None)
        if not (labels is None or callable(labels) or np.issubdtype(np.asarray(labels).dtype, np.number)):
            names = tuple(str(label) for label in np.asarray(labels))
            if names != self.names:
                other = next((pair for pair in zip(names, self.names, strict=False) if pair[0] != pair[1]), None)
                at = f"{other[0]!r} stands in place of {other[1]!r}" if other else f"{len(names)} of {len(self)}"
                raise InputError(
                    f"the labelled rows of {what} are not those of the {self.configuration!r} table: {at}. Put them in "
                    "order: .sel(parameter=list(table.names)) or .loc[list(table.names)]."
                )
        values = np.asarray(values, dtype=np.float64)
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or values.shape[0] != len(self) or values.shape[1] not in (1, n_columns):
            raise InputError(
                f"{what} has shape {values.shape}, expected ({len(self)}, {n_columns}) or ({len(self)}, 1): one row "
                f"for each parameter of the {self.configuration!r} table, one column for each soil column or one for "
                "all."
            )
        return values


# Ranges of the R port, defaults of CLM4.5 where CLM has one. CLM takes fs1s2 from the sand content and the shares of
# the input from the vegetation type: see `default_parameters`. The bounds of `ins` are those of each column's NPP, so
# the numbers here are only the ones of the virtual and the surrogate forcing.
PAPER_PARAMETERS = ParameterTable(
    "paper",
    (
        Parameter("diffus", "bioturbation diffusivity", "m2 yr-1", 3e-5, 5e-4, 1e-4),
        Parameter("cryo", "cryoturbation diffusivity", "m2 yr-1", 3e-5, 1.6e-3, 5e-4),
        Parameter("q10", "temperature sensitivity of decomposition", "1", 1.2, 3.0, 1.5),
        Parameter("efolding", "e-folding depth of decomposition", "m", 0.0, 1.0, 0.5),
        Parameter("tau4cwd", "turnover time of coarse woody debris", "yr", 1.0, 10.0, 3.33),
        Parameter("tau4l1", "turnover time of metabolic litter", "yr", 0.0, 0.2, 0.0541),
        Parameter("tau4l2l3", "turnover time of cellulose and lignin litter", "yr", 0.2, 1.0, 0.2041),
        Parameter("tau4s1", "turnover time of fast SOC", "yr", 0.0, 1.0, 0.137),
        Parameter("tau4s2", "turnover time of slow SOC", "yr", 1.0, 50.0, 5.0),
        Parameter("tau4s3", "turnover time of passive SOC", "yr", 200.0, 2000.0, 222.2),
        Parameter("fl1s1", "fraction metabolic litter to fast SOC", "1", 0.2, 0.8, 0.45),
        Parameter("fl2s1", "fraction cellulose litter to fast SOC", "1", 0.2, 0.8, 0.5),
        Parameter("fl3s2", "fraction lignin litter to slow SOC", "1", 0.2, 0.8, 0.5),
        Parameter("fs1s2", "fraction fast to slow SOC", "1", 0.0, 0.4, 0.4),
        Parameter("fs1s3", "fraction fast to passive SOC", "1", 0.0, 0.03, 0.004),
        Parameter("fs2s1", "fraction slow to fast SOC", "1", 0.1, 0.6, 0.42),
        Parameter("fs2s3", "fraction slow to passive SOC", "1", 0.0, 0.1, 0.03),
        Parameter("fs3s1", "fraction passive to fast SOC", "1", 0.0, 1.0, 0.45),
        Parameter("fcwdl2", "fraction coarse woody debris to cellulose litter", "1", 0.5, 1.0, 0.76),
        Parameter("ins", "carbon input as a multiple of mean NPP", "1", 0.7, 1.3, 1.0),
        Parameter("beta", "shape of the input's depth profile", "1", 0.5, 0.9999, 0.95),
        Parameter("p4ll", "share of the input to lignin litter", "1", 0.0, 0.25, 0.15),
        Parameter("p4ml", "share of the input to metabolic litter", "1", 0.05, 0.7, 0.25),
        Parameter("p4cl", "share of the input to cellulose litter", "1", 0.01, 0.5, 0.40),
        Parameter("maxpsi", "water potential above which decomposition is unlimited", "MPa", -0.015, 0.0, -0.002),
    ),
)


# Ranges of the public programs of Tao et al. 2023 where they differ from the `paper` table. Defaults are those of the
# `paper` table, also of the e-folding depth: CLM5 ships 10 m, outside the range.
_CESM2_RANGES = {
    "tau4cwd": (1.0, 6.0), "tau4l1": (0.0, 0.11), "tau4l2l3": (0.1, 0.3), "tau4s3": (200.0, 1000.0),
    "fl1s1": (0.1, 0.8), "fs1s3": (0.0, 0.05), "fs2s1": (0.1, 0.74), "fs3s1": (0.0, 0.9),
}  # fmt: skip
CESM2_PARAMETERS = ParameterTable(
    "cesm2",
    (
        *(
            Parameter(*row[:3], *_CESM2_RANGES.get(row.name, row[3:5]), row.default)
            for row in PAPER_PARAMETERS.rows[:19]
        ),
        Parameter("w_scaling", "multiple of CLM's water scalar", "1", 0.0, 5.0, 1.0),
        PAPER_PARAMETERS.rows[20],
    ),
)

# Rows of a parameter array. The first nineteen and `beta` stand in the same place in both tables.
DIFFUS, CRYO, Q10, EFOLDING, TAU_CWD, TAU_L1, TAU_L2L3, TAU_S1, TAU_S2, TAU_S3 = range(10)
FL1S1, FL2S1, FL3S2, FS1S2, FS1S3, FS2S1, FS2S3, FS3S1, FCWDL2 = range(10, 19)
INS, BETA, P4LL, P4ML, P4CL, MAXPSI = range(19, 25)
W_SCALING = 19

SHARES = (P4LL, P4ML, P4CL)
LEAST_CWD_SHARE = 1e-3
# Least distance from the faces of the unit cube for parameters that were not fitted to data. On a face SOC can be
# undefined (a turnover time or e-folding depth of zero), and at a thousandth of the range of `efolding` it is finite
# but millions of kg m-3, which would swamp the mean of any ensemble; at a hundredth it is thousands.
INNER = 0.01
# A parameter counts as constrained where its posterior standard deviation is below this part of the prior's, in every
# notebook: a convention of the report, not a test.
CONSTRAINED_BELOW = 0.85


TABLES = (PAPER_PARAMETERS, CESM2_PARAMETERS)


def table_of(n_parameters: int) -> ParameterTable:
    """The table with so many parameters: what arrays of parameters belong to."""
    return next(table for table in TABLES if len(table) == n_parameters)


def bounds(forcing: AnyForcing, table: ParameterTable = PAPER_PARAMETERS) -> tuple[NDArray, NDArray]:
    """Least and greatest physical values, two arrays (n_parameters, n); for `ins` they follow each column's NPP."""
    n = forcing.n_columns
    low = np.repeat(table.minimum[:, None], n, axis=1)
    high = np.repeat(table.maximum[:, None], n, axis=1)
    if "ins" in table.names:
        low[INS] = np.asarray(forcing.npp_min) / forcing.npp_mean
        high[INS] = np.asarray(forcing.npp_max) / forcing.npp_mean
    return low, high


def physical(x: ArrayLike, forcing: AnyForcing, table: ParameterTable = PAPER_PARAMETERS) -> NDArray:
    """Physical parameters, (n_parameters, n), of positions x between the bounds; an InputError for x outside [0, 1]."""
    x = table.as_columns(x, forcing.n_columns, "x")
    bad = ~((x >= 0.0) & (x <= 1.0))
    if bad.any():
        row, column = (int(i[0]) for i in np.nonzero(bad))
        raise InputError(
            f"x of {table.names[row]} is {x[row, column]:g} in column {column}, expected 0 to 1: "
            "x is the position between a parameter's bounds; use `unit_cube` on physical values."
        )
    low, high = bounds(forcing, table)
    return low + x * (high - low)


def unit_cube(theta: ArrayLike, forcing: AnyForcing, table: ParameterTable = PAPER_PARAMETERS) -> NDArray:
    """Position of physical parameters between their bounds, (n_parameters, n); outside [0, 1] beyond them."""
    theta = table.as_columns(theta, forcing.n_columns, "theta")
    low, high = bounds(forcing, table)
    return (theta - low) / (high - low)


def cwd_share(theta: ArrayLike) -> NDArray:
    """Share of the carbon input to coarse woody debris, what p4ll, p4ml and p4cl leave over, (n,)."""
    theta = np.asarray(theta)
    return 1.0 - theta[P4LL] - theta[P4ML] - theta[P4CL]


def default_parameters(
    forcing: AnyForcing, sand_percent: ArrayLike, table: ParameterTable = PAPER_PARAMETERS
) -> NDArray:
    """CLM's own values, (n_parameters, n), for the sand content of the columns, a number or (n,), %.

    CLM4.5 ties fs1s2 to texture, (1 - respired fraction) with 0.146 + 0.0068 (100 - sand %), here capped at 0.4.
    """
    theta = np.repeat(table.default[:, None], forcing.n_columns, axis=1)
    sand = np.asarray(sand_percent, dtype=np.float64)
    if not ((sand >= 0.0) & (sand <= 100.0)).all():
        raise InputError(f"sand_percent ranges from {sand.min():g} to {sand.max():g}, expected 0 to 100 %.")
    theta[FS1S2] = np.minimum(0.146 + 0.0068 * (100.0 - sand), 0.4)
    return theta


def _share_ranges() -> tuple[float, NDArray[np.float64]]:
    rows = list(SHARES)
    low, high = PAPER_PARAMETERS.minimum[rows], PAPER_PARAMETERS.maximum[rows]
    return low.sum(), high - low


def with_positive_cwd_share(x: ArrayLike) -> tuple[NDArray, NDArray[np.bool_]]:
    """Unit-cube parameters, (n, n_parameters), whose CWD share is at least `LEAST_CWD_SHARE`, and which changed, (n,).

    The three shares, measured from their minima, are multiplied by one common factor; nothing else moves.
    """
    x = np.array(x, dtype=np.float64)
    if not table_of(x.shape[-1]).has_shares:
        return x, np.zeros(len(x), bool)
    minima, ranges = _share_ranges()
    above_minima, room = x[:, SHARES] @ ranges, 1.0 - LEAST_CWD_SHARE - minima
    changed = above_minima > room
    x[np.ix_(changed, SHARES)] *= (room / above_minima[changed])[:, None]
    return x, changed


def prior_sd(table: ParameterTable = PAPER_PARAMETERS) -> NDArray[np.float64]:
    """Prior standard deviations on the unit cube, (n_parameters,): 1/sqrt(12) for all but the three input shares."""
    sd = np.full(len(table), 1.0 / np.sqrt(12.0))
    if not table.has_shares:
        return sd
    minima, ranges = _share_ranges()
    middle = (np.arange(80) + 0.5) / 80
    cube = np.stack(np.meshgrid(middle, middle, middle, indexing="ij"), axis=-1).reshape(-1, 3)
    sd[list(SHARES)] = cube[cube @ ranges < 1.0 - minima].std(axis=0)
    return sd
