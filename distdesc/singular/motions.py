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


def rotations(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """
    Rotations about the origin of many sets of points at once, as `trivial_motions`.

    Parameters
    ----------
    points : ndarray, shape (b, n, 3), float64
        In Å.

    Returns
    -------
    motions : ndarray, shape (b, 3, 3 n), float64
        Orthonormal; those that move nothing, which are not to be used, come first.
    n_still : ndarray, shape (b,), int64
        How many move nothing.
    """
    # with rows of zeros there are three axes, however few points
    padded = np.concatenate([points, np.zeros((len(points), 3, 3))], axis=1)
    _, _, axes = np.linalg.svd(padded, full_matrices=False)
    turned, moving = _about(axes, points)
    return turned, np.sum(~moving, axis=1)


def _rotations(
    points: NDArray[np.float64], axis: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    if axis is None:
        turned, n_still = rotations(points[None])
        return np.ascontiguousarray(turned[0, n_still[0] :].T)
    turned, moving = _about(np.atleast_2d(axis / np.linalg.norm(axis))[None], points[None])
    return np.ascontiguousarray(turned[0, moving[0]].T)


def _about(
    axes: NDArray[np.float64], points: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Unit motions of rotation about each axis, and whether it moves anything."""
    turned = np.cross(axes[:, :, None], points[:, None])
    turned = turned.reshape(*axes.shape[:2], 3 * points.shape[1])
    sizes = np.linalg.norm(turned, axis=2)
    moving = sizes > COLLINEAR * np.linalg.norm(points, axis=(1, 2))[:, None]
    return turned / np.where(moving, sizes, 1.0)[..., None], moving
