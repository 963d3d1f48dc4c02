"""The benchmark: what it counts, what its table says, and that its numbers belong together. No speed is tested."""

import json
import os

import numpy as np
import pytest

from proda.kernels.simd import BLOCK_WIDTH
from proda.kernels.steady_state import soc_density as compiled_soc_density
from proda.model.configuration import CESM2, PAPER
from proda.model.solver import soc_density, steady_state
from proda.run import bench
from proda.run import bench as speed
from proda.run.bench import (
    CASES,
    COMPILED,
    DENSE,
    DERIVATIVES,
    EVALUATION,
    JAX,
    LOGARITHMIC_SAMPLER,
    ROWS,
    SAMPLER,
    STRUCTURED,
    Columns,
    Task,
    arithmetic,
    bench_columns,
    functions,
    jax_tasks,
    multiply_adds,
    multiply_and_add,
    one_core,
    operation_count,
)
from proda.run.bench import MACHINE_ROUNDS as ROUNDS


@pytest.fixture(scope="module")
def found():
    """Every case once, with idle tasks in place of those of JAX, which take minutes to compile."""
    idle = [Task(name, 1, 1, lambda: lambda: None, in_threads=name == JAX) for name in (JAX, *DERIVATIVES)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "jax_tasks", lambda columns: idle)
        patch.setattr(speed, "n_workers", lambda: 2)
        return speed.measurements(rounds=1)


def test_operations_are_counted_as_by_hand():
    def function(x, namespace):
        product = x[0] * x[1] + 2.0
        return namespace.xp.exp(product) / x[0] - (x * np.ones((2, 3))).sum(axis=0)

    counts = operation_count(function, np.ones((2, 3)))
    assert counts == {"multiply": 3 + 6, "add": 3 + 3, "exp": 3, "divide": 3, "subtract": 3}
    assert (arithmetic(counts), functions(counts)) == (21, 3)


def test_operations_in_a_loop_over_layers_count_in_every_layer_and_those_on_constants_not_at_all():
    constant = np.arange(4.0)

    def function(x, namespace):
        _, below = namespace.scan(lambda carry, layer: (carry + layer, carry * layer), x[0], constant + 1.0)
        return below + constant[:, None]

    assert operation_count(function, np.ones((2, 3))) == {"add": 4 * 3 + 4 * 3, "multiply": 4 * 3}


def test_counting_does_not_change_the_result():
    theta, forcing = bench_columns(3)
    counted = []
    operation_count(lambda x, namespace: counted.append(steady_state(x, forcing, PAPER, namespace)), theta)
    np.testing.assert_array_equal(np.asarray(counted[0]), steady_state(theta, forcing))


def test_the_table_has_every_task_of_every_case(found):
    dense = [DENSE, "dense NumPy, assembling alone", "dense NumPy, solving alone", "dense NumPy, batched"]
    tasks = [*dense, STRUCTURED, JAX, *DERIVATIVES, COMPILED, EVALUATION]
    for case, configuration in CASES.items():
        expected = tasks if configuration is CESM2 else [*tasks, SAMPLER, LOGARITHMIC_SAMPLER]
        assert list(found.table.loc[case].index) == expected
    assert list(found.operations.index) == list(CASES)


def test_ratios_and_rates_belong_to_the_microseconds(found):
    assert np.isfinite(found.peak) and found.peak > 0.0
    for case, table in found.table.groupby(level="case"):
        table, time = table.loc[case], table.loc[case, "microseconds"]
        assert (time > 0.0).all()
        np.testing.assert_allclose(table["per second"] * time, 1e6)
        np.testing.assert_allclose(table["times dense NumPy"] * time, time[DENSE])
        np.testing.assert_allclose(table["all cores: speedup"] * table["all cores: microseconds"], time.where(
            table["all cores: speedup"].notna()
        ))  # fmt: skip
        derivatives = table["times JAX"].dropna()
        assert list(derivatives.index) == list(DERIVATIVES)
        np.testing.assert_allclose(derivatives * time[JAX], time[list(DERIVATIVES)])
        solved = table["Gflop/s"].dropna()
        assert list(solved.index) == [STRUCTURED, JAX, COMPILED]
        operations = found.operations.loc[case, speed.ARITHMETIC]
        np.testing.assert_allclose(solved * time[solved.index] * 1e3, operations)
        np.testing.assert_allclose(table["% of peak"].dropna(), 100.0 * solved / found.peak)


def test_the_record_comes_back_from_its_file_as_it_was(found, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "measurements", lambda: found)
    assert bench.bench(tmp_path / "speed.json") == 0
    record = json.loads((tmp_path / "speed.json").read_text())
    assert record == bench.as_record(found)
    for (case, task), row in found.table.iterrows():
        for name, value in row.items():
            assert record["measured"][case][task][name] == (None if np.isnan(value) else value)
    printed = capsys.readouterr().out
    assert all(printed.count(task) >= 1 for task in (DENSE, SAMPLER, *DERIVATIVES, *CASES))
    assert "nan" not in printed


@pytest.mark.parametrize("case", CASES)
def test_the_columns_that_are_timed_hold_carbon_and_all_versions_agree_on_it(case):
    theta, forcing = bench_columns(32, configuration=CASES[case])
    soc = soc_density(steady_state(theta, forcing, CASES[case]))
    assert (soc[0] > 0.0).all()
    np.testing.assert_allclose(compiled_soc_density(theta, forcing, CASES[case]), soc, rtol=1e-10, atol=1e-200)


def test_the_jax_that_is_timed_computes_the_steady_state():
    columns = Columns(*bench_columns(48), PAPER).take(32, start=16)
    (task,) = jax_tasks(columns, blocks=(32,), derivatives=False)
    assert task.name == JAX and task.at_once == 32
    soc = soc_density(steady_state(columns.theta, columns.forcing))
    np.testing.assert_allclose(np.asarray(task.new_call()()), soc, rtol=1e-10, atol=1e-200)


def test_the_loop_that_finds_the_peak_does_all_its_multiplications_and_additions():
    numbers = np.full(ROWS * BLOCK_WIDTH, -0.5)
    multiply_and_add(numbers, 2)
    np.testing.assert_array_equal(numbers, -0.1875)
    assert multiply_adds()[1] == 2 * numbers.size * ROUNDS


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system does not place threads on cores")
def test_threads_are_free_again_after_the_measurements_on_one_core():
    before = os.sched_getaffinity(0)
    with pytest.raises(ZeroDivisionError), one_core():
        assert len(os.sched_getaffinity(0)) == 1
        raise ZeroDivisionError
    assert os.sched_getaffinity(0) == before
