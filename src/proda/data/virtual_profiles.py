"""The virtual study: synthetic profiles on the land of a region, with known parameters, and faults of the kinds that
real collections have.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import shapely
import xarray as xr
from numpy.typing import NDArray

from proda.data.grid import cells_at, land_cells
from proda.data.region import Region, continuous
from proda.data.virtual_continent import site_noise, true_parameters, virtual_covariates, virtual_forcing, waves
from proda.model.configuration import Configuration, configuration_of
from proda.model.forcing import AnyForcing
from proda.model.observation import layer_means
from proda.model.parameters import physical
from proda.model.solver import soc_density, steady_state

_SOURCES = ("Survey A", "Survey B", "Wetland programme", "Field stations")
_LAND_USE = {
    1: "evergreen forest", 4: "deciduous forest", 5: "mixed forest", 7: "rangeland", 8: "woodland", 10: "grassland",
    12: "cropland", 14: "cropland and pasture",
}  # fmt: skip
# Share of profiles that get each fault. The first group is spoiled beyond use; of the second one layer is lost.
_WHOLE = {"position missing": 0.01, "off the land": 0.01, "one layer": 0.03, "no density at all": 0.02}
DUPLICATES = 0.02
_LAYER = {
    "no density": 0.04, "inverted depths": 0.015, "zero carbon": 0.015, "implausible density": 0.01,
    "below the model": 0.008, "overlapping layers": 0.01,
}  # fmt: skip


_NODE = {"standard_name": "depth", "units": "m", "positive": "down"}


class VirtualContinent(NamedTuple):
    """Land, its cells in the columns of `grid.nc`, the paper's 60 covariates at their centres, and their forcing."""

    land: shapely.Geometry
    cells: pd.DataFrame
    covariates: pd.DataFrame
    forcing: AnyForcing

    @property
    def configuration(self) -> Configuration:
        return configuration_of(self.forcing)

    def soc(self, x: NDArray, forcing: AnyForcing) -> NDArray[np.float64]:
        """Carbon of columns with the parameters `x` on the unit cube, (n_layers, n), g C m-3."""
        theta = physical(x, forcing, self.configuration.parameters)
        return soc_density(steady_state(theta, forcing, self.configuration))


def virtual_continent(region: Region, seed: int, configuration: Configuration) -> VirtualContinent:
    """The virtual continent of a seed on the land of a region, with the forcing of a configuration."""
    cells = land_cells(region.land, region.resolution)
    covariates = virtual_covariates(cells["lon"], cells["lat"], seed)
    cells = cells.assign(land_cover=covariates["IGBP"].astype(int), sand_percent=covariates["Sand_Content_0cm"])
    return VirtualContinent(region.land, cells, covariates, virtual_forcing(covariates, configuration))


def write_raw_profiles(continent: VirtualContinent, n_profiles: int, seed: int, folder: Path) -> Pits:
    """Write profiles.csv, layers.csv and planted_faults.csv into `folder`; the files are the same for the same seed.

    Profiles that are spoiled beyond use come on top of `n_profiles`. Returned are all pits before faults were planted.
    """
    n_spoiled = sum(_count(share, n_profiles) for share in _WHOLE.values())
    sampled = pits(n_profiles + n_spoiled, continent, seed)
    off = off_the_land(continent.cells, seed)
    profiles, layers, planted = _with_faults(sampled.profiles, sampled.layers, n_profiles, off, seed)
    folder.mkdir(parents=True, exist_ok=True)
    profiles.to_csv(folder / "profiles.csv", index=False)
    layers.to_csv(folder / "layers.csv", index=False, float_format="%.7g")
    planted.to_csv(folder / "planted_faults.csv", index=False)
    return sampled


def truth_dataset(continent: VirtualContinent, sampled: Pits, profiles: pd.DataFrame) -> xr.Dataset:
    """The truth at the cleaned sites, in the order of `profiles`, and at the land cells, as `truth.nc` holds it.

    At a site it includes the site's noise; at a cell it is what the covariates alone give.
    """
    row = pd.Index(sampled.profiles["profile_id"]).get_indexer(profiles["profile_id"])
    configuration = continent.configuration
    x_cell = true_parameters(continent.covariates, configuration.parameters)
    soc_cell = continent.soc(x_cell, continent.forcing)
    cube = {"units": "1", "long_name": "true parameter, position between its bounds"}
    density = {"units": "g m-3", "long_name": "true soil organic carbon per volume of soil"}
    return xr.Dataset(
        {
            "x_site": (("parameter", "site"), sampled.x[:, row], cube),
            "x_cell": (("parameter", "cell"), x_cell, cube),
            "soc_site": (("layer", "site"), sampled.soc[:, row], density),
            "soc_cell": (("layer", "cell"), soc_cell, density),
        },
        {
            "parameter": list(configuration.parameters.names),
            "node_depth": ("layer", configuration.column.node, _NODE),
            "profile_id": ("site", profiles["profile_id"].to_numpy(dtype=object)),
            "lon": ("cell", continent.cells["lon"].to_numpy(), {"standard_name": "longitude", "units": "degrees_east"}),
            "lat": ("cell", continent.cells["lat"].to_numpy(), {"standard_name": "latitude", "units": "degrees_north"}),
        },
        {"Conventions": "CF-1.11", "title": "True parameters and carbon of the virtual study"},
    )


