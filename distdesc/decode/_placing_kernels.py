"""Compiled fit of a few weighted points to given moments."""

from __future__ import annotations

# mypy: allow-untyped-defs, allow-untyped-calls
import numpy as np
from numba import njit

from distdesc.decode._basis_kernels import functions_and_slopes

SUMS = {"reassoc", "contract", "nsz"}
"""What the compiler may do with sums of products, so that several numbers go at once."""


@njit(cache=True, nogil=True)
def fit_places(
    target, points, weights, axes, wanted, pull, basis, most_steps, goal, settled, farthest
):
    """
    Move points (n, 3), and change their weights, in place, towards moments; sum of squares left.

    Levenberg and Marquardt's method. Points move along the first `axes` coordinates and stay
    within `farthest` of the origin. Weights change if `pull` is not negative, and are drawn to
    those `wanted` with that strength. `basis` holds what `functions_and_slopes` needs. It ends
    after `most_steps`, with the sum of squares at `goal`, or when a step takes less than the
    fraction `settled` of it away.
    """
    n, size = len(points), len(target)
    moving = axes * n
    unknown = moving + n if pull >= 0 else moving
    strength = pull * pull if pull >= 0 else 0.0
    here, there = np.empty((2, n, 3)), np.empty((2, n))
    functions, slopes = np.empty((2, n, size)), np.empty((2, n, 3, size))
    off, rows = np.empty((2, size)), np.empty((unknown + 1, size))  # the last row: off
    curvature = np.zeros((unknown + 1, unknown + 1))
    matrix = np.empty_like(curvature)
    gradient, move = np.empty(unknown), np.empty(unknown)
    now, damping, growth = 0, 1e-3, 2.0
    here[0], there[0] = points, weights
    cost, extra = _misfit(
        target, here[0], there[0], wanted, strength, basis, functions[0], slopes[0], off[0]
    )
    for _ in range(most_steps):
        if not goal < cost < np.inf:
            break
        for i in range(n):
            for a in range(axes):
                rows[axes * i + a] = there[now, i] * slopes[now, i, a]
            if pull >= 0:
                rows[moving + i] = functions[now, i]
        rows[unknown] = off[now]
        _products(rows, curvature)
        gradient[:] = curvature[unknown, :unknown]
        for i in range(moving, unknown):
            curvature[i, i] += strength
            gradient[i] += strength * (there[now, i - moving] - wanted[i - moving])
        scale = 0.0
        for i in range(unknown):
            scale = max(scale, curvature[i, i])
        lower, more = np.inf, 0.0
        while damping <= 1e3:
            matrix[:] = curvature
            for i in range(unknown):
                matrix[i, i] += damping * scale
                move[i] = -gradient[i]
            here[1 - now], there[1 - now] = here[now], there[now]
            if _solve(matrix, move):
                for i in range(n):
                    length = 0.0
                    for a in range(axes):
                        here[1 - now, i, a] += move[axes * i + a]
                        length += here[1 - now, i, a] ** 2
                    if length > farthest * farthest:
                        here[1 - now, i] *= farthest / np.sqrt(length)
                    if pull >= 0:
                        there[1 - now, i] += move[moving + i]
                lower, more = _misfit(
                    target, here[1 - now], there[1 - now], wanted, strength, basis,
                    functions[1 - now], slopes[1 - now], off[1 - now],
                )  # fmt: skip
                if lower + more < cost + extra:
                    break
            damping, growth = damping * growth, 2 * growth
        if damping > 1e3:
            break
        promised, won = 0.0, cost + extra - lower - more
        for i in range(unknown):
            promised += move[i] * (damping * scale * move[i] - gradient[i])
        ratio = won / promised if promised > 0 else 1.0
        damping, growth = max(1e-14, damping * max(0.1, 1 - (2 * ratio - 1) ** 3)), 2.0
        done = won < settled * (cost + extra)
        now, cost, extra = 1 - now, lower, more
        if done:
            break
    points[:], weights[:] = here[now], there[now]
    return cost


@njit(cache=True, nogil=True)
def _misfit(target, points, weights, wanted, strength, basis, functions, slopes, off):
    """Differences of the moments into `off`; their squares' sum, and that of the weights'."""
    functions_and_slopes(points, basis[0], basis[1], functions, slopes)
    off[:] = -target
    extra = 0.0
    for i in range(len(points)):
        for k in range(len(target)):
            off[k] += weights[i] * functions[i, k]
        extra += strength * (weights[i] - wanted[i]) ** 2
    cost = 0.0
    for k in range(len(target)):
        cost += off[k] * off[k]
    return cost, extra


@njit(cache=True, nogil=True, fastmath=SUMS)
def _products(rows, out):
    """Lower triangle of ``rows @ rows.T``, in tiles of two by two, and without threads."""
    n, size = rows.shape
    for i in range(0, n, 2):
        a, b = rows[i], rows[min(i + 1, n - 1)]
        for j in range(0, i + 1, 2):
            c, d = rows[j], rows[min(j + 1, n - 1)]
            ac, ad, bc, bd = 0.0, 0.0, 0.0, 0.0
            for k in range(size):
                ac += a[k] * c[k]
                ad += a[k] * d[k]
                bc += b[k] * c[k]
                bd += b[k] * d[k]
            out[min(i + 1, n - 1), min(j + 1, n - 1)] = bd
            out[min(i + 1, n - 1), j] = bc
            out[i, min(j + 1, n - 1)] = ad
            out[i, j] = ac


@njit(cache=True, nogil=True, fastmath=SUMS)
def _solve(matrix, vector):
    """Solve a positive definite system, its lower triangle given, in place; whether it is one."""
    n = len(vector)
    for j in range(n):  # Cholesky's method, column by column
        pivot, left = matrix[j], matrix[j, j]
        for k in range(j):
            left -= pivot[k] * pivot[k]
        if not left > 0.0:
            return False
        pivot[j] = np.sqrt(left)
        i = j + 1
        while i + 4 <= n:  # four rows at once share what is read of the pivot's
            p, q, r, s = matrix[i], matrix[i + 1], matrix[i + 2], matrix[i + 3]
            a, b, c, d = 0.0, 0.0, 0.0, 0.0
            for k in range(j):
                a += pivot[k] * p[k]
                b += pivot[k] * q[k]
                c += pivot[k] * r[k]
                d += pivot[k] * s[k]
            p[j], q[j] = (p[j] - a) / pivot[j], (q[j] - b) / pivot[j]
            r[j], s[j] = (r[j] - c) / pivot[j], (s[j] - d) / pivot[j]
            i += 4
        while i < n:
            p, a = matrix[i], 0.0
            for k in range(j):
                a += pivot[k] * p[k]
            p[j] = (p[j] - a) / pivot[j]
            i += 1
    for i in range(n):
        row, value = matrix[i], vector[i]
        for k in range(i):
            value -= row[k] * vector[k]
        vector[i] = value / row[i]
    for i in range(n - 1, -1, -1):
        row, value = matrix[i], vector[i] / matrix[i, i]
        vector[i] = value
        for k in range(i):
            vector[k] -= value * row[k]
    return True
