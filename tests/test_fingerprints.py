"""What makes a finished stage stale, and the reason that is given."""

import shutil

import pytest
from small_study import STUDY, finish

from proda import stage as stages
from proda.errors import MissingOutput
from proda.run.record import status_text
from proda.stage import ROOMS, code_digest, difference
from proda.study import Study

ORDER = tuple(stages.STAGES)


@pytest.mark.parametrize(
    ("setting", "stale"),
    [
        ({"n_profiles": 200}, ORDER),
        ({"epochs": 99}, ORDER[4:]),
        ({"one_batch_steps": 990}, (ORDER[2], ORDER[5])),
        ({"site_steps": 990}, ORDER[3:]),
        ({"chains": 4}, ORDER[2:]),
        ({"supplement_sites": 77}, ()),
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


def edit_marker(study: Study, stage: str, part: str) -> None:
    path = stages.marker_path(study.out, stage)
    marker = stages.read_json(path)
    stages.write_json(path, {**marker, "fingerprint": {**marker["fingerprint"], part: "of before"}})


def test_a_data_file_in_a_folder_below_counts_too_but_no_result_that_lies_there(file, tmp_path):
    file.write_text(STUDY.replace('"virtual"', '"tidy-tables"'))
    raw = tmp_path / "raw"
    (raw / "maps").mkdir(parents=True)
    (raw / "maps" / "IGBP.tif").write_text("one")
    out = raw / "results" / "out"  # a study folder may lie there and does not count
    out.mkdir(parents=True)
    study = Study.open(file, "tiny", data=raw, out=out)
    study.path("run.json").write_text("{}")  # there before the first stage begins
    finish(study, *ORDER)
    assert not any(Study.open(file, "tiny", data=raw, out=out).faults().values())
    (raw / "maps" / "IGBP.tif").write_text("two")
    assert all(Study.open(file, "tiny", data=raw, out=out).faults().values())


def test_the_reason_names_the_settings_and_tells_seed_data_and_code_apart(opened):
    before = opened().fingerprints()[ORDER[4]]
    assert difference(before, before) == ""
    now = {**before, "settings": {**before["settings"], "epochs": 3, "dropout": 0.0}}
    assert difference(before, now) == "it was made with other settings (dropout, epochs)"
    now = {**before, "seed": 8, "data": "other"}
    assert difference(before, now) == "it was made with another seed and other data"
    now = {**before, "study": "other", "code": "other"}
    assert difference(before, now) == (
        "it was made with another source or configuration, and the package has changed since"
    )


def test_a_change_of_the_package_makes_a_result_stale_and_the_status_says_so(opened):
    study = opened()
    finish(study, *ORDER)
    edit_marker(study, ORDER[4], "code")
    with pytest.raises(
        MissingOutput, match="05-network.*is stale: the package has changed since. Run it first.*--from 5"
    ):
        study.require(ORDER[4])
    study.require(*ORDER[:4])
    text = status_text(study.out)
    assert text.count("the package has changed since") == 2  # stage 6 was made from stage 5
    assert "--from 5" in text


def test_a_marker_of_an_older_version_is_stale(opened):
    study = opened()
    finish(study, ORDER[0])
    path = stages.marker_path(study.out, ORDER[0])
    stages.write_json(path, {**stages.read_json(path), "fingerprint": "0123abcd"})
    assert study.faults()[ORDER[0]] == "is stale: the package has changed since"


@pytest.fixture
def package(tmp_path):
    def changed(name: str = "", text: str = "x = 2\n") -> dict[str, str]:
        copy = tmp_path / f"package-{len(list(tmp_path.iterdir()))}"
        for room in (*ROOMS, "run", "figures"):
            (copy / room).mkdir(parents=True)
            (copy / room / "code.py").write_text("x = 1\n")
        (copy / "study.py").write_text("x = 1\n")
        if name:
            (copy / name).write_bytes(text.encode())
        return {room: code_digest(room, copy) for room in ROOMS}

    return changed


@pytest.mark.parametrize(
    ("name", "stale"),
    [
        ("model/code.py", ROOMS),
        ("study.py", ROOMS),
        ("learning/code.py", ("learning", "maps")),
        ("maps/new.py", ("maps",)),
        ("figures/code.py", ()),
        ("run/code.py", ()),
    ],
)
def test_code_counts_for_the_stages_of_its_room_and_of_those_above(package, name, stale):
    before, now = package(), package(name)
    assert tuple(room for room in ROOMS if before[room] != now[room]) == tuple(stale)


def test_the_line_endings_of_a_checkout_do_not_count(package):
    assert package() == package("model/code.py", "x = 1\r\n")


def test_every_stage_has_a_room_whose_code_counts():
    assert {stage.room for stage in stages.STAGES.values()} <= set(ROOMS)
