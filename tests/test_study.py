"""A study's file, its folder, and the files of its stages: whole or not there."""

import psutil
import pytest
from small_study import STUDY, finish

from proda import stage as stages
from proda.errors import InputError, MissingOutput
from proda.study import Study

ORDER = tuple(stages.STAGES)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seed = 7", "", "has no 'seed'"),
        ("seed = 7", 'seed = "7"', "seed is '7'"),
        ("seed = 7", "seed = 7\nsead = 8", "unknown entry 'sead': did you mean 'seed'"),
        ('kind = "virtual"', "", "has no kind"),
        ("[scales.tiny]", "[scales.tiny]\nepoch = 1", r"\[scales.tiny\]: unknown setting 'epoch'"),
        ("[source]", "[source", "not valid TOML"),
    ],
)
def test_a_faulty_study_file_is_named_with_the_entry_at_fault(file, old, new, told):
    file.write_text(STUDY.replace(old, new))
    with pytest.raises(InputError, match=told):
        Study.open(file, scale="tiny")


def test_a_study_that_reads_tables_needs_an_existing_filled_folder(file, tmp_path):
    file.write_text(STUDY.replace('"virtual"', '"tidy-tables"'))
    with pytest.raises(InputError, match="give it with --data DIR"):
        Study.open(file, scale="tiny")
    with pytest.raises(InputError, match="nowhere does not exist"):
        Study.open(file, scale="tiny", data=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is empty"):
        Study.open(file, scale="tiny", data=tmp_path / "empty")


def test_a_study_that_makes_its_data_refuses_a_folder(opened, tmp_path):
    with pytest.raises(InputError, match="makes its own data"):
        opened(data=tmp_path)


def test_an_unknown_study_name_lists_the_shipped_ones():
    with pytest.raises(InputError, match="unknown study 'no-such-study'.*Known: .*virtual"):
        Study.open("no-such-study")


def test_a_finished_stage_satisfies_a_later_one(opened):
    study = opened()
    finish(study, *ORDER)
    study.require(*ORDER)
    assert study.path("05.txt").read_text() == "result"
    assert not list(study.out.glob(".partial*")) and not list(study.out.glob("stages/*.attempt.json"))


def test_a_stage_that_was_not_run_is_named_with_the_command_that_makes_it(opened):
    finish(opened(), ORDER[0])
    with pytest.raises(MissingOutput, match="04-site-by-site-assimilation.*has not been run.*--scale tiny.*--from 2"):
        opened().require(ORDER[0], ORDER[3])


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


def test_a_stage_stopped_by_hand_is_told_as_interrupted(opened):
    with pytest.raises(KeyboardInterrupt), opened().stage(ORDER[0]):
        raise KeyboardInterrupt
    with pytest.raises(MissingOutput, match="was interrupted"):
        opened().require(ORDER[0])


def test_a_killed_stage_is_told_as_interrupted_and_cleared_by_the_next_run(opened):
    study = opened()
    (study.out / ".partial-01-data-cleaning").mkdir(parents=True)
    (study.out / ".partial-01-data-cleaning" / "half.txt").write_text("half")
    stages.write_json(stages.attempt_path(study.out, ORDER[0]), {"pid": 1, "process_start": 0.0, "started": "noon"})
    with pytest.raises(MissingOutput, match="was interrupted"):
        study.require(ORDER[0])
    finish(study, ORDER[0])
    assert not study.path("half.txt").exists()


def test_a_repeated_stage_takes_away_the_files_it_no_longer_writes(opened):
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


def test_a_folder_of_figures_is_shared_by_the_stages_that_write_it(opened):
    study = opened()
    for name in ORDER[:2]:
        with study.stage(name) as folder:
            (folder / "figures").mkdir()
            (folder / "figures" / f"{name}.png").write_text("picture")
    assert len(list(study.path("figures").iterdir())) == 2


def test_a_missing_and_a_changed_file_are_named(opened):
    study = opened()
    finish(study, ORDER[0], ORDER[1])
    study.path("01.txt").write_text("tampered with")
    with pytest.raises(MissingOutput, match="01.txt has changed"):
        study.require(ORDER[0])
    study.path("02.txt").unlink()
    with pytest.raises(MissingOutput, match="02.txt is missing"):
        study.require(ORDER[1])


def test_a_stage_does_not_start_before_what_it_reads_is_there(opened):
    with pytest.raises(MissingOutput, match="01-data-cleaning"), opened().stage(ORDER[4]):
        pytest.fail("the stage has begun")


def test_a_stage_at_which_another_process_works_is_left_alone(opened):
    study = opened()
    other = psutil.Process().parent()
    attempt = {"pid": other.pid, "process_start": other.create_time(), "started": "noon"}
    stages.write_json(stages.attempt_path(study.out, ORDER[0]), attempt)
    with pytest.raises(
        InputError, match=f"01-data-cleaning is being run .*process \\({other.pid}, since noon\\): wait"
    ):
        finish(study, ORDER[0])
    assert stages.read_json(stages.attempt_path(study.out, ORDER[0])) == attempt
    stages.write_json(stages.attempt_path(study.out, ORDER[0]), {**attempt, "ended": True})
    finish(study, ORDER[0])
    study.require(ORDER[0])


def test_the_process_that_left_a_stage_undone_may_begin_it_again(opened):
    study = opened()
    attempt = {**stages.this_process(), "started": "noon"}
    stages.write_json(stages.attempt_path(study.out, ORDER[0]), attempt)
    finish(study, ORDER[0])
    study.require(ORDER[0])


def test_a_stage_below_that_is_renewed_meanwhile_makes_the_result_stale(opened):
    study = opened()
    finish(study, ORDER[0])
    with study.stage(ORDER[1]):
        finish(study, ORDER[0], text="another result")
    assert study.faults()[ORDER[1]] == "is stale: 01-data-cleaning has a new result since"


def test_seeds_differ_between_purposes_and_are_the_same_every_time(opened):
    study = opened()
    seeds = {study.seed_for("site", site, chain) for site in range(50) for chain in range(3)}
    assert len(seeds) == 150
    assert study.seed_for("site", 4, 2) == opened().seed_for("site", 4, 2)
