"""Covariates as an embedding network takes them: numbers between 0 and 1, and classes as positions in a list.

A number can be told in pieces as well: how much of each of its quantile bins it has filled, 0 below the bin and 1 above
(piecewise-linear encoding, Gorishniy et al. 2022, arXiv:2203.05556). A network bends as easily where most sites are
as a tree splits there; with the bare number it has to learn a steep slope first.

Covariates between 0 and 1: the min-max scaling that belongs to a network and travels with it.

Which covariates speak of the same thing, and therefore must be judged together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.data.covariates import LISTS
from proda.errors import InputError


def covariate_values(frame: pd.DataFrame, names: Sequence[str], source: str = "covariates") -> NDArray[np.float64]:
    """The columns of `frame` as an array (n, n_covariates), once they are exactly `names`, in order and finite.

    Parameters
    ----------
    frame : (n, n_covariates) DataFrame
        One row a place, one column a covariate.
    names : sequence of str
        The expected columns.
    source : str
        What to call the table in an error.

    Raises
    ------
    InputError
        When a covariate is missing, unknown or out of place, or has values that are not finite numbers.
    """
    found, names = [str(name) for name in frame.columns], list(names)
    missing = [name for name in names if name not in found]
    unknown = [name for name in found if name not in names]
    if missing or unknown:
        raise InputError(
            f"{source}: expected the {len(names)} covariates the network was trained on; "
            f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}. "
            "Give it the same covariates, or train a network on these."
        )
    if found != names:
        at = next(i for i, (a, b) in enumerate(zip(found, names, strict=False)) if a != b)
        raise InputError(
            f"{source}: covariate {at + 1} is {found[at]!r}, expected {names[at]!r}: the columns are in another order "
            "than the network was trained with. Reorder them: frame[list(names)]."
        )
    for name in names:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise InputError(f"{source}: covariate {name!r} has type {frame[name].dtype}, expected numbers.")
    values = frame.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~np.isfinite(values)
    if bad.any():
        rows = bad.sum(axis=0)
        worst = ", ".join(f"{names[i]!r} in {rows[i]} of {len(frame)} rows" for i in np.flatnonzero(rows)[:8])
        raise InputError(
            f"{source}: values are missing or infinite: {worst} (first in row {int(np.argmax(bad.any(axis=1)))}). "
            "A network needs every covariate at every place: fill them in the data stage, or leave the covariate out."
        )
    return values


@dataclass(frozen=True)
class MinMaxScaling:
    """The range of every covariate, and the map that takes it to 0 to 1.

    Attributes
    ----------
    names : tuple of str, (n_covariates,)
    minimum, maximum : (n_covariates,), each in its covariate's unit
    """

    names: tuple[str, ...]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]

    @classmethod
    def of(cls, frame: pd.DataFrame, source: str = "covariates") -> MinMaxScaling:
        """The scaling whose ranges are those of `frame`."""
        if frame.empty:
            raise InputError(f"{source}: no rows to take the ranges of the covariates from.")
        values = covariate_values(frame, [str(name) for name in frame.columns], source)
        return cls(tuple(str(name) for name in frame.columns), values.min(axis=0), values.max(axis=0))

    def scaled(self, frame: pd.DataFrame, source: str = "covariates") -> NDArray[np.float32]:
        """Covariates as the network takes them, (n, n_covariates): 0 at the minimum, 1 at the maximum.

        A place beyond the range gets values below 0 or above 1; a covariate without a range (the same everywhere) is 0.
        """
        span = self.maximum - self.minimum
        distance = covariate_values(frame, self.names, source) - self.minimum
        return np.where(span > 0.0, distance / np.where(span > 0.0, span, 1.0), 0.0).astype(np.float32)

    def n_beyond(self, frame: pd.DataFrame, source: str = "covariates") -> NDArray[np.int64]:
        """Number of covariates of each place that lie outside the range, (n,)."""
        values = covariate_values(frame, self.names, source)
        return ((values < self.minimum) | (values > self.maximum)).sum(axis=1)

    def as_dict(self) -> dict[str, list[float]]:
        """Minima and maxima as lists of numbers, for JSON."""
        return {"minimum": self.minimum.tolist(), "maximum": self.maximum.tolist()}


NUMBERS, CLASSES = "numbers", "classes"
UNKNOWN = 0  # position of a class that no training site has
MOST_BINS, SITES_PER_BIN = 16, 100  # of a number that is told in pieces


def n_bins_of(n_sites: int) -> int:
    """Bins into which the numbers of so many training sites are told; few sites cannot fill many."""
    return min(MOST_BINS, n_sites // SITES_PER_BIN)


class Shape(NamedTuple):
    """Width of `numbers`, and number of positions of each covariate that is a class, the unknown included."""

    n_numbers: int
    class_sizes: tuple[int, ...]


@dataclass(frozen=True)
class Encoding:
    """How covariates enter the network; it travels with it.

    Attributes
    ----------
    names : tuple of str
        All covariates in the order of their table.
    scaling : MinMaxScaling
        Of those that are numbers.
    codes : dict
        Of those that are classes: name -> the codes that the training sites have, ascending.
    edges : (n_numbers, n_bins + 1) array
        Quantiles of the scaled numbers of the training sites; no bins, no columns.
    """

    names: tuple[str, ...]
    scaling: MinMaxScaling
    codes: dict[str, tuple[int, ...]]
    edges: NDArray[np.float64]

    @classmethod
    def of(
        cls, frame: pd.DataFrame, class_names: Iterable[str], source: str = "covariates", n_bins: int = 0
    ) -> Encoding:
        """The encoding whose ranges, classes and quantiles are those of `frame`.

        Parameters
        ----------
        frame : (n, n_covariates) DataFrame
            Of the training sites.
        class_names : iterable of str
            Which columns are classes.
        n_bins : int
            Bins in which every number is told beside its value.

        Raises
        ------
        InputError
            When a class is no whole number, or no covariate is a number.
        """
        names = tuple(str(name) for name in frame.columns)
        covariate_values(frame, names, source)
        wanted = set(class_names)
        codes = {}
        for name in names:
            if name not in wanted:
                continue
            values = frame[name].to_numpy(float)
            if (values != np.round(values)).any():
                odd = values[values != np.round(values)][0]
                raise InputError(f"{source}: {name!r} is a class, but has the value {odd:g}: expected whole numbers.")
            codes[name] = tuple(int(code) for code in np.unique(values))
        numbers = [name for name in names if name not in codes]
        if not numbers:
            raise InputError(f"{source}: all {len(names)} covariates are classes; the network needs a number among "
                             "them.")  # fmt: skip
        scaling = MinMaxScaling.of(frame[numbers], source)
        edges = np.empty((len(numbers), 0))
        if n_bins > 0:
            edges = np.quantile(scaling.scaled(frame[numbers], source), np.linspace(0.0, 1.0, n_bins + 1), axis=0).T
        return cls(names, scaling, codes, edges)

    @property
    def shape(self) -> Shape:
        """What networks for these covariates have to have room for."""
        width = len(self.scaling.names) * max(1, self.edges.shape[1])
        return Shape(width, tuple(len(codes) + 1 for codes in self.codes.values()))

    def encoded(self, frame: pd.DataFrame, source: str = "covariates") -> dict[str, NDArray]:
        """`numbers` (n, n_numbers x (1 + n_bins)) float32 and `classes` (n, n_classes) int32 of the places of `frame`.

        Numbers are 0 at the training sites' minimum and 1 at their maximum, and are held to -0.5 to 1.5: what lies
        farther out says no more than that it does. What they fill of their bins follows, covariate by covariate.

        Raises
        ------
        InputError
            As `proda.learning.encoding.covariate_values`.
        """
        covariate_values(frame, self.names, source)
        numbers = np.clip(self.scaling.scaled(frame[list(self.scaling.names)], source), -0.5, 1.5)
        filled = self._filled_bins(numbers).reshape(len(frame), -1)
        return {NUMBERS: np.concatenate([numbers, filled], axis=1), CLASSES: self._positions(frame)}

    def _filled_bins(self, numbers: NDArray) -> NDArray[np.float32]:
        """What scaled numbers (n, n_numbers) fill of their bins, (n, n_numbers, n_bins), each 0 to 1."""
        low, high = self.edges[:, :-1], self.edges[:, 1:]
        width = high - low
        # Where many sites share one value, a bin has no width and nothing to tell.
        filled = (numbers[:, :, None] - low) / np.where(width > 0.0, width, np.inf)
        return np.clip(filled, 0.0, 1.0).astype(np.float32)

    def _positions(self, frame: pd.DataFrame) -> NDArray[np.int32]:
        """Position of every place's classes, (n, n_classes), from 1; `UNKNOWN` for a class not in the list."""
        positions = np.zeros((len(frame), len(self.codes)), dtype=np.int32)
        for column, (name, known) in enumerate(self.codes.items()):
            values, table = frame[name].to_numpy(float), np.asarray(known, float)
            at = np.clip(np.searchsorted(table, values), 0, len(table) - 1)
            positions[:, column] = np.where(table[at] == values, at + 1, UNKNOWN)
        return positions

    def n_beyond(self, frame: pd.DataFrame, source: str = "covariates") -> NDArray[np.int64]:
        """Number of covariates of each place that no training site has had: out of range, or of another class, (n,)."""
        covariate_values(frame, self.names, source)
        beyond = self.scaling.n_beyond(frame[list(self.scaling.names)], source)
        return beyond + (self._positions(frame) == UNKNOWN).sum(axis=1)

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "covariates": list(self.names),
            "numbers": {"names": list(self.scaling.names), **self.scaling.as_dict(), "edges": self.edges.tolist()},
            "classes": {name: list(codes) for name, codes in self.codes.items()},
        }

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Encoding:
        """The encoding that `as_dict` described."""
        numbers = told["numbers"]
        scaling = MinMaxScaling(tuple(numbers["names"]), np.array(numbers["minimum"]), np.array(numbers["maximum"]))
        codes = {name: tuple(int(code) for code in values) for name, values in told["classes"].items()}
        return cls(
            tuple(told["covariates"]), scaling, codes, np.array(numbers["edges"], float).reshape(len(scaling.names), -1)
        )


