"""Reader of WoSIS "latest", the dynamic set served as CSV: wosis_latest_orgc.csv and, where there are, files of the
same layout for bulk density (bdfi33, bdfiod), coarse fragments (cfvo) and pH in water (phaq). Note the day of the
download: the set changes.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from proda.data.profiles import ProfileTables
from proda.data.readers import wosis
from proda.data.readers.delimited import NUMBER, TEXT, chunks, data_files, header
from proda.data.readers.wosis_202312 import DENSITIES, property_means, wosis_missing
from proda.errors import InputError

PREFIX = "wosis_latest_"
_LAYER = {
    "X": NUMBER, "Y": NUMBER, "profile_id": TEXT, "profile_layer_id": NUMBER, "upper_depth": NUMBER,
    "lower_depth": NUMBER, "litter": TEXT, "orgc_value_avg": NUMBER,
}  # fmt: skip
_OPTIONAL = ("country_name", "orgc_date", "orgc_dataset_id")


def read_wosis_latest(folder: Path | str) -> ProfileTables:
    """Profiles and layers with organic carbon; see `proda.data.readers.wosis.tidy_tables`.

    Raises
    ------
    InputError
        When the file or a column is missing, a profile has two positions, or a column is not what its name says.
    """
    files = data_files(Path(folder))
    file = files.get(f"{PREFIX}orgc.csv")
    if file is None:
        raise InputError(wosis_missing(Path(folder), f"{PREFIX}orgc.csv", files))
    extra = [name for name in _OPTIONAL if name in header(file, ",")]
    layers = pd.concat(
        [part[part["orgc_value_avg"].notna()] for part in chunks(file, _LAYER | dict.fromkeys(extra, TEXT), ",")],
        ignore_index=True,
    )
    for name in _OPTIONAL:
        if name not in layers:
            layers[name] = pd.NA
    of_layer = layers["profile_layer_id"]
    values = {
        code: of_layer.map(
            property_means(files.get(f"{PREFIX}{code}.csv"), "profile_layer_id", f"{code}_value_avg", ",")
        )
        for code in (*DENSITIES, "cfvo", "phaq")
    }
    # A profile at two positions stays twice, and is an error of `tidy_tables`.
    first = layers.drop_duplicates(["profile_id", "X", "Y"])
    profiles = pd.DataFrame(
        {
            "profile_id": first["profile_id"],
            "lon": first["X"],
            "lat": first["Y"],
            "source": wosis.first_code(first["orgc_dataset_id"], "WoSIS latest"),
            "state": first["country_name"],
            "year": wosis.year_of(first["orgc_date"]),
        }
    )
    return wosis.tidy_tables(
        file,
        profiles,
        pd.DataFrame(
            {
                "profile_id": layers["profile_id"],
                "layer": of_layer,
                "upper_cm": layers["upper_depth"],
                "lower_cm": layers["lower_depth"],
                "orgc": layers["orgc_value_avg"],
                "bulk_density": values["bdfi33"].fillna(values["bdfiod"]),
                "coarse": values["cfvo"],
                "ph": values["phaq"],
                "litter": layers["litter"],
            }
        ),
    )
