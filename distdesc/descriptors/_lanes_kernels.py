"""Numbers side by side: vector types for compiled kernels, with exact arithmetic."""

from __future__ import annotations

# mypy: allow-untyped-defs, allow-untyped-calls, allow-subclassing-any
import operator

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

WIDTH = 16
"""Lanes of a long vector: two registers of AVX-512, four of AVX2; enough to hide latencies."""

SHORT = 8
"""Lanes of a short vector, for what has no more to put side by side."""

# Loops over lanes are left to the mercy of the compiler's vectoriser, which fails on small
# tables with indirect access. A vector type of its own makes every operation act on all lanes,
# whatever the instruction set, and accumulators stay in registers. Only operations that IEEE 754
# rounds exactly are offered, and fusing is explicit: the same bits on every machine.
#
# Numba's cache asks only whether the file of the function called has changed: after editing a
# kernel that others are built on, remove __pycache__.


def _vector(width):
    return ir.VectorType(ir.DoubleType(), width)


class LanesType(types.Type):
    """Numba type of a vector of doubles."""

    def __init__(self, width):
        self.width = width
        super().__init__(name=f"Lanes{width}")


long_lanes, short_lanes = LanesType(WIDTH), LanesType(SHORT)


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _vector(kind.width))


def _register(operation, instruction):
    @infer_global(operation)
    class _Template(ConcreteTemplate):
        cases = tuple(signature(kind, kind, kind) for kind in (long_lanes, short_lanes))

    def _lower(_context, builder, _signature, arguments):
        return getattr(builder, instruction)(*arguments)

    for kind in (long_lanes, short_lanes):
        lower_builtin(operation, kind, kind)(_lower)


_register(operator.add, "fadd")
_register(operator.sub, "fsub")
_register(operator.mul, "fmul")
_register(operator.truediv, "fdiv")


def _call(builder, name, width, arguments):
    vector = _vector(width)
    kind = ir.FunctionType(vector, [vector] * len(arguments))
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{width}f64")
    return builder.call(function, arguments)


def _spread(builder, number, width):
    """Vector with the same scalar in every lane."""
    kind = ir.VectorType(number.type, width)
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width)
    return builder.shuffle_vector(first, nothing, mask)


def _address(context, builder, array_type, array, row):
    data = context.make_array(array_type)(context, builder, array).data
    entry = builder.gep(data, [builder.mul(row, ir.Constant(row.type, WIDTH))])
    return builder.bitcast(entry, _vector(WIDTH).as_pointer())


def _place(context, builder, array_type, array, index, vector):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


@intrinsic
def load(_typing, array, row):
    """Row of a C-contiguous array of shape (n, WIDTH), as a vector."""

    def generate(context, builder, sig, arguments):
        return builder.load(_address(context, builder, sig.args[0], *arguments), align=8)

    return long_lanes(array, types.intp), generate


@intrinsic
def store(_typing, array, row, vector):
    """Write a vector to a row of a C-contiguous array of shape (n, WIDTH)."""

    def generate(context, builder, sig, arguments):
        address = _address(context, builder, sig.args[0], *arguments[:2])
        builder.store(arguments[2], address, align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, long_lanes), generate


@intrinsic
def splat(_typing, number):
    """Long vector with the same number in every lane."""

    def generate(_context, builder, _sig, arguments):
        return _spread(builder, arguments[0], WIDTH)

    return long_lanes(types.float64), generate


@intrinsic
def splat_short(_typing, number):
    """Short vector with the same number in every lane."""

    def generate(_context, builder, _sig, arguments):
        return _spread(builder, arguments[0], SHORT)

    return short_lanes(types.float64), generate


@intrinsic
def load_short(_typing, array, index):
    """Entries ``index`` to ``index + SHORT`` of a contiguous array of doubles, as a vector."""

    def generate(context, builder, sig, arguments):
        array_value, index = arguments
        place = _place(context, builder, sig.args[0], array_value, index, _vector(SHORT))
        return builder.load(place, align=8)

    return short_lanes(array, types.intp), generate


