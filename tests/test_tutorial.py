"""The commands of the tutorial "Your own region in seven steps" run and give the results that it describes."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from proda.__main__ import overrides, parser
from proda.data.stage import cleaned_study
from proda.study import Study, repository_root

FILE = repository_root() / "docs" / "your-own-region.md"


class Block(NamedTuple):
    step: int
    kind: str  # "python" or "bash"
    code: str


def steps() -> dict[int, str]:
    parts = re.split(r"^## (\d)\. ", FILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


def blocks() -> list[Block]:
    return [
        Block(number, kind, code)
        for number, text in steps().items()
        for kind, code in re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)
    ]


def done(block: Block, folder: Path) -> str:
    """What `block` prints when it is run in `folder` with the Python of the tests; its errors are an AssertionError."""
    command = [sys.executable, "-c"] if block.kind == "python" else ["bash", "-euc"]
    here = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": here + os.pathsep + os.environ["PATH"]}
    run = subprocess.run([*command, block.code], cwd=folder, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, f"step {block.step}:\n{block.code}\n{run.stdout[-1000:]}\n{run.stderr[-3000:]}"
    return run.stdout


LONG = 7  # the step whose runs take long: its commands are read, its studies opened


@pytest.fixture(scope="module")
def region(tmp_path_factory):
    """A folder like a clone's, with the region that steps 1 and 2 make."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / "data").symlink_to(repository_root() / "data")
    for block in blocks():
        if block.step <= 2:
            done(block, folder)
    return folder


def test_every_run_names_settings_and_scales_that_there_are(region, monkeypatch):
    monkeypatch.chdir(region)
    lines = [line for block in blocks() for line in block.code.replace("\\\n", "").splitlines()]
    runs = [line for line in lines if line.startswith("python -m proda run")]
    assert len(runs) == 4
    for line in runs:
        options = parser().parse_args(shlex.split(line)[3:])
        study = Study.open(options.study, options.scale, options.data, options.out, overrides(options.set))
        assert study.data == region / "my-region" / "tables"
    scales = [line.split("--scale ")[1].split()[0] for line in runs]
    assert scales == ["tiny", "tiny", "demo", "paper"]


@pytest.mark.parametrize(("west", "south"), [(24.0, -4.0), (172.0, 60.0)])
def test_its_region_may_lie_anywhere(west, south, tmp_path, monkeypatch):
    code = next(block for block in blocks() if block.step == 1).code
    assert "west, south = -98.0, 40.0" in code
    done(Block(1, "python", code.replace("west, south = -98.0, 40.0", f"west, south = {west}, {south}")), tmp_path)
    cleaned = cleaned_study(Study.open("your-region", "tiny", tmp_path / "my-region" / "tables", tmp_path / "out"))
    assert (len(cleaned.profiles), cleaned.grid.sizes["cell"]) == (80, 16 * 8)


@pytest.mark.slow
@pytest.mark.study
def test_its_commands_lead_from_three_tables_to_maps_and_a_report(region):
    printed = {}
    for block in blocks():
        if 2 < block.step < LONG:
            printed[block.step, block.kind] = done(block, region)
    results = region / "my-region" / "results"
    assert printed[5, "bash"].count(" complete, ") >= 5 and "has not been run" in printed[5, "bash"]
    assert pd.read_csv(results / "cleaning.csv")["profiles_after"].iloc[-1] == 80
    page = "my-region/reports/my-region-tiny/html/index.html"
    assert page in steps()[5] and (region / page).is_file()
    metre = pd.read_csv(region / "my-region" / "carbon_to_one_metre.csv")["soil_mass_content_of_carbon"]
    assert 16 * 8 * 0.9 <= len(metre) <= 16 * 8
    # The synthetic profiles hold some 15 kg m-2 to a metre.
    assert 5 < metre.mean() < 45
