"""Moments and invariants, slowly and by another road than the package takes."""

from __future__ import annotations

from math import comb, factorial, pi, sqrt

import numpy as np


def zernike_function(n, l, m, x, y, z):
    """Complex Zernike function for m >= 0, from the polynomials of Novotni and Klein (2004)."""
    k = (n - l) // 2
    r2 = x * x + y * y + z * z
    radial = 0.0
    for v in range(k + 1):
        q = (-1) ** (k + v) / 4**k * sqrt((2 * l + 4 * k + 3) / 3) * comb(2 * k, k) * comb(k, v)
        q *= comb(2 * (k + l + v) + 1, 2 * k) / comb(k + l + v, k)
        radial += q * r2**v
    scale = sqrt((2 * l + 1) * factorial(l + m) * factorial(l - m)) / factorial(l)
    harmonic = 0.0
    for u in range((l - m) // 2 + 1):
        part = comb(l, u) * comb(l - u, m + u) * (-(x * x + y * y) / 4) ** u
        harmonic += part * z ** (l - m - 2 * u)
    return radial * scale * ((1j * x - y) / 2) ** m * harmonic


def zernike_moments(points, weights, order):
    """Complex moments, n, l and m ascending."""
    values = []
    for n in range(order + 1):
        for l in range(n % 2, n + 1, 2):
            positive = []
            for m in range(l + 1):
                functions = [zernike_function(n, l, m, *point) for point in points]
                positive.append(3 / (4 * pi) * np.dot(weights, np.conj(functions)))
            values += [(-1) ** m * np.conj(positive[m]) for m in range(l, 0, -1)] + positive
    return np.array(values)


def geometric_moments(points, weights, order):
    """Moments of monomials x^p y^q z^r, lexicographic in p, q, r."""
    x, y, z = points.T
    return np.array([
        np.sum(weights * x**p * y**q * z**r)
        for p in range(order + 1)
        for q in range(order + 1 - p)
        for r in range(order + 1 - p - q)
    ])  # fmt: skip


def real_invariants(moments, invariants, offsets):
    """Invariants of real moments, one loop per index, from the list of an `Invariant` each."""
    from distdesc.descriptors.couplings import coupling_tensor
    from distdesc.descriptors.invariants import TOTAL, Coupling

    def values(operand):
        if isinstance(operand, Coupling):
            tensor = coupling_tensor(operand.first.l, operand.second.l, operand.l)
            a, b = values(operand.first), values(operand.second)
            return np.einsum("ijk,i,j->k", tensor, a, b)
        start = offsets[operand.n, operand.l]
        block = moments[:, start : start + 2 * operand.l + 1]
        return block.sum(axis=0) if operand.channel == TOTAL else block[operand.channel]

    found = []
    for left, right in invariants:
        if right is None:
            found.append(values(left)[0])
        else:
            coupled = isinstance(left, Coupling)
            found.append(values(left) @ values(right) / (1 if coupled else sqrt(2 * left.l + 1)))
    return np.array(found)
