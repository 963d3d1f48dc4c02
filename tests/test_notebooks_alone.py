"""A notebook opened by itself in JupyterLab: it says what it needs, and stops at once when that is not there."""

import re

import nbformat
import pytest

from proda.errors import MissingOutput
from proda.stage import STAGES
from proda.study import repository_root

HEADS = ("Does", "Needs", "Makes", "Takes")


def notebook(name: str) -> nbformat.NotebookNode:
    return nbformat.read(repository_root() / "notebooks" / f"{name}.ipynb", as_version=4)


@pytest.mark.parametrize("name", STAGES)
def test_a_notebook_says_what_it_does_needs_makes_and_takes(name):
    first = notebook(name).cells[0].source
    told = dict(re.findall(r"^\* \*\*(\w+):?\*\*:? (.+)$", first, re.MULTILINE))
    assert tuple(told) == HEADS
    read = [str(list(STAGES).index(below) + 1) for below in STAGES[name].upstream]
    assert set(read) <= set(re.findall(r"\d", told["Needs"])) or not read


@pytest.mark.parametrize("name", [name for name in STAGES if STAGES[name].upstream])
def test_without_what_it_needs_it_stops_before_it_works_and_gives_the_command(name, tmp_path):
    code = [cell.source for cell in notebook(name).cells if cell.cell_type == "code"]
    scope = {"display": lambda *shown: None}
    exec(code[0], scope)
    scope.update(scale="tiny", out=str(tmp_path))
    with pytest.raises(MissingOutput) as stopped:
        for number, cell in enumerate(code[1:], start=1):
            exec(compile(cell, f"{name}, code cell {number}", "exec"), scope)
    assert number <= 4
    command = f"python -m proda run --study virtual --scale tiny --out {tmp_path} --from 1"
    assert str(stopped.value) == f"01-data-cleaning of virtual-tiny has not been run. Run it first: {command}"


def test_the_environment_of_jupyterlab_opens_the_notebooks_with_the_kernel_that_they_name():
    text = (repository_root() / "tox.ini").read_text()
    assert "commands = jupyter lab {posargs:notebooks}" in text
    assert {notebook(name).metadata.kernelspec.name for name in STAGES} == {"python3"}
