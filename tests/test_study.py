"""A study's settings, its stages' files, and what makes a stage unusable."""

import shutil
from pathlib import Path

import pytest

from proda import stages
from proda.errors import InputError, MissingOutput
from proda.study import Study

STUDY = """
title = "A small study"
seed = 7
[source]
kind = "virtual"
[settings]
n_profiles = 100
epochs = 10
dropout = 0.2
one_batch_steps = 50
site_steps = 50
chains = 3
one_batch_B = "1/n"
spatial = false
test_share = 0.2
[scales.tiny]
epochs = 2
[scales.demo]
"""
ORDER = tuple(stages.STAGES)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture
def opened(file: Path):
    return lambda **given: Study.open(file, **{"scale": "tiny", "out": file.parent / "out", **given})


def finish(study: Study, *names: str, text: str = "result") -> None:
    for name in names:
        with study.stage(name) as folder:
            (folder / f"{name[:2]}.txt").write_text(text)


def test_a_scale_replaces_the_settings_and_the_user_replaces_the_scale(opened):
    assert opened().settings["epochs"] == 2
    assert opened(scale="demo")["epochs"] == 10
    assert opened(settings={"epochs": 5})["epochs"] == 5
    assert opened().label == "small-tiny"


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [("epochs", "5e1", 50), ("dropout", "0", 0.0), ("one_batch_B", 0.5, "0.5"), ("spatial", "True", True)],
)
def test_text_and_numbers_become_the_settings_own_type(opened, name, given, expected):
    value = opened(settings={name: given})[name]
    assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"epoch": 5}, "unknown setting 'epoch': did you mean 'epochs'\\? Known: chains"),
        ({"epochs": "many"}, "epochs is 'many'; expected a whole number such as 10"),
        ({"epochs": 1.5}, "expected a whole number"),
        ({"chains": -1}, "not negative"),
        ({"dropout": 1.0}, "below 1"),
        ({"dropout": "nan"}, "finite"),
        ({"spatial": 1}, "expected true or false"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(opened, given, told):
    with pytest.raises(InputError, match=told):
        opened(settings=given)


def test_an_unknown_scale_lists_the_known_ones(opened):
    with pytest.raises(InputError, match="no scale 'tinny': did you mean 'tiny'\\? Known: demo, tiny"):
        opened(scale="tinny")


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


@pytest.mark.parametrize(
    ("setting", "stale"),
    [
        ({"n_profiles": 200}, ORDER),
        ({"epochs": 99}, ORDER[4:]),
        ({"one_batch_steps": 99}, (ORDER[2], ORDER[5])),
        ({"site_steps": 99}, ORDER[3:]),
        ({"chains": 4}, ORDER[2:]),
    ],
)
def test_a_changed_setting_makes_stale_the_stages_that_depend_on_it_and_no_other(opened, setting, stale):
    finish(opened(), *ORDER)
    faults = opened(settings=setting).faults()
    assert tuple(name for name in ORDER if faults[name]) == tuple(stale)


def test_a_repeated_stage_with_the_same_result_leaves_the_later_ones_valid(opened):
    study = opened()
    finish(study, *ORDER)
    finish(study, ORDER[0])
    study.require(*ORDER)
    finish(study, ORDER[0], text="another result")
    with pytest.raises(MissingOutput, match="05-network-training.*is stale: 01-data-cleaning has a new result"):
        study.require(ORDER[4])


def test_a_missing_and_a_changed_file_are_named(opened):
    study = opened()
    finish(study, ORDER[0], ORDER[1])
    study.path("01.txt").write_text("tampered with")
    with pytest.raises(MissingOutput, match="01.txt has changed"):
        study.require(ORDER[0])
    study.path("02.txt").unlink()
    with pytest.raises(MissingOutput, match="02.txt is missing"):
        study.require(ORDER[1])


def test_changed_raw_tables_make_every_stage_stale_but_copied_ones_do_not(file, tmp_path):
    file.write_text(STUDY.replace('"virtual"', '"tidy-tables"'))
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "profiles.csv").write_text("a\n1\n")
    finish(Study.open(file, "tiny", data=raw, out=tmp_path / "out"), *ORDER)
    shutil.copytree(raw, tmp_path / "copy", copy_function=shutil.copy)
    Study.open(file, "tiny", data=tmp_path / "copy", out=tmp_path / "out").require(*ORDER)
    (raw / "profiles.csv").write_text("a\n2\n")
    assert all(Study.open(file, "tiny", data=raw, out=tmp_path / "out").faults().values())


def test_a_stage_does_not_start_before_what_it_reads_is_there(opened):
    with pytest.raises(MissingOutput, match="01-data-cleaning"), opened().stage(ORDER[4]):
        pytest.fail("the stage has begun")


def test_seeds_differ_between_purposes_and_are_the_same_every_time(opened):
    study = opened()
    seeds = {study.seed_for("site", site, chain) for site in range(50) for chain in range(3)}
    assert len(seeds) == 150
    assert study.seed_for("site", 4, 2) == opened().seed_for("site", 4, 2)
