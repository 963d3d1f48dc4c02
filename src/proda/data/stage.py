"""Stage 1 of a study as one call: from the raw sources to the tidy files that every later stage reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from proda.data import tables
from proda.data.cleaned import RAW_LAYERS, RAW_PROFILES, STAGE, CleanedStudy, read_cleaned_files, read_raw_tables
from proda.data.cleaning import RULES, CleanedTables, Limits, cleaned, used_by_study, with_soc_density
from proda.data.covariates import has_covariates, write_covariates
from proda.data.forcing import forcing_dataset, has_forcing
from proda.data.grid import grid_dataset, placed
from proda.data.sources import Source, study_source
from proda.data.tables import LAYER_COLUMNS, UNITS, ProfileTables, with_attributes
from proda.errors import InputError
from proda.study import Study

RAW_LAYER_COLUMNS = [
    *("profile_id", "layer", "upper_depth", "lower_depth", "soc", "organic_carbon", "bulk_density", "coarse_fraction"),
    *("ph", "kind", "density_source", "density_relative_sd"),
]


def cleaned_study(study: Study) -> CleanedStudy:
    """Run stage 1: read or make the raw data, clean them, write the study's tidy files and return them.

    An InputError when a source is not as expected, or has no forcing of the study's configuration.
    """
    with study.stage(STAGE) as folder:
        source = study_source(study, folder)
        usable = has_forcing(source.forcing) & has_covariates(source.cell_covariates)
        if not usable.any():
            raise InputError(_nothing_usable(study, source))
        raw = with_soc_density(source.tables, study["bulk_density_rule"])
        result = cleaned(_with_drivers(raw, source), study.settings)

        profiles, layers = _numbered(result.profiles, result.layers)
        # Cells without forcing or covariates are not mapped; the other cells are numbered anew.
        cells, of_cells = source.cells[usable], source.cell_covariates[usable]
        profiles["cell"] = (np.cumsum(usable) - 1)[profiles["cell"].to_numpy()]
        profiles["land_cover"] = cells["land_cover"].to_numpy(int)[profiles["cell"].to_numpy()]
        of_sites = source.site_covariates.loc[profiles["profile_id"]]

        attributes = tables.file_attributes(study)
        tables.write_profiles(profiles, folder / "profiles.parquet", attributes)
        layers = with_attributes(layers, UNITS, LAYER_COLUMNS, attributes)
        layers.to_parquet(folder / "layers.parquet", index=False)
        forcing = forcing_dataset(source.forcing.take(usable), cells["lon"], cells["lat"], source.comment)
        forcing.assign_attrs(attributes).to_netcdf(folder / "forcing.nc")
        own = source.own_covariates.loc[profiles["profile_id"]]
        write_covariates(of_sites, of_cells, profiles, folder / "covariates.parquet", source.units, attributes, own)
        grid = grid_dataset(cells).assign_attrs(cells_left_out=int((~usable).sum()), **attributes)
        grid.to_netcdf(folder / "grid.nc")
        result.exclusions.to_csv(folder / "exclusions.csv", index=False)
        result.account.to_csv(folder / "cleaning.csv", index=False)
        source.findings.to_csv(folder / "drivers.csv", index=False)
        _write_raw_tables(raw, result.exclusions, folder, attributes)
        if source.truth is not None:
            source.truth(profiles).isel(cell=usable).assign_attrs(attributes).to_netcdf(folder / "truth.nc")
        written = read_cleaned_files(folder)  # what cannot be read back is not complete
    return written


def profiles_not_used(folder: Path, out: Path, cells: pd.DataFrame, settings: Limits) -> CleanedTables:
    """Profiles of a folder in the tidy layout, without those of the study in `out`, cleaned with its `settings`.

    `cells` are the centres (`lon`, `lat`) of its land cells. Sites and layers are numbered as in the study's files;
    `trained` of a profile is whether the study has others in its cell.
    """
    from proda.data.readers.tidy import read_profile_tables

    used, others = read_raw_tables(out), read_profile_tables(folder)
    used = used._replace(profiles=used.profiles[used.profiles["excluded_by"].isna()])
    profiles, own = (placed(part.profiles, cells, settings["nearest_cell_degrees"]) for part in (others, used))
    profiles = profiles.assign(has_forcing=True, has_covariates=True, trained=profiles["cell"].isin(own["cell"]))
    raw = with_soc_density(ProfileTables(profiles, others.layers), settings["bulk_density_rule"])
    result = cleaned(raw, settings, (used_by_study(used), *RULES))
    profiles, layers = _numbered(result.profiles, result.layers)
    return result._replace(profiles=profiles, layers=layers)


def _nothing_usable(study: Study, source: Source) -> str:
    """Why no land cell has everything, with the variables that have most gaps."""
    gaps = source.findings[source.findings["missing"] > 0].sort_values("missing", ascending=False).head(5)
    rows = [f"{x.variable} ({x.source}) is missing at {x.missing:,} of {x.values:,} places" for x in gaps.itertuples()]
    return (
        f"{study.data or study.file}: no land cell has climate, NPP and all covariates. "
        f"{'; '.join(rows) or 'NPP is zero'}. Fill the gaps, or give sources that cover the study's cells."
    )


def _with_drivers(raw: ProfileTables, source: Source) -> ProfileTables:
    """Raw tables in which every profile has `has_forcing` and `has_covariates`."""
    profiles, cell = raw.profiles, raw.profiles["cell"].to_numpy()
    forced = np.append(has_forcing(source.forcing), True)[cell]  # cell -1, off the land, has a rule of its own
    marked = profiles.assign(has_forcing=forced, has_covariates=True)
    on_land = (cell >= 0) & forced
    of_sites = has_covariates(source.site_covariates.loc[profiles.loc[on_land, "profile_id"]])
    marked.loc[on_land, "has_covariates"] = of_sites & has_covariates(source.cell_covariates)[cell[on_land]]
    return ProfileTables(marked, raw.layers)


def _numbered(profiles: pd.DataFrame, layers: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cleaned tables in the columns and the order of the study's files: sites by identifier, layers top down."""
    profiles = profiles.sort_values("profile_id", ignore_index=True)
    site = pd.Series(profiles.index, profiles["profile_id"])
    depth = 0.5 * (layers["upper_depth"] + layers["lower_depth"])
    layers = layers.assign(site=layers["profile_id"].map(site), depth=depth)
    layers = layers.sort_values(["site", "depth"], kind="stable", ignore_index=True)
    layers["layer"] = layers.groupby("site").cumcount()
    by_site = layers.groupby("site")
    profiles = profiles.assign(n_layers=by_site.size(), max_depth=by_site["lower_depth"].max())
    return profiles, layers[list(LAYER_COLUMNS)]


def _write_raw_tables(raw: ProfileTables, exclusions: pd.DataFrame, folder: Path, attributes: dict) -> None:
    """Raw profiles, with the rule that excluded each as `excluded_by`, and raw layers with their densities."""
    rule = exclusions[exclusions["layer"].isna()].set_index("profile_id")["rule"]
    profiles = raw.profiles[["profile_id", "lon", "lat", "source", "position_uncertainty"]]
    profiles = profiles.assign(
        n_layers=profiles["profile_id"].map(raw.layers["profile_id"].value_counts()).fillna(0).astype(int),
        excluded_by=profiles["profile_id"].map(rule),
    ).astype(dict.fromkeys(("profile_id", "source", "excluded_by"), "string"))
    with_attributes(profiles, UNITS, tables.PROFILE_COLUMNS, attributes).to_parquet(folder / RAW_PROFILES, index=False)
    layers = raw.layers[RAW_LAYER_COLUMNS].astype(dict.fromkeys(("profile_id", "kind", "density_source"), "string"))
    meanings = LAYER_COLUMNS | {"layer": "the source's own number"}
    with_attributes(layers, UNITS, meanings, attributes).to_parquet(folder / RAW_LAYERS, index=False)
