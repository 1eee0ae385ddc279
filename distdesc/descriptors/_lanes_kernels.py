"""Sixteen environments side by side: a vector type for compiled kernels, with exact arithmetic."""

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
"""Lanes of a vector: two registers of AVX-512, four of AVX2; enough to hide latencies."""

# Loops over lanes are left to the mercy of the compiler's vectoriser, which fails on small
# tables with indirect access. A vector type of its own makes every operation act on all lanes,
# whatever the instruction set, and accumulators stay in registers. Only operations that IEEE 754
# rounds exactly are offered, and fusing is explicit: the same bits on every machine.
#
# Numba's cache asks only whether the file of the function called has changed: after editing a
# kernel that others are built on, remove __pycache__.

_VECTOR = ir.VectorType(ir.DoubleType(), WIDTH)
_ANY = ir.Constant(_VECTOR, ir.Undefined)


class LanesType(types.Type):
    """Numba type of a vector of ``WIDTH`` doubles."""

    def __init__(self):
        super().__init__(name=f"Lanes{WIDTH}")


lanes = LanesType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _VECTOR)


def _register(operation, instruction):
    @infer_global(operation)
    class _Template(ConcreteTemplate):
        cases = (signature(lanes, lanes, lanes),)

    @lower_builtin(operation, lanes, lanes)
    def _lower(_context, builder, _signature, arguments):
        return getattr(builder, instruction)(*arguments)


_register(operator.add, "fadd")
_register(operator.sub, "fsub")
_register(operator.mul, "fmul")
_register(operator.truediv, "fdiv")


def _call(builder, name, arguments):
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * len(arguments))
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{WIDTH}f64")
    return builder.call(function, arguments)


def _address(context, builder, array_type, array, row):
    data = context.make_array(array_type)(context, builder, array).data
    entry = builder.gep(data, [builder.mul(row, ir.Constant(row.type, WIDTH))])
    return builder.bitcast(entry, _VECTOR.as_pointer())


@intrinsic
def load(_typing, array, row):
    """Row of a C-contiguous array of shape (n, WIDTH), as a vector."""

    def generate(context, builder, sig, arguments):
        return builder.load(_address(context, builder, sig.args[0], *arguments), align=8)

    return lanes(array, types.intp), generate


@intrinsic
def store(_typing, array, row, vector):
    """Write a vector to a row of a C-contiguous array of shape (n, WIDTH)."""

    def generate(context, builder, sig, arguments):
        address = _address(context, builder, sig.args[0], *arguments[:2])
        builder.store(arguments[2], address, align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


@intrinsic
def splat(_typing, number):
    """Vector with the same number in every lane."""

    def generate(_context, builder, _sig, arguments):
        zero = ir.Constant(ir.IntType(32), 0)
        first = builder.insert_element(_ANY, arguments[0], zero)
        mask = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
        return builder.shuffle_vector(first, _ANY, mask)

    return lanes(types.float64), generate


@intrinsic
def fma(_typing, a, b, c):
    """``a * b + c``, rounded once."""

    def generate(_context, builder, _sig, arguments):
        return _call(builder, "fma", arguments)

    return lanes(lanes, lanes, lanes), generate


@intrinsic
def root(_typing, a):
    """Square root."""

    def generate(_context, builder, _sig, arguments):
        return _call(builder, "sqrt", arguments)

    return lanes(lanes), generate


@intrinsic
def least(_typing, a, b):
    """The smaller of two."""

    def generate(_context, builder, _sig, arguments):
        return _call(builder, "minnum", arguments)

    return lanes(lanes, lanes), generate


@intrinsic
def largest(_typing, a, b):
    """The larger of two."""

    def generate(_context, builder, _sig, arguments):
        return _call(builder, "maxnum", arguments)

    return lanes(lanes, lanes), generate


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
