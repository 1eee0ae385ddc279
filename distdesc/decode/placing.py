"""Atoms from moments that are too few to hold them by linear algebra: a search in good units."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import pi

import numpy as np
from numpy.typing import NDArray

from distdesc.decode._placing_kernels import fit_places
from distdesc.decode.atoms import NOTHING, Candidate, Chemistry
from distdesc.decode.moment_problem import MomentMatrix, ball_rule
from distdesc.descriptors.density import harmonic_recurrence, n_moments, zernike_functions
from distdesc.descriptors.zernike import zernike_coefficients

SPREAD = 0.2
"""Variance along each axis, that of a filled unit ball."""

FLAT = 1e-7
"""Variance, relative to the largest, below which atoms lie in a plane or on a line."""

THIN = 0.02
"""Variance, relative to the largest, down to which an axis is stretched."""

FARTHEST = 1.5
"""Distance from the middle, in these units, that atoms do not go beyond."""

PULL = 0.3
"""Strength that holds weights together while places are not yet found."""

NEAR = 1e-6
"""Fraction of the moments' squares from which it is worth to fit the fingerprint."""

SAME = 0.05
"""Distance of atoms, in these units, that are one."""

SURE = 1e-10
"""Residual beyond which a fit of places only is not held for unique."""

STARTS = 60
"""Random starts, at most."""

EXCHANGES = 100
"""Of elements, tried in a fit of places only."""

MOST_SUMS = 100_000
"""Total weights of some number of atoms, that are still told apart."""


