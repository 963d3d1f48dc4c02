"""The commands of the tutorial, read from its Markdown."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from proda.study import repository_root

FILE = repository_root() / "docs" / "your-own-region.md"


class Block(NamedTuple):
    """A block of code of the tutorial: the number of its step, "python" or "bash", and the code."""

    step: int
    kind: str
    code: str


def steps() -> dict[int, str]:
    """The text of every step, by its number."""
    parts = re.split(r"^## (\d)\. ", FILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


def blocks() -> list[Block]:
    """Every block of code, in order."""
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
