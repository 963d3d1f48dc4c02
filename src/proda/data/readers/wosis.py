"""Readers of the three layouts of WoSIS (ISRIC), as files of a folder or of a zip in it.

Organic carbon comes in g kg-1 of fine earth, depths in cm, bulk density in kg dm-3 of fine earth (at 33 kPa where it
was measured, else oven-dry), coarse fragments in % of volume, pH in water. A whole table in another unit is an error;
single odd rows are left to cleaning.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.data.readers.delimited import DataFile, data_files, read_delimited
from proda.data.tables import ProfileTables
from proda.errors import InputError

_LAYOUTS = {"wosis_202312_": "december-2023", "wosis_201909_": "september-2019", "wosis_latest_": "latest"}
_METRES_PER_DEGREE = 111_195.0
_ENOUGH = 5  # rows for which a median means something


def read_wosis_202312(folder: Path | str) -> ProfileTables:
    """The snapshot of December 2023 (Batjes et al. 2024, doi 10.5194/essd-16-4735-2024): one TSV a property.

    wosis_202312_profiles.tsv, where it is there, lists the profiles without organic carbon too, so that they can be
    counted. Several measurements of a property of a layer are averaged.

    Raises
    ------
    InputError
        When a file or a column is missing, or a column is in another unit.
    """
    files = data_files(Path(folder))
    file = _file(files, folder, "wosis_202312_orgc.tsv")
    flags = ("litter", "organic_surface")  # the snapshot's name for it, and the later one
    about = ("date", "country_name", "positional_uncertainty", "dataset_code")
    layers = read_delimited(
        file,
        numbers=("layer_id", "upper_depth", "lower_depth", "value_avg", "longitude", "latitude"),
        texts=("profile_id", *about, *flags),
        optional=(*about, *flags),
        any_of=("value_avg",),
    )
    first = layers.drop_duplicates("profile_id").set_index("profile_id")
    profiles = first.reset_index()
    if listing := files.get("wosis_202312_profiles.tsv"):
        profiles = read_delimited(listing, ("longitude", "latitude"), ("profile_id", *about), optional=about)

    def of_profiles(name: str) -> pd.Series:
        """From the list of profiles, and from their layers where it has none."""
        listed = profiles.get(name, _missing(profiles))
        return listed.fillna(profiles["profile_id"].map(first[name])) if name in first else listed

    measured = {
        name: layers["layer_id"].map(_means(files.get(f"wosis_202312_{name}.tsv"), "layer_id", "value_avg"))
        for name in ("bdfi33", "bdfiod", "cfvo", "phaq")
    }
    flag = next((layers[name] for name in flags if name in layers), _missing(layers))
    return _tidy_tables(
        file,
        profiles.assign(
            source=_first_code(of_profiles("dataset_code"), "WoSIS 2023"),
            state=of_profiles("country_name"),
            year=_year(of_profiles("date")),
            position_uncertainty=metres_of(of_profiles("positional_uncertainty")),
        ),
        layers.assign(layer=layers["layer_id"], orgc=layers["value_avg"], litter=flag, **measured),
    )


def read_wosis_201909(folder: Path | str) -> ProfileTables:
    """The snapshot of September 2019 (Batjes et al. 2020, doi 10.5194/essd-12-299-2020): three wide TSV files.

    The files of layers have 0.9 GB each: only the columns that are needed are read, and only rows with a value kept.
    The accuracy of a position, in degrees, becomes metres at 111 km a degree.

    Raises
    ------
    InputError
        When a file or a column is missing, or a column is in another unit.
    """
    files = data_files(Path(folder))
    listing, chemical, physical = (
        _file(files, folder, f"wosis_201909_{name}.tsv") for name in ("profiles", "layers_chemical", "layers_physical")
    )
    layers = read_delimited(
        chemical,
        numbers=("profile_layer_id", "upper_depth", "lower_depth", "orgc_value_avg", "phaq_value_avg"),
        texts=("profile_id", "litter", "orgc_date"),
        optional=("phaq_value_avg", "orgc_date"),
        any_of=("orgc_value_avg",),
    )
    names = {f"{code}_value_avg": code for code in ("bdfi33", "bdfiod", "cfvo")}
    measured = read_delimited(physical, ("profile_layer_id", *names), any_of=tuple(names))
    measured = measured.rename(columns=names).groupby("profile_layer_id").mean()
    profiles = read_delimited(
        listing,
        numbers=("longitude", "latitude", "geom_accuracy"),
        texts=("profile_id", "country_name", "dataset_id"),
        optional=("country_name", "dataset_id", "geom_accuracy"),
    )
    years = _year(layers.get("orgc_date", _missing(layers))).groupby(layers["profile_id"]).first()
    return _tidy_tables(
        chemical,
        profiles.assign(
            source=_first_code(profiles.get("dataset_id", _missing(profiles)), "WoSIS 2019"),
            state=profiles.get("country_name", _missing(profiles)),
            year=profiles["profile_id"].map(years).astype(float),
            position_uncertainty=profiles.get("geom_accuracy", np.nan) * _METRES_PER_DEGREE,
        ),
        layers.assign(
            layer=layers["profile_layer_id"],
            orgc=layers["orgc_value_avg"],
            phaq=layers.get("phaq_value_avg", np.nan),
            **{code: layers["profile_layer_id"].map(measured[code]) for code in names.values()},
        ),
    )


def read_wosis_latest(folder: Path | str) -> ProfileTables:
    """WoSIS "latest", the dynamic set that ISRIC serves as CSV: wosis_latest_orgc.csv and, where they are there,
    files of the same layout for bulk density, coarse fragments and pH. Note the day of the download: the set changes.

    Raises
    ------
    InputError
        When the file or a column is missing, a profile has two positions, or a column is in another unit.
    """
    files = data_files(Path(folder))
    file = _file(files, folder, "wosis_latest_orgc.csv")
    about = ("country_name", "orgc_date", "orgc_dataset_id")
    layers = read_delimited(
        file,
        numbers=("X", "Y", "profile_layer_id", "upper_depth", "lower_depth", "orgc_value_avg"),
        texts=("profile_id", "litter", *about),
        optional=about,
        any_of=("orgc_value_avg",),
    )
    measured = {
        code: layers["profile_layer_id"].map(
            _means(files.get(f"wosis_latest_{code}.csv"), "profile_layer_id", f"{code}_value_avg")
        )
        for code in ("bdfi33", "bdfiod", "cfvo", "phaq")
    }
    # A profile at two positions stays twice, and is an error of `_tidy_tables`.
    profiles = layers.drop_duplicates(["profile_id", "X", "Y"]).rename(columns={"X": "longitude", "Y": "latitude"})
    return _tidy_tables(
        file,
        profiles.assign(
            source=_first_code(profiles.get("orgc_dataset_id", _missing(profiles)), "WoSIS latest"),
            state=profiles.get("country_name", _missing(profiles)),
            year=_year(profiles.get("orgc_date", _missing(profiles))),
            position_uncertainty=np.nan,
        ),
        layers.assign(layer=layers["profile_layer_id"], orgc=layers["orgc_value_avg"], **measured),
    )


def _file(files: dict[str, DataFile], folder: Path | str, name: str) -> DataFile:
    """A file that the layout needs; without it, which layout the files that are there belong to."""
    if name in files:
        return files[name]
    others = [layout for prefix, layout in _LAYOUTS.items() if any(file.startswith(prefix) for file in files)]
    hint = f' The files are of another layout: set layout = "{others[0]}" in [source].' if others else ""
    raise InputError(
        f"{folder}: no {name}, neither as a file nor in a zip; it holds {', '.join(sorted(files)[:8]) or 'nothing'}."
        f"{hint} Folders below it are not searched: give the folder that holds the files as --data DIR."
    )


def _means(file: DataFile | None, key: str, value: str) -> pd.Series:
    """Mean of a property by layer; empty where the file is not there, for nothing was measured then."""
    if file is None:
        return pd.Series(dtype=float)
    return read_delimited(file, (key, value), any_of=(value,)).dropna().groupby(key)[value].mean()


def _missing(table: pd.DataFrame) -> pd.Series:
    return pd.Series(pd.NA, table.index, dtype="string")


def _tidy_tables(file: DataFile, profiles: pd.DataFrame, layers: pd.DataFrame) -> ProfileTables:
    """Profiles and layers in the tidy schema.

    Parameters
    ----------
    file : DataFile
        Of the layers, for errors.
    profiles : DataFrame
        profile_id, longitude, latitude, source, state, year, position_uncertainty (m).
    layers : DataFrame
        profile_id, layer, upper_depth, lower_depth (cm), orgc (g kg-1), litter (text), bdfi33, bdfiod (kg dm-3),
        cfvo (% of volume) and phaq, NaN where not measured.
    """
    for name in ("profile_id", "layer"):
        if layers[name].isna().any():
            raise InputError(
                f"{file}: {int(layers[name].isna().sum())} layers with a value have no {name}, the first in row "
                f"{int(np.argmax(layers[name].isna())) + 1} of them; expected one in every row."
            )
    density = layers["bdfi33"].fillna(layers["bdfiod"])
    _check_units(file, layers, density)
    _check_positions(file, profiles)
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
            "litter": _is_true(layers["litter"]) | (layers["upper_depth"] < 0).to_numpy(),
        }
    )
    names = {"longitude": "lon", "latitude": "lat"}
    profiles = profiles.rename(columns=names).assign(land_use=None).astype({"profile_id": object})
    order = ["profile_id", "lon", "lat", "source", "land_use", "state", "year", "position_uncertainty"]
    return ProfileTables(profiles[order].reset_index(drop=True), tidy)


def _check_units(file: DataFile, layers: pd.DataFrame, density: pd.Series) -> None:
    """Refuse a whole column in another unit; of the world's layers the median holds some 6 g of carbon per kg."""
    upper, lower, carbon, coarse = (layers[name] for name in ("upper_depth", "lower_depth", "orgc", "cfvo"))
    depth, middle, heavy, ph = lower.median(), carbon.median(), density.median(), layers["phaq"].median()
    stony = coarse[coarse > 0]
    for values, wrong, text in (
        (lower, (lower < 0).mean() > 0.5, "lower_depth is negative in most layers. Change the signs of both bounds."),
        (lower, (lower < upper).mean() > 0.5, "lower_depth is above upper_depth in most layers. Columns exchanged?"),
        (lower, depth < 5, f"the median of lower_depth is {depth:.3g}, expected cm. In metres? Multiply by 100."),
        (lower, depth > 400, f"the median of lower_depth is {depth:.3g}, expected cm. In millimetres? Divide by 10."),
        (
            carbon,
            middle < 2 and carbon.max() <= 60,
            f"organic carbon has the median {middle:.3g} and the maximum {carbon.max():.3g}, expected g per kg (median "
            "above 2, or peat above 60). In percent? Multiply by 10.",
        ),
        (
            carbon,
            carbon.quantile(0.99) > 1000,
            f"one layer in a hundred has more than {carbon.quantile(0.99):.4g} g of organic carbon per kg, expected "
            "1000 at most. In mg per kg? Divide by 1000.",
        ),
        (
            density,
            not 0.2 <= heavy <= 2.65,
            f"the median of measured bulk densities is {heavy:.4g}, expected 0.2 to 2.65 kg per dm3. In kg per m3? "
            "Divide by 1000.",
        ),
        (
            stony,
            stony.max() <= 1,
            f"coarse fragments reach {stony.max():.3g}, expected percent of the volume. A fraction? Multiply by 100.",
        ),
        (stony, stony.max() > 100, f"coarse fragments reach {stony.max():.4g}, expected 100 % of the volume at most."),
        (
            layers["phaq"],
            not 2 <= ph <= 12,
            f"the median of pH is {ph:.4g}, expected 2 to 12. pH x 10? Divide by 10.",
        ),
    ):
        if values.count() >= _ENOUGH and wrong:
            raise InputError(f"{file}: {text}")


