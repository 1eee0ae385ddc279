"""How far a singular point is from an environment, estimated from two more Jacobians."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distdesc.singular.sight import Decomposition, Sight

TOGETHER = 2.0
"""Singular values within this factor of the smallest are looked at together."""

MOST_TOGETHER = 6
"""Of them, so that the estimate stays cheap."""

DAMPING = 1e-3
"""Relative to the largest curvature: motions that matter less are of no help to get there."""


@dataclass(frozen=True)
class Estimate:
    """
    Distance to where the smallest singular value, or some of the smallest at once, vanish.

    Parameters
    ----------
    distance : float
        In Å, the length of the displacement of all neighbours together; infinite without motions
        other than rotations, or where none leads there.
    displacement : ndarray, shape (n, 3), float64
        In Å, as far as the linear model goes in that direction.
    gradient : ndarray, shape (n, 3), float64
        Of the smallest singular value, in features per Å²; ``s / |grad s|`` is a simpler estimate.
    together : int
        How many values vanish at once there; 0 if there are none.
    singular : Decomposition
        Singular values and vectors of the environment itself.
    """

    distance: float
    displacement: NDArray[np.float64]
    gradient: NDArray[np.float64]
    together: int
    singular: Decomposition


def estimate(sight: Sight, singular: Decomposition | None = None) -> Estimate:
    """
    Estimate the distance of an environment from the nearest singular point.

    It is the length of the first step of `refine`: the shortest displacement by which ``J v``
    vanishes in the linear model, all of it, with v free to turn; damped, so that it does not
    rely on what hardly changes anything, and divided by the share of ``|J v|^2`` that it removes,
    so that it is long where there is no way. The derivative of a singular value alone,
    ``ds/dx = u^T (dJ/dx) v``, gives ``s / |grad s|``, which leaves out that the other features
    must stay as they are, and is too short for it. Where values lie together, any number of them
    may vanish at once; the nearest counts.

    Parameters
    ----------
    sight : Sight
        Descriptor and environment.
    singular : Decomposition, optional
        What the descriptor sees there, if known.
    """
    here = sight.point.vectors.ravel()
    seen = sight.singular(here) if singular is None else singular
    nothing = np.zeros(sight.point.vectors.shape)
    if not len(seen.values):
        return Estimate(np.inf, nothing, nothing, 0, seen)
    exact = seen.n_nulls(seen.exact)
    if exact:  # at a singular point already; what is left is rounding, and leads nowhere
        return Estimate(0.0, nothing, nothing, exact, seen)
    k = int(np.sum(seen.values[-MOST_TOGETHER:] <= TOGETHER * seen.values[-1]))
    motions = sight.steps(here, seen)
    turns = sight.turns(here, seen.motions[:, -k:])
    gradient = motions @ (motions.T @ (turns[-1] @ seen.responses[:, -1]))
    distance, best, together = np.inf, nothing.ravel(), 0
    for block in range(1, k + 1):
        matrix, slope = linear_model(seen, turns[k - block :], motions)
        step = newton_step(matrix, slope, DAMPING)
        gain = -(2 * slope @ step + step @ matrix @ step) / np.sum(seen.values[-block:] ** 2)
        length = float(np.linalg.norm(step) / gain) if gain > 0 else np.inf
        if length < distance:
            distance, best, together = length, motions @ step, block
    return Estimate(distance, best.reshape(-1, 3), gradient.reshape(-1, 3), together, seen)


def linear_model(
    seen: Decomposition, turns: NDArray[np.float64], motions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Normal equations of the displacement by which the smallest singular values vanish.

    The residual is ``J V`` for the right singular vectors V of these values, and V turns with the
    displacement: the responses U of all other values can be had for it, and what remains changes
    by ``(1 - U U^T) dJ V``.

    Parameters
    ----------
    seen : Decomposition
        Singular values and vectors.
    turns : ndarray, shape (k, 3 n, n_features), float64
        Of the k last motions; see `Sight.turns`.
    motions : ndarray, shape (3 n, d), float64
        Orthonormal motions that make up the displacement.

    Returns
    -------
    matrix : ndarray, shape (d, d), float64
        Features squared per Å to the fourth.
    gradient : ndarray, shape (d,), float64
        Features squared per Å cubed.
    """
    k, d = len(turns), motions.shape[1]
    others, own = seen.responses[:, :-k], seen.responses[:, -k:].T
    matrix, gradient = np.zeros((d, d)), np.zeros(d)
    for turn, value, response in zip(turns, seen.values[-k:], own, strict=True):
        change = motions.T @ turn
        known = change @ others
        matrix += change @ change.T - known @ known.T
        gradient += value * (change @ response)
    return matrix, gradient


def newton_step(
    matrix: NDArray[np.float64], gradient: NDArray[np.float64], damping: float
) -> NDArray[np.float64]:
    """
    Damped solution of normal equations.

    Parameters
    ----------
    matrix : ndarray, shape (d, d), float64
        Symmetric, no eigenvalue below zero but by rounding.
    gradient : ndarray, shape (d,), float64
        Half the derivative of the squared residual.
    damping : float
        Relative to the largest eigenvalue.

    Returns
    -------
    ndarray, shape (d,), float64
        Zero where the matrix is.
    """
    curvatures, axes = np.linalg.eigh(matrix)
    if not len(gradient) or not curvatures[-1] > 0:
        return np.zeros_like(gradient)
    wanted = axes.T @ gradient
    step: NDArray[np.float64] = -axes @ (
        wanted / (np.maximum(curvatures, 0) + damping * curvatures[-1])
    )
    return step
