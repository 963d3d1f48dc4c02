"""The command line: what it accepts, and the clear end of what it does not."""

import sys
import types

import pytest
from small_notebooks import STUDY

from proda.__main__ import main, overrides
from proda.errors import InputError


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(STUDY)
    return path


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--set", "epoch=5"], "unknown setting 'epoch': did you mean 'epochs'"),
        (["--set", "epochs=few"], "expected a whole number"),
        (["--set", "epochs"], "expected NAME=VALUE, as in --set epochs=50"),
        (["--set", "epochs=1", "--set", "epochs=2"], "given twice"),
        (["--scale", "huge"], "no scale 'huge'"),
        (["--data", "somewhere"], "makes its own data"),
        (["--only", "9"], "give a number from 1 to 6"),
        (["--from", "2", "--only", "3"], "exclude each other"),
    ],
)
def test_a_mistake_ends_before_anything_runs_and_is_told_in_one_line(file, tmp_path, capsys, arguments, told):
    given = ["run", "--study", str(file), "--scale", "tiny", "--out", str(tmp_path / "out"), *arguments]
    assert main(given) == 2
    output = capsys.readouterr()
    assert output.err.startswith("error: ") and told in output.err and "Traceback" not in output.err
    assert not (tmp_path / "out").exists()


def test_a_notebook_alone_without_what_it_reads_is_told_what_to_run(file, tmp_path, capsys):
    assert main(["run", "--study", str(file), "--scale", "tiny", "--out", str(tmp_path / "out"), "--only", "5"]) == 1
    assert (
        "01-data-cleaning of small-tiny has not been run. Run it first: python -m proda run" in capsys.readouterr().err
    )


def test_a_study_that_does_not_exist_is_told_with_the_shipped_ones(capsys):
    assert main(["run", "--study", "virtal"]) == 2
    assert "did you mean 'virtual'" in capsys.readouterr().err


def test_settings_may_hold_equals_signs_and_spaces():
    assert overrides(["a = 1", "b=x=y"]) == {"a": "1", "b": "x=y"}
    with pytest.raises(InputError):
        overrides(["=1"])


def test_the_status_of_a_folder_that_does_not_exist_is_an_error(tmp_path, capsys):
    assert main(["status", str(tmp_path / "nowhere")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_a_missing_file_of_reference_cases_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "proda.run.verification", types.SimpleNamespace(verify=lambda path: 0))
    assert main(["verify", str(tmp_path / "cases.csv")]) == 2
    assert "cases.csv does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("result", [0, 1])
def test_the_exit_code_of_verify_is_the_verdict(tmp_path, monkeypatch, result):
    monkeypatch.setitem(sys.modules, "proda.run.verification", types.SimpleNamespace(verify=lambda path: result))
    cases = tmp_path / "cases.csv"
    cases.write_text("case\n")
    assert main(["verify", str(cases)]) == result


def test_an_unknown_command_ends_with_the_usage(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["runn"])
    assert ended.value.code == 2 and "invalid choice" in capsys.readouterr().err


def test_a_scheduler_that_is_not_there_is_told_before_anything_runs(file, tmp_path, capsys):
    out = tmp_path / "out"
    given = ["run", "--study", str(file), "--scale", "tiny", "--out", str(out), "--scheduler", str(tmp_path / "s.json")]
    assert main(given) == 2
    assert "the scheduler file" in capsys.readouterr().err and not out.exists()


def test_the_scheduler_and_the_wish_to_begin_afresh_reach_the_run(file, tmp_path, monkeypatch):
    seen, asked = {}, []
    monkeypatch.setattr("proda.run.run.run", lambda study, **given: seen.update(given))
    client = types.SimpleNamespace(close=lambda: None)
    monkeypatch.setattr("proda.assimilation.sites.cluster_client", lambda address: asked.append(address) or client)
    common = ["run", "--study", str(file), "--scale", "tiny", "--out", str(tmp_path / "out")]
    assert main([*common, "--scheduler", "tcp://there:8786", "--fresh", "--from", "4"]) == 0
    assert asked == ["tcp://there:8786"]
    assert seen == {"first": 4, "only": None, "scheduler": "tcp://there:8786", "fresh": True, "reports": None}
    assert main(common) == 0 and seen["scheduler"] == "" and not seen["fresh"] and len(asked) == 1
