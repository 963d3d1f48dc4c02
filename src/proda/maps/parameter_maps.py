"""The parameters of network or hybrid at every cell as a NetCDF file, with their counterparts in CLM5.

The counterparts were read from CLM5's technical note (Lawrence et al. 2018, chapter Decomposition,
escomp.github.io/ctsm-docs) and from the public source of CTSM: `SoilBiogeochemDecompCascadeBGCMod`,
`SoilBiogeochemLittVertTranspMod`, `CNSharedParamsMod` and `pftconMod` name the variables of the parameter file, which
the group's own programs read from `clm5_params.c190829.nc`.

* CLM5 reads one number of each for the whole globe: to use a map, `readParams` has to be changed to read a field. The
  CTSM source that was read holds turnover times and diffusivities as constants in the code, after reading the file's.
* CLM scales all rates so that its Q10 meets CENTURY's temperature function at 15 C (`normalize_q10_to_century_tfunc`,
  true unless changed); this model does not. `clm_parameters` puts that factor into the turnover times.
* CLM's water scalar has no floor of 0.25 and another `minpsi_hr`, litter decomposes by nitrogen too, and carbon comes
  in where CLM's plants drop it: the same parameters need not give the same carbon.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from proda.maps.netcdf import (
    BEYOND,
    EXTRAPOLATED,
    PLACE,
    file_attributes,
    land_variables,
    raster_coordinates,
    raster_of,
    rastered,
)
from proda.model.configuration import DAYS_PER_YEAR
from proda.model.forcing import Forcing
from proda.model.parameters import FS1S2, PAPER_PARAMETERS, bounds, cwd_share, default_parameters, physical

SECONDS_PER_YEAR = 86400.0 * DAYS_PER_YEAR
FILE, TYPES, SHARED, CODE, NOWHERE = "parameter file", "parameter file, by plant type", "namelist", "code", "none"


def century_normalisation(q10: ArrayLike) -> NDArray[np.float64]:
    """CLM's factor on all decomposition rates, which its turnover times take in order to give this model's rates.

    (c(15) / c(30)) / q10^((15 - 25) / 10), c(t) = 11.75 + 29.7 / pi atan(0.031 pi (t - 15.4)), t in degrees Celsius.
    """
    cold, warm = (11.75 + 29.7 / np.pi * np.arctan(np.pi * 0.031 * (t - 15.4)) for t in (15.0, 30.0))
    return cold / warm * np.asarray(q10, dtype=np.float64)


class Conversion(NamedTuple):
    """From a value of this model to CLM's: the formula, and a function of the value and all parameters."""

    formula: str
    value: Callable[[xr.DataArray, Mapping[str, xr.DataArray]], xr.DataArray]


SAME = Conversion("same", lambda x, _: x)
PER_SECOND = Conversion("/ 31536000 s yr-1", lambda x, _: x / SECONDS_PER_YEAR)
TURNOVER = Conversion(
    "times century_normalisation(q10)", lambda x, ours: x * (century_normalisation(1.0) * ours["q10"])
)
RESPIRED = Conversion("1 - value", lambda x, _: 1.0 - x)
# Shares of the carbon leaving the slow pool on each path are constants in CLM's code.
TO_ACTIVE = Conversion("1 - value / (0.42 / 0.45)", lambda x, _: 1.0 - x / (0.42 / 0.45))
TO_PASSIVE = Conversion("1 - value / (0.03 / 0.45)", lambda x, _: 1.0 - x / (0.03 / 0.45))
LITTER = Conversion("value / (p4ll + p4ml + p4cl)", lambda x, ours: x / (ours["p4ll"] + ours["p4ml"] + ours["p4cl"]))
_BY_SAND = "CLM computes it from sand: the code has to be changed"


class Counterpart(NamedTuple):
    """A parameter of this model in CLM5."""

    clm: tuple[str, ...]  # variables of CLM5, none where it has none
    unit: str  # of CLM's
    where: str  # where CLM5 has them
    conversion: Conversion
    note: str = ""
    verified: bool = True  # whether the name was read in CTSM's source; otherwise it is inferred