@intrinsic
def load_splat(_typing, array, index):
    """Short vector with one entry of a contiguous array of doubles in every lane."""

    def generate(context, builder, sig, arguments):
        data = context.make_array(sig.args[0])(context, builder, arguments[0]).data
        return _spread(builder, builder.load(builder.gep(data, [arguments[1]])), SHORT)

    return short_lanes(array, types.intp), generate


@intrinsic
def store_short(_typing, array, index, vector):
    """Write a vector to entries ``index`` to ``index + SHORT`` of a contiguous array."""

    def generate(context, builder, sig, arguments):
        array_value, index, vector = arguments
        place = _place(context, builder, sig.args[0], array_value, index, vector.type)
        builder.store(vector, place, align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, short_lanes), generate


@intrinsic
def store_part(_typing, array, index, vector, first, last):
    """
    Write lanes ``first`` to ``last`` of a vector to the same entries after ``index``.

    Far slower than `store_short`: to be used at the borders of arrays.
    """

    def generate(context, builder, sig, arguments):
        array_value, index, vector, first, last = arguments
        place = _place(context, builder, sig.args[0], array_value, index, vector.type)
        lane = ir.Constant(ir.VectorType(ir.IntType(64), SHORT), list(range(SHORT)))
        after = builder.icmp_signed(">=", lane, _spread(builder, first, SHORT))
        before = builder.icmp_signed("<", lane, _spread(builder, last, SHORT))
        mask = builder.and_(after, before)
        align = ir.Constant(ir.IntType(32), 8)
        kind = ir.FunctionType(ir.VoidType(), [vector.type, place.type, align.type, mask.type])
        name = f"llvm.masked.store.v{SHORT}f64.p0"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        builder.call(function, [vector, place, align, mask])
        return context.get_dummy_value()

    arguments = (array, types.intp, short_lanes, types.intp, types.intp)
    return types.void(*arguments), generate


def _shift(by):
    @intrinsic
    def shift(_typing, vector):
        """Vector whose first lane is lane `by` of another; the last lanes mean nothing."""

        def generate(_context, builder, _sig, arguments):
            lanes = [min(lane + by, SHORT - 1) for lane in range(SHORT)]
            mask = ir.Constant(ir.VectorType(ir.IntType(32), SHORT), lanes)
            return builder.shuffle_vector(arguments[0], arguments[0], mask)

        return vector(vector), generate

    return shift


shift1, shift2, shift3, shift4, shift5, shift6, shift7 = (_shift(n) for n in range(1, SHORT))


@intrinsic
def fma(_typing, a, b, c):
    """``a * b + c``, rounded once."""

    def generate(_context, builder, sig, arguments):
        return _call(builder, "fma", sig.return_type.width, arguments)

    return a(a, a, a), generate


@intrinsic
def root(_typing, a):
    """Square root."""

    def generate(_context, builder, sig, arguments):
        return _call(builder, "sqrt", sig.return_type.width, arguments)

    return a(a), generate


@intrinsic
def least(_typing, a, b):
    """The smaller of two."""

    def generate(_context, builder, sig, arguments):
        return _call(builder, "minnum", sig.return_type.width, arguments)

    return a(a, a), generate


@intrinsic
def largest(_typing, a, b):
    """The larger of two."""

    def generate(_context, builder, sig, arguments):
        return _call(builder, "maxnum", sig.return_type.width, arguments)

    return a(a, a), generate


@njit(cache=True, nogil=True)
def rows_of_lanes(n_rows):
    """
    Array of shape (n_rows, WIDTH) whose rows do not straddle cache lines; not initialised.

    Parameters
    ----------
    n_rows : int
        Length.
    """
    line = 8
    memory = np.empty(n_rows * WIDTH + line)
    skip = (line - (memory.ctypes.data // 8) % line) % line
    return memory[skip : skip + n_rows * WIDTH].reshape(n_rows, WIDTH)
