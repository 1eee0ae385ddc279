"""Moments of a density from its independent invariants, one tensor after the other."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from distdesc.decode.independent_symmetry import NO_SYMMETRY, fixed_moments
from distdesc.decode.independent_tensors import (
    Factors,
    Known,
    Problem,
    Step,
    components,
    first_vector,
    frame,
    scales,
    slopes,
    values,
)
from distdesc.decode.moment_problem import MomentMatrix
from distdesc.descriptors.density import n_moments, tensors
from distdesc.descriptors.invariants import ContractionTable, Invariant, Tensor, contraction_table
from distdesc.descriptors.marchable import last, place_in_march
from distdesc.descriptors.selection import independent_set

BRANCHES = 100
"""Solutions of one march, at most; each square that is solved has two."""

VISITS = 20
"""Tensors solved for each of them, at most."""

INDEFINITE = 1e-2
"""Relative size of a negative eigenvalue that errors of moments explain."""

SETTLING = 6
"""Steps of Gauss and Newton after each tensor, at most."""

SETTLED = 1e-11
"""Residual at which there is nothing left to settle."""

FAINT = 1e-5
"""Norm of a tensor, relative to the total weight, below which its errors are not scaled up."""


class IndependentMarch:
    """
    Solves a set of independent invariants for the moments, tensor by tensor.

    The axes of the quadrupole, whose shape its square and cube give, are the frame; the first
    vector is known in it by the squares of its components; every other tensor has nearly as many
    linear equations as components, and where one is missing, its norm. Norms leave signs open,
    and all that lead to positive densities are followed.

    Symmetry makes some of these equations void, and others nearly so. A density that is nearly
    symmetric is therefore sought among those that are so exactly, where few unknowns face all
    equations; its deviation from symmetry enters them squared.

    Parameters
    ----------
    invariants : tuple of Invariant
        As `marchable_set` chooses them; pseudoscalars are left alone.
    order : int
        Largest n.
    """

    def __init__(self, invariants: tuple[Invariant, ...], order: int) -> None:
        self.order = order
        self._layout = tuple(tensors(order))
        offsets = {(n, l): offset for n, l, offset in self._layout}
        self._place = {
            Tensor(0, n, l): slice(offset, offset + 2 * l + 1) for (n, l), offset in offsets.items()
        }
        self._scalars = [
            (k, self._place[v.left])
            for k, v in enumerate(invariants)
            if v.right is None and isinstance(v.left, Tensor)
        ]
        self.steps = tuple(self._make_steps(invariants))

    def solve(
        self, fingerprint: NDArray[np.float64], group: str, goal: float, cut: float
    ) -> list[NDArray[np.float64]]:
        """
        Moments, each shape (n_moments(order),), that have a fingerprint, or nearly.

        Parameters
        ----------
        fingerprint : ndarray, shape (n_features,), float64
            What to solve.
        group : str
            Point group that the density is supposed to have.
        goal : float
            Relative residual of a tensor's equations at which it counts as solved.
        cut : float
            Relative singular value of the linear equations that counts as zero.
        """
        moments = np.zeros(n_moments(self.order))
        for feature, place in self._scalars:
            moments[place] = fingerprint[feature]
        found: list[NDArray[np.float64]] = []
        problem = Problem(fingerprint, group, goal, cut)
        open_branches = [(0, moments)]
        for _ in range(BRANCHES * VISITS):
            if not open_branches or len(found) == BRANCHES:
                break
            k, moments = open_branches.pop()
            if k == len(self.steps):
                found.append(moments)
                continue
            further = list(self._further(k, moments, problem))
            open_branches += [(k + 1, m) for m in reversed(further)]
        return found

    def _further(
        self, k: int, moments: NDArray[np.float64], problem: Problem
    ) -> Iterator[NDArray[np.float64]]:
        """Moments with one more tensor, in all ways that its equations allow."""
        at = self.steps[k]
        basis = fixed_moments(problem.group, self.order)[at.tensor.l]
        if k == 0:
            roots = frame(at, moments, problem, basis)
        elif k == 1:
            roots = first_vector(at, moments, problem, basis)
        else:
            roots = components(at, moments, problem, basis)
        complete = at.tensor.l % 2 == 0 and at.tensor.n + 2 > self.order
        for root in roots:
            extended = moments.copy()
            extended[at.columns] = root
            if problem.group != NO_SYMMETRY:
                extended, off = self._settled(at.known, extended, problem)
                if not off <= problem.goal:
                    continue
            if not complete or _is_positive(extended, at.tensor.l):
                yield extended

    def _settled(
        self, known: Known, moments: NDArray[np.float64], problem: Problem
    ) -> tuple[NDArray[np.float64], float]:
        """Moments of a symmetric density fitted to all equations so far, and what is left."""
        bases = fixed_moments(problem.group, self.order)
        free = block_diag(*[bases[l] for l in known.ls])
        target = problem.fingerprint[known.features]
        floor = max(FAINT, np.sqrt(problem.goal)) * moments[0]
        scale = scales(moments, known.factors, floor)
        best, least = moments, np.inf
        for step in range(SETTLING + 1):
            off = (values(moments, known.table) - target) * scale
            worst = float(np.max(np.abs(off)))
            if not worst < least:
                break
            slow = step > 1 and worst > least / 1.5
            best, least = moments, worst
            if least < SETTLED or slow or free.shape[1] == 0:
                break
            by_moments = slopes(moments, known.table)[:, known.columns]
            equations = by_moments @ free * scale[:, None]
            length = 1 / np.maximum(np.linalg.norm(equations, axis=0), 1e-12)
            move = np.linalg.lstsq(equations * length, -off, rcond=1e-7)[0] * length
            moments = moments.copy()
            moments[known.columns] += free @ move
        return best, least

    def _make_steps(self, invariants: tuple[Invariant, ...]) -> Iterator[Step]:
        coupled = [k for k, v in enumerate(invariants) if v.right is not None and not v.is_odd]
        reached: list[int] = []
        columns: list[int] = []
        ls: list[int] = []
        for tensor in sorted((t for t in self._place if t.l > 0), key=place_in_march):
            own = [k for k in coupled if last(invariants[k]) == tensor]
            powers = {k: invariants[k].tensors.count(tensor) for k in own}
            own.sort(key=lambda k: powers[k])
            reached, ls = reached + own, [*ls, tensor.l]
            columns = columns + list(range(self._place[tensor].start, self._place[tensor].stop))
            yield Step(
                tensor, self._place[tensor], np.array(own),
                sum(power == 1 for power in powers.values()),
                self._table(invariants, own),
                self._factors(invariants, own, tensor),
                Known(
                    np.array(reached), self._table(invariants, reached),
                    self._factors(invariants, reached, None),
                    np.array(columns), tuple(ls),
                ),
            )  # fmt: skip

    def _factors(
        self, invariants: tuple[Invariant, ...], features: list[int], but: Tensor | None
    ) -> Factors:
        return tuple(
            tuple(
                (self._place[t].start, self._place[t].stop)
                for t in invariants[k].tensors
                if t != but
            )
            for k in features
        )

    def _table(self, invariants: tuple[Invariant, ...], features: list[int]) -> ContractionTable:
        return contraction_table([invariants[k] for k in features], self._layout, 1)


@lru_cache(maxsize=16)
def independent_march(order: int) -> IndependentMarch:
    """
    `IndependentMarch` through the fingerprints of one density, made once.

    Parameters
    ----------
    order : int
        Largest n.
    """
    return IndependentMarch(independent_set(order, 1, False), order)


def _is_positive(moments: NDArray[np.float64], degree: int) -> bool:
    """Whether polynomials up to half a degree have positive squares, as a density demands."""
    spectrum = MomentMatrix(moments[: n_moments(degree + 1)], degree + 1).eigenvalues
    return bool(spectrum[-1] > -INDEFINITE * spectrum[0])
