"""A study file with few settings, and stages that write one line each."""

from proda.study import Study

STUDY = """
title = "A small study"
seed = 7
[source]
kind = "virtual"
[settings]
n_profiles = 100
epochs = 10
dropout = 0.2
one_batch_steps = 500
site_steps = 500
chains = 3
one_batch_B = "1/n"
spatial = false
supplement_sites = 50
test_share = 0.2
relative_sd = 0.3
kept_draws = 100
site_rhat_limit = 1.05
one_batch_coordinates = "box"
site_ess_limit = 0
site_max_steps = 0
site_coordinates = "box"
site_acceptance = "metropolis"
site_kept_states = "all"
map_draws = 100
network_scaling = "training"
network_weights = "best"
one_batch_test_steps = 100
batch_size = 16
learning_rate = 1.0
network_folds = 2
network_block_km = 400.0
hybrid_members = 2
hybrid_epochs = 2
hybrid_prior_weight = 0.0
hybrid_distillation_share = 0.9
[scales.tiny]
epochs = 2
[scales.demo]
"""


def finish(study: Study, *names: str, text: str = "result") -> None:
    for name in names:
        with study.stage(name) as folder:
            (folder / f"{name[:2]}.txt").write_text(text)
