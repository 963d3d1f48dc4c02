"""What the three layouts of WoSIS (ISRIC) share: the checks of a table of layers and the way into the tidy schema.

Organic carbon comes in g kg-1 of fine earth, depths in cm, bulk density in kg dm-3, coarse fragments in % of volume, pH
is that in water (phaq). A whole table in another unit is an error; single odd rows are the business of cleaning.

Reader of the WoSIS snapshot of December 2023 (doi 10.17027/isric-wdcsoils-20231130): one TSV a property.

Batjes et al. 2024, doi 10.5194/essd-16-4735-2024. The folder, or a zip in it, holds wosis_202312_orgc.tsv and, where
there are measurements, wosis_202312_bdfi33.tsv, _bdfiod.tsv, _cfvo.tsv and _phaq.tsv; wosis_202312_profiles.tsv lists
the profiles without organic carbon too, so that they can be counted.

Reader of the WoSIS snapshot of September 2019 (doi 10.17027/isric-wdcsoils.20190901): three wide TSV files.

Batjes et al. 2020, doi 10.5194/essd-12-299-2020, appendix B. The two files of layers have 0.9 GB and hundreds of
columns: only those that are needed are read, a chunk at a time, and only rows with a value are kept.

Reader of WoSIS "latest", the dynamic set served as CSV: wosis_latest_orgc.csv and, where there are, files of the
same layout for bulk density (bdfi33, bdfiod), coarse fragments (cfvo) and pH in water (phaq). Note the day of the
download: the set changes.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.data.readers.delimited import NUMBER, TEXT, DataFile, chunks, data_files, header
from proda.data.tables import ProfileTables
from proda.errors import InputError

METRES_PER_DEGREE = 111_195.0
# Whole-table checks need enough rows for a median to mean something.
ENOUGH = 5
_UNITS = {"m": 1.0, "km": 1000.0}


def tidy_tables(file: DataFile, profiles: pd.DataFrame, layers: pd.DataFrame) -> ProfileTables:
    """Profiles and layers of one of the layouts in the tidy schema.

    Parameters
    ----------
    file : DataFile
        Of the layers, for errors.
    profiles : DataFrame
        profile_id, lon, lat, source; optional state, year, position_uncertainty (m).
    layers : DataFrame
        profile_id, layer, upper_cm, lower_cm, orgc (g kg-1), litter (text or missing), bulk_density (kg dm-3),
        coarse (% of volume) and ph, NaN where not measured.

    Raises
    ------
    InputError
        When depths, carbon, density, coarse fragments, pH or positions are in another unit, upside down or exchanged.
    """
    for name in ("profile_id", "layer"):
        if layers[name].isna().any():
            raise InputError(
                f"{file}: {int(layers[name].isna().sum())} layers with a value have no {name}, the first in row "
                f"{int(np.argmax(layers[name].isna())) + 1} of them; expected one in every row."
            )
    check_depths(file, layers["upper_cm"], layers["lower_cm"])
    check_carbon(file, layers["orgc"])
    check_density(file, layers["bulk_density"], layers["coarse"])
    check_ph(file, layers["ph"])
    check_positions(file, profiles)
    carbon = layers["orgc"].to_numpy(float)
    tidy = pd.DataFrame(
        {
            "profile_id": layers["profile_id"].astype(object),
            "layer": layers["layer"].astype("int64"),
            "upper_depth": layers["upper_cm"] / 100.0,
            "lower_depth": layers["lower_cm"] / 100.0,
            "soc": np.nan,
            "organic_carbon": carbon,
            "bulk_density": layers["bulk_density"].to_numpy(float),
            "bulk_density_method": np.where(layers["bulk_density"].notna(), "measured", None),
            "coarse_fraction": layers["coarse"].to_numpy(float) / 100.0,
            "ph": layers["ph"].to_numpy(float),
            "litter": is_true(layers["litter"]) | (layers["upper_cm"] < 0).to_numpy(),
        }
    )
    columns = {"land_use": None, "state": None, "year": np.nan, "position_uncertainty": np.nan}
    profiles = profiles.assign(**{name: value for name, value in columns.items() if name not in profiles})
    order = ["profile_id", "lon", "lat", "source", *columns]
    return ProfileTables(profiles[order].astype({"profile_id": object}).reset_index(drop=True), tidy)


def check_depths(file: DataFile, upper: pd.Series, lower: pd.Series) -> None:
    """Centimetres, positive down, top before bottom, in most layers."""
    if len(lower) < ENOUGH:
        return
    middle = lower.median()
    if (lower < 0).mean() > 0.5:
        raise InputError(
            f"{file}: lower_depth is negative in {100 * (lower < 0).mean():.0f} % of the layers, expected centimetres "
            "below the surface, positive down. Change the signs of upper_depth and lower_depth."
        )
    if (lower < upper).mean() > 0.5:
        raise InputError(
            f"{file}: lower_depth is above upper_depth in {100 * (lower < upper).mean():.0f} % of the layers; are the "
            "two columns exchanged?"
        )
    if middle < 5 or middle > 400:
        guess = "metres? Multiply by 100." if middle < 5 else "millimetres? Divide by 10."
        raise InputError(f"{file}: the median of lower_depth is {middle:.3g}, expected 5 to 400 cm: depths in {guess}")


def check_carbon(file: DataFile, orgc: pd.Series) -> None:
    """Grams per kilogram: soils hold up to 580, and of a world's layers the middle one some 6."""
    known = orgc.dropna()
    if len(known) < ENOUGH:
        return
    middle, most = known.median(), known.quantile(0.99)
    if middle < 2 and known.max() <= 60:
        raise InputError(
            f"{file}: organic carbon has a median of {middle:.3g} and a maximum of {known.max():.3g}, expected g "
            "per kg (median above 2, or peat above 60): values in percent? Multiply by 10."
        )
    if most > 1000:
        raise InputError(
            f"{file}: one layer in a hundred has more than {most:.4g} g of organic carbon per kg of soil, expected "
            "1000 at most: values in mg per kg? Divide by 1000."
        )


