"""Posteriors as ArviZ knows them, whichever ArviZ is installed.

ArviZ 0.x (Python 3.11) has `InferenceData`, ArviZ 1.x (3.12 and later) `DataTree`; what differs between them in this
package is here.
"""

from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from proda.assimilation.one_batch import OneBatch
from proda.model.parameters import PAPER_PARAMETERS

CLASSIC_ARVIZ = az.__version__.startswith("0.")


def inference_data(
    x: NDArray,
    phi: NDArray | None = None,
    attrs: dict[str, Any] | None = None,
    more: dict[str, xr.Dataset] | None = None,
) -> Any:
    """An ArviZ object with group `posterior` (and `sample_stats`, and the groups in `more`).

    Parameters
    ----------
    x : (chain, draw, parameter)
        On the unit cube.
    phi : (chain, draw), optional
    """
    chain, draw = np.arange(x.shape[0]), np.arange(x.shape[1])
    coords = {"chain": chain, "draw": draw, "parameter": list(PAPER_PARAMETERS.names)}
    unit = {"long_name": "position between the bounds of the prior", "units": "1"}
    groups = {"posterior": xr.Dataset({"x": (("chain", "draw", "parameter"), x, unit)}, coords, attrs)}
    if phi is not None:
        misfit = {"long_name": "weighted misfit Phi, Eq. 5.2", "units": "1"}
        stats = {"phi": (("chain", "draw"), phi, misfit)}
        groups["sample_stats"] = xr.Dataset(stats, {"chain": chain, "draw": draw}, attrs)
    groups |= more or {}
    if CLASSIC_ARVIZ:
        return az.InferenceData(**groups)
    return xr.DataTree.from_dict({f"/{name}": group for name, group in groups.items()})


def one_batch_data(result: OneBatch) -> Any:
    """The ArviZ object that `one_batch.nc` holds."""
    attrs = {"B": result.B, "D": result.D}
    attrs |= {"acceptance_test_run": result.acceptance[:, 0], "acceptance": result.acceptance[:, 1]}
    return inference_data(result.x, result.phi, attrs)


def write_inference_data(data: Any, path: Path) -> None:
    """Write an ArviZ object as NetCDF, a group each."""
    data.to_netcdf(str(path))


def read_posterior(path: Path) -> xr.Dataset:
    """The posterior group of a file from `write_inference_data`."""
    with xr.open_dataset(path, group="posterior") as group:
        return group.load()
