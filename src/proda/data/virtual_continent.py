"""The virtual study's synthetic continent: climate, covariates, forcing and true parameters as smooth functions of
longitude and latitude, so that a site has those of its own position and a cell those of its centre.

It is laid out for the conterminous United States. Elsewhere longitudes are folded into those from 126 to 66 W, so that
every part of the land has its gradients, and southern latitudes count as northern ones with the seasons exchanged.
"""

from __future__ import annotations

import zlib
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from proda.data import forcing as physics
from proda.data.covariates import DEPTHS, PAPER_COVARIATES
from proda.data.forcing import FREEZING, NO_PERMAFROST
from proda.model.configuration import Column, Configuration
from proda.model.forcing import AnyForcing, Forcing, MonthlyForcing
from proda.model.parameters import SHARES, ParameterTable

MONTHS = np.arange(12)[:, None]
_DEPTH = np.array([0.0, 0.3, 1.0])[:, None]  # m, of the triples
MARGIN = 0.03  # of the unit cube, kept free so that no true parameter lies at a prior bound
LEAST_WOODY = 0.02  # of the carbon input; noise could otherwise share out more litter than there is


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


def virtual_forcing(covariates: pd.DataFrame, configuration: Configuration) -> AnyForcing:
    """Forcing of the places whose `covariates` are given.

    Soil temperature is that of the air plus 1 K, and plus up to 1.5 K more where winters are long, because snow keeps
    soil warm. Dry spells weigh heavily in a mean of water potentials: it is taken as 5 (where it never gets dry) to
    100 times that of the mean moisture. Subsoils are moister than top soils. Where the soil's mean is below -5 degrees
    Celsius there is permafrost, which thaws by 5 cm times the root of the degree days of some 120 summer days (Stefan).
    """
    column = configuration.column
    snow = 1.5 * expit(-(covariates["BIO11"].to_numpy() + 4.0) / 2.5)
    temperature = physics.soil_temperature(covariates["BIO1"].to_numpy(), 1.0, column.n_layers)
    temperature = temperature + snow * -np.expm1(-column.node[:, None] / 0.2)
    drought = covariates["Drought"].to_numpy() * (1.0 - 0.3 * -np.expm1(-column.node[:, None] / 0.5))
    thaw = 0.05 * np.sqrt(120.0 * np.maximum(covariates["BIO10"].to_numpy(), 0.1))
    thaw = np.where(temperature.mean(axis=0) < FREEZING - 5.0, thaw, NO_PERMAFROST)
    if configuration.monthly:
        return _monthly_forcing(covariates, temperature, drought, thaw, column)
    psi = physics.water_potential(1.0 - drought, covariates["Sand_Content_30cm"], covariates["Clay_Content_30cm"])
    psi = np.maximum(psi * 5.0 * 20.0**drought, physics.DRIEST)
    npp, least, greatest = (covariates[name].to_numpy() for name in ("NPPmean", "NPPmin", "NPPmax"))
    return Forcing(temperature, psi, thaw, npp, least, greatest)


def _monthly_forcing(
    covariates: pd.DataFrame, temperature: NDArray, drought: NDArray, thaw: NDArray, column: Column
) -> MonthlyForcing:
    """The year around annual means, (n_layers, n); months are counted from the middle of winter.

    The seasons of air temperature fade and lag with depth as in pure conduction, with a damping depth of 2 m. Soil is
    wetter in winter, most where half of the year is dry, and its water scalar is that of CLM5 (potentials of -2 and
    -0.002 MPa as its bounds), with a tenth left where it is frozen. Wet soil lacks oxygen; litter lacks nitrogen where
    little grows. Three fifths more litter than the mean falls in autumn, woody where trees stand. Soils are at least
    2.7 m deep, deeper than any pit.
    """
    value = {name: covariates[name].to_numpy(float) for name in covariates}
    z, n = column.node[:, None, None], len(covariates)
    year = 2.0 * np.pi * MONTHS / 12.0
    swing = np.sqrt(2.0) * value["BIO4"] / 100.0 * np.exp(-z / 2.0)
    monthly = temperature[:, None] - swing * np.cos(year - z / 2.0)
    dry = drought[:, None]
    wet = np.clip(1.0 - dry + dry * (1.0 - dry) * np.exp(-z / 0.8) * np.cos(year), 0.01, 1.0)
    psi = physics.water_potential(wet, value["Sand_Content_30cm"], value["Clay_Content_30cm"])
    water = np.clip(np.log(-2.0 / psi) / np.log(-2.0 / -0.002), 0.01, 1.0)
    water = water * (0.1 + 0.9 * expit((monthly - FREEZING) / 0.5))
    nitrogen = np.broadcast_to(0.95 - 0.3 * np.exp(-value["NPPmean"] / 300.0), monthly.shape)
    woody = 0.05 + 0.002 * value["Veg_Cover"]
    kinds = np.stack([woody, 0.3 * (1.0 - woody), 0.45 * (1.0 - woody), 0.25 * (1.0 - woody)])[:, None]
    litter = kinds * value["NPPmean"] / 12.0 * (1.0 + 0.6 * np.cos(year - 2.0 * np.pi * 9.0 / 12.0))
    deep = np.searchsorted(column.bottom, (value["Abs_Depth_to_Bedrock"] / 100.0) ** (1.0 / 0.9) / 100.0)
    thaw = np.repeat(thaw[None], MONTHS.size, axis=0)
    bedrock = np.clip(deep, 13, column.n_layers).reshape(n)
    return MonthlyForcing(monthly, water, 1.0 - 0.2 * wet**4, nitrogen, thaw, 0.97 * thaw, litter, bedrock)


