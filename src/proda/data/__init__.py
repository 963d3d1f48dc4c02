"""Soil profiles, covariates and forcing of a study: read from their sources, cleaned, and written as tidy files."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "cleaned": ["CleanedStudy", "read_cleaned_study", "read_raw_tables"],
        "cleaning": ["rules_table"],
        "files": ["known_truth", "read_layers", "read_profiles", "read_site_status"],
        "forcing": ["read_forcing"],
        "grid": ["cells_at", "read_grid"],
        "sources": ["study_list"],
        "stage": ["cleaned_study"],
    },
)
