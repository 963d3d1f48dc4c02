"""The clone: floors and circles, sizes, notebooks as they must be committed, and no folder of one machine."""

import ast
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import nbformat
import pytest

from proda.errors import MissingOutput
from proda.stage import ALL_STAGES, STAGES
from proda.study import repository_root

ROOT = repository_root()
PACKAGE = ROOT / "src" / "proda"
MODULES = sorted(PACKAGE.rglob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# From the ground up: a room imports only from rooms below it, and what stands outside the rooms from none.
FLOORS = ("model", "kernels", "data", "assimilation", "learning", "maps", "figures", "run")
# The words that each page may have, and the lines of code in all.
PAGES = {"README.md": 900, "data/README.md": 1200}
LINES = {"src": 18_900, "tests": 13_350}
MOST_MODULES, LONGEST_MODULE, MOST_SHORT_MODULES, SHORT = 84, 500, 12, 100

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@cache
def python(path: Path) -> ast.Module:
    """The code of a module or a notebook."""
    if path.suffix == ".py":
        return ast.parse(path.read_text())
    lines = [line for cell in code_cells(path) for line in cell.source.splitlines()]
    return ast.parse("\n".join(line for line in lines if not line.startswith(("%", "!"))))


def imported(tree: ast.Module, everywhere: bool = True) -> set[str]:
    """The names of the package that code imports; those of a module as a whole only, unless ``everywhere``."""
    names = set()
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("proda"):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.startswith("proda")}
    return names


def test_each_stage_has_a_notebook_and_each_notebook_is_a_stage():
    names = [path.stem for path in NOTEBOOKS]
    assert set(STAGES) <= set(names) <= set(ALL_STAGES)


def test_notebooks_are_committed_without_outputs():
    program = shutil.which("nbstripout", path=Path(sys.executable).parent) or "nbstripout"
    done = subprocess.run([program, "--verify", "--keep-id", *NOTEBOOKS], capture_output=True, text=True)
    assert done.returncode == 0, f"run nbstripout --keep-id notebooks/*.ipynb: {done.stdout}"


@each_notebook
def test_a_notebook_has_a_title_the_common_parameters_and_opens_its_study(path):
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.startswith("# ")
    first, second = code_cells(path)[:2]
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert tagged == [first], "exactly the first code cell is tagged 'parameters'"
    names = [line.split("=")[0].strip() for line in first.source.splitlines() if "=" in line]
    assert names == ["study", "scale", "data", "out", "settings"]
    assert re.search(r"open_study\(study, scale=scale, data=data, out=out, settings=settings\)", second.source)


@each_notebook
def test_a_notebook_is_short_and_calls_the_package(path):
    cells = code_cells(path)
    words = [cell.source.split() for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    assert len(cells) <= (25 if path.stem in STAGES else 40)
    assert sum(map(len, words)) <= 900
    assert max(len(cell.source.splitlines()) for cell in cells) <= 20
    tree = python(path)
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    assert len({name for name in modules if name.startswith("proda")}) <= 8
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert [node.name for node in functions if node.end_lineno - node.lineno >= 4] == [], "move these into the package"


@pytest.mark.parametrize("name", [name for name in STAGES if STAGES[name].upstream])
def test_a_notebook_alone_stops_before_it_works_and_gives_the_command_that_makes_what_it_needs(name, tmp_path):
    code = [cell.source for cell in code_cells(ROOT / "notebooks" / f"{name}.ipynb")]
    scope = {"display": lambda *shown: None}
    exec(code[0], scope)
    scope.update(scale="tiny", out=str(tmp_path))
    with pytest.raises(MissingOutput) as stopped:
        for number, cell in enumerate(code[1:], start=1):
            exec(compile(cell, f"{name}, code cell {number}", "exec"), scope)
    assert number <= 4
    command = f"python -m proda run --study virtual --scale tiny --out {tmp_path} --from 1"
    assert str(stopped.value) == f"01-data-cleaning of virtual-tiny has not been run. Run it first: {command}"


def test_a_room_imports_only_from_the_rooms_below_it():
    crossed = []
    for path in MODULES:
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        floor = FLOORS.index(room) if room in FLOORS else -1
        for name in imported(python(path), everywhere=room in FLOORS):
            other = name.split(".")[1] if "." in name else ""
            if other in FLOORS and FLOORS.index(other) > floor:
                crossed.append(f"{path.relative_to(ROOT)} imports {name}")
    assert crossed == []


def test_a_module_imports_from_the_module_that_defines_a_name():
    """A room's `__init__` is for notebooks and users; what is imported through it would count for no fingerprint."""
    through = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in MODULES
        for name in imported(python(path))
        if name.count(".") == 2 and name.split(".")[1] in FLOORS and not _is_module(name)
    ]
    assert through == []


def _is_module(name: str) -> bool:
    path = PACKAGE.parent / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


def test_no_modules_import_each_other_in_a_circle():
    names = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in MODULES}
    below = {name: imported(python(path), everywhere=False) & set(names) - {name} for name, path in names.items()}
    while free := [name for name, others in below.items() if not others]:
        for name in free:
            del below[name]
        below = {name: others - set(free) for name, others in below.items()}
    assert below == {}, "these import each other"


def test_the_package_has_few_modules_and_none_is_long():
    modules = [path for path in MODULES if path.name not in ("__init__.py", "conf.py")]
    sizes = {path: len(path.read_text().splitlines()) for path in modules}
    assert len(sizes) <= MOST_MODULES
    assert [str(path.relative_to(PACKAGE)) for path, size in sizes.items() if size > LONGEST_MODULE] == []
    short = [str(path.relative_to(PACKAGE)) for path, size in sizes.items() if size < SHORT]
    assert len(short) <= MOST_SHORT_MODULES, short


@pytest.mark.parametrize("folder", LINES)
def test_the_code_is_short(folder):
    assert sum(len(path.read_text().splitlines()) for path in (ROOT / folder).rglob("*.py")) <= LINES[folder]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_short(name):
    assert len((ROOT / name).read_text().split()) <= PAGES[name]


def test_no_file_names_a_folder_of_one_machine():
    settings = [*(ROOT / "data" / "studies").glob("*.toml"), ROOT / "tox.ini", ROOT / "pyproject.toml"]
    for path in (*MODULES, *NOTEBOOKS, *settings):
        match = re.search(r"[\"'\s=](/(?:home|root|Users|work|tmp|mnt)/\S*)", path.read_text())
        assert match is None, f"{path.relative_to(ROOT)} names {match and match.group(1)}"
