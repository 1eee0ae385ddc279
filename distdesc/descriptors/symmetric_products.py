"""Independent scalars in products of three or four tensors, some of them equal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement, groupby, pairwise, product
from math import comb, factorial, prod, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.couplings import coupling_tensor


@dataclass(frozen=True)
class Pattern:
    """
    Which of the tensors of a product are equal.

    Parameters
    ----------
    labels : tuple of int
        Number of the tensor at each place of the product, from zero; equal ones are neighbours.
    """

    labels: tuple[int, ...]

    @property
    def multiplicity(self) -> int:
        """In how many different sequences the product occurs."""
        runs = [len(list(run)) for _, run in groupby(self.labels)]
        return factorial(len(self.labels)) // prod(map(factorial, runs))

    @property
    def pairing(self) -> tuple[int, ...]:
        """Order of the places in which the first two are coupled, and the last two if four."""
        if len(self.labels) == 3:
            return (1, 2, 0)  # to the smallest momentum, which is the least work
        return (1, 2, 0, 3) if self.labels == (0, 1, 1, 2) else (0, 1, 2, 3)

    def n_products(self, ls: tuple[int, ...], n_q: int) -> int:
        """
        Count the products with this pattern.

        Parameters
        ----------
        ls : tuple of int
            Angular momenta of the tensors, ascending.
        n_q : int
            Tensors of each angular momentum.
        """
        distinct = dict(zip(self.labels, ls, strict=True)).values()
        return prod(comb(n_q, len(list(run))) for _, run in groupby(distinct))


def momenta(degree: int, l_max: int, odd: bool) -> Iterator[tuple[int, ...]]:
    """
    Angular momenta of products that contain a scalar.

    Parameters
    ----------
    degree : int
        Tensors of a product, 3 or 4.
    l_max : int
        Largest angular momentum.
    odd : bool
        Also those that contain a pseudoscalar.

    Yields
    ------
    tuple of int
        Ascending.
    """
    for ls in combinations_with_replacement(range(l_max + 1), degree):
        if 2 * ls[-1] <= sum(ls) and (odd or sum(ls) % 2 == 0):
            yield ls


def patterns(ls: tuple[int, ...]) -> Iterator[Pattern]:
    """
    All ways in which tensors of given angular momenta can be equal.

    Parameters
    ----------
    ls : tuple of int
        Ascending.

    Yields
    ------
    Pattern
        The one with all tensors different comes first.
    """
    choices = [(1, 0) if a == b else (1,) for a, b in pairwise(ls)]
    for steps in product(*choices):
        yield Pattern(tuple(int(label) for label in np.cumsum((0, *steps))))


def sorted_products(ls: tuple[int, ...], n_q: int) -> NDArray[np.int64]:
    """
    All products of tensors with given angular momenta.

    Parameters
    ----------
    ls : tuple of int
        Ascending.
    n_q : int
        Tensors of each angular momentum.

    Returns
    -------
    ndarray, shape (n, degree), int64
        Number q of each tensor, ascending where angular momenta are equal; lexicographic.
    """
    table = np.zeros((1, 0), dtype=np.int64)
    for _, run in groupby(ls):
        part = np.array(list(combinations_with_replacement(range(n_q), len(list(run)))))
        left = np.repeat(table, len(part), axis=0)
        table = np.hstack([left, np.tile(part, (len(table), 1))])
    return table


def classified(
    ls: tuple[int, ...], n_q: int
) -> tuple[NDArray[np.int64], list[Pattern], NDArray[np.int64]]:
    """
    All products of tensors with given angular momenta, and their patterns.

    Parameters
    ----------
    ls : tuple of int
        Ascending.
    n_q : int
        Tensors of each angular momentum.

    Returns
    -------
    ndarray, shape (n, degree), int64
        See `sorted_products`.
    list of Pattern
        Those that occur.
    ndarray, shape (n,), int64
        Which of them each product has.
    """
    q = sorted_products(ls, n_q)
    steps = (np.diff(ls) != 0) | (np.diff(q, axis=1) != 0)
    rows, which = np.unique(steps, axis=0, return_inverse=True)
    found = [Pattern(tuple(int(k) for k in np.cumsum((0, *row)))) for row in rows]
    return q, found, which.reshape(-1)


def n_scalars(ls: tuple[int, ...], pattern: Pattern) -> int:
    """
    Number of independent scalars in a product, those that vanish not counted.

    Parameters
    ----------
    ls : tuple of int
        Angular momenta of the three or four tensors, which contain a scalar.
    pattern : Pattern
        Which of them are equal.
    """
    labels = pattern.labels
    if len(ls) == 3:
        return int(sum(ls) % 2 == 0 or len(set(labels)) == 3)
    if len(set(labels)) == 1:
        return _multiplicity(ls[0], 4, 0)
    if len(set(labels)) == 2 and labels[1] == labels[2]:
        triple, single = (ls[0], ls[3]) if labels[0] == labels[1] else (ls[3], ls[0])
        return _multiplicity(triple, 3, single)
    return len(_middles(ls, pattern))


@cache
def _multiplicity(l: int, power: int, total: int) -> int:
    """How often momentum `total` occurs in the symmetric power of a tensor of momentum l."""
    # the number of multisets of m that sum to `total`, less those that sum to one more
    sums = [sum(m) for m in combinations_with_replacement(range(-l, l + 1), power)]
    return sums.count(total) - sums.count(total + 1)


def _middles(ls: tuple[int, ...], pattern: Pattern) -> list[int]:
    """Momenta through which four tensors can be coupled; equal ones have no odd coupling."""
    a, b, c, d = (ls[k] for k in pattern.pairing)
    p, q, r, s = (pattern.labels[k] for k in pattern.pairing)
    step = 2 if p == q or r == s else 1
    low, high = max(abs(a - b), abs(c - d)), min(a + b, c + d)
    return list(range(low + low % step, high + 1, step))


class Scalars(NamedTuple):
    """
    Independent scalars in a product of three or four tensors.

    Parameters
    ----------
    couplings : tuple of int
        Momenta L to which pairs are coupled; of three tensors, the one that the third has.
    leading : tuple of int
        Of each scalar, the coupling that those before it do not contain.
    factors : ndarray, shape (n_scalars, n_couplings), float64
        Of the dot products for each L in each scalar; read-only.
    """

    couplings: tuple[int, ...]
    leading: tuple[int, ...]
    factors: NDArray[np.float64]


@cache
def scalars(ls: tuple[int, ...], pattern: Pattern) -> Scalars:
    """
    Scalars that are orthonormal functions of a product, symmetric in equal tensors.

    Three tensors have one scalar or none. Of four, two pairs are coupled to the same momentum L,
    and their dot product is taken; times ``sqrt(2 L + 1)``, these are orthonormal, and
    independent unless three or four tensors are equal. Then the symmetrisation is a projection
    among them, and its range has an orthonormal basis: that of Gram and Schmidt, in the order
    of L.

    Parameters
    ----------
    ls : tuple of int
        Angular momenta of the tensors, ascending, which contain a scalar.
    pattern : Pattern
        Which of them are equal.
    """
    rank = n_scalars(ls, pattern)
    if len(ls) == 3:
        return Scalars(ls[:1], ls[:1] * rank, np.ones((rank, 1)))
    middles = _middles(ls, pattern)
    basis, leading = np.eye(len(middles)), middles
    if len(set(pattern.labels)) <= 2 and pattern.labels[1] == pattern.labels[2]:
        basis, found = _range(_symmetrisation(ls, middles), rank)
        leading = [middles[k] for k in found]
    factors = basis * np.sqrt(2 * np.array(middles) + 1)
    factors.flags.writeable = False
    return Scalars(tuple(middles), tuple(leading), factors)


def _symmetrisation(ls: tuple[int, ...], middles: list[int]) -> NDArray[np.float64]:
    """Projection on what is symmetric in three or four equal tensors, among all couplings."""
    a, b, c, d = ls
    tensors = np.empty((len(middles), *(2 * l + 1 for l in ls)))
    for k, l in enumerate(middles):
        left, right = coupling_tensor(a, b, l), coupling_tensor(c, d, l)
        tensors[k] = sqrt(2 * l + 1) * np.tensordot(left, right, axes=(2, 2))
    # Couplings are symmetric in the first two and in the last two already where those are equal:
    # of all permutations, only the exchange of the second and third tensor is left to average.
    axes = (1, 2, 3, 4)
    overlap = np.tensordot(tensors, tensors.transpose(0, 1, 3, 2, 4), axes=(axes, axes))
    projection: NDArray[np.float64] = (np.eye(len(middles)) + 2 * overlap) / 3
    return projection


def _range(projection: NDArray[np.float64], rank: int) -> tuple[NDArray[np.float64], list[int]]:
    """Orthonormal basis of the range of a projection, shape (rank, n), and columns it is from."""
    basis = np.zeros((0, len(projection)))
    columns: list[int] = []
    for k, column in enumerate(projection.T):
        rest = column
        for _ in range(2):  # twice is enough
            rest = rest - basis.T @ (basis @ rest)
        size = np.linalg.norm(rest)
        if len(basis) < rank and size > 1e-6:
            basis, columns = np.vstack([basis, rest / size]), [*columns, k]
    basis[np.abs(basis) < 1e-14] = 0.0
    return basis, columns
