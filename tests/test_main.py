"""The command line: what it accepts, and the clear end of what it does not."""

import errno
import os
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


@pytest.mark.parametrize("option", ["--out", "--reports"])
@pytest.mark.parametrize("place", ["file", "file/below", "/proc/nowhere"])
def test_a_folder_that_cannot_be_written_ends_before_anything_runs_with_one_line(file, tmp_path, capsys, option, place):
    (tmp_path / "file").write_text("a file")
    folders = {"--out": str(tmp_path / "out"), "--reports": str(tmp_path / "reports"), option: str(tmp_path / place)}
    given = ["run", "--study", str(file), "--scale", "tiny", *(word for pair in folders.items() for word in pair)]
    assert main(given) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {option} {tmp_path / place} cannot be written: ") and error.count("\n") == 1
    assert not (tmp_path / "out").exists() and not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench", "--json", "file/times.json"], "error: --json file cannot be written: "),
        (["fetch", "koppen-2018", "--to", "file"], "error: --to file cannot be written: "),
        (["score", "out", "--data", ".", "--to", "file/below"], "error: --to file/below cannot be written: "),
    ],
)
def test_a_place_for_results_is_tried_before_the_work(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("a file")
    assert main(arguments) == 2 and capsys.readouterr().err.startswith(message)


def test_too_little_room_and_missing_packages_end_before_anything_runs(file, tmp_path, capsys, monkeypatch):
    given = f"run --study {file} --scale tiny --out {tmp_path / 'out'} --set n_profiles=90000".split()
    with monkeypatch.context() as disk:
        disk.setattr("shutil.disk_usage", lambda place: types.SimpleNamespace(free=1.5e9))
        assert main(given) == 2
    assert "has room for 1.5 GB, and the results take some 4.8 GB" in capsys.readouterr().err
    monkeypatch.setattr("proda.run.report.PACKAGES", ("sphinx", "no-such-package"))
    assert main(given) == 2 and not (tmp_path / "out").exists()
    assert 'the report needs no-such-package, not installed here: pip install -e ".[report]"' in capsys.readouterr().err


def test_a_full_disk_is_one_line_wherever_it_shows(monkeypatch, capsys):
    def full(options):
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")

    monkeypatch.setattr("proda.__main__._exit_code", full)
    assert main(["bench"]) == 1
    assert capsys.readouterr().err.startswith("error: [Errno 28] No space left on device: 'somewhere': make room")


def test_ctrl_c_while_packages_are_imported_ends_with_one_line(tmp_path):
    (tmp_path / "tqdm.py").write_text("raise KeyboardInterrupt")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    command = [sys.executable, "-m", "proda", "status", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert (done.returncode, done.stderr) == (130, "stopped; `python -m proda status DIR` shows what is complete\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_terminal_of_any_encoding_shows_names_of_any_language(file, encoding):
    study = file.with_name("Böden 土壤.toml")
    study.write_text(file.read_text().replace("epochs = ", "epoch = "))
    command = [sys.executable, "-m", "proda", "run", "--study", str(study)]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding})
    assert done.returncode == 2 and b"Traceback" not in done.stderr and b"unknown setting 'epoch'" in done.stderr


def test_a_reader_that_ends_early_is_no_error():
    command = f"{sys.executable} -m proda fetch | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stdout.startswith("Public sources") and "Traceback" not in done.stderr


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
    monkeypatch.setattr("proda.workers.cluster_client", lambda address: asked.append(address) or client)
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
