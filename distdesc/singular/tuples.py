"""What correlations of several neighbours see in a complete basis: tuples that look the same."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, combinations_with_replacement
from math import gcd, lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.errors import CampaignError

COINCIDE = 1e-7
"""In Å² for scalar products, in Å³ for triple products: what differs by less is equal."""

MOST_TUPLES = 50_000
"""More take too much memory."""

PRIME = 2**31 - 1
"""Products of two residues fit into 64 bits."""

SAFE = 2**18
"""Integer coordinates up to this size cannot overflow 64 bits in sums over all tuples."""


def class_rows(
    vectors: NDArray[np.float64],
    numbers: NDArray[np.int32],
    order: int,
    parity_odd: bool = False,
    weights: NDArray[np.float64] | None = None,
    tolerance: float = COINCIDE,
) -> NDArray[np.float64]:
    """
    Derivatives of all that correlations of a given order can tell, in a complete basis.

    A density is known by them as the multiset of its ordered tuples of neighbours, repeats
    allowed, each up to rotation and reflection: by the elements and scalar products in it, and
    where reflections count, by the triple products too. A fingerprint sees the sum over tuples
    that look the same, so there is a row for each class of them and each of its products:
    ``sum over the class of d(product)``.

    Parameters
    ----------
    vectors : ndarray, shape (n, 3), float64
        Neighbours of one centre, in Å.
    numbers : ndarray, shape (n,), int32
        Their atomic numbers; tuples that look the same have the same.
    order : int
        Neighbours of a tuple: 1 for radial spectra, 2 for power spectra, 3 for bispectra.
    parity_odd : bool
        Whether mirror images are told apart.
    weights : ndarray, shape (n,), float64, optional
        Of the neighbours in one density of all elements; tuples then count with the product of
        their weights, and numbers are not looked at.
    tolerance : float
        Largest difference of equal products, in Å² or Å³.

    Returns
    -------
    ndarray, shape (n_rows, 3 n), float64
        In Å or Å²; its rank is the largest that any descriptor of this order has.

    Raises
    ------
    CampaignError
        If there are too many tuples.
    """
    kinds = np.zeros_like(numbers) if weights is not None else numbers
    labels = [clustered(vectors @ vectors.T, tolerance)]
    if parity_odd and order > 2:
        labels.append(clustered(_triple_products(vectors), tolerance))
    tuples = _tuples(len(vectors), order)
    size = np.ones(len(tuples)) if weights is None else np.prod(weights[tuples], axis=1)
    rows: NDArray[np.float64] = _summed(vectors, kinds, tuples, labels, size)
    return rows


def exact_rank(
    coordinates: Sequence[Sequence[Fraction | int | str]],
    numbers: Sequence[int],
    order: int,
    parity_odd: bool = False,
) -> int:
    """
    Rank of `class_rows` of rational coordinates, in exact arithmetic.

    Rows that are independent modulo a prime are so among rational numbers, and what is orthogonal
    to them is computed as fractions: if it is orthogonal to all other rows, the rank is proved;
    if not, the row that it is not orthogonal to is one more independent row.

    Parameters
    ----------
    coordinates : sequence of three rational numbers each
        Neighbours of one centre, in any unit; text such as ``"3/5"`` will do.
    numbers : sequence of int
        Their atomic numbers.
    order : int
        Neighbours of a tuple.
    parity_odd : bool
        Whether mirror images are told apart.

    Raises
    ------
    CampaignError
        If there are too many tuples.
    """
    fractions = [[Fraction(x) for x in row] for row in coordinates]
    scale = lcm(*(x.denominator for row in fractions for x in row))
    integers = np.array([[int(x * scale) for x in row] for row in fractions], dtype=object)
    if np.max(np.abs(integers), initial=0) < SAFE:
        integers = integers.astype(np.int64)
    labels = [_distinct(integers @ integers.T)]
    if parity_odd and order > 2:
        labels.append(_distinct(_triple_products(integers)))
    tuples = _tuples(len(integers), order)
    ones = np.ones(len(tuples), dtype=integers.dtype)
    rows = _summed(integers, np.asarray(numbers), tuples, labels, ones)
    rows = np.array([_primitive(row) for row in {tuple(row) for row in rows.tolist()}])
    independent = _independent_modulo(rows)
    while True:
        kernel = _kernel([rows[k].tolist() for k in independent], rows.shape[1])
        products = rows.astype(object) @ kernel
        others = np.flatnonzero(np.any(products != 0, axis=1))
        if not len(others):
            return len(independent)
        independent.append(int(others[0]))


def _tuples(n: int, order: int) -> NDArray[np.int64]:
    if n**order > MOST_TUPLES:
        raise CampaignError(
            f"neighbours must be fewer, for at most {MOST_TUPLES:,} tuples of {order}; got {n}"
        )
    every: NDArray[np.int64] = np.indices((n,) * order).reshape(order, -1).T
    return every


def clustered(values: NDArray[np.float64], tolerance: float) -> NDArray[np.int64]:
    """
    Label of each value; those closer than the tolerance to the next one share it.

    Parameters
    ----------
    values : ndarray, shape (...), float64
        In any unit.
    tolerance : float
        In the same.

    Returns
    -------
    ndarray, shape (...), int64
        Ascending with the values.
    """
    order = np.argsort(values, axis=None)
    new = np.diff(values.ravel()[order], prepend=-np.inf) > tolerance
    labels = np.empty(values.size, dtype=np.int64)
    labels[order] = np.cumsum(new)
    return labels.reshape(values.shape)


def _distinct(values: NDArray[Any]) -> NDArray[np.int64]:
    _, labels = np.unique(values.ravel(), return_inverse=True)
    return labels.reshape(values.shape)


def _triple_products(vectors: NDArray[Any]) -> NDArray[Any]:
    normals = _crosses(vectors)
    products: NDArray[Any] = np.sum(vectors[:, None, None] * normals[None], axis=3)
    return products


def _crosses(vectors: NDArray[Any]) -> NDArray[Any]:
    """Vector product of each pair, of any type of number."""
    first, second = vectors[:, None], vectors[None]
    one, two = [1, 2, 0], [2, 0, 1]
    found: NDArray[Any] = first[..., one] * second[..., two] - first[..., two] * second[..., one]
    return found


def _summed(
    vectors: NDArray[Any],
    kinds: NDArray[Any],
    tuples: NDArray[np.int64],
    labels: list[NDArray[np.int64]],
    size: NDArray[Any],
) -> NDArray[Any]:
    """Sums over each class of tuples of the derivatives of the products in them."""
    order = tuples.shape[1]
    pairs = list(combinations_with_replacement(range(order), 2))
    threes = list(combinations(range(order), 3)) if len(labels) > 1 else []
    keys = [kinds[tuples], *(labels[0][tuples[:, a], tuples[:, b]][:, None] for a, b in pairs)]
    keys += [labels[1][tuples[:, a], tuples[:, b], tuples[:, c]][:, None] for a, b, c in threes]
    _, of_class = np.unique(np.hstack(keys), axis=0, return_inverse=True)
    by_class = np.argsort(of_class, kind="stable")
    starts = np.flatnonzero(np.diff(of_class[by_class], prepend=-1))
    tuples, size = tuples[by_class], size[by_class]
    normals = _crosses(vectors) if threes else None
    rows = []
    for places in [*pairs, *threes]:
        terms = np.zeros((len(tuples), *vectors.shape), dtype=vectors.dtype)
        every = np.arange(len(tuples))
        for k, place in enumerate(places):
            rest = [tuples[:, p] for p in places[k + 1 :] + places[:k]]
            slope = vectors[rest[0]] if normals is None or len(rest) == 1 else normals[*rest]
            terms[every, tuples[:, place]] += slope * size[:, None]
        rows.append(np.add.reduceat(terms.reshape(len(tuples), -1), starts, axis=0))
    return np.concatenate(rows)


def _primitive(row: tuple[int, ...]) -> list[int]:
    """The same row without what divides all of its integers."""
    common = gcd(*row)
    return [x // common for x in row] if common > 1 else list(row)


def _independent_modulo(rows: NDArray[Any]) -> list[int]:
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


def _kernel(rows: list[list[int]], width: int) -> NDArray[Any]:
    """Integer vectors, as columns, that span all that is orthogonal to some rows."""
    left = [[Fraction(x) for x in row] for row in rows]
    pivots: list[int] = []
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