class Pits(NamedTuple):
    """Soil pits in the columns of profiles.csv and layers.csv, and what is true of them."""

    profiles: pd.DataFrame
    layers: pd.DataFrame
    x: NDArray  # (n_parameters, n), true parameters on the unit cube
    soc: NDArray  # (n_layers, n), g C m-3, true carbon at the nodes


def pits(n: int, continent: VirtualContinent, seed: int, relative_sd: float = 0.3) -> Pits:
    """`n` pits at random places, with the model's mean carbon of every layer.

    The model is run with the forcing of the pit's land cell, as the assimilation will run it, and with the
    true parameters of the pit's own position. Observations are the model's values times a gamma variate of mean 1 and
    standard deviation `relative_sd`: the error is unbiased and proportional, and carbon stays positive.
    """
    rng = np.random.default_rng([seed, n, 1])
    lon, lat = _places(n, continent.land, continent.cells, seed, rng)
    covariates = virtual_covariates(lon, lat, seed)
    column, table = continent.configuration.column, continent.configuration.parameters
    x = true_parameters(covariates, table, site_noise(n, rng, table))
    cell, _ = cells_at(lon, lat, continent.cells)
    at_pit = continent.forcing.take(cell)
    soc = continent.soc(x, at_pit)
    layers = _horizons(n, rng)
    bounds = (layers[name].to_numpy() for name in ("pit", "upper_depth_m", "lower_depth_m"))
    observed = layer_means(soc, *bounds, column) / 1000.0
    if relative_sd > 0:
        observed = observed * rng.gamma(relative_sd**-2, relative_sd**2, len(layers))
    land_use = covariates["IGBP"].astype(int).map(_LAND_USE).to_numpy(object)
    land_use[rng.random(n) < 0.2] = None
    year = rng.integers(1975, 2018, n).astype(float)
    year[rng.random(n) < 0.15] = np.nan
    profiles = pd.DataFrame(
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
    layers = _laboratory(layers, observed, covariates, profiles["profile_id"].to_numpy(), rng)
    return Pits(profiles, layers, x, soc)


def _places(
    n: int, land: shapely.Geometry, grid: pd.DataFrame, seed: int, rng: np.random.Generator
) -> tuple[NDArray, NDArray]:
    """Random places on land, crowded where surveys like to go, none on islands far from every cell of `grid`."""
    west, south, east, north = land.bounds
    lon, lat = np.empty(0), np.empty(0)
    shapely.prepare(land)
    while len(lon) < n:
        trial_lon, trial_lat = rng.uniform(west, east, 4 * n + 100), rng.uniform(south, north, 4 * n + 100)
        popular = 0.45 + 0.25 * np.tanh(waves(trial_lon, trial_lat, seed, "surveys", 3.0))
        kept = (rng.random(len(popular)) < popular * np.cos(np.radians(trial_lat))) & shapely.contains_xy(
            land, trial_lon, trial_lat
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


def _laboratory(layers, observed: NDArray, covariates, names: NDArray, rng: np.random.Generator) -> pd.DataFrame:
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
            **layers[["layer", "upper_depth_m", "lower_depth_m"]],
            "oc_percent": observed / (10.0 * density * (1.0 - coarse)),
            "bulk_density_g_cm3": density,
            "coarse_fraction": coarse,
            "soc_kg_m3": observed,
        }
    )


def _count(share: float, n: int) -> int:
    return max(2, round(share * n))


def off_the_land(cells: pd.DataFrame, seed: int, n: int = 6) -> NDArray:
    """Places, (n, 2) degrees, more than 1.1 degrees from every cell, within their extent where there are such."""
    rng = np.random.default_rng([seed, n, 3])
    lon, lat = continuous(cells["lon"]), cells["lat"].to_numpy()
    (west, east), (south, north) = ((x.min(), x.max()) for x in (lon, lat))
    x, y = rng.uniform(west - 5, east + 5, 4000), rng.uniform(south - 5, north + 5, 4000).clip(-89, 89)
    far = cells_at(np.mod(x + 180, 360) - 180, y, cells)[1] > 1.1
    outside = (x < west) | (x > east) | (y < south) | (y > north)
    places = np.column_stack([np.mod(x + 180, 360) - 180, y])[far]
    return places[np.argsort(outside[far], kind="stable")][:n]


