"""Figures of the notebooks: every function draws what it is given, and computes no results."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "chains": [
            "convergence_histograms",
            "convergence_maps",
            "fit_histogram",
            "parameter_densities",
            "parameter_intervals",
            "sbc_figure",
            "site_map",
            "site_profiles",
            "trace_figure",
        ],
        "style": ["map_axes", "use_style"],
    },
)
