"""The settings of a study: what replaces what, and what a setting cannot be."""

import re

import pytest
from small_study import STUDY

from proda.errors import InputError
from proda.study import ALLOWED, Study, read_study_file, repository_root, settings_at


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
        ({"epoch": 5}, "unknown setting 'epoch': did you mean 'epochs'\\? Known: batch_size, chains"),
        ({"epochs": "many"}, "epochs is 'many', expected a whole number of at least 1, such as 10"),
        ({"epochs": 1.5}, "expected a whole number"),
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
    ("name", "value", "expected"),
    [
        ("epochs", 0, "a whole number of at least 1"),
        ("n_profiles", 0, "at least 5"),
        ("chains", 1, "at least 2"),
        ("kept_draws", 0, "at least 50"),
        ("map_draws", 0, "at least 50"),
        ("one_batch_test_steps", 0, "at least 100"),
        ("site_steps", 99, "at least 100"),
        ("relative_sd", 0, "a number above 0"),
        ("relative_sd", "inf", "a number above 0"),
        ("site_rhat_limit", 1, "a number above 1"),
        ("site_ess_limit", -1, "a number of at least 0"),
        ("site_max_steps", -1, "a whole number of at least 0"),
        ("site_coordinates", "cube", "one of: box, logarithmic"),
        ("one_batch_coordinates", "log", "one of: box, logarithmic"),
        ("site_acceptance", "anealed", "one of: metropolis, annealed"),
        ("site_kept_states", "some", "one of: all, accepted"),
        ("test_share", 0, "a number above 0 and below 1"),
        ("dropout", 1.0, "a number of at least 0 and below 1"),
        ("dropout", "nan", "a number of at least 0 and below 1"),
        ("network_scaling", "gird", "one of: training, grid"),
        ("network_weights", "bset", "one of: best, last"),
    ],
)
def test_a_value_that_a_setting_cannot_have_is_named_wherever_it_stands(file, name, value, expected):
    told = re.escape(f"{name} is {value!r}, expected ") + f".*{expected}"
    with pytest.raises(InputError, match=told):
        Study.open(file, "tiny", settings={name: value})
    in_file = f'"{value}"' if isinstance(value, str) else value
    file.write_text(STUDY.replace("[scales.demo]", f"[scales.demo]\n{name} = {in_file}"))
    with pytest.raises(InputError, match=r"\[scales.demo\]: " + told):
        Study.open(file, "demo")
    file.write_text(re.sub(rf"^{name} = .*$", f"{name} = {in_file}", STUDY, count=1, flags=re.MULTILINE))
    with pytest.raises(InputError, match=r"\[settings\]: " + told):
        Study.open(file, "tiny")


def test_a_number_is_of_the_settings_own_type_however_the_study_file_writes_it(file):
    file.write_text(STUDY.replace("learning_rate = 1.0", "learning_rate = 1"))
    assert Study.open(file, "tiny")["learning_rate"] == 1.0
    assert Study.open(file, "tiny", settings={"learning_rate": 0.5})["learning_rate"] == 0.5


def test_a_setting_without_limits_only_needs_its_type(file):
    file.write_text(STUDY.replace("epochs = 10", "epochs = 10\nsomething = -3"))
    assert Study.open(file, "tiny", settings={"something": -5})["something"] == -5


def test_the_shipped_studies_keep_the_limits_at_every_scale_and_the_limits_are_of_their_settings():
    known = set()
    for path in (repository_root() / "data" / "studies").glob("*.toml"):
        content = read_study_file(path)
        known |= set(content["settings"])
        for scale in content["scales"]:
            settings_at(content, scale, {}, path)
    assert set(ALLOWED) <= known
