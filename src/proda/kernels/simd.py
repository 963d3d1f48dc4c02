"""Sixteen numbers as one: the vector type of the compiled kernels, its exp and log, and random numbers.

Arrays hold blocks as flat rows, element ``[row * BLOCK_WIDTH + k]``. exp and log are sums and products, since the
mathematical library would take one element at a time.
"""

import operator
from collections.abc import Sequence

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, overload, register_model
from numpy.typing import NDArray

from proda.compiled import INLINED, inlined

# Of floats one register of the widest instructions; of doubles two, whose operations do not wait for each other.
BLOCK_WIDTH = 16
_ELEMENTS = {
    types.float64: ir.DoubleType(),
    types.float32: ir.FloatType(),
    types.uint64: ir.IntType(64),
    types.uint32: ir.IntType(32),
}
# Multiplications and additions may be fused; nothing else may change, so that a number gives the same bits anywhere in
# a block, and NaN and infinity keep their meaning: a sampler must recognise them to reject them.
_FUSED = ("contract",)


class SimdBlock(types.Type):
    """`BLOCK_WIDTH` floating-point numbers of 64 or 32 bits, or as many unsigned words."""

    def __init__(self, element: types.Type) -> None:
        self.element = element
        super().__init__(name=f"SimdBlock({element}, {BLOCK_WIDTH})")


DOUBLES, FLOATS, WORDS, HALF_WORDS = (SimdBlock(element) for element in _ELEMENTS)
_BLOCKS = {block_type.element: block_type for block_type in (DOUBLES, FLOATS, WORDS, HALF_WORDS)}
_REAL = DOUBLES, FLOATS


@register_model(SimdBlock)
class _SimdBlockModel(models.PrimitiveModel):
    def __init__(self, data_model_manager, block_type):
        super().__init__(data_model_manager, block_type, ir.VectorType(_ELEMENTS[block_type.element], BLOCK_WIDTH))


def _spread(context, builder, value, value_type, block_type):
    """`value` itself when it is a block, else the scalar repeated."""
    if isinstance(value_type, SimdBlock):
        return value
    scalar = context.cast(builder, value, value_type, block_type.element)
    vector = ir.VectorType(scalar.type, BLOCK_WIDTH)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), BLOCK_WIDTH), [0] * BLOCK_WIDTH)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), everywhere)


def _block_type(*candidates):
    """The block type among the arguments, None when all are scalars."""
    return next((candidate for candidate in candidates if isinstance(candidate, SimdBlock)), None)


def _define_operator(function, on_reals=None, on_words=None):
    """Define `function` (of the module `operator`) for two blocks, and for a block with a scalar."""

    @intrinsic
    def apply(typing_context, a, b):
        block_type = _block_type(a, b)
        emit = on_reals if block_type in _REAL else on_words

        def code(context, builder, signature, args):
            left, right = (
                _spread(context, builder, value, value_type, block_type)
                for value, value_type in zip(args, signature.args, strict=True)
            )
            return emit(builder, left, right)

        return block_type(a, b), code

    @overload(function, jit_options=INLINED)
    def on_simd_blocks(a, b):
        block_type = _block_type(a, b)
        if block_type is None or (on_reals if block_type in _REAL else on_words) is None:
            return None
        return lambda a, b: apply(a, b)


_define_operator(operator.add, lambda b, x, y: b.fadd(x, y, flags=_FUSED), lambda b, x, y: b.add(x, y))
_define_operator(operator.sub, lambda b, x, y: b.fsub(x, y, flags=_FUSED), lambda b, x, y: b.sub(x, y))
_define_operator(operator.mul, lambda b, x, y: b.fmul(x, y, flags=_FUSED))
_define_operator(operator.truediv, lambda b, x, y: b.fdiv(x, y, flags=_FUSED))
_define_operator(operator.and_, None, lambda b, x, y: b.and_(x, y))
_define_operator(operator.or_, None, lambda b, x, y: b.or_(x, y))
_define_operator(operator.xor, None, lambda b, x, y: b.xor(x, y))
_define_operator(operator.lshift, None, lambda b, x, y: b.shl(x, y))
_define_operator(operator.rshift, None, lambda b, x, y: b.lshr(x, y))


def _row_pointer(context, builder, array_type, array, row, block_type):
    data = context.make_array(array_type)(context, builder, array).data
    start = builder.mul(row, ir.Constant(row.type, BLOCK_WIDTH))
    return builder.bitcast(builder.gep(data, [start]), context.get_value_type(block_type).as_pointer())


