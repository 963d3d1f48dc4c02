"""Observed layers of sites as arrays of one width, which a compiled training step can take."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.errors import InputError
from proda.model.forcing import Forcing
from proda.model.observation import curve_weights, node_slopes

GRAMS_PER_KG = 1000.0


class ObservedSites(NamedTuple):
    """What the model needs to be compared with the layers of n sites, m of which the richest site has.

    Attributes
    ----------
    forcing : (n, 24), float32
        Of the site's cell: soil temperature (K) and water potential (MPa) of the ten layers, active layer (m), mean,
        least and greatest annual NPP (g C m-2 yr-1).
    interval : (n, m), int32
    weight : (n, m, 4), float32
        Of the curve through the nodes at the observed depths (`proda.model.observation.curve_weights`).
    depth : (n, m), m
    soc : (n, m), float32, kg C m-3
        Both zero where a site has fewer layers.
    present : (n, m) bool
    """

    forcing: NDArray[np.float32]
    interval: NDArray[np.int32]
    weight: NDArray[np.float32]
    depth: NDArray[np.float64]
    soc: NDArray[np.float32]
    present: NDArray[np.bool_]

    @property
    def n_sites(self) -> int:
        return len(self.forcing)

    def take(self, rows: ArrayLike) -> ObservedSites:
        """The sites `rows` (integers or a mask)."""
        return ObservedSites(*(values[rows] for values in self))

    def joined(self, others: ObservedSites) -> ObservedSites:
        """These sites, then others, whose arrays are as wide."""
        return ObservedSites(*(np.concatenate(pair) for pair in zip(self, others, strict=True)))

    def widened(self, width: int) -> ObservedSites:
        """The same sites in arrays of `width` layers, with nothing in those that are added."""
        more = width - self.soc.shape[1]
        wide = (np.pad(values, [(0, 0), (0, more), *[(0, 0)] * (values.ndim - 2)]) for values in self[1:])
        return ObservedSites(self.forcing, *wide)

    @property
    def model_inputs(self) -> dict[str, NDArray]:
        """The arrays that `proda.learning.soc_layer` takes, by name."""
        return {"forcing": self.forcing, "interval": self.interval, "weight": self.weight}


def observed_sites(layers: pd.DataFrame, n_sites: int, forcing: Forcing) -> ObservedSites:
    """Layers of `n_sites` sites with the forcing of their cells.

    Parameters
    ----------
    layers : DataFrame
        `site` (0-based), `depth` (m), `soc` (g C m-3), in any order.
    forcing : Forcing
        Of every site.

    Raises
    ------
    InputError
        When the forcing is of another number of columns, or a site has no layer.
    """
    if forcing.n_columns != n_sites:
        raise InputError(f"forcing of {forcing.n_columns} columns for {n_sites} sites: expected one column a site.")
    site = layers["site"].to_numpy()
    count = np.bincount(site, minlength=n_sites)
    if (count == 0).any():
        raise InputError(f"site {int(np.argmin(count))} has no observed layer: cleaning leaves none of these.")
    order = np.argsort(site, kind="stable")
    at = np.empty(site.size, dtype=np.int64)
    at[order] = np.arange(site.size) - np.repeat(np.cumsum(count) - count, count)
    width = int(count.max())
    of_layer = layers["depth"].to_numpy(float)
    curve = curve_weights(of_layer)
    interval, soc = np.zeros((n_sites, width), np.int32), np.zeros((n_sites, width), np.float32)
    depth = np.zeros((n_sites, width))
    weight, present = np.zeros((n_sites, width, 4), np.float32), np.zeros((n_sites, width), bool)
    interval[site, at], weight[site, at], present[site, at] = curve.interval, curve.weight.T, True
    depth[site, at] = of_layer
    soc[site, at] = layers["soc"].to_numpy(float) / GRAMS_PER_KG
    return ObservedSites(packed_forcing(forcing), interval, weight, depth, soc, present)


def packed_forcing(forcing: Forcing) -> NDArray[np.float32]:
    """Forcing of n columns as one array (n, 24), float32, its fields in their order."""
    return np.concatenate([np.atleast_2d(field) for field in forcing]).T.astype(np.float32)


def at_layers(soc: NDArray, sites: ObservedSites) -> NDArray[np.float64]:
    """Carbon at the layers of sites, (n, m), kg C m-3, of SOC (n_layers, n) at the nodes, g C m-3; 0 where none is."""
    slope, column = node_slopes(soc), np.arange(sites.n_sites)[:, None]
    k, w = sites.interval, np.moveaxis(sites.weight.astype(float), 2, 0)
    values = w[0] * soc[k, column] + w[1] * soc[k + 1, column] + w[2] * slope[k, column] + w[3] * slope[k + 1, column]
    return np.where(sites.present, values / GRAMS_PER_KG, 0.0)
