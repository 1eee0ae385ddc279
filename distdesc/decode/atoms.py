"""From points with weights to atoms of elements, and how well these fit a fingerprint."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from distdesc.decode.fingerprints import of_descriptor
from distdesc.descriptors.moment_invariants import MomentInvariants

CLOSEST = 0.25
"""Distance of atoms that makes no sense below, in Å."""

FORMULAS = 200
"""Sets of atoms with the same total weight, at most."""

MOST_ELEMENTS = 6
"""Beyond which too many formulas have the same weight."""

MOST_ATOMS = 40
"""Beyond which there are too many formulas, too."""

MOMENT_STEPS = 6
"""Of a fit to moments, which are nearly those of the points already."""

POLISHED = 1e-11
"""Residual at which rounding is all that is left of a fit to a fingerprint; see `roads.SETTLED`."""

FAR = 0.1
"""Residual from which a fit does not lead back."""


@dataclass(frozen=True)
class Candidate:
    """
    Atoms that may be the answer.

    Parameters
    ----------
    points : ndarray, shape (n, 3), float64
        In units of the radius.
    weights : ndarray, shape (n,), float64
        As found, before they were rounded to those of elements.
    numbers : ndarray, shape (n,), int32
        Atomic numbers.
    residual : float
        Largest difference of a feature, relative to the largest feature.
    condition : float
        Of the moment matrix; infinite if there was none.
    sure : bool
        Whether so small a residual leaves no room for other elements in the same places.
    """

    points: NDArray[np.float64]
    weights: NDArray[np.float64]
    numbers: NDArray[np.int32]
    residual: float
    condition: float = np.inf
    sure: bool = True


NOTHING = Candidate(np.empty((0, 3)), np.empty(0), np.empty(0, dtype=np.int32), np.inf)


class Chemistry:
    """
    What a descriptor makes of atoms: weights of elements, decay towards the cutoff.

    Parameters
    ----------
    descriptor : MomentInvariants
        With one density.
    """

    def __init__(self, descriptor: MomentInvariants) -> None:
        self.fingerprints = of_descriptor(descriptor)
        self.numbers: NDArray[np.int32] = np.array(descriptor.accepted_numbers, dtype=np.int32)
        self.table: NDArray[np.float64] = descriptor.weight_table()
        self.radius = descriptor.cutoff
        self._handed = descriptor.parity_odd

    def sensible(self, candidate: Candidate) -> bool:
        """
        Whether atoms are distinct and in the ball.

        Parameters
        ----------
        candidate : Candidate
            Any.
        """
        points = candidate.points
        if len(points) == 0 or np.max(np.sum(points**2, axis=1)) >= 1 + 1e-9:
            return False
        squares = np.sum((points[:, None] - points) ** 2, axis=2)
        np.fill_diagonal(squares, np.inf)
        return bool(np.min(squares) * self.radius**2 > CLOSEST**2)

    def formulas(self, total: float) -> list[NDArray[np.int32]]:
        """
        Atomic numbers of all sets of atoms with a total weight, up to `FORMULAS` of them.

        Parameters
        ----------
        total : float
            Sum of the weights.
        """
        order = np.argsort(-self.table[self.numbers], kind="stable")
        numbers, found = self.numbers[order], list[NDArray[np.int32]]()
        weights = self.table[numbers]

        def extend(counts: list[int], left: float) -> None:
            """Add the formulas that begin with some counts and have so much weight left."""
            k = len(counts)
            if len(found) >= FORMULAS:
                return
            if k == len(numbers) - 1:
                last = round(left / weights[k])
                if last >= 0 and abs(left - last * weights[k]) < 1e-5 * total:
                    found.append(np.repeat(numbers, [*counts, last]))
                return
            for count in range(int(left / weights[k] + 1e-6) + 1):
                extend([*counts, count], left - count * weights[k])

        if len(numbers) <= MOST_ELEMENTS and total < MOST_ATOMS * weights[-1]:
            extend([], total)
        return found

    def atoms(
        self,
        points: NDArray[np.float64],
        weights: NDArray[np.float64],
        fingerprint: NDArray[np.float64],
        tolerance: float,
        polished: float,
    ) -> Candidate:
        """
        Atoms near some points that have a fingerprint as nearly as possible.

        Parameters
        ----------
        points : ndarray, shape (n, 3), float64
            In units of the radius.
        weights : ndarray, shape (n,), float64
            Those of elements, nearly.
        fingerprint : ndarray, shape (n_features,), float64
            The goal.
        tolerance : float
            Residual that is good enough to stop trying.
        polished : float
            Residual at which nothing is left to polish.
        """
        own = self.fingerprints
        if own.residual(fingerprint, points, weights) > FAR:
            return NOTHING
        found = self._settled(points, weights, fingerprint, polished)
        if found.residual > tolerance:
            fit = own.fit(fingerprint, points, weights, free_weights=True)
            again = self._settled(fit.points, fit.weights, fingerprint, polished)
            found = min(found, again, key=lambda c: c.residual)
        return found

    def nearest(
        self,
        points: NDArray[np.float64],
        weights: NDArray[np.float64],
        fingerprint: NDArray[np.float64],
        polished: float,
        moments: NDArray[np.float64] | None = None,
    ) -> Candidate:
        """
        Elements with the nearest weights, in places as given or fitted to moments.

        Parameters
        ----------
        points : ndarray, shape (n, 3), float64
            In units of the radius.
        weights : ndarray, shape (n,), float64
            Those of elements, nearly.
        fingerprint : ndarray, shape (n_features,), float64
            The goal.
        polished : float
            Residual at which nothing is left to fit.
        moments : ndarray, shape (n_moments(n),), float64, optional
            What the points were found from, in their frame.
        """
        own = self.fingerprints
        numbers = self.nearest_numbers(weights)
        rounded = self.table[numbers]
        places = [points, -points] if self._handed else [points]  # pseudoscalars tell
        residual, points = min(
            ((own.residual(fingerprint, p, rounded), p) for p in places), key=lambda pair: pair[0]
        )
        if moments is not None and polished < residual < 2 * FAR:
            fit = own.fit_moments(moments, places[0], rounded, MOMENT_STEPS)
            fitted = fit.points if points is places[0] else -fit.points
            closer = own.residual(fingerprint, fitted, rounded)
            if closer < residual:
                residual, points = closer, fitted
        return Candidate(points, weights, numbers, residual)

    def nearest_numbers(self, weights: NDArray[np.float64]) -> NDArray[np.int32]:
        """
        Atomic numbers of the elements with the nearest weights.

        Parameters
        ----------
        weights : ndarray, shape (n,), float64
            Any.
        """
        nearest = np.argmin(np.abs(weights[:, None] - self.table[self.numbers]), axis=1)
        numbers: NDArray[np.int32] = self.numbers[nearest]
        return numbers

    def _settled(
        self,
        points: NDArray[np.float64],
        weights: NDArray[np.float64],
        fingerprint: NDArray[np.float64],
        polished: float,
    ) -> Candidate:
        """Weights rounded to elements, then positions fitted."""
        found = self.nearest(points, weights, fingerprint, polished)
        if polished < found.residual < 2 * FAR:
            rounded = self.table[found.numbers]
            fit = self.fingerprints.fit(fingerprint, found.points, rounded)
            found = replace(found, points=fit.points, residual=fit.residual)
        return found
