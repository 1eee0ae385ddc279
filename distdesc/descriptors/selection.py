"""Which invariants to take: all up to degree three, or just as many as are independent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import combinations_with_replacement, product
from math import pi
from random import Random

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.couplings import coupling_tensor
from distdesc.descriptors.density import moments, n_moments, tensors
from distdesc.descriptors.invariant_gradients import derivatives
from distdesc.descriptors.invariants import TOTAL, Coupling, Invariant, Tensor
from distdesc.descriptors.marchable import LEAST_ORDER, marchable_set

CHEAP = 100
"""Terms of a coupling that halve its attraction while nothing else shares it."""
LEAST = 1e-4
"""Part of an invariant's gradient that must be new, relative to its length."""
N_PSEUDOSCALARS = 5
"""Pseudoscalars that an independent set gets on top, at most."""


def tensors_of(order: int, channel: int) -> list[Tensor]:
    """
    Tensors of one channel, in the order of the moments.

    Parameters
    ----------
    order : int
        Largest n.
    channel : int
        Or ``TOTAL``.
    """
    return [Tensor(channel, n, l) for n, l, _ in tensors(order)]


def degree_three(members: Iterable[Tensor], odd: bool) -> Iterator[Invariant]:
    """
    All invariants of degree three, each once.

    The coupling is of the two tensors of lowest l, which is the cheapest.

    Parameters
    ----------
    members : iterable of Tensor
        Scalars among them are left out: they would only multiply invariants of degree two.
    odd : bool
        Pseudoscalars, or else scalars.

    Yields
    ------
    Invariant
        Ordered so that those that share a coupling follow each other.
    """
    sorted_members = sorted((t for t in members if t.l > 0), key=lambda t: (t.l, t.channel, t.n))
    for i, a in enumerate(sorted_members):
        for j, b in enumerate(sorted_members[i:], start=i):
            for c in sorted_members[j:]:
                if not (abs(a.l - b.l) <= c.l <= a.l + b.l):
                    continue
                if (a.l + b.l + c.l) % 2 != odd or (odd and len({a, b, c}) < 3):
                    continue
                yield Invariant(Coupling(a, b, c.l), c)


def full_set(order: int, n_channels: int, odd: bool) -> tuple[Invariant, ...]:
    """
    All invariants of degrees one, two and three; then the pseudoscalars, if wanted.

    Parameters
    ----------
    order : int
        Largest n.
    n_channels : int
        Densities of an environment.
    odd : bool
        Whether to include pseudoscalars.
    """
    members = [t for channel in range(n_channels) for t in tensors_of(order, channel)]
    chosen = [Invariant(t) for t in members if t.l == 0]
    pairs = combinations_with_replacement([t for t in members if t.l > 0], 2)
    chosen += [Invariant(a, b) for a, b in pairs if a.l == b.l]
    chosen += degree_three(members, odd=False)
    if odd:
        chosen += degree_three(members, odd=True)
    return tuple(chosen)


@lru_cache(maxsize=16)
def independent_set(order: int, n_channels: int, odd: bool) -> tuple[Invariant, ...]:
    """
    As many invariants as there are moments, less the three rotations.

    Those of one density are chosen so that they can be solved for the moments, tensor by tensor
    (see `marchable_set`); below order 5, and of several densities, by pivoting.

    Parameters
    ----------
    order : int
        Largest n.
    n_channels : int
        Densities of an environment.
    odd : bool
        Whether to add pseudoscalars; they are not independent of the rest.
    """
    if n_channels == 1 and order >= LEAST_ORDER:
        chosen = marchable_set(full_set(order, 1, odd=False), order)
    else:
        chosen = _pivoted(order, n_channels)
    if odd:
        members = [t for c in range(n_channels) for t in tensors_of(order, c)]
        found = sorted(
            degree_three(members, odd=True),
            key=lambda v: (sum(t.n for t in v.tensors), max(t.n for t in v.tensors), v),
        )
        chosen = [*chosen, *found[:N_PSEUDOSCALARS]]
    return tuple(chosen)


