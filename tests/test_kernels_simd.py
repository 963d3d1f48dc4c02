"""exp and log of SIMD blocks, against extended precision."""

import numpy as np

from proda.compiled import kept_compiled
from proda.kernels.simd import BLOCK_WIDTH, inverse_power, load, simd_exp, simd_log, store


@kept_compiled
def fill_exp(x, out):
    for row in range(x.size // BLOCK_WIDTH):
        store(out, row, simd_exp(load(x, row)))


@kept_compiled
def fill_log(x, out):
    for row in range(x.size // BLOCK_WIDTH):
        store(out, row, simd_log(load(x, row)))


@kept_compiled
def fill_inverse_power(x, out):
    for row in range(x.size // BLOCK_WIDTH):
        store(out, row, inverse_power(load(x, row)))


def through(fill, x):
    x = np.asarray(x, dtype=np.float64)
    padded = np.pad(x, (0, -x.size % BLOCK_WIDTH), constant_values=1.0)
    out = np.empty_like(padded)
    fill(padded, out)
    return out[: x.size]


def test_exp_is_right_to_the_last_digits_over_its_whole_range(rng):
    x = np.concatenate([rng.uniform(-708.0, 709.0, 200_000), rng.uniform(-1.0, 1.0, 100_000), [-708.0, 0.0, 709.0]])
    exact = np.exp(x.astype(np.longdouble))
    assert np.abs(through(fill_exp, x) / exact - 1).max() < 5e-16


def test_exp_is_one_at_zero_and_stops_at_the_ends_of_the_range():
    found = through(fill_exp, [0.0, -0.0, -709.0, -np.inf, 800.0, np.inf])
    assert found[0] == found[1] == 1.0
    assert 0.0 < found[2] == found[3] < 1e-307
    assert found[4] == found[5] == through(fill_exp, [709.0])[0] and np.isfinite(found[5])


def test_exp_keeps_what_is_not_a_number():
    found = through(fill_exp, [np.nan, 1.0])
    assert np.isnan(found[0]) and found[1] == np.exp(1.0)


def test_log_is_right_to_the_last_digits_over_its_whole_range(rng):
    x = np.concatenate([10.0 ** rng.uniform(-307.0, 308.0, 200_000), rng.uniform(0.5, 2.0, 200_000)])
    exact = np.log(x.astype(np.longdouble))
    error = np.abs(through(fill_log, x) - exact)
    assert (error <= np.maximum(5e-16 * np.abs(exact), 2e-16)).all()


def test_the_inverse_power_of_two_brings_a_number_between_one_and_two(rng):
    ends = [1.0, 2.0, 1.5, np.nextafter(2.0, 0.0), 2.0**-1000]
    x = np.concatenate([10.0 ** rng.uniform(-307.0, 307.0, 10_000), ends])
    power = through(fill_inverse_power, x)
    assert (np.frexp(power)[0] == 0.5).all(), "a power of two"
    assert ((x * power >= 1.0) & (x * power < 2.0)).all()
