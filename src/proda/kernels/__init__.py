"""Compiled code: the steady state of eight columns at a time, the misfit, the sampler, and its convergence."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "diagnostics": ["convergence", "gelman_rubin"],
        "metropolis": ["Proposal", "Schedule"],
        "misfit": ["layer_weights", "misfit_forms"],
        "steady_state": ["soc_density"],
    },
)
