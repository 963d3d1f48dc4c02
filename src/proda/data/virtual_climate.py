"""The made continent's relief, climate and vegetation: smooth functions of longitude and latitude.

Everything can be evaluated anywhere: a site has the climate of its own position, a cell that of its centre.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

MONTHS = np.arange(12)[:, None]


class Climate(NamedTuple):
    """Relief, climate and productivity of n places.

    Attributes
    ----------
    elevation : (n,), m
    temperature : (12, n), degrees Celsius, monthly means of air temperature
    diurnal_range : (n,), K
    precipitation : (12, n), mm month-1
    npp : (n,), g C m-2 yr-1
    npp_spread : (n,), half the range of annual NPP over the years, as a fraction of the mean
    forest : (n,), 0 to 1, how far trees outdo grass
    """

    elevation: NDArray
    temperature: NDArray
    diurnal_range: NDArray
    precipitation: NDArray
    npp: NDArray
    npp_spread: NDArray
    forest: NDArray


def waves(lon: ArrayLike, lat: ArrayLike, seed: int, name: str, length: float, n_waves: int = 48) -> NDArray:
    """A smooth random field with mean 0 and variance 1, the same at a place however often it is asked for.

    A sum of cosines with random directions, lengths around `length` and phases approximates a Gaussian field with a
    squared-exponential covariance (Rahimi and Recht 2007).

    Parameters
    ----------
    length : float, degrees of latitude
        Distance over which the field forgets itself.
    """
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    number = rng.normal(size=(n_waves, 2)) / length
    phase = rng.uniform(0, 2 * np.pi, n_waves)
    east = np.asarray(lon, float) * np.cos(np.radians(38.0))
    angle = np.multiply.outer(number[:, 0], east) + np.multiply.outer(number[:, 1], np.asarray(lat, float))
    return np.sqrt(2.0 / n_waves) * np.cos(angle + phase.reshape(-1, *([1] * east.ndim))).sum(axis=0)


def virtual_climate(lon: ArrayLike, lat: ArrayLike, seed: int) -> Climate:
    """Climate of the places `lon`, `lat` (degrees, (n,)): cold north, wet east and north-west, high dry west."""
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)

    def field(name: str, length: float) -> NDArray:
        return waves(lon, lat, seed, name, length)

    west_range = np.exp(-(((lon + 111.0) / 7.5) ** 2))
    east_range = np.exp(-(((lon + 80.5 - 0.9 * (lat - 38.0)) / 3.0) ** 2))
    relief = 2000.0 * west_range * (1.0 + 0.25 * field("ranges", 2.5)) + 450.0 * east_range
    elevation = np.maximum(relief + 250.0 + 90.0 * field("hills", 2.0), 1.0)

    coast = np.exp(-(((lon + 124.0) / 4.0) ** 2))
    mean = 24.0 - 0.78 * (lat - 25.0) - 0.0045 * elevation
    mean = mean + 2.5 * coast * (lat - 36.0) / 10.0 + 0.7 * field("warmth", 4.0)
    swing = (4.0 + 0.42 * (lat - 25.0)) * (1.0 - 0.55 * coast) + 0.8 * field("swing", 5.0)
    temperature = mean - swing * np.cos(2 * np.pi * (MONTHS - 0.5) / 12)

    gulf = expit((lon + 97.0) / 3.5) * (1.15 - 0.35 * (lat - 37.0) / 12.0)
    pacific = np.exp(-(((lon + 123.8) / 2.2) ** 2)) * expit((lat - 39.0) / 2.0)
    annual = (140.0 + 1000.0 * gulf + 1300.0 * pacific + 180.0 * west_range) * np.exp(0.16 * field("rain", 3.0))
    summer = expit((lon + 108.0) / 4.0) * expit(-(lon + 88.0) / 4.0) * 0.75 - 0.65 * expit(-(lon + 116.0) / 2.5)
    season = 1.0 - summer * np.cos(2 * np.pi * (MONTHS - 0.5) / 12) + 0.05 * np.sin(2 * np.pi * MONTHS / 6)
    precipitation = annual / 12.0 * season

    npp = 1.25 * productivity(mean, annual) * np.exp(0.12 * field("vigour", 3.0))
    dry = expit(-(annual - 600.0) / 150.0)
    spread = np.clip(0.22 + 0.2 * dry + 0.04 * field("spread", 4.0), 0.12, 0.6)
    forest = expit((annual - 750.0 - 14.0 * (mean - 10.0)) / 130.0 + 0.9 * field("forest", 2.5))
    diurnal = 9.0 + 5.0 * dry + 0.5 * field("diurnal", 4.0)
    return Climate(elevation, temperature, diurnal, precipitation, npp, spread, forest)


def productivity(temperature: ArrayLike, precipitation: ArrayLike) -> NDArray:
    """Net primary production by Lieth's (1975) Miami model, g C m-2 yr-1, with carbon 45 % of dry matter.

    The smaller of 3000 / (1 + exp(1.315 - 0.119 T)) and 3000 (1 - exp(-0.000664 P)) g of dry matter, the corner
    between the two rounded off so that the map is smooth.
    """
    by_warmth = 3000.0 / (1.0 + np.exp(1.315 - 0.119 * np.asarray(temperature, float)))
    by_rain = 3000.0 * -np.expm1(-0.000664 * np.asarray(precipitation, float))
    return 0.45 * (by_warmth**-4.0 + by_rain**-4.0) ** -0.25
