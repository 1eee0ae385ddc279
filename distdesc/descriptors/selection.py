"""Which invariants to take: all up to degree three, or just as many as are independent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.couplings import coupling_tensor
from distdesc.descriptors.density import moments, n_moments, tensors
from distdesc.descriptors.invariants import TOTAL, Coupling, Invariant, Tensor

N_POINTS = 4
"""Generic environments at which independence is tested while choosing."""
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

    They are chosen l by l. With the moments of lower l given, the ones of this l are determined
    by invariants in which they occur at most with lower ones: first degree two (never blind,
    whatever the symmetry), then couplings of two lower tensors with one of this l, which are
    linear in the unknowns. The matrix of derivatives is therefore block triangular, and the rank
    of each diagonal block is what the pivoting counts. Couplings are of the total density, so
    that all channels share them, and no element need be present for another to be described.
    Where degree three does not suffice (orders 2 and 3), a few of degree four follow.

    Parameters
    ----------
    order : int
        Largest n.
    n_channels : int
        Densities of an environment.
    odd : bool
        Whether to add pseudoscalars; they are not independent of the rest.
    """
    chosen = [Invariant(t) for c in range(n_channels) for t in tensors_of(order, c) if t.l == 0]
    gauge = 3
    points = _generic_points(order, n_channels)
    for l in range(1, order + 1):
        level = _Level(l, order, n_channels, points)
        fixed = min(gauge, 3 if len(level.members) > 1 or l > 1 else 2)
        gauge -= fixed
        chosen += level.choose(len(level.members) * (2 * l + 1) - fixed)
    if odd:
        members = [t for c in range(n_channels) for t in tensors_of(order, c)]
        found = sorted(
            degree_three(members, odd=True),
            key=lambda v: (sum(t.n for t in v.tensors), max(t.n for t in v.tensors), v),
        )
        chosen += found[:N_PSEUDOSCALARS]
    return tuple(chosen)


@lru_cache(maxsize=4)
def _generic_points(order: int, n_channels: int) -> dict[Tensor, NDArray[np.float64]]:
    """Tensors of random environments, shape (N_POINTS, 2 l + 1) each, and their sums."""
    rng = np.random.default_rng(20210419)
    values = np.empty((N_POINTS, n_channels, n_moments(order)))
    for point in range(N_POINTS):
        directions = rng.normal(size=(n_channels, 24, 3))
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        radii = rng.uniform(0.2, 1.0, size=(n_channels, 24, 1)) ** (1 / 3)
        for channel in range(n_channels):
            places = directions[channel] * radii[channel]
            values[point, channel] = moments(places, rng.uniform(0.5, 1.5, size=24), order)
    found = {}
    for n, l, offset in tensors(order):
        block = values[:, :, offset : offset + 2 * l + 1]
        found[Tensor(TOTAL, n, l)] = block.sum(axis=1)
        for channel in range(n_channels):
            found[Tensor(channel, n, l)] = block[:, channel]
    return found


