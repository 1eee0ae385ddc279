"""Compiled linear algebra in a fixed order of operations: the same bits everywhere."""

from __future__ import annotations

import numpy as np
from numba import njit

BLOCK = 32
"""Rows of the right factor that stay in the cache while all rows of the left one pass."""

SWEEPS = 60
"""Of Jacobi's method at the most; it converges quadratically, in about ten."""


@njit(cache=True, nogil=True)
def accumulate_product(left, right, out):
    """
    Add ``left @ right`` to `out`.

    Every element is summed in the order of the inner index, one rounding for each product and
    each sum, so that a row of the result depends on its own row of `left` alone. The loops are
    arranged for the cache and for two rows at once, which changes no bit.
    """
    n, inner = left.shape
    width = right.shape[1]
    even = n // 2 * 2
    for begin in range(0, inner, BLOCK):
        end = min(begin + BLOCK, inner)
        fours = begin + (end - begin) // 4 * 4
        for i in range(0, even, 2):
            for k in range(begin, fours, 4):
                a0, a1, a2, a3 = left[i, k], left[i, k + 1], left[i, k + 2], left[i, k + 3]
                b0, b1 = left[i + 1, k], left[i + 1, k + 1]
                b2, b3 = left[i + 1, k + 2], left[i + 1, k + 3]
                for j in range(width):
                    r0, r1, r2, r3 = right[k, j], right[k + 1, j], right[k + 2, j], right[k + 3, j]
                    out[i, j] = (((out[i, j] + a0 * r0) + a1 * r1) + a2 * r2) + a3 * r3
                    out[i + 1, j] = (((out[i + 1, j] + b0 * r0) + b1 * r1) + b2 * r2) + b3 * r3
            for k in range(fours, end):
                for j in range(width):
                    out[i, j] += left[i, k] * right[k, j]
                    out[i + 1, j] += left[i + 1, k] * right[k, j]
        for i in range(even, n):
            for k in range(begin, end):
                for j in range(width):
                    out[i, j] += left[i, k] * right[k, j]


@njit(cache=True, nogil=True)
def _dot(a, b):
    """Scalar product in four interleaved sums, so that additions do not wait for each other."""
    s0 = s1 = s2 = s3 = 0.0
    fours = len(a) // 4 * 4
    for k in range(0, fours, 4):
        s0 += a[k] * b[k]
        s1 += a[k + 1] * b[k + 1]
        s2 += a[k + 2] * b[k + 2]
        s3 += a[k + 3] * b[k + 3]
    for k in range(fours, len(a)):
        s0 += a[k] * b[k]
    return (s0 + s1) + (s2 + s3)


@njit(cache=True, nogil=True)
def orthonormalise_rows(rows, triangle, tolerance):
    """
    Make the rows orthonormal by the modified Gram-Schmidt process, each done twice.

    ``triangle[i, j]`` becomes the part of row i along the new row j. A row that lies in the
    space of those before it, to `tolerance` of its length, becomes zero.
    """
    for i in range(len(rows)):
        before = np.sqrt(_dot(rows[i], rows[i]))
        for _ in range(2):
            for j in range(i):
                along = _dot(rows[j], rows[i])
                triangle[i, j] += along
                for k in range(rows.shape[1]):
                    rows[i, k] -= along * rows[j, k]
        after = np.sqrt(_dot(rows[i], rows[i]))
        if after <= tolerance * before:
            rows[i] = 0.0
        else:
            triangle[i, i] = after
            for k in range(rows.shape[1]):
                rows[i, k] /= after


@njit(cache=True, nogil=True)
def orthogonalise_rows(rows):
    """
    Rotate pairs of rows until all are orthogonal: Jacobi's one-sided method (Hestenes, 1958).

    What is left of a matrix are its right singular vectors, each times its singular value.
    """
    n, width = rows.shape
    for _ in range(SWEEPS):
        rotated = False
        for i in range(n):
            for j in range(i + 1, n):
                p, q = _dot(rows[i], rows[i]), _dot(rows[j], rows[j])
                r = _dot(rows[i], rows[j])
                if abs(r) <= 1e-15 * np.sqrt(p) * np.sqrt(q):
                    continue
                rotated = True
                # The smaller of the two angles that make the rows orthogonal.
                zeta = (q - p) / (2.0 * r)
                t = 1.0 / (abs(zeta) + np.sqrt(1.0 + zeta * zeta))
                if zeta < 0.0:
                    t = -t
                c = 1.0 / np.sqrt(1.0 + t * t)
                s = c * t
                for k in range(width):
                    a, b = rows[i, k], rows[j, k]
                    rows[i, k] = c * a - s * b
                    rows[j, k] = s * a + c * b
        if not rotated:
            return
