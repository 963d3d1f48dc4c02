"""A study file, its settings at one scale, and what `Study.open` refuses."""

import re
import warnings

import pytest
from small_study import STUDY, finish

import proda
from proda.errors import InputError, MissingOutput
from proda.model.configuration import CONFIGURATIONS
from proda.study import ALIASES, DEEPEST, Study, read_study_file, settings_at, study_folder


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 7", "", "has no 'seed'"),
        ("seed = 7", 'seed = "7"', "seed is '7'; expected a whole number"),
        ("seed = 7", "seed = 7\nsead = 8", "unknown entry 'sead': did you mean 'seed'"),
        ("seed = 7", 'seed = 7\nconfiguration = "clm5"', "configuration is 'clm5'; expected one of"),
        ('kind = "virtual"', "", "has no kind"),
        ("[settings]", "[settings]\nepoch = 1", r"\[settings\]: unknown setting 'epoch': did you mean 'epochs'"),
        ("[scales.tiny]", "[scales.tiny]\nepoch = 1", r"\[scales.tiny\]: unknown setting 'epoch'"),
        ("[source]", "[source", "not valid TOML"),
        ("[settings]", '[settings]\nsite_acceptance = "annealed"', "site_acceptance is 'annealed', of version 0.1"),
    ],
)
def test_a_faulty_study_file_is_named_with_the_entry_at_fault(file, old, new, message):
    file.write_text(STUDY.replace(old, new))
    with pytest.raises(InputError, match=rf"small\.toml.*{message}"):
        Study.open(file, scale="tiny")


def test_layers_are_read_down_to_the_end_of_the_column():
    deep = {"max_depth_m": 8.6}
    with pytest.raises(
        InputError, match=r"max_depth_m is 8\.6, expected at most 3\.8, .* the paper configuration ends"
    ):
        Study.open("virtual", settings=deep)
    assert Study.open("virtual-cesm2", settings=deep)["max_depth_m"] == 8.6
    ends = {name: each.column.bottom[-1] for name, each in CONFIGURATIONS.items()}
    assert ends == pytest.approx(DEEPEST, abs=0.01)


def test_a_study_that_reads_tables_needs_an_existing_filled_folder(file, tmp_path):
    file.write_text(STUDY.replace('"virtual"', '"tidy-tables"'))
    with pytest.raises(InputError, match="give it with --data DIR"):
        Study.open(file, scale="tiny")
    (tmp_path / "empty").mkdir()
    for name in ("nowhere", "empty"):
        with pytest.raises(InputError, match=f"{name} does not exist or is empty"):
            Study.open(file, scale="tiny", data=tmp_path / name)


def test_an_unknown_study_or_scale_lists_the_known_ones(opened):
    with pytest.raises(InputError, match="unknown study 'virtal': did you mean 'virtual'.*Known: archive, us-profiles"):
        Study.open("virtal")
    with pytest.raises(InputError, match="no scale 'tinny': did you mean 'tiny'\\? Known: demo, paper, tiny"):
        opened(scale="tinny")


def test_a_scale_replaces_the_settings_and_the_user_replaces_the_scale(opened):
    assert opened()["epochs"] == 2
    assert opened(scale="demo")["epochs"] == 10
    assert opened(settings={"epochs": 5})["epochs"] == 5
    assert opened()["chains"] == 3  # of defaults.toml


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("epochs", "5e1", 50),
        ("dropout", "0", 0.0),
        ("learning_rate", 1, 1.0),
        ("one_batch_B", 0.5, "0.5"),
        ("exclude_litter", "True", True),
    ],
)
def test_text_and_numbers_become_the_settings_own_type(opened, name, given, expected):
    value = opened(settings={name: given})[name]
    assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("epochs", 0, "a whole number of at least 1"),
        ("epochs", "many", "a whole number of at least 1"),
        ("epochs", 1.5, "a whole number"),
        ("exclude_litter", 1, "true or false"),
        ("chains", 1, "at least 2"),
        ("relative_sd", "inf", "a number above 0"),
        ("site_ess_limit", -1, "a number of at least 0"),
        ("site_coordinates", "cube", "one of: box, logarithmic"),
        ("test_share", 0, "a number above 0 and below 1"),
        ("dropout", "nan", "a number of at least 0 and below 1"),
        ("network_scaling", "gird", "one of: training, grid"),
    ],
)
def test_a_value_that_a_setting_cannot_have_is_named_wherever_it_stands(file, name, value, expected):
    message = re.escape(f"{name} is {value!r}, expected ") + f".*{expected}"
    with pytest.raises(InputError, match=message):
        Study.open(file, "tiny", settings={name: value})
    in_file = f'"{value}"' if isinstance(value, str) else value
    file.write_text(f"{STUDY}[scales.demo]\n{name} = {in_file}\n")
    with pytest.raises(InputError, match=r"\[scales.demo\]: " + message):
        Study.open(file, "demo")


