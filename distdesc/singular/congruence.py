"""How far two environments are from being the same, up to rotation and order of neighbours."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from distdesc.symmetry.alignment import axes_along, rotation_onto

CANDIDATES = 200
"""Alignments to try, of each handedness: pairs of neighbours on pairs most like them."""

ROUNDS = 20
"""Of assignment and rotation in turn; they settle in a few."""

IMPOSSIBLE = 1e6
"""Squared distance, in Å², that forbids to match different elements."""


def misfit(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    numbers: NDArray[np.int32],
    reflections: bool = True,
) -> float:
    """
    Distance of two environments of the same neighbours in the alignment that suits them best.

    It is the length of the displacement of all neighbours together, in Å. Rotations that bring a
    pair of neighbours onto a pair of the other environment are the beginnings; neighbours are
    assigned (Hungarian method) and the rotation fitted (Kabsch) in turn.

    Parameters
    ----------
    first, second : ndarray, shape (n, 3), float64
        From the common centre, in Å.
    numbers : ndarray, shape (n,), int32
        Atomic numbers, of both; only like neighbours are matched.
    reflections : bool
        Whether mirror images are the same.
    """
    if len(numbers) == 0:
        return 0.0
    forbidden = IMPOSSIBLE * (numbers[:, None] != numbers)
    best = np.inf
    for sign in (1.0, -1.0) if reflections else (1.0,):
        for rotation in _rotations(sign * first, second, forbidden):
            best = min(best, _settled(sign * first, rotation, second, forbidden))
    return float(np.sqrt(best))


def _settled(
    points: NDArray[np.float64],
    rotation: NDArray[np.float64],
    goal: NDArray[np.float64],
    forbidden: NDArray[np.float64],
) -> float:
    """Least sum of squared distances near a given rotation."""
    total = np.inf
    for _ in range(ROUNDS):
        moved = points @ rotation.T
        costs = np.sum((moved[:, None] - goal) ** 2, axis=2) + forbidden
        order = linear_sum_assignment(costs)[1]
        rotation = rotation_onto(points, goal[order])
        now = float(np.sum((points @ rotation.T - goal[order]) ** 2))
        if not now < total:
            break
        total = now
    return total


def _rotations(
    points: NDArray[np.float64], goal: NDArray[np.float64], forbidden: NDArray[np.float64]
) -> Iterator[NDArray[np.float64]]:
    """Rotations that bring a pair of points onto a pair of the goal, the most similar first."""
    areas = np.linalg.norm(np.cross(points[:, None], points), axis=2)
    if len(goal) > 1:  # two, also of points on a line, of which one may be the only of its element
        np.fill_diagonal(areas, -1.0)
    i, j = np.unravel_index(int(np.argmax(areas)), areas.shape)
    products, goal_products = points @ points.T, goal @ goal.T
    off = np.abs(products[i, i] - np.diag(goal_products))[:, None] + forbidden[i][:, None]
    off = off + np.abs(products[j, j] - np.diag(goal_products)) + forbidden[j]
    off = off + 2 * np.abs(products[i, j] - goal_products)
    if len(goal) > 1:
        np.fill_diagonal(off, np.inf)
    frame = axes_along(points[i], points[j])
    for place in np.argsort(off, axis=None, kind="stable")[:CANDIDATES]:
        a, b = np.unravel_index(place, off.shape)
        if off[a, b] < IMPOSSIBLE:
            yield axes_along(goal[a], goal[b]).T @ frame