@dataclass(frozen=True)
class Frame:
    """
    Moments in the principal axes of a density, stretched until it is as wide along each.

    Polynomials up to a degree stay such under any affine map, so that moments can be had in any
    frame. In this one they resolve the atoms best, however elongated the molecule and however
    large the ball.

    Parameters
    ----------
    target : ndarray, shape (n_moments(order),), float64
        Moments in the frame, without the factor ``3 / (4 pi)``.
    order : int
        Largest n.
    axes : int
        Dimensions that the density extends in; the first coordinates.
    centre : ndarray, shape (3,), float64
        Origin of the frame.
    stretch : ndarray, shape (3, 3), float64
        A place u of the frame is ``centre + stretch @ u`` in the ball.
    """

    target: NDArray[np.float64]
    order: int
    axes: int
    centre: NDArray[np.float64]
    stretch: NDArray[np.float64]

    @property
    def equations(self) -> int:
        """Number of moments that places along the axes have."""
        return {1: self.order + 1, 2: (self.order + 1) * (self.order + 2) // 2}.get(
            self.axes, n_moments(self.order)
        )

    @cached_property
    def square(self) -> float:
        """Sum of the squares of the moments."""
        return float(self.target @ self.target)

    def fit(
        self,
        places: NDArray[np.float64],
        weights: NDArray[np.float64],
        pull: float,
        settled: float = 1e-4,
        most_steps: int = 100,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """
        Move places, and change their weights, towards the moments.

        Parameters
        ----------
        places : ndarray, shape (n, 3), float64
            In the frame.
        weights : ndarray, shape (n,), float64
            Weight of each.
        pull : float
            Strength that draws weights to what they are; negative to keep them.
        settled : float
            Relative gain of a step that is the last.
        most_steps : int
            Steps at most.

        Returns
        -------
        places : ndarray, shape (n, 3), float64
            Where they went.
        weights : ndarray, shape (n,), float64
            What they became.
        misfit : float
            Fraction of the squares of the moments that is left.
        """
        basis = (np.array(harmonic_recurrence(self.order)), zernike_coefficients(self.order))
        moved, changed = places.copy(), weights.copy()
        goal = 1e-26 * self.square
        cost = fit_places(
            self.target, moved, changed, self.axes, weights, pull, basis, most_steps, goal,
            settled, FARTHEST,
        )  # fmt: skip
        return moved, changed, cost / self.square


def frame_of(moments: NDArray[np.float64], order: int) -> Frame | None:
    """
    Frame of a density; None if it is none that positive weights have.

    Parameters
    ----------
    moments : ndarray, shape (n_moments(order),), float64
        Known ones, in the order of `distdesc.descriptors.density.tensors`.
    order : int
        Largest n.
    """
    nodes, parts = ball_rule(2 * order)
    density = 4 * pi / 3 * parts * (zernike_functions(nodes, order) @ moments)
    total = float(np.sum(density))
    if not total > 0:
        return None
    centre = density @ nodes / total
    spread = (density[:, None] * (nodes - centre)).T @ (nodes - centre) / total
    values, vectors = np.linalg.eigh(spread)
    values, vectors = values[::-1], vectors[:, ::-1]
    if not values[0] > 0:
        return None
    axes = int(np.sum(values > FLAT * values[0]))
    lengths = np.sqrt(np.maximum(values, THIN * values[0]) / SPREAD)
    target = density @ zernike_functions((nodes - centre) @ (vectors / lengths), order)
    return Frame(target, order, axes, centre, vectors * lengths)


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
    frame = frame_of(moments, order) if np.all(np.isfinite(moments)) else None
    if frame is None:
        return NOTHING
    search = _Search(frame, chemistry, fingerprint)
    sizes = search.sizes(MomentMatrix(moments, order).sure_rank())
    best = NOTHING
    for k in range(starts if sizes else 0):
        found = search.start(sizes[k % len(sizes)], rng)
        best = min(best, found, key=lambda c: c.residual)
        if best.residual <= tolerance and best.sure:
            break
    return best


class _Search:
    """Starts in a frame, and what comes of them."""

    def __init__(
        self, frame: Frame, chemistry: Chemistry, fingerprint: NDArray[np.float64]
    ) -> None:
        self.frame, self.chemistry, self.fingerprint = frame, chemistry, fingerprint
        self.levels = np.unique(chemistry.table[chemistry.numbers])

    def sizes(self, least: int) -> list[int]:
        """Numbers of atoms to try: from the largest that free weights can be found for, down."""
        total, axes = self.frame.target[0], self.frame.axes
        slack = 1.0 if self.chemistry.fingerprints.decay(np.ones((1, 3)))[0] == 1 else 1.5
        first = max(least, 1, int(np.ceil(total / self.levels[-1] - 1e-3)))
        last = int(slack * total / self.levels[0] + 1e-3)
        last = min(last, self.frame.equations // axes)
        sizes = [n for n in range(last, first - 1, -1) if slack > 1 or self._reached(n, total)]
        return [n for n in sizes if self._free(n)] + [n for n in sizes[::-1] if not self._free(n)]

    def start(self, n: int, rng: np.random.Generator) -> Candidate:
        """Fit so many atoms from random places."""
        frame = self.frame
        weights = np.full(n, frame.target[0] / n)
        places, _, misfit = frame.fit(_scattered(n, frame.axes, rng), weights, -1.0, 1e-3)
        if len(self.levels) > 1:
            places, weights, _ = frame.fit(places, weights, PULL)
            places, weights, misfit = frame.fit(places, weights, 0.0)
            merged = _merged(places, weights, 0.1 * self.levels[0])
            if len(merged[1]) < n:
                places, weights, misfit = frame.fit(*merged, 0.0)
        if misfit > NEAR:
            return NOTHING
        points = frame.centre + places @ frame.stretch.T
        plain = weights / np.maximum(self.chemistry.fingerprints.decay(points), 1e-9)
        return self.chemistry.atoms(points, plain, self.fingerprint, 1e-8, 1e-11)

    def _free(self, n: int) -> bool:
        """Whether there are moments enough for places and weights of so many atoms."""
        return (self.frame.axes + (len(self.levels) > 1)) * n <= self.frame.equations

    def _reached(self, n: int, total: float) -> bool:
        """Whether so many atoms can have a total weight."""
        sums = np.zeros(1)
        for left in range(n - 1, -1, -1):
            sums = np.unique(np.round((sums[:, None] + self.levels).ravel(), 6))
            short = total - sums
            sums = sums[
                (short > left * self.levels[0] - 1e-3) & (short < left * self.levels[-1] + 1e-3)
            ]
            if len(sums) > MOST_SUMS:
                return True
        return bool(np.any(np.abs(sums - total) < 1e-5 * total))


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