OTHER = "other"
# A class of texture follows from sand, silt and clay and stands with them. Classes of climate, soil and land stand
# alone: that shows what a class adds to the numbers.
GROUPS = {
    "climate": r"BIO\d+|Drought|mean_annual_temperature_degC|precipitation_mm_yr",
    "climate class": r"Climate|Koppen_Climate_2018|koppen_class",
    "vegetation and productivity": r"NPP(mean|max|min)|Veg_Cover|(clm5_)?npp_gC_m2_yr|cesm2_(npp|npp_std|vegc)",
    "land cover and use": r"IGBP|ESA_Land_Cover|igbp_land_cover|land_use_class",
    "soil texture": r"(Sand|Silt|Clay)_Content_\d+cm|Texture_USDA_\d+cm|(sand|silt|clay)_fraction",
    "soil density and stones": r"(Bulk_Density|Coarse_Fragments_v)_\d+cm",
    "soil chemistry": r"(CEC|pH_Water)_\d+cm|Garde_Acid",
    "soil water": r"SWC_v_Wilting_Point_\d+cm|water_\w+_m3_m3",
    "soil class": r"Soil_Type|USDA_Suborder|WRB_Subgroup",
    "depth to bedrock": r"Abs_Depth_to_Bedrock|Depth_Bedrock_R|Occurrence_R_Horizon|nbedrock",
    "position and height": r"Lon|Lat|Elevation",
}
_LISTED_CLASSES = frozenset(row.name for rows in LISTS.values() for row in rows if row.kind == "categorical")
_ONE_HOT = re.compile(r"(?P<name>.+)=(?P<code>-?\d+)")


