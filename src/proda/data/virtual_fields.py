"""The made continent's 60 covariates and its forcing, at any place."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from proda.data import climate as physics
from proda.data.bioclim import bioclimatic_variables
from proda.data.covariates import DEPTHS, PAPER_COVARIATES
from proda.data.forcing import NO_PERMAFROST
from proda.data.virtual_climate import Climate, virtual_climate, waves
from proda.model.column import PAPER_COLUMN, Column
from proda.model.forcing import Forcing

_DEPTH = np.array([0.0, 0.3, 1.0])[:, None]  # m, of the triples


def virtual_covariates(lon: ArrayLike, lat: ArrayLike, seed: int) -> pd.DataFrame:
    """The 60 covariates of the paper at n places, one row a place, in `PAPER_COVARIATES`' names and order.

    Temperatures are in degrees Celsius, precipitation in mm, NPP in g C m-2 yr-1, texture, coarse fragments and water
    at wilting point in %, bulk density in kg m-3, CEC in cmol kg-1, depths to bedrock in cm.
    """
    air = virtual_climate(lon, lat, seed)
    columns = bioclimatic_variables(air.temperature, air.precipitation, air.diurnal_range)
    columns |= _soil(np.asarray(lon, float), np.asarray(lat, float), seed, air)
    warmth, rain = columns["BIO1"], columns["BIO12"]
    columns |= {
        "IGBP": _igbp(warmth, rain, air.forest, waves(lon, lat, seed, "fields", 2.0)),
        "Climate": _koppen(columns),
        "NPPmean": air.npp,
        "NPPmax": air.npp * (1.0 + air.npp_spread),
        "NPPmin": air.npp * (1.0 - air.npp_spread),
        "Veg_Cover": 100.0 * (0.15 + 0.8 * air.forest) * -np.expm1(-air.npp / 250.0),
        "Drought": 1.0 - physics.wetness_of_climate(warmth, rain),
    }
    return pd.DataFrame(columns)[list(PAPER_COVARIATES)].astype(float)


def _soil(lon: NDArray, lat: NDArray, seed: int, air: Climate) -> dict[str, NDArray]:
    def field(name: str, length: float) -> NDArray:
        return waves(lon, lat, seed, name, length)

    rain, warmth = air.precipitation.sum(axis=0), air.temperature.mean(axis=0)
    leached = expit((rain - 800.0) / 200.0)
    sand = np.clip(44.0 + 17.0 * field("sand", 2.2) - 2.0 * _DEPTH, 5.0, 88.0)
    clay = np.clip(21.0 + 7.5 * field("clay", 2.8) + 0.3 * (warmth - 11.0) + 9.0 * _DEPTH * leached, 3.0, 60.0)
    clay = np.minimum(clay, 96.0 - sand)
    steep = air.elevation / 1500.0
    bedrock = 100.0 * np.exp(1.2 - 0.75 * steep + 0.45 * field("bedrock", 1.8))
    coarse = np.clip(6.0 + 8.0 * steep + 4.0 * field("stones", 2.0) + 7.0 * _DEPTH, 0.0, 70.0)
    acidity = 7.9 - 2.3 * leached + 0.45 * field("acidity", 2.5) + 0.3 * _DEPTH
    humus = expit((air.npp - 420.0) / 180.0 - 0.1 * (warmth - 11.0)) * np.exp(-_DEPTH / 0.4)
    exchange = 4.0 + 0.45 * clay + 18.0 * humus
    bulk = 1250.0 + 190.0 * (1.0 - np.exp(-_DEPTH / 0.4)) + 2.0 * (sand - 44.0) - 280.0 * humus
    wilting = 100.0 * physics.moisture_at(physics.WILTING_POINT, sand, clay)
    order = _soil_order(warmth, rain, leached, clay[0], field("order", 2.5))
    layered = {
        "Bulk_Density": bulk,
        "CEC": exchange,
        "Clay_Content": clay,
        "Coarse_Fragments_v": coarse,
        "pH_Water": acidity,
        "Sand_Content": sand,
        "Silt_Content": 100.0 - sand - clay,
        "SWC_v_Wilting_Point": wilting,
        "Texture_USDA": _texture_class(sand, clay),
    }
    columns = {f"{name}_{depth}": values[i] for name, values in layered.items() for i, depth in enumerate(DEPTHS)}
    return columns | {
        "Abs_Depth_to_Bedrock": 100.0 * bedrock**0.9,
        "Depth_Bedrock_R": np.minimum(bedrock, 200.0),
        "Occurrence_R_Horizon": 100.0 * expit((140.0 - bedrock) / 45.0),
        "Garde_Acid": np.clip(np.round(4.0 - (acidity[2] - 5.0) * 1.6), 0.0, 4.0),
        "Soil_Type": order,
        "USDA_Suborder": 5.0 * order + np.digitize(rain, [350.0, 600.0, 900.0, 1300.0]),
        "WRB_Subgroup": 6.0 * order + np.digitize(clay[1], [12.0, 20.0, 28.0, 36.0, 44.0]),
    }


def _soil_order(warmth: NDArray, rain: NDArray, leached: NDArray, clay: NDArray, noise: NDArray) -> NDArray:
    """USDA orders by rule, 1 to 8: aridisol, mollisol, alfisol, ultisol, spodosol, vertisol, inceptisol, entisol."""
    wet = leached + 0.1 * noise
    cases = [clay > 38, wet < 0.12, wet < 0.45, warmth < 6.5, (warmth > 14) & (wet > 0.6), noise > 1.2, noise < -1.2]
    return np.select(cases, [6, 1, 2, 5, 4, 7, 8], 3).astype(float)


def _igbp(warmth: NDArray, rain: NDArray, forest: NDArray, noise: NDArray) -> NDArray:
    farmed = np.exp(-(((warmth - 11.0) / 5.0) ** 2)) * expit((rain - 520.0) / 90.0) * (1.0 - 0.7 * forest)
    cases = [
        farmed + 0.15 * noise > 0.55,
        (forest > 0.55) & (warmth < 6.5),
        (forest > 0.55) & (noise > 0.8),
        (forest > 0.75) & (warmth > 8.0),
        forest > 0.5,
        farmed + 0.15 * noise > 0.35,
        forest > 0.3,
        rain < 320.0,
    ]
    return np.select(cases, [12, 1, 1, 4, 5, 14, 8, 7], 10).astype(float)


def _koppen(bio: dict[str, NDArray]) -> NDArray:
    """Groups after Koppen: BWh 7, BWk 8, BSh 5, BSk 6, Csa 12, Cfa 9, Dfb 19, Dfc 20 (codes of the grid tables)."""
    limit = 20.0 * bio["BIO1"] + 140.0
    cold, cool = bio["BIO11"] < 0.0, bio["BIO1"] < 18.0
    cases = [
        (bio["BIO12"] < 0.5 * limit) & cool,
        bio["BIO12"] < 0.5 * limit,
        (bio["BIO12"] < limit) & cool,
        bio["BIO12"] < limit,
        cold & (bio["BIO10"] < 15.0),
        cold,
        bio["BIO18"] < 0.5 * bio["BIO19"],
    ]
    return np.select(cases, [8, 7, 6, 5, 20, 19, 12], 9).astype(float)


def _texture_class(sand: NDArray, clay: NDArray) -> NDArray:
    """Classes of the USDA triangle, SoilGrids' codes: 1 clay ... 7 loam ... 12 sand, simplified."""
    silt = 100.0 - sand - clay
    cases = [
        (clay >= 40) & (silt >= 40),
        (clay >= 35) & (sand >= 45),
        clay >= 40,
        (clay >= 27) & (sand < 20),
        (clay >= 27) & (sand < 45),
        (clay >= 20) & (sand >= 45),
        silt >= 80,
        silt >= 50,
        silt + 1.5 * clay < 15,
        silt + 2.0 * clay < 30,
        sand >= 52,
    ]
    return np.select(cases, [2, 3, 1, 4, 5, 6, 10, 8, 12, 11, 9], 7).astype(float)


