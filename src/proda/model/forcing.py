"""Forcing of the model: climate and carbon input of soil columns, annual (`Forcing`) or monthly (`MonthlyForcing`)."""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError


def _columns(index: ArrayLike | slice) -> ArrayLike | slice:
    """An index that keeps the axis of columns, also for a single integer."""
    return index if isinstance(index, slice) else np.atleast_1d(index)


class Forcing(NamedTuple):
    """Annual-mean forcing of `n` soil columns: the `paper` configuration.

    Attributes
    ----------
    soil_temperature : (n_layers, n), K
    water_potential : (n_layers, n), MPa, zero or negative
    active_layer : (n,), m
        Annual maximum depth of thaw; large where there is no permafrost.
    npp_mean, npp_min, npp_max : (n,), g C m-2 yr-1
        Mean over the years, and the least and greatest year: they bound the carbon input.
    """

    soil_temperature: NDArray
    water_potential: NDArray
    active_layer: NDArray
    npp_mean: NDArray
    npp_min: NDArray
    npp_max: NDArray

    @property
    def n_columns(self) -> int:
        return np.shape(self.npp_mean)[-1]

    def take(self, index: ArrayLike) -> "Forcing":
        """The forcing of the columns `index` (an integer, integers, a mask or a slice)."""
        return Forcing(*(np.asarray(field)[..., _columns(index)] for field in self))

    def warmed(self, kelvin: float) -> "Forcing":
        """The same forcing with warmer soil."""
        return self._replace(soil_temperature=self.soil_temperature + kelvin)

    def fertilised(self, factor: float) -> "Forcing":
        """The same forcing with `factor` times the carbon input."""
        return self._replace(
            npp_mean=factor * self.npp_mean, npp_min=factor * self.npp_min, npp_max=factor * self.npp_max
        )


class MonthlyForcing(NamedTuple):
    """A mean year of `n` soil columns, month by month, from what CLM writes: the `cesm2` configuration.

    All months are one year: their carbon input is summed, the rest is averaged.

    Attributes
    ----------
    soil_temperature : (n_layers, months, n), K
        CLM's TSOI.
    water_scalar, oxygen_scalar, nitrogen_scalar : (n_layers, months, n), 0 to 1
        CLM's W_SCALAR, O_SCALAR and FPI_vr.
    active_layer, active_layer_last_year : (months, n), m
        CLM's ALTMAX and ALTMAX_LASTYEAR: greatest depth of thaw in this and in the previous year.
    carbon_input : (4, months, n), g C m-2 month-1
        Column totals of woody debris, metabolic, cellulose and lignin litter; CLM's fluxes per second times 2.628e6.
    bedrock : (n,), integers
        Number of layers above bedrock.
    """

    soil_temperature: NDArray
    water_scalar: NDArray
    oxygen_scalar: NDArray
    nitrogen_scalar: NDArray
    active_layer: NDArray
    active_layer_last_year: NDArray
    carbon_input: NDArray
    bedrock: NDArray

    @property
    def n_columns(self) -> int:
        return np.shape(self.bedrock)[-1]

    @property
    def n_months(self) -> int:
        return np.shape(self.active_layer)[0]

    def take(self, index: ArrayLike) -> "MonthlyForcing":
        """The forcing of the columns `index` (an integer, integers, a mask or a slice)."""
        return MonthlyForcing(*(np.asarray(field)[..., _columns(index)] for field in self))

    def in_month(self, month: int) -> "MonthlyForcing":
        """A year that is `month` (from 0) all the time, for stepping through the seasons."""
        if not 0 <= month < self.n_months:
            raise InputError(f"month is {month}, expected 0 to {self.n_months - 1}: months are counted from 0.")
        *climate, carbon_input, bedrock = self
        chosen = (values[..., month : month + 1, :] for values in climate)
        return MonthlyForcing(*chosen, self.n_months * carbon_input[:, month : month + 1], bedrock)

    def warmed(self, kelvin: float) -> "MonthlyForcing":
        """The same forcing with warmer soil."""
        return self._replace(soil_temperature=self.soil_temperature + kelvin)

    def fertilised(self, factor: float) -> "MonthlyForcing":
        """The same forcing with `factor` times the carbon input."""
        return self._replace(carbon_input=factor * self.carbon_input)


AnyForcing: TypeAlias = Forcing | MonthlyForcing
