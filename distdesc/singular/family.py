"""Degenerate pairs of a singular point: along any of its null motions, or farther on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from distdesc.singular.bounds import Bounds
from distdesc.singular.exchange import pair_by_exchange
from distdesc.singular.ladder import larger
from distdesc.singular.partner import SEPARATIONS, Pair, find_pair
from distdesc.singular.refine import refine
from distdesc.singular.sight import Sight
from distdesc.singular.third_order import third_order

STROLLS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
"""In Å: how far singular points of the same family are looked for, and in this order."""

WAYS = 4
"""Directions in which each of these is tried."""

FAR_APART = (0.2, 0.06, 0.02)
"""Separations, in Å, that are tried there, and along mixtures of motions."""

MIXTURES = 4
"""Of several null motions, at random; beside each of them, sums and differences of any two."""


AWAY = 0.2
"""In Å: a pair about a point that far off the singular point is no longer next to it."""

LASTS = 1e-12
"""Largest relative difference of the fingerprints of a pair in a larger basis."""


BARRED = "no pair next to it: ends differ by the cube of their distance, whatever their middle"
NOT_FOUND = "no pair was found"
"""What is said where there is none."""


def pair_beside(
    sight: Sight, motions: NDArray[np.float64], bounds: Bounds | None = None
) -> tuple[Pair | None, str]:
    """
    Find a degenerate pair beside a singular point, or beside another of the same family.

    Each null motion is tried, then what can be exchanged along it (see `pair_by_exchange`), then
    mixtures of several: where these vanish together, it is not the motions that some
    decomposition happens to give along which environments come apart.
    Singular points are not isolated. Where one is nearly symmetric, the pairs about it are nearly
    one environment and its mirror image, or less than rounding apart; then its neighbours are
    tried, as far as the bounds admit, which have as many null motions at most. What is no pair
    in a larger basis does not count.

    Parameters
    ----------
    sight : Sight
        Descriptor and singular point.
    motions : ndarray, shape (3 n, k), float64
        Orthonormal null motions along which environments can come apart.
    bounds : Bounds, optional
        Where the ends may go, as seen from the singular point.

    Returns
    -------
    pair : Pair or None
        The first that is found, the nearer ones first.
    said : str
        Where it is, if not next to the point; or why there is none.
    """
    if not motions.shape[1]:
        return None, ""
    bounds, start = bounds or Bounds(), sight.point.vectors.ravel()
    # neighbours that the search held at the rim may be on either side of it
    wider = replace(bounds, rim=(1 + bounds.rim) / 2)
    for pair in _next_to(sight, motions, wider):
        if pair is not None and _lasts(sight, pair):
            middle = (pair.first.vectors + pair.second.vectors) / 2
            away = float(np.linalg.norm(middle - sight.point.vectors))
            return pair, f"the middle of the pair is {away:.2g} Å away" if away > AWAY else ""
    limits = sight.limits(wider, start)
    for there, motion in _family(sight, motions, bounds):
        pair = find_pair(there, motion, wider, FAR_APART)
        if pair is None or not _lasts(sight, pair):
            continue
        if all(limits.admit(end.vectors.ravel()) for end in (pair.first, pair.second)):
            distance = np.linalg.norm(there.point.vectors.ravel() - start)
            return pair, f"pair beside a singular point {distance:.2g} Å farther on"
    barred = all(third_order(sight, motion).barred for motion in motions.T)
    return None, BARRED if barred else NOT_FOUND


def _next_to(sight: Sight, motions: NDArray[np.float64], bounds: Bounds) -> Iterator[Pair | None]:
    """Pairs about the point itself: what each way to find one gives, one after the other."""
    for motion in motions.T:
        yield find_pair(sight, motion, bounds, SEPARATIONS)
    for motion in motions.T:
        yield pair_by_exchange(sight, motion, bounds, FAR_APART)
    for motion in _mixtures(motions):
        yield find_pair(sight, motion, bounds, FAR_APART)


def _lasts(sight: Sight, pair: Pair) -> bool:
    """Whether a pair has one fingerprint in larger bases as well, as far as there are any."""
    ends = np.stack([pair.first.vectors.ravel(), pair.second.vectors.ravel()])
    for descriptor in larger(sight.descriptor, sight.point):
        one, other = replace(sight, descriptor=descriptor).features(ends)
        if np.linalg.norm(one - other) > LASTS * np.linalg.norm(one):
            return False
    return True


def _mixtures(motions: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Unit motions that are made of several."""
    if motions.shape[1] == 1:
        return
    for one, other in combinations(motions.T, 2):
        yield (one + other) / np.sqrt(2)
        yield (one - other) / np.sqrt(2)
    shares = np.random.default_rng(0).normal(size=(MIXTURES, motions.shape[1]))
    yield from (motions @ (share / np.linalg.norm(share)) for share in shares)


def _family(
    sight: Sight, motions: NDArray[np.float64], bounds: Bounds
) -> Iterator[tuple[Sight, NDArray[np.float64]]]:
    """Singular points nearby, in directions that keep the null motion null, and their motions."""
    start = sight.point.vectors.ravel()
    limits = sight.limits(bounds, start)
    tangents = third_order(sight, motions[:, 0]).directions
    rng = np.random.default_rng(0)
    for length in STROLLS:
        for shift in rng.normal(size=(WAYS, tangents.shape[1])):
            beside = start + tangents @ (length * shift / np.linalg.norm(shift))
            if not limits.admit(beside):
                continue
            found = refine(replace(sight, point=sight.point.at(beside)), bounds)
            if found.converged and found.nulls.shape[1] <= motions.shape[1]:
                there = replace(sight, point=found.point)
                yield from ((there, motion) for motion in found.nulls.T)
