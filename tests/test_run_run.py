"""Runs of small notebooks: what they leave behind, and what a failed, repeated, stopped or killed one leaves."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import nbformat
import pytest
from small_notebooks import write_study
from small_study import finish

from proda.errors import InputError, MissingOutput
from proda.run.record import revision, status_text
from proda.run.run import NotebookFailed, kernel_of_this_python, read_but_not_run, run, stages_to_run
from proda.stage import CHECKPOINTS, STAGES, is_locked, locked, partial_path, write_json
from proda.study import Study
from proda.workers import SCHEDULER

ORDER = tuple(STAGES)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "Läufe und études 土壤"
    folder.mkdir()
    write_study(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def first_run(place) -> Path:
    return go(place, supplement=True)


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
    assert "S3-method-comparison.html" in first_run.read_text()
    assert not list((place / "out").glob(".*"))


def test_executed_notebooks_hold_figures_and_the_last_state_of_a_progress_bar(place):
    executed = place / "reports" / "small-tiny"
    notebook = nbformat.read(executed / "03-one-batch-assimilation.ipynb", as_version=4)
    assert any("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", []))
    assert notebook.metadata.kernelspec.name == "python3" and "papermill" not in notebook.metadata
    bar = nbformat.read(executed / "01-data-cleaning.ipynb", as_version=4).cells[-1].outputs
    assert [output.text for output in bar] == ["100 %"]


def test_the_record_holds_versions_seed_settings_and_costs(place):
    content = record(place)
    assert content["status"] == "complete" and content["seed"] == 7 and content["settings"]["epochs"] == 2
    assert content["versions"]["python"] == sys.version.split()[0] and "papermill" in content["versions"]
    assert set(content["platform"]) == {"system", "processor", "cores", "memory_gib"}
    assert list(content["stages"]) == [*ORDER, "S3-method-comparison"]
    for stage in content["stages"].values():
        assert stage["revision"] == content["revision"] and stage["status"] == "complete"
        assert stage["seconds"] > 0 and stage["cpu_seconds"] > 0 and stage["peak_memory_mb"] > 10


def test_the_status_lists_the_six_and_the_supplement(place):
    text = status_text(place / "out")
    assert text.count("complete, 1 outputs") == 7 and "Last run: complete" in text and "To complete" not in text
    assert text.count("has not been run") == 5


def test_one_notebook_alone_needs_the_ones_it_reads_and_keeps_the_record_of_the_others(place, monkeypatch):
    monkeypatch.setattr("proda.run.run.build_report", lambda study, executed, html: html / "index.html")
    go(place, only="5")
    assert list(record(place)["stages"]) == [*ORDER, "S3-method-comparison"]
    with pytest.raises(MissingOutput, match="01-data-cleaning.*is stale.*--set n_profiles=5 --from 1"):
        go(place, settings={"n_profiles": 5}, only="S3")


def test_a_failed_notebook_is_kept_apart_and_named_with_its_cell_and_error(tmp_path):
    write_study(tmp_path)
    with pytest.raises(NotebookFailed, match="02-matrix.*ipynb, cell 6: RuntimeError: the ground is frozen"):
        go(tmp_path, settings={"min_layers": 9})
    executed = tmp_path / "reports" / "small-tiny"
    assert (executed / "02-matrix-model-validation.failed.ipynb").is_file()
    assert not (executed / "02-matrix-model-validation.ipynb").exists() and not (executed / "html").exists()
    content = record(tmp_path)
    assert content["status"] == "failed" and "the ground is frozen" in content["error"]
    assert content["stages"]["02-matrix-model-validation"]["status"] == "failed"
    text = status_text(tmp_path / "out")
    assert "failed: RuntimeError: the ground is frozen" in text and "--from 2" in text


@pytest.mark.parametrize(
    ("first", "only", "supplement"), [(0, "", False), (7, "", False), (1, "0", False), (1, "S6", True), (2, "3", False)]
)
def test_notebook_numbers_that_make_no_sense_are_refused(place, first, only, supplement):
    with pytest.raises(InputError, match="there is no notebook|excludes"):
        stages_to_run(first, only, supplement, place / "notebooks")


def test_the_notebooks_to_run_and_what_they_read(place, tmp_path):
    folder = place / "notebooks"
    assert stages_to_run(1, "s3", False, folder) == ("S3-method-comparison",)
    assert stages_to_run(6, "", True, folder) == (ORDER[5], "S3-method-comparison")  # the others are not there
    assert read_but_not_run(stages_to_run(4, "", False, folder)) == (ORDER[0], ORDER[2])
    assert read_but_not_run(ORDER) == ()
    with pytest.raises(InputError, match="01-data-cleaning.ipynb does not exist"):
        stages_to_run(1, "", False, tmp_path)


def test_fresh_gives_up_what_interrupted_runs_of_these_notebooks_left_and_only_that(place, tmp_path, monkeypatch):
    monkeypatch.setattr("proda.run.run.build_report", lambda study, executed, html: html / "index.html")
    write_study(tmp_path)
    study = Study.open(tmp_path / "small.toml", "tiny", out=tmp_path / "out")
    finish(study, ORDER[0])
    fingerprint = {**study.fingerprints()[ORDER[3]], "seed": 8}
    left = {name: partial_path(study.out, name) for name in ORDER[2:4]}
    for folder in left.values():
        write_json(folder / CHECKPOINTS / "made_for.json", {"fingerprint": fingerprint, "upstream": {}})
        (folder / CHECKPOINTS / "state").write_text("step 5")
    with pytest.raises(NotebookFailed, match="checkpoints of an interrupted run.*--fresh"):
        go(tmp_path, only="4")
    go(tmp_path, only="4", fresh=True)
    assert left[ORDER[2]].exists() and not left[ORDER[3]].exists()
    assert (study.out / f"{ORDER[3]}.txt").exists()


def test_the_notebooks_get_the_scheduler_and_this_process_does_not(monkeypatch):
    monkeypatch.delenv(SCHEDULER, raising=False)
    with kernel_of_this_python("tcp://there:8786") as name:
        kernel = Path(os.environ["JUPYTER_PATH"].split(os.pathsep)[0], "kernels", name, "kernel.json")
        assert json.loads(kernel.read_text())["env"][SCHEDULER] == "tcp://there:8786"
        assert SCHEDULER not in os.environ


PROGRAM = """
import sys
from proda.__main__ import main
import proda.run.run
proda.run.run.repository_root = lambda: __import__("pathlib").Path(sys.argv[1])
sys.exit(main(["run", "--study", sys.argv[1] + "/small.toml", "--scale", "tiny", "--out", sys.argv[1] + "/out"]))
"""


def begun_run(folder: Path) -> subprocess.Popen:
    """A run in a process of its own, at work on the first notebook, which takes a minute."""
    _, notebooks = write_study(folder)
    path = notebooks / f"{ORDER[0]}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[4].source = f'import time\nwith study.stage("{ORDER[0]}") as folder:\n    time.sleep(60)'
    nbformat.write(notebook, path)
    # A background job of a shell inherits that Ctrl-C is ignored.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    command = [sys.executable, "-c", PROGRAM, folder]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heard)
    end = time.monotonic() + 60
    while not (folder / "out" / "stages" / f"{ORDER[0]}.json").is_file():
        assert time.monotonic() < end and process.poll() is None, process.communicate()
        time.sleep(0.1)
    return process


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_second_run_is_refused_until_the_first_is_stopped_or_killed(tmp_path, number):
    process = begun_run(tmp_path)
    study = Study.open(tmp_path / "small.toml", "tiny", out=tmp_path / "out")
    with pytest.raises(InputError, match="01-data-cleaning is being run"):
        run(study, notebooks=tmp_path / "notebooks", reports=tmp_path)
    refused = pytest.raises(InputError, match=rf"a study is being run in .* \({process.pid}, since")
    with refused, locked(study.out, "run"):
        pytest.fail("both hold the folder")
    assert "Last run: running" in status_text(study.out)
    os.kill(process.pid, number)
    errors = process.communicate(timeout=60)[1].decode()
    if number != signal.SIGKILL:
        assert process.returncode == 130, errors
        assert "stopped; `python -m proda status" in errors and "Traceback" not in errors
        assert (tmp_path / "reports/small-tiny" / f"{ORDER[0]}.failed.ipynb").is_file()
    assert not is_locked(study.out, "run")
    assert "Last run: interrupted" in status_text(study.out)


def test_a_folder_without_a_study_is_refused(tmp_path):
    (tmp_path / "file").write_text("{}")
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "run.json").write_bytes(b"[\xff]")
    for name in ("nowhere", "file", "list"):
        with pytest.raises(InputError, match=f"{name} holds no study"):
            status_text(tmp_path / name)


def test_a_half_copied_study_is_described_as_far_as_it_is_there(place, tmp_path):
    shutil.copytree(place / "out", tmp_path / "out")
    (tmp_path / "out" / f"{ORDER[1]}.txt").unlink()
    marker = tmp_path / "out" / "stages" / f"{ORDER[2]}.json"
    marker.write_bytes(marker.read_bytes()[:300])
    text = status_text(tmp_path / "out")
    assert f"its file {ORDER[1]}.txt is missing" in text and text.count("complete, 1 outputs") == 4
    assert f"{ORDER[2]:<30} has a record that cannot be read, stages/{ORDER[2]}.json\n" in text and "--from 2" in text
    write_json(marker, {"form": 2, "status": "complete"})
    assert f"{ORDER[2]:<30} has a record that cannot be read" in status_text(tmp_path / "out")
    for record in ({"opened_with": 3}, {"opened_with": {"study": "virtual"}, "stages": {}}):
        write_json(tmp_path / "out" / "run.json", record)
        assert "Its run.json cannot be read." in status_text(tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "stages")
    shutil.copy(place / "out" / "run.json", tmp_path / "out")
    assert "Its folder 'stages' is missing. Copied without it?" in status_text(tmp_path / "out")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"study": "/elsewhere/small.toml"}, "there is no study file /elsewhere/small.toml"),
        ({"option of another version": ""}, "unexpected keyword argument"),
        ({"settings": {"gone": 1}}, "unknown setting 'gone'"),
        ({"settings": {"site_acceptance": "annealed"}}, "site_acceptance is 'annealed', of version 0.1"),
    ],
)
def test_a_study_of_another_place_or_version_is_described_from_its_record(place, tmp_path, changed, reason):
    shutil.copytree(place / "out", tmp_path / "out")
    content = json.loads((tmp_path / "out" / "run.json").read_text())
    content["opened_with"].update(changed)
    write_json(tmp_path / "out" / "run.json", content)
    with pytest.raises(InputError, match=rf"recorded as complete: {ORDER[0]}, .*--study FILE .*{re.escape(reason)}"):
        status_text(tmp_path / "out")


def test_the_revision_of_a_folder_outside_git_is_unknown_and_changed_files_are_marked(tmp_path):
    assert revision(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    assert revision(tmp_path)["dirty"] is False and len(revision(tmp_path)["commit"]) == 40
    (tmp_path / "new.txt").write_text("new")
    assert revision(tmp_path)["dirty"] is True