def true_parameters(covariates: pd.DataFrame, table: ParameterTable, noise: NDArray | float = 0.0) -> NDArray:
    """True parameters on the unit cube, (n_parameters, n), at least `MARGIN` away from the prior bounds.

    The input shares of litter are reduced in proportion where they would leave too little for woody debris. `noise` is
    from `site_noise`; 0 gives the part that the covariates determine, which is the truth of the map.
    """
    x = MARGIN + (1.0 - 2.0 * MARGIN) * expit(_logits(covariates, table) + noise)
    if not table.has_shares:
        return x
    rows = list(SHARES)
    low, span = table.minimum[rows], (table.maximum - table.minimum)[rows]
    least = low.sum() + MARGIN * span.sum()
    above = span @ (x[rows] - MARGIN)
    kept = np.minimum(1.0, (1.0 - LEAST_WOODY - least) / above)
    x[rows] = MARGIN + kept * (x[rows] - MARGIN)
    return x


def site_noise(n: int, rng: np.random.Generator, table: ParameterTable) -> NDArray:
    """What the covariates do not determine at a site, added to the logits, (n_parameters, n)."""
    return 0.5 * rng.standard_normal((len(table), n))


def _logits(covariates: pd.DataFrame, table: ParameterTable) -> NDArray:
    """Logits of the true parameters, (n_parameters, n): sensitive ones follow the covariates most."""
    value = {name: covariates[name].to_numpy(float) for name in covariates}
    # Ten covariates, each shifted and scaled by constants to about -2..2.
    warmth = (value["BIO1"] - 11.0) / 6.0
    rain = np.log(value["BIO12"] / 700.0) / 0.6
    temperature_range = (value["BIO7"] - 30.0) / 6.0
    npp = (value["NPPmean"] - 470.0) / 200.0
    cover = (value["Veg_Cover"] - 45.0) / 30.0
    sand = (value["Sand_Content_0cm"] - 45.0) / 18.0
    clay = (value["Clay_Content_30cm"] - 20.0) / 9.0
    acid = (6.7 - value["pH_Water_0cm"]) / 0.9
    stones = (value["Coarse_Fragments_v_30cm"] - 12.0) / 6.0
    bedrock = (value["Depth_Bedrock_R"] - 165.0) / 45.0
    nothing = np.zeros_like(warmth)
    logits = {
        "diffus": -0.2 + 0.8 * np.tanh(warmth) - 0.5 * acid,
        "cryo": nothing,
        "q10": -2.7 + 0.4 * np.tanh(temperature_range) + 0.3 * cover,
        "efolding": 1.5 + 0.7 * np.tanh(sand) - 0.6 * np.tanh(bedrock) + 0.3 * rain * np.tanh(stones),
        "tau4cwd": 0.3 * cover,
        "tau4l1": nothing,
        "tau4l2l3": 0.3 * acid,
        "tau4s1": -1.0 + 0.3 * acid,
        "tau4s2": -2.6 + 1.2 * np.tanh(acid) + 0.5 * np.tanh(stones) - 0.3 * warmth,
        "tau4s3": -2.7 + 1.2 * np.tanh(clay) - 0.5 * np.tanh(warmth) + 0.3 * clay * np.tanh(acid),
        "fl1s1": -0.4 + 0.3 * npp,
        "fl2s1": -0.2 + 0.3 * clay,
        "fl3s2": 0.4 * acid,
        "fs1s2": -1.4 + 0.9 * np.tanh(clay) - 0.3 * rain,
        "fs1s3": -2.4 + 0.4 * np.tanh(clay),
        "fs2s1": 0.2 - 0.4 * acid,
        "fs2s3": -2.7 + 0.9 * np.tanh(clay) - 0.6 * np.tanh(sand) + 0.4 * np.tanh(rain),
        "fs3s1": -0.6 - 0.3 * clay,
        "fcwdl2": -0.3 * cover,
        "ins": -0.5 + 0.9 * np.tanh(npp) - 0.4 * stones,
        "beta": 1.0 + 0.9 * np.tanh(-rain) + 0.5 * cover,
        "p4ll": -0.2 + 0.5 * cover,
        "p4ml": -0.9 - 0.3 * cover,
        "p4cl": 0.2 + 0.2 * npp,
        "maxpsi": 0.4 * sand,
        "w_scaling": -1.0 + 0.6 * np.tanh(rain) - 0.3 * np.tanh(clay),
    }
    return np.stack([logits[name] for name in table.names])


