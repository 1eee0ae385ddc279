"""Positions that suit a noisy fingerprint best, each feature counted by its own size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from distdesc.decode.atoms import Candidate, Chemistry
from distdesc.decode.descent import descend

FLOOR = 1e-4
"""Size, to that of the moments' products, below which a feature's error no longer shrinks."""

NEAR = 3.0
"""Candidates with at most so many times the least residual are refined."""

STEPS = 30

NOISY = 5
"""Times the noise, a residual that needs no other explanation."""


def refined(
    chemistry: Chemistry, fingerprint: NDArray[np.float64], found: list[tuple[str, Candidate]]
) -> list[tuple[str, Candidate]]:
    """
    Candidates with the best of them fitted again, for noise that grows with each feature.

    Rounding to single precision, and most noise, is relative to each feature, so that small
    features are known best in absolute terms; a fit in which each counts by its own size makes
    use of that, while one of plain differences is ruled by the errors of the largest.

    Parameters
    ----------
    chemistry : Chemistry
        Of the descriptor.
    fingerprint : ndarray, shape (n_features,), float64
        With noise.
    found : list of tuple of str and Candidate
        Road and candidate.
    """
    least = min((candidate.residual for _, candidate in found), default=np.inf)
    return [
        (road, _refined(chemistry, fingerprint, c) if c.residual <= NEAR * least else c)
        for road, c in found
    ]


def _refined(
    chemistry: Chemistry, fingerprint: NDArray[np.float64], candidate: Candidate
) -> Candidate:
    if not len(candidate.points):
        return candidate
    own, shape = chemistry.fingerprints, candidate.points.shape
    weights: NDArray[np.float64] = chemistry.table[candidate.numbers]
    floor = FLOOR * own.units(fingerprint)
    scale: NDArray[np.float64] = 1 / (np.abs(fingerprint) + floor)

    def residuals(x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Differences of the features, relative."""
        off: NDArray[np.float64] = own.of_points(x.reshape(shape), weights) - fingerprint
        return off * scale

    def slopes(x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivatives of these differences."""
        moments, by_place = own.basis(x.reshape(shape))
        rows = (by_place * weights[:, None, None]).reshape(-1, moments.shape[1])
        product: NDArray[np.float64] = own.slopes_by_moments(weights @ moments) @ rows.T
        product *= scale[:, None]
        return product

    end = descend(residuals, slopes, candidate.points.ravel(), 1e-30, STEPS)
    points = end.x.reshape(shape)
    residual = own.residual(fingerprint, points, weights)
    return replace(candidate, points=points, residual=residual)
