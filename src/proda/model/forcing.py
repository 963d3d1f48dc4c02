"""Forcing of the model: climate and carbon input of soil columns, annual (`Forcing`) or monthly (`MonthlyForcing`)."""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray


def _columns(index: ArrayLike | slice) -> ArrayLike | slice:
    """An index that keeps the axis of columns, also for a single integer."""
    return index if isinstance(index, slice) else np.atleast_1d(index)


class Forcing(NamedTuple):
    """Annual-mean forcing of `n` soil columns: the `paper` configuration."""

    soil_temperature: NDArray  # (n_layers, n), K
    water_potential: NDArray  # (n_layers, n), MPa, zero or negative
    active_layer: NDArray  # (n,), m, annual maximum depth of thaw; large where there is no permafrost
    npp_mean: NDArray  # (n,), g C m-2 yr-1, mean over the years
    npp_min: NDArray  # (n,), g C m-2 yr-1, the least and the greatest year bound the carbon input
    npp_max: NDArray  # (n,), g C m-2 yr-1

    @property
    def n_columns(self) -> int:
        return np.shape(self.npp_mean)[-1]

    def take(self, index: ArrayLike) -> "Forcing":
        """The forcing of the columns `index` (an integer, integers, a mask or a slice)."""
        return Forcing(*(np.asarray(field)[..., _columns(index)] for field in self))

    @property
    def annual_temperature(self) -> NDArray:
        """Annual mean soil temperature, (n_layers, n), K."""
        return self.soil_temperature

    @property
    def annual_input(self) -> NDArray:
        """Carbon entering in a mean year, (n,), g C m-2 yr-1."""
        return self.npp_mean

    @property
    def annual_water(self) -> NDArray:
        """Water potential, (n_layers, n), MPa."""
        return self.water_potential

    def warmed(self, kelvin: float) -> "Forcing":
        return self._replace(soil_temperature=self.soil_temperature + kelvin)

    def fertilised(self, factor: float) -> "Forcing":
        """The same forcing with `factor` times the carbon input."""
        return self._replace(
            npp_mean=factor * self.npp_mean, npp_min=factor * self.npp_min, npp_max=factor * self.npp_max
        )


class MonthlyForcing(NamedTuple):
    """A mean year of `n` soil columns by month, of CLM's output: `cesm2`; input is summed, the rest is averaged."""

    soil_temperature: NDArray  # (n_layers, months, n), K, CLM's TSOI
    water_scalar: NDArray  # (n_layers, months, n), 0 to 1, W_SCALAR
    oxygen_scalar: NDArray  # (n_layers, months, n), 0 to 1, O_SCALAR
    nitrogen_scalar: NDArray  # (n_layers, months, n), 0 to 1, FPI_vr
    active_layer: NDArray  # (months, n), m, greatest depth of thaw in this year, ALTMAX
    active_layer_last_year: NDArray  # (months, n), m, and in the previous one, ALTMAX_LASTYEAR
    # Column totals of woody debris, metabolic, cellulose and lignin litter; CLM's fluxes per second times 2.628e6.
    carbon_input: NDArray  # (4, months, n), g C m-2 month-1
    bedrock: NDArray  # (n,), integers, number of layers above bedrock

    @property
    def n_columns(self) -> int:
        return np.shape(self.bedrock)[-1]

    @property
    def n_months(self) -> int:
        return np.shape(self.active_layer)[0]

    def take(self, index: ArrayLike) -> "MonthlyForcing":
        """The forcing of the columns `index` (an integer, integers, a mask or a slice)."""
        return MonthlyForcing(*(np.asarray(field)[..., _columns(index)] for field in self))

    @property
    def annual_temperature(self) -> NDArray:
        """Annual mean soil temperature, (n_layers, n), K."""
        return self.soil_temperature.mean(axis=1)

    @property
    def annual_input(self) -> NDArray:
        """Carbon entering in a mean year, (n,), g C m-2 yr-1."""
        return self.carbon_input.sum(axis=(0, 1))

    @property
    def annual_water(self) -> NDArray:
        """Annual mean of the water scalar, (n_layers, n), 1."""
        return self.water_scalar.mean(axis=1)

    def warmed(self, kelvin: float) -> "MonthlyForcing":
        return self._replace(soil_temperature=self.soil_temperature + kelvin)

    def fertilised(self, factor: float) -> "MonthlyForcing":
        """The same forcing with `factor` times the carbon input."""
        return self._replace(carbon_input=factor * self.carbon_input)


AnyForcing: TypeAlias = Forcing | MonthlyForcing
