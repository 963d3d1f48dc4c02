"""The files of a stage: whole or not there, refused when stale, and resumed only by the run that left them."""

import errno
import json
import multiprocessing
import os
import shutil
import subprocess
import time
import zipfile
from pathlib import Path

import pytest
from small_study import STUDY, finish

from proda import stage as stages
from proda.errors import InputError, MissingOutput, ProdaError
from proda.stage import CHECKPOINTS, is_locked, locked, marker_path, partial_path, read_json, write_json
from proda.study import Study

ORDER = tuple(stages.STAGES)
BELOW, STAGE = "01-data-cleaning", "04-site-by-site-assimilation"


def held(out: Path, ready) -> None:
    with locked(out, ORDER[0]):
        ready.set()
        time.sleep(60)


@pytest.fixture
def other_process(opened):
    """A process that is at work on the first stage."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=held, args=(opened().out, ready))
    process.start()
    assert ready.wait(60)
    yield process
    process.kill()
    process.join()


def interrupted(study: Study) -> Path:
    """The folder that a stage leaves when it is interrupted half-way."""
    finish(study, BELOW)
    with pytest.raises(KeyboardInterrupt), study.stage(STAGE, resumable=True) as folder:
        (folder / "half.txt").write_text("half")
        (folder / CHECKPOINTS / "state").write_text("step 5")
        raise KeyboardInterrupt
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_stage_that_was_not_run_is_named_with_the_command_that_runs_it(opened):
    finish(opened(), ORDER[0])
    with pytest.raises(MissingOutput, match="04-site.* has not been run.*--scale tiny.*--from 2"):
        opened().require(ORDER[0], ORDER[3])
    with pytest.raises(MissingOutput, match="04-site"), opened().stage(ORDER[4]):
        pytest.fail("the stage has begun")


def test_an_exception_leaves_the_old_files_but_no_valid_stage(opened):
    study = opened()
    finish(study, ORDER[0])
    with pytest.raises(RuntimeError), study.stage(ORDER[0]) as folder:
        (folder / "01.txt").write_text("half")
        raise RuntimeError("power cut")
    assert study.path("01.txt").read_text() == "result"
    assert not list(study.out.glob(".partial*"))
    with pytest.raises(MissingOutput, match="01-data-cleaning.*failed: RuntimeError: power cut"):
        study.require(ORDER[0])


def test_the_marker_says_complete_only_when_every_file_is_in_its_place(opened, monkeypatch):
    """A process that is killed between two files leaves a stage that was interrupted."""
    study, move, found = opened(), os.replace, []

    def watched(source, target):
        if Path(target).name in ("a.txt", "b.txt"):
            found.append(read_json(marker_path(study.out, ORDER[0]))["status"])
        move(source, target)

    monkeypatch.setattr(stages.os, "replace", watched)
    with study.stage(ORDER[0]) as folder:
        (folder / "a.txt").write_text("a")
        (folder / "b.txt").write_text("b")
    assert found == ["begun", "begun"]
    study.require(ORDER[0])


def test_a_repeated_stage_removes_the_files_it_no_longer_writes(opened):
    study = opened()
    with study.stage(ORDER[0]) as folder:
        (folder / "old.txt").write_text("a")
        (folder / "sites.zarr" / "x").mkdir(parents=True)
        (folder / "sites.zarr" / "x" / "chunk-old").write_text("b")
    with pytest.raises(RuntimeError), study.stage(ORDER[0]):
        raise RuntimeError
    with study.stage(ORDER[0]) as folder:
        (folder / "sites.zarr").mkdir()
        (folder / "sites.zarr" / "chunk-new").write_text("b")
    assert not study.path("old.txt").exists()
    assert [path.name for path in study.path("sites.zarr").rglob("*")] == ["chunk-new"]


def test_a_missing_and_a_changed_file_are_named(opened):
    study = opened()
    finish(study, ORDER[0], ORDER[1])
    study.path("01.txt").write_text("resulT")
    assert "01.txt has changed" in study.faults()[ORDER[0]]
    study.path("02.txt").unlink()
    assert "02.txt is missing" in study.faults()[ORDER[1]]


def test_a_stage_at_which_another_process_works_is_refused_until_that_process_is_killed(opened, other_process):
    study = opened()
    write_json(marker_path(study.out, ORDER[0]), {"form": 2, "status": "begun", "pid": 99, "started": "noon"})
    with pytest.raises(InputError, match=r"01-data-cleaning is being run .*process \(99, since noon\): wait"):
        finish(study, ORDER[0])
    assert study.faults()[ORDER[0]] == "is running"
    other_process.kill()
    other_process.join()
    assert study.faults()[ORDER[0]] == "was interrupted (started noon)"
    partial_path(study.out, ORDER[0]).mkdir()
    (partial_path(study.out, ORDER[0]) / "half.txt").write_text("half")
    finish(study, ORDER[0])
    study.require(ORDER[0])
    assert not study.path("half.txt").exists() and not is_locked(study.out, ORDER[0])


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP])
def test_a_file_system_without_locks_keeps_two_runs_apart_too(opened, monkeypatch, number):
    def refused(*given):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refused)
    out = opened().out
    with locked(out, ORDER[0]):
        assert is_locked(out, ORDER[0])
        with pytest.raises(InputError, match="01-data-cleaning is being run"):
            finish(opened(), ORDER[0])
    assert not is_locked(out, ORDER[0])
    finish(opened(), ORDER[0])


def test_a_stage_below_that_is_run_again_meanwhile_makes_the_result_stale(opened):
    study = opened()
    finish(study, ORDER[0])
    with study.stage(ORDER[1]):
        finish(study, ORDER[0], text="another result")
    assert study.faults()[ORDER[1]] == "is stale: 01-data-cleaning has a new result since"


def test_a_repeated_stage_with_the_same_result_leaves_the_later_ones_valid(opened):
    study = opened()
    finish(study, *ORDER)
    finish(study, ORDER[0])
    study.require(*ORDER)
    finish(study, ORDER[0], text="another result")
    with pytest.raises(MissingOutput, match="05-network-training.*is stale: 01-data-cleaning has a new result"):
        study.require(ORDER[4])


def results_at(folder: Path, date: str, weights: bytes, number: float) -> None:
    with zipfile.ZipFile(folder / "network.keras", "w") as file:
        file.writestr("metadata.json", json.dumps({"date_saved": date}))
        file.writestr(zipfile.ZipInfo("weights.h5", (int(date[:4]), 1, 1, 0, 0, 0)), weights)
    (folder / "hybrid_trees.joblib").write_bytes(date.encode())  # the same trees are pickled in several ways
    (folder / "model_speed.csv").write_text(f"task,microseconds\nsolve,{date[-2:]}\n")
    write_json(folder / "S1.json", {"number": number, "draws_per_second": float(date[-2:])})


@pytest.mark.parametrize(("weights", "number", "same"), [(b"w", 1.0, True), (b"v", 1.0, False), (b"w", 2.0, False)])
def test_the_same_numbers_are_the_same_result_whatever_the_date_and_the_time_they_took(opened, weights, number, same):
    study, contents = opened(), []
    for values in (("2025-01-01", b"w", 1.0), ("2026-02-02", weights, number)):
        with study.stage(ORDER[0]) as folder:
            results_at(folder, *values)
        contents.append(read_json(marker_path(study.out, ORDER[0]))["content"])
    assert (contents[0] == contents[1]) is same
    study.path("network.keras").write_bytes(study.path("network.keras").read_bytes()[:-30])
    assert "network.keras has changed" in study.faults()[ORDER[0]]


def test_a_study_folder_of_version_0_1_is_refused_and_not_misread(opened):
    study = opened()
    finish(study, ORDER[0])
    path = marker_path(study.out, ORDER[0])
    marker = {name: value for name, value in read_json(path).items() if name not in ("form", "status")}
    write_json(path, {**marker, "version": "0.1.0"})
    with pytest.raises(MissingOutput, match=r"was written by proda 0\.1\.0, whose results proda \S+ does not read"):
        study.require(ORDER[0])


@pytest.fixture
def disk(tmp_path):
    """A disk of its own with 2 MB of room."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.name != "posix" or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place]).returncode:
        pytest.skip("needs the right to mount a disk")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_and_a_read_only_disk_keep_what_is_there(opened, disk):
    study = opened(out=disk / "out")
    finish(study, ORDER[0])
    with pytest.raises(OSError), study.stage(ORDER[1]) as folder:
        (folder / "large.txt").write_bytes(bytes(5_000_000))
    assert study.faults()[ORDER[1]].startswith("failed: OSError: [Errno 28] No space left")
    study.require(ORDER[0])
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    before = content(study.out)
    with pytest.raises(ProdaError, match="cannot be written: Read-only file system.*give write access"):
        finish(study, ORDER[1])
    study.require(ORDER[0])
    assert content(study.out) == before


