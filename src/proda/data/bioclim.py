"""The nineteen bioclimatic variables of WorldClim (Fick and Hijmans 2017) from monthly means."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def bioclimatic_variables(temperature: NDArray, precipitation: NDArray, diurnal_range: NDArray) -> dict[str, NDArray]:
    """BIO1 to BIO19, each (n,), temperatures in degrees Celsius, precipitation in mm.

    Parameters
    ----------
    temperature : (12, n), degrees Celsius
        Monthly means of air temperature.
    precipitation : (12, n), mm month-1
    diurnal_range : (n,), K
        Mean difference between the day's maximum and minimum: extremes are half of it away from the monthly means.
    """
    quarter_temperature = _quarters(temperature) / 3.0
    quarter_rain = _quarters(precipitation)
    wettest, driest = quarter_rain.argmax(axis=0), quarter_rain.argmin(axis=0)
    warmest, coldest = quarter_temperature.argmax(axis=0), quarter_temperature.argmin(axis=0)
    hottest = temperature.max(axis=0) + diurnal_range / 2
    coolest = temperature.min(axis=0) - diurnal_range / 2
    values = (
        temperature.mean(axis=0),
        diurnal_range,
        100.0 * diurnal_range / (hottest - coolest),
        100.0 * temperature.std(axis=0, ddof=1),
        hottest,
        coolest,
        hottest - coolest,
        _at(quarter_temperature, wettest),
        _at(quarter_temperature, driest),
        _at(quarter_temperature, warmest),
        _at(quarter_temperature, coldest),
        precipitation.sum(axis=0),
        precipitation.max(axis=0),
        precipitation.min(axis=0),
        100.0 * precipitation.std(axis=0, ddof=1) / (1.0 + precipitation.mean(axis=0)),
        _at(quarter_rain, wettest),
        _at(quarter_rain, driest),
        _at(quarter_rain, warmest),
        _at(quarter_rain, coldest),
    )
    return {f"BIO{i}": value for i, value in enumerate(values, start=1)}


def _quarters(monthly: NDArray) -> NDArray:
    """Sums over the twelve runs of three months, around the year, (12, n)."""
    return monthly + np.roll(monthly, -1, axis=0) + np.roll(monthly, -2, axis=0)


def _at(values: NDArray, which: NDArray) -> NDArray:
    return np.take_along_axis(values, which[None], axis=0)[0]