def virtual_forcing(covariates: pd.DataFrame, column: Column = PAPER_COLUMN) -> Forcing:
    """Forcing of the places whose `covariates` are given.

    Soil temperature is that of the air plus 1 K, and plus up to 1.5 K more where winters are long, because snow keeps
    soil warm. Dry spells weigh heavily in a mean of water potentials: it is taken as 5 (where it never gets dry) to
    100 times that of the mean moisture. Subsoils are moister than top soils. There is no permafrost.
    """
    snow = 1.5 * expit(-(covariates["BIO11"].to_numpy() + 4.0) / 2.5)
    temperature = physics.soil_temperature(covariates["BIO1"].to_numpy(), 1.0, column.n_layers)
    temperature = temperature + snow * -np.expm1(-column.node[:, None] / 0.2)
    drought = covariates["Drought"].to_numpy() * (1.0 - 0.3 * -np.expm1(-column.node[:, None] / 0.5))
    psi = physics.water_potential(1.0 - drought, covariates["Sand_Content_30cm"], covariates["Clay_Content_30cm"])
    psi = np.maximum(psi * 5.0 * 20.0**drought, physics.DRIEST)
    npp, least, greatest = (covariates[name].to_numpy() for name in ("NPPmean", "NPPmin", "NPPmax"))
    return Forcing(temperature, psi, np.full(len(covariates), NO_PERMAFROST), npp, least, greatest)
