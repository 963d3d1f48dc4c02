"""Compiled functions are kept, never outlive the code they were made from, and survive a change of comments."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import proda
from proda.compiled import cache_folder, cache_root, set_jax_cache_folder
from proda.fingerprint import code_digest

SAMPLED = """
import hashlib
import numpy as np
from columns import temperate
from proda.kernels.metropolis import Schedule, new_chains, new_target, run_chains, start_chains
from proda.kernels.misfit import misfit_forms
from proda.kernels.simd import BLOCK_WIDTH as W, generator_states
from proda.model.observation import layer_operator
plan, draws, phis = Schedule(50, 50, 50, 1), np.empty((W, 50, 25)), np.empty((W, 50))
column, depth = np.arange(W), np.full(W, 0.2)
forms = misfit_forms(column, W, layer_operator(depth, depth), np.full(W, 2e4), np.ones(W), np.full(W, 5e3))
target, chains = new_target(temperate(W), forms, False), new_chains(25, generator_states([(1, k) for k in column]))
start_chains(chains, target)
run_chains(chains, target, plan, 0, plan.total, draws, phis)
print(hashlib.sha256(draws.tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_a_comment_recompiles_nothing_and_what_was_kept_gives_the_same_bits(tmp_path):
    package = shutil.copytree(Path(proda.__file__).parent, tmp_path / "proda", ignore=lambda *_: ["__pycache__"])
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
    folders = [cache_root() for _ in range(2)]
    assert folders[0] != folders[1]
    assert all(folder.parent == tmp_path and folder.stat().st_mode & 0o077 == 0 for folder in folders)


def test_jax_keeps_its_code_by_kind_of_processor_unless_the_user_has_chosen_a_folder(monkeypatch):
    folders = set()
    for machine in ("x86_64", "aarch64", "x86_64"):
        monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
        monkeypatch.setattr("platform.machine", lambda machine=machine: machine)
        set_jax_cache_folder()
        folders.add(os.environ["JAX_COMPILATION_CACHE_DIR"])
    assert len(folders) == 2 and all(folder.startswith(str(cache_root())) for folder in folders)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    set_jax_cache_folder()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "elsewhere"


@pytest.mark.parametrize(
    ("file", "counts"), [("kernels/simd.py", True), ("model/rates.py", True), ("model/age.py", False)]
)
def test_the_kernels_are_compiled_anew_when_their_code_changes(tmp_path, file, counts):
    package = shutil.copytree(Path(proda.__file__).parent, tmp_path / "proda", ignore=lambda *_: ["__pycache__"])
    before = code_digest.__wrapped__(("kernels",), package=package)
    (package / file).write_text((package / file).read_text() + "\nadded = 1\n")
    assert (code_digest.__wrapped__(("kernels",), package=package) != before) == counts
