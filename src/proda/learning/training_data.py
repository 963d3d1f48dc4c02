"""What networks are trained on: covariates, posteriors, and observed layers of a study's sites."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from proda.assimilation.store import opened_sites
from proda.data.covariates import class_covariates, read_covariates, site_only_covariates
from proda.data.files import known_truth, read_layers, read_profiles, read_site_status
from proda.data.forcing import read_forcing
from proda.data.grid import read_grid
from proda.errors import InputError
from proda.model.configuration import CONFIGURATIONS, Configuration
from proda.model.forcing import AnyForcing
from proda.model.observation import LAYER_MEAN, layer_bounds, layer_means, layer_operator
from proda.study import Study

GRAMS_PER_KG = 1000.0


class Inputs(NamedTuple):
    """Sites in the order of profiles.parquet, cells in that of grid.nc."""

    site_covariates: pd.DataFrame  # (n_sites, n_covariates)
    cell_covariates: pd.DataFrame  # (n_cells, n_covariates)
    places: pd.DataFrame  # `place` ("site" or "cell"), `profile_id`, `site`, `cell` of all sites, then all cells
    x_mean: NDArray[np.float64]  # (n_sites, n_parameters), of the site's posterior, unit cube
    x_sd: NDArray[np.float64]
    used: NDArray[np.bool_]  # (n_sites,), efficiency not negative, the paper's filter


class Truth(NamedTuple):
    """The true parameters of a virtual study, unit cube: (n_sites, n_parameters) and (n_cells, n_parameters)."""

    x_site: NDArray[np.float64]
    x_cell: NDArray[np.float64]


def network_inputs(study: Study) -> Inputs:
    """Covariates and posteriors of the study.

    InputError when two files do not hold the same sites in the same order.
    """
    covariates = study.path("covariates.parquet")
    places = pd.read_parquet(covariates, columns=["place", "profile_id", "site", "cell"])
    places = places.sort_values(["place", "site", "cell"], ascending=[False, True, True], ignore_index=True)
    places = places.astype({"site": "Int64", "cell": "int64"})
    expected = places.loc[places["place"] == "site", "profile_id"]
    status = read_site_status(study.path("site_status.csv"))
    _check_same_sites(expected, status["profile_id"], "site_status.csv")
    with opened_sites(study.path("sites.zarr")) as sites:
        _check_same_sites(expected, sites["profile_id"].to_numpy(), "sites.zarr")
        mean, sd = (_rows(sites[name], "site") for name in ("x_mean", "x_sd"))
    return Inputs(*read_covariates(covariates), places, mean, sd, status["used_downstream"].to_numpy())


def true_parameters(study: Study) -> Truth | None:
    """The truth of a virtual study (truth.nc), None for a study of real profiles."""
    truth = known_truth(study)
    return None if truth is None else Truth(_rows(truth["x_site"], "site"), _rows(truth["x_cell"], "cell"))


def _rows(values: xr.DataArray, place: str) -> NDArray[np.float64]:
    return values.transpose(place, "parameter").to_numpy().astype(np.float64)


def _check_same_sites(expected: Iterable, found: Iterable, file: str) -> None:
    # One kind of string for all: Zarr, pandas and CSV give three.
    both = pd.concat([pd.Series([str(name) for name in names]) for names in (found, expected)], axis=1)
    differ = both[0] != both[1]
    if differ.any():
        row = int(differ.argmax())
        raise InputError(
            f"{file}: site {row} is profile {both[0][row]!r}, covariates.parquet has {both[1][row]!r} there: they are "
            "of different runs; run the study again from the data stage."
        )


class ObservedSites(NamedTuple):
    """What the model needs to be compared with the layers of n sites, m of which the richest site has.

    `forcing` is that of the site's cell, as `packed_forcing`. Bounds and carbon are zero where a site has fewer layers.
    """

    forcing: NDArray[np.float32]  # (n, n_numbers), those of the forcing of a column
    upper: NDArray[np.float64]  # (n, m), m
    lower: NDArray[np.float64]  # (n, m), m; that of `upper` where carbon is compared at one depth
    soc: NDArray[np.float32]  # (n, m), kg C m-3
    present: NDArray[np.bool_]  # (n, m)

    @property
    def n_sites(self) -> int:
        return len(self.forcing)

    @property
    def configuration(self) -> Configuration:
        """That of the model whose forcing this is."""
        return next(each for each in CONFIGURATIONS.values() if n_numbers(each) == self.forcing.shape[1])

    @property
    def depth(self) -> NDArray[np.float64]:
        """Middle of the layers, (n, m), m."""
        return 0.5 * (self.upper + self.lower)

    @property
    def operator(self) -> NDArray[np.float32]:
        """Weights of `proda.model.observation.node_values` in the mean over the layers, (n, m, 2 n_layers)."""
        column = self.configuration.column
        weights = layer_operator(self.upper.ravel(), self.lower.ravel(), column).astype(np.float32)
        return weights.reshape(*self.upper.shape, -1)

    @property
    def columns(self) -> AnyForcing:
        """The forcing of the sites as the soil model takes it."""
        return unpacked_forcing(self.forcing.T.astype(np.float64), self.configuration)

    def take(self, rows: ArrayLike) -> ObservedSites:
        """The sites `rows` (integers or a mask)."""
        return ObservedSites(*(values[rows] for values in self))

    def at_most(self, n_layers: int) -> ObservedSites:
        """The same with no more than so many layers of a site, evenly chosen from its layers."""
        count, order = self.present.sum(axis=1, keepdims=True), np.arange(min(n_layers, self.soc.shape[1]))
        chosen = np.where(count > n_layers, np.rint(order * (count - 1) / max(n_layers - 1, 1)), order).astype(np.int64)
        taken = (
            np.take_along_axis(values, chosen.reshape(*chosen.shape, *[1] * (values.ndim - 2)), 1)
            for values in self[1:]
        )
        return ObservedSites(self.forcing, *taken)


def observed_sites(layers: pd.DataFrame, forcing: AnyForcing, operator: str = LAYER_MEAN) -> ObservedSites:
    """Layers of sites, with the `forcing` of every site.

    `layers` has `site` (0-based), `upper_depth`, `lower_depth` (m) and `soc` (g C m-3), in any order, and for the
    `operator` "mid-depth" `depth`; every site has a layer.
    """
    site, at = layers["site"].to_numpy(), layers.groupby("site").cumcount().to_numpy()
    shape = forcing.n_columns, int(at.max()) + 1
    upper, lower, soc, present = np.zeros(shape), np.zeros(shape), np.zeros(shape, np.float32), np.zeros(shape, bool)
    upper[site, at], lower[site, at] = layer_bounds(layers, operator)
    soc[site, at] = layers["soc"].to_numpy(float) / GRAMS_PER_KG
    present[site, at] = True
    return ObservedSites(packed_forcing(forcing), upper, lower, soc, present)


def n_numbers(configuration: Configuration) -> int:
    """How many numbers the forcing of a column has."""
    return sum(map(math.prod, configuration.forcing_shapes.values()))


def packed_forcing(forcing: AnyForcing) -> NDArray[np.float32]:
    """Forcing of n columns as one array (n, n_numbers), float32, its fields in their order."""
    return np.concatenate([np.reshape(field, (-1, forcing.n_columns)) for field in forcing]).T.astype(np.float32)


def unpacked_forcing(packed: Any, configuration: Configuration) -> AnyForcing:
    """The forcing of n columns from an array (n_numbers, n), `packed_forcing` transposed; NumPy or JAX."""
    fields, last = {}, 0
    for name, shape in configuration.forcing_shapes.items():
        first, last = last, last + math.prod(shape)
        fields[name] = packed[first:last].reshape(*shape, packed.shape[1])
    if configuration.monthly:
        fields["bedrock"] = fields["bedrock"].astype(int)
    return configuration.forcing(**fields)


def at_layers(soc: NDArray, sites: ObservedSites) -> NDArray[np.float64]:
    """Carbon of the layers of sites, (n, m), kg C m-3, of SOC (n_layers, n) at the nodes, g C m-3; 0 where none is."""
    values, of = np.zeros(sites.soc.shape), sites.present
    column = sites.configuration.column
    values[of] = layer_means(soc, np.nonzero(of)[0], sites.upper[of], sites.lower[of], column) / GRAMS_PER_KG
    return values


class TrainingData(NamedTuple):
    """What there is to learn from, of n sites."""

    frame: pd.DataFrame  # (n, n_covariates), those that every cell of the map has as well
    class_names: tuple[str, ...]  # covariates that are classes
    observed: ObservedSites
    sand_percent: NDArray[np.float64]  # (n,)
    x_mean: NDArray[np.float64]  # (n, n_parameters), of the posteriors, unit cube
    x_sd: NDArray[np.float64]
    used: NDArray[np.bool_]  # (n,), efficiency not negative, the paper's filter
    site_only: pd.DataFrame | None = None  # (n, k), covariates that no map has; None where there are none

    def with_site_only(self) -> TrainingData:
        """The same with the covariates that only sites have."""
        return self._replace(frame=self.frame.join(self.site_only), site_only=None)


def study_training_data(study: Study, inputs: Inputs) -> tuple[TrainingData, NDArray[np.int64]]:
    """Training data of the sites that have a posterior, and which sites of the study these are, ascending."""
    known = np.flatnonzero(np.isfinite(inputs.x_mean).all(axis=1) & np.isfinite(inputs.x_sd).all(axis=1))
    cell = read_profiles(study.path("profiles.parquet"))["cell"].to_numpy()[known]
    layers = read_layers(study.path("layers.parquet"))
    layers = layers[layers["site"].isin(known)]
    layers = layers.assign(site=np.searchsorted(known, layers["site"]))
    covariates = study.path("covariates.parquet")
    site_only = site_only_covariates(covariates).iloc[known].reset_index(drop=True)
    data = TrainingData(
        frame=inputs.site_covariates.iloc[known].reset_index(drop=True),
        class_names=class_covariates(covariates),
        observed=observed_sites(
            layers, read_forcing(study.path("forcing.nc")).take(cell), study["observation_operator"]
        ),
        sand_percent=read_grid(study.path("grid.nc"))["sand_percent"].to_numpy()[cell],
        x_mean=inputs.x_mean[known],
        x_sd=inputs.x_sd[known],
        used=inputs.used[known],
        site_only=None if site_only.empty else site_only,
    )
    return data, known