def covariate_of(column: str) -> str:
    """The covariate that a column speaks of: itself, or what stands before `=` of a column `name=code`."""
    one_hot = _ONE_HOT.fullmatch(column)
    return one_hot["name"] if one_hot else column


def codes_of(columns: Iterable[str], covariate: str) -> dict[int, str]:
    """Code -> column of a class that stands in columns `name=code`, ascending; empty for any other covariate."""
    matches = (_ONE_HOT.fullmatch(column) for column in columns)
    found = {int(match["code"]): match.string for match in matches if match and match["name"] == covariate}
    return dict(sorted(found.items()))


def is_class(covariate: str) -> bool:
    """Whether the lists of `proda.data.covariates` call it categorical, or its name ends in `_class`."""
    return covariate in _LISTED_CLASSES or covariate.endswith("_class")


def covariate_groups(names: Iterable[str]) -> dict[str, list[str]]:
    """Columns by what they speak of, in the order of `GROUPS`; "other" for names that no group knows.

    Every name is in exactly one group, groups without a name are left out. The result is a plain dictionary: two groups
    of it may be joined where their covariates hardly differ in what they say (a class of climate follows from climate).

    Parameters
    ----------
    names : iterable of str
        Of `proda.data.covariates`, columns `name=code` made of a class, or others.

    Raises
    ------
    InputError
        When a name occurs twice.
    """
    names = [str(name) for name in names]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"covariate {twice!r} occurs twice; expected each column once.")
    groups: dict[str, list[str]] = {group: [] for group in (*GROUPS, OTHER)}
    for name in names:
        covariate = covariate_of(name)
        group = next((group for group, pattern in GROUPS.items() if re.fullmatch(pattern, covariate)), OTHER)
        groups[group].append(name)
    return {group: columns for group, columns in groups.items() if columns}
