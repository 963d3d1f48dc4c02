"""Networks and trees from covariates to soil parameters and carbon, scored at withheld sites and on withheld land."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "cross_validation": ["comparison_table", "efficiency_gains", "parameter_comparison"],
        "importance": [
            "compare_with_expected_signs",
            "covariate_groups",
            "group_importance",
            "parameter_importance",
            "partial_dependence",
        ],
        "predictor": ["Predictor", "loaded_hybrid", "loaded_network"],
        "scores": ["RECOVERED_FROM", "correlations", "parameter_skill", "shares_near_bounds"],
        "soil_layer": ["carbon_at_layers"],
        "splits": [
            "block_of_place",
            "outside_training_cells",
            "random_split",
            "share_in_training_cells",
        ],
        "stage": ["method_comparison", "method_scores", "network_training"],
        "training_data": ["network_inputs", "study_training_data", "true_parameters"],
    },
)
