"""exp and log of SIMD blocks against extended precision; random numbers: algorithm, distributions, streams."""

import numpy as np
import pytest
from scipy import stats

from proda.compiled import kept_compiled
from proda.kernels import simd


@kept_compiled
def fill_exp(x, out):
    for row in range(x.size // simd.BLOCK_WIDTH):
        simd.store(out, row, simd.simd_exp(simd.load(x, row)))


@kept_compiled
def fill_log(x, out):
    for row in range(x.size // simd.BLOCK_WIDTH):
        simd.store(out, row, simd.simd_log(simd.load(x, row)))


@kept_compiled
def fill_exp_and_expm1(x, out, less_one):
    for row in range(x.size // simd.BLOCK_WIDTH):
        exp, expm1 = simd.exp_and_expm1(simd.load(x, row))
        simd.store(out, row, exp)
        simd.store(less_one, row, expm1)


@kept_compiled
def fill_inverse_power(x, out):
    for row in range(x.size // simd.BLOCK_WIDTH):
        simd.store(out, row, simd.inverse_power(simd.load(x, row)))


def through(fill, x):
    x = np.asarray(x, dtype=np.float64)
    padded = np.pad(x, (0, -x.size % simd.BLOCK_WIDTH), constant_values=1.0)
    out = np.empty_like(padded)
    fill(padded, out)
    return out[: x.size]


def test_exp_is_right_to_the_last_digits_over_its_whole_range(rng):
    x = np.concatenate([rng.uniform(-708.0, 709.0, 200_000), rng.uniform(-1.0, 1.0, 100_000), [-708.0, 0.0, 709.0]])
    exact = np.exp(x.astype(np.longdouble))
    assert np.abs(through(fill_exp, x) / exact - 1).max() < 5e-16


def test_exp_is_one_at_zero_and_stops_at_the_ends_of_the_range():
    found = through(fill_exp, [0.0, -0.0, -709.0, -np.inf, 800.0, np.inf, np.nan])
    assert found[0] == found[1] == 1.0
    assert 0.0 < found[2] == found[3] < 1e-307
    assert found[4] == found[5] == through(fill_exp, [709.0])[0] and np.isfinite(found[5])
    assert np.isnan(found[6])


def test_exp_of_floats_is_right_to_the_last_digits_and_stops_at_the_ends_of_its_range(rng):
    n = 100 * simd.BLOCK_WIDTH
    x = np.concatenate([rng.uniform(-69.0, 88.0, n), -(10.0 ** rng.uniform(-9.0, 0.0, n))]).astype(np.float32)
    exp, less_one = np.empty((2, x.size), np.float32)
    fill_exp_and_expm1(x, exp, less_one)
    np.testing.assert_allclose(exp, np.exp(x.astype(float)), rtol=2e-7)
    np.testing.assert_allclose(less_one, np.expm1(x.astype(float)), rtol=3e-7)
    ends = np.full(simd.BLOCK_WIDTH, np.nan, np.float32)
    ends[:5] = 0.0, -70.0, -np.inf, 100.0, np.inf
    found = np.empty_like(ends)
    fill_exp(ends, found)
    assert found[0] == 1.0 and 0.0 < found[1] == found[2] < 2e-30 and 1e38 < found[3] == found[4] < np.inf
    assert np.isnan(found[5:]).all()


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
    floats = (10.0 ** rng.uniform(-37.0, 37.0, 10 * simd.BLOCK_WIDTH)).astype(np.float32)
    power = np.empty_like(floats)
    fill_inverse_power(floats, power)
    assert (np.frexp(power)[0] == 0.5).all() and ((floats * power >= 1.0) & (floats * power < 2.0)).all()


MASK = 2**64 - 1


def xoshiro256plusplus(state, n):
    """The generator of Blackman and Vigna (2021) in whole numbers: the first n words from four words of state."""
    s = [int(word) for word in state]
    words = []
    for _ in range(n):
        total = (s[0] + s[3]) & MASK
        words.append((((total << 23) & MASK | total >> 41) + s[0]) & MASK)
        t = (s[1] << 17) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = (s[3] << 45) & MASK | s[3] >> 19
    return words


@kept_compiled
def fill_at_once(state, out, n):
    simd.fill_uniform(state, out, n)


@kept_compiled
def fill_bells(state, out, n):
    simd.fill_normal(state, out, n)


def drawn(fill, states, n):
    """n numbers of each stream, (n, BLOCK_WIDTH)."""
    out = np.empty(n * simd.BLOCK_WIDTH)
    fill(np.ascontiguousarray(states).ravel().copy(), out, n)
    return out.reshape(n, simd.BLOCK_WIDTH)


@pytest.fixture(scope="module")
def states():
    return simd.generator_states([(7, site, 0) for site in range(simd.BLOCK_WIDTH)])


def test_the_algorithm_gives_the_published_words():
    """First words of the reference program for the state 1, 2, 3, 4."""
    expected = [41943041, 58720359, 3588806011781223, 3591011842654386, 9228616714210784205]
    assert xoshiro256plusplus([1, 2, 3, 4], 5) == expected


def test_every_stream_has_the_words_of_its_own_generator(states):
    numbers = drawn(fill_at_once, states, 200)
    for k in (0, 5, simd.BLOCK_WIDTH - 1):
        words = np.array(xoshiro256plusplus(states[:, k], 200), dtype=np.uint64)
        # The upper 52 bits, in the middle of their interval.
        np.testing.assert_array_equal(numbers[:, k], ((words >> np.uint64(12)).astype(float) + 0.5) * 2.0**-52)


def test_the_smallest_and_largest_word_stay_inside_the_open_interval():
    # With s0 = s3 = 0 the word is 0; with s0 = 2^64 - 1 and s3 = 1 it is 2^64 - 1.
    states = np.zeros((4, simd.BLOCK_WIDTH), np.uint64)
    states[1] = 1
    states[0, 1], states[3, 1] = MASK, 1
    numbers = drawn(fill_at_once, states, 1)[0]
    assert numbers[0] == 2.0**-53 and numbers[1] == 1.0 - 2.0**-53


def test_normal_numbers_are_normal_and_pairs_independent(states):
    numbers = drawn(fill_bells, states, 20_000)
    assert stats.kstest(numbers.ravel(), "norm").pvalue > 1e-3
    assert numbers.mean() == pytest.approx(0.0, abs=4.0 / np.sqrt(numbers.size))
    assert numbers.var() == pytest.approx(1.0, abs=6.0 / np.sqrt(numbers.size))
    first, second = numbers[::2].ravel(), numbers[1::2].ravel()
    assert abs(np.corrcoef(first, second)[0, 1]) < 4.0 / np.sqrt(first.size)
    assert abs(np.corrcoef(first**2, second**2)[0, 1]) < 4.0 / np.sqrt(first.size)
    assert stats.kstest(np.arctan2(second, first), stats.uniform(-np.pi, 2.0 * np.pi).cdf).pvalue > 1e-3