def _check_positions(file: DataFile, profiles: pd.DataFrame) -> None:
    """Degrees, longitude from -180 to 180, no identifier twice."""
    twice = profiles["profile_id"].duplicated()
    if twice.any():
        name = profiles["profile_id"][twice].iloc[0]
        raise InputError(
            f"{file}: profile_id {name!r} stands for {int((profiles['profile_id'] == name).sum())} profiles; layers "
            "cannot be assigned to one. Give every profile its own identifier."
        )
    lon, lat = profiles["longitude"], profiles["latitude"]
    if (lat.abs() > 90).mean() > 0.01 and (lon.abs() <= 90).mean() > 0.99:
        raise InputError(
            f"{file}: latitudes reach {lat.abs().max():g} degrees and longitudes do not: longitude and latitude are "
            "exchanged."
        )
    if (lon > 180).mean() > 0.01:
        raise InputError(
            f"{file}: longitudes reach {lon.max():g}, expected -180 to 180. Subtract 360 from those above 180."
        )


def _is_true(flag: pd.Series) -> NDArray[np.bool_]:
    """Flags as WoSIS writes them, (n,); missing is no."""
    return flag.astype("string").str.strip().str.lower().isin(["t", "true", "1", "y", "yes"]).to_numpy(bool)


def _year(date: pd.Series) -> pd.Series:
    """Year of dates such as "1987-05-??" or "{1987-05-01}"; NaN where there is none."""
    return pd.to_numeric(date.astype("string").str.extract(r"(\d{4})")[0], errors="coerce").astype(float)


def _first_code(codes: pd.Series, fallback: str) -> pd.Series:
    """The first of the codes of data sets in braces, "{US-NCSS,WD-ISCN}", as the name of a source."""
    first = codes.astype("string").str.extract(r"^\{?\s*\"?([^,{}\"]+)")[0].str.strip()
    return ("WoSIS " + first).fillna(fallback).astype(object)


def metres_of(uncertainty: pd.Series) -> pd.Series:
    """Positional uncertainty in metres from text such as "100 m", "1 km - 10 km" or "> 10 km": the greatest named.

    A plain number is metres. "More than" has no upper end and gives infinity; text without a number gives NaN.
    """

    def metres(words: str) -> float:
        sizes = [
            float(number) * (1000.0 if unit == "km" else 1.0)
            for number, unit in re.findall(r"(\d+(?:\.\d+)?)\s*(km|m)?\b", words.lower())
        ]
        if not sizes:
            return np.nan
        return np.inf if re.search(r">|more than|over|above", words.lower()) else max(sizes)

    text = uncertainty.astype("string")
    return text.map({words: metres(words) for words in text.dropna().unique()}).astype(float)