def waves(lon: ArrayLike, lat: ArrayLike, seed: int, name: str, length: float, n_waves: int = 48) -> NDArray:
    """A smooth random field with mean 0 and variance 1, a function of the place, correlated over `length` degrees.

    A sum of random cosines approximates a Gaussian field with a squared-exponential covariance (Rahimi and Recht 2007).
    """
    lon = folded(lon)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    number = rng.normal(size=(n_waves, 2)) / length
    phase = rng.uniform(0, 2 * np.pi, n_waves)
    east = np.asarray(lon, float) * np.cos(np.radians(38.0))
    angle = np.multiply.outer(number[:, 0], east) + np.multiply.outer(number[:, 1], np.asarray(lat, float))
    return np.sqrt(2.0 / n_waves) * np.cos(angle + phase.reshape(-1, *([1] * east.ndim))).sum(axis=0)


def folded(lon: ArrayLike) -> NDArray:
    """Longitudes, degrees, folded into -126 to -66, without a step anywhere on the globe."""
    lon = np.asarray(lon, float)
    return np.where((lon >= -126.0) & (lon <= -66.0), lon, -126.0 + np.abs(np.mod(lon + 186.0, 120.0) - 60.0))


class Climate(NamedTuple):
    """Relief, climate and vegetation of n places."""

    elevation: NDArray  # (n,), m
    temperature: NDArray  # (12, n), degrees Celsius, monthly means of air temperature
    diurnal_range: NDArray  # (n,), K
    precipitation: NDArray  # (12, n), mm month-1
    npp: NDArray  # (n,), g C m-2 yr-1
    npp_spread: NDArray  # (n,), half the range of annual NPP over the years, as a fraction of the mean
    forest: NDArray  # (n,), 0 to 1, how far trees outdo grass


