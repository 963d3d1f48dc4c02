"""Six notebooks that run in a moment, with all that the real ones have: parameters, mathematics, a figure, a table."""

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from proda.stage import STAGES

STUDY = """
title = "A small study"
description = "Six stages that write one file each."
seed = 7
[source]
kind = "virtual"
[settings]
n_profiles = 100
epochs = 10
one_batch_test_steps = 100
one_batch_steps = 1000
one_batch_B = "1/n"
site_test_steps = 100
site_steps = 1000
kept_draws = 100
chains = 2
site_rhat_limit = 1.05
one_batch_coordinates = "box"
site_ess_limit = 0
site_max_steps = 0
site_coordinates = "box"
site_acceptance = "metropolis"
site_kept_states = "all"
fail_in = ""
[scales.tiny]
epochs = 2
"""

PARAMETERS = """study = "virtual"
scale = "demo"
data = ""
out = ""
settings = {}"""

OPEN = """from proda.study import Study

study = Study.open(study, scale=scale, data=data, out=out, settings=settings)"""

WORK = """with study.stage("{name}") as folder:
    if study["fail_in"] == "{name}":
        raise RuntimeError("the ground is frozen")
    (folder / "{name}.txt").write_text(str(study["epochs"]))"""

EXTRA = {
    "01-data-cleaning": """import sys

print("10 %\\r50 %\\r100 %", file=sys.stderr)""",
    "03-one-batch-assimilation": """import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(4, 2))
axes.plot([0, 1, 4, 9]);""",
    "06-final-figures": """study.path("table_1.csv").write_text("method,r2\\ndefault,0.31999\\nnetwork,0.62\\n");""",
}


def write_study(folder: Path) -> tuple[Path, Path]:
    """A study file and a folder of six notebooks, below ``folder``."""
    file, notebooks = folder / "small.toml", folder / "notebooks"
    file.write_text(STUDY)
    notebooks.mkdir()
    for name in STAGES:
        cells = [
            new_markdown_cell(f"# {name[3:].replace('-', ' ').capitalize()}\n\nCarbon obeys $\\dot x = B u - A K x$."),
            new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
            new_code_cell(OPEN),
            new_markdown_cell("## Method\n\n$$x = (A K)^{-1} B u$$"),
            new_code_cell(WORK.format(name=name)),
        ]
        if name in EXTRA:
            cells.append(new_code_cell(EXTRA[name]))
        notebook = new_notebook(cells=cells)
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, notebooks / f"{name}.ipynb")
    return file, notebooks
