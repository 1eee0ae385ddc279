"""Different environments with one fingerprint, from the singular point where such pairs meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distdesc.singular.bounds import Bounds
from distdesc.singular.ladder import alike
from distdesc.singular.point import Point
from distdesc.singular.sight import Sight, complement
from distdesc.singular.third_order import third_order

SEPARATIONS = (0.2, 0.12, 0.06, 0.03, 0.015, 0.008)
"""Of the two environments along the null motion, in Å, in the order in which they are tried."""

LEAST_GROWTH = 1.1
"""Smallest factor by which a pair that was found is still drawn further apart."""

ENOUGH = 0.05
"""In Å: a pair that differs by as much is taken, and drawn no further apart."""

EQUAL = 1e-13
"""Largest difference of fingerprints, relative to their length, that may count as none."""

AS_TURNED = 10.0
"""
And relative to what a rotation of one environment makes, or a shift of a crystal.

Ends that differ by the cube of their distance, or by a higher power, would otherwise count.
"""

DIFFERENT = 0.1
"""Smallest misfit of a pair, relative to its separation: less is the same environment again."""

ROUNDING = 1e-15
"""Relative difference of fingerprints that is no longer made smaller."""

ITERATIONS = 40
"""To make fingerprints equal, at most."""


@dataclass(frozen=True)
class Pair:
    """
    Two environments that the fingerprint takes for the same.

    Parameters
    ----------
    first, second : Point
        The environments, neighbours in the same order, on either side of the singular point.
    residual : float
        Difference of their fingerprints, relative to the length of the fingerprint.
    misfit : float
        How different they are, in Å: length of the displacement of all neighbours together in
        the alignment, rotation and order of like neighbours, that suits them best.
    """

    first: Point
    second: Point
    residual: float
    misfit: float


def find_pair(
    sight: Sight,
    motion: NDArray[np.float64],
    bounds: Bounds | None = None,
    separations: Sequence[float] = SEPARATIONS,
) -> Pair | None:
    """
    Find a degenerate pair on either side of a singular point.

    To second order, ``x + e v`` and ``x - e v`` have the same fingerprint if ``J v = 0``. To third
    order they have only if their middle is right (see `ThirdOrder`), which need not be x: it may
    be as far from x as the ends are from it. About every such middle, both ends are moved, as
    little as possible and the separation along v kept, until the fingerprints are equal to
    rounding. Ends that turn out to be the same environment in another orientation, or with like
    neighbours exchanged, are no pair; nearer to the singular point there may be one, which is then
    drawn apart step by step.

    Parameters
    ----------
    sight : Sight
        Descriptor and singular point.
    motion : ndarray, shape (3 n,), float64
        A null motion v of length one.
    bounds : Bounds, optional
        Where the ends may go, as seen from the singular point.
    separations : sequence of float
        Distances along v to try, in Å.

    Returns
    -------
    Pair or None
        None if no separation leads to one, because there are none nearby.
    """
    bounds = bounds or Bounds()
    start = sight.point.vectors.ravel()
    middles = third_order(sight, motion).middles()
    tries = (
        (pair_near(sight, bounds, (start + half * middle, half * motion)), bool(np.any(middle)))
        for half in np.array(separations) / 2
        for middle in middles
    )
    for found, aside in tries:
        if found is not None:
            return _drawn_apart(sight, bounds, found, 1 if aside else 2)
    return None


def _drawn_apart(sight: Sight, bounds: Bounds, pair: Pair, power: int) -> Pair:
    """Pair of the same kind that differs enough, its middle off by a power of the separation."""
    start, growth = sight.point.vectors.ravel(), 2.0
    while pair.misfit < ENOUGH and growth > LEAST_GROWTH:
        ends = pair.first.vectors.ravel(), pair.second.vectors.ravel()
        middle, half = (ends[0] + ends[1]) / 2, (ends[0] - ends[1]) / 2
        wanted = start + growth**power * (middle - start), growth * half
        further = pair_near(sight, bounds, wanted)
        if further is not None and further.misfit > pair.misfit:
            pair = further
        else:
            growth = float(np.sqrt(growth))
    return pair


def pair_near(
    sight: Sight, bounds: Bounds, ends: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> Pair | None:
    """
    Make two ends a degenerate pair, if they nearly are one.

    Parameters
    ----------
    sight : Sight
        Descriptor and singular point.
    bounds : Bounds
        Where the ends may go, as seen from the singular point.
    ends : tuple of ndarray, shape (3 n,), float64
        Their middle and half of their difference, in Å.

    Returns
    -------
    Pair or None
        None if there is none nearby with one fingerprint, or the ends are one environment.
    """
    found = _equalised(sight, bounds, *ends)
    if found is None:
        return None
    first, second, residual = (sight.point.at(found[0]), sight.point.at(found[1]), found[2])
    if residual > AS_TURNED * _rounding(sight, found[0]):
        return None
    reflections = not sight.descriptor.parity_odd
    labels = alike(sight.descriptor, sight.point)
    different = sight.subject.misfit(first.vectors, second.vectors, labels, reflections)
    if different <= DIFFERENT * 2 * np.linalg.norm(ends[1]):
        return None
    return Pair(first, second, residual, different)


def _equalised(
    sight: Sight, bounds: Bounds, middle: NDArray[np.float64], half: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float] | None:
    """Ends with equal fingerprints near ``middle + half`` and ``middle - half``; None if none."""
    start = sight.point.vectors.ravel()
    limits = sight.limits(bounds, start)
    middles = sight.motions(start)
    halves = middles @ complement(middles.T @ half[:, None] / np.linalg.norm(half))
    n, damping = middles.shape[1], 0.0
    ends = np.stack([middle + half, middle - half])
    difference, size = _difference(sight, ends)
    residual = float(np.linalg.norm(difference)) / size
    for _ in range(ITERATIONS):
        if residual < ROUNDING:
            break
        one, other = sight.jacobians(ends)
        slopes = np.vstack([middles.T @ (one - other), halves.T @ (one + other)])
        step = _damped(slopes, difference, damping)
        step *= min(1.0, bounds.step / max(float(np.linalg.norm(step)), 1e-300))
        ahead = middle - middles @ step[:n], half - halves @ step[n:]
        wanted = np.stack([ahead[0] + ahead[1], ahead[0] - ahead[1]])
        if not all(limits.admit(end) for end in wanted):
            return None
        new_difference, size = _difference(sight, wanted)
        new = float(np.linalg.norm(new_difference)) / size
        if new < residual:
            (middle, half), ends, damping = ahead, wanted, damping / 10
            difference, residual = new_difference, new
        elif residual < EQUAL or damping > 1:
            break
        else:
            damping = max(10 * damping, 1e-8)
    return (ends[0], ends[1], residual) if residual <= EQUAL else None


def _difference(sight: Sight, ends: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Difference of the fingerprints of two ends, and their length."""
    one, other = sight.features(ends)
    return one - other, max(float(np.linalg.norm(one)), 1e-300)


def _rounding(sight: Sight, coordinates: NDArray[np.float64]) -> float:
    """Relative difference of the fingerprints of one environment and the same, elsewhere."""
    moved = sight.subject.elsewhere(coordinates)
    difference, size = _difference(sight, np.stack([coordinates, moved]))
    return float(np.linalg.norm(difference)) / size


def _damped(
    slopes: NDArray[np.float64], difference: NDArray[np.float64], damping: float
) -> NDArray[np.float64]:
    """Shortest solution of the linear model, or with damping a shorter approximate one."""
    q, r = np.linalg.qr(slopes.T)
    left, sizes, right = np.linalg.svd(r.T, full_matrices=False)
    largest = sizes[0] if len(sizes) and sizes[0] > 0 else 1.0
    kept = sizes > 1e-12 * largest
    factors = sizes[kept] / (sizes[kept] ** 2 + damping * largest**2)
    step: NDArray[np.float64] = left[:, kept] @ (factors * (right[kept] @ (q.T @ difference)))
    return step
