"""The Zarr store of fine maps while it is being made: it gets its name when it is whole, and not before.

Until then it lies in `<name>.partial` with a mark for every finished chunk. A chunk without its mark, whose content is
not what the mark says, or whose input has changed since, is computed again.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from proda.checkpoints import refusal_told
from proda.errors import InputError
from proda.maps.cf import BEYOND, EXTRAPOLATED, quantile_meanings
from proda.maps.products import LEVELS, SOC_CONTENT
from proda.maps.stocks import MAP_INTERVALS
from proda.stages import read_json, write_json

STORED = (*(SOC_CONTENT + suffix for suffix in LEVELS.values()), BEYOND, "status")
STATUS = ("has_a_value", "forcing_is_missing", "a_covariate_is_missing", "carbon_is_not_finite")
_NOT_YET = -1
_KEPT = "finished chunks are kept and it goes on from there"
_SPARE = 20 * 2**20  # bytes that a disk should have left


class MapStore:
    """The store at `path`, finished or in the making.

    Parameters
    ----------
    path : Path
        Where the store is when it is whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.partial = self.path.with_name(f"{self.path.name}.partial")
        self.unfinished, self.marks = self.partial / "maps.zarr", self.partial / "chunks"

    def begin(self, identity: Mapping[str, Any], places: xr.Dataset, chunk: int, fresh: bool) -> None:
        """Make an empty store in the partial folder, or find there what an interrupted run with this identity left.

        Parameters
        ----------
        identity : mapping
            What the content depends on; an unfinished store of another is not overwritten.
        places : xarray.Dataset
            Coordinates and areas of the cells, on `cell`.

        Raises
        ------
        InputError
            When the store is there already, or an unfinished one of something else, and `fresh` is not set; or when the
            disk has too little room.
        """
        made_for, identity = self.partial / "made_for.json", dict(identity)
        if self.path.exists() and not (self.path / "zarr.json").is_file():
            raise InputError(f"{self.path} is no Zarr store of maps: nothing was touched, give another name")
        if fresh:
            shutil.rmtree(self.partial, ignore_errors=True)
        elif self.path.exists():
            raise InputError(f"{self.path} is there already: give another name, or fresh=True to make it anew")
        before = read_json(made_for)
        if before is not None and before != identity:
            other = ", ".join(name for name in identity if before.get(name) != identity[name])
            raise InputError(
                f"{self.partial} holds the unfinished maps of something else ({other} differ): nothing was "
                "overwritten. Finish that run as it was begun, or give it up with fresh=True"
            )
        if before == identity:
            return
        n = places.sizes["cell"]
        free, needed = shutil.disk_usage(self.path.parent).free, n * (4 * len(LEVELS) * len(MAP_INTERVALS) + 40)
        if free < needed + _SPARE:
            raise InputError(
                f"{self.path} will need up to {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free: free some space, or "
                "give a name on another disk"
            )
        with refusal_told(self.partial, _KEPT):
            shutil.rmtree(self.partial, ignore_errors=True)
            self.partial.mkdir(parents=True)
            self._create(places, min(chunk, n))
            write_json(made_for, identity)

    def _create(self, places: xr.Dataset, chunk: int) -> None:
        encoding: dict[str, dict[str, Any]] = {str(name): {"_FillValue": None} for name in places.variables}
        for name, variable in places.variables.items():
            if variable.dims == ("cell",):
                encoding[str(name)]["chunks"] = (chunk,)
        places.to_zarr(self.unfinished, mode="w", consolidated=False, encoding=encoding)
        group = zarr.open_group(self.unfinished, mode="r+")
        n, where = places.sizes["cell"], {"coordinates": "lat lon"} if {"lat", "lon"} <= set(places.coords) else {}
        meaning = quantile_meanings("soil organic carbon", "over the draws of the parameters")
        for statistic, suffix in LEVELS.items():
            attributes = {"standard_name": SOC_CONTENT, "units": "kg m-2", "long_name": meaning[statistic]}
            group.create_array(
                SOC_CONTENT + suffix, shape=(len(MAP_INTERVALS), n), chunks=(len(MAP_INTERVALS), chunk),
                dtype="float32", fill_value=np.nan, dimension_names=("depth", "cell"),
                attributes=attributes | {"ancillary_variables": f"{BEYOND} status"} | where,
            )  # fmt: skip
        flags = {"flag_values": list(range(len(STATUS))), "flag_meanings": " ".join(STATUS)}
        flags["long_name"] = "whether a cell has a value, and why not"
        beyond = {"long_name": EXTRAPOLATED, "units": "1"}
        for name, kind, fill, attributes in (
            ("status", "int8", _NOT_YET, flags),
            (BEYOND, "float32", np.nan, beyond),
        ):
            group.create_array(
                name, shape=(n,), chunks=(chunk,), dtype=kind, fill_value=fill, dimension_names=("cell",),
                attributes=attributes | where,
            )  # fmt: skip

    def write(self, first: int, last: int, arrays: Mapping[str, NDArray], made_from: str) -> None:
        """Put a chunk at its place, and mark it as finished.

        Raises
        ------
        ProdaError
            When the disk refuses; all chunks that are marked stay good.
        """
        with refusal_told(self.partial, _KEPT):
            group = zarr.open_group(self.unfinished, mode="r+")
            for name, values in arrays.items():
                group[name][..., first:last] = values
            mark = {"first": first, "last": last, "made_from": made_from, "sha256": _digest(arrays)}
            write_json(self._mark(first), mark)

    def finished(self, first: int, last: int, made_from: str) -> bool:
        """Whether a chunk is there, made from this, with the content that its mark names."""
        mark = read_json(self._mark(first))
        if mark is None or mark.get("last") != last or mark.get("made_from") != made_from:
            return False
        group = zarr.open_group(self.unfinished, mode="r")
        try:
            arrays = {name: group[name][..., first:last] for name in STORED}
        except (OSError, RuntimeError, ValueError):  # a chunk that cannot be decoded
            return False
        return _digest(arrays) == mark["sha256"]

    def finish(self, attributes: Mapping[str, Any]) -> None:
        """Describe the store, whose chunks are all there, and give it its name."""
        with refusal_told(self.path, _KEPT):
            group = zarr.open_group(self.unfinished, mode="r+")
            if (group["status"][:] == _NOT_YET).any():
                raise InputError(f"{self.partial}: chunks are missing; run it again")
            group.attrs.update(attributes)
            shutil.rmtree(self.path, ignore_errors=True)
            self.unfinished.rename(self.path)
            shutil.rmtree(self.partial, ignore_errors=True)

    def _mark(self, first: int) -> Path:
        return self.marks / f"from-{first:010d}.json"


def _digest(arrays: Mapping[str, NDArray]) -> str:
    total = hashlib.sha256()
    for name in sorted(arrays):
        total.update(name.encode())
        total.update(np.ascontiguousarray(arrays[name]).tobytes())
    return total.hexdigest()
