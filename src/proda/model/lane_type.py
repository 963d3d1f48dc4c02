"""A number that is eight numbers: the vector type the compiled kernels are written in.

Code for one column reads the same for eight when its numbers are of this type: ``a * b + c`` multiplies and adds lane
by lane, in the widest registers the processor has. Automatic vectorisation of loops gives the same speed when it
succeeds and a tenth of it, silently, when it does not. Lanes exist inside compiled functions only; arrays hold them as
flat rows, element ``[row * LANES + lane]``.
"""

import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, overload, register_model

from proda.compiled import INLINED, inlined

# Two registers of four doubles, or one of eight. With sixteen lanes hardly a number stays in a register, with four the
# processor waits for one division after the other: a steady state takes a sixth, and a quarter, longer.
LANES = 8

_DOUBLE, _WORD = ir.DoubleType(), ir.IntType(64)
# Multiplications and additions may be fused; nothing else may change, so that lanes give the same bits everywhere in a
# block of lanes, and NaN and infinity keep their meaning: a sampler has to see them to refuse them.
_FUSED = ("contract",)


class Lanes(types.Type):
    """`LANES` doubles, or as many unsigned 64-bit words."""

    def __init__(self, element: types.Type) -> None:
        self.element = element
        super().__init__(name=f"Lanes({element}, {LANES})")


DOUBLES, WORDS = Lanes(types.float64), Lanes(types.uint64)


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, data_model_manager, lane_type):
        element = _DOUBLE if lane_type.element == types.float64 else _WORD
        super().__init__(data_model_manager, lane_type, ir.VectorType(element, LANES))


def _spread(context, builder, value, value_type, lane_type):
    """`value` itself when it is lanes, else the scalar repeated in every lane."""
    if isinstance(value_type, Lanes):
        return value
    scalar = context.cast(builder, value, value_type, lane_type.element)
    vector = ir.VectorType(scalar.type, LANES)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), everywhere)


def _lane_type(*candidates):
    """The type of lanes among the arguments, None when all are scalars."""
    return next((candidate for candidate in candidates if isinstance(candidate, Lanes)), None)


def _define_operator(function, on_doubles=None, on_words=None):
    """Give `function` (of the module `operator`) a meaning for lanes, and for lanes with a scalar."""

    @intrinsic
    def apply(typing_context, a, b):
        lane_type = _lane_type(a, b)
        emit = on_doubles if lane_type is DOUBLES else on_words

        def code(context, builder, signature, args):
            left, right = (
                _spread(context, builder, value, value_type, lane_type)
                for value, value_type in zip(args, signature.args, strict=True)
            )
            return emit(builder, left, right)

        return lane_type(a, b), code

    @overload(function, jit_options=INLINED)
    def on_lanes(a, b):
        lane_type = _lane_type(a, b)
        if lane_type is None or (on_doubles if lane_type is DOUBLES else on_words) is None:
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


def _row_pointer(context, builder, array_type, array, row, lane_type):
    data = context.make_array(array_type)(context, builder, array).data
    start = builder.mul(row, ir.Constant(row.type, LANES))
    return builder.bitcast(builder.gep(data, [start]), context.get_value_type(lane_type).as_pointer())


@intrinsic
def load(typing_context, array, row):
    """The lanes in row `row` of a flat array of doubles or words."""
    lane_type = DOUBLES if array.dtype == types.float64 else WORDS

    def code(context, builder, signature, args):
        row = context.cast(builder, args[1], signature.args[1], types.intp)
        return builder.load(_row_pointer(context, builder, signature.args[0], args[0], row, lane_type), align=8)

    return lane_type(array, row), code


@intrinsic
def store(typing_context, array, row, lanes):
    """Put `lanes` (or a scalar in every lane) into row `row` of a flat array."""
    lane_type = DOUBLES if array.dtype == types.float64 else WORDS

    def code(context, builder, signature, args):
        row = context.cast(builder, args[1], signature.args[1], types.intp)
        value = _spread(context, builder, args[2], signature.args[2], lane_type)
        builder.store(value, _row_pointer(context, builder, signature.args[0], args[0], row, lane_type), align=8)
        return context.get_dummy_value()

    return types.void(array, row, lanes), code


@intrinsic
def where_less(typing_context, a, b, then, otherwise):
    """Lane by lane `then` if a < b, else `otherwise`; a comparison with NaN is false."""

    def code(context, builder, signature, args):
        a, b, then, otherwise = (
            _spread(context, builder, value, value_type, DOUBLES)
            for value, value_type in zip(args, signature.args, strict=True)
        )
        return builder.select(builder.fcmp_ordered("<", a, b), then, otherwise)

    return DOUBLES(a, b, then, otherwise), code


@intrinsic
def square_root(typing_context, x):
    """Square root of every lane."""

    def code(context, builder, signature, args):
        vector = args[0].type
        signature = ir.FunctionType(vector, [vector])
        function = cgutils.get_or_insert_function(builder.module, signature, f"llvm.sqrt.v{LANES}f64")
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


@inlined
def spread(value, like):
    """The scalar `value` in every lane; `like` is any lanes of doubles."""
    return like * 0.0 + value
