"""One list of dependencies: pyproject.toml; environment.yml follows it, and this environment satisfies it."""

from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from proda.run.environment import environment_text, main, requirements
from proda.study import repository_root

PYPROJECT = repository_root() / "pyproject.toml"


def test_the_conda_environment_is_the_one_made_from_pyproject():
    assert (repository_root() / "environment.yml").read_text() == environment_text(PYPROJECT)
    assert main(["--check"]) == 0


def test_every_requirement_has_bounds_on_both_ends():
    for text in requirements(PYPROJECT):
        operators = {bound.operator for bound in Requirement(text).specifier}
        assert operators in ({">=", "<"}, {"=="}), f"{text} has no bound on one end"


@pytest.mark.parametrize("text", requirements(PYPROJECT))
def test_this_environment_satisfies(text):
    requirement = Requirement(text)
    assert requirement.specifier.contains(metadata.version(requirement.name), prereleases=True)


def test_names_and_bounds_are_carried_over_to_conda(tmp_path: Path):
    file = tmp_path / "pyproject.toml"
    file.write_text(
        '[project]\nname = "a"\nversion = "1"\nrequires-python = ">=3.11"\n'
        'dependencies = ["netCDF4>=1.7,<2", "numpy"]\n'
        '[project.optional-dependencies]\nreport = ["sphinx-mathjax-offline==0.0.2"]\n'
        '[dependency-groups]\nlint = ["ruff>=1"]\ntest = ["pytest", { include-group = "lint" }]\n'
    )
    lines = environment_text(file).splitlines()
    for line in ('  - "python >=3.11"', '  - "netcdf4 >=1.7,<2"', "  - numpy", '  - "ruff >=1"', "  - pytest"):
        assert line in lines
    assert lines[-3:] == ["  - pip:", '      - "sphinx-mathjax-offline==0.0.2"', '      - "-e ."']
