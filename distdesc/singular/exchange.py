"""Degenerate pairs of correlations of two, from the scalar products that their ends exchange."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, permutations, product

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from distdesc.singular.bounds import Bounds
from distdesc.singular.distance import newton_step
from distdesc.singular.ladder import alike, body_order
from distdesc.singular.partner import Pair, pair_near
from distdesc.singular.sight import Sight
from distdesc.singular.subject import Neighbourhood

NEAR = (0.02, 0.1)
"""In Å: differences of two distances that can be made equal, in the order they are tried."""

CHANGED = 0.02
"""Change of a product along a motion, relative to the largest, that has to be made up for."""

BALANCED = 0.1
"""What is left of changes that make up for each other, relative to the largest of them."""

LONGEST = 4
"""Products that take each other's place in turn, at most."""

MOST_ALIKE = 8
"""Products that can be made equal; of more there are too many exchanges."""

MOST = 24
"""Exchanges that are tried, and ways of each set of like products."""

ITERATIONS = 12
"""To make an exchange exact, at most."""

DAMPING = 1e-12
"""Of steps, squared: motions that change the equations less, relatively, are as good as none."""

EXACT = 1e-10
"""In Å²: difference of scalar products that the fingerprint is left to make up for."""


@dataclass(frozen=True)
class Exchange:
    """
    Scalar products that are exchanged between two environments of the same neighbours.

    A fingerprint that correlates two neighbours at once knows the distances from the centre and
    the scalar products of neighbours, and of which two elements and distances each is; not which
    go together. Two environments whose products are the same up to an exchange within these sets
    have one fingerprint in any basis.

    Parameters
    ----------
    places : ndarray, shape (n (n + 1) / 2,), int64
        Of each product of the lower triangle, row by row, the one whose value at the first end it
        has at the second.
    level : ndarray, shape (k, 2), int64
        Neighbours that have to be at one distance from the centre for it.
    """

    places: NDArray[np.int64]
    level: NDArray[np.int64]


def pair_by_exchange(
    sight: Sight, motion: NDArray[np.float64], bounds: Bounds, separations: Sequence[float]
) -> Pair | None:
    """
    Find a degenerate pair by solving for environments with exchanged scalar products.

    Products that are nearly the same and change along a null motion make up for each other, in
    sets of two to four. At the ends of a pair those of a set have taken each other's place. Which
    sets and in which turn is tried; then the products are equations for both ends, which are
    exact, unlike the features: these hardly change where one neighbour is far away, or where an
    exchange is nearly a reflection, and leave a search on its way to a mirror image.

    Parameters
    ----------
    sight : Sight
        Descriptor and singular point; nothing is found unless the descriptor correlates two
        neighbours at once, of an environment.
    motion : ndarray, shape (3 n,), float64
        A null motion of length one.
    bounds : Bounds
        Where the ends may go, as seen from the singular point.
    separations : sequence of float
        Distances of the ends along the motion to try, in Å.
    """
    if body_order(sight.descriptor) != 2 or not isinstance(sight.subject, Neighbourhood):
        return None
    tried: set[bytes] = set()
    for exchange in (e for near in NEAR for e in exchanges(sight, motion, near)):
        if (key := exchange.places.tobytes()) in tried:
            continue
        tried.add(key)
        for separation in separations:
            ends = _exchanged(sight, motion, bounds, separation / 2, exchange)
            found = None if ends is None else pair_near(sight, bounds, ends)
            if found is not None:
                return found
    return None


def exchanges(sight: Sight, motion: NDArray[np.float64], near: float) -> list[Exchange]:
    """
    Exchanges of scalar products that the ends of a null motion may differ by.

    Parameters
    ----------
    sight : Sight
        Descriptor and singular point.
    motion : ndarray, shape (3 n,), float64
        A null motion of length one.
    near : float
        Difference of distances that can be made equal, in Å.

    Returns
    -------
    list of Exchange
        At most `MOST`; empty if some product changes that nothing makes up for.
    """
    vectors, moved = sight.point.vectors, motion.reshape(-1, 3)
    first, second = np.tril_indices(len(vectors))
    changes = np.sum(moved[first] * vectors[second] + vectors[first] * moved[second], axis=1)
    least = CHANGED * float(np.max(np.abs(changes), initial=0.0))
    labels = alike(sight.descriptor, sight.point)
    ways: list[list[tuple[tuple[int, ...], ...]]] = []
    for members in _alike(vectors, labels, near):
        largest = float(np.max(np.abs(changes[members])))
        if largest <= least:
            continue
        if len(members) > MOST_ALIKE:
            return []
        slack = max(BALANCED * largest, least)
        own = {int(k): float(changes[k]) for k in members}
        cuts = _partitions(list(own), own, slack)
        ways.append(list(islice((turns for cut in cuts for turns in _turns(cut)), MOST)))
    if not ways or not all(ways):
        return []
    return [_made(vectors, labels, turns) for turns in _choices(ways) if any(turns)]


