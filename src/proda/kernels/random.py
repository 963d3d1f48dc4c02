"""Random numbers in SIMD blocks: every element has a generator of its own, seeded by the chain that it belongs to.

xoshiro256++ (Blackman and Vigna 2021), with four words of state each. A stream depends on its seed alone, so a site's
chain is the same whatever sites are computed beside it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from proda.compiled import inlined
from proda.kernels.simd import doubles_of, load, simd_log, square_root, store

_SHIFT_TO_MANTISSA = np.uint64(12)
_ONE_BITS = np.uint64(0x3FF0000000000000)
_A, _B, _C = np.uint64(17), np.uint64(23), np.uint64(45)
_REST_B, _REST_C = np.uint64(64 - 23), np.uint64(64 - 45)
_HALF_STEP = 2.0**-53
_HALF_PI = 0.5 * np.pi


@inlined
def _next_words(s0, s1, s2, s3):
    """64 random bits for each element, and the state after them."""
    total = s0 + s3
    drawn = ((total << _B) | (total >> _REST_B)) + s0
    shifted = s1 << _A
    s2, s3 = s2 ^ s0, s3 ^ s1
    s1, s0 = s1 ^ s2, s0 ^ s3
    s2 = s2 ^ shifted
    s3 = (s3 << _C) | (s3 >> _REST_C)
    return drawn, s0, s1, s2, s3


@inlined
def _uniform(words):
    """Uniform on the open interval (0, 1)."""
    # 52 random bits make a double in [1, 2); half a step keeps it off zero.
    return doubles_of((words >> _SHIFT_TO_MANTISSA) | _ONE_BITS) - (1.0 - _HALF_STEP)


@inlined
def _normal_pair(first, second):
    """Two independent standard normal numbers from two uniform ones (Box and Muller 1958)."""
    radius = square_root(-2.0 * simd_log(first))
    # Sine and cosine of a quarter of the angle by their series, then doubled twice: error below 1e-13.
    a = (second - 0.5) * _HALF_PI
    a2 = a * a
    sine = a2 * (-1.0 / 39916800.0) + 1.0 / 362880.0
    sine = (sine * a2 - 1.0 / 5040.0) * a2 + 1.0 / 120.0
    sine = ((sine * a2 - 1.0 / 6.0) * a2 + 1.0) * a
    cosine = a2 * (1.0 / 479001600.0) - 1.0 / 3628800.0
    cosine = (cosine * a2 + 1.0 / 40320.0) * a2 - 1.0 / 720.0
    cosine = ((cosine * a2 + 1.0 / 24.0) * a2 - 0.5) * a2 + 1.0
    sine, cosine = 2.0 * sine * cosine, 1.0 - 2.0 * sine * sine
    sine, cosine = 2.0 * sine * cosine, 1.0 - 2.0 * sine * sine
    return radius * cosine, radius * sine


@inlined
def fill_uniform(state, out, n):
    """Uniform numbers on (0, 1) into the first n rows of `out`; advances `state`, (4 * BLOCK_WIDTH,)."""
    # The state stays in registers: as an array it would be read and written for every number.
    s0, s1, s2, s3 = load(state, 0), load(state, 1), load(state, 2), load(state, 3)
    for k in range(n):
        words, s0, s1, s2, s3 = _next_words(s0, s1, s2, s3)
        store(out, k, _uniform(words))
    store(state, 0, s0), store(state, 1, s1), store(state, 2, s2), store(state, 3, s3)


@inlined
def fill_normal(state, out, n):
    """Standard normal numbers into the first n rows of `out`, and one more row when n is odd; advances `state`."""
    s0, s1, s2, s3 = load(state, 0), load(state, 1), load(state, 2), load(state, 3)
    for k in range(0, n, 2):
        first, s0, s1, s2, s3 = _next_words(s0, s1, s2, s3)
        second, s0, s1, s2, s3 = _next_words(s0, s1, s2, s3)
        one, other = _normal_pair(_uniform(first), _uniform(second))
        store(out, k, one), store(out, k + 1, other)
    store(state, 0, s0), store(state, 1, s1), store(state, 2, s2), store(state, 3, s3)


@inlined
def uniform_block(state):
    """A block of uniform numbers; advances `state`."""
    words, s0, s1, s2, s3 = _next_words(load(state, 0), load(state, 1), load(state, 2), load(state, 3))
    store(state, 0, s0), store(state, 1, s1), store(state, 2, s2), store(state, 3, s3)
    return _uniform(words)


def generator_states(entropies: Sequence[Sequence[int]]) -> NDArray[np.uint64]:
    """Seeds, (4, n) words, of one generator for each of n identities, such as (study seed, site, chain)."""
    states = [np.random.SeedSequence(list(entropy)).generate_state(4, np.uint64) for entropy in entropies]
    return np.stack(states, axis=1)
