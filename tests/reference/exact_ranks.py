"""What correlations of several neighbours see in a complete basis, in exact arithmetic."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from itertools import combinations, combinations_with_replacement, product
from math import gcd, lcm

import numpy as np

PRIME = 2**31 - 1  # products of two residues fit into 64 bits


def exact_rank(coordinates, numbers, order, parity_odd=False):
    """
    Rank of `class_rows` of rational coordinates.

    Rows that are independent modulo a prime are so among rational numbers, and what is orthogonal
    to them is computed as fractions: if it is orthogonal to all other rows, the rank is proved;
    if not, the row that it is not orthogonal to is one more independent row.
    """
    rows = _rows(_integers(coordinates), numbers, order, parity_odd)
    independent = _independent_modulo(rows)
    while True:
        kernel = _kernel([rows[k].tolist() for k in independent], rows.shape[1])
        others = np.flatnonzero(np.any(rows @ kernel != 0, axis=1))
        if not len(others):
            return len(independent)
        independent.append(int(others[0]))


def _integers(coordinates):
    """Text such as ``"3/5"`` will do; the same environment, in a unit in which it is integer."""
    fractions = [[Fraction(x) for x in row] for row in coordinates]
    scale = lcm(*(x.denominator for row in fractions for x in row))
    return [[int(x * scale) for x in row] for row in fractions]


def _rows(points, numbers, order, parity_odd):
    """Different rows, divided by what divides all of their integers: from the formula, slowly."""
    n = len(points)
    places = list(combinations_with_replacement(range(order), 2))
    places += combinations(range(order), 3) if parity_odd else []
    slopes = _slopes(points)
    values = {(a, *rest): _dot(points[a], slopes[rest]) for a in range(n) for rest in slopes}
    sums = defaultdict(lambda: [0] * (3 * n))
    for atoms in product(range(n), repeat=order):
        chosen = [tuple([atoms[p] for p in some]) for some in places]
        looks = (*(numbers[a] for a in atoms), *(values[some] for some in chosen))
        for which, among in enumerate(chosen):
            row = sums[looks, which]
            for k, a in enumerate(among):
                x, y, z = slopes[among[k + 1 :] + among[:k]]
                row[3 * a] += x
                row[3 * a + 1] += y
                row[3 * a + 2] += z
    different = {_primitive(row) for row in {tuple(row) for row in sums.values()}}
    return np.array(sorted(different), dtype=object)


def _primitive(row):
    common = gcd(*row)
    return tuple([x // common for x in row]) if common > 1 else row


def _slopes(points):
    """Derivatives of products of two or three points by one, by the others that there are."""
    slopes = {(k,): point for k, point in enumerate(points)}
    for (j, (a, b, c)), (k, (x, y, z)) in product(enumerate(points), repeat=2):
        slopes[j, k] = [b * z - c * y, c * x - a * z, a * y - b * x]
    return slopes


def _dot(one, other):
    return sum(x * y for x, y in zip(one, other, strict=True))


def _independent_modulo(rows):
    """Rows that are independent modulo a prime, as many as there are, by elimination."""
    left = (rows % PRIME).astype(np.int64)
    places, found = np.arange(len(rows)), 0
    for column in range(rows.shape[1]):
        nonzero = np.flatnonzero(left[found:, column])
        if not len(nonzero):
            continue
        k = found + int(nonzero[0])
        left[[found, k]], places[[found, k]] = left[[k, found]], places[[k, found]]
        inverse = pow(int(left[found, column]), -1, PRIME)
        left[found] = left[found] * inverse % PRIME
        below = left[found + 1 :]
        below -= below[:, column, None] * left[found] % PRIME
        below %= PRIME
        found += 1
        if found == len(rows):
            break
    return [int(k) for k in places[:found]]


def _kernel(rows, width):
    """Integer vectors, as columns, that span all that is orthogonal to some rows."""
    left = [[Fraction(x) for x in row] for row in rows]
    pivots = []
    for column in range(width):
        k = next((k for k in range(len(pivots), len(left)) if left[k][column]), None)
        if k is None:
            continue
        found = len(pivots)
        left[found], left[k] = left[k], left[found]
        pivot = left[found][column]
        left[found] = [x / pivot for x in left[found]]
        for other, row in enumerate(left):
            if other != found and row[column]:
                factor = row[column]
                left[other] = [x - factor * y for x, y in zip(row, left[found], strict=True)]
        pivots.append(column)
    kernel = np.zeros((width, width - len(pivots)), dtype=object)
    for place, column in enumerate(c for c in range(width) if c not in pivots):
        solution = {column: Fraction(1)}
        solution |= {p: -left[k][column] for k, p in enumerate(pivots)}
        scale = lcm(*(x.denominator for x in solution.values()))
        for k, x in solution.items():
            kernel[k, place] = int(x * scale)
    return kernel
