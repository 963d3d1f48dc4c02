"""Compiled functions are kept, never outlive the code they were made from, and survive a change of comments."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import proda
from proda.code_cache import source_digest
from proda.compiled import cache_folder, kernel_digest, kernel_sources


@pytest.fixture
def package(tmp_path):
    """A copy of the package without what was compiled."""
    return shutil.copytree(Path(proda.__file__).parent, tmp_path / "proda", ignore=lambda *_: ["__pycache__"])


def digest_after(path, added) -> str:
    path.write_text(added(path.read_text()) if callable(added) else path.read_text() + added)
    source_digest.cache_clear()
    return kernel_digest(path.parents[1] if path.parent.name in ("model", "kernels") else path.parent)


@pytest.mark.parametrize("file", ["compiled.py", "kernels/simd.py", "kernels/misfit.py", "model/forcing.py"])
def test_the_digest_follows_the_code_of_the_kernels_and_not_its_comments(package, file):
    before = kernel_digest(package)
    assert before == kernel_digest(), "it does not depend on where the package lies"
    assert digest_after(package / file, "\n# a comment\n") == before
    assert digest_after(package / file, lambda text: text.replace('"""', '"""Other words. ', 1)) == before
    assert digest_after(package / file, "\nadded = 1\n") != before


@pytest.mark.parametrize("file", ["model/age.py", "model/solver.py", "model/sensitivity.py", "code_cache.py"])
def test_code_that_no_kernel_runs_changes_nothing(package, file):
    assert package / file not in kernel_sources(package)
    before = kernel_digest(package)
    assert digest_after(package / file, "\nadded = 1\n") == before


SAMPLED = """
import hashlib
import numpy as np
from columns import temperate
from proda.kernels.metropolis import Schedule, new_chains, new_target, run_chains, start_chains
from proda.kernels.misfit import misfit_forms
from proda.kernels.random import generator_states
plan, draws, phis = Schedule(50, 50, 50, 1), np.empty((8, 50, 25)), np.empty((8, 50))
column, depth = np.arange(8), np.full(8, 0.2)
forms = misfit_forms(column, 8, depth, np.full(8, 2e4), np.ones(8), np.full(8, 5e3))
target, chains = new_target(temperate(8), forms, False), new_chains(25, generator_states([(1, k) for k in column]))
start_chains(chains, target)
run_chains(chains, target, plan, 0, plan.total, draws, phis)
print(hashlib.sha256(draws.tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_a_comment_recompiles_nothing_and_what_was_kept_gives_the_same_bits(package, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parent)])}

    def sampled() -> str:
        command = [sys.executable, "-c", SAMPLED]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout

    def kept() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (package / "__pycache__").rglob("*.nb?")}

    first, files = sampled(), kept()
    metropolis = package / "kernels" / "metropolis.py"
    metropolis.write_text("# a comment\n" + metropolis.read_text())
    assert sampled() == first and kept() == files and len(files) == 4


def test_where_the_package_cannot_be_written_the_users_own_cache_is_used(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("os.access", lambda place, _: Path(place).is_relative_to(tmp_path))
    assert cache_folder.__wrapped__().parent == tmp_path / ".cache" / "proda"


def test_without_any_folder_of_its_own_a_new_private_one_is_made_each_time(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("os.access", lambda *_: False)
    folders = [cache_folder.__wrapped__().parent for _ in range(2)]
    assert folders[0] != folders[1]
    assert all(folder.parent == tmp_path and folder.stat().st_mode & 0o077 == 0 for folder in folders)
