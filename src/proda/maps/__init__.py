"""Maps of soil organic carbon by every method, their scores, totals and files, and maps of finer grids."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "fine_grid": ["FixedDraws", "MapDraws", "NetworkDraws", "fine_maps"],
        "netcdf": ["clm_parameters", "counterpart_table", "csoil_product", "soc_product", "write_product"],
        "projections": (
            "carbon_climate_sensitivity efolding_times response_product response_series soc_responses spread_shares "
            "study_pathways"
        ).split(),
        "prediction": ["METHODS", "extrapolated_shares", "maps_by_method", "read_inputs", "soc_of_draws"],
        "regions": ["vegetation_class"],
        "scores": ["readable", "scores_on", "stocks_by_interval"],
        "stage": ["final_results", "write_results"],
        "stocks": ["MAP_INTERVALS", "land_area", "reference_scores", "stock_table"],
    },
)
