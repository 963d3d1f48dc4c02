"""CLM's soil-carbon matrix model: forcing, parameters, steady state, time course, ages and sensitivities."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "age": ["ages", "traceability"],
        "configuration": (
            "CESM2 CESM2_AS_PUBLISHED CESM2_COLUMN PAPER PAPER_COLUMN STRATA checked_parameters configuration_of "
            "interval_name validated"
        ).split(),
        "forcing": ["Forcing", "MonthlyForcing"],
        "matrices": ["dense_steady_state", "labelled_matrices", "respiration", "system_matrix"],
        "observation": ["at_depths"],
        "parameters": (
            "CESM2_PARAMETERS CONSTRAINED_BELOW INNER PAPER_PARAMETERS SHARES bounds cwd_share default_parameters "
            "physical prior_sd unit_cube with_positive_cwd_share"
        ).split(),
        "rates": ["carbon_input", "jax_namespace"],
        "sensitivity": ["fisher_information", "linear_posterior", "soc_jacobian", "stock_elasticity"],
        "solver": ["POOLS", "soc_density", "soc_stock", "steady_state"],
        "transient": ["efolding_time", "soc_response", "trajectory"],
    },
)
