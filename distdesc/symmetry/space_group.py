"""Which operations a periodic structure has, of those that its lattice may have: a group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distdesc.symmetry._crystal_kernels import find_space_operations
from distdesc.symmetry.closure import choose_group, group_table


@dataclass(frozen=True)
class Candidates:
    """
    Point operations to try.

    Parameters
    ----------
    scaled : ndarray, shape (l, 3, 3), float64
        As they act on scaled coordinates, the identity first.
    cartesian : ndarray, shape (l, 3, 3), float64
        The same, orthogonal.
    misfits : ndarray, shape (l,), float64
        By about how much they miss the lattice, in Å.
    products : callable
        Their multiplication table, shape (l, l), -1 where a product is not among them; made only
        if there is more than the identity.
    """

    scaled: NDArray[np.float64]
    cartesian: NDArray[np.float64]
    misfits: NDArray[np.float64]
    products: Callable[[], NDArray[np.int32]]


def space_group(
    scaled: NDArray[np.float64],
    frame: NDArray[np.float64],
    periodic: NDArray[np.bool_],
    kinds: NDArray[np.int64],
    candidates: Candidates,
    tolerance: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """
    Operations, with all shifts, that bring every atom to a like one; those that form a group.

    Parameters
    ----------
    scaled : ndarray, shape (n, 3), float64
        Positions in units of the frame.
    frame : ndarray, shape (3, 3), float64
        Lattice vectors as rows, in Å, and others where there is no periodicity.
    periodic : ndarray, shape (3,), bool
        Periodic directions.
    kinds : ndarray, shape (n,), int64
        Atoms of one kind are alike.
    candidates : Candidates
        What to try.
    tolerance : float
        In Å.

    Returns
    -------
    labels : ndarray, shape (k,), int64
        Which candidate each operation is, the identity first.
    permutations : ndarray, shape (k, n), int64
        Where it brings each atom.
    """
    species, counts = np.unique(kinds, return_counts=True)
    reference = int(np.argmax(kinds == species[np.argmin(counts)]))
    most, n = len(candidates.scaled) * int(np.min(counts)) + 1, len(kinds)
    labels, permutations = np.empty(most, np.int64), np.empty((most, n), np.int64)
    ways, errors = np.empty((most, n, 3)), np.empty(most)
    k = find_space_operations(
        np.ascontiguousarray(scaled), np.ascontiguousarray(frame), periodic, kinds, reference,
        np.ascontiguousarray(candidates.scaled), tolerance, labels, permutations, ways, errors,
    )  # fmt: skip
    labels, permutations, ways, errors = labels[:k], permutations[:k], ways[:k], errors[:k]
    if k <= 1:
        return labels, permutations
    turned = ways @ candidates.cartesian[labels]
    table = group_table(
        permutations, labels, candidates.products(), (reference, reference), whole=False
    )
    inside = choose_group(turned, errors + candidates.misfits[labels], table, tolerance)
    return labels[inside], permutations[inside]
