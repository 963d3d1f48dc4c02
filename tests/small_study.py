"""A small virtual study, and stages that write one line each."""

from proda.study import Study

STUDY = """
title = "A small study"
seed = 7
[source]
kind = "virtual"
[settings]
n_profiles = 100
epochs = 10
hybrid_members = 2
hybrid_epochs = 2
hybrid_prior_weight = 0.0
[scales.tiny]
epochs = 2
"""


def finish(study: Study, *names: str, text: str = "result") -> None:
    for name in names:
        with study.stage(name) as folder:
            (folder / f"{name[:2]}.txt").write_text(text)
