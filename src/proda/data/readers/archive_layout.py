"""The public input archive of the group's later work (BINN/ScIReN): its files, its columns, its index conventions.

From OSF, osf.io/download/682ed7b80f8ae3415deac68b; the zip unpacks to ENSEMBLE/INPUT_DATA. Everything the readers
expect of it stands here; what they find is compared with it.
"""

from __future__ import annotations

from pathlib import Path

from proda.data.covariates import DEPTHS
from proda.errors import InputError

SNAPSHOT = "wosis_2019_snap_shot"
PROFILES = f"{SNAPSHOT}/soil_profile_wosis_2019_snapshot_hugelius_mishra.nc"
LAYERS = f"{SNAPSHOT}/soil_data_integrate_wosis_2019_snapshot_hugelius_mishra.nc"
SITE_ENVIRONMENT = f"{SNAPSHOT}/wosis_2019_snapshot_hugelius_mishra_env_info.mat"
GRID_ENVIRONMENT = f"{SNAPSHOT}/world_grid_envinfo_present.mat"
SCALING = f"{SNAPSHOT}/world_grid_envinfo_present_cesm2_clm5_cen_vr_v2_whole_time_col_max_min.mat"
REPRESENTATIVE = f"{SNAPSHOT}/wosis_2019_snapshot_hugelius_mishra_representative_profiles.mat"
GELMAN_RUBIN = f"{SNAPSHOT}/cesm2_clm5_cen_vr_v2_para_gr.mat"
R_SQUARED = f"{SNAPSHOT}/cesm2_clm5_cen_vr_v2_stat_r2.mat"
ELIGIBLE = f"{SNAPSHOT}/eligible_profile_loc_0_cesm2_clm5_cen_vr_v2_whole_time.mat"
NETWORK = "PRODA_Results/nn_{what}_full_cesm2_clm5_cen_vr_v2_whole_time_exp_pc_cesm2_23_cross_valid_0_{run}.csv"
NETWORK_RUNS = tuple(range(1, 10))
FIELD = "cesm2_simu/spinup_ss/sasu_f05_g16_checked_step4_cesm2_ss_4da_661_680_{name}.mat"

PROFILE_COLUMNS = ("profile_id", "country_id", "country_code", "lon", "lat", "layer_num", "date")
LAYER_COLUMNS = (
    "profile_id", "date", "upper_depth", "lower_depth", "node_depth", "soc_layer_weight", "soc_stock", "bulk_density",
    "is_pedo",
)  # fmt: skip
US_CODE = 156  # in `country_code`
US_BOX = (-124.763068, -66.949895, 24.5, 49.384358)  # west, east, south, north; of sites
US_GRID_BOX = (-124.763068, -66.949895, 24.521694, 49.384358)  # of grid cells


def _triple(name: str) -> tuple[str, ...]:
    return tuple(f"{name}_{depth}" for depth in DEPTHS)


ENVIRONMENT_COLUMNS = (
    "ProfileNum", "ProfileID", "LayerNum", "Lon", "Lat", "Date", "Rmean", "Rmax", "Rmin", "ESA_Land_Cover", "ET",
    "IGBP", "Climate", "Soil_Type", "NPPmean", "NPPmax", "NPPmin", "Veg_Cover", *(f"BIO{i}" for i in range(1, 20)),
    "Abs_Depth_to_Bedrock", *_triple("Bulk_Density"), *_triple("CEC"), *_triple("Clay_Content"),
    *_triple("Coarse_Fragments_v"), "Depth_Bedrock_R", "Garde_Acid", "Occurrence_R_Horizon", *_triple("pH_Water"),
    *_triple("Sand_Content"), *_triple("Silt_Content"), *_triple("SWC_v_Wilting_Point"), *_triple("Texture_USDA"),
    "USDA_Suborder", "WRB_Subgroup", "Drought", "Elevation", "Max_Depth", "Koppen_Climate_2018", "cesm2_npp",
    "cesm2_npp_std", "cesm2_gpp", "cesm2_gpp_std", "cesm2_vegc", "nbedrock", "R_Squared",
)  # fmt: skip
GRID_ENVIRONMENT_COLUMNS = ENVIRONMENT_COLUMNS[3:-1]

# The grid of the CESM2 fields: cell centres, north to south and west to east.
N_LAT, N_LON = 384, 576
LAT_STEP, LON_STEP = 180.0 / N_LAT, 360.0 / N_LON


def archive_root(folder: Path | str) -> Path:
    """The folder `INPUT_DATA` of an unpacked archive, given itself or a folder above it.

    Raises
    ------
    InputError
        When there is none, or more than one.
    """
    found = sorted(path.parent for path in Path(folder).rglob(SNAPSHOT) if path.is_dir())
    if len(found) == 1:
        return found[0]
    told = f"{len(found) or 'no'} folder{'s' if found else ''} {SNAPSHOT!r} in it or below"
    raise InputError(f"{folder}: {told}. Unpack the archive and give the folder it unpacks to.")