def check_density(file: DataFile, density: pd.Series, coarse: pd.Series) -> None:
    """Kilograms per cubic decimetre, percent of volume."""
    known = density.dropna()
    if len(known) >= ENOUGH and not 0.2 <= known.median() <= 2.65:
        raise InputError(
            f"{file}: the median of measured bulk densities is {known.median():.4g}, expected 0.2 to 2.65 kg per dm3. "
            "In kg per m3? Divide by 1000."
        )
    stony = coarse[coarse > 0]
    if len(stony) >= ENOUGH and stony.max() <= 1:
        raise InputError(
            f"{file}: the greatest volume of coarse fragments is {stony.max():.3g}, expected percent: given as a "
            "fraction? Multiply by 100."
        )
    if (coarse > 100).any():
        raise InputError(f"{file}: coarse fragments reach {coarse.max():.4g}, expected 100 % of the volume at most.")


def check_ph(file: DataFile, ph: pd.Series) -> None:
    """As it is measured, not times ten as grids of it are stored."""
    known = ph.dropna()
    if len(known) >= ENOUGH and not 2 <= known.median() <= 12:
        raise InputError(
            f"{file}: the median of pH is {known.median():.4g}, expected 2 to 12. Times ten? Divide by 10."
        )


def check_positions(file: DataFile, profiles: pd.DataFrame) -> None:
    """Degrees, longitude from -180 to 180, no identifier twice."""
    twice = profiles["profile_id"].duplicated()
    if twice.any():
        name = profiles["profile_id"][twice].iloc[0]
        raise InputError(
            f"{file}: profile_id {name!r} stands for {int((profiles['profile_id'] == name).sum())} profiles; layers "
            "cannot be told apart. Give every profile its own identifier."
        )
    lon, lat = profiles["lon"], profiles["lat"]
    beyond = (lat.abs() > 90).mean()
    if beyond > 0.01 and (lon.abs() <= 90).mean() > 0.99:
        raise InputError(
            f"{file}: {100 * beyond:.0f} % of the latitudes are beyond 90 degrees (such as "
            f"{lat[lat.abs() > 90].iloc[0]:g}) and no longitude is: longitude and latitude are exchanged."
        )
    if (lon > 180).mean() > 0.01:
        raise InputError(
            f"{file}: longitudes reach {lon.max():g}, expected -180 to 180. Subtract 360 from those above 180."
        )


