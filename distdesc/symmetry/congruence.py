"""Operations that bring one set of atoms onto another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distdesc.symmetry import _finder_kernels as kernels
from distdesc.symmetry.finder import find_maps

Map = tuple[NDArray[np.float64], NDArray[np.int64]]
"""Operation (3, 3), and which atom of the other set (n,) each atom comes to."""


def find_map(
    points: NDArray[np.float64],
    numbers: NDArray[np.int64],
    goal: NDArray[np.float64],
    goal_numbers: NDArray[np.int64],
    tolerance: float,
    improper: bool = True,
) -> Map | None:
    """
    An operation about the origin that brings atoms onto like atoms of another set, if any does.

    Parameters
    ----------
    points : ndarray, shape (n, 3), float64
        In Å; no like atoms coincide.
    numbers : ndarray, shape (n,), int64
        Atomic numbers.
    goal : ndarray, shape (n, 3), float64
        Where they are to be brought, in Å; no like atoms coincide.
    goal_numbers : ndarray, shape (n,), int64
        Atomic numbers there.
    tolerance : float
        As of `find_symmetry`: atoms are brought within twice as much of each other, in Å.
    improper : bool
        Whether a reflection will do.
    """
    if len(points) != len(goal) or not np.array_equal(np.sort(numbers), np.sort(goal_numbers)):
        return None
    axis, goal_axis = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    sort = kernels.shape(points, tolerance, axis)
    if sort != kernels.shape(goal, tolerance, goal_axis):
        return None
    if sort == kernels.GENERAL:
        operations, images, *_ = find_maps(
            points, numbers, goal, goal_numbers, 2 * tolerance, improper, most=1
        )
        return (operations[0], images[0]) if len(operations) else None
    for direction in (axis, -axis):
        along, ends = points @ direction, goal @ goal_axis
        order, places = np.lexsort((along, numbers)), np.lexsort((ends, goal_numbers))
        if np.max(np.abs(along[order] - ends[places]), initial=0.0) <= 2 * tolerance:
            found = np.empty(len(points), dtype=np.int64)
            found[order] = places
            return _turn(direction, goal_axis), found
    return None


def _turn(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Proper rotation that brings one unit vector to another."""
    frames = []
    for axis in (start, end):
        across = np.linalg.svd(axis[None])[2][1:]
        frames.append(np.column_stack([axis, across[0], np.cross(axis, across[0])]))
    rotation: NDArray[np.float64] = frames[1] @ frames[0].T
    return rotation