def virtual_climate(lon: ArrayLike, lat: ArrayLike, seed: int) -> Climate:
    """Climate of the places `lon`, `lat` (degrees, (n,)): cold poles, wet east and north-west, high dry west."""
    lon, lat = folded(lon), np.asarray(lat, float)
    field, south = partial(waves, lon, lat, seed), lat < 0.0
    lat = np.maximum(np.abs(lat), 21.0)  # the tropics are alike: 27 degrees Celsius at sea level
    west_range = np.exp(-(((lon + 111.0) / 7.5) ** 2))
    east_range = np.exp(-(((lon + 80.5 - 0.9 * (lat - 38.0)) / 3.0) ** 2))
    relief = 2000.0 * west_range * (1.0 + 0.25 * field("ranges", 2.5)) + 450.0 * east_range
    elevation = np.maximum(relief + 250.0 + 90.0 * field("hills", 2.0), 1.0)

    coast = np.exp(-(((lon + 124.0) / 4.0) ** 2))
    mean = 24.0 - 0.78 * (lat - 25.0) - 0.0045 * elevation
    mean = mean + 2.5 * coast * (lat - 36.0) / 10.0 + 0.7 * field("warmth", 4.0)
    swing = (4.0 + 0.42 * (lat - 25.0)) * (1.0 - 0.55 * coast) + 0.8 * field("swing", 5.0)
    winter = np.cos(2 * np.pi * (MONTHS - 0.5 + 6.0 * south) / 12)
    temperature = mean - swing * winter

    gulf = expit((lon + 97.0) / 3.5) * np.maximum(1.15 - 0.35 * (lat - 37.0) / 12.0, 0.1)
    pacific = np.exp(-(((lon + 123.8) / 2.2) ** 2)) * expit((lat - 39.0) / 2.0)
    annual = (140.0 + 1000.0 * gulf + 1300.0 * pacific + 180.0 * west_range) * np.exp(0.16 * field("rain", 3.0))
    summer = expit((lon + 108.0) / 4.0) * expit(-(lon + 88.0) / 4.0) * 0.75 - 0.65 * expit(-(lon + 116.0) / 2.5)
    season = 1.0 - summer * winter + 0.05 * np.sin(2 * np.pi * MONTHS / 6)
    precipitation = annual / 12.0 * season

    # Lieth's (1975) Miami model, carbon 45 % of dry matter, with a smooth lesser of its two limits.
    by_warmth = 3000.0 / (1.0 + np.exp(1.315 - 0.119 * mean))
    by_rain = 3000.0 * -np.expm1(-0.000664 * annual)
    productivity = 0.45 * (by_warmth**-4.0 + by_rain**-4.0) ** -0.25
    npp = 1.25 * productivity * np.exp(0.12 * field("vigour", 3.0))
    dry = expit(-(annual - 600.0) / 150.0)
    spread = np.clip(0.22 + 0.2 * dry + 0.04 * field("spread", 4.0), 0.12, 0.6)
    forest = expit((annual - 750.0 - 14.0 * (mean - 10.0)) / 130.0 + 0.9 * field("forest", 2.5))
    diurnal = 9.0 + 5.0 * dry + 0.5 * field("diurnal", 4.0)
    return Climate(elevation, temperature, diurnal, precipitation, npp, spread, forest)


def bioclimatic_variables(temperature: NDArray, precipitation: NDArray, diurnal_range: NDArray) -> dict[str, NDArray]:
    """The variables BIO1 to BIO19 of WorldClim (Fick and Hijmans 2017), each (n,), from monthly means, (12, n).

    Degrees Celsius and mm; extremes of temperature lie half of the `diurnal_range`, (n,), away from the monthly means.
    """
    quarter_temperature, quarter_rain = _quarters(temperature) / 3.0, _quarters(precipitation)
    wettest, driest = quarter_rain.argmax(axis=0), quarter_rain.argmin(axis=0)
    warmest, coldest = quarter_temperature.argmax(axis=0), quarter_temperature.argmin(axis=0)
    hottest, coolest = temperature.max(axis=0) + diurnal_range / 2, temperature.min(axis=0) - diurnal_range / 2
    values = (
        temperature.mean(axis=0),
        diurnal_range,
        100.0 * diurnal_range / (hottest - coolest),
        100.0 * temperature.std(axis=0, ddof=1),
        hottest,
        coolest,
        hottest - coolest,
        *(_at(quarter_temperature, quarter) for quarter in (wettest, driest, warmest, coldest)),
        precipitation.sum(axis=0),
        precipitation.max(axis=0),
        precipitation.min(axis=0),
        100.0 * precipitation.std(axis=0, ddof=1) / (1.0 + precipitation.mean(axis=0)),
        *(_at(quarter_rain, quarter) for quarter in (wettest, driest, warmest, coldest)),
    )
    return {f"BIO{i}": value for i, value in enumerate(values, start=1)}


def _quarters(monthly: NDArray) -> NDArray:
    return monthly + np.roll(monthly, -1, axis=0) + np.roll(monthly, -2, axis=0)


def _at(values: NDArray, which: NDArray) -> NDArray:
    return np.take_along_axis(values, which[None], axis=0)[0]


def _soil(lon: NDArray, lat: NDArray, seed: int, air: Climate) -> dict[str, NDArray]:
    field = partial(waves, lon, lat, seed)
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
    noise = field("order", 2.5)
    wet = leached + 0.1 * noise
    # USDA orders, 1 to 8: aridisol, mollisol, alfisol, ultisol, spodosol, vertisol, inceptisol, entisol.
    cases = [clay[0] > 38, wet < 0.12, wet < 0.45, warmth < 6.5, (warmth > 14) & (wet > 0.6), noise > 1.2, noise < -1.2]
    order = np.select(cases, [6, 1, 2, 5, 4, 7, 8], 3).astype(float)
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
