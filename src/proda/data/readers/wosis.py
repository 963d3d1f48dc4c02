"""Readers of the three layouts of WoSIS (ISRIC), as files of a folder or of a zip in it.

Organic carbon comes in g kg-1 of fine earth, depths in cm, bulk density in kg dm-3 of fine earth (at 33 kPa where it
was measured, else oven-dry), coarse fragments in % of volume, pH in water. A whole table in another unit is an error;
single odd rows are left to cleaning.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from proda.data.tables import ProfileTables, check_identifiers, checked, no_gaps, read_delimited, row_check
from proda.errors import InputError

_LAYOUTS = {"wosis_202312_": "december-2023", "wosis_201909_": "september-2019", "wosis_latest_": "latest"}
_METRES_PER_DEGREE = 111_195.0
_MEASURED = ("bdfi33", "bdfiod", "cfvo", "phaq")
_Files = Mapping[str, Path | zipfile.Path]


def read_wosis_202312(folder: Path | str) -> ProfileTables:
    """The snapshot of December 2023 (Batjes et al. 2024, doi 10.5194/essd-16-4735-2024): one TSV a property.

    Several measurements of a property of a layer are averaged. A missing file or column, or one in another unit, is an
    `InputError`, as in the other layouts.
    """
    files = _data_files(Path(folder))
    flags = ("litter", "organic_surface")  # the snapshot's name for it, and the later one
    about = ("date", "country_name", "positional_uncertainty", "dataset_code")
    numbers, more = ("layer_id", "upper_depth", "lower_depth", "value_avg", "longitude", "latitude"), (*about, *flags)
    layers = read_delimited(_file(files, folder, "wosis_202312_orgc.tsv"), numbers, ("profile_id", *more), more)
    layers = layers.dropna(subset="value_avg")
    first = layers.drop_duplicates("profile_id").set_index("profile_id")
    profiles = first.reset_index()
    if listing := files.get("wosis_202312_profiles.tsv"):  # the profiles without carbon too, so that they are counted
        profiles = read_delimited(listing, ("longitude", "latitude"), ("profile_id", *about), optional=about)
        for name in (name for name in about if name in first):  # what the list lacks stands beside the layers
            profiles[name] = _text(profiles, name).fillna(profiles["profile_id"].map(first[name]))
    measured = {
        name: _layer_means(files, f"wosis_202312_{name}.tsv", "layer_id", "value_avg", layers["layer_id"])
        for name in _MEASURED
    }
    flag = next((name for name in flags if name in layers), "")
    return _tidy_tables(
        folder,
        "WoSIS 2023",
        profiles.assign(
            year=_year(_text(profiles, "date")), position_uncertainty=_metres(_text(profiles, "positional_uncertainty"))
        ),
        layers.assign(layer=layers["layer_id"], orgc=layers["value_avg"], litter=_text(layers, flag), **measured),
    )


def read_wosis_201909(folder: Path | str) -> ProfileTables:
    """The snapshot of September 2019 (Batjes et al. 2020, doi 10.5194/essd-12-299-2020): three wide TSV files.

    The accuracy of a position, in degrees, becomes metres at 111 km a degree.
    """
    files = _data_files(Path(folder))
    listing, chemical, physical = (
        _file(files, folder, f"wosis_201909_{name}.tsv") for name in ("profiles", "layers_chemical", "layers_physical")
    )
    numbers = ("profile_layer_id", "upper_depth", "lower_depth", "orgc_value_avg", "phaq_value_avg")
    layers = read_delimited(chemical, numbers, ("profile_id", "litter", "orgc_date"), optional=("orgc_date",))
    layers = layers.dropna(subset="orgc_value_avg")
    names = {f"{code}_value_avg": code for code in ("bdfi33", "bdfiod", "cfvo")}
    measured = read_delimited(physical, ("profile_layer_id", *names)).rename(columns=names)
    measured = measured.groupby("profile_layer_id").mean().reindex(layers["profile_layer_id"])
    about = ("country_name", "dataset_id")
    profiles = read_delimited(listing, ("longitude", "latitude", "geom_accuracy"), ("profile_id", *about), about)
    years = _year(_text(layers, "orgc_date")).groupby(layers["profile_id"]).first()
    return _tidy_tables(
        folder,
        "WoSIS 2019",
        profiles.rename(columns={"dataset_id": "dataset_code"}).assign(
            year=profiles["profile_id"].map(years).astype(float),
            position_uncertainty=profiles["geom_accuracy"] * _METRES_PER_DEGREE,
        ),
        layers.assign(
            layer=layers["profile_layer_id"],
            orgc=layers["orgc_value_avg"],
            phaq=layers["phaq_value_avg"],
            **{code: measured[code].to_numpy() for code in measured},
        ),
    )


def read_wosis_latest(folder: Path | str) -> ProfileTables:
    """WoSIS "latest", the dynamic set that ISRIC serves as CSV: wosis_latest_orgc.csv and, where they are there,
    files of the same layout for bulk density, coarse fragments and pH. Note the day of the download: the set changes.
    """
    files = _data_files(Path(folder))
    about = ("country_name", "orgc_date", "orgc_dataset_id")
    numbers = ("X", "Y", "profile_layer_id", "upper_depth", "lower_depth", "orgc_value_avg")
    file = _file(files, folder, "wosis_latest_orgc.csv")
    layers = read_delimited(file, numbers, ("profile_id", "litter", *about), about).dropna(subset="orgc_value_avg")
    layer = layers["profile_layer_id"]
    measured = {
        code: _layer_means(files, f"wosis_latest_{code}.csv", "profile_layer_id", f"{code}_value_avg", layer)
        for code in _MEASURED
    }
    # A profile at two positions stays twice, and is an error of `_tidy_tables`.
    names = {"X": "longitude", "Y": "latitude", "orgc_dataset_id": "dataset_code"}
    profiles = layers.drop_duplicates(["profile_id", "X", "Y"]).rename(columns=names)
    return _tidy_tables(
        folder,
        "WoSIS latest",
        profiles.assign(year=_year(_text(profiles, "orgc_date")), position_uncertainty=np.nan),
        layers.assign(layer=layer, orgc=layers["orgc_value_avg"], **measured),
    )


def _data_files(folder: Path) -> dict[str, Path | zipfile.Path]:
    """The files of a folder and of the zips in it by name; a plain file comes before one of the same name in a zip."""
    members: dict[str, Path | zipfile.Path] = {}
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    for path in (path for path in paths if path.suffix.lower() == ".zip"):
        try:
            archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile:
            raise InputError(f"{path}: no whole zip file. Cut short in download? Download it again.") from None
        members |= {name.rsplit("/", 1)[-1]: zipfile.Path(archive, name) for name in archive.namelist()}
    return members | {path.name: path for path in paths}


def _file(files: _Files, folder: Path | str, name: str) -> Path | zipfile.Path:
    """A file that the layout needs; without it, which layout the files that are there belong to."""
    if name in files:
        return files[name]
    others = [layout for prefix, layout in _LAYOUTS.items() if any(file.startswith(prefix) for file in files)]
    hint = f' The files are of another layout: set layout = "{others[0]}" in [source].' if others else ""
    raise InputError(
        f"{folder}: no {name}, neither as a file nor in a zip; it holds {', '.join(sorted(files)[:8]) or 'nothing'}."
        f"{hint} Folders below it are not searched: give the folder that holds the files as --data DIR."
    )


def _layer_means(files: _Files, name: str, key: str, value: str, layers: pd.Series) -> pd.Series:
    """Mean of a property by layer; missing where the file is not there, for nothing was measured then."""
    if name not in files:
        return pd.Series(np.nan, layers.index)
    return layers.map(read_delimited(files[name], (key, value)).groupby(key)[value].mean())


def _text(table: pd.DataFrame, name: str) -> pd.Series:
    return table.get(name, pd.Series(pd.NA, table.index)).astype("string")


def _tidy_tables(folder: Path | str, source: str, profiles: pd.DataFrame, layers: pd.DataFrame) -> ProfileTables:
    """Profiles and layers in the tidy schema, from columns with WoSIS' names and units; `source` is the fallback."""
    whole = row_check(lambda x: x % 1 == 0, "a whole number")
    checked(layers, {"profile_id": [no_gaps], "layer": [no_gaps, whole]}, f"{folder}: organic carbon", "line")
    checked(profiles, {"profile_id": [no_gaps]}, f"{folder}: profiles")
    twice = profiles["profile_id"][profiles["profile_id"].duplicated()]
    if len(twice):
        raise InputError(
            f"{folder}: profile_id {twice.iloc[0]!r} stands for several profiles, or for one at two positions; layers "
            "cannot be assigned to one. Give every profile its own identifier."
        )
    density = layers["bdfi33"].fillna(layers["bdfiod"])
    _check_units(folder, profiles, layers, density)
    flagged = _text(layers, "litter").str.strip().str.lower().isin(["t", "true", "1", "y", "yes"])
    tidy = pd.DataFrame(
        {
            "profile_id": layers["profile_id"].astype(object),
            "layer": layers["layer"].astype("int64"),
            "upper_depth": layers["upper_depth"] / 100.0,
            "lower_depth": layers["lower_depth"] / 100.0,
            "soc": np.nan,
            "organic_carbon": layers["orgc"],
            "bulk_density": density,
            "bulk_density_method": np.where(density.notna(), "measured", None),
            "coarse_fraction": layers["cfvo"] / 100.0,
            "ph": layers["phaq"],
            "litter": flagged.to_numpy(bool) | (layers["upper_depth"] < 0).to_numpy(),
        }
    )
    names = {"longitude": "lon", "latitude": "lat"}
    # The source is the first of the codes of data sets in braces, "{US-NCSS,WD-ISCN}".
    first = _text(profiles, "dataset_code").str.extract(r"^\{?\s*\"?([^,{}\"]+)")[0].str.strip()
    profiles = profiles.rename(columns=names).astype({"profile_id": object})
    profiles = profiles.assign(
        source=("WoSIS " + first).fillna(source).astype(object), state=_text(profiles, "country_name"), land_use=None
    )
    order = ["profile_id", "lon", "lat", "source", "land_use", "state", "year", "position_uncertainty"]
    tables = ProfileTables(profiles[order].reset_index(drop=True), tidy.reset_index(drop=True))
    check_identifiers(tables, str(folder))
    return tables


