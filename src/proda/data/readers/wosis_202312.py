"""Reader of the WoSIS snapshot of December 2023 (doi 10.17027/isric-wdcsoils-20231130): one TSV a property.

Batjes et al. 2024, doi 10.5194/essd-16-4735-2024. The folder, or a zip in it, holds wosis_202312_orgc.tsv and, where
there are measurements, wosis_202312_bdfi33.tsv, _bdfiod.tsv, _cfvo.tsv and _phaq.tsv; wosis_202312_profiles.tsv lists
the profiles without organic carbon too, so that they can be counted.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from proda.data.profiles import ProfileTables
from proda.data.readers import wosis
from proda.data.readers.delimited import NUMBER, TEXT, DataFile, chunks, data_files, header
from proda.errors import InputError

PREFIX = "wosis_202312_"
DENSITIES = ("bdfi33", "bdfiod")  # of the fine earth: moist at 33 kPa, as it lies in the field, before oven-dry
_LAYER = {
    "profile_id": TEXT, "layer_id": NUMBER, "upper_depth": NUMBER, "lower_depth": NUMBER, "value_avg": NUMBER,
    "longitude": NUMBER, "latitude": NUMBER,
}  # fmt: skip
_OPTIONAL = ("date", "country_name", "positional_uncertainty", "dataset_code")
_FLAGS = ("litter", "organic_surface")  # the snapshot's name for it, and the later one


def read_wosis_202312(folder: Path | str) -> ProfileTables:
    """Profiles and layers with organic carbon; see `proda.data.readers.wosis.tidy_tables`.

    Bulk density is that of the fine earth at 33 kPa, else oven-dry; several measurements of a layer are averaged.

    Raises
    ------
    InputError
        When a file or a column is missing, or a column is not what its name says.
    """
    files = data_files(Path(folder))
    file = files.get(f"{PREFIX}orgc.tsv")
    if file is None:
        raise InputError(wosis_missing(Path(folder), f"{PREFIX}orgc.tsv", files))
    names = header(file, "\t")
    extra = [name for name in (*_OPTIONAL, *_FLAGS) if name in names]
    layers = pd.concat(
        [chunk[chunk["value_avg"].notna()] for chunk in chunks(file, _LAYER | dict.fromkeys(extra, TEXT), "\t")],
        ignore_index=True,
    )
    profiles = _profiles(files.get(f"{PREFIX}profiles.tsv"), layers)
    flags = [wosis.is_true(layers[name]) for name in _FLAGS if name in layers]
    measured = [property_means(files.get(f"{PREFIX}{name}.tsv"), "layer_id", "value_avg") for name in DENSITIES]
    density = layers["layer_id"].map(measured[0]).fillna(layers["layer_id"].map(measured[1]))
    coarse, ph = (
        layers["layer_id"].map(property_means(files.get(f"{PREFIX}{name}.tsv"), "layer_id", "value_avg"))
        for name in ("cfvo", "phaq")
    )
    return wosis.tidy_tables(
        file,
        profiles,
        pd.DataFrame(
            {
                "profile_id": layers["profile_id"],
                "layer": layers["layer_id"],
                "upper_cm": layers["upper_depth"],
                "lower_cm": layers["lower_depth"],
                "orgc": layers["value_avg"],
                "bulk_density": density,
                "coarse": coarse,
                "ph": ph,
                "litter": pd.Series(flags[0] if flags else False, layers.index),
            }
        ),
    )


def _profiles(file: DataFile | None, layers: pd.DataFrame) -> pd.DataFrame:
    """One row a profile, from profiles.tsv where it is there and from the layers for what it does not tell."""
    first = layers.drop_duplicates("profile_id").set_index("profile_id")
    if file is None:
        listed = first.reset_index()
    else:
        names = [name for name in _OPTIONAL[1:] if name in header(file, "\t")]
        columns = {"profile_id": TEXT, "longitude": NUMBER, "latitude": NUMBER} | dict.fromkeys(names, TEXT)
        listed = pd.concat(chunks(file, columns, "\t"), ignore_index=True)

    def told(name: str) -> pd.Series:
        there = listed[name] if name in listed else pd.Series(pd.NA, listed.index, dtype="string")
        return there.fillna(listed["profile_id"].map(first[name])) if name in first else there

    return pd.DataFrame(
        {
            "profile_id": listed["profile_id"],
            "lon": listed["longitude"],
            "lat": listed["latitude"],
            "source": wosis.first_code(told("dataset_code"), "WoSIS 2023"),
            "state": told("country_name"),
            "year": wosis.year_of(told("date")),
            "position_uncertainty": wosis.metres_of(told("positional_uncertainty")),
        }
    )


def property_means(file: DataFile | None, key: str, value: str, delimiter: str = "\t") -> pd.Series:
    """Mean of a property by layer; empty where the file is not there, for nothing was measured then."""
    if file is None:
        return pd.Series(dtype=float)
    table = pd.concat(chunks(file, {key: NUMBER, value: NUMBER}, delimiter), ignore_index=True)
    return table.dropna().groupby(key)[value].mean()


def wosis_missing(folder: Path, name: str, files: dict[str, DataFile]) -> str:
    """Error for a folder without the file that a layout begins with: what is there, and which layout that would be."""
    layouts = {"wosis_202312_": "december-2023", "wosis_201909_": "september-2019", "wosis_latest_": "latest"}
    others = [layout for prefix, layout in layouts.items() if any(file.startswith(prefix) for file in files)]
    there = ", ".join(sorted(files)[:8]) or "nothing"
    hint = f' The files are of another layout: set layout = "{others[0]}" in [source].' if others else ""
    return (
        f"{folder}: no {name}, neither as a file nor in a zip; it holds {there}.{hint} Files in folders below are not "
        "looked at: give the folder that holds them as --data DIR."
    )
