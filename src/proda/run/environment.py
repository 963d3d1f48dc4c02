"""``environment.yml`` for conda, from the dependencies in ``pyproject.toml``: ``python -m proda.run.environment``."""

import re
import sys
import tomllib
from pathlib import Path

from proda.study import repository_root

# Packages with another name on conda-forge; None for those that only pip has.
CONDA_NAMES = {"netCDF4": "netcdf4", "sphinx-mathjax-offline": None}
HEAD = """\
# Made from pyproject.toml by: python -m proda.run.environment
# Compared with it by the tests, not solved by conda.
name: proda
channels:
  - conda-forge
dependencies:
"""


def requirements(pyproject: Path) -> list[str]:
    """Every requirement in ``pyproject``: the package's, its extras' and its groups', once each, in order."""
    content = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    project, groups = content["project"], content.get("dependency-groups", {})
    lists = [project["dependencies"], *project.get("optional-dependencies", {}).values(), *groups.values()]
    return list(dict.fromkeys(item for items in lists for item in items if isinstance(item, str)))


def environment_text(pyproject: Path) -> str:
    """The content of ``environment.yml``."""
    content = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    conda, pip = [f"python {content['project']['requires-python']}", "pip"], ["-e ."]
    for requirement in requirements(pyproject):
        name, bounds = re.fullmatch(r"([A-Za-z0-9._-]+?)\s*([<>=!~].*)?", requirement).groups(default="")
        known = CONDA_NAMES.get(name, name.lower())
        if known is None:
            pip.insert(-1, requirement)
        else:
            conda.append(f"{known} {bounds}".strip())
    lines = [f'  - "{item}"' if set(item) & set("<>=") else f"  - {item}" for item in conda]
    lines += ["  - pip:", *(f'      - "{item}"' for item in pip)]
    return HEAD + "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write ``environment.yml``, or with ``--check`` compare it with ``pyproject.toml`` (1 if they differ)."""
    root = repository_root()
    target, text = root / "environment.yml", environment_text(root / "pyproject.toml")
    if arguments == ["--check"]:
        same = target.is_file() and target.read_text(encoding="utf-8") == text
        print(f"{target.name} {'agrees' if same else 'does not agree'} with pyproject.toml")
        return 0 if same else 1
    target.write_text(text, encoding="utf-8")
    print(f"wrote {target.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
