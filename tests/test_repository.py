"""The clone: notebooks as they must be committed, files not too long, floors not crossed, no folder of one machine."""

import ast
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from proda.stage import STAGES
from proda.study import repository_root

ROOT = repository_root()
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MODULES = sorted((ROOT / "src").rglob("*.py"))
FLOORS = ("model", "kernels", "data", "assimilation", "learning", "maps", "figures", "run")
# These stand outside the rooms, on the data floor; __main__ calls every room.
DATA_FLOOR = ("study", "stage")


def test_there_is_one_notebook_for_each_stage():
    assert [path.stem for path in NOTEBOOKS] == list(STAGES)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(path):
    program = shutil.which("nbstripout", path=Path(sys.executable).parent) or "nbstripout"
    done = subprocess.run([program, "--verify", "--keep-id", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, f"{path.name} has outputs: run nbstripout --keep-id {path.name}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_a_title_and_the_common_parameters(path):
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.startswith("# ")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    tagged = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    assert tagged == [code[0]], "exactly the first code cell is tagged 'parameters'"
    names = [line.split("=")[0].strip() for line in tagged[0].source.splitlines() if "=" in line]
    assert names == ["study", "scale", "data", "out", "settings"]
    assert all("id" in cell for cell in notebook.cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_calls_the_package_and_holds_no_long_code(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        lines = cell.source.splitlines()
        assert len(lines) <= 30, f"a cell of {len(lines)} lines: {lines[0]}"
        tree = ast.parse("\n".join(line for line in lines if not line.startswith(("%", "!"))))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 5, f"move {node.name} into the package"


def test_what_a_notebook_imports_from_the_package_is_there():
    missing = []
    for path in NOTEBOOKS:
        code = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        for node in (node for source in code for node in ast.walk(ast.parse(source))):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "proda":
                module = importlib.import_module(node.module)
                for name in (alias.name for alias in node.names):
                    if not hasattr(module, name) and not importlib.util.find_spec(f"{node.module}.{name}"):
                        missing.append(f"{path.name}: {node.module}.{name}")
    assert not missing


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_is_read_at_one_sitting(path):
    assert len(path.read_text().splitlines()) <= 760  # 500 is the aim


def test_a_room_imports_only_from_the_floors_below_it():
    crossed = []
    for path in MODULES:
        room = path.relative_to(ROOT / "src" / "proda").parts[0].removesuffix(".py")
        floor = "data" if room in DATA_FLOOR else room
        if floor not in FLOORS:
            continue
        for name in re.findall(r"^\s*(?:from|import) proda\.(\w+)", path.read_text(), re.MULTILINE):
            other = "data" if name in DATA_FLOOR else name
            if name != "errors" and other in FLOORS and FLOORS.index(other) > FLOORS.index(floor):
                crossed.append(f"{path.relative_to(ROOT)} imports {name}")
    assert crossed == []


def test_no_file_names_a_folder_of_one_machine():
    texts = [
        *MODULES,
        *NOTEBOOKS,
        *(ROOT / "data" / "studies").glob("*.toml"),
        ROOT / "tox.ini",
        ROOT / "pyproject.toml",
    ]
    for path in texts:
        found = re.search(r"[\"'\s=](/(?:home|root|Users|work|tmp|mnt)/\S*)", path.read_text())
        assert found is None, f"{path.relative_to(ROOT)} names {found and found.group(1)}"
