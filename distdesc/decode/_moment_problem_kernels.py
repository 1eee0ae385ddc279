"""Compiled joint diagonalisation of commuting symmetric matrices."""

from __future__ import annotations

# mypy: allow-untyped-defs, allow-untyped-calls
import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def joint_diagonalise(matrices, vectors, most_sweeps):
    """
    Rotate symmetric matrices (k, n, n) together until they are as diagonal as they can be.

    Jacobi rotations with the best common angle (Cardoso and Souloumiac, SIAM J. Matrix Anal.
    Appl. 17, 161 (1996)). `vectors`, the identity before, gathers the rotations in its columns.
    """
    k, n = matrices.shape[0], matrices.shape[1]
    for _ in range(most_sweeps):
        largest = 0.0
        for p in range(n - 1):
            for q in range(p + 1, n):
                on, off = 0.0, 0.0
                for a in range(k):
                    difference = matrices[a, p, p] - matrices[a, q, q]
                    twice = 2 * matrices[a, p, q]
                    on += difference * difference - twice * twice
                    off += 2 * difference * twice
                angle = 0.5 * np.arctan2(off, on + np.sqrt(on * on + off * off))
                c, s = np.cos(angle), np.sin(angle)
                if abs(s) < 1e-15:
                    continue
                largest = max(largest, abs(s))
                for a in range(k):
                    for j in range(n):
                        up, low = matrices[a, p, j], matrices[a, q, j]
                        matrices[a, p, j] = c * up + s * low
                        matrices[a, q, j] = c * low - s * up
                    for j in range(n):
                        left, right = matrices[a, j, p], matrices[a, j, q]
                        matrices[a, j, p] = c * left + s * right
                        matrices[a, j, q] = c * right - s * left
                for j in range(n):
                    left, right = vectors[j, p], vectors[j, q]
                    vectors[j, p] = c * left + s * right
                    vectors[j, q] = c * right - s * left
        if largest < 1e-14:
            break
