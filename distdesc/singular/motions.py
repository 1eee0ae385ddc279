"""Trivial motions: displacements that move a set of points as a rigid body."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROTATIONS = "rotations"
"""About the origin: what an environment does not notice."""

RIGID = "rotations+translations"
"""What a molecule does not notice."""

TRANSLATIONS = "translations"
"""What a crystal of fixed cell does not notice."""

KINDS = (ROTATIONS, RIGID, TRANSLATIONS)

COLLINEAR = 1e-8
"""Points this near to a line, relative to its length, do not move if it turns about itself."""


def trivial_motions(
    points: NDArray[np.float64], kind: str, axis: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """
    Orthonormal displacements of points that move as one.

    Rotations are those about the principal axes, which are orthogonal to each other; about the
    centroid, they are orthogonal to translations as well. Three rotations and three translations
    in general, two rotations of points on a line, none of points on the origin.

    Parameters
    ----------
    points : ndarray, shape (n, 3), float64
        In Å, from the centre of an environment, or from anywhere if there are translations.
    kind : str
        One of `KINDS`.
    axis : ndarray, shape (3,), float64, optional
        Direction, in any unit, that alone is rotated about, as that of a chain with one periodic
        direction; about all axes if left out.

    Returns
    -------
    ndarray, shape (3 n, k), float64
        The x, y and z of each point after the other; orthonormal columns.
    """
    n = len(points)
    if n == 0:
        return np.empty((0, 0))
    if kind == ROTATIONS:
        return _rotations(points, axis)
    shifts: NDArray[np.float64] = np.tile(np.eye(3), (n, 1)) / np.sqrt(n)
    if kind == TRANSLATIONS:
        return shifts
    return np.hstack([_rotations(points - points.mean(axis=0), axis), shifts])


def structure_motions(
    positions: NDArray[np.float64], cell: NDArray[np.float64], pbc: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """
    Trivial motions of a structure whose cell is fixed.

    Translations always; all rotations of a molecule; rotation about the lattice vector of a
    chain, which has one periodic direction; no rotation of a layer or a crystal, whose lattice
    it would turn.

    Parameters
    ----------
    positions : ndarray, shape (n, 3), float64
        In Å.
    cell : ndarray, shape (3, 3), float64
        Lattice vectors as rows, in Å.
    pbc : ndarray, shape (3,), bool
        Periodic directions.

    Returns
    -------
    ndarray, shape (3 n, k), float64
        See `trivial_motions`.
    """
    periodic = np.flatnonzero(pbc)
    if len(periodic) == 0:
        return trivial_motions(positions, RIGID)
    if len(periodic) == 1:
        return trivial_motions(positions, RIGID, axis=cell[periodic[0]])
    return trivial_motions(positions, TRANSLATIONS)


def _rotations(
    points: NDArray[np.float64], axis: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    if axis is None:
        # with rows of zeros there are three axes, however few points
        _, _, axes = np.linalg.svd(np.vstack([points, np.zeros((3, 3))]), full_matrices=False)
    else:
        axes = np.atleast_2d(axis / np.linalg.norm(axis))
    turned = np.cross(axes[:, None], points).reshape(len(axes), -1)
    sizes = np.linalg.norm(turned, axis=1)
    moving = sizes > COLLINEAR * np.linalg.norm(points)
    return np.ascontiguousarray((turned[moving] / sizes[moving, None]).T)
