"""Least squares where some directions are determined much more weakly than others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from distdesc.decode.descent import Descent

FIRST, LARGEST, SMALLEST = 1e-6, 1e4, 1e-28
"""Damping: at the beginning, at most, at least."""

PATIENCE = 8
"""Steps in which the sum of squares must fall to half."""

SETTLED = 1e-24
"""Sum of squares below which a step that gains little is the last."""


def refine(
    residuals: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    slopes: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    x: NDArray[np.float64],
    goal: float,
    most_steps: int,
) -> Descent:
    """
    Lower a sum of squares by Levenberg and Marquardt's method, with singular values.

    Normal equations would square the ratio of strong and weak directions, and lose what is
    weaker than 1e-8; here unknowns are measured by what they do, and steps are of the singular
    values themselves.

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

    Returns
    -------
    Descent
        The lowest point found; its steps are singular value decompositions.
    """
    off = residuals(x)
    cost = float(off @ off)
    damping, history = FIRST, [cost]
    for step in range(most_steps):
        if not goal < cost < np.inf:
            return Descent(x, cost, step)
        jacobian = slopes(x)
        if not np.all(np.isfinite(jacobian)):
            return Descent(x, cost, step)
        found = _lower(residuals, x, cost, _decomposed(jacobian, off), damping)
        if found is None:
            return Descent(x, cost, step + 1)
        x, off, damping = found
        before, cost = cost, float(off @ off)
        settled = cost < SETTLED and cost > 0.5 * before
        history.append(cost)
        if settled or (len(history) > PATIENCE and cost > 0.5 * history[-1 - PATIENCE]):
            return Descent(x, cost, step + 1)
    return Descent(x, cost, most_steps)


def _lower(
    residuals: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    x: NDArray[np.float64],
    cost: float,
    parts: tuple[NDArray[np.float64], ...],
    damping: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float] | None:
    """Least damped point of lower cost, residuals there, and the next step's damping."""
    factors, roots, turn, sizes = parts
    while damping <= LARGEST:
        trial = x - (turn.T @ (roots / (roots**2 + damping) * factors)) / sizes
        off = residuals(trial)
        if float(off @ off) < cost:
            return trial, off, max(0.1 * damping, SMALLEST)
        damping *= 8
    return None


def _decomposed(
    jacobian: NDArray[np.float64], off: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """Residuals along each singular direction, its value, the directions, units of unknowns."""
    sizes = np.sqrt(np.einsum("ij,ij->j", jacobian, jacobian))
    sizes = np.maximum(sizes, 1e-12 * max(float(np.max(sizes, initial=0.0)), 1e-300))
    n = len(sizes)
    if len(off) > n:
        both = np.column_stack([jacobian / sizes, off])
        triangle = np.asarray(np.linalg.qr(both, mode="r"))
        left, roots, turn = np.linalg.svd(triangle[:n, :n])
        return left.T @ triangle[:n, n], roots, turn, sizes
    left, roots, turn = np.linalg.svd(jacobian / sizes, full_matrices=False)
    return left.T @ off, roots, turn, sizes
