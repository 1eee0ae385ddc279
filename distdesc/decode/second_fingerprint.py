"""Elements for known positions, from a second fingerprint."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distdesc.decode.atoms import NOTHING, POLISHED, Candidate, Chemistry
from distdesc.decode.fingerprints import checked
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.errors import CampaignError

STARTS = 12
"""Random weights to start from."""


def assign_elements(
    first: MomentInvariants,
    second: MomentInvariants,
    given: NDArray[np.float64],
    positions: NDArray[np.float64],
    tolerance: float,
    rng: np.random.Generator,
) -> Candidate:
    """
    Fit weights of points to a fingerprint, then elements to the weights, then the positions.

    Parameters
    ----------
    first : MomentInvariants
        What the positions were found with.
    second : MomentInvariants
        What the fingerprint was made with: one density, in a ball of the same cutoff.
    given : ndarray, shape (n_features,), float64
        The fingerprint.
    positions : ndarray, shape (n, 3), float64
        Of the atoms, from the middle of the ball, in Å.
    tolerance : float
        Residual that is good enough.
    rng : numpy.random.Generator
        Of the starts.

    Raises
    ------
    CampaignError
        If the second descriptor has several densities or another cutoff.
    StructureError
        If it is no fingerprint of the second descriptor: wrong length, or not finite.
    """
    if second.cutoff != first.cutoff or second.species == "channels":
        raise CampaignError(
            "the second descriptor must have one density and the cutoff of the first, "
            f"{first.cutoff}, got {second!r}"
        )
    fingerprint, points = checked(second, given), positions / second.cutoff
    chemistry, best = Chemistry(second), NOTHING
    own = chemistry.fingerprints
    low, high = np.min(chemistry.table[chemistry.numbers]), np.max(chemistry.table)
    share = fingerprint[0] / np.sum(own.decay(points)) * (4 * np.pi / 3)
    for start in range(STARTS):
        guess = np.full(len(points), share)
        if start > 0:
            guess = rng.uniform(low, high, size=len(points))
        weights = own.fit(fingerprint, points, guess, free_weights=True, free_points=False).weights
        found = chemistry.atoms(points, weights, fingerprint, tolerance, POLISHED)
        best = min(best, found, key=lambda c: c.residual)
        if best.residual <= tolerance:
            break
    return best
