"""How far two crystals, or layers, of one cell are from being the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from distdesc.singular.congruence import IMPOSSIBLE, ROUNDS
from distdesc.symmetry.finder import TOLERANCE
from distdesc.symmetry.lattice import cartesian_operations, complete_cell, lattice_operations


def periodic_misfit(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    numbers: NDArray[np.int32],
    cell: NDArray[np.float64],
    pbc: NDArray[np.bool_],
    reflections: bool = True,
) -> float:
    """
    Distance of two structures of the same atoms and cell in the alignment that suits them best.

    It is the length of the displacement of all atoms of a cell together, in Å. Every operation of
    the lattice is tried, with every shift that brings an atom of the rarest element onto a like
    one; atoms are assigned (Hungarian method) and the shift fitted in turn. Structures that fit
    in another way have a finer lattice than that of the cell, which turns; where the first has
    nearly one, by less than the misfit, the result is how nearly.

    Parameters
    ----------
    first, second : ndarray, shape (n, 3), float64
        Positions in Å, inside the cell or not; at least one atom.
    numbers : ndarray, shape (n,), int32
        Atomic numbers, of both; only like atoms are matched.
    cell : ndarray, shape (3, 3), float64
        Lattice vectors as rows, in Å.
    pbc : ndarray, shape (3,), bool
        Periodic directions, two or three.
    reflections : bool
        Whether mirror images are the same.
    """
    frame = complete_cell(cell, pbc)
    operations = cartesian_operations(lattice_operations(frame, pbc, TOLERANCE)[0], frame)
    if not reflections:
        operations = operations[np.linalg.det(operations) > 0]
    lattice = np.stack([frame * pbc[:, None], np.linalg.inv(frame)])
    forbidden = IMPOSSIBLE * (numbers[:, None] != numbers)
    kinds, counts = np.unique(numbers, return_counts=True)
    rarest = np.flatnonzero(numbers == kinds[np.argmin(counts)])
    best = np.inf
    for turned in first @ operations.transpose(0, 2, 1):
        for place in rarest:
            start = turned + (second[place] - turned[rarest[0]])
            best = min(best, _fitted(start, second, lattice, forbidden, best)[0])
    for place in rarest[1:]:
        start = first + (first[place] - first[rarest[0]])
        total, order = _fitted(start, first, lattice, forbidden, best)
        if np.any(order != np.arange(len(order))):  # else back where it was
            best = min(best, total)
    return float(np.sqrt(best))


def _fitted(
    points: NDArray[np.float64],
    goal: NDArray[np.float64],
    lattice: NDArray[np.float64],
    forbidden: NDArray[np.float64],
    enough: float,
) -> tuple[float, NDArray[np.int64]]:
    """Least sum of squared distances near a shift, unless it is more than enough, and who fits."""
    vectors, inverse = lattice
    # one atom fits at first, and is off by the root of the sum at most where all fit best
    most = enough * (1 + np.sqrt(len(points))) ** 2
    total, best = np.inf, np.arange(len(points))
    for _ in range(ROUNDS):
        off = goal - points[:, None]
        off -= np.rint(off @ inverse) @ vectors
        costs = np.sum(off**2, axis=2) + forbidden
        if np.sum(np.min(costs, axis=1)) > most:
            break
        rows, order = linear_sum_assignment(costs)
        matched = off[rows, order]
        shift = matched.mean(axis=0)
        now = float(np.sum((matched - shift) ** 2 + forbidden[rows, order, None] / 3))
        if not now < total:
            break
        total, best, points = now, order, points + shift
    return total, best
