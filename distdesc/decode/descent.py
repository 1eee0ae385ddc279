"""Least squares by Levenberg and Marquardt's method, made to give up early."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PATIENCE = 8
"""Of steps that lead nowhere, unless a caller has more."""

FRACTION = 0.5
"""Of the sum of squares, that must go while patience lasts."""

SETTLED = 1e-5
"""Fraction of the sum of squares below which a step is the last."""

LEAST_DAMPING, MOST_DAMPING = 1e-14, 1e3
"""Relative to the largest curvature; beyond the most, no step leads down."""


@dataclass(frozen=True)
class Descent:
    """
    Where a descent ended.

    Parameters
    ----------
    x : ndarray, shape (n,), float64
        The unknowns.
    cost : float
        Sum of the squares of the residuals.
    steps : int
        Steps taken.
    """

    x: NDArray[np.float64]
    cost: float
    steps: int


def descend(
    residuals: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    slopes: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    x: NDArray[np.float64],
    goal: float,
    most_steps: int,
    patience: int = PATIENCE,
) -> Descent:
    """
    Lower a sum of squares.

    Parameters
    ----------
    residuals : callable
        Of the unknowns (n,), giving (m,).
    slopes : callable
        Derivatives of the residuals, (m, n).
    x : ndarray, shape (n,), float64
        Where to begin.
    goal : float
        Sum of squares that is good enough.
    most_steps : int
        Steps at most.
    patience : int
        Steps in which the sum of squares must fall to `FRACTION`, or the start is given up.

    Returns
    -------
    Descent
        The lowest point found.
    """
    off = residuals(x)
    cost = float(off @ off)
    damping, history = 1e-3, [cost]
    for step in range(most_steps):
        if not goal < cost < np.inf:
            return Descent(x, cost, step)
        jacobian = slopes(x)
        curvature, gradient = jacobian.T @ jacobian, jacobian.T @ off
        scale = float(np.max(np.diag(curvature), initial=0.0))
        if not 1e-200 < scale < 1e200:
            return Descent(x, cost, step)
        found = _lower(residuals, x, cost, curvature, gradient, damping)
        if found is None:
            return Descent(x, cost, step)
        move, off, damping = found
        lower = float(off @ off)
        settled = cost - lower < SETTLED * cost
        x, cost = x + move, lower
        history.append(cost)
        stuck = len(history) > patience and cost > FRACTION * history[-1 - patience]
        if settled or stuck:
            return Descent(x, cost, step + 1)
    return Descent(x, cost, most_steps)


def _lower(
    residuals: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    x: NDArray[np.float64],
    cost: float,
    curvature: NDArray[np.float64],
    gradient: NDArray[np.float64],
    damping: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float] | None:
    """Least damped step that lowers the cost, residuals there, and the next step's damping."""
    scale, growth = float(np.max(np.diag(curvature))), 2.0
    while damping <= MOST_DAMPING:
        matrix = curvature.copy()
        matrix.flat[:: len(x) + 1] += damping * scale
        move = np.asarray(np.linalg.solve(matrix, -gradient), dtype=np.float64)
        off = residuals(x + move)
        gain = cost - float(off @ off)
        if gain > 0:
            # Nielsen's rule: the better the linear model, the less damping
            promised = float(move @ (damping * scale * move - gradient))
            ratio = gain / promised if promised > 0 else 1.0
            return move, off, max(damping * max(0.1, 1 - (2 * ratio - 1) ** 3), LEAST_DAMPING)
        damping, growth = damping * growth, 2 * growth
    return None