class _Level:
    """
    Choice of the invariants of one l.

    Parameters
    ----------
    l : int
        Angular momentum of the unknown tensors.
    order : int
        Largest n.
    n_channels : int
        Densities of an environment.
    points : dict of Tensor to ndarray, shape (N_POINTS, 2 * l + 1)
        Values of all tensors.
    """

    def __init__(
        self, l: int, order: int, n_channels: int, points: dict[Tensor, NDArray[np.float64]]
    ) -> None:
        self.l, self.points = l, points
        members = [t for c in range(n_channels) for t in tensors_of(order, c) if t.l == l]
        self.members = members
        self.totals = [t for t in tensors_of(order, TOTAL if n_channels > 1 else 0) if t.l == l]
        self.lower = [t for t in tensors_of(order, TOTAL if n_channels > 1 else 0) if 0 < t.l < l]
        self.up_to = [t for c in range(n_channels) for t in tensors_of(order, c) if 0 < t.l <= l]
        self.size = len(members) * (2 * l + 1)
        self.basis = np.zeros((N_POINTS, self.size, self.size))
        self.chosen: list[Invariant] = []

    def choose(self, wanted: int) -> list[Invariant]:
        """Invariants whose derivatives by the unknowns have the wanted rank."""
        diagonal = [Invariant(t, t) for t in self.members]
        cross = [Invariant(a, b) for a in self.totals for b in self.members if a != b]
        self._take(diagonal + cross, wanted)
        self._take_couplings(wanted)
        self._take(self._nonlinear(), wanted)
        if len(self.chosen) < wanted:
            self._take(self._degree_four(), wanted)
        if len(self.chosen) != wanted:
            raise ArithmeticError(f"{len(self.chosen)} of {wanted} invariants of l = {self.l}")
        return self.chosen

    def _couplings(self) -> list[Coupling]:
        return [
            Coupling(a, b, self.l)
            for a, b in combinations_with_replacement(sorted(self.lower, key=lambda t: t.l), 2)
            if abs(a.l - b.l) <= self.l <= a.l + b.l and (a.l + b.l + self.l) % 2 == 0
        ]

    def _take_couplings(self, wanted: int) -> None:
        """Take, again and again, the cheapest of those that add nearly the most."""
        pool = self._couplings()
        if not pool:
            return
        costs = np.array([_cost(coupling) for coupling in pool])
        rests = [[self._gradient(Invariant(c, t)) for t in self.members] for c in pool]
        rest = np.array(rests)  # (coupling, member, point, size): what each would add
        rest /= np.linalg.norm(rest, axis=3, keepdims=True)
        used = 0
        while len(self.chosen) < wanted:
            new = self.basis[:, used : len(self.chosen)]
            rest -= np.einsum("cmpk,pkx->cmpx", np.einsum("cmpx,pkx->cmpk", rest, new), new)
            used = len(self.chosen)
            scores = np.linalg.norm(rest, axis=3).min(axis=2).sum(axis=1)
            if np.max(scores) < LEAST:
                return
            good = np.flatnonzero(scores >= 0.7 * np.max(scores))
            best = pool[good[np.argmin(costs[good])]]
            self._take((Invariant(best, t) for t in self.members), wanted)

    def _nonlinear(self) -> Iterator[Invariant]:
        """Degree three with two or three unknown tensors."""
        for invariant in degree_three(self.up_to, odd=False):
            if sum(t.l == self.l for t in invariant.tensors) > 1:
                yield invariant

    def _degree_four(self) -> Iterator[Invariant]:
        """Dot products of two couplings with unknown tensors."""
        couplings = [
            Coupling(a, b, j)
            for a, b in combinations_with_replacement(self.up_to, 2)
            for j in range(max(1, abs(a.l - b.l)), a.l + b.l + 1)
            if j <= self.l and (a.l + b.l + j) % 2 == 0
        ]
        for a, b in combinations_with_replacement(couplings, 2):
            if a.l == b.l and any(t.l == self.l for t in (*a[:2], *b[:2])):
                yield Invariant(a, b)

    def _take(self, candidates: Iterable[Invariant], wanted: int) -> None:
        for candidate in candidates:
            if len(self.chosen) == wanted:
                return
            part, length = self._new_part(self._gradient(candidate))
            if np.min(length) > LEAST:
                self.basis[:, len(self.chosen)] = part / length[:, None]
                self.chosen.append(candidate)

    def _new_part(
        self, gradient: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Part of unit gradients that is orthogonal to what was chosen, and its length."""
        unit = gradient / np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-300)
        basis = self.basis[:, : len(self.chosen)]
        for _ in range(2):  # once more for orthogonality to rounding
            unit = unit - np.einsum("pk,pkx->px", np.einsum("pkx,px->pk", basis, unit), basis)
        return unit, np.linalg.norm(unit, axis=1)

    def _gradient(self, invariant: Invariant) -> NDArray[np.float64]:
        """Derivative by the unknown moments, shape (N_POINTS, size)."""
        width = 2 * self.l + 1
        gradient = np.zeros((N_POINTS, len(self.members), width))
        for tensor, part in _derivatives(invariant, lambda t: self.points[t]):
            if tensor.l == self.l:
                for k, member in enumerate(self.members):
                    if tensor in (member, member._replace(channel=TOTAL)):
                        gradient[:, k] += part
        return gradient.reshape(N_POINTS, self.size)


def _cost(coupling: Coupling) -> int:
    tensor = coupling_tensor(coupling.first.l, coupling.second.l, coupling.l)
    return int(np.count_nonzero(tensor))


Values = Callable[[Tensor], NDArray[np.float64]]


def _derivatives(
    invariant: Invariant, value: Values
) -> Iterator[tuple[Tensor, NDArray[np.float64]]]:
    """Each tensor of an invariant (degree two to four) with the derivative by it, up to scale."""
    left, right = invariant
    assert right is not None
    for one, other in ((left, right), (right, left)):
        outer = _value(other, value)
        if isinstance(one, Tensor):
            yield one, outer
        else:
            tensor = coupling_tensor(one.first.l, one.second.l, one.l)
            yield one.first, np.einsum("ijk,pj,pk->pi", tensor, value(one.second), outer)
            yield one.second, np.einsum("ijk,pi,pk->pj", tensor, value(one.first), outer)


def _value(operand: Tensor | Coupling, value: Values) -> NDArray[np.float64]:
    if isinstance(operand, Tensor):
        return value(operand)
    tensor = coupling_tensor(operand.first.l, operand.second.l, operand.l)
    result: NDArray[np.float64] = np.einsum(
        "ijk,pi,pj->pk", tensor, value(operand.first), value(operand.second)
    )
    return result
