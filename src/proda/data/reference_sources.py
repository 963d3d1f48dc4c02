"""Published maps of soil organic carbon to compare a study's results with, as columns of its grid."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from numpy.typing import ArrayLike

from proda.data.grid import RESOLUTION
from proda.data.readers.found import found_table
from proda.data.readers.hwsd2 import MAP as HWSD2_MAP
from proda.data.readers.hwsd2 import hwsd2_stocks
from proda.data.readers.reference_maps import ReferenceMap, hwsd_stocks, soilgrids_2_stocks, soilgrids_2017_stocks
from proda.data.readers.wise30sec import MAP, wise30sec_stocks
from proda.data.source_tables import source_table
from proda.errors import InputError
from proda.study import Study

# One file of each, by which it is known to be there; its reader names any other that is missing.
READERS = {
    "ocd_0-5cm_mean*.*": soilgrids_2_stocks,
    "OCSTHA_M_sd1_*_ll.tif": soilgrids_2017_stocks,
    MAP: wise30sec_stocks,
    "AWT_T_SOC.nc4": hwsd_stocks,
    HWSD2_MAP: hwsd2_stocks,
}


def study_references(study: Study, cells: pd.DataFrame) -> ReferenceMap:
    """Stocks of `cells` from the maps in the folder of [source.references]; none for a study without that table.

    The columns `ref_*` of grid_half_degree.csv are in the cells already.

    Raises
    ------
    InputError
        When the folder holds none of the maps, or one that is not what it should be.
    """
    if "references" not in study.source:
        return ReferenceMap(pd.DataFrame(index=cells.index), found_table([]))
    table = source_table(study, "references", {"maps": {}})
    maps = references_of_grid(table.folder, cells["lon"], cells["lat"])
    if maps.stocks.empty:
        raise InputError(
            f"{table.folder}: no map to compare with, as [source.references] of {study.file} says; expected files "
            f"named like {', '.join(READERS)}."
        )
    return maps


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
