"""What the three layouts of WoSIS (ISRIC) share: the checks of a table of layers and the way into the tidy schema.

Organic carbon comes in g kg-1 of fine earth, depths in cm, bulk density in kg dm-3, coarse fragments in % of volume, pH
is that in water (phaq). A whole table in another unit is an error; single odd rows are the business of cleaning.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from proda.data.profiles import ProfileTables
from proda.data.readers.delimited import DataFile
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
