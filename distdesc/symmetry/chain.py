"""Finds the symmetry of chains: structures that are periodic in one direction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distdesc.errors import CampaignError
from distdesc.symmetry.finder import TOLERANCE, check_tolerance
from distdesc.symmetry.group import Symmetry
from distdesc.symmetry.lattice import complete_cell
from distdesc.symmetry.names import point_group_name
from distdesc.symmetry.space_group import Candidates, space_group

LINEAR = {1: "C*v", 2: "D*h"}
"""Names of chains of atoms on one line, by the directions of the line that are alike."""

LAST = np.array([False, False, True])
"""Periodic directions, once the lattice vector is the last."""


def find_chain_symmetry(
    positions: NDArray[np.float64],
    numbers: NDArray[np.int32],
    cell: NDArray[np.float64],
    pbc: NDArray[np.bool_],
    tolerance: float = TOLERANCE,
) -> Symmetry:
    """
    Operations of a chain up to its lattice vector: turns about its axis, mirrors, and screws.

    The axis is the line through the centroid along the lattice vector, which every operation
    keeps. An atom that is not on it goes to one of its kind at the same distance, so that there
    are few turns and mirrors to try; of an angle, an n-fold screw takes any that has n alike
    atoms in the cell. A chain of atoms on one line is turned by any angle: as for linear
    molecules, its operations are those of a finite subgroup.

    Parameters
    ----------
    positions : ndarray, shape (n, 3), float64
        In Å, inside the cell or not.
    numbers : ndarray, shape (n,), integers
        Atomic numbers.
    cell : ndarray, shape (3, 3), float64
        Lattice vectors as rows, in Å.
    pbc : ndarray, shape (3,), bool
        Periodic directions: one.
    tolerance : float
        As of `find_symmetry`, in Å.

    Returns
    -------
    Symmetry
        Periodic, with the axis; its name is that of the point group of the rod group.

    Raises
    ------
    CampaignError
        If not one direction is periodic, there is no atom, the lattice vector has no length or
        the tolerance is not positive.
    """
    frame = _frame(len(positions), cell, np.asarray(pbc, dtype=bool), tolerance)
    basis = frame / np.linalg.norm(frame, axis=1)[:, None]
    scaled = np.array(np.linalg.solve(frame.T, np.asarray(positions).T).T, dtype=np.float64)
    scaled[:, :2] -= np.mean(scaled[:, :2], axis=0)
    kinds = np.ascontiguousarray(numbers, dtype=np.int64)
    lattice, slack = _lattice(scaled[:, :2], kinds, tolerance)
    turned, exact = basis.T @ lattice @ basis, np.zeros(len(lattice))
    candidates = Candidates(lattice, turned, exact, lambda: _products(lattice, slack))
    labels, permutations = space_group(scaled, frame, LAST, kinds, candidates, tolerance)
    used = np.unique(labels)
    if slack:
        lattice[used, :2, :2] = _exact(lattice[used, :2, :2])
        turned = basis.T @ lattice @ basis
    name = point_group_name(turned[used]) if slack else LINEAR[len(np.unique(lattice[used, 2, 2]))]
    return Symmetry(
        turned[labels], permutations, np.arange(len(kinds)), name, periodic=True, axis=basis[2]
    )


def _frame(
    n_atoms: int, cell: NDArray[np.float64], periodic: NDArray[np.bool_], tolerance: float
) -> NDArray[np.float64]:
    """Two unit vectors across a chain, and its lattice vector; what is no chain is refused."""
    check_tolerance(tolerance)
    if np.sum(periodic) != 1 or n_atoms == 0:
        raise CampaignError(
            f"a chain needs an atom, and one periodic direction, got {n_atoms} atoms, "
            f"{int(np.sum(periodic))} directions"
        )
    length = float(np.linalg.norm(cell[periodic]))
    if length < tolerance:
        raise CampaignError(f"the lattice vector of a chain must have a length, got {length} Å")
    return complete_cell(cell, periodic)[np.argsort(periodic, kind="stable")]


def _lattice(
    places: NDArray[np.float64], kinds: NDArray[np.int64], tolerance: float
) -> tuple[NDArray[np.float64], float]:
    """Operations to try, each with the axis as it is and turned over, and how unsure they are."""
    planar, slack = _planar(places, kinds, tolerance)
    lattice = np.zeros((2 * len(planar), 3, 3))
    lattice[:, :2, :2] = np.repeat(planar, 2, axis=0)
    lattice[::2, 2, 2], lattice[1::2, 2, 2] = 1.0, -1.0
    return lattice, slack


def _planar(
    places: NDArray[np.float64], kinds: NDArray[np.int64], tolerance: float
) -> tuple[NDArray[np.float64], float]:
    """Turns and mirrors about the axis to try, the identity first, and how unsure they are."""
    radii = np.linalg.norm(places, axis=1)
    off = np.flatnonzero(radii > 4 * tolerance)
    if not len(off):
        return np.array([np.diag(d) for d in ((1.0, 1), (-1, -1), (1, -1), (-1, 1))]), 0.0
    alike = (kinds[off, None] == kinds[off]) & (
        np.abs(radii[off, None] - radii[off]) <= 4 * tolerance
    )
    first = np.lexsort((-radii[off], np.sum(alike, axis=1)))[0]
    slack = 8 * tolerance / float(radii[off[first]])
    angles = np.arctan2(places[off, 1], places[off, 0])
    found = [np.eye(2)]
    for angle in angles[alike[first]]:
        for sign in (1.0, -1.0):
            turn = angle - sign * angles[first]
            c, s = np.cos(turn), np.sin(turn)
            matrix = np.array([[c, -sign * s], [s, sign * c]])
            if all(np.linalg.norm(matrix - other) > slack for other in found):
                found.append(matrix)
    return np.array(found), slack


def _products(lattice: NDArray[np.float64], slack: float) -> NDArray[np.int32]:
    """Index of each product, -1 where it is not among them."""
    products = (lattice[:, None] @ lattice).reshape(-1, 1, 9)
    apart = np.linalg.norm(products - lattice.reshape(1, -1, 9), axis=2)
    nearest = np.argmin(apart, axis=1)
    known = np.min(apart, axis=1) <= 2 * slack + 1e-9
    return np.where(known, nearest, -1).reshape(len(lattice), -1).astype(np.int32)


def _exact(planar: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turns by exact multiples of one angle, and mirrors that lie by half of it apart."""
    proper = np.linalg.det(planar) > 0
    angles = np.arctan2(planar[:, 1, 0], planar[:, 0, 0])
    n = _different(angles[proper])
    step = 2 * np.pi / n
    start = 0.0
    if not np.all(proper):
        start = float(np.angle(np.sum(np.exp(1j * n * angles[~proper])))) / n
    begin = np.where(proper, 0.0, start)
    angles = begin + step * np.rint((angles - begin) / step)
    sign = np.where(proper, 1.0, -1.0)
    c, s = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([c, -sign * s], -1), np.stack([s, sign * c], -1)], axis=1)


def _different(angles: NDArray[np.float64]) -> int:
    """Different angles, each of which occurs once or, nearly, twice."""
    around = np.exp(1j * angles)
    gaps = np.abs(around[:, None] - around)
    return int(np.sum(~np.any(np.tril(gaps < 1e-9, -1), axis=1)))
