"""Gauss-Newton steps on atoms, against the whole fingerprint."""

from __future__ import annotations

from functools import lru_cache
from math import pi

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lstsq

from distdesc.decode.moment_problem import ball_rule
from distdesc.descriptors.density import moments, zernike_functions
from distdesc.descriptors.moment_invariants import MomentInvariants


def fingerprint_of(
    descriptor: MomentInvariants, points: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """
    Invariants of weighted points, as they are: no cutoff function, no species.

    Parameters
    ----------
    descriptor : MomentInvariants
        With one density.
    points : ndarray, shape (n, 3), float64
        In units of the radius of the ball.
    weights : ndarray, shape (n,), float64
        Weight of each.

    Returns
    -------
    ndarray, shape (n_features,), float64
        As `MomentInvariants.compute` gives them.
    """
    return descriptor.invariants_of(moments(points, weights, descriptor.order)[None])[0]


def polish(
    descriptor: MomentInvariants,
    fingerprint: NDArray[np.float64],
    points: NDArray[np.float64],
    weights: NDArray[np.float64],
    free_weights: bool,
    most_steps: int = 12,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """
    Move points, and change weights, towards a fingerprint, until it gets no closer.

    Parameters
    ----------
    descriptor : MomentInvariants
        With one density.
    fingerprint : ndarray, shape (n_features,), float64
        The goal.
    points : ndarray, shape (n, 3), float64
        In units of the radius of the ball.
    weights : ndarray, shape (n,), float64
        Weight of each.
    free_weights : bool
        Whether weights may change.
    most_steps : int
        Steps at most.

    Returns
    -------
    points, weights : ndarray
        The best found.
    residual : float
        Largest difference of a feature, relative to the largest feature.
    """
    scale = float(np.max(np.abs(fingerprint)))
    residual = fingerprint_of(descriptor, points, weights) - fingerprint
    for _ in range(most_steps):
        slopes = _slopes(descriptor, points, weights, free_weights)
        step = lstsq(slopes, -residual, cond=1e-12, lapack_driver="gelsy", check_finite=False)[0]
        moved = points + step[: points.size].reshape(points.shape)
        changed = weights + step[points.size :] if free_weights else weights
        trial = fingerprint_of(descriptor, moved, changed) - fingerprint
        if not np.linalg.norm(trial) < np.linalg.norm(residual):
            break
        gain = np.linalg.norm(trial) / np.linalg.norm(residual)
        points, weights, residual = moved, changed, trial
        if gain > 0.5:
            break
    return points, weights, float(np.max(np.abs(residual)) / scale)


def _slopes(
    descriptor: MomentInvariants,
    points: NDArray[np.float64],
    weights: NDArray[np.float64],
    free_weights: bool,
) -> NDArray[np.float64]:
    """Derivatives of the invariants by all coordinates and, if wanted, all weights."""
    order = descriptor.order
    functions = zernike_functions(points, order)
    own = moments(points, weights, order)
    by_moments = descriptor.invariants_jacobian(own[None])[0]
    columns = (functions @ _gradient(order)).reshape(len(points), 3, -1) * weights[:, None, None]
    rows = columns.reshape(-1, functions.shape[1])
    if free_weights:
        rows = np.concatenate([rows, functions])
    slopes: NDArray[np.float64] = 3 / (4 * pi) * by_moments @ rows.T
    return slopes


@lru_cache(maxsize=8)
def _gradient(order: int) -> NDArray[np.float64]:
    """
    Derivatives of the Zernike functions, expanded in themselves: shape (n, 3 * n).

    Projected by quadrature from central differences, which are exact to 1e-11 for polynomials.
    """
    places, weights = ball_rule(2 * order)
    functions = zernike_functions(places, order)
    step = 2e-3
    parts = []
    for axis in range(3):
        move = step * np.eye(3)[axis]
        slopes = sum(
            factor * (zernike_functions(places + k * move, order)
                      - zernike_functions(places - k * move, order))
            for k, factor in ((1, 45 / 60), (2, -9 / 60), (3, 1 / 60))
        ) / step  # fmt: skip
        parts.append(functions.T @ (slopes * weights[:, None]))
    return np.concatenate(parts, axis=1)
