"""Reader of the WoSIS snapshot of September 2019 (doi 10.17027/isric-wdcsoils.20190901): three wide TSV files.

Batjes et al. 2020, doi 10.5194/essd-12-299-2020, appendix B. The two files of layers have 0.9 GB and hundreds of
columns: only those that are needed are read, a chunk at a time, and only rows with a value are kept.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from proda.data.profiles import ProfileTables
from proda.data.readers import wosis
from proda.data.readers.delimited import NUMBER, TEXT, DataFile, chunks, data_files, header
from proda.data.readers.wosis_202312 import DENSITIES, wosis_missing
from proda.errors import InputError

PREFIX = "wosis_201909_"
_LAYER = {
    "profile_id": TEXT, "profile_layer_id": NUMBER, "upper_depth": NUMBER, "lower_depth": NUMBER, "litter": TEXT,
    "orgc_value_avg": NUMBER,
}  # fmt: skip
_LAYER_OPTIONAL = {"orgc_date": TEXT, "phaq_value_avg": NUMBER}
_PROFILE = {"profile_id": TEXT, "latitude": NUMBER, "longitude": NUMBER}
_PROFILE_OPTIONAL = {"country_name": TEXT, "dataset_id": TEXT, "geom_accuracy": NUMBER}


def read_wosis_201909(folder: Path | str) -> ProfileTables:
    """All profiles, and layers with organic carbon; see `proda.data.readers.wosis.tidy_tables`.

    Bulk density is that of the fine earth at 33 kPa, else oven-dry. The accuracy of a position, in degrees, becomes
    metres at 111 km a degree.

    Raises
    ------
    InputError
        When a file or a column is missing, or a column is not what its name says.
    """
    files = data_files(Path(folder))
    for name in ("profiles", "layers_chemical", "layers_physical"):
        if f"{PREFIX}{name}.tsv" not in files:
            raise InputError(wosis_missing(Path(folder), f"{PREFIX}{name}.tsv", files))
    chemical = files[f"{PREFIX}layers_chemical.tsv"]
    names = header(chemical, "\t")
    columns = _LAYER | {name: kind for name, kind in _LAYER_OPTIONAL.items() if name in names}
    layers = _rows_with_a_value(chemical, columns, ["orgc_value_avg"])
    physical = _physical(files[f"{PREFIX}layers_physical.tsv"])
    at = {name: layers["profile_layer_id"].map(physical[name]) for name in physical}
    return wosis.tidy_tables(
        chemical,
        _profiles(files[f"{PREFIX}profiles.tsv"], layers),
        pd.DataFrame(
            {
                "profile_id": layers["profile_id"],
                "layer": layers["profile_layer_id"],
                "upper_cm": layers["upper_depth"],
                "lower_cm": layers["lower_depth"],
                "orgc": layers["orgc_value_avg"],
                "bulk_density": at["bdfi33"].fillna(at["bdfiod"]),
                "coarse": at["cfvo"],
                "ph": layers.get("phaq_value_avg", pd.Series(np.nan, layers.index)),
                "litter": layers["litter"],
            }
        ),
    )


def _rows_with_a_value(file: DataFile, columns: dict, values: list[str]) -> pd.DataFrame:
    kept = [chunk[chunk[values].notna().any(axis=1)] for chunk in chunks(file, columns, "\t")]
    return pd.concat(kept, ignore_index=True)


def _physical(file: DataFile) -> pd.DataFrame:
    """bdfi33, bdfiod (kg dm-3) and cfvo (% of volume) by layer."""
    wanted = {f"{code}_value_avg": code for code in (*DENSITIES, "cfvo")}
    table = _rows_with_a_value(file, {"profile_layer_id": NUMBER} | dict.fromkeys(wanted, NUMBER), list(wanted))
    return table.rename(columns=wanted).groupby("profile_layer_id").mean()


def _profiles(file: DataFile, layers: pd.DataFrame) -> pd.DataFrame:
    names = header(file, "\t")
    optional = {name: kind for name, kind in _PROFILE_OPTIONAL.items() if name in names}
    listed = pd.concat(chunks(file, _PROFILE | optional, "\t"), ignore_index=True)
    for name in _PROFILE_OPTIONAL:
        if name not in listed:
            listed[name] = pd.NA
    years = pd.Series(dtype=float)
    if "orgc_date" in layers:
        years = wosis.year_of(layers["orgc_date"]).groupby(layers["profile_id"]).first()
    return pd.DataFrame(
        {
            "profile_id": listed["profile_id"],
            "lon": listed["longitude"],
            "lat": listed["latitude"],
            "source": wosis.first_code(listed["dataset_id"], "WoSIS 2019"),
            "state": listed["country_name"],
            "year": listed["profile_id"].map(years).astype(float),
            "position_uncertainty": listed["geom_accuracy"].astype(float) * wosis.METRES_PER_DEGREE,
        }
    )
