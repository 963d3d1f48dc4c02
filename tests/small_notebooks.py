"""Notebooks that run in a moment, with all that the real ones have: parameters, mathematics, a figure, a summary."""

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from small_study import STUDY

from proda.stage import STAGES

PARAMETERS = """study = "virtual"
scale = "demo"
data = ""
out = ""
settings = {}"""

OPEN = """import proda

study = proda.open_study(study, scale=scale, data=data, out=out, settings=settings)"""

WORK = """with study.stage("{name}") as folder:
    if "{name}".startswith("02") and study["min_layers"] == 9:
        raise RuntimeError("the ground is frozen")
    (folder / "{name}.txt").write_text(str(study["epochs"]))"""

EXTRA = {
    "01-data-cleaning": """import sys

for part in (10, 50, 100):
    print(f"\\r{part} %", end="", file=sys.stderr, flush=True)""",
    "03-one-batch-assimilation": """import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(4, 2))
axes.plot([0, 1, 4, 9]);""",
}


def write_study(folder: Path) -> tuple[Path, Path]:
    """A study file and a folder of the six notebooks and of S3, below ``folder``."""
    file, notebooks = folder / "small.toml", folder / "notebooks"
    file.write_text(STUDY.replace("seed", 'description = "Stages that write one file each."\nseed'))
    notebooks.mkdir()
    for name in (*STAGES, "S3-method-comparison"):
        work = WORK.format(name=name) if name in STAGES else f'study.write_summary("{name}", {{"nse": 0.5}})'
        cells = [
            new_markdown_cell(f"# {name.replace('-', ' ')}\n\nCarbon obeys $\\dot x = B u - A K x$."),
            new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
            new_code_cell(OPEN),
            new_markdown_cell("## Method\n\n$$x = (A K)^{-1} B u$$"),
            new_code_cell(work),
        ]
        cells += [new_code_cell(EXTRA[name])] if name in EXTRA else []
        notebook = new_notebook(cells=cells)
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, notebooks / f"{name}.ipynb")
    return file, notebooks
