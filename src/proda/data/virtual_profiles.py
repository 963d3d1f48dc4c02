"""Pits dug on the made continent: where, how deep, in which layers, and what a laboratory would report of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from proda.data.grid import cells_at
from proda.data.outlines import land
from proda.data.virtual_climate import waves
from proda.data.virtual_fields import virtual_covariates
from proda.data.virtual_truth import site_noise, true_parameters
from proda.model.forcing import Forcing
from proda.model.observation import at_depths
from proda.model.parameters import physical
from proda.model.steady_state import soc_density, steady_state

RELATIVE_SD = 0.3

_SOURCES = ("Survey A", "Survey B", "Wetland programme", "Field stations")
_LAND_USE = {
    1: "evergreen forest", 4: "deciduous forest", 5: "mixed forest", 7: "rangeland", 8: "woodland", 10: "grassland",
    12: "cropland", 14: "cropland and pasture",
}  # fmt: skip


class Pits(NamedTuple):
    """Pits and what is true of them.

    Attributes
    ----------
    profiles, layers : DataFrame
        In the columns of profiles.csv and layers.csv (`proda.data.readers.tidy_tables`).
    x : (25, n)
        True parameters on the unit cube.
    soc : (10, n), g C m-3
        True profile.
    """

    profiles: pd.DataFrame
    layers: pd.DataFrame
    x: NDArray
    soc: NDArray


def pits(n: int, grid: pd.DataFrame, forcing: Forcing, seed: int, relative_sd: float = RELATIVE_SD) -> Pits:
    """`n` pits at random places, with carbon sampled from the model at the middle of every layer.

    The model is run with the forcing of the pit's land cell, as the assimilation will run it, and with the true
    parameters of the pit's own position. Observations are the model's values times a gamma variate of mean 1 and
    standard deviation `relative_sd`: the error is unbiased and proportional, and carbon stays positive.

    Parameters
    ----------
    grid : DataFrame
        `lon`, `lat` of the land cells, n_cells rows.
    forcing : Forcing
        Of the land cells.
    relative_sd : float
        0 gives the model's own values.
    """
    rng = np.random.default_rng([seed, n, 1])
    lon, lat = places(n, grid, seed, rng)
    covariates = virtual_covariates(lon, lat, seed)
    x = true_parameters(covariates, site_noise(n, rng))
    cell, _ = cells_at(lon, lat, grid)
    at_pit = forcing.take(cell)
    soc = soc_density(steady_state(physical(x, at_pit), at_pit))
    layers = _horizons(n, rng)
    middle = 0.5 * (layers["upper_depth_m"] + layers["lower_depth_m"])
    observed = at_depths(soc, layers["pit"].to_numpy(), middle.to_numpy()) / 1000.0
    if relative_sd > 0:
        observed = observed * rng.gamma(relative_sd**-2, relative_sd**2, len(layers))
    profiles = _descriptions(lon, lat, covariates, rng)
    layers = _laboratory(layers, observed, covariates, profiles["profile_id"].to_numpy(), rng)
    return Pits(profiles, layers, x, soc)


def places(n: int, grid: pd.DataFrame, seed: int, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Longitudes and latitudes of `n` random places on land, crowded where surveys like to go, (n,) each.

    Small islands far from every land cell of `grid` stay empty.
    """
    west, south, east, north = land().bounds
    lon, lat = np.empty(0), np.empty(0)
    shapely.prepare(land())
    while len(lon) < n:
        trial_lon, trial_lat = rng.uniform(west, east, 4 * n + 100), rng.uniform(south, north, 4 * n + 100)
        popular = 0.45 + 0.25 * np.tanh(waves(trial_lon, trial_lat, seed, "surveys", 3.0))
        kept = (rng.random(len(popular)) < popular * np.cos(np.radians(trial_lat))) & shapely.contains_xy(
            land(), trial_lon, trial_lat
        )
        kept[kept] = cells_at(trial_lon[kept], trial_lat[kept], grid, tolerance=0.25)[0] >= 0
        lon, lat = np.append(lon, trial_lon[kept]), np.append(lat, trial_lat[kept])
    return lon[:n].round(5), lat[:n].round(5)


def _horizons(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Layers of `n` pits: 2 to 8 each, thicker with depth, down to 0.4 to 2.4 m, bounds to the centimetre."""
    n_layers = rng.choice(np.arange(2, 9), n, p=[0.16, 0.22, 0.2, 0.16, 0.12, 0.08, 0.06])
    bottom = rng.uniform(0.4, 1.1, n) + 1.3 * rng.beta(1.2, 1.6, n) * (n_layers > 2)
    pit = np.repeat(np.arange(n), n_layers)
    layer = np.arange(len(pit)) - np.repeat(np.cumsum(n_layers) - n_layers, n_layers)
    share = np.exp(0.35 * layer) * rng.uniform(0.6, 1.4, len(pit))
    thickness = share / np.bincount(pit, share)[pit] * bottom[pit]
    thickness = np.maximum(thickness.round(2), 0.04)
    lower = pd.Series(thickness).groupby(pit).cumsum().round(2).to_numpy()
    upper = (lower - thickness).round(2)
    return pd.DataFrame({"pit": pit, "layer": layer + 1, "upper_depth_m": upper, "lower_depth_m": lower})


def _descriptions(lon: NDArray, lat: NDArray, covariates: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    n = len(lon)
    land_use = covariates["IGBP"].astype(int).map(_LAND_USE).to_numpy(object)
    land_use[rng.random(n) < 0.2] = None
    year = rng.integers(1975, 2018, n).astype(float)
    year[rng.random(n) < 0.15] = np.nan
    return pd.DataFrame(
        {
            "profile_id": [f"P{i:05d}" for i in range(1, n + 1)],
            "lon": lon,
            "lat": lat,
            "source": rng.choice(_SOURCES, n, p=[0.5, 0.35, 0.08, 0.07]),
            "land_use": land_use,
            "state": None,
            "year": year,
        }
    )


def _laboratory(
    layers: pd.DataFrame, observed: NDArray, covariates: pd.DataFrame, names: NDArray, rng: np.random.Generator
) -> pd.DataFrame:
    """The layers as a laboratory reports them: carbon by mass, bulk density, coarse fragments, carbon by volume."""
    pit = layers["pit"].to_numpy()
    typical = covariates[["Bulk_Density_0cm", "Bulk_Density_30cm", "Bulk_Density_100cm"]].mean(axis=1).to_numpy()[pit]
    density = typical / 1000.0 * np.exp(-observed / 150.0) * rng.uniform(0.9, 1.1, len(pit))
    density = density.clip(0.25, 1.9).round(2)
    coarse = (covariates["Coarse_Fragments_v_30cm"].to_numpy()[pit] / 100.0 * rng.uniform(0.3, 1.5, len(pit))).round(2)
    coarse = np.minimum(coarse, 0.6)
    return pd.DataFrame(
        {
            "profile_id": names[pit],
            "layer": layers["layer"],
            "upper_depth_m": layers["upper_depth_m"],
            "lower_depth_m": layers["lower_depth_m"],
            "oc_percent": observed / (10.0 * density * (1.0 - coarse)),
            "bulk_density_g_cm3": density,
            "coarse_fraction": coarse,
            "soc_kg_m3": observed,
        }
    )