@intrinsic
def load(typing_context, array, row):
    """The block in row `row` of a flat array."""
    block_type = _BLOCKS[array.dtype]

    def code(context, builder, signature, args):
        row = context.cast(builder, args[1], signature.args[1], types.intp)
        return builder.load(_row_pointer(context, builder, signature.args[0], args[0], row, block_type), align=8)

    return block_type(array, row), code


@intrinsic
def store(typing_context, array, row, block):
    """Put `block` (or a scalar, repeated), in the precision of the array, into row `row` of a flat array."""
    block_type = _BLOCKS[array.dtype]

    def code(context, builder, signature, args):
        row = context.cast(builder, args[1], signature.args[1], types.intp)
        value = _converted(builder, _spread(context, builder, args[2], signature.args[2], block_type), block_type)
        builder.store(value, _row_pointer(context, builder, signature.args[0], args[0], row, block_type), align=8)
        return context.get_dummy_value()

    return types.void(array, row, block), code


def _converted(builder, vector, block_type):
    """Doubles as floats, floats as doubles, where the block type asks for it."""
    wanted = ir.VectorType(_ELEMENTS[block_type.element], BLOCK_WIDTH)
    if vector.type == wanted:
        return vector
    return (builder.fptrunc if block_type is FLOATS else builder.fpext)(vector, wanted)


@intrinsic
def like(typing_context, array, block):
    """`block` in the precision of a flat array."""
    block_type = _BLOCKS[array.dtype]

    def code(context, builder, signature, args):
        return _converted(builder, args[1], block_type)

    return block_type(array, block), code


@intrinsic
def where_less(typing_context, a, b, then, otherwise):
    """Element by element `then` if a < b, else `otherwise`; a comparison with NaN is false."""
    block_type = _block_type(a, b, then, otherwise)

    def code(context, builder, signature, args):
        a, b, then, otherwise = (
            _spread(context, builder, value, value_type, block_type)
            for value, value_type in zip(args, signature.args, strict=True)
        )
        return builder.select(builder.fcmp_ordered("<", a, b), then, otherwise)

    return block_type(a, b, then, otherwise), code


@intrinsic
def square_root(typing_context, x):
    def code(context, builder, signature, args):
        vector = args[0].type
        signature = ir.FunctionType(vector, [vector])
        function = cgutils.get_or_insert_function(builder.module, signature, f"llvm.sqrt.v{BLOCK_WIDTH}f64")
        return builder.call(function, args)

    return DOUBLES(x), code


def _define_cast(name, doc, from_type, to_type):
    @intrinsic
    def cast(typing_context, x):
        def code(context, builder, signature, args):
            return builder.bitcast(args[0], context.get_value_type(to_type))

        return to_type(from_type), code

    cast.__name__, cast.__doc__ = name, doc
    return cast


bits_of = _define_cast("bits_of", "The bits of doubles as words.", DOUBLES, WORDS)
doubles_of = _define_cast("doubles_of", "The doubles with these bits.", WORDS, DOUBLES)
_bits_of_floats = _define_cast("_bits_of_floats", "The bits of floats as words.", FLOATS, HALF_WORDS)
_floats_of = _define_cast("_floats_of", "The floats with these bits.", HALF_WORDS, FLOATS)


_LOG2E = 1.4426950408889634
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
# Adding 1.5 x 2^52 leaves the nearest integer in the last bits of a double.
_ROUNDER = 6755399441055744.0
_BIAS = np.uint64(1023)
_EXPONENT_SHIFT = np.uint64(52)
_SQRT_HALF_BITS = np.uint64(0x3FE6A09E667F3BCD)
_MANTISSA = np.uint64(0x000FFFFFFFFFFFFF)
_TWO52 = 4503599627370496.0
_TWO52_BITS = np.uint64(0x4330000000000000)
# Keeps an exponent positive while it is an unsigned integer.
_LIFT = 1024
_LIFT_BITS = np.uint64(_LIFT << 52)
_EXPONENT = np.uint64(0x7FF0000000000000)
_OPPOSITE = np.uint64(0x7FE0000000000000)


# The same of floats.
_FLOAT_ROUNDER, _FLOAT_BIAS, _FLOAT_SHIFT = 12582912.0, np.uint32(127), np.uint32(23)
_FLOAT_LN2_HIGH, _FLOAT_LN2_LOW = 0.693359375, -2.12194440e-4
_FLOAT_EXPONENT, _FLOAT_OPPOSITE = np.uint32(0x7F800000), np.uint32(0x7F000000)


def _by_precision(of_doubles, of_floats):
    """An overload that takes the one for blocks of doubles, and the other for those of floats."""
    return lambda x: {DOUBLES: of_doubles, FLOATS: of_floats}.get(x)