@pytest.mark.parametrize("old", ALIASES)
def test_the_old_name_of_a_setting_is_accepted_with_a_warning(file, old):
    value = 0.5 if old == "hybrid_panel_share" else 30
    with pytest.warns(FutureWarning, match=f"setting {old} is now called {ALIASES[old]}"):
        study = Study.open(file, "tiny", settings={old: value})
    assert study[ALIASES[old]] == value
    file.write_text(file.read_text().replace("[scales.tiny]", f"[scales.tiny]\n{old} = {value}"))
    with pytest.warns(FutureWarning):
        assert Study.open(file, "tiny")[ALIASES[old]] == value


def test_a_setting_of_version_0_1_that_is_gone_is_accepted_at_the_value_that_stayed(file):
    file.write_text(STUDY.replace("[settings]", '[settings]\nsite_acceptance = "metropolis"'))
    with pytest.warns(FutureWarning, match="site_acceptance is now always 'metropolis': remove it"):
        assert "site_acceptance" not in Study.open(file, "tiny").settings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "latin-1", "cp1252"])
def test_a_study_file_is_read_in_utf_8_with_or_without_a_mark_and_any_other_encoding_is_named(file, encoding):
    file.write_bytes(STUDY.replace("seed = 7", 'seed = 7\ndescription = "Böden"').encode(encoding))
    if encoding.startswith("utf-8"):
        assert Study.open(file, "tiny").description == "Böden"
    else:
        found = "UTF-16" if "utf" in encoding else r"b'\\xf6', perhaps Windows-1252 or Latin-1"
        with pytest.raises(InputError, match=rf"small\.toml, line \d+: the text is not UTF-8 but {found}\. Save"):
            Study.open(file, "tiny")


def test_the_shipped_studies_keep_the_limits_at_every_scale():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in study_folder().glob("*.toml"):
            if path.stem != "defaults":
                for scale in ("tiny", "demo", "paper"):
                    settings_at(read_study_file(path), scale, {}, path)


def test_a_study_file_that_states_every_setting_has_the_same_fingerprints(file, opened):
    short = opened()
    lines = [
        f"{name} = {str(value).lower() if isinstance(value, bool) else repr(value)}"
        for name, value in short.settings.items()
    ]
    file.write_text(STUDY[: STUDY.index("[settings]")] + "[settings]\n" + "\n".join(lines) + "\n[scales.full]\n")
    assert opened(scale="full").fingerprints() == short.fingerprints()


def test_seeds_differ_between_purposes_and_never_change(opened):
    study = opened()
    assert len({study.seed_for("site", site, chain) for site in range(50) for chain in range(3)}) == 150
    # Chains and splits follow from it: another formula would change the results of every study.
    assert study.seed_for("site", 4, 2) == 8638975602107089986


def test_a_study_opens_from_the_package_and_gives_the_command_that_runs_it(file):
    study = proda.open_study(file, scale="tiny", out=file.parent / "out", settings={"epochs": 3})
    assert study.command("--from", "2") == (
        f"python -m proda run --study {file} --scale tiny --out {file.parent / 'out'} --set epochs=3 --from 2"
    )


def test_a_summary_is_read_until_it_is_stale(opened):
    study = opened()
    assert study.summary("S5-model-properties") is None
    finish(study, "01-data-cleaning")
    study.write_summary("S5-model-properties", {"age_years": 7.5})
    assert opened().summary("S5-model-properties") == {"age_years": 7.5}
    finish(study, "01-data-cleaning", text="another result")
    assert study.summary("S5-model-properties") is None
    with pytest.raises(MissingOutput, match="S5-model-properties.*new result since.*--only S5"):
        study.require("S5-model-properties")
