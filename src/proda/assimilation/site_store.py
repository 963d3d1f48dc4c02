"""`sites.zarr` while it is being made: batches written one by one, each marked when it is whole.

A batch is a chunk of every array, so batches can be written side by side, by threads or by processes elsewhere. A batch
without its mark, or whose content is not what the mark says, is sampled again; chains follow from seeds alone, so the
finished store is the same whatever happened on the way.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from proda.assimilation.schedules import SitePlan
from proda.assimilation.site_dataset import STORE, VARIABLES, sizes_of
from proda.checkpoints import refusal_told
from proda.errors import InputError
from proda.stages import read_json, write_json

MARKS = "batches"
_KEPT = "finished batches are kept and it goes on from there"
_SPARE = 50 * 2**20  # bytes that a disk should have left


class SiteStore:
    """The store in `folder`, and the marks of its finished batches in `checkpoints`.

    Parameters
    ----------
    folder : Path
        Where `sites.zarr` is, or will be.
    checkpoints : Path
        A folder that may be removed when all batches are finished.
    """

    def __init__(self, folder: Path, checkpoints: Path) -> None:
        self.path, self.marks = Path(folder) / STORE, Path(checkpoints) / MARKS

    def create(self, coordinates: xr.Dataset, plan: SitePlan, batch: int) -> None:
        """Make the empty store, unless one is there: it is, when an interrupted run goes on.

        Raises
        ------
        InputError
            When the disk has too little room for it.
        """
        ready = self.marks / "store.json"
        sizes = sizes_of(plan, coordinates.sizes["site"])
        layout = {"sizes": sizes, "batch": batch}
        frame = [self.path / name / "zarr.json" for name in ("", *coordinates.coords, *(row.name for row in VARIABLES))]
        if read_json(ready) == layout and all(path.is_file() for path in frame):
            return
        needed = sum(np.prod([sizes[dim] for dim in row.dims]) * np.dtype(row.dtype).itemsize for row in VARIABLES)
        free = shutil.disk_usage(self.path.parent).free
        if free < needed + _SPARE:
            raise InputError(
                f"{self.path} will need up to {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free: free some space, "
                "store fewer draws (kept_draws), or give a folder on another disk as --out"
            )
        with refusal_told(self.path, _KEPT):
            shutil.rmtree(self.path, ignore_errors=True)
            shutil.rmtree(self.marks, ignore_errors=True)
            coordinates.to_zarr(self.path, mode="w", consolidated=False)
            group = zarr.open_group(self.path, mode="r+")
            described = " ".join(name for name in coordinates.coords if name not in coordinates.dims)
            for row in VARIABLES:
                shape = tuple(sizes[dim] for dim in row.dims)
                group.create_array(
                    row.name,
                    shape=shape,
                    chunks=(min(batch, shape[0]), *shape[1:]),
                    dtype=row.dtype,
                    fill_value=np.nan,
                    dimension_names=row.dims,
                    attributes={"long_name": row.meaning, "units": row.unit, "coordinates": described},
                )
            write_json(ready, layout)

    def write(self, first: int, arrays: Mapping[str, NDArray]) -> None:
        """Put a batch of sites at its place, and mark it as finished.

        Raises
        ------
        ProdaError
            When the disk refuses; all batches that are marked stay good.
        """
        with refusal_told(self.path, _KEPT):
            group = zarr.open_group(self.path, mode="r+")
            last = first + len(arrays["r2"])
            for row in VARIABLES:
                group[row.name][first:last] = arrays[row.name]
            write_json(self._mark(first), {"first": first, "last": last, "sha256": _digest(arrays)})

    def finished(self, first: int, last: int) -> bool:
        """Whether sites `first` to `last` (excluded) are there, with the content that their mark names."""
        mark = read_json(self._mark(first))
        if mark is None or mark.get("last") != last:
            return False
        group = zarr.open_group(self.path, mode="r")
        try:
            arrays = {row.name: group[row.name][first:last] for row in VARIABLES}
        except (OSError, RuntimeError, ValueError):  # a chunk that cannot be decoded
            return False
        return _digest(arrays) == mark["sha256"]

    def drop_leftovers(self) -> None:
        """Remove what writers that were killed left beside a chunk; to be called when nobody writes."""
        for path in self.path.rglob("*.partial"):
            path.unlink(missing_ok=True)

    def _mark(self, first: int) -> Path:
        return self.marks / f"from-{first:07d}.json"


def _digest(arrays: Mapping[str, NDArray]) -> str:
    total = hashlib.sha256()
    for row in VARIABLES:
        values = np.ascontiguousarray(arrays[row.name], dtype=row.dtype)
        total.update(json.dumps([row.name, list(values.shape)]).encode())
        total.update(values.tobytes())
    return total.hexdigest()
