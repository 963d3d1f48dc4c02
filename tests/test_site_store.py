"""`sites.zarr` in the making: the same bytes whatever happens on the way, and clear words when the disk refuses."""

import errno
import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr
from made_sites import SHORT, few_sites, posteriors_in, store_bytes

from proda.assimilation import sites as site_by_site
from proda.assimilation import store as site_store
from proda.assimilation.store import SiteStore, batch_arrays, opened_sites, site_coordinates
from proda.errors import InputError, ProdaError

N_SITES, BATCH = 20, 6


@pytest.fixture(scope="module")
def problem():
    return few_sites(N_SITES)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(site_by_site, "SITES_PER_BATCH", BATCH)


@pytest.fixture(scope="module")
def undisturbed(problem, tmp_path_factory):
    """Folder of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site_by_site, "SITES_PER_BATCH", BATCH)
        posteriors_in(folder, problem)
    return folder


@pytest.fixture
def expected(undisturbed):
    return store_bytes(undisturbed)


@pytest.fixture
def sampled(monkeypatch):
    """The first sites of the batches that are sampled from here on."""
    batches, sample = [], site_by_site.sampled_batch

    def watched(part, seed, plan, store, first):
        batches.append(first)
        return sample(part, seed, plan, store, first)

    monkeypatch.setattr(site_by_site, "sampled_batch", watched)
    return batches


def test_many_workers_write_the_bytes_of_one(problem, expected, tmp_path):
    posteriors_in(tmp_path, problem, n_workers=4)
    assert store_bytes(tmp_path) == expected


@pytest.mark.parametrize("order", [[18, 0, 12, 6], [12, 6, 18, 0]], ids=str)
def test_batches_may_be_written_in_any_order(problem, expected, tmp_path, order):
    store = SiteStore(tmp_path, tmp_path / "checkpoints")
    store.create(site_coordinates(problem.profile_id), SHORT, BATCH)
    for first in order:
        store.write(first, batch_arrays(problem.part(first, min(first + BATCH, N_SITES)), 7, SHORT))
    assert store_bytes(tmp_path) == expected


@pytest.mark.parametrize("batch", [1, 7, 128])
def test_the_content_does_not_depend_on_the_size_of_batches(problem, undisturbed, tmp_path, monkeypatch, batch):
    with opened_sites(undisturbed / "sites.zarr") as expected:
        monkeypatch.setattr(site_by_site, "SITES_PER_BATCH", batch)
        assert posteriors_in(tmp_path, problem).identical(expected)


def test_a_finished_store_is_not_sampled_again(problem, undisturbed, expected, tmp_path, sampled):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    done = []
    posteriors_in(tmp_path, problem, report=done.append)
    assert not sampled and sum(done) == N_SITES and store_bytes(tmp_path) == expected


def chunks(folder: Path, variable: str) -> list[Path]:
    """Files of the chunks of a variable, by batch."""
    found = [path for path in (folder / "sites.zarr" / variable / "c").rglob("*") if path.is_file()]
    return sorted(found, key=lambda path: int(path.relative_to(folder / "sites.zarr" / variable / "c").parts[0]))


def harm(folder: Path, what: str) -> None:
    """Spoil the second batch."""
    chunk = chunks(folder, "x")[1]
    content = chunk.read_bytes()
    if what == "a chunk cut short":
        chunk.write_bytes(content[: len(content) // 2])
    elif what == "a chunk of zeros":
        chunk.write_bytes(bytes(len(content)))
    elif what == "an empty chunk":
        chunk.write_bytes(b"")
    elif what == "a chunk gone":
        chunk.unlink()
    elif what == "a chunk of other sites":
        shutil.copy(chunks(folder, "x")[2], chunk)
    elif what == "a number changed":
        group = zarr.open_group(folder / "sites.zarr", mode="r+")
        group["phi"][BATCH, 1, 2] += 1.0
    elif what == "no mark":
        next((folder / "checkpoints").rglob(f"*{BATCH}.json")).unlink()
    else:
        next((folder / "checkpoints").rglob(f"*{BATCH}.json")).write_text('{"first": 6, "la')


@pytest.mark.parametrize(
    "what",
    ["a chunk cut short", "a chunk of zeros", "an empty chunk", "a chunk gone", "a chunk of other sites",
     "a number changed", "no mark", "half a mark"],
)  # fmt: skip
def test_a_batch_that_is_not_what_was_written_is_sampled_again_and_no_other(
    problem, undisturbed, expected, tmp_path, sampled, what
):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    harm(tmp_path, what)
    posteriors_in(tmp_path, problem)
    assert sampled == [BATCH] and store_bytes(tmp_path) == expected


@pytest.mark.parametrize("gone", ["sites.zarr", "sites.zarr/zarr.json", "sites.zarr/x/zarr.json", "checkpoints"])
def test_a_store_without_its_frame_is_made_again(problem, undisturbed, expected, tmp_path, sampled, gone):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    path = tmp_path / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    posteriors_in(tmp_path, problem)
    assert sampled == [0, 6, 12, 18] and store_bytes(tmp_path) == expected


def test_what_a_killed_writer_left_half_done_is_not_in_the_result(problem, undisturbed, expected, tmp_path):
    """Zarr writes a chunk beside its place first; a kill in that moment leaves it there."""
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    chunk = chunks(tmp_path, "x")[1]
    chunk.with_suffix(".0123456789abcdef.partial").write_bytes(b"half a ch")
    chunk.unlink()
    posteriors_in(tmp_path, problem)
    assert store_bytes(tmp_path) == expected


def full_after(monkeypatch, n_chunks: int) -> None:
    """A disk that is full when so many chunks have been written."""
    written, write = itertools.count(), zarr.Array.__setitem__

    def refusing(array, place, values):
        if next(written) >= n_chunks:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(array, place, values)

    monkeypatch.setattr(zarr.Array, "__setitem__", refusing)


@pytest.mark.parametrize("n_workers", [1, 3])
def test_a_disk_that_becomes_full_is_told_and_the_run_goes_on_when_there_is_room(
    problem, expected, tmp_path, monkeypatch, sampled, n_workers
):
    with monkeypatch.context() as disk:
        full_after(disk, 30)
        with pytest.raises(
            ProdaError, match=r"sites.zarr cannot be written: No space left on device\. Make room"
        ) as told:
            posteriors_in(tmp_path, problem, n_workers=n_workers)
    assert "run the same command again" in str(told.value)
    marked = [int(path.stem.split("-")[1]) for path in (tmp_path / "checkpoints").rglob("from-*.json")]
    sampled.clear()
    posteriors_in(tmp_path, problem)
    assert len(marked) < 4 and sorted([*sampled, *marked]) == [0, 6, 12, 18]
    assert store_bytes(tmp_path) == expected


def test_too_little_room_is_told_before_anything_is_made(problem, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=50 * 2**20)
    monkeypatch.setattr(site_store.shutil, "disk_usage", lambda path: usage)
    (tmp_path / "sites.zarr").mkdir()
    (tmp_path / "sites.zarr" / "older").write_text("of value")
    with pytest.raises(InputError, match=r"sites.zarr will need up to 0.00 GB, 0.05 GB are free: free some space"):
        posteriors_in(tmp_path, problem)
    assert (tmp_path / "sites.zarr" / "older").read_text() == "of value"
    assert not (tmp_path / "checkpoints").exists()


LIMITED = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from made_sites import SHORT, few_sites, posteriors_in
from proda.assimilation import site_by_site
from proda.assimilation.site_summaries import batch_arrays
site_by_site.SITES_PER_BATCH = 20
batch_arrays(few_sites(1), 7, SHORT)  # compiled code is a file too
assert "distributed" not in sys.modules
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
posteriors_in(Path(sys.argv[1]), few_sites(20))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="limits of processes are POSIX")
def test_the_systems_own_refusal_is_told_and_the_run_goes_on(problem, tmp_path, monkeypatch):
    """No pretence: a process may not write a file as large as the draws of this batch. It needs no Dask either."""
    monkeypatch.setattr(site_by_site, "SITES_PER_BATCH", 20)
    posteriors_in(tmp_path / "expected", problem)
    limit = max(len(content) for content in store_bytes(tmp_path / "expected").values()) - 1000
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "out"), str(limit), str(Path(__file__).parent)]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 1
    assert "ProdaError" in told.stderr and "sites.zarr cannot be written: File too large. Make room" in told.stderr
    posteriors_in(tmp_path / "out", problem)
    assert store_bytes(tmp_path / "out") == store_bytes(tmp_path / "expected")


def test_the_worst_parameter_of_every_site_is_found_by_name(undisturbed):
    with opened_sites(undisturbed / "sites.zarr") as sites:
        worst = sites["rhat"].idxmax("parameter").to_numpy()
        names = sites["parameter"].to_numpy()
        np.testing.assert_array_equal(worst, names[sites["rhat"].to_numpy().argmax(axis=1)])


def test_numbers_are_stored_in_the_types_that_are_announced(undisturbed):
    with opened_sites(undisturbed / "sites.zarr") as sites:
        assert sites["x"].dtype == np.float32 and sites["phi"].dtype == np.float32
        assert all(sites[name].dtype == np.float64 for name in sites.data_vars if name not in ("x", "phi"))
