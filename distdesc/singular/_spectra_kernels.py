"""Compiled removal of some motions from symmetric matrices."""

from __future__ import annotations

# mypy: allow-untyped-defs, allow-untyped-calls
import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _reflect(x, step, u):
    """Reflection ``1 - u u^T`` of a vector, from entry `step` on, to a multiple of the first."""
    square = 0.0
    for i in range(step, len(x)):
        square += x[i] * x[i]
    size = np.sqrt(square)
    first = x[step] + np.copysign(size, x[step])
    # the square of what is reflected away is size * abs(first)
    scale = 1.0 / np.sqrt(size * abs(first))
    u[:step] = 0.0
    u[step] = first * scale
    for i in range(step + 1, len(x)):
        u[i] = x[i] * scale


@njit(cache=True, nogil=True)
def deflate(grams, motions, out):
    """
    Symmetric matrices within what is orthogonal to some motions, in some orthonormal basis.

    Takes `grams`, shape (b, c, c), and orthonormal `motions`, shape (b, k, c), both overwritten,
    and fills `out`, shape (b, c - k, c - k): Householder reflections turn the motions into the
    first k axes, which are then left out.
    """
    k, c = motions.shape[1:]
    u, v = np.empty(c), np.empty(c)
    for b in range(len(grams)):
        matrix, others = grams[b], motions[b]
        for step in range(k):
            _reflect(others[step], step, u)
            for later in range(step + 1, k):
                dot = 0.0
                for i in range(step, c):
                    dot += u[i] * others[later, i]
                for i in range(step, c):
                    others[later, i] -= dot * u[i]
            half = 0.0
            for i in range(c):
                total = 0.0
                for j in range(step, c):
                    total += matrix[i, j] * u[j]
                v[i] = total
                half += 0.5 * u[i] * total
            for i in range(c):
                v[i] -= half * u[i]
            for i in range(c):
                for j in range(c):
                    matrix[i, j] -= u[i] * v[j] + v[i] * u[j]
        for i in range(c - k):
            for j in range(c - k):
                out[b, i, j] = matrix[k + i, k + j]