def is_true(flag: pd.Series) -> NDArray[np.bool_]:
    """Flags as WoSIS writes them ("t", "true", "1"), (n,); missing is no."""
    return flag.astype("string").str.strip().str.lower().isin(["t", "true", "1", "y", "yes"]).to_numpy(bool)


def year_of(date: pd.Series) -> pd.Series:
    """Year of dates such as "1987-05-??" or "{1987-05-01}"; NaN where there is none."""
    return pd.to_numeric(date.astype("string").str.extract(r"(\d{4})")[0], errors="coerce").astype(float)


def first_code(codes: pd.Series, fallback: str) -> pd.Series:
    """The first of the codes of data sets in braces, "{US-NCSS,WD-ISCN}", as the name of a source."""
    first = codes.astype("string").str.extract(r"^\{?\s*\"?([^,{}\"]+)")[0].str.strip()
    return ("WoSIS " + first).fillna(fallback).astype(object)


def metres_of(uncertainty: pd.Series) -> pd.Series:
    """Positional uncertainty in metres from text such as "100 m", "1 km - 10 km" or "> 10 km": the greatest named.

    A plain number is metres. "More than" has no upper end and gives infinity; text without a number gives NaN.
    """
    text = uncertainty.astype("string")

    def metres(words: str) -> float:
        sizes = [
            float(n) * _UNITS[unit or "m"] for n, unit in re.findall(r"(\d+(?:\.\d+)?)\s*(km|m)?\b", words.lower())
        ]
        if not sizes:
            return np.nan
        return np.inf if re.search(r">|more than|over|above", words.lower()) else max(sizes)

    return text.map({words: metres(words) for words in text.dropna().unique()}).astype(float)