def _alike(
    vectors: NDArray[np.float64], labels: NDArray[np.int32], near: float
) -> Iterator[NDArray[np.int64]]:
    """Sets of products of two neighbours, of the same elements and nearly the same distances."""
    first, second = np.tril_indices(len(vectors))
    those = np.flatnonzero(first != second)
    first, second = first[those], second[those]
    radii = np.linalg.norm(vectors, axis=1)
    apart = np.linalg.norm(vectors[first] - vectors[second], axis=1)
    close = np.abs(apart[:, None] - apart) <= near

    def _like(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
        same = labels[one][:, None] == labels[other]
        return np.asarray(same & (np.abs(radii[one][:, None] - radii[other]) <= near))

    straight = _like(first, first) & _like(second, second)
    crossed = _like(first, second) & _like(second, first)
    n, component = connected_components(close & (straight | crossed), directed=False)
    for k in range(n):
        yield those[component == k]


def _partitions(
    left: list[int], changes: dict[int, float], slack: float
) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Ways to cut a set of products into parts whose changes make up for each other."""
    if not left:
        yield ()
        return
    one, others = left[0], left[1:]
    for size in (2, 3, 1, LONGEST):
        for more in combinations(others, size - 1):
            if abs(changes[one] + sum(changes[k] for k in more)) <= slack:
                rest = [k for k in others if k not in more]
                for cut in _partitions(rest, changes, slack):
                    yield ((one, *more), *cut)


def _turns(cut: tuple[tuple[int, ...], ...]) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Orders in which products take each other's place; those that keep their own left out."""
    parts = [part for part in cut if len(part) > 1]
    orders = [[(part[0], *rest) for rest in permutations(part[1:])] for part in parts]
    yield from product(*orders)


def _choices(
    ways: list[list[tuple[tuple[int, ...], ...]]],
) -> list[tuple[tuple[int, ...], ...]]:
    """One way of each set, in all combinations, or some at random."""
    total = 1
    for own in ways:
        total *= len(own)
    if total <= MOST:
        chosen = list(product(*ways))
    else:
        rng = np.random.default_rng(0)
        drawn = (tuple(own[rng.integers(len(own))] for own in ways) for _ in range(MOST))
        chosen = list(dict.fromkeys(drawn))
    return [tuple(turn for own in choice for turn in own) for choice in chosen]


def _made(
    vectors: NDArray[np.float64], labels: NDArray[np.int32], turns: tuple[tuple[int, ...], ...]
) -> Exchange:
    """What each product becomes, and which neighbours have to be level."""
    first, second = np.tril_indices(len(vectors))
    radii = np.linalg.norm(vectors, axis=1)
    places, level = np.arange(len(first)), set()
    for turn in turns:
        for one, other in zip(turn, turn[1:] + turn[:1], strict=True):
            places[one] = other
            i, j, k, m = first[one], second[one], first[other], second[other]
            straight = abs(radii[i] - radii[k]) + abs(radii[j] - radii[m])
            crossed = abs(radii[i] - radii[m]) + abs(radii[j] - radii[k])
            if labels[i] != labels[k] or (crossed < straight and labels[i] == labels[m]):
                k, m = m, k
            level |= {(int(a), int(b)) for a, b in ((i, k), (j, m)) if a != b}
    return Exchange(places, np.array(sorted(level), dtype=np.int64).reshape(-1, 2))


def _exchanged(
    sight: Sight,
    motion: NDArray[np.float64],
    bounds: Bounds,
    half: float,
    exchange: Exchange,
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Middle, and half of the difference, of ends with exchanged products; None if none nearby."""
    start = sight.point.vectors.ravel()
    limits, size = sight.limits(bounds, start), len(start)
    middle, apart, before = start, half * motion, np.inf
    for _ in range(ITERATIONS):
        off, slopes = _equations(middle + apart, middle - apart, exchange)
        slopes[size:] -= np.outer(motion, motion @ slopes[size:])  # the ends stay that far apart
        left = float(np.linalg.norm(off))
        if left <= EXACT or not left < before:
            break
        step = newton_step(slopes @ slopes.T, slopes @ off, DAMPING)
        step *= min(1.0, bounds.step / max(float(np.linalg.norm(step)), 1e-300))
        middle, apart, before = middle + step[:size], apart + step[size:], left
    ends = middle + apart, middle - apart
    return (middle, apart) if left <= EXACT and all(map(limits.admit, ends)) else None


def _equations(
    one: NDArray[np.float64], other: NDArray[np.float64], exchange: Exchange
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What is wrong with two ends, in Å², and its derivatives by their middle and difference."""
    values, slopes = _products(one)
    other_values, other_slopes = _products(other)
    n = len(one) // 3
    rows = exchange.level
    squares = rows * (rows + 3) // 2  # where the product of a neighbour with itself is
    level = values[squares[:, 0]] - values[squares[:, 1]]
    level_slopes = slopes[:, squares[:, 0]] - slopes[:, squares[:, 1]]
    off = np.concatenate([other_values - values[exchange.places], level])
    taken = slopes[:, exchange.places]
    both = np.empty((6 * n, len(off)))
    both[: 3 * n] = np.hstack([other_slopes - taken, level_slopes])
    both[3 * n :] = np.hstack([-other_slopes - taken, level_slopes])
    return off, both


def _products(
    coordinates: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scalar products of neighbours, in Å², and derivatives by their positions, in Å."""
    vectors = coordinates.reshape(-1, 3)
    n = len(vectors)
    first, second = np.tril_indices(n)
    slopes = np.zeros((n, 3, len(first)))
    each = np.arange(len(first))
    slopes[first, :, each] += vectors[second]
    slopes[second, :, each] += vectors[first]
    values = np.sum(vectors[first] * vectors[second], axis=1)
    return values, slopes.reshape(3 * n, -1)