@lru_cache(maxsize=16)
def _pivoted(order: int, n_channels: int) -> list[Invariant]:
    """
    Invariants pivoted out of a pool.

    Next is always the one whose gradient by the moments is least spanned by those already
    chosen, at the worst of a few generic environments, with a preference for couplings that are
    cheap or already in use. First come powers of single tensors, which are not blind for lack of
    partners in symmetric environments. With several densities, couplings are of their sum: all
    share them, and an absent element does not blind the others. Degree three suffices but for
    orders 2 and 3 of one density, where one and three of degree four must help.
    """
    wanted = n_channels * n_moments(order) - (3 if order > 1 or n_channels > 1 else 2)
    pool = _one_density_pool(order) if n_channels == 1 else _shared_pool(order, n_channels)
    points = _generic_points(order, n_channels)
    return _pivot(pool, _gradients(pool, points, order, n_channels), wanted)


def _one_density_pool(order: int) -> list[Invariant]:
    pool = list(full_set(order, 1, odd=False))
    if order < 4:
        members = [t for t in tensors_of(order, 0) if t.l > 0]
        pool += _degree_four(members, members)
    return pool


def _shared_pool(order: int, n_channels: int) -> list[Invariant]:
    """Invariants of several densities: those of their sum, each factor in turn of one density."""
    channels = range(n_channels)
    members = [t for c in channels for t in tensors_of(order, c)]
    totals = [t for t in tensors_of(order, TOTAL) if t.l > 0]
    pool = [Invariant(t) for t in members if t.l == 0]
    pool += [Invariant(t, t) for t in members if t.l > 0]
    pool += [Invariant(a, b) for a in totals for b in members if a.l == b.l]
    found: dict[Invariant, None] = {}
    for invariant in _pivoted(order, 1):
        if len(invariant.tensors) == 3:
            for single in range(3):
                a, b = (t._replace(channel=TOTAL) for t in _others(invariant.tensors, single))
                c = invariant.tensors[single]
                coupling = Coupling(a, b, c.l)
                found |= {Invariant(coupling, c._replace(channel=k)): None for k in channels}
    pool += found
    if order < 4:  # the few couplings of such a sum do not suffice
        pool += full_set(order, n_channels, odd=False)
        pool += _degree_four(totals, [t for t in members if t.l > 0])
    return list(dict.fromkeys(pool))


def _degree_four(totals: Sequence[Tensor], members: Sequence[Tensor]) -> Iterator[Invariant]:
    """Dot products of two couplings, one of them of sums."""

    def couplings(left: Sequence[Tensor], right: Sequence[Tensor]) -> Iterator[Coupling]:
        for a, b in product(left, right):
            for l in range(max(1, abs(a.l - b.l)), a.l + b.l + 1):
                if (a.l + b.l + l) % 2 == 0 and a <= b:
                    yield Coupling(a, b, l)

    for one, other in product(couplings(totals, totals), couplings(members, members)):
        if one.l == other.l:
            yield Invariant(one, other)


def _others(triple: Sequence[Tensor], single: int) -> list[Tensor]:
    return sorted((t for k, t in enumerate(triple) if k != single), key=lambda t: (t.l, t.n))


