"""An interrupted stage goes on where it was; one of other settings, data or code is not touched."""

import shutil
from pathlib import Path

import pytest
from small_notebooks import write_study
from small_study import STUDY, finish

from proda import stage as fingerprints
from proda import stage as stages
from proda.errors import InputError, MissingOutput, ProdaError
from proda.run.run import run
from proda.stage import CHECKPOINTS, partial_path
from proda.study import Study

BELOW, STAGE = "01-data-cleaning", "04-site-by-site-assimilation"


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


def test_an_interrupted_stage_goes_on_with_the_files_it_left(opened):
    study = opened()
    folder = interrupted(study)
    with pytest.raises(MissingOutput, match=f"{STAGE}.*was interrupted"):
        study.require(STAGE)
    with study.stage(STAGE, resumable=True) as again:
        assert again == folder and (again / "half.txt").read_text() == "half"
        assert (again / CHECKPOINTS / "state").read_text() == "step 5"
        (again / "whole.txt").write_text("whole")
    study.require(STAGE)
    assert sorted(path.name for path in study.out.glob("*.txt")) == ["01.txt", "half.txt", "whole.txt"]
    assert not folder.exists() and not (study.out / CHECKPOINTS).exists()


def test_an_error_leaves_the_files_as_an_interruption_does(opened):
    study = opened()
    finish(study, BELOW)
    with pytest.raises(ProdaError), study.stage(STAGE, resumable=True) as folder:
        (folder / "half.txt").write_text("half")
        raise ProdaError("the disk is full")
    with pytest.raises(MissingOutput, match="failed: ProdaError: the disk is full"):
        study.require(STAGE)
    with study.stage(STAGE, resumable=True) as again:
        assert (again / "half.txt").exists()


def test_a_finished_stage_begins_anew_when_it_is_run_again(opened):
    study = opened()
    finish(study, BELOW)
    for _ in range(2):
        with study.stage(STAGE, resumable=True) as folder:
            assert not (folder / "a.txt").exists()
            (folder / "a.txt").write_text("result")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"kept_draws": 50}, r"other settings \(kept_draws\)"),
        ({"kept_draws": 50, "site_coordinates": "logarithmic"}, r"other settings \(kept_draws, site_coordinates\)"),
    ],
)
def test_a_run_of_other_settings_is_refused_and_nothing_is_touched(opened, settings, told):
    folder = interrupted(opened())
    before, attempt = content(folder), stages.attempt_path(opened().out, STAGE).read_bytes()
    with pytest.raises(InputError) as refused, opened(settings=settings).stage(STAGE, resumable=True):
        pytest.fail("it has begun")
    assert refused.match(f"cannot go on as this one: it was made with {told}")
    assert refused.match(r"Nothing was overwritten.*--set kept_draws=50.*--from 4 --fresh")
    assert str(folder) in str(refused.value)
    assert content(folder) == before and stages.attempt_path(opened().out, STAGE).read_bytes() == attempt
    with opened().stage(STAGE, resumable=True) as again:
        assert content(again) == before


def test_an_interrupted_run_that_left_nothing_to_go_on_from_is_no_obstacle_to_another(opened):
    study = opened()
    finish(study, BELOW)
    with pytest.raises(InputError, match="raise the number"), study.stage(STAGE, resumable=True) as folder:
        (folder / "half.txt").write_text("half")
        raise InputError("raise the number of steps")
    with opened(settings={"kept_draws": 50}).stage(STAGE, resumable=True) as again:
        assert not (again / "half.txt").exists()


def test_a_setting_of_another_stage_is_no_obstacle(opened):
    folder = interrupted(opened())
    with opened(settings={"epochs": 9, "one_batch_steps": 700}).stage(STAGE, resumable=True) as again:
        assert again == folder and (again / "half.txt").exists()


def test_another_seed_or_another_study_is_refused(opened, file):
    folder = interrupted(opened())
    before = content(folder)
    file.write_text(STUDY.replace("seed = 7", "seed = 8"))
    finish(opened(), BELOW)
    with pytest.raises(InputError, match="it was made with another seed.*--fresh"), opened().stage(STAGE, True):
        pytest.fail("it has begun")
    other = file.with_name("other.toml")
    other.write_text(STUDY.replace('kind = "virtual"', 'kind = "virtual"\nname = "elsewhere"'))
    study = Study.open(other, "tiny", out=file.parent / "out")
    finish(study, BELOW)
    with pytest.raises(InputError, match="it was made with another source or configuration"), study.stage(STAGE, True):
        pytest.fail("it has begun")
    assert content(folder) == before


def test_another_version_of_the_package_is_refused(opened, monkeypatch):
    folder = interrupted(opened())
    before = content(folder)
    monkeypatch.setattr(fingerprints, "code_digest", lambda room: f"changed {room}")
    finish(opened(), BELOW)
    with pytest.raises(InputError, match="the package has changed since.*--fresh"), opened().stage(STAGE, True):
        pytest.fail("it has begun")
    assert content(folder) == before


def test_a_new_result_of_a_stage_below_is_refused(opened):
    folder = interrupted(opened())
    before = content(folder)
    finish(opened(), BELOW, text="another result")
    with pytest.raises(InputError, match="what it reads from has a new result since"), opened().stage(STAGE, True):
        pytest.fail("it has begun")
    assert content(folder) == before


def test_a_stage_that_cannot_go_on_does_not_remove_the_checkpoints_of_one_that_can(opened):
    folder = interrupted(opened())
    before = content(folder)
    with pytest.raises(InputError, match="cannot go on as this one: it always begins anew.*--fresh"):
        finish(opened(), STAGE)
    assert content(folder) == before


def test_files_without_the_note_of_what_they_were_made_for_are_cleared(opened):
    study = opened()
    folder = interrupted(study)
    shutil.rmtree(folder / CHECKPOINTS)
    with study.stage(STAGE, resumable=True) as again:
        assert not (again / "half.txt").exists()


def test_fresh_removes_what_interrupted_runs_left_and_only_that(tmp_path, monkeypatch):
    """A run of a notebook: refused because of the checkpoints, and not when they are given up."""
    monkeypatch.setattr("proda.run.run.build_report", lambda study, executed, html: html / "index.html")
    file, notebooks = write_study(tmp_path)
    out = tmp_path / "out"
    study = Study.open(file, "tiny", out=out)
    left = {}
    for number, name in ((3, "03-one-batch-assimilation"), (4, STAGE)):
        left[number] = partial_path(out, name)
        stages.write_json(left[number] / CHECKPOINTS / "made_for.json", {"fingerprint": {}, "upstream": {}})
        (left[number] / CHECKPOINTS / "state").write_text("step 5")
    given = dict(notebooks=notebooks, reports=tmp_path / "reports")
    finish(study, BELOW)
    with pytest.raises(Exception, match="cannot go on as this one.*--fresh"):
        run(study, only=4, **given)
    assert all(folder.exists() for folder in left.values())
    run(study, only=4, fresh=True, **given)
    assert left[3].exists() and not left[4].exists() and (out / f"{STAGE}.txt").exists()