_SHARE = "one number for all litter here; by plant type, for leaves and fine roots, in CLM, woody litter going to CWD"
COUNTERPARTS: dict[str, Counterpart] = {
    "diffus": Counterpart(("som_diffus",), "m2 s-1", FILE, PER_SECOND),
    "cryo": Counterpart(("cryoturb_diffusion_k",), "m2 s-1", FILE, PER_SECOND),
    "q10": Counterpart(("q10_mr", "q10_hr", "froz_q10"), "1", FILE, SAME, "q10_mr is what the source read takes for "
                       "soil too; froz_q10 must be the same: this model has one Q10 above and below freezing"),
    "efolding": Counterpart(("decomp_depth_efolding",), "m", SHARED, SAME, "group bgc_shared; CLM5 ships 10 m"),
    "tau4cwd": Counterpart(("tau_cwd",), "yr", FILE, TURNOVER),
    "tau4l1": Counterpart(("tau_l1",), "yr", FILE, TURNOVER),
    "tau4l2l3": Counterpart(("tau_l2_l3",), "yr", FILE, TURNOVER),
    "tau4s1": Counterpart(("tau_s1",), "yr", FILE, TURNOVER),
    "tau4s2": Counterpart(("tau_s2",), "yr", FILE, TURNOVER),
    "tau4s3": Counterpart(("tau_s3",), "yr", FILE, TURNOVER),
    "fl1s1": Counterpart(("rf_l1s1_bgc",), "1", FILE, RESPIRED),
    "fl2s1": Counterpart(("rf_l2s1_bgc",), "1", FILE, RESPIRED),
    "fl3s2": Counterpart(("rf_l3s2_bgc",), "1", FILE, RESPIRED),
    "fs1s2": Counterpart((), "", CODE, SAME, "rf_s1s2 = rf_s1s3 = 1 - fs1s2 - fs1s3, "
                         f"f_s1s2 = fs1s2 / (fs1s2 + fs1s3). {_BY_SAND}"),
    "fs1s3": Counterpart((), "", CODE, SAME, f"f_s1s3 = fs1s3 / (fs1s2 + fs1s3). {_BY_SAND}"),
    "fs2s1": Counterpart(("rf_s2s1_bgc",), "1", FILE, TO_ACTIVE, "the paths' shares are constants in CLM"),
    "fs2s3": Counterpart(("rf_s2s3_bgc",), "1", FILE, TO_PASSIVE, "below 0 where fs2s3 is above 0.067: CLM cannot take "
                         "that without other path shares"),
    "fs3s1": Counterpart(("rf_s3s1_bgc",), "1", FILE, RESPIRED),
    "fcwdl2": Counterpart(("cwd_fcel",), "1", FILE, SAME, "cwd_flig is 1 - cwd_fcel; with rf_cwdl2_bgc and "
                          "rf_cwdl3_bgc 0"),
    "ins": Counterpart((), "", NOWHERE, SAME, "CLM's carbon input is the litter of its own plants"),
    "beta": Counterpart(("rootprof_beta",), "1", TYPES, SAME, "dimensions in the file not verified; CLM spreads roots "
                        "by it and leaves by another profile, here it spreads all input", verified=False),
    "p4ll": Counterpart(("lf_flig", "fr_flig"), "1", TYPES, LITTER, _SHARE),
    "p4ml": Counterpart(("lf_flab", "fr_flab"), "1", TYPES, LITTER, _SHARE),
    "p4cl": Counterpart(("lf_fcel", "fr_fcel"), "1", TYPES, LITTER, _SHARE),
    "maxpsi": Counterpart(("maxpsi_hr",), "MPa", FILE, SAME, "minpsi_hr is -25 MPa here, with a floor of 0.25 of the "
                          "scalar"),
}  # fmt: skip


def clm_parameters(maps: xr.Dataset) -> xr.Dataset:
    """Parameters under CLM5's names and in its units, with the coordinates of `maps`.

    Parameters
    ----------
    maps : xarray.Dataset
        All 25 parameters in physical units, under our names: `parameter_maps.nc`, or a mean of it.

    Returns
    -------
    xarray.Dataset
        CLM5's variables; `fs1s2`, `fs1s3` and `ins` have no counterpart in its files. Values are not cut to what CLM
        can take: `rf_s2s3_bgc` may be below 0.

    Notes
    -----
    CLM reads one number of each: `clm_parameters(maps.weighted(land).mean())`, or a mean over cells of interest.
    """
    converted = {}
    for ours, row in COUNTERPARTS.items():
        comment = f"from {ours}: {row.conversion.formula}. {row.note}".strip(" .")
        meaning = PAPER_PARAMETERS.meaning[PAPER_PARAMETERS.index(ours)]
        for name in row.clm:
            value = row.conversion.value(maps[ours], maps).drop_attrs()
            converted[name] = value.assign_attrs(units=row.unit, long_name=meaning, comment=comment)
    converted["cwd_flig"] = (1.0 - converted["cwd_fcel"]).assign_attrs(converted["cwd_fcel"].attrs)
    return xr.Dataset(converted)


