"""Whether a fingerprint that atoms have leaves room for others."""

from __future__ import annotations

from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import NDArray

from distdesc.decode.atoms import Candidate, Chemistry
from distdesc.decode.fingerprints import PointFingerprints
from distdesc.decode.totals import Totals
from distdesc.descriptors.density import tensors

FLAT = 1e-5
"""Variance along an axis, relative to the largest, below which atoms do not extend along it."""

DIGITS = 6
"""Decimals that each number, beyond those for the places, tells of the elements."""

OWN = 1e-4
"""Error of a feature, relative to what each of its tensors could be, that moves no atom far."""

LOOSER = 10.0
"""Times the tolerance, where that is larger."""

TURNS = (0, 0, 1, 3)
"""Rotations within a point, a line, a plane and space, of which a fingerprint tells nothing."""


class Evidence:
    """
    What a fingerprint tells of the atoms that have it.

    Parameters
    ----------
    chemistry : Chemistry
        Of the descriptor.
    fingerprint : ndarray, shape (n_features,), float64
        The given one.
    """

    def __init__(self, chemistry: Chemistry, fingerprint: NDArray[np.float64]) -> None:
        self._chemistry, self._fingerprint = chemistry, fingerprint
        self._own = chemistry.fingerprints
        self._table = chemistry.table
        self._levels = np.unique(chemistry.table[chemistry.numbers])

    def settles(self, candidate: Candidate, tolerance: float) -> bool:
        """
        Whether the fingerprint is that of some atoms, and could not be that of others.

        Parameters
        ----------
        candidate : Candidate
            Any.
        tolerance : float
            Relative residual that is good enough.
        """
        return self.agrees(candidate, tolerance) and self.suffices(candidate)

    def agrees(self, candidate: Candidate, tolerance: float) -> bool:
        """
        Whether atoms are sensible, and the fingerprint theirs, though perhaps not theirs alone.

        Parameters
        ----------
        candidate : Candidate
            Any.
        tolerance : float
            Relative residual that is good enough.
        """
        near = candidate.residual <= tolerance and candidate.sure
        return (
            near and self._chemistry.sensible(candidate) and self.determines(candidate, tolerance)
        )

    def suffices(self, candidate: Candidate) -> bool:
        """
        Whether there are numbers enough for the places and elements of so many atoms.

        Polynomials up to the order are fewer on a plane or a line than in space, and with them
        the moments of atoms that lie there. Where weights could be free, too, that of each atom
        is told by itself; beyond, the numbers left over must tell the arrangement of elements.

        Parameters
        ----------
        candidate : Candidate
            Atoms that have the fingerprint.
        """
        n, axes = len(candidate.points), _dimensions(candidate.points)
        if axes == 0:
            return True
        order = self._own.order
        numbers = min(comb(order + axes, axes), len(self._own.degrees) + TURNS[axes])
        spare = numbers - 1 - axes * n  # any atoms have the total weight
        if len(self._levels) == 1:
            # sums of powers of as many places as there are sums determine these
            return spare > 0 or (axes == 1 and spare == 0)
        if (axes + 1) * n <= numbers:
            return True
        total = float(np.sum(self._table[candidate.numbers]))
        return DIGITS * spare > Totals(self._levels, total, n).ways(n) + 1

    def determines(self, candidate: Candidate, tolerance: float) -> bool:
        """
        Whether each feature is right by its own measure, so that no atom can be far off.

        In a ball much larger than the atoms, features that tell most of their places are tiny,
        and may be quite wrong within a tolerance that goes with the largest feature.

        Parameters
        ----------
        candidate : Candidate
            Atoms that have the fingerprint.
        tolerance : float
            Relative residual that is good enough; it is not asked of tiny features.
        """
        weights = self._table[candidate.numbers]
        off = np.abs(self._own.of_points(candidate.points, weights) - self._fingerprint)
        offsets, factors = _tensors_of(self._own)
        squares = np.add.reduceat(self._own.basis(candidate.points)[0] ** 2, offsets, axis=1)
        lengths = np.append(weights @ np.sqrt(squares), 1.0)  # of tensors, were atoms aligned
        most = max(OWN, LOOSER * tolerance)
        return bool(np.all(off <= most * np.prod(lengths[factors], axis=1)))


@lru_cache(maxsize=16)
def _tensors_of(own: PointFingerprints) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where moments of each tensor begin, and the tensors in each feature, padded with one more."""
    layout = tuple(tensors(own.order))
    place = {(n, l): k for k, (n, l, _) in enumerate(layout)}
    factors = np.full((len(own.invariants), np.max(own.degrees)), len(layout))
    for row, invariant in enumerate(own.invariants):
        factors[row, : len(invariant.tensors)] = [place[t.n, t.l] for t in invariant.tensors]
    return np.array([offset for _, _, offset in layout]), factors


def _dimensions(points: NDArray[np.float64]) -> int:
    """Number of dimensions that points extend in."""
    spread = np.linalg.svd(points - np.mean(points, axis=0), compute_uv=False)
    return int(np.sum(spread > max(np.sqrt(FLAT) * spread[0], 1e-12)))
