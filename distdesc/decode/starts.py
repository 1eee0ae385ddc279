"""Starts of atoms from random places in a frame, and what comes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from distdesc.decode.atoms import NOTHING, POLISHED, Candidate, Chemistry
from distdesc.decode.descent import descend
from distdesc.decode.evidence import DIGITS
from distdesc.decode.exchanging import FITTED, exchanged
from distdesc.decode.fingerprints import Fit
from distdesc.decode.frame import Frame, frames_of
from distdesc.decode.totals import Totals

PULL = 0.3
"""Strength that holds weights together while places are not yet found."""

NEAR = 1e-6
"""Misfit from which it is worth to fit the fingerprint."""

ROUNDED = 1e-10
"""Misfit of free weights from which to round them to those of elements."""

WORSE = 5.0
"""Misfit of weights held together, to the best so far, from which a start is given up."""

ALIKE = 1e-3
"""Relative difference of misfits of the same atoms, found again."""

SAME = 0.05
"""Distance of atoms, in units of the frame, that are one."""

SURE = 1e-10
"""Residual below which a fit of places only counts as unique; `atoms.POLISHED` is well below."""

CLOSE = 1e-4
"""Residual from which moments are worth to be fitted."""

SHARPENINGS, STEPS = 3, 100
"""Fits of moments, one after the other, and steps of each, at most."""

ARRANGEMENTS = 8
"""Of elements, tried in the same places."""

MANY = 30
"""Atoms from which a start takes much longer than one of few."""


class Starts:
    """
    Fits of atoms to the moments of a frame, each from random places.

    Places first, with equal weights, to moments of low order, then to all; then weights held
    together; then free weights. That there are too many atoms does no harm: some then coincide.
    Where places and weights are more unknowns than there are moments, elements are exchanged
    instead, until places fit.

    Parameters
    ----------
    frame : Frame
        Holds the moments.
    chemistry : Chemistry
        Of the descriptor.
    fingerprint : ndarray, shape (n_features,), float64
        What the atoms must have.
    least : int
        Atoms that there must be.
    clear : bool
        Whether there is no doubt of the number of dimensions.
    """

    def __init__(
        self,
        frame: Frame,
        chemistry: Chemistry,
        fingerprint: NDArray[np.float64],
        least: int,
        clear: bool,
    ) -> None:
        self.frame, self.chemistry, self.fingerprint = frame, chemistry, fingerprint
        self._clear = clear
        self._levels = np.unique(chemistry.table[chemistry.numbers])
        total, lightest = float(frame.target[0]), float(self._levels[0])
        hard = chemistry.fingerprints.decay(np.array([[0.0, 0.0, 0.9999]]))[0] == 1.0
        most = (1.0 if hard else 1.5) * total / lightest if lightest > 0 else 0.0
        last = min(int(most + 1e-3), frame.equations // frame.axes)
        first = max(least, int(np.ceil(total / self._levels[-1] - 1e-3)), 1)
        self._totals = Totals(self._levels, total, last)
        sizes = [n for n in range(last, first - 1, -1) if not hard or self._totals.reached(n)]
        arranged = [n for n in sizes[::-1] if not self.free(n)] if self._totals.known else []
        self.sizes = [n for n in sizes if self.free(n)] + (arranged if hard else [])
        self._seen: dict[int, list[float]] = {n: [] for n in self.sizes}

    def free(self, n: int) -> bool:
        """
        Whether there are moments enough for places and weights of so many atoms.

        Parameters
        ----------
        n : int
            Number of atoms.
        """
        return (self.frame.axes + (len(self._levels) > 1)) * n <= self.frame.equations

    def effort(self, n: int) -> int:
        """
        Work of a start of so many atoms, where that with free weights is one.

        Parameters
        ----------
        n : int
            Number of atoms.
        """
        larger = max(1, round((n / MANY) ** 3))  # that of a step of least squares
        return larger * (1 if self.free(n) else 1 + n // 4)

    def start(self, n: int, rng: np.random.Generator) -> Fit:
        """
        Fit so many atoms from random places; the residual is the misfit in the frame.

        Parameters
        ----------
        n : int
            Number of atoms, one of `sizes`.
        rng : numpy.random.Generator
            Its state decides.
        """
        frame = self.frame
        weights = np.full(n, frame.target[0] / n)
        places, misfit = _scattered(n, frame.axes, rng), np.inf
        # few moments of low order lead many atoms astray less than all of them
        for order in (frame.least_order(frame.axes * n), frame.order):
            places, _, misfit = frame.fit(places, weights, -1.0, 1e-3, order=order)
        if len(self._levels) == 1:
            return Fit(places, weights, misfit)
        held = Fit(*frame.fit(places, weights, PULL))
        if not self.free(n):
            return self._arranged(held, rng)
        seen = self._seen[n]
        again = any(abs(held.residual - other) < ALIKE * other for other in seen)
        if again or held.residual > WORSE * min(seen, default=np.inf):
            return held._replace(residual=np.inf)
        seen.append(held.residual)
        return self._freed(held)

    def atoms(self, fit: Fit, tolerance: float, rng: np.random.Generator) -> Candidate:
        """
        Atoms that have nearly the moments, fitted to the fingerprint.

        Parameters
        ----------
        fit : Fit
            Made by `start`.
        tolerance : float
            Residual that is good enough.
        rng : numpy.random.Generator
            Lifts atoms off the plane or the line on which they were sought.
        """
        if not fit.residual < NEAR:
            return NOTHING
        axes, places, n = self.frame.axes, fit.points.copy(), len(fit.weights)
        # from where it is exactly flat, no fit would lead away
        places[:, axes:] = rng.normal(size=(n, 3 - axes)) * self.frame.widths[axes:]
        points = self.frame.in_ball(places)
        weights = fit.weights / np.maximum(self.chemistry.fingerprints.decay(points), 1e-9)
        found = self.chemistry.atoms(points, weights, self.fingerprint, tolerance, POLISHED)
        for _ in range(SHARPENINGS):
            if not tolerance < found.residual < CLOSE:
                break
            again = self._sharpened(found, 0.1 * tolerance)
            found = min(found, again, key=lambda c: c.residual)
        return replace(found, sure=self._unique(n, found.residual < SURE))

    def _sharpened(self, near: Candidate, tolerance: float) -> Candidate:
        """
        Atoms from moments that are first fitted to the fingerprint.

        That is a detour, but not into the long and bent valleys in which atoms in a ball that is
        too large for them are fitted to a fingerprint.
        """
        own, weights = self.chemistry.fingerprints, self.chemistry.table[near.numbers]
        goal = self.fingerprint
        scale = 1 / own.units(goal)
        end = descend(
            lambda m: (own.of_moments(m) - goal) * scale,
            lambda m: own.slopes_by_moments(m) * scale[:, None],
            weights @ own.basis(near.points)[0],
            1e-30,
            STEPS,
            STEPS,
        )
        for frame in frames_of(end.x, own.order)[:1]:
            offsets = near.points - frame.centre
            places = np.asarray(np.linalg.solve(frame.stretch, offsets.T).T, dtype=np.float64)
            moved = frame.fit(places, weights * own.decay(near.points), -1.0)[0]
            points = frame.in_ball(moved)
            return self.chemistry.atoms(points, weights, goal, tolerance, POLISHED)
        return NOTHING

    def _freed(self, held: Fit) -> Fit:
        """Free the weights; if they are those of elements, nearly, make them so."""
        frame, levels = self.frame, self._levels
        freed = Fit(*frame.fit(held.points, held.weights, 0.0))
        merged = _merged(freed.points, freed.weights, 0.1 * levels[0])
        if len(merged[1]) < len(freed.weights):
            freed = Fit(*frame.fit(*merged, 0.0))
        rounded = levels[np.argmin(np.abs(freed.weights[:, None] - levels), axis=1)]
        if freed.residual < ROUNDED and abs(np.sum(rounded) - frame.target[0]) < 1e-5:
            again = Fit(*frame.fit(freed.points, rounded, -1.0))
            freed = min(freed, again, key=lambda f: f.residual)
        return freed

    def _arranged(self, held: Fit, rng: np.random.Generator) -> Fit:
        """Exchange elements, from several random arrangements."""
        best = held._replace(residual=np.inf)
        n = len(held.weights)
        for _ in range(ARRANGEMENTS):
            noise = PULL * np.std(held.weights) * rng.normal(size=n)
            ranks = np.argsort(np.argsort(held.weights + noise))
            guess = np.sort(self._totals.drawn(n, rng))[ranks]
            trial = Fit(*exchanged(self.frame, held.points, guess, self._levels))
            best = min(best, trial, key=lambda f: f.residual)
            if best.residual < FITTED:
                break
        return best

    def _unique(self, n: int, close: bool) -> bool:
        """Whether atoms that fit, and do so closely, leave no room for others."""
        spare = self.frame.equations - 1 - self.frame.axes * n  # any atoms have the total weight
        if self.free(n) and self._clear:
            return len(self._levels) > 1 or spare > 0
        return close and DIGITS * spare > self._totals.ways(n) + 1


def _scattered(n: int, axes: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Random places that keep away from each other, in a ball, a disc or a segment."""
    pool = rng.normal(size=(6 * n, 3))
    pool[:, axes:] = 0.0
    pool *= (rng.uniform(size=6 * n) ** (1 / axes) / np.linalg.norm(pool, axis=1))[:, None]
    chosen = [0]
    nearest = np.linalg.norm(pool - pool[0], axis=1)
    for _ in range(n - 1):
        chosen.append(int(np.argmax(nearest * rng.uniform(0.3, 1.0, size=len(pool)))))
        nearest = np.minimum(nearest, np.linalg.norm(pool - pool[chosen[-1]], axis=1))
    return pool[chosen]


def _merged(
    places: NDArray[np.float64], weights: NDArray[np.float64], least: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Atoms that coincide made one, those of no weight left out."""
    kept = weights > least
    places, weights = places[kept], weights[kept]
    while len(weights) > 1:
        apart = np.linalg.norm(places[:, None] - places, axis=2) + 9 * np.eye(len(weights))
        a, b = np.unravel_index(np.argmin(apart), apart.shape)
        if apart[a, b] > SAME:
            break
        total = weights[a] + weights[b]
        places[a] = (weights[a] * places[a] + weights[b] * places[b]) / total
        weights[a] = total
        places, weights = np.delete(places, b, axis=0), np.delete(weights, b)
    return places, weights