def _check_units(folder: Path | str, profiles: pd.DataFrame, layers: pd.DataFrame, density: pd.Series) -> None:
    """Refuse a whole column in another unit; of the world's layers the median holds some 6 g of carbon per kg."""
    carbon, stony = layers["orgc"], layers["cfvo"][layers["cfvo"] > 0]
    exchanged = "Are longitude and latitude exchanged?"
    for name, value, low, high, unit, remedy in (
        ("median of lower_depth", layers["lower_depth"].median(), 5, 400, "cm", "In metres or mm? Upwards?"),
        # Carbon in percent has a low median and no value above 60.
        ("median of orgc", carbon.median() if carbon.max() <= 60 else 2, 2, np.inf, "g kg-1", "In %? Multiply by 10."),
        ("99th percentile of orgc", carbon.quantile(0.99), 0, 1000, "g kg-1", "In mg per kg? Divide by 1000."),
        ("median bulk density", density.median(), 0.02, 2.65, "kg dm-3", "In kg per m3? Divide by 1000."),
        ("maximum of cfvo", stony.max(), 1.01, 100, "% of volume", "A fraction? Multiply by 100."),
        ("median of phaq", layers["phaq"].median(), 2, 12, "", "pH x 10? Divide by 10."),
        ("99th percentile of longitude", profiles["longitude"].quantile(0.99), -180, 180, "degrees", "Subtract 360."),
        ("99th percentile of |latitude|", profiles["latitude"].abs().quantile(0.99), 0, 90, "degrees", exchanged),
    ):
        if value < low or value > high:
            expected = f"{low:g} to {high:g} {unit}".replace(" to inf", " or above").strip()
            raise InputError(f"{folder}: the {name} is {value:.4g}, expected {expected}. {remedy}")


def _year(date: pd.Series) -> pd.Series:
    """Year of dates such as "1987-05-??" or "{1987-05-01}"; NaN where there is none."""
    return date.str.extract(r"(\d{4})")[0].astype(float)


def _metres(uncertainty: pd.Series) -> pd.Series:
    """Positional uncertainty in metres from text such as "100", "1 km - 10 km" or "> 10 km" (infinity)."""

    def metres(text: str) -> float:
        if re.search(r">|more than|over|above", text.lower()):
            return np.inf
        sizes = re.findall(r"(\d+(?:\.\d+)?)\s*(km)?", text.lower())
        return max((float(number) * (1000.0 if unit else 1.0) for number, unit in sizes), default=np.nan)

    return uncertainty.map({text: metres(text) for text in uncertainty.dropna().unique()}).astype(float)
