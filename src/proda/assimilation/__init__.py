"""Bayesian data assimilation: the posterior of CLM's parameters, of all profiles together and of every site."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "chains": (
            "PAPER_ERROR ErrorModel SitePlan SiteProblem error_model sampled_by_workers schedule site_faults site_plan "
            "site_problem"
        ).split(),
        "one_batch": ["OneBatch", "one_batch_posterior"],
        "published_programs": ["VARIANTS", "one_batch_as_coded", "one_batch_carbon", "variants_table"],
        "results": ["misfit_by_sign", "one_batch_tree", "posterior_tree", "read_posterior", "site_posterior"],
        "sbc": (
            "AS_ASSUMED AS_IN_PAPER PAPER_PLAN coverage_by_depth known_targets_table "
            "outside_band proposals_table simulated_calibration withheld_predictions"
        ).split(),
        "stage": ["one_batch_assimilation", "one_batch_plan", "site_assimilation"],
        "store": ["opened_sites", "status_counts"],
    },
)