# Stages that can be resumed.


def test_an_interrupted_stage_goes_on_with_the_files_it_left(opened):
    study = opened()
    folder = interrupted(study)
    with pytest.raises(MissingOutput, match=f"{STAGE}.*was interrupted"):
        study.require(STAGE)
    # Settings of another stage are no obstacle.
    with opened(settings={"epochs": 9, "one_batch_steps": 700}).stage(STAGE, resumable=True) as again:
        assert again == folder and (again / "half.txt").read_text() == "half"
        assert (again / CHECKPOINTS / "state").read_text() == "step 5"
        (again / "whole.txt").write_text("whole")
    study.require(STAGE)
    assert sorted(path.name for path in study.out.glob("*.txt")) == ["01.txt", "half.txt", "whole.txt"]
    assert not folder.exists() and not (study.out / CHECKPOINTS).exists()
    with study.stage(STAGE, resumable=True) as anew:
        assert not (anew / "half.txt").exists()


def test_an_error_leaves_the_files_as_an_interruption_does(opened):
    study = opened()
    finish(study, BELOW)
    with pytest.raises(ProdaError), study.stage(STAGE, resumable=True) as folder:
        (folder / "half.txt").write_text("half")
        raise ProdaError("the disk is full")
    assert study.faults()[STAGE] == "failed: ProdaError: the disk is full"
    with study.stage(STAGE, resumable=True) as again:
        assert (again / "half.txt").exists()


