"""Finds the symmetry of crystals and layers at fixed cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distdesc.errors import CampaignError
from distdesc.symmetry.chain import find_chain_symmetry
from distdesc.symmetry.finder import TOLERANCE, check_tolerance, find_symmetry
from distdesc.symmetry.group import Symmetry
from distdesc.symmetry.lattice import (
    cartesian_operations,
    complete_cell,
    lattice_operations,
    lattice_products,
)
from distdesc.symmetry.names import point_group_name
from distdesc.symmetry.space_group import Candidates, space_group


def find_structure_symmetry(
    positions: NDArray[np.float64],
    numbers: NDArray[np.int32],
    cell: NDArray[np.float64],
    pbc: NDArray[np.bool_],
    tolerance: float = TOLERANCE,
) -> Symmetry:
    """
    Symmetry of a molecule about its centroid, or of a chain, layer or crystal.

    Parameters
    ----------
    positions : ndarray, shape (n, 3), float64
        In Å.
    numbers : ndarray, shape (n,), integers
        Atomic numbers.
    cell : ndarray, shape (3, 3), float64
        Lattice vectors as rows, in Å.
    pbc : ndarray, shape (3,), bool
        Periodic directions.
    tolerance : float
        As of `find_symmetry`, in Å.

    Raises
    ------
    CampaignError
        As `find_chain_symmetry` and `find_crystal_symmetry`.
    """
    if not np.any(pbc):
        centred = positions - np.mean(positions, axis=0) if len(positions) else positions
        return find_symmetry(centred, numbers, tolerance)
    if np.sum(pbc) == 1:
        return find_chain_symmetry(positions, numbers, cell, pbc, tolerance)
    return find_crystal_symmetry(positions, numbers, cell, pbc, tolerance)


def find_crystal_symmetry(
    positions: NDArray[np.float64],
    numbers: NDArray[np.int32],
    cell: NDArray[np.float64],
    pbc: NDArray[np.bool_] | None = None,
    tolerance: float = TOLERANCE,
) -> Symmetry:
    """
    Operations of a crystal or layer that keep the lattice of the cell given, up to its vectors.

    A cell that is not primitive has the shifts between its like parts among them, and may lack
    operations that its own lattice does not have. As for molecules, the result is a group, and
    no atom, nor any lattice vector, is more than about the tolerance from where it would be in a
    crystal that is exactly symmetric.

    Parameters
    ----------
    positions : ndarray, shape (n, 3), float64
        In Å, inside the cell or not.
    numbers : ndarray, shape (n,), integers
        Atomic numbers.
    cell : ndarray, shape (3, 3), float64
        Lattice vectors as rows, in Å.
    pbc : ndarray, shape (3,), bool, optional
        Periodic directions, two or three; all by default.
    tolerance : float
        In Å.

    Returns
    -------
    Symmetry
        Periodic; its name is that of the crystal class, that of `Symmetry.stabiliser` the site's.

    Raises
    ------
    CampaignError
        If less than two directions are periodic, there is no atom, the cell has no volume or the
        tolerance is not positive.
    """
    periodic = np.ones(3, dtype=bool) if pbc is None else np.asarray(pbc, dtype=bool)
    check_tolerance(tolerance)
    if np.sum(periodic) < 2 or len(positions) == 0:
        raise CampaignError(
            "a crystal needs an atom, and two or three periodic directions, "
            f"got {len(positions)} atoms, {int(np.sum(periodic))} directions"
        )
    frame = complete_cell(cell, periodic)
    if abs(np.linalg.det(frame)) < tolerance:
        raise CampaignError(f"cell must have a volume, in Å³, got {np.linalg.det(frame)}")
    kinds = np.ascontiguousarray(numbers, dtype=np.int64)
    scaled = np.asarray(np.linalg.solve(frame.T, np.asarray(positions).T).T, dtype=np.float64)
    lattice, misfits = lattice_operations(frame, periodic, tolerance)
    cartesian = cartesian_operations(lattice, frame)
    candidates = Candidates(lattice, cartesian, misfits, lambda: lattice_products(lattice))
    labels, permutations = space_group(scaled, frame, periodic, kinds, candidates, tolerance)
    operations = cartesian_operations(lattice[labels], frame)
    name = point_group_name(operations[np.unique(labels, return_index=True)[1]])
    return Symmetry(operations, permutations, np.arange(len(kinds)), name, periodic=True)
