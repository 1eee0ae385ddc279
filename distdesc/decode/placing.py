"""Atoms from moments that are too few to hold them by linear algebra: a search."""

from __future__ import annotations

from dataclasses import replace
from math import comb, pi

import numpy as np
from numpy.typing import NDArray

from distdesc.decode.atoms import NOTHING, Candidate, Chemistry
from distdesc.decode.exchanging import FITTED, exchanged
from distdesc.decode.fingerprints import Fit
from distdesc.decode.frame import Frame, frames_of
from distdesc.decode.moment_problem import MomentMatrix

PULL = 0.3
"""Strength that holds weights together while places are not yet found."""

NEAR = 1e-6
"""Fraction of the moments' squares from which it is worth to fit the fingerprint."""

SAME = 0.05
"""Distance of atoms, in units of the frame, that are one."""

SURE = 1e-10
"""Residual beyond which a fit of places only is not held for unique."""

POLISHED = 1e-11
"""Relative residual at which rounding is all that is left."""

POLISHES = 4
"""Of fits that others come close to, the best few are fitted to the fingerprint."""

ARRANGEMENTS = 8
"""Of elements, tried in the same places."""

DIGITS = 6
"""Decimals that each moment, beyond those for the places, tells of the elements."""

STARTS = 60
"""Random starts, at most."""

MOST_SUMS = 20_000
"""Total weights of some number of atoms, that are still told apart."""


def place(
    moments: NDArray[np.float64],
    order: int,
    chemistry: Chemistry,
    fingerprint: NDArray[np.float64],
    rng: np.random.Generator,
    tolerance: float = 1e-8,
    starts: int = STARTS,
) -> Candidate:
    """
    Fit atoms to moments that are nearly known, from random starts.

    Places first, with equal weights; then weights held together, then free. That there are too
    many atoms does no harm, some then coincide. Where places and weights are more unknowns than
    there are moments, only that the weights are those of elements makes the answer unique; then
    elements are exchanged until places fit.

    Parameters
    ----------
    moments : ndarray, shape (n_moments(order),), float64
        Known ones.
    order : int
        Their largest n.
    chemistry : Chemistry
        Of the descriptor.
    fingerprint : ndarray, shape (n_features,), float64
        What the atoms must have.
    rng : numpy.random.Generator
        Of the starts.
    tolerance : float
        Residual that is good enough.
    starts : int
        Random starts, at most.
    """
    best = NOTHING
    if not np.all(np.isfinite(moments)):
        return best
    frames = frames_of(moments, order)
    searches = [_Search(f, chemistry, fingerprint, len(frames) == 1) for f in frames]
    tasks = [(search, n) for search in searches for n in search.sizes]
    doubtful = list[tuple[float, int, _Search, Fit]]()
    for k in range(starts if tasks else 0):
        search, n = tasks[k % len(tasks)]
        fit = search.start(n, rng)
        if search.free(n) or fit.residual < FITTED:
            best = min(best, search.atoms(fit, tolerance, rng), key=lambda c: c.residual)
        else:
            doubtful.append((fit.residual, k, search, fit))
        if best.residual <= tolerance and best.sure:
            return best
    for _, _, search, fit in sorted(doubtful)[:POLISHES]:
        best = min(best, search.atoms(fit, tolerance, rng), key=lambda c: c.residual)
    return best


def crowded(moments: NDArray[np.float64], order: int) -> bool:
    """
    Whether there may be more atoms, in the space that they span, than linear algebra can hold.

    Parameters
    ----------
    moments : ndarray, shape (n_moments(order),), float64
        Known ones.
    order : int
        Their largest n.
    """
    if not np.all(np.isfinite(moments)):
        return False
    degree = (order - 1) // 2
    return any(_rank(f) >= comb(degree + f.axes, degree) for f in frames_of(moments, order))


def _rank(frame: Frame) -> int:
    """Number of atoms that there are at least."""
    return MomentMatrix(3 / (4 * pi) * frame.target, frame.order).sure_rank()