def test_a_run_with_other_settings_is_refused_and_nothing_is_touched(opened):
    folder = interrupted(opened())
    before, marker = content(folder), marker_path(opened().out, STAGE).read_bytes()
    other = opened(settings={"kept_draws": 50, "site_coordinates": "box"})
    with pytest.raises(InputError) as refused, other.stage(STAGE, resumable=True):
        pytest.fail("it has begun")
    assert refused.match(r"cannot go on from: it was made with other settings \(kept_draws, site_coordinates\)")
    assert refused.match(r"Nothing was overwritten.*--set kept_draws=50.*--from 4 --fresh")
    assert content(folder) == before and marker_path(opened().out, STAGE).read_bytes() == marker
    with opened().stage(STAGE, resumable=True) as again:
        assert content(again) == before


@pytest.mark.parametrize(
    ("old", "new", "text", "message"),
    [
        ("seed = 7", "seed = 8", "result", "it was made with another seed"),
        ("[source]", '[source]\nname = "elsewhere"', "result", "it was made with another source or configuration"),
        ("", "", "another result", "what it reads from has a new result since"),
    ],
)
def test_a_run_with_another_seed_source_or_result_below_is_refused(opened, file, old, new, text, message):
    folder = interrupted(opened())
    before = content(folder)
    file.write_text(STUDY.replace(old, new))
    finish(opened(), BELOW, text=text)
    with pytest.raises(InputError, match=f"{message}.*--fresh"), opened().stage(STAGE, resumable=True):
        pytest.fail("it has begun")
    with pytest.raises(InputError, match="it cannot be resumed.*--fresh"), opened().stage(STAGE):
        pytest.fail("it has begun")
    assert content(folder) == before


def test_a_run_of_changed_code_is_refused(opened, monkeypatch):
    folder = interrupted(opened())
    before = content(folder)
    monkeypatch.setattr("proda.fingerprint.code_digest", lambda *code: f"changed {code}")
    finish(opened(), BELOW)
    with pytest.raises(InputError, match="the package has changed since.*--fresh"), opened().stage(STAGE, True):
        pytest.fail("it has begun")
    assert content(folder) == before


def test_an_interrupted_run_without_checkpoints_is_no_obstacle_to_another(opened):
    study = opened()
    finish(study, BELOW)
    with pytest.raises(InputError), study.stage(STAGE, resumable=True) as folder:
        (folder / "half.txt").write_text("half")
        raise InputError("raise the number of steps")
    with opened(settings={"kept_draws": 50}).stage(STAGE, resumable=True) as again:
        assert not (again / "half.txt").exists()
    folder = interrupted(study)
    shutil.rmtree(folder / CHECKPOINTS)
    with study.stage(STAGE, resumable=True) as again:
        assert not (again / "half.txt").exists()
