"""Elements for known positions, from a second fingerprint."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distdesc.decode.atoms import NOTHING, Candidate, Chemistry
from distdesc.descriptors.moment_invariants import MomentInvariants

STARTS = 12
"""Random weights to start from."""


def assigned(
    descriptor: MomentInvariants,
    fingerprint: NDArray[np.float64],
    points: NDArray[np.float64],
    tolerance: float,
    rng: np.random.Generator,
) -> Candidate:
    """
    Fit weights of points to a fingerprint, then elements to the weights, then the positions.

    Parameters
    ----------
    descriptor : MomentInvariants
        What the fingerprint was made with: one density.
    fingerprint : ndarray, shape (n_features,), float64
        The goal.
    points : ndarray, shape (n, 3), float64
        In units of the descriptor's cutoff.
    tolerance : float
        Residual that is good enough.
    rng : numpy.random.Generator
        Of the starts.
    """
    chemistry, best = Chemistry(descriptor), NOTHING
    own = chemistry.fingerprints
    low, high = np.min(chemistry.table[chemistry.numbers]), np.max(chemistry.table)
    share = fingerprint[0] / np.sum(own.decay(points)) * (4 * np.pi / 3)
    for start in range(STARTS):
        guess = np.full(len(points), share)
        if start > 0:
            guess = rng.uniform(low, high, size=len(points))
        weights = own.fit(fingerprint, points, guess, free_weights=True, free_points=False).weights
        found = chemistry.atoms(points, weights, fingerprint, tolerance, 1e-11)
        best = min(best, found, key=lambda c: c.residual)
        if best.residual <= tolerance:
            break
    return best
