"""Compiled functions are kept, and never outlive the sources they were made from."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba as nb
import numpy as np
import pytest

import proda
from proda.code_cache import source_digest
from proda.compiled import cache_folder, kept_compiled, kernel_digest


def digest_now(package) -> str:
    source_digest.cache_clear()
    return kernel_digest(package)


@pytest.fixture
def package(tmp_path):
    """A copy of the package without what was compiled."""
    return shutil.copytree(Path(proda.__file__).parent, tmp_path / "proda", ignore=lambda *_: ["__pycache__"])


def test_the_same_sources_have_the_same_digest_wherever_they_lie(package):
    assert kernel_digest(package) == kernel_digest()
    assert cache_folder.__wrapped__().name == f"compiled-{kernel_digest(package)}"


@pytest.mark.parametrize("file", ["compiled.py", "kernels/simd.py", "model/configuration.py", "kernels/misfit.py"])
def test_a_change_in_any_file_of_the_two_rooms_changes_the_folder(package, file):
    before = kernel_digest(package)
    path = package / file
    path.write_text(path.read_text() + "\n# a comment\n")
    assert digest_now(package) == before
    path.write_text(path.read_text() + "\nadded = 1\n")
    assert digest_now(package) != before


def test_a_new_file_changes_the_folder_and_a_compiled_one_does_not(package):
    before = kernel_digest(package)
    (package / "model" / "__pycache__").mkdir()
    (package / "model" / "__pycache__" / "lanes.pyc").write_bytes(b"0")
    assert digest_now(package) == before
    (package / "model" / "another.py").write_text("x = 1\n")
    assert digest_now(package) != before


SAMPLED = """
import hashlib
from pathlib import Path
from made_sites import few_sites, posteriors_in, store_bytes
from proda.compiled import cache_folder
kept = len(list(cache_folder().rglob("*.nbc")))
posteriors_in(Path("."), few_sites(20))
files = b"".join(content for _, content in sorted(store_bytes(Path(".")).items()))
print(kept, hashlib.sha256(files).hexdigest())
"""


def test_what_finds_its_functions_compiled_finds_what_compiled_them_to_the_last_bit(package, tmp_path):
    told = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parent)])}
    folders = tmp_path / "first", tmp_path / "second"
    told_by = []
    for folder in folders:
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", SAMPLED], env=told, cwd=folder, capture_output=True, text=True, check=True
        )
        told_by.append(done.stdout.split())
    (kept_before, first), (kept_after, second) = told_by
    assert int(kept_before) == 0 and int(kept_after) > 0
    assert first == second


@kept_compiled
def quotient(a, b):
    return a / b


def test_a_kept_function_lies_in_the_folder_and_divides_like_numpy():
    assert quotient(1.0, 0.0) == np.inf and np.isnan(quotient(0.0, 0.0))
    assert list(cache_folder().rglob("test_compiled.quotient-*"))


def test_numbas_own_settings_stay_as_they_were():
    assert nb.config.CACHE_DIR != str(cache_folder())


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
