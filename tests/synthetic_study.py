"""A small study folder with exactly the files the stages before leave, made in a second from a known truth."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas
import numpy as np
import pandas as pd
import shapely
import xarray as xr
from columns import seasonal_forcing

from proda.data.forcing import forcing_dataset
from proda.data.region import conterminous_land
from proda.kernels import steady_state as kernels
from proda.learning.scores import parameter_skill
from proda.maps.stage import Results, final_results
from proda.model.configuration import CONFIGURATIONS
from proda.model.forcing import Forcing
from proda.model.observation import at_depths
from proda.model.parameters import ParameterTable, physical, with_positive_cwd_share


class FolderStudy:
    """The part of `proda.study.Study` that stage 6 uses, for a folder that exists."""

    name, scale, label, title, seed = "virtual", "tiny", "virtual-tiny", "A made continent", 20200017

    def __init__(self, out: Path, map_draws: int = 40) -> None:
        self.out = out
        self.settings = {"map_draws": map_draws, "observation_operator": "mid-depth"}

    def __getitem__(self, name: str):
        return self.settings[name]

    def require(self, *names: str) -> None:
        pass

    def path(self, name: str) -> Path:
        return self.out / name


@cache
def small_results(configuration: str = "paper") -> Results:
    """The results of stage 6 for such a study; to be read, not changed."""
    with TemporaryDirectory() as folder:
        return final_results(write_study(Path(folder), configuration=configuration))


def write_study(
    out: Path, resolution: float = 2.0, n_sites: int = 120, references: bool = True, configuration: str = "paper"
) -> FolderStudy:
    """Write the files into `out`: a coarse grid, sites of three to six layers, posteriors scattered about the truth."""
    rng = np.random.default_rng(1)
    lon, lat = (a.ravel() for a in np.meshgrid(np.arange(-125, -66, resolution) + resolution / 2,
                                               np.arange(25, 50, resolution) + resolution / 2))  # fmt: skip
    inside = shapely.contains_xy(conterminous_land(), lon, lat)
    lon, lat = lon[inside], lat[inside]
    n = lon.size
    cell = np.sort(rng.integers(n, size=n_sites))
    forcing = Forcing(
        soil_temperature=np.repeat(300 - 0.6 * (lat - 25)[None], 10, axis=0),
        water_potential=np.repeat(-0.5 - 1.5 * ((lon < -100) * (-100 - lon) / 20)[None], 10, axis=0),
        active_layer=np.full(n, 35.0),
        npp_mean=200 + 500 * (lon > -100) + 5.0 * (50 - lat),
        npp_min=0.7 * (200 + 500 * (lon > -100) + 5.0 * (50 - lat)),
        npp_max=1.3 * (200 + 500 * (lon > -100) + 5.0 * (50 - lat)),
    )
    of_model = CONFIGURATIONS[configuration]
    table, column = of_model.parameters, of_model.column
    if of_model.monthly:
        forcing = seasonal_forcing(n)
    waves = rng.uniform(0.5, 2, (len(table), 2)), rng.uniform(0, 6, len(table))
    centre = np.full((len(table), 1), 0.5)
    centre[[table.index(name) for name in ("tau4s2", "tau4s3", "fs1s3", "fs2s3")]] = 0.25
    x_cell = centre + 0.2 * np.sin(waves[0][:, :1] * lon / 15 + waves[0][:, 1:] * lat / 10 + waves[1][:, None])
    x_cell = with_positive_cwd_share(x_cell.T)[0].T
    x_site = np.clip(x_cell[:, cell] + 0.03 * rng.standard_normal((len(table), n_sites)), 0.01, 0.99)
    x_site = with_positive_cwd_share(x_site.T)[0].T
    at_sites = forcing.take(cell)
    soc_cell = kernels.soc_density(physical(x_cell, forcing, table), forcing, of_model)
    soc_site = kernels.soc_density(physical(x_site, at_sites, table), at_sites, of_model)
    _write_grid(out, lon, lat, resolution, soc_cell if references else None, column, rng)
    forcing_dataset(forcing, lon, lat, "Made for the test: smooth fields.").to_netcdf(out / "forcing.nc")
    ids = np.array([f"P{i:05d}" for i in range(n_sites)])
    _write_profiles(out, ids, cell, lon, lat, soc_site, column, rng)
    _write_posteriors(out, ids, x_site, soc_site, cell, x_cell, table, rng)
    xr.Dataset(
        {"x_site": (("parameter", "site"), x_site), "x_cell": (("parameter", "cell"), x_cell),
         "soc_site": (("layer", "site"), soc_site), "soc_cell": (("layer", "cell"), soc_cell)},
        coords={"parameter": list(table.names)},
    ).to_netcdf(out / "truth.nc")  # fmt: skip
    return FolderStudy(out)


def _write_grid(out, lon, lat, resolution, soc_cell, column, rng):
    half = np.radians(resolution / 2)
    grid = xr.Dataset({
        "lon": ("cell", lon), "lat": ("cell", lat), "land_fraction": ("cell", rng.uniform(0.5, 1, lon.size)),
        "cell_area": ("cell", 6371007.2**2 * 4 * half * np.sin(half) * np.cos(np.radians(lat))),
        "land_cover": ("cell", rng.choice([1, 4, 5, 7, 9, 10, 11, 12, 14], lon.size)),
        "sand_percent": ("cell", rng.uniform(20, 90, lon.size)),
    }, attrs={"resolution_degrees": resolution})  # fmt: skip
    if soc_cell is not None:
        for lower in (30, 100, 200):
            share = np.clip((lower / 100 - column.top) / column.thickness, 0, 1) * column.thickness
            stock = share @ soc_cell / 1000
            stock[::23] = np.nan
            grid[f"ref_whrc_soc_0_{lower}cm_kg_m2"] = ("cell", stock)
    grid.to_netcdf(out / "grid.nc")


def _write_profiles(out, ids, cell, lon, lat, soc_site, column, rng):
    n_layers = rng.integers(3, 7, ids.size)
    site = np.repeat(np.arange(ids.size), n_layers)
    layer = np.concatenate([np.arange(k) for k in n_layers])
    lower = 0.09 * 2.0**layer
    upper = np.where(layer == 0, 0.0, lower / 2)
    depth = (upper + lower) / 2
    soc = at_depths(soc_site, site, depth, column) * np.exp(0.3 * rng.standard_normal(site.size))
    pd.DataFrame({"profile_id": ids[site], "site": site, "layer": layer, "upper_depth": upper, "lower_depth": lower,
                  "depth": depth, "soc": soc,
                  "kind": "mineral", "density_relative_sd": 0.0}).to_parquet(out / "layers.parquet")  # fmt: skip
    with xr.open_dataset(out / "grid.nc") as grid:
        cover = grid["land_cover"].values[cell]
    profiles = pd.DataFrame({"profile_id": ids, "lon": lon[cell], "lat": lat[cell], "source": "made", "year": 2000.0,
                             "land_use": rng.choice(["Forest", "Wetland", None], ids.size), "state": None, "cell": cell,
                             "land_cover": cover, "n_layers": n_layers, "max_depth": 1.0})  # fmt: skip
    points = geopandas.points_from_xy(profiles["lon"], profiles["lat"], crs=4326)
    geopandas.GeoDataFrame(profiles, geometry=points).to_parquet(out / "profiles.parquet")


def _write_posteriors(out, ids, x_site, soc_site, cell, x_cell, table: ParameterTable, rng):
    n, names = ids.size, list(table.names)

    def scattered(x, sd):
        return np.clip(x + sd * rng.standard_normal(x.shape), 0.01, 0.99)

    pooled = scattered(np.full((3, 200, len(names)), 0.45), 0.08)
    xr.Dataset({"x": (("chain", "draw", "parameter"), pooled)}, coords={"parameter": names}).to_netcdf(
        out / "one_batch.nc", group="posterior"
    )
    place = ("site", "parameter")
    xr.Dataset(
        {"x_mode": (place, scattered(x_site.T, 0.1)),
         "x_mean": (place, with_positive_cwd_share(scattered(x_site.T, 0.05))[0]),
         "x_sd": (place, rng.uniform(0.1, 0.3, (n, len(names)))),
         "soc_mean": (("site", "layer"), (soc_site * np.exp(0.1 * rng.standard_normal(soc_site.shape))).T)},
        coords={"profile_id": ("site", ids.astype(object)), "parameter": np.array(names, dtype=object)},
    ).to_zarr(out / "sites.zarr", mode="w", consolidated=False)  # fmt: skip
    used = np.arange(n) % 12 != 0
    pd.DataFrame({"profile_id": ids, "site": np.arange(n), "status": "converged", "efficiency": np.where(used, 0.9, -1),
                  "used_downstream": used}).to_csv(out / "site_status.csv", index=False)  # fmt: skip
    split = np.where(used, rng.choice(["train", "train", "train", "validation", "test"], n), "unused")
    m = x_cell.shape[1]
    places = pd.DataFrame({"place": ["site"] * n + ["cell"] * m, "profile_id": [*ids, *[None] * m],
                           "site": pd.array([*range(n), *[pd.NA] * m], dtype="Int64"), "cell": [*cell, *range(m)],
                           "split": [*split, *[None] * m],
                           "extrapolated": [*[0] * n, *(np.arange(m) % 4)]})  # fmt: skip
    predicted = with_positive_cwd_share(np.concatenate([scattered(x_site.T, 0.05), scattered(x_cell.T, 0.03)]))[0]
    predicted = pd.DataFrame(predicted, columns=names)
    pd.concat([places, predicted], axis=1).to_parquet(out / "network_parameters.parquet")
    skill = parameter_skill(predicted[names].to_numpy()[:n], split, x_site.T, np.full((n, len(names)), 0.2))
    skill.to_csv(out / "network_skill.csv", index=False)
    members = {
        f"x_{place}": (("member", place, "parameter"), np.stack([inside(scattered(x.T, 0.04)) for _ in range(3)]))
        for place, x in (("site", x_site), ("cell", x_cell))
    }
    error = {"unseen_log_variance": [0.04, 0.09, 0.16], "common_log_variance": [0.0, 0.01, 0.04]}
    error_of_map = {name: ("stratum", values) for name, values in {**error, "coverage": [0.9, 0.88, np.nan]}.items()}
    beyond = {"extrapolated_cell": ("cell", rng.integers(0, 3, m))}
    xr.Dataset(
        members | beyond | error_of_map, coords={"parameter": names}, attrs={"study": "virtual-tiny", "block_km": 400.0}
    ).to_netcdf(out / "hybrid_parameters.nc")


def inside(x):
    """Parameters (n, 25) that leave a share to coarse woody debris."""
    return with_positive_cwd_share(x)[0]
