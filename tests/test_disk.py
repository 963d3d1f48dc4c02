"""A disk that is really full, or really read-only, under the stages: clear words, nothing lost, and it goes on."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from assimilated_study import FILES, RUN, STAGES, make_data, small_steps, stage_files, study_in

from proda.assimilation import one_batch as chain_checkpoint
from proda.assimilation import sites as site_by_site
from proda.assimilation import store as site_store
from proda.errors import InputError, MissingOutput, ProdaError
from proda.stage import partial_path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("disk") / "undisturbed"
    make_data(out)
    return out


@pytest.fixture(autouse=True)
def steps(monkeypatch):
    for module, name in ((site_by_site, "SITES_PER_BATCH"), (chain_checkpoint, "SECONDS_BETWEEN")):
        monkeypatch.setattr(module, name, getattr(module, name))
    small_steps()


@pytest.fixture
def disk(tmp_path, undisturbed):
    """A disk of its own with the data of the study, and 20 MB of room."""
    place = tmp_path / "disk"
    place.mkdir()
    used = sum(path.stat().st_size for path in undisturbed.rglob("*") if path.is_file())
    size = f"size={used // 1024 + 20_000}k"
    if os.name != "posix" or subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", place]).returncode:
        pytest.skip("needs the right to mount a disk")
    try:
        shutil.copytree(undisturbed, place / "study")
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def fill(disk: Path, but: int) -> Path:
    """A file that takes all room but so many bytes."""
    file = disk / "filling"
    with file.open("wb") as stream:
        left = shutil.disk_usage(disk).free - but
        while left > 0:
            left -= stream.write(bytes(min(left, 2**20)))
    return file


@pytest.mark.parametrize(("stage", "room"), [("sites", 600_000), ("one-batch", 150_000)])
def test_a_disk_that_becomes_full_is_told_and_the_stage_goes_on_when_there_is_room(
    undisturbed, disk, monkeypatch, stage, room
):
    monkeypatch.setattr(site_store, "_SPARE", -(10**12))
    study = study_in(disk / "study")
    filling = fill(disk, room)
    with pytest.raises(ProdaError, match=r"cannot be written: No space left on device\. Make room"):
        RUN[stage](study)
    left = [path for path in partial_path(study.out, STAGES[stage]).rglob("*") if path.is_file()]
    assert left and not any((study.out / name).exists() for name in FILES[stage])
    filling.unlink()
    with pytest.raises(MissingOutput, match=STAGES[stage]):
        study.require(STAGES[stage])
    RUN[stage](study)
    RUN[stage](study_in(undisturbed))
    assert stage_files(study.out, stage) == stage_files(undisturbed, stage)


def test_too_little_room_for_the_draws_is_told_before_any_site_is_sampled(disk):
    study = study_in(disk / "study")
    with pytest.raises(InputError, match=r"sites.zarr will need up to 0.00 GB, 0.02 GB are free: free some space"):
        RUN["sites"](study)


@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_that_may_not_be_written_is_told_and_holds_what_it_held(disk, stage):
    study = study_in(disk / "study")
    before = {path: path.stat().st_mtime_ns for path in study.out.rglob("*")}
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(InputError, match=r"cannot be (made|written): Read-only file system"):
        RUN[stage](study)
    assert {path: path.stat().st_mtime_ns for path in study.out.rglob("*")} == before


def test_an_interrupted_stage_on_a_disk_that_may_no_longer_be_written_stays_as_it_is(disk):
    study = study_in(disk / "study")
    with pytest.raises(KeyboardInterrupt), study.stage(STAGES["sites"], resumable=True) as folder:
        (folder / "half.txt").write_text("half")
        raise KeyboardInterrupt
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(InputError, match="Read-only file system"):
        RUN["sites"](study)
    assert (folder / "half.txt").read_text() == "half"
