"""The stored values of a map: what they mean, and what shows that they are not what the map's name promises.

A number that stands for "missing" and is not declared is known by its distance from all others. Zero among small values
has none, but an edge: where it stands for "missing", the values beside it are not small, though neighbours are alike.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray

from proda.errors import InputError

# Often written for "missing" and not declared, as are numbers beyond `GREATEST`; the first never mean anything else.
NEVER_VALUES = (-(2**31), -99999, -32768, -9999, -999)
FILLS, GREATEST = (*NEVER_VALUES, -128, -1, 0, 127, 255, 32767, 65535, 2**31 - 1), 1e18
SAMPLE, LEAST_SAMPLE = 500, 20  # pixels of each part of a map, and fewest of all, that show how far values lie apart


class Layer(NamedTuple):
    """A map of a public source: the files it is in, and what its values mean."""

    name: str  # the covariate
    pattern: str  # of the file's name, for `Path.glob`; resolution and ending may vary
    unit: str
    least: float  # plausible, in that unit
    greatest: float
    factor: float | None = None  # from stored whole numbers to `unit`; None: scale and offset as declared in the file
    missing: tuple[float, ...] = ()  # stored values that mean "missing" besides the declared one
    classes: bool = False  # classes have majorities and no means
    real: bool = False  # stored as real numbers; whole ones are those of another release, times 10


class Pixels:
    """The pixels of a map as they are read: their values, and what makes them implausible."""

    def __init__(self, path: Path, layer: Layer, file: rasterio.DatasetReader, convert: Callable | None) -> None:
        self.path, self.layer, self.file, self.convert = path, layer, file, convert
        self.count = self.outside = 0  # pixels with a value, and those with an implausible one
        self.example = np.nan
        self.fills: dict[float, int] = {}  # how many pixels have a usual fill value
        self.others = [np.zeros(0)]  # a sample of the other stored values, with the least and the greatest
        # Samples of stored values beside a pixel of 0, and of the differences of other neighbours that differ.
        self.zeros, self.beside_zero, self.steps = 0, [np.zeros(0)], [np.zeros(0)]
        self._check_stored()

    def _check_stored(self) -> None:
        layer, scale, offset = self.layer, self.file.scales[0], self.file.offsets[0]
        kind, fault = np.dtype(self.file.dtypes[0]), ""
        whole = np.issubdtype(kind, np.integer)
        if layer.real and whole and scale == 1:
            fault = "expected real numbers. Of an earlier release, times 10?"
        elif layer.factor and not whole:
            fault = f"expected whole numbers that times {layer.factor:g} are in {layer.unit}. Scaled or resampled?"
        elif layer.factor and (most := np.iinfo(kind).max * layer.factor) < layer.greatest / 2:
            fault = f"at most {most:g} {layer.unit} when times {layer.factor:g}, expected up to {layer.greatest:g}."
            fault += " Of another release?"
        elif layer.factor and (offset or not np.isclose(np.log10(scale / layer.factor) % 1, [0, 1]).any()):
            # A declared scale may lead to another unit, such as kg in the place of g: any power of ten.
            fault = f"with scale {scale:g} and offset {offset:g}, expected {layer.factor:g} and 0. Of another product?"
        if fault:
            raise InputError(
                f"{self.path}: {layer.name} is stored as {kind}, {fault} Bring it to {layer.unit} and name it "
                f"{layer.name}.tif."
            )

    def values(self, stored: NDArray) -> NDArray[np.float64]:
        """Stored values in the layer's unit, codes for "missing" as NaN."""
        stored, layer = np.where(np.isin(stored, self.layer.missing), np.nan, stored), self.layer
        if self.convert is not None:
            values = self.convert(stored)
        else:
            scale, offset = (self.file.scales[0], self.file.offsets[0]) if layer.factor is None else (layer.factor, 0.0)
            values = stored * scale + offset
            self._note(stored[np.isfinite(stored)])
        bad = (values < layer.least) | (values > layer.greatest)
        if bad.any():
            self.outside, self.example = self.outside + int(bad.sum()), values[bad][0]
        self.count += int(np.isfinite(values).sum())
        return values

    def _note(self, stored: NDArray) -> None:
        if not stored.size:
            return
        low, high = stored.min(), stored.max()
        fills = {float(fill): int((stored == fill).sum()) for fill in FILLS if low <= fill <= high}
        if max(-low, high) > GREATEST:
            fills |= dict(zip(*np.unique(stored[np.abs(stored) > GREATEST], return_counts=True), strict=True))
        fills = {fill: n for fill, n in fills.items() if n}
        self.fills |= {fill: n + self.fills.get(fill, 0) for fill, n in fills.items()}
        others = stored[~np.isin(stored, list(fills))] if fills else stored
        if others.size:
            self.others.append(np.append(others[:: others.size // SAMPLE + 1], [others.min(), others.max()]))

    def note_edges(self, stored: NDArray) -> None:
        """Take account of pixels of 0 among stored values (rows, columns) that lie side by side."""
        zero = stored == 0
        if self.layer.classes or self.convert is not None or 0 in self.layer.missing or not zero.any():
            return
        self.zeros += int(zero.sum())
        for first, second in (
            ((slice(None), slice(1, None)), (slice(None), slice(-1))),
            ((slice(1, None),), (slice(-1),)),
        ):
            apart, edge = np.abs(stored[first] - stored[second]), zero[first] != zero[second]
            for sample, chosen in ((self.beside_zero, edge & np.isfinite(apart)), (self.steps, ~edge & (apart > 0))):
                values = apart[chosen]
                sample.append(values[:: values.size // SAMPLE + 1])

    def doubt(self) -> str:
        """Why pixels of 0 may be "missing"; empty where they are about as near to their neighbours as others are."""
        beside, steps = np.concatenate(self.beside_zero), np.concatenate(self.steps)
        if beside.size < 2 or steps.size < LEAST_SAMPLE or np.quantile(beside, 0.25) <= 3 * np.quantile(steps, 0.95):
            return ""
        return (
            f"doubtful: 0 stored in {self.zeros:,} pixels, where those beside have {np.median(beside):.4g} and other "
            f"neighbours differ by {np.median(steps):.3g}: not declared as missing?"
        )

    def check(self) -> None:
        """An InputError when values are implausible, or some pixels hold a fill value that is not declared."""
        layer = self.layer
        if self.outside:
            raise InputError(
                f"{self.path}: {layer.name} is {self.example:g} {layer.unit} in a pixel, expected {layer.least:g} to "
                f"{layer.greatest:g} ({self.outside / self.count:.2%} of {self.count:,} pixels are outside). Another "
                "release or legend, a map that was scaled already, or a fill value that the file does not declare?"
            )
        others = np.unique(np.concatenate(self.others))
        if not others.size:  # a map of nothing else, such as 0 and 255
            others = np.array(sorted(fill for fill in self.fills if 0 <= fill < GREATEST))
        fills = [fill for fill in self.fills if self._is_fill(fill, others)]
        if others.size > LEAST_SAMPLE and not layer.classes:  # any other number as far away as only a fill value is
            rest = others[1:-1]
            far = np.abs(others[[0, -1]] - rest[[0, -1]]) > 10 * np.ptp(rest)
            fills += [] if self._declared() else others[[0, -1]][far].tolist()
        if fills:
            value, n = fills[0], self.fills.get(fills[0], 1)
            rest = others[others != value]
            raise InputError(
                f"{self.path}: {layer.name} is {value:g} in {n / self.count:.2%} of {self.count:,} pixels, {rest[0]:g} "
                f"to {rest[-1]:g} in the others. A fill value that the file does not declare? Declare it: gdal_edit.py "
                f"-a_nodata {float(value)} {self.path.name}. If it is a value, declare another number, such as 1e30."
            )

    def _declared(self) -> bool:
        return self.file.nodata is not None and bool(np.isfinite(self.file.nodata))

    def _is_fill(self, fill: float, others: NDArray) -> bool:
        """Whether a usual fill value lies farther from all others than these from each other."""
        gap = max(others[0] - fill, fill - others[-1]) if others.size else 0.0
        if abs(fill) > GREATEST or (fill in NEVER_VALUES and self._declared()):
            return gap > np.ptp(others)
        few = self.count < LEAST_SAMPLE
        if self._declared() or (fill in (-1, 0) and (few or others.size == 1 or self.layer.classes)):
            return False
        return gap > np.ptp(others) or (not few and others.size >= LEAST_SAMPLE and gap > 3 * np.diff(others).max())
