"""Made soil profiles in the three layouts of WoSIS, in the United States."""

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from small_tables import grid_rows

from proda.data.grid import cell_area

WEST, SOUTH, EAST, NORTH = -120.0, 32.0, -82.0, 46.0
METHOD = '"{sample pretreatment = sieved over 2 mm, treatment = wet oxidation, calculation = complete recovery}"'


class Made(NamedTuple):
    profiles: pd.DataFrame
    layers: pd.DataFrame  # cm, g/kg, kg/dm3, vol %


def made_profiles(n: int, seed: int = 1) -> Made:
    """`n` profiles of two to six layers; carbon falls with depth, bulk density follows carbon, a third is measured."""
    rng = np.random.default_rng(seed)
    profiles = pd.DataFrame({"profile_id": 100_000 + np.arange(n)})
    profiles["longitude"] = rng.uniform(WEST, EAST, n).round(5)
    profiles["latitude"] = rng.uniform(SOUTH, NORTH, n).round(5)
    profiles["country_name"] = "United States of America"
    profiles["dataset_code"] = rng.choice(["US-NCSS", "AF-AfSP", "WD-ISCN"], n)
    profiles["positional_uncertainty"] = rng.choice(["< 100 m", "100 m - 1 km", "1 km - 10 km", "> 10 km"], n)
    year = rng.integers(1955, 2020, n)
    profiles["date"] = np.where(rng.random(n) < 0.38, "", np.char.add(year.astype(str), "-??-??"))
    n_layers = rng.integers(2, 7, n)
    row = np.repeat(np.arange(n), n_layers)
    at = np.arange(len(row)) - np.repeat(np.cumsum(n_layers) - n_layers, n_layers)
    edges = np.array([0, 10, 25, 50, 80, 120, 180])
    surface = rng.lognormal(np.log(22), 0.7, n)[row]
    orgc = (surface * np.exp(-(edges[at] + edges[at + 1]) / 80) * rng.lognormal(0, 0.2, len(row))).clip(0.3, 500)
    layers = profiles.iloc[row].reset_index(drop=True)
    layers.insert(1, "layer_id", 7_000_000 + np.arange(len(row)))
    layers = layers.assign(upper_depth=edges[at], lower_depth=edges[at + 1], orgc=orgc.round(2), litter="f")
    density = (1.6 - 0.3 * np.sqrt(orgc / 10) + rng.normal(0, 0.1, len(row))).clip(0.2, 1.9).round(2)
    draw = rng.random(len(row))
    layers["bdfi33"] = np.where(draw < 0.21, density, np.nan)
    layers["bdfiod"] = np.where((draw > 0.14) & (draw < 0.35), density + 0.05, np.nan)
    layers["cfvo"] = np.where(rng.random(len(row)) < 0.3, rng.integers(0, 60, len(row)), np.nan)
    layers["phaq"] = np.where(rng.random(len(row)) < 0.5, rng.uniform(4.5, 7.4, len(row)).round(1), np.nan)
    return Made(profiles, layers)


def write_december_2023(made: Made, folder: Path, zipped: bool = False) -> Path:
    """The TSV files of the snapshot, or the one zip."""
    folder.mkdir(parents=True, exist_ok=True)
    layers = made.layers
    common = ["profile_id", "layer_id", "upper_depth", "lower_depth", "litter"]
    place = ["date", "longitude", "latitude", "positional_uncertainty", "country_name", "dataset_code"]
    written = [folder / "wosis_202312_profiles.tsv"]
    made.profiles.drop(columns="date").to_csv(written[0], sep="\t", index=False)
    for name in ("orgc", "bdfi33", "bdfiod", "cfvo", "phaq"):
        table = layers.loc[layers[name].notna(), [*common, name, *place]].rename(columns={name: "value_avg"})
        table.insert(6, "value", "{" + table["value_avg"].astype(str) + "}")
        written.append(folder / f"wosis_202312_{name}.tsv")
        table.to_csv(written[-1], sep="\t", index=False)
    if zipped:
        with zipfile.ZipFile(folder / "WoSIS_2023_December.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in written:
                archive.write(path, f"WoSIS_2023_December/{path.name}")
                path.unlink()
    return folder


def write_september_2019(made: Made, folder: Path) -> Path:
    """The three wide TSV files, with columns that nobody asks for, as the real ones have hundreds of."""
    folder.mkdir(parents=True, exist_ok=True)
    profiles = made.profiles.assign(dataset_id="{" + made.profiles["dataset_code"] + ",WD-WISE}", geom_accuracy=0.01)
    names = ["profile_id", "dataset_id", "country_name", "geom_accuracy", "latitude", "longitude"]
    profiles[names].to_csv(folder / "wosis_201909_profiles.tsv", sep="\t", index=False)
    layers = made.layers.rename(columns={"layer_id": "profile_layer_id"})
    common = layers[["profile_id", "profile_layer_id", "upper_depth", "lower_depth", "litter"]]
    chemical = common.assign(
        orgc_value="{1:" + layers["orgc"].astype(str) + "}", orgc_value_avg=layers["orgc"], orgc_method=METHOD,
        orgc_date=layers["date"], phaq_value_avg=layers["phaq"],
    )  # fmt: skip
    physical = common.assign(**{f"{code}_value_avg": layers[code] for code in ("bdfi33", "bdfiod", "cfvo")})
    chemical.to_csv(folder / "wosis_201909_layers_chemical.tsv", sep="\t", index=False)
    physical.to_csv(folder / "wosis_201909_layers_physical.tsv", sep="\t", index=False)
    return folder


def write_latest(made: Made, folder: Path) -> Path:
    """One CSV a property, as the web service gives them."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {"longitude": "X", "latitude": "Y", "layer_id": "profile_layer_id"}
    layers = made.layers.rename(columns=names)
    common = ["X", "Y", "profile_id", "profile_layer_id", "country_name", "upper_depth", "lower_depth", "litter"]
    for name in ("orgc", "bdfi33", "bdfiod", "cfvo", "phaq"):
        table = layers.loc[layers[name].notna(), [*common, name, "date", "dataset_code"]]
        table.columns = [*common, f"{name}_value_avg", f"{name}_date", f"{name}_dataset_id"]
        table.to_csv(folder / f"wosis_latest_{name}.csv", index=False)
    return folder


def write_grid(folder: Path) -> Path:
    """grid_half_degree.csv with every cell of the box."""
    lon, lat = np.meshgrid(np.arange(WEST + 0.25, EAST, 0.5), np.arange(SOUTH + 0.25, NORTH, 0.5))
    grid = pd.DataFrame({"lon": lon.ravel(), "lat": lat.ravel()})
    drivers = grid_rows().drop(columns=["lon", "lat", "ref_whrc_soc_0_30cm_kg_m2"]).iloc[0].to_dict() | {
        "cell_area_m2": cell_area(grid["lat"]), "mean_annual_temperature_degC": 27 - 0.5 * grid["lat"],
        "precipitation_mm_yr": 700.0 + 300 * np.sin(grid["lon"] / 20),
        "igbp_land_cover": np.where(grid["lon"] > -95, 4, 10), "koppen_class": np.where(grid["lat"] > 40, 19, 9),
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    grid.assign(**drivers).to_csv(folder / "grid_half_degree.csv", index=False)
    return folder
