"""The truth of a study that has one."""

import xarray as xr

from proda.study import Study


def known_truth(study: Study) -> xr.Dataset | None:
    """What `truth.nc` holds (`proda.data.virtual.truth_dataset`); None for a study of real profiles.

    `x_site` (parameter, site) and `x_cell` (parameter, cell) on the unit cube; `soc_site` (layer, site) and `soc_cell`
    (layer, cell), g C m-3.
    """
    path = study.path("truth.nc")
    if not path.is_file():
        return None
    with xr.open_dataset(path) as truth:
        return truth.load()
