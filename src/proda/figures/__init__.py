"""Figures of the notebooks: every function draws what it is given, and computes no results."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "chains": (
            "convergence_histograms fit_histogram parameter_densities parameter_intervals sbc_figure site_map "
            "site_profiles trace_figure"
        ).split(),
        "maps": (
            "change_maps mapped_stocks reference_bias_maps regional_bias_figure response_figure spread_figure "
            "stock_map stock_maps width_figure widths_by_method"
        ).split(),
        "results": ["agreement_figure", "land_cover_figure", "stock_figure"],
        "style": ["METHOD_COLOUR", "colour_bar", "draw_cells", "draw_sites", "map_axes", "save_figures", "use_style"],
    },
)
