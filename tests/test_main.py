"""The command line: what it accepts, and the clear end of what it does not."""

import subprocess
import sys
import types

import pytest

from proda.__main__ import main, overrides
from proda.errors import InputError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "epoch=5"], "unknown setting 'epoch': did you mean 'epochs'"),
        (["--set", "epochs"], "expected NAME=VALUE, as in --set epochs=50"),
        (["--scale", "huge"], "no scale 'huge'"),
        (["--data", "somewhere"], "makes its own data"),
        (["--only", "9"], "give a number from 1 to 6, or --only 7, S1 to S5"),
        (["--scheduler", "nowhere.json"], "no Dask scheduler answers at nowhere.json"),
    ],
)
def test_a_mistake_ends_before_anything_runs_with_one_line(file, tmp_path, capsys, arguments, message):
    given = ["run", "--study", str(file), "--scale", "tiny", "--out", str(tmp_path / "out"), *arguments]
    assert main(given) == 2
    output = capsys.readouterr()
    assert output.err.startswith("error: ") and message in output.err and "Traceback" not in output.err
    assert not (tmp_path / "out").exists()


def test_a_notebook_alone_without_what_it_reads_gives_the_command_to_run(file, tmp_path, capsys):
    assert main(["run", "--study", str(file), "--scale", "tiny", "--out", str(tmp_path / "out"), "--only", "5"]) == 1
    assert (
        "01-data-cleaning of small-tiny has not been run. Run it first: python -m proda run" in capsys.readouterr().err
    )


def test_settings_may_hold_equals_signs_and_spaces():
    assert overrides(["a = 1", "b=x=y"]) == {"a": "1", "b": "x=y"}
    with pytest.raises(InputError):
        overrides(["=1"])


def test_the_verdict_on_reference_cases_is_the_exit_code(monkeypatch):
    monkeypatch.setitem(sys.modules, "proda.run.verification", types.SimpleNamespace(verify=lambda path: 1))
    assert main(["verify", "cases.csv"]) == 1


def test_the_options_of_a_run_reach_it(file, tmp_path, monkeypatch):
    seen, asked = {}, []
    monkeypatch.setattr("proda.run.run.run", lambda study, **given: seen.update(given))
    client = types.SimpleNamespace(close=lambda: None)
    monkeypatch.setattr("proda.assimilation.sites.cluster_client", lambda address: asked.append(address) or client)
    common = ["run", "--study", str(file), "--scale", "tiny", "--out", str(tmp_path / "out")]
    assert main([*common, "--scheduler", "tcp://there:8786", "--fresh", "--from", "4", "--supplement"]) == 0
    assert asked == ["tcp://there:8786"]
    expected = {"first": 4, "only": "", "supplement": True, "scheduler": "tcp://there:8786", "fresh": True}
    assert seen == {**expected, "reports": None}
    assert main([*common, "--only", "S3"]) == 0 and seen["only"] == "S3" and not seen["scheduler"] and len(asked) == 1


HEAVY = """
import sys
from proda.__main__ import main
try:
    main({arguments})
except SystemExit:
    pass
print([name for name in ("numba", "jax", "keras", "pandas", "matplotlib", "xarray", "sklearn") if name in sys.modules])
"""


@pytest.mark.parametrize("arguments", [["--help"], ["status", "nowhere"]])
def test_help_and_status_import_nothing_heavy(arguments):
    done = subprocess.run([sys.executable, "-c", HEAVY.format(arguments=arguments)], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_package_opens_a_study_without_importing_anything_heavy():
    program = HEAVY.replace("main({arguments})", 'import proda; proda.open_study("virtual", scale="tiny").faults()')
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
