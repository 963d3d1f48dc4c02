"""What makes the result of a stage stale: settings, raw data and code that it depends on, and nothing else."""

import shutil

import pytest
from small_study import STUDY, finish

from proda.fingerprint import PACKAGE, SOURCE_MODULES, code_digest, source_kinds
from proda.stage import ALL_STAGES, STAGES, difference
from proda.study import Study, read_study_file, study_folder

ORDER = tuple(STAGES)


@pytest.mark.parametrize(
    ("setting", "stale"),
    [
        ({"n_profiles": 200}, tuple(ALL_STAGES)),
        ({"epochs": 99}, (*ORDER[4:], "07-projections", *tuple(ALL_STAGES)[8:11])),
        ({"one_batch_steps": 990}, (ORDER[2], ORDER[5], "07-projections", "S2-published-programs")),
        ({"supplement_sites": 77}, tuple(ALL_STAGES)[7:]),
        ({"map_draws": 77}, (ORDER[5],)),
    ],
)
def test_a_changed_setting_makes_stale_the_stages_that_depend_on_it_and_no_other(opened, setting, stale):
    finish(opened(), *ALL_STAGES)
    faults = opened(settings=setting).faults()
    assert tuple(name for name in ALL_STAGES if faults[name]) == stale


def test_changed_raw_tables_make_every_stage_stale_but_copied_ones_and_results_among_them_do_not(file, tmp_path):
    file.write_text(STUDY.replace('"virtual"', '"tidy-tables"'))
    raw = tmp_path / "raw"
    (raw / "maps").mkdir(parents=True)
    (raw / "maps" / "IGBP.tif").write_text("one")
    out = raw / "results" / "out"
    finish(Study.open(file, "tiny", data=raw, out=out), *ORDER)
    Study.open(file, "tiny", data=raw, out=out).require(*ORDER)
    shutil.copytree(raw / "maps", tmp_path / "copy" / "maps", copy_function=shutil.copy)
    Study.open(file, "tiny", data=tmp_path / "copy", out=out).require(*ORDER)
    (raw / "maps" / "IGBP.tif").write_text("two")
    faults = Study.open(file, "tiny", data=raw, out=out).faults()
    assert all(faults[name] for name in ORDER) and "other data" in faults[ORDER[0]]


def test_yearly_forcing_makes_projections_stale_and_no_other_stage(file, tmp_path):
    file.write_text(STUDY.replace('"virtual"', '"tidy-tables"'))
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    (raw / "profiles.csv").write_text("one")
    finish(Study.open(file, "tiny", data=raw, out=out), *ALL_STAGES)
    file.write_text(file.read_text().replace("[settings]", '[source.projections]\nfolder = "years"\n[settings]'))
    (raw / "years" / "ssp126").mkdir(parents=True)
    (raw / "years" / "ssp126" / "forcing_2021.nc").write_text("one")

    def stale():
        return [name for name, fault in Study.open(file, "tiny", data=raw, out=out).faults().items() if fault]

    assert stale() == ["07-projections"]
    finish(Study.open(file, "tiny", data=raw, out=out), "07-projections")
    assert stale() == []
    (raw / "years" / "ssp126" / "forcing_2021.nc").write_text("two")
    assert stale() == ["07-projections"]


def test_the_reason_names_the_settings_and_keeps_seed_data_and_code_apart(opened):
    before = opened().fingerprints()[ORDER[4]]
    assert difference(before, before) == ""
    now = {**before, "settings": {**before["settings"], "epochs": 3, "dropout": 0.0}}
    assert difference(before, now) == "it was made with other settings (dropout, epochs)"
    now = {**before, "seed": 8, "data": "other", "code": "other"}
    assert difference(before, now) == "it was made with another seed and other data, and the package has changed since"


@pytest.fixture
def package(tmp_path):
    """A copy of the package that may be changed: gives the digest of every stage for a kind of source."""
    copy = tmp_path / "proda"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))

    def digests(kind: str = "virtual") -> dict[str, str]:
        code_digest.cache_clear()
        kinds = source_kinds({"kind": kind})
        return {name: code_digest(ALL_STAGES[name].code, kinds if name == ORDER[0] else (), copy) for name in ORDER}

    yield copy, digests
    code_digest.cache_clear()


@pytest.mark.parametrize(
    ("module", "kind", "stale"),
    [
        ("data/cleaning.py", "virtual", ORDER[:1]),
        ("data/readers/wosis.py", "virtual", ()),
        ("data/readers/wosis.py", "wosis", ORDER[:1]),
        ("data/virtual_profiles.py", "virtual", ORDER[:1]),
        ("data/virtual_profiles.py", "wosis", ()),
        ("model/configuration.py", "virtual", ORDER),
        ("kernels/metropolis.py", "virtual", ORDER[2:]),
        ("learning/stage.py", "virtual", ORDER[4:5]),
        ("maps/stage.py", "virtual", ORDER[5:]),
        ("figures/style.py", "virtual", ()),
        ("run/report.py", "virtual", ()),
        ("stage.py", "virtual", ()),
    ],
)
def test_code_counts_for_the_stages_that_run_it(package, module, kind, stale):
    copy, digests = package
    before = digests(kind)
    with (copy / module).open("a") as file:
        file.write("\n_ANOTHER = 1\n")
    after = digests(kind)
    assert tuple(name for name in ORDER if before[name] != after[name]) == tuple(stale)


def test_docstrings_comments_and_line_endings_do_not_count(package):
    copy, digests = package
    path = copy / "data" / "cleaning.py"
    before, code = digests()[ORDER[0]], path.read_text()
    documented = code.replace('"""', '"""Another docstring. ', 1) + "\n# A comment.\n"
    for text in (documented, documented.replace("\n", "\r\n")):
        path.write_bytes(text.encode())
        assert digests()[ORDER[0]] == before


def test_the_modules_of_every_kind_of_source_and_the_code_of_every_stage_are_there():
    studies = [path for path in study_folder().glob("*.toml") if path.stem != "defaults"]
    assert {read_study_file(path)["source"]["kind"] for path in studies} <= set(SOURCE_MODULES)
    for modules in SOURCE_MODULES.values():
        assert all(PACKAGE.joinpath(*name.split(".")).with_suffix(".py").is_file() for name in modules)
    for entry in {entry for stage in ALL_STAGES.values() for entry in stage.code}:
        path = PACKAGE / entry.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), entry
