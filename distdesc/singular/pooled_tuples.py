"""What correlations of several neighbours see of a whole structure, in a complete basis."""

from __future__ import annotations

from itertools import combinations, combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from distdesc.errors import CampaignError
from distdesc.singular.tuples import COINCIDE, MOST_TUPLES, clustered
from distdesc.structures.environment import Environments

MOST_NUMBERS = 2**24
"""Of the derivatives of all tuples; more take too much memory."""


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
    tuples, owners = _tuples(environments, order)
    if not len(tuples):
        return np.empty((0, 3 * len(environments)))
    places: list[tuple[int, ...]] = list(combinations_with_replacement(range(order), 2))
    threes: list[tuple[int, ...]] = list(combinations(range(order), 3)) if parity_odd else []
    size, kinds = np.ones(len(tuples)), environments.numbers[tuples]
    if weights is not None:
        size, kinds = np.prod(weights[tuples], axis=1), np.zeros_like(kinds)
    vectors = environments.vectors[tuples]
    own = owners if stacked else environments.centre_numbers[owners]
    keys = [own[:, None], kinds]
    for some in filter(None, (places, threes)):
        values = np.stack([_product(vectors, chosen) for chosen in some], axis=1)
        keys.append(clustered(values, tolerance))
    _, of_class = np.unique(np.hstack(keys), axis=0, return_inverse=True)
    by_class = np.argsort(of_class.ravel(), kind="stable")
    starts = np.flatnonzero(np.diff(of_class.ravel()[by_class], prepend=-1))
    atoms = environments.neighbours[tuples] - environments.centres[0]
    rows = []
    for chosen in [*places, *threes]:
        terms = np.zeros((len(tuples), len(environments), 3))
        every = np.arange(len(tuples))
        for k, place in enumerate(chosen):
            slope = size[:, None] * _slope(vectors, (*chosen[k + 1 :], *chosen[:k]))
            terms[every, atoms[:, place]] += slope
            terms[every, owners] -= slope
        sorted_terms = terms.reshape(len(tuples), -1)[by_class]
        rows.append(np.add.reduceat(sorted_terms, starts, axis=0))
    return np.concatenate(rows)


def _tuples(environments: Environments, order: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of each tuple, shape (n_tuples, order), and its centre."""
    sizes = np.diff(environments.offsets)
    total = int(np.sum(sizes**order))
    if total > MOST_TUPLES or 3 * len(sizes) * total > MOST_NUMBERS:
        raise CampaignError(
            f"atoms must be fewer, for at most {MOST_TUPLES:,} tuples of {order}; got {len(sizes)}"
        )
    every = [
        np.indices((n,) * order).reshape(order, -1).T + first
        for n, first in zip(sizes, environments.offsets, strict=False)
    ]
    return np.concatenate(every), np.repeat(np.arange(len(sizes)), sizes**order)


def _slope(vectors: NDArray[np.float64], others: tuple[int, ...]) -> NDArray[np.float64]:
    """Derivative of a product of two or three by one of them: the other, or their cross product."""
    if len(others) == 1:
        return vectors[:, others[0]]
    return np.cross(vectors[:, others[0]], vectors[:, others[1]])


def _product(vectors: NDArray[np.float64], chosen: tuple[int, ...]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.sum(vectors[:, chosen[0]] * _slope(vectors, chosen[1:]), axis=1)
    return found