class _Search:
    """Starts in a frame, and what comes of them."""

    def __init__(
        self,
        frame: Frame,
        chemistry: Chemistry,
        fingerprint: NDArray[np.float64],
        clear: bool,
    ) -> None:
        self.frame, self.chemistry, self.fingerprint = frame, chemistry, fingerprint
        self.clear = clear  # the density is flat, or it is not
        self.levels = np.unique(chemistry.table[chemistry.numbers])
        self.total = float(frame.target[0])
        self.hard = chemistry.fingerprints.decay(np.array([[0.0, 0.0, 0.9999]]))[0] == 1.0
        self.sizes = self._sizes() if self.levels[0] > 0 else []

    def start(self, n: int, rng: np.random.Generator) -> Fit:
        """Fit so many atoms from random places; the residual is the frame's misfit."""
        frame = self.frame
        weights = np.full(n, self.total / n)
        places, misfit = _scattered(n, frame.axes, rng), np.inf
        # few moments of low order lead many atoms astray less than all of them
        for order in (frame.least_order(frame.axes * n), frame.order):
            places, _, misfit = frame.fit(places, weights, -1.0, 1e-3, order=order)
        if len(self.levels) == 1:
            return Fit(places, weights, misfit)
        places, weights, _ = frame.fit(places, weights, PULL)
        if self.free(n):
            places, weights, misfit = frame.fit(places, weights, 0.0)
            merged = _merged(places, weights, 0.1 * self.levels[0])
            if len(merged[1]) < n:
                places, weights, misfit = frame.fit(*merged, 0.0)
            return Fit(places, weights, misfit)
        best = Fit(places, weights, np.inf)
        for _ in range(ARRANGEMENTS):
            noise = PULL * np.std(weights) * rng.normal(size=n)
            ranks = np.argsort(np.argsort(weights + noise))
            guess = np.sort(self._composition(n, rng))[ranks]
            trial = Fit(*exchanged(frame, places, guess, self.levels))
            best = min(best, trial, key=lambda f: f.residual)
            if best.residual < FITTED:
                break
        return best

    def atoms(self, fit: Fit, tolerance: float, rng: np.random.Generator) -> Candidate:
        """Fit atoms that have nearly the moments to the fingerprint."""
        if fit.residual > NEAR:
            return NOTHING
        axes, places, n = self.frame.axes, fit.points.copy(), len(fit.weights)
        # nearly flat: where it is exactly so, the fit would stay
        places[:, axes:] = rng.normal(size=(n, 3 - axes)) * self.frame.widths[axes:]
        points = self.frame.in_ball(places)
        weights = fit.weights / np.maximum(self.chemistry.fingerprints.decay(points), 1e-9)
        found = self.chemistry.atoms(points, weights, self.fingerprint, tolerance, POLISHED)
        sure = self._unique(n, found.residual < SURE)
        return replace(found, sure=sure)

    def free(self, n: int) -> bool:
        """Whether there are moments enough for places and weights of so many atoms."""
        return (self.frame.axes + (len(self.levels) > 1)) * n <= self.frame.equations

    def _unique(self, n: int, close: bool) -> bool:
        """Whether atoms that fit, and do so closely, leave no room for others."""
        spare = self.frame.equations - 1 - self.frame.axes * n  # any atoms have the total weight
        if self.free(n) and self.clear:
            return len(self.levels) > 1 or spare > 0
        ways = n * np.log10(len(self.levels)) - np.log10(max(len(self.sums[n]), 1))
        return close and DIGITS * spare > ways + 1

    def _sizes(self) -> list[int]:
        """Numbers of atoms: from the largest that free weights can be found for, down."""
        frame, levels = self.frame, self.levels
        first = max(_rank(frame), int(np.ceil(self.total / levels[-1] - 1e-3)), 1)
        last = int((1.0 if self.hard else 1.5) * self.total / levels[0] + 1e-3)
        last = min(last, frame.equations // frame.axes)
        self.sums = _sums(levels, self.total, last) if self.hard else []
        sizes = [n for n in range(last, first - 1, -1) if self._composed(n)]
        return [n for n in sizes if self.free(n)] + [n for n in sizes[::-1] if not self.free(n)]

    def _free(self, n: int) -> bool:
        """Whether there are moments enough for places and weights of so many atoms."""
        return (self.frame.axes + (len(self.levels) > 1)) * n <= self.frame.equations

    def _composed(self, n: int) -> bool:
        """Whether so many atoms can have the total weight, or the weights must tell."""
        if self.sums:
            return _among(self.sums[n], self.total, self.total)
        return self.free(n)

    def _composition(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Weights of some elements at random that have the total weight."""
        chosen: list[float] = []
        left = self.total
        for before in self.sums[n - 1 :: -1]:
            fits = [w for w in self.levels if _among(before, left - w, self.total)]
            chosen.append(float(rng.choice(fits)))
            left -= chosen[-1]
        return np.array(chosen)


def _sums(levels: NDArray[np.float64], total: float, most: int) -> list[NDArray[np.float64]]:
    """Total weights that 0, 1, ... atoms can have; none if they are too many to tell."""
    sums = [np.zeros(1)]
    for _ in range(most):
        longer = (sums[-1][:, None] + levels).ravel()
        longer = np.unique(np.round(longer[longer < total + levels[0]], 7))
        if len(longer) * len(levels) > MOST_SUMS:
            return []
        sums.append(longer)
    return sums


def _among(sums: NDArray[np.float64], value: float, total: float) -> bool:
    """Whether a value is among sums, as exactly as a total is known."""
    return bool(np.any(np.abs(sums - value) < 1e-5 * total))


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
