"""Networks and trees from covariates to soil parameters and carbon, scored at withheld sites and on withheld land."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "hybrid": ["carbon_at_layers"],
        "importance": ["compare_with_expected_signs", "covariate_groups", "group_importance", "parameter_importance"],
        "paper_network": ["Predictor", "loaded_hybrid", "loaded_network"],
        "scores": [
            "RECOVERED_FROM",
            "block_of_place",
            "correlations",
            "mean_scores",
            "nearest_training_km",
            "noise_ceiling",
            "outside_training_cells",
            "parameter_comparison",
            "parameter_skill",
            "random_split",
            "score_differences",
            "score_table",
            "scores_beside_ceiling",
            "shares_near_bounds",
            "skill_by_distance",
            "skill_of_method",
        ],
        "stage": ["coded_networks", "method_comparison", "network_training", "read_predicted"],
        "training_data": ["network_inputs", "study_training_data", "true_parameters"],
    },
)