def inverse_power(x):
    """The power of two that brings x into [1, 2): multiplying by it is exact; x positive and normal."""


overload(inverse_power, jit_options=INLINED)(
    _by_precision(
        lambda x: doubles_of(_OPPOSITE - (bits_of(x) & _EXPONENT)),
        lambda x: _floats_of(_FLOAT_OPPOSITE - (_bits_of_floats(x) & _FLOAT_EXPONENT)),
    )
)


def simd_exp(x):
    """exp(x), of doubles within 5e-16 for x up to 709, of floats within 2e-7 for x up to 88; NaN stays NaN.

    Below -708 about 3e-308, the smallest normal number; of floats below -69 about 1e-30, so that a product of two rates
    with it is not zero.
    """


def _exp_of_doubles(x):
    x = where_less(x, -708.0, -708.0, where_less(709.0, x, 709.0, x))
    shifted = x * _LOG2E + _ROUNDER
    k = shifted - _ROUNDER
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    # The Taylor series in Estrin's order: short chains of dependent operations.
    r2 = r * r
    r4 = r2 * r2
    low = (r2 * 0.5 + (r + 1.0)) + (r * (1.0 / 6.0) + r2 * (1.0 / 24.0)) * r2
    middle = (r * (1.0 / 720.0) + 1.0 / 120.0) + (r * (1.0 / 40320.0) + 1.0 / 5040.0) * r2
    high = (r * (1.0 / 3628800.0) + 1.0 / 362880.0) + (r * (1.0 / 479001600.0) + 1.0 / 39916800.0) * r2
    p = low + (middle * r + (high * r4) * r) * r4
    return p * doubles_of((bits_of(shifted) + _BIAS) << _EXPONENT_SHIFT)


def _exp_of_floats(x):
    scale, above_one = _power_and_rest(x)
    return scale + scale * above_one


@inlined
def _power_and_rest(x):
    """2^k and exp(r) - 1 of floats x = k log(2) + r, r around zero, `x` kept between -69 and 88."""
    x = where_less(x, -69.0, -69.0, where_less(88.0, x, 88.0, x))
    shifted = x * _LOG2E + _FLOAT_ROUNDER
    k = shifted - _FLOAT_ROUNDER
    r = (x - k * _FLOAT_LN2_HIGH) - k * _FLOAT_LN2_LOW
    r2 = r * r
    low = (r2 * 0.5 + r) + (r * (1.0 / 6.0) + r2 * (1.0 / 24.0)) * r2
    high = (r * (1.0 / 5040.0) + 1.0 / 720.0) * r + 1.0 / 120.0
    return _floats_of((_bits_of_floats(shifted) + _FLOAT_BIAS) << _FLOAT_SHIFT), low + (high * r) * (r2 * r2)


def exp_and_expm1(x):
    """exp(x) and exp(x) - 1, the latter of floats to their last digits around zero too."""


def _both_of_doubles(x):
    exp = simd_exp(x)
    return exp, exp - 1.0


def _both_of_floats(x):
    scale, above_one = _power_and_rest(x)
    return scale + scale * above_one, scale * above_one + (scale - 1.0)


overload(simd_exp, jit_options=INLINED)(_by_precision(_exp_of_doubles, _exp_of_floats))
overload(exp_and_expm1, jit_options=INLINED)(_by_precision(_both_of_doubles, _both_of_floats))


@inlined
def simd_log(x):
    """log(x) for positive normal x, within 5e-16 or 2e-16 (Sun's fdlibm in s = (m - 1)/(m + 1), m around 1)."""
    offset = bits_of(x) - _SQRT_HALF_BITS
    m = doubles_of((offset & _MANTISSA) + _SQRT_HALF_BITS)
    # Placed in the mantissa of 2^52 an integer becomes a double by a subtraction.
    e = doubles_of(((offset + _LIFT_BITS) >> _EXPONENT_SHIFT) | _TWO52_BITS) - (_TWO52 + _LIFT)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    z2 = z * z
    odd = (z2 * 1.531383769920937332e-01 + 2.222219843214978396e-01) * z2 + 3.999999999940941908e-01
    even = (z2 * 1.479819860511658591e-01 + 1.818357216161805012e-01) * z2 + 2.857142874366239149e-01
    p = odd * z + (even * z2 + 6.666666666666735130e-01)
    return e * _LN2_HIGH + (s * 2.0 + (s * z * p + e * _LN2_LOW))


# Random numbers by xoshiro256++ (Blackman and Vigna 2021). Every element of a block has a generator of its own, with
# four words of state, so that a site's chain is the same whatever sites are computed beside it.
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