PREFIX_202312 = "wosis_202312_"
DENSITIES = ("bdfi33", "bdfiod")  # of the fine earth: moist at 33 kPa, as it lies in the field, before oven-dry
_LAYER_202312 = {
    "profile_id": TEXT, "layer_id": NUMBER, "upper_depth": NUMBER, "lower_depth": NUMBER, "value_avg": NUMBER,
    "longitude": NUMBER, "latitude": NUMBER,
}  # fmt: skip
_OPTIONAL_202312 = ("date", "country_name", "positional_uncertainty", "dataset_code")
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
    file = files.get(f"{PREFIX_202312}orgc.tsv")
    if file is None:
        raise InputError(wosis_missing(Path(folder), f"{PREFIX_202312}orgc.tsv", files))
    names = header(file, "\t")
    extra = [name for name in (*_OPTIONAL_202312, *_FLAGS) if name in names]
    layers = pd.concat(
        [chunk[chunk["value_avg"].notna()] for chunk in chunks(file, _LAYER_202312 | dict.fromkeys(extra, TEXT), "\t")],
        ignore_index=True,
    )
    profiles = _profiles_202312(files.get(f"{PREFIX_202312}profiles.tsv"), layers)
    flags = [is_true(layers[name]) for name in _FLAGS if name in layers]
    measured = [property_means(files.get(f"{PREFIX_202312}{name}.tsv"), "layer_id", "value_avg") for name in DENSITIES]
    density = layers["layer_id"].map(measured[0]).fillna(layers["layer_id"].map(measured[1]))
    coarse, ph = (
        layers["layer_id"].map(property_means(files.get(f"{PREFIX_202312}{name}.tsv"), "layer_id", "value_avg"))
        for name in ("cfvo", "phaq")
    )
    return tidy_tables(
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


def _profiles_202312(file: DataFile | None, layers: pd.DataFrame) -> pd.DataFrame:
    """One row a profile, from profiles.tsv where it is there and from the layers for what it does not tell."""
    first = layers.drop_duplicates("profile_id").set_index("profile_id")
    if file is None:
        listed = first.reset_index()
    else:
        names = [name for name in _OPTIONAL_202312[1:] if name in header(file, "\t")]
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
            "source": first_code(told("dataset_code"), "WoSIS 2023"),
            "state": told("country_name"),
            "year": year_of(told("date")),
            "position_uncertainty": metres_of(told("positional_uncertainty")),
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


PREFIX_201909 = "wosis_201909_"
_LAYER_201909 = {
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
        if f"{PREFIX_201909}{name}.tsv" not in files:
            raise InputError(wosis_missing(Path(folder), f"{PREFIX_201909}{name}.tsv", files))
    chemical = files[f"{PREFIX_201909}layers_chemical.tsv"]
    names = header(chemical, "\t")
    columns = _LAYER_201909 | {name: kind for name, kind in _LAYER_OPTIONAL.items() if name in names}
    layers = _rows_with_a_value(chemical, columns, ["orgc_value_avg"])
    physical = _physical(files[f"{PREFIX_201909}layers_physical.tsv"])
    at = {name: layers["profile_layer_id"].map(physical[name]) for name in physical}
    return tidy_tables(
        chemical,
        _profiles_201909(files[f"{PREFIX_201909}profiles.tsv"], layers),
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


def _profiles_201909(file: DataFile, layers: pd.DataFrame) -> pd.DataFrame:
    names = header(file, "\t")
    optional = {name: kind for name, kind in _PROFILE_OPTIONAL.items() if name in names}
    listed = pd.concat(chunks(file, _PROFILE | optional, "\t"), ignore_index=True)
    for name in _PROFILE_OPTIONAL:
        if name not in listed:
            listed[name] = pd.NA
    years = pd.Series(dtype=float)
    if "orgc_date" in layers:
        years = year_of(layers["orgc_date"]).groupby(layers["profile_id"]).first()
    return pd.DataFrame(
        {
            "profile_id": listed["profile_id"],
            "lon": listed["longitude"],
            "lat": listed["latitude"],
            "source": first_code(listed["dataset_id"], "WoSIS 2019"),
            "state": listed["country_name"],
            "year": listed["profile_id"].map(years).astype(float),
            "position_uncertainty": listed["geom_accuracy"].astype(float) * METRES_PER_DEGREE,
        }
    )


PREFIX_LATEST = "wosis_latest_"
_LAYER_LATEST = {
    "X": NUMBER, "Y": NUMBER, "profile_id": TEXT, "profile_layer_id": NUMBER, "upper_depth": NUMBER,
    "lower_depth": NUMBER, "litter": TEXT, "orgc_value_avg": NUMBER,
}  # fmt: skip
_OPTIONAL_LATEST = ("country_name", "orgc_date", "orgc_dataset_id")


def read_wosis_latest(folder: Path | str) -> ProfileTables:
    """Profiles and layers with organic carbon; see `proda.data.readers.wosis.tidy_tables`.

    Raises
    ------
    InputError
        When the file or a column is missing, a profile has two positions, or a column is not what its name says.
    """
    files = data_files(Path(folder))
    file = files.get(f"{PREFIX_LATEST}orgc.csv")
    if file is None:
        raise InputError(wosis_missing(Path(folder), f"{PREFIX_LATEST}orgc.csv", files))
    extra = [name for name in _OPTIONAL_LATEST if name in header(file, ",")]
    layers = pd.concat(
        [
            part[part["orgc_value_avg"].notna()]
            for part in chunks(file, _LAYER_LATEST | dict.fromkeys(extra, TEXT), ",")
        ],
        ignore_index=True,
    )
    for name in _OPTIONAL_LATEST:
        if name not in layers:
            layers[name] = pd.NA
    of_layer = layers["profile_layer_id"]
    values = {
        code: of_layer.map(
            property_means(files.get(f"{PREFIX_LATEST}{code}.csv"), "profile_layer_id", f"{code}_value_avg", ",")
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
            "source": first_code(first["orgc_dataset_id"], "WoSIS latest"),
            "state": first["country_name"],
            "year": year_of(first["orgc_date"]),
        }
    )
    return tidy_tables(
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
