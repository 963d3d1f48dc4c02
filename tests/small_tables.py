"""The three raw tables of a small study, thirty profiles of two layers and two land cells, for the tests of stage 1."""

from pathlib import Path

import numpy as np
import pandas as pd

from proda.data.grid import cell_area
from proda.study import Study

N = 30


def grid_rows() -> pd.DataFrame:
    """Two land cells of grid_half_degree.csv."""
    driver = {
        "land_fraction": 1.0, "cell_area_m2": float(cell_area(40.25)),
        "mean_annual_temperature_degC": 10.0, "precipitation_mm_yr": 700.0,
        "clm5_npp_gC_m2_yr": 300.0, "npp_gC_m2_yr": 400.0, "sand_fraction": 0.4, "clay_fraction": 0.2,
        "water_wilting_m3_m3": 0.15, "water_field_capacity_m3_m3": 0.26, "water_saturation_m3_m3": 0.44,
        "igbp_land_cover": 10, "koppen_class": 6, "ref_whrc_soc_0_30cm_kg_m2": 5.0,
    }  # fmt: skip
    return pd.DataFrame([{"lon": lon, "lat": 40.25} | driver for lon in (-100.25, -99.75)])


def write_tables(folder: Path, grid: pd.DataFrame | None = None, lon=-100.2) -> Path:
    """profiles.csv, layers.csv and grid_half_degree.csv in `folder`; `lon` of the profiles."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = np.repeat([f"p{i:02d}" for i in range(N)], 2)
    profiles = pd.DataFrame({"profile_id": ids[::2], "lon": lon, "lat": 40.2, "source": "Böden"})
    profiles.to_csv(folder / "profiles.csv", index=False)
    layers = pd.DataFrame({"profile_id": ids, "layer": [1, 2] * N, "upper_depth_m": [0, 0.3] * N})
    carbon = np.random.default_rng(1).uniform(5, 30, 2 * N)
    layers.assign(lower_depth_m=[0.3, 1.0] * N, soc_kg_m3=carbon).to_csv(folder / "layers.csv", index=False)
    (grid_rows() if grid is None else grid).to_csv(folder / "grid_half_degree.csv", index=False)
    return folder


def small_study(folder: Path, grid: pd.DataFrame | None = None, lon=-100.2, **settings) -> Study:
    """The study of these tables, written to a folder with spaces and letters of other languages."""
    raw = write_tables(folder / "données brutes 土壤", grid, lon)
    return Study.open("your-region", data=raw, out=folder / "out", settings=settings)
