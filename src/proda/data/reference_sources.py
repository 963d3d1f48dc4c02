"""Every published map of soil organic carbon that a folder holds, as columns of the study's grid."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from numpy.typing import ArrayLike

from proda.data.grid import RESOLUTION
from proda.data.readers.found import found_table
from proda.data.readers.reference_maps import ReferenceMap, hwsd_stocks, soilgrids_2_stocks, soilgrids_2017_stocks
from proda.data.readers.wise30sec import MAP, wise30sec_stocks

# One file of each, by which it is known to be there; its reader names any other that is missing.
READERS = {
    "ocd_0-5cm_mean*.*": soilgrids_2_stocks,
    "OCSTHA_M_sd1_*_ll.tif": soilgrids_2017_stocks,
    MAP: wise30sec_stocks,
    "AWT_T_SOC.nc4": hwsd_stocks,
}


def references_of_grid(
    folder: Path | str, lon: ArrayLike, lat: ArrayLike, resolution: float = RESOLUTION
) -> ReferenceMap:
    """Stocks of the cells centred at `lon`, `lat` (degrees) from all maps below `folder`; no columns without any."""
    maps = [
        reader(folder, lon, lat, resolution=resolution)
        for pattern, reader in READERS.items()
        if any(Path(folder).rglob(pattern))
    ]
    if not maps:
        return ReferenceMap(pd.DataFrame(index=range(len(lon))), found_table([]))
    return ReferenceMap(
        pd.concat([each.stocks for each in maps], axis=1), pd.concat([each.found for each in maps], ignore_index=True)
    )