def _with_faults(
    profiles: pd.DataFrame, layers: pd.DataFrame, n_sound: int, off: NDArray, seed: int
) -> tuple[pd.DataFrame, ...]:
    """Tables with faults, of which cleaning leaves the first `n_sound` profiles, and a list of the faults."""
    rng = np.random.default_rng([seed, n_sound, 2])
    profiles, layers = profiles.copy(), layers.copy()
    planted: list[pd.DataFrame] = []
    ids = profiles["profile_id"].to_numpy()
    start = n_sound
    for fault, share in _WHOLE.items():
        chosen = ids[start : start + _count(share, n_sound)]
        start += len(chosen)
        profiles, layers = _spoil(fault, chosen, profiles, layers, planted, off, rng)

    sound = ids[:n_sound]
    rich = layers["profile_id"].value_counts()
    rich = rng.permutation(sound[rich.reindex(sound).to_numpy() >= 3])
    for fault, share in _LAYER.items():
        chosen, rich = np.split(rich, [_count(share, n_sound)])
        layers = _damage(fault, chosen, layers, planted)

    copied = rng.choice(sound, _count(DUPLICATES, n_sound), replace=False)
    # The same pits under second identifiers, positions to the hundredth of a degree, as collections overlap.
    twins, twin_layers = (
        table[table["profile_id"].isin(copied)].assign(profile_id=lambda t: "D" + t["profile_id"].str[1:])
        for table in (profiles, layers)
    )
    planted.append(_listed(twins["profile_id"].to_numpy(), "duplicate profile"))
    twins[["lon", "lat"]] = twins[["lon", "lat"]].round(2)
    profiles, layers = pd.concat([profiles, twins]), pd.concat([layers, twin_layers])
    # Cleaning keeps the first of two alike: copies come last.
    order = rng.permutation(len(profiles))
    copy = profiles["profile_id"].str.startswith("D").to_numpy()[order]
    profiles = profiles.iloc[np.concatenate([order[~copy], order[copy]])].reset_index(drop=True)
    return profiles, layers.reset_index(drop=True), pd.concat(planted, ignore_index=True)


def _listed(ids, rule: str, layer=pd.NA) -> pd.DataFrame:
    return pd.DataFrame({"profile_id": ids, "layer": layer, "rule": rule}).astype({"layer": "Int64"})


def _spoil(fault, chosen, profiles, layers, planted, off, rng):
    rows, hit = profiles["profile_id"].isin(chosen), layers["profile_id"].isin(chosen)
    if fault == "position missing":
        profiles.loc[rows, ["lon", "lat"]] = np.nan
    elif fault == "off the land":
        at_sea = off[rng.integers(len(off), size=len(chosen))] + rng.uniform(-0.5, 0.5, (len(chosen), 2))
        profiles.loc[rows, ["lon", "lat"]] = at_sea.round(5)
    elif fault == "one layer":
        layers = layers[~hit | (layers["layer"] == 1)]
    else:
        layers.loc[hit, ["bulk_density_g_cm3", "soc_kg_m3"]] = np.nan
        lost = layers[hit]
        planted.append(_listed(lost["profile_id"].to_numpy(), "no density", lost["layer"].to_numpy()))
    planted.append(_listed(chosen, fault if fault in ("position missing", "off the land") else "too few layers"))
    return profiles, layers


def _damage(fault, chosen, layers, planted):
    second = layers["profile_id"].isin(chosen) & (layers["layer"] == 2)
    if fault == "no density":
        layers.loc[second, ["bulk_density_g_cm3", "soc_kg_m3"]] = np.nan
    elif fault == "inverted depths":
        bounds = ["upper_depth_m", "lower_depth_m"]
        layers.loc[second, bounds] = layers.loc[second, bounds[::-1]].to_numpy()
    elif fault == "zero carbon":
        layers.loc[second, ["oc_percent", "soc_kg_m3"]] = 0.0
    elif fault == "implausible density":  # bulk density in kg m-3 taken for g cm-3
        layers.loc[second, ["bulk_density_g_cm3", "soc_kg_m3"]] *= 1000.0
    else:
        last = layers[layers["profile_id"].isin(chosen)].groupby("profile_id", sort=False).tail(1)
        added = last.assign(layer=last["layer"] + 1)
        if fault == "below the model":
            added = added.assign(upper_depth_m=3.7, lower_depth_m=4.3)
        else:
            middle = 0.5 * (last["upper_depth_m"] + last["lower_depth_m"])
            added = added.assign(upper_depth_m=middle.round(3), lower_depth_m=last["lower_depth_m"] + 0.05)
        planted.append(_listed(added["profile_id"].to_numpy(), fault, added["layer"].to_numpy()))
        return pd.concat([layers, added])
    planted.append(_listed(chosen, fault, 2))
    return layers
