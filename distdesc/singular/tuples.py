"""What correlations of several neighbours see in a complete basis: tuples that look the same."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from distdesc.errors import CampaignError
from distdesc.structures.environment import Environments

COINCIDE = 1e-7
"""In Å² for scalar products, in Å³ for triple products: what differs by less is equal."""

MOST_TUPLES = 50_000
"""More take too much memory."""

MOST_NUMBERS = 2**24
"""Of the derivatives of all tuples of a structure; more take too much memory."""


@dataclass(frozen=True)
class _Tuples:
    """
    Ordered tuples of neighbours of one centre, repeats allowed, and the atoms that move them.

    Parameters
    ----------
    vectors : ndarray, shape (n_tuples, order, 3), float64
        From the centre, in Å.
    atoms : ndarray, shape (n_tuples, order), int64
        Which atom each neighbour is, or is an image of.
    kinds : ndarray, shape (n_tuples, n_kinds), integers
        What tuples that look the same share, besides their products.
    sizes : ndarray, shape (n_tuples,), float64
        How much each counts.
    centres : ndarray, shape (n_tuples,), int64, optional
        Which atom the centre is, unless it is fixed.
    """

    vectors: NDArray[np.float64]
    atoms: NDArray[np.int64]
    kinds: NDArray[np.int64]
    sizes: NDArray[np.float64]
    centres: NDArray[np.int64] | None = None


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
    n = len(vectors)
    if n**order > MOST_TUPLES:
        raise CampaignError(
            f"neighbours must be fewer, for at most {MOST_TUPLES:,} tuples of {order}; got {n}"
        )
    every = _tuples_of(n, order)
    kinds, sizes = _weighed(every, numbers, weights)
    return _summed(_Tuples(vectors[every], every, kinds, sizes), n, parity_odd, tolerance)


def pooled_class_rows(
    environments: Environments,
    order: int,
    stacked: bool,
    parity_odd: bool = False,
    weights: NDArray[np.float64] | None = None,
    tolerance: float = COINCIDE,
) -> NDArray[np.float64]:
    """
    Derivatives of all that correlations of a given order can tell of a structure.

    As `class_rows`, but of the tuples of all centres together: a sum over centres of an element
    sees the sum over tuples that look the same, whichever of these centres they are about; a
    stack, those about one centre. Tuples move with their atoms, and against their centre.

    Parameters
    ----------
    environments : Environments
        Of all atoms of one structure, in their order.
    order : int
        Neighbours of a tuple.
    stacked : bool
        Whether centres are kept apart.
    parity_odd : bool
        Whether mirror images are told apart.
    weights : ndarray, shape (n_pairs,), float64, optional
        Of the neighbours in one density of all elements.
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
    counts, n = np.diff(environments.offsets), len(environments)
    total = int(np.sum(counts**order))
    if total > MOST_TUPLES or 3 * n * total > MOST_NUMBERS:
        raise CampaignError(
            f"atoms must be fewer, for at most {MOST_TUPLES:,} tuples of {order}; got {n}"
        )
    first = environments.offsets[:-1]
    every = np.concatenate([_tuples_of(k, order) + f for k, f in zip(counts, first, strict=True)])
    owners = np.repeat(np.arange(n), counts**order)
    alike = owners if stacked else environments.centre_numbers[owners]
    kinds, sizes = _weighed(every, environments.numbers, weights)
    atoms = environments.neighbours[every] - environments.centres[0]
    tuples = _Tuples(
        environments.vectors[every], atoms, np.column_stack([alike, kinds]), sizes, owners
    )
    return _summed(tuples, n, parity_odd, tolerance)


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


def _tuples_of(n: int, order: int) -> NDArray[np.int64]:
    every: NDArray[np.int64] = np.indices((n,) * order).reshape(order, -1).T
    return every


def _weighed(
    tuples: NDArray[np.int64], numbers: NDArray[np.int32], weights: NDArray[np.float64] | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Elements of tuples, which all are one where weights tell them apart, and their sizes."""
    if weights is None:
        return numbers[tuples].astype(np.int64), np.ones(len(tuples))
    return np.zeros_like(tuples), np.prod(weights[tuples], axis=1)


def _summed(
    tuples: _Tuples, n_atoms: int, parity_odd: bool, tolerance: float
) -> NDArray[np.float64]:
    """Sums over each class of tuples of the derivatives of the products in them."""
    n, order = tuples.atoms.shape
    pairs: list[tuple[int, ...]] = list(combinations_with_replacement(range(order), 2))
    threes: list[tuple[int, ...]] = list(combinations(range(order), 3)) if parity_odd else []
    if not n:
        return np.empty((0, 3 * n_atoms))
    by_class, starts = _classes(tuples, [pairs, threes], tolerance)
    vectors, atoms = tuples.vectors[by_class], tuples.atoms[by_class]
    sizes, every, rows = tuples.sizes[by_class], np.arange(n), []
    for places in [*pairs, *threes]:
        terms = np.zeros((n, n_atoms, 3))
        for k, place in enumerate(places):
            slope = sizes[:, None] * _slope(vectors, places[k + 1 :] + places[:k])
            terms[every, atoms[:, place]] += slope
            if tuples.centres is not None:
                terms[every, tuples.centres[by_class]] -= slope
        rows.append(np.add.reduceat(terms.reshape(n, -1), starts, axis=0))
    return np.concatenate(rows)


def _classes(
    tuples: _Tuples, products: list[list[tuple[int, ...]]], tolerance: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order of tuples that puts those that look the same together, and where each class begins."""
    keys = [tuples.kinds]
    for of_one_unit in filter(None, products):
        values = [_product(tuples.vectors, places) for places in of_one_unit]
        keys.append(clustered(np.stack(values, axis=1), tolerance))
    _, labels = np.unique(np.hstack(keys), axis=0, return_inverse=True)
    by_class = np.argsort(labels.ravel(), kind="stable")
    return by_class, np.flatnonzero(np.diff(labels.ravel()[by_class], prepend=-1))


def _product(vectors: NDArray[np.float64], places: tuple[int, ...]) -> NDArray[np.float64]:
    """Scalar product of two vectors of each tuple, or triple product of three."""
    found: NDArray[np.float64] = np.sum(vectors[:, places[0]] * _slope(vectors, places[1:]), axis=1)
    return found


def _slope(vectors: NDArray[np.float64], others: tuple[int, ...]) -> NDArray[np.float64]:
    """Derivative of a product of two or three by one of them: the other, or their cross product."""
    if len(others) == 1:
        return vectors[:, others[0]]
    return np.cross(vectors[:, others[0]], vectors[:, others[1]])
