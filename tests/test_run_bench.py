"""The benchmark: its numbers belong together, and what it times is the steady state. No speed is tested."""

import json
import os

import numpy as np
import pytest

from proda.model.configuration import PAPER
from proda.run import bench


@pytest.fixture(scope="module")
def table():
    return bench.measured({"10 layers": PAPER}, rounds=1)


def test_every_task_is_measured_and_compared_with_the_dense_solve(table):
    assert len(table) == 5
    time = table.loc["10 layers", "microseconds"]
    assert (time > 0.0).all()
    np.testing.assert_allclose(table.loc["10 layers", "times dense NumPy"] * time, time[bench.DENSE])


def test_the_json_file_holds_the_table(table, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "CASES", {"10 layers": PAPER})
    monkeypatch.setattr(bench, "measured", lambda: table)
    assert bench.bench(tmp_path / "speed.json") == 0
    record = json.loads((tmp_path / "speed.json").read_text())
    assert record["measured"] == {"10 layers": table.loc["10 layers"].to_dict("index")}
    assert "sampler step" in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system does not place threads on cores")
def test_threads_are_free_again_after_the_measurements_on_one_core():
    before = os.sched_getaffinity(0)
    with pytest.raises(ZeroDivisionError), bench.one_core():
        assert len(os.sched_getaffinity(0)) == 1
        raise ZeroDivisionError
    assert os.sched_getaffinity(0) == before