def _pivot(
    pool: Sequence[Invariant], gradients: NDArray[np.float64], wanted: int
) -> list[Invariant]:
    """Choose from a pool by unit gradients, shape (n_points, n_pool, n_moments)."""
    keys = [v.left if isinstance(v.left, Coupling) else None for v in pool]
    group = {key: k for k, key in enumerate(dict.fromkeys(keys))}
    groups = np.array([group[key] for key in keys])
    preference = np.array([1.0 if key is None else 1 / (1 + _cost(key) / CHEAP) for key in keys])
    # one kind after the other: powers of one tensor, up to degree three, degree four
    kinds = np.array([2 if len(v.tensors) > 3 else int(len(set(v.tensors)) > 1) for v in pool])
    basis = np.zeros((len(gradients), gradients.shape[2], wanted))
    new = np.ones(gradients.shape[:2])  # squared length of what each would add, at each point
    chosen: list[int] = []
    kind = 0
    while len(chosen) < wanted:
        scores = np.where(kinds == kind, np.min(new, axis=0) * preference**2, 0.0)
        scores = np.round(scores, 9)  # or else rounding decides between equals
        scores[chosen] = 0.0
        best = int(np.argmax(scores))
        if np.min(new[:, best]) < LEAST**2 or scores[best] == 0.0:
            if kind == np.max(kinds):
                raise ArithmeticError(f"{len(chosen)} of {wanted} invariants are independent")
            kind += 1
            continue
        known = basis[:, :, : len(chosen)]
        part = gradients[:, best]
        for _ in range(2):  # once more for orthogonality to rounding
            part = part - np.einsum("pmk,pk->pm", known, np.einsum("pmk,pm->pk", known, part))
        part /= np.linalg.norm(part, axis=1, keepdims=True)
        basis[:, :, len(chosen)] = part
        new -= np.matmul(gradients, part[:, :, None])[:, :, 0] ** 2
        preference[groups == groups[best]] = 1.0
        chosen.append(best)
    return [pool[k] for k in sorted(chosen)]


def _cost(coupling: Coupling) -> int:
    tensor = coupling_tensor(coupling.first.l, coupling.second.l, coupling.l)
    return int(np.count_nonzero(tensor))


def _generic_points(order: int, n_channels: int) -> NDArray[np.float64]:
    """Moments of random atoms and random moments: shape (n_points, n_channels, n_moments)."""
    # of all generators, this one is promised to stay the same in later versions
    draw = Random(20210419).random
    points: list[list[NDArray[np.float64]]] = []
    for _ in range(2 if n_channels == 1 and order < 10 else 1):
        uniform = np.array([[draw() for _ in range(4 * 18)] for _ in range(n_channels)])
        height, angle, distance, weight = np.moveaxis(uniform.reshape(n_channels, 18, 4), 2, 0)
        height, angle, distance = 2 * height - 1, 2 * pi * angle, np.cbrt(distance)
        width = np.sqrt(1 - height**2)
        directions = np.stack([width * np.cos(angle), width * np.sin(angle), height], axis=2)
        places = directions * distance[:, :, None]
        points.append([moments(p, w + 0.5, order) for p, w in zip(places, weight, strict=True)])
        size = n_moments(order)
        points.append([np.array([2 * draw() - 1 for _ in range(size)]) for _ in places])
    return np.array(points)


def _gradients(
    pool: Sequence[Invariant], points: NDArray[np.float64], order: int, n_channels: int
) -> NDArray[np.float64]:
    """Unit gradients of a pool by the moments, shape (n_points, n_pool, n_moments)."""
    offsets = {(n, l): offset for n, l, offset in tensors(order)}
    size = n_moments(order)

    def value(tensor: Tensor) -> NDArray[np.float64]:
        start = offsets[tensor.n, tensor.l]
        block = points[:, :, start : start + 2 * tensor.l + 1]
        values: NDArray[np.float64] = (
            block.sum(axis=1) if tensor.channel == TOTAL else block[:, tensor.channel]
        )
        return values

    gradients = np.zeros((len(points), len(pool), n_channels * size))
    for k, invariant in enumerate(pool):
        for tensor, part in derivatives(invariant, value):
            channels = range(n_channels) if tensor.channel == TOTAL else [tensor.channel]
            for channel in channels:
                start = channel * size + offsets[tensor.n, tensor.l]
                gradients[:, k, start : start + part.shape[1]] += part
    gradients /= np.linalg.norm(gradients, axis=2, keepdims=True)
    return gradients
