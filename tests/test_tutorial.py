"""The tutorial "Your own region in seven steps": its commands are run, so that it cannot rot."""

import shlex

import pandas as pd
import pytest
import tutorial

from proda.__main__ import overrides, parser
from proda.run.page_check import faults_of_pages
from proda.study import Study, repository_root

LONG = 7  # the step whose runs take long: its commands are read, its studies opened


@pytest.fixture(scope="module")
def region(tmp_path_factory):
    """A folder like a clone's, with the region that steps 1 and 2 make."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / "data").symlink_to(repository_root() / "data")
    for block in tutorial.blocks():
        if block.step <= 2:
            tutorial.done(block, folder)
    return folder


def test_it_has_seven_steps_and_code_of_two_kinds():
    assert list(tutorial.steps()) == [1, 2, 3, 4, 5, 6, 7]
    assert {block.step for block in tutorial.blocks()} == {1, 2, 3, 4, 5, 6, 7}
    assert {block.kind for block in tutorial.blocks()} == {"python", "bash"}


def test_lines_of_code_fit_their_page():
    assert max(len(line) for block in tutorial.blocks() for line in block.code.splitlines()) <= 80


def test_every_run_names_settings_and_scales_that_there_are(region, monkeypatch):
    monkeypatch.chdir(region)
    lines = [line for block in tutorial.blocks() for line in block.code.replace("\\\n", "").splitlines()]
    runs = [line for line in lines if line.startswith("python -m proda run")]
    assert len(runs) == 4
    for line in runs:
        options = parser().parse_args(shlex.split(line)[3:])
        study = Study.open(options.study, options.scale, options.data, options.out, overrides(options.set))
        assert study.data == region / "my-region" / "tables"
    scales = [line.split("--scale ")[1].split()[0] for line in runs]
    assert scales == ["tiny", "tiny", "demo", "converged"]


@pytest.mark.slow
@pytest.mark.study
def test_its_commands_lead_from_three_tables_to_maps_and_a_report(region):
    told = {}
    for block in tutorial.blocks():
        if 2 < block.step < LONG:
            told[block.step, block.kind] = tutorial.done(block, region)
    results, reports = region / "my-region" / "results", region / "my-region" / "reports" / "my-region-tiny"
    assert told[5, "bash"].count(" complete, ") == 5 + 1 and told[5, "bash"].count("has not been run") == 1
    assert pd.read_csv(results / "cleaning.csv")["profiles_after"].iloc[-1] == 80
    page = "my-region/reports/my-region-tiny/html/index.html"
    assert page in tutorial.steps()[5] and (region / page).is_file()
    assert faults_of_pages(reports / "html") == []
    metre = pd.read_csv(region / "my-region" / "carbon_to_one_metre.csv")["soil_mass_content_of_carbon"]
    assert 16 * 8 * 0.9 <= len(metre) <= 16 * 8
    # The made profiles hold some 15 kg m-2 to a metre.
    assert 5 < metre.mean() < 45
