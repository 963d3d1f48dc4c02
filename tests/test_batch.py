"""Runs of small notebooks: what they leave behind, and what a failed, repeated or interrupted one leaves."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import psutil
import pytest
from small_notebooks import write_study

from proda.errors import InputError, MissingOutput
from proda.run.record import revision, status_text
from proda.run.run import LOCK, NotebookFailed, PeakMemory, locked, read_but_not_run, run, stages_to_run
from proda.stage import STAGES, attempt_path, this_process, write_json
from proda.study import Study

ORDER = tuple(STAGES)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "Läufe und études 土壤"
    folder.mkdir()
    write_study(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def first_run(place) -> Path:
    return go(place)


def go(place: Path, settings: dict | None = None, **given) -> Path:
    study = Study.open(place / "small.toml", "tiny", out=place / "out", settings=settings)
    return run(study, notebooks=place / "notebooks", reports=place / "reports", **given)


def record(place: Path) -> dict:
    return json.loads((place / "out" / "run.json").read_text())


def test_a_run_leaves_results_executed_notebooks_and_a_report(place, first_run):
    assert first_run == place / "reports" / "small-tiny" / "html" / "index.html" and first_run.is_file()
    for name in ORDER:
        assert (place / "out" / f"{name}.txt").read_text() == "2"
        assert (place / "reports" / "small-tiny" / f"{name}.ipynb").is_file()
    assert not list((place / "out").glob(".*"))
    assert not [path for path in (place / "reports").rglob(".*") if path.is_file()]


def test_executed_notebooks_hold_outputs_and_name_the_ordinary_kernel(place):
    notebook = nbformat.read(place / "reports" / "small-tiny" / "03-one-batch-assimilation.ipynb", as_version=4)
    assert any("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", []))
    assert notebook.metadata.kernelspec.name == "python3"
    assert "papermill" not in notebook.metadata


def test_the_record_holds_versions_seed_settings_and_costs(place):
    content = record(place)
    assert content["status"] == "complete" and content["seed"] == 7 and content["settings"]["epochs"] == 2
    assert content["versions"]["python"] == sys.version.split()[0] and "papermill" in content["versions"]
    assert set(content["platform"]) == {"system", "processor", "cores", "memory_gib"}
    assert list(content["stages"]) == list(ORDER)
    for stage in content["stages"].values():
        assert stage["revision"] == content["revision"]
        assert stage["status"] == "complete" and stage["seconds"] > 0 and stage["peak_memory_mb"] > 10


def test_the_status_of_a_complete_study_says_so(place):
    text = status_text(place / "out")
    assert text.count("complete, 1 outputs") == 6 and "Last run: complete" in text and "To complete" not in text


def test_one_notebook_alone_needs_the_ones_it_reads_and_keeps_the_record_of_the_others(place):
    go(place, only=5)
    assert list(record(place)["stages"]) == list(ORDER)
    with pytest.raises(MissingOutput, match="01-data-cleaning.*is stale.*--set n_profiles=5 --from 1"):
        go(place, settings={"n_profiles": 5}, only=5)


def test_a_failed_notebook_is_kept_apart_and_named_with_its_cell_and_error(place, tmp_path):
    write_study(tmp_path)
    with pytest.raises(
        NotebookFailed, match="02-matrix-model-validation.ipynb, cell 6: RuntimeError: the ground is fr"
    ):
        go(tmp_path, settings={"fail_in": ORDER[1]})
    executed = tmp_path / "reports" / "small-tiny"
    assert (executed / "02-matrix-model-validation.failed.ipynb").is_file()
    assert not (executed / "02-matrix-model-validation.ipynb").exists()
    assert not (executed / "html").exists()
    content = record(tmp_path)
    assert content["status"] == "failed" and "the ground is frozen" in content["error"]
    assert content["stages"]["02-matrix-model-validation"]["status"] == "failed"
    text = status_text(tmp_path / "out")
    assert "failed: RuntimeError: the ground is frozen" in text and "--from 2" in text


def test_a_missing_notebook_is_told_before_anything_runs(place, tmp_path):
    study = Study.open(place / "small.toml", "tiny", out=tmp_path / "out")
    with pytest.raises(InputError, match="01-data-cleaning.ipynb does not exist"):
        run(study, notebooks=tmp_path, reports=tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("first", "only"), [(0, None), (7, None), (1, 0), (2, 3)])
def test_notebook_numbers_that_make_no_sense_are_refused(first, only):
    with pytest.raises(InputError, match="notebook|exclude"):
        stages_to_run(first, only)


def test_a_run_from_the_middle_needs_what_its_notebooks_read():
    assert read_but_not_run(stages_to_run(4, None)) == (ORDER[0], ORDER[2])
    assert read_but_not_run(stages_to_run(1, None)) == ()


def test_two_runs_in_one_folder_are_refused_while_the_first_lives(tmp_path):
    with locked(tmp_path), pytest.raises(InputError, match=f"another run \\(process {os.getpid()}"), locked(tmp_path):
        pytest.fail("both hold the folder")
    with locked(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_run_is_refused_while_a_notebook_by_hand_works_on_one_of_its_stages(place, tmp_path):
    other = psutil.Process().parent()
    attempt = {"pid": other.pid, "process_start": other.create_time(), "started": "noon"}
    write_json(attempt_path(tmp_path, ORDER[3]), attempt)
    study = Study.open(place / "small.toml", "tiny", out=tmp_path)
    with pytest.raises(InputError, match="04-site-by-site-assimilation is being run .* by another process"):
        run(study, notebooks=place / "notebooks", reports=tmp_path)
    assert not (tmp_path / "run.json").exists()


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for holder in ({"pid": dead.pid, "process_start": 0.0}, {**this_process(), "process_start": 0.0}, {}):
        write_json(tmp_path / LOCK, holder)
        with locked(tmp_path):
            assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


def test_a_killed_run_is_told_as_interrupted(place, tmp_path):
    write_json(tmp_path / "run.json", {**record(place), "status": "running", "pid": 1, "process_start": 0.0})
    assert "Last run: interrupted" in status_text(tmp_path)


def test_a_folder_without_a_study_is_told_so(tmp_path):
    with pytest.raises(InputError, match="is not a study folder"):
        status_text(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        status_text(tmp_path / "nowhere")


def test_the_revision_of_a_folder_outside_git_is_unknown_and_changed_files_are_told(tmp_path):
    assert revision(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    assert revision(tmp_path)["dirty"] is False and len(revision(tmp_path)["commit"]) == 40
    (tmp_path / "new.txt").write_text("new")
    assert revision(tmp_path)["dirty"] is True


def test_the_memory_of_child_processes_is_seen():
    with PeakMemory() as memory:
        subprocess.run([sys.executable, "-c", "import time; x = bytearray(80_000_000); time.sleep(1)"], check=True)
    assert 80 < memory.megabytes < 400
