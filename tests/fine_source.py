"""A small source of fine maps: forcing and two covariates on cells, some of them with gaps."""

import numpy as np
import xarray as xr

from proda.data.forcing import VARIABLES
from proda.maps.fine_grid import MapDraws
from proda.model.configuration import PAPER_COLUMN
from proda.model.forcing import Forcing

HIGHEST = 0.9


def fine_source(n: int, seed: int = 5, gaps: bool = True) -> xr.Dataset:
    """Forcing of `n` cells with the variables and units of forcing.nc, covariates `wet` and `warm`, areas."""
    rng = np.random.default_rng(seed)
    npp = rng.uniform(100, 900, n)
    forcing = Forcing(
        soil_temperature=rng.uniform(265, 300, n) + 0.5 * np.arange(PAPER_COLUMN.n_layers)[:, None],
        water_potential=-rng.uniform(0.001, 5, (PAPER_COLUMN.n_layers, n)),
        active_layer=np.where(rng.random(n) < 0.2, rng.uniform(0, 4, n), 35.0),
        npp_mean=npp,
        npp_min=0.7 * npp,
        npp_max=1.3 * npp,
    )
    data = {
        name: (dims, getattr(forcing, field).copy(), {"units": attributes["units"]})
        for name, (field, dims, attributes) in VARIABLES.items()
    }
    data |= {name: ("cell", rng.random(n)) for name in ("wet", "warm")}
    data |= {"cell_area": ("cell", rng.uniform(1e6, 2e6, n)), "land_fraction": ("cell", rng.uniform(0.1, 1, n))}
    if gaps:
        data["soil_temperature"][1][3, 4] = np.nan
        data["npp_mean"][1][9] = np.nan
        data["wet"][1][n // 2] = np.nan
    coords = {"lon": ("cell", rng.uniform(-120, -70, n)), "lat": ("cell", rng.uniform(25, 49, n))}
    return xr.Dataset(data, coords)


class Responding:
    """A predictor whose draws follow two covariates, trained up to `HIGHEST`; interrupts at call `breaks_at`."""

    covariates = ("wet", "warm")

    def __init__(self, n_draws: int, breaks_at: int | None = None) -> None:
        rng = np.random.default_rng(2)
        self.centre = rng.uniform(0.3, 0.6, (n_draws, 25, 1))
        self.slope = rng.uniform(-0.2, 0.2, (2, 1, 25, 1))
        self.calls, self.breaks_at = 0, breaks_at

    def __call__(self, covariates):
        self.calls += 1
        if self.breaks_at is not None and self.calls >= self.breaks_at:
            raise KeyboardInterrupt
        wet, warm = covariates["wet"].to_numpy(), covariates["warm"].to_numpy()
        x = self.centre + self.slope[0] * wet + self.slope[1] * warm
        return MapDraws(x, (wet > HIGHEST).astype(float) + (warm > HIGHEST))
