"""From an environment to a singular point beside it, by a damped least-squares iteration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distdesc.singular.bounds import Bounds
from distdesc.singular.distance import linear_model, newton_step
from distdesc.singular.point import Point
from distdesc.singular.sight import Decomposition, Sight, complement
from distdesc.singular.zeros import null_of

FLOOR = 1e-14
"""Relative singular value at which an iteration ends: rounding is not far."""

SHRINKINGS = 10
"""Shorter steps that are tried before an iteration gives up."""

LEFT = 1e-2
"""Share of the singular value at the start that is left at most, where that is near rounding."""

STALLED = 0.9
"""Remaining share of the residual after a step that got hardly anywhere; three end the search."""


@dataclass(frozen=True)
class Refined:
    """
    Where a search ended.

    Parameters
    ----------
    point : Point
        The singular point, or the best that was found.
    singular : Decomposition
        Singular values and vectors there.
    converged : bool
        Whether as many of them are zero as should be.
    distance : float
        From the start, in Å: length of the displacement of all neighbours together.
    iterations : int
        Steps that were taken.
    """

    point: Point
    singular: Decomposition
    converged: bool
    distance: float
    iterations: int

    @property
    def nulls(self) -> NDArray[np.float64]:
        """Orthonormal motions that the fingerprint does not see, shape (3 n, k)."""
        return self.singular.motions[:, self.singular.ratios <= self.singular.null]


def refine(sight: Sight, bounds: Bounds | None = None, block: int = 1) -> Refined:
    """
    Find a singular point near an environment, where so many singular values vanish at once.

    It minimises ``|J(x) V|`` over the positions x and k orthonormal motions V, which are
    eliminated: at every x they are the right singular vectors of the k smallest values, and the
    residual changes by ``(1 - U U^T) dJ V``, with U the left vectors of all others [1]_. Steps
    are those of Levenberg and Marquardt: the shortest that the linear model wants, damped where
    it fails. Convergence is quadratic unless more values vanish than asked for.

    Parameters
    ----------
    sight : Sight
        Descriptor and environment; the neighbours move within what it allows.
    bounds : Bounds, optional
        Where the search may go.
    block : int
        How many singular values are to vanish, k; at most all.

    References
    ----------
    .. [1] Golub and Pereyra, SIAM J. Numer. Anal. 10, 413 (1973); Kaufman, BIT 15, 49 (1975).
    """
    bounds = bounds or Bounds()
    start = here = sight.point.vectors.ravel()
    seen = sight.singular(here)
    k = min(block, len(seen.values))
    first = float(seen.ratios[-k]) if k else 0.0
    damping, taken, slow = 1e-3, 0, 0
    while k and taken < bounds.iterations and slow < 3 and seen.ratios[-k] > FLOOR:
        found = _advance(sight, bounds, (start, here), seen, k, damping)
        if found is None:
            break
        before, (here, seen, damping) = _residual(seen, k), found
        gain = _residual(seen, k) / before
        damping *= 0.1 if gain < 0.1 else 3.0 if gain > 0.5 else 1.0
        slow = slow + 1 if gain > STALLED else 0
        taken += 1
    # neither a looser count of zeros makes an end of a search, nor that the start counts as one
    zero = min(seen.null, null_of(sight.descriptor), max(seen.exact, LEFT * first))
    converged = k > 0 and bool(seen.ratios[-k] <= zero)
    distance = float(np.linalg.norm(here - start))
    return Refined(sight.point.at(here), seen, converged, distance, taken)


def _advance(
    sight: Sight,
    bounds: Bounds,
    places: tuple[NDArray[np.float64], NDArray[np.float64]],
    seen: Decomposition,
    k: int,
    damping: float,
) -> tuple[NDArray[np.float64], Decomposition, float] | None:
    """Take a step that lessens the residual; None if there is none."""
    start, here = places
    limits = sight.limits(bounds, start)
    motions = sight.steps(here, seen)
    matrix, slope = linear_model(seen, sight.turns(here, seen.motions[:, -k:]), motions)
    for _ in range(SHRINKINGS):
        step = newton_step(matrix, slope, damping)
        step *= min(1.0, bounds.step / max(float(np.linalg.norm(step)), 1e-300))
        there = here + motions @ step
        along = complement(motions.T @ limits.walls(here, there))
        if along.shape[1] < motions.shape[1]:  # what runs into walls goes along them
            motions = motions @ along
            matrix, slope = along.T @ matrix @ along, along.T @ slope
            continue
        there = limits.drawn_in(there)
        if limits.admit(there):
            ahead = sight.singular(there)
            if _residual(ahead, k) < _residual(seen, k):
                return there, ahead, damping
        damping = 10 * max(damping, 1e-12)
    return None


def _residual(seen: Decomposition, k: int) -> float:
    return float(np.sum(seen.values[-k:] ** 2))
