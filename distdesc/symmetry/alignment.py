"""Rotations that bring points about a common centre onto others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rotation_onto(points: NDArray[np.float64], goal: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Proper rotation about the origin that brings points closest to a goal (Kabsch).

    Parameters
    ----------
    points, goal : ndarray, shape (n, 3), float64
        Each point, and where it should come to lie.

    Returns
    -------
    ndarray, shape (3, 3), float64
        For points as columns, from the left.
    """
    u, _, vt = np.linalg.svd(goal.T @ points)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation: NDArray[np.float64] = u @ flip @ vt
    return rotation


def axes_along(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Right-handed axes, as rows: along one vector, then towards another, which may be parallel.

    Parameters
    ----------
    first, second : ndarray, shape (3,), float64
        The vectors.
    """
    spare = np.eye(3)[np.argmin(np.abs(first))]
    q, r = np.linalg.qr(np.stack([first, second, spare], axis=1))
    rows: NDArray[np.float64] = (q * np.where(np.diag(r) < 0, -1.0, 1.0)).T
    if np.linalg.det(rows) < 0:
        rows[2] *= -1
    return rows