def counterpart_table() -> pd.DataFrame:
    """Every parameter with its unit, range and default, and CLM5's name, unit, place and conversion."""
    rows = []
    for row in PAPER_PARAMETERS.rows:
        other = COUNTERPARTS[row.name]
        rows.append({
            "parameter": row.name, "unit": row.unit, "minimum": row.minimum, "maximum": row.maximum,
            "default": row.default, "CLM5": ", ".join(other.clm) or "no counterpart", "CLM5 unit": other.unit,
            "where": other.where, "conversion": other.conversion.formula if other.clm else "none",
            "verified": other.verified, "note": other.note,
        })  # fmt: skip
    return pd.DataFrame(rows)


# Columns of network_parameters.parquet on how a prediction came about, and what they mean.
NOTES = {
    BEYOND: EXTRAPOLATED,
    "clipped": "number of parameters put at a bound of the prior or beyond, set inside",
    "cwd_rescaled": "whether the shares of the input were scaled down to leave some for coarse woody debris",
}
OF_NETWORK = "Parameters that the network of the paper predicts from the environment; their carbon is in soc_maps.nc."
OF_HYBRID = (
    "Parameters that the networks trained through the soil model predict from the environment, the members' mean. "
    "soc_maps.nc has the mean of the members' carbon, which is not quite the carbon of these means: for that use the "
    "members, in hybrid_parameters.nc. Parameters belong together: do not take one without the others."
)
_COMMENT = (
    "In the units of this model. valid_min and valid_max "
    "are the bounds of the prior; those of ins are the widest of any cell (its own are npp_min/npp_mean and "
    "npp_max/npp_mean). clm_name, clm_place and clm_conversion are the name in CLM5, its place and how to convert "
    "it; proda.maps.parameter_maps.clm_parameters does so."
)


def parameter_product(
    x: ArrayLike,
    forcing: Forcing,
    grid: xr.Dataset,
    title: str,
    source: str = "",
    notes: pd.DataFrame | None = None,
    whose: str = OF_NETWORK,
) -> xr.Dataset:
    """All parameters as a CF-1.8 Dataset.

    Parameters
    ----------
    x : (n_cells, 25)
        On the unit cube.
    forcing : Forcing
        Of the n cells: the bounds of `ins` are those of the cell's NPP.
    grid : xarray.Dataset
        Cells: `lon`, `lat`, `cell_area` (m2), `land_fraction`, `sand_percent`.
    notes : pandas.DataFrame, optional
        (n_cells,) with the columns of `NOTES` that there are.
    whose : str
        Sentence that begins the comment of the file: `OF_NETWORK` or `OF_HYBRID`.

    Returns
    -------
    xarray.Dataset
        A variable (lat, lon) for each parameter under its own name, float64 so that no value is rounded out of its
        valid range; `cwd_share`, what the three shares leave over; `default_fs1s2`, which follows the sand content;
        the notes; `cell_area` and `land_area_fraction`.
    """
    raster = raster_of(grid)
    theta = physical(np.asarray(x, dtype=np.float64).T, forcing)
    low, high = bounds(forcing)
    product = raster_coordinates(raster)
    noted = [name for name in NOTES if notes is not None and name in notes]
    for k, row in enumerate(PAPER_PARAMETERS.rows):
        other = COUNTERPARTS[row.name]
        attributes = {
            "long_name": row.meaning,
            "units": row.unit,
            "valid_min": low[k].min(),
            "valid_max": high[k].max(),
            "default_value": row.default,
            "clm_name": ", ".join(other.clm) or "no counterpart",
            "clm_place": other.where,
            "clm_conversion": other.conversion.formula if other.clm else "none",
            "clm_note": other.note or "none",
            "clm_name_verified": "yes" if other.verified else "no",
        }
        if noted:
            attributes["ancillary_variables"] = " ".join(noted)
        product[row.name] = _on(raster, theta[k], attributes)
    share = {"long_name": "share of the input to coarse woody debris: 1 - p4ll - p4ml - p4cl", "units": "1"}
    product["cwd_share"] = _on(raster, cwd_share(theta), share | {"valid_min": 0.0, "valid_max": 1.0})
    sandy = default_parameters(forcing, grid["sand_percent"].values)[FS1S2]
    product["default_fs1s2"] = _on(
        raster, sandy, {"long_name": "CLM's fs1s2 for the cell's sand content", "units": "1"}
    )
    for name in noted:
        values = notes[name].to_numpy(np.float64)
        product[name] = _on(raster, values, {"long_name": NOTES[name], "units": "1"})
    return product.assign(land_variables(grid)).assign_attrs(file_attributes(title, source, f"{whose} {_COMMENT}"))


def _on(raster, values: NDArray, attributes: dict) -> tuple:
    return ("lat", "lon"), rastered(values, raster), attributes | PLACE | {"cell_methods": "area: mean where land"}
