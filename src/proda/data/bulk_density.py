"""Carbon by volume from carbon by mass, with published estimates of bulk densities that were not measured.

SOC [g m-3] = organic carbon [g kg-1] x bulk density of the fine earth [kg m-3] x (1 - volume of coarse fragments).
Carbon by volume that the source reports is not changed. Where bulk density is missing, the study names one of the
published `PEDOTRANSFER` functions, or "none"; the error of the function is kept with the layer as
`density_relative_sd`, since a relative error of the density is the same relative error of the carbon.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from proda.data.tables import KINDS, ProfileTables
from proda.errors import InputError

NONE = "none"
ORGANIC_FROM = 120.0  # g kg-1: the least carbon of organic soil material (Soil Survey Staff 1999, saturated, no clay)
MATTER_PER_CARBON = 1.724  # organic matter over organic carbon by mass, the factor of van Bemmelen
ORGANIC_DENSITY = 0.244  # g cm-3: bulk density of organic matter, Adams 1973
ROCK_DENSITY = 2.65  # g cm-3: of quartz, and nearly of calcite, feldspars and clays
CARBON_CLASSES = (20.0, ORGANIC_FROM)  # g kg-1, between which the relative error of a function is given


class Pedotransfer(NamedTuple):
    """A published relation of bulk density to organic carbon.

    Attributes
    ----------
    density : callable
        Organic carbon (g kg-1) -> bulk density of the fine earth, g cm-3.
    greatest_carbon : float, g kg-1
        Above it the function gives no density.
    relative_sd : (float, float, float)
        Below, between and above `CARBON_CLASSES`: the greater of what the authors published and the 68th percentile of
        |measured / estimated - 1| in 27,218 layers with a measured density of the public profiles that
        data/README.md describes (NCSS, NWCA, NEON; they include the function's bias).
    source : str
    """

    density: Callable[[NDArray], NDArray]
    greatest_carbon: float
    relative_sd: tuple[float, float, float]
    source: str


def _mixture(organic: float, mineral: float) -> Callable[[NDArray], NDArray]:
    """Volumes of pure organic and of pure mineral matter add up: 1 / (f / organic + (1 - f) / mineral)."""

    def density(carbon: NDArray) -> NDArray:
        matter = np.minimum(MATTER_PER_CARBON * carbon / 1000.0, 1.0)
        return 1.0 / (matter / organic + (1.0 - matter) / mineral)

    return density


PEDOTRANSFER = {
    "adams-1973": Pedotransfer(
        _mixture(ORGANIC_DENSITY, 1.64),
        580.0,
        (0.13, 0.27, 0.68),
        "Adams 1973, Journal of Soil Science 24, 10-17, with the mineral density of Mann 1986, Soil Science 142, "
        "279-288, as in Post and Kwon 2000, doi 10.1046/j.1365-2486.2000.00308.x",
    ),
    "perie-ouimet-2008": Pedotransfer(
        _mixture(0.111, 1.767),
        580.0,
        (0.14, 0.42, 0.54),
        "Périé and Ouimet 2008, doi 10.4141/CJSS06008 (published accuracy: 14 %), after Federer et al. 1993, "
        "doi 10.1139/x93-131",
    ),
    "manrique-jones-1991": Pedotransfer(
        lambda carbon: 1.660 - 0.318 * np.sqrt(carbon / 10.0),
        ORGANIC_FROM,
        (0.18, 0.32, np.nan),
        "Manrique and Jones 1991, doi 10.2136/sssaj1991.03615995005500020030x (19,651 mineral layers, R2 0.41)",
    ),
    "hossain-2015": Pedotransfer(
        lambda carbon: 0.071 + 1.322 * np.exp(-0.0071 * carbon),
        580.0,
        (0.26, 0.30, 0.52),
        "Hossain et al. 2015, doi 10.1016/j.inpa.2015.09.001 (1,376 layers of the Canadian arctic and sub-arctic)",
    ),
}
RULES = (NONE, *PEDOTRANSFER)
COARSEST_SD = max(np.nanmax(function.relative_sd) for function in PEDOTRANSFER.values())


def estimated_density(organic_carbon: ArrayLike, rule: str) -> tuple[NDArray, NDArray]:
    """Bulk density (g cm-3) by a named pedotransfer function, and its relative standard deviation, (n,) each.

    Both are NaN where carbon (g kg-1) is missing, negative or beyond what the function was made for.

    Raises
    ------
    InputError
        When there is no function of that name.
    """
    if rule not in PEDOTRANSFER:
        raise InputError(f"bulk_density_rule is {rule!r}, expected one of: {', '.join(RULES)}.")
    function = PEDOTRANSFER[rule]
    carbon = np.asarray(organic_carbon, float)
    known = (carbon >= 0) & (carbon <= function.greatest_carbon)
    sd = np.asarray(function.relative_sd)[np.digitize(carbon, CARBON_CLASSES, right=True)]
    density = np.full(carbon.shape, np.nan)
    density[known] = function.density(carbon[known])
    return density, np.where(known, sd, np.nan)


def greatest_density(organic_carbon: ArrayLike) -> NDArray:
    """Greatest possible bulk density (g cm-3) of mineral soil with so much organic carbon (g kg-1), (n,).

    Organic matter of the density of Adams (1973), and minerals without pores in the rest of the volume.
    """
    return _mixture(ORGANIC_DENSITY, ROCK_DENSITY)(np.asarray(organic_carbon, float))


def estimated_by_source(layers: pd.DataFrame) -> NDArray[np.bool_]:
    """Layers whose bulk density was estimated by the source (`bulk_density_method` begins with "ptf"), (n,)."""
    method = layers.get("bulk_density_method", pd.Series(None, layers.index, dtype=object)).astype("string")
    return method.str.lower().str.startswith("ptf").fillna(False).to_numpy(bool)


def soc_density(organic_carbon: ArrayLike, bulk_density: ArrayLike, coarse_fraction: ArrayLike) -> NDArray:
    """Organic carbon per volume of soil, g m-3.

    Parameters
    ----------
    organic_carbon : (n,), g kg-1
        Per mass of fine earth.
    bulk_density : (n,), g cm-3
        Of the fine earth, without coarse fragments.
    coarse_fraction : (n,), by volume
        Missing counts as none.
    """
    coarse = np.nan_to_num(np.asarray(coarse_fraction, float), nan=0.0)
    return np.asarray(organic_carbon, float) * np.asarray(bulk_density, float) * 1000.0 * (1.0 - coarse)


def carbon_by_mass(soc: ArrayLike) -> NDArray:
    """Organic carbon, g kg-1, of a soil without stones that holds `soc` (g m-3), by the function of Adams 1973, (n,).

    Good enough for the class of a relative error where a source reports carbon by volume alone.
    """
    function = PEDOTRANSFER["adams-1973"]
    carbon = np.linspace(0.0, function.greatest_carbon, 200)
    return np.interp(np.asarray(soc, float), soc_density(carbon, function.density(carbon), 0.0), carbon)


def with_soc_density(tables: ProfileTables, rule: str = NONE) -> ProfileTables:
    """`tables` with `soc` of layers wherever it can be computed, and `kind`, `density_source`, `density_relative_sd`.

    Parameters
    ----------
    tables : ProfileTables
        Layers with `soc` (g m-3, as reported, or missing), `organic_carbon` (g kg-1), `bulk_density` (g cm-3),
        `coarse_fraction`, `bulk_density_method` (begins with "ptf" for an estimate of the source) and `litter`.
    rule : str
        One of `RULES`.
    """
    layers = tables.layers
    carbon, reported = layers["organic_carbon"], layers["soc"].notna()
    measured = ~reported & carbon.notna() & layers["bulk_density"].notna()
    density = layers["bulk_density"].where(measured)
    origin = np.select([reported, measured], ["as reported", "measured bulk density"], "").astype(object)
    sd = np.zeros(len(layers))

    by_source = estimated_by_source(layers) & (reported | measured).to_numpy(bool)
    for method in layers["bulk_density_method"].astype("string")[by_source].unique():
        rows = by_source & (layers["bulk_density_method"] == method).to_numpy(bool)
        alike = [name for name in PEDOTRANSFER if name.split("-")[0] in method.lower()]
        by_mass = carbon[rows].fillna(pd.Series(carbon_by_mass(layers["soc"][rows]), carbon[rows].index))
        error = estimated_density(by_mass, alike[0] if alike else "adams-1973")[1]
        # Above the greatest carbon of a function its error is not known: take that of the coarsest, for peat.
        sd[rows] = np.where(np.isnan(error), COARSEST_SD, error)
        origin[rows] = f"estimated by the source ({method})"

    if rule != NONE:
        missing = (~reported & ~measured & carbon.notna()).to_numpy(bool)
        estimate, error = estimated_density(carbon[missing], rule)
        density = density.mask(missing, pd.Series(np.nan, layers.index))
        density.loc[missing] = estimate
        sd[missing] = error
        origin[missing] = np.where(np.isfinite(estimate), f"estimated ({rule})", "")
    soc = layers["soc"].where(reported, soc_density(carbon, density, layers["coarse_fraction"]))
    # Conditions in the order in which they apply; carbon by mass that is missing fails both comparisons.
    kind = np.select([layers["litter"].to_numpy(bool), carbon >= ORGANIC_FROM, carbon >= 0], KINDS[2::-1], KINDS[3])
    return ProfileTables(
        tables.profiles,
        layers.assign(
            soc=soc,
            kind=kind.astype(object),
            density_source=origin,
            density_relative_sd=np.where(soc.notna(), sd, 0.0),
        ),
    )
