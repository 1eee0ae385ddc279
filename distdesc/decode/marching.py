"""Moments of a density from its invariants, one angular momentum after the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lstsq

from distdesc.decode.descent import descend
from distdesc.descriptors import _jacobian_kernels, _moment_kernels
from distdesc.descriptors.density import n_moments, tensors
from distdesc.descriptors.invariants import ContractionTable, Invariant, contraction_table
from distdesc.descriptors.selection import full_set

CUTS = (1e-8, 1e-5, 1e-3, 1e-2)
"""What counts as zero, relative: moments of an l, singular values of its linear equations."""

STARTS = 8
"""Random starts of a level where linear algebra does not suffice."""

EXACT = 1e-7
"""Relative residual of a level up to which moments found by algebra need no fit."""

STEPS = 40
"""Of each of them, at most."""


@dataclass(frozen=True)
class _Level:
    """
    What determines the moments of one l, once those of all lower l are known.

    Parameters
    ----------
    features : ndarray of int
        Features whose largest l this is.
    invariants : tuple of Invariant
        The same.
    table : ContractionTable
        Of these features.
    moments : ndarray of int
        Moments of this l.
    linear : tuple of tuple
        For each tensor, the rows of the features that are linear in it, and its columns.
    grams : ndarray of int
        Rows of the features of degree two.
    """

    features: NDArray[np.int64]
    invariants: tuple[Invariant, ...]
    table: ContractionTable
    moments: NDArray[np.int64]
    linear: tuple[tuple[NDArray[np.int64], slice], ...]
    grams: NDArray[np.int64]


class March:
    """
    Solves invariants for the moments, by "frequency marching".

    Invariants of degree three that hold one tensor of angular momentum l, and two of lower ones
    that are known, are linear equations for it. The lowest l fixes the frame. Where a symmetric
    environment leaves directions open, or the frame is not fixed yet, all invariants of the
    level are solved together, from random starts.

    Parameters
    ----------
    invariants : tuple of Invariant
        A full set of one density, of any order.
    order : int
        Largest n of the moments to solve for; invariants of larger ones are left alone, and so
        are pseudoscalars.
    """

    def __init__(self, invariants: tuple[Invariant, ...], order: int) -> None:
        self.order = order
        self.levels = _levels(invariants, order)
        self._together: dict[tuple[int, int], tuple[NDArray[np.int64], ContractionTable]] = {}

    def solve(
        self,
        fingerprint: NDArray[np.float64],
        goal: float,
        cut: float,
        rng: np.random.Generator | None,
    ) -> NDArray[np.float64] | None:
        """
        Moments that have a fingerprint, shape (n_moments(order),), in a frame of their own.

        Parameters
        ----------
        fingerprint : ndarray, shape (n_features,), float64
            What to solve, of all invariants.
        goal : float
            Relative residual at which a level counts as solved.
        cut : float
            What counts as zero, relative; one of `CUTS`.
        rng : numpy.random.Generator or None
            Of the starts; None to go by linear algebra alone.

        Returns
        -------
        ndarray or None
            None if a level could not be solved.
        """
        state = _State(self, np.zeros(n_moments(self.order)), fingerprint, goal, cut, rng)
        if not all(state.advance(l) for l in range(self.order + 1)):
            return None
        if state.open or goal > EXACT:
            state.settle()
        return state.moments

    def together(self, first: int, last: int) -> tuple[NDArray[np.int64], ContractionTable]:
        """
        Features of several levels, and their table.

        Parameters
        ----------
        first, last : int
            Lowest and highest l.
        """
        if (first, last) not in self._together:
            levels = self.levels[first : last + 1]
            chosen = [v for level in levels for v in level.invariants]
            features = np.concatenate([level.features for level in levels])
            table = contraction_table(chosen, tuple(tensors(self.order)), 1)
            self._together[first, last] = (features, table)
        return self._together[first, last]


@dataclass
class _State:
    """
    Moments found so far.

    Parameters
    ----------
    march : March
        Holds the levels.
    moments : ndarray
        Those of the levels solved; zero beyond.
    fingerprint, goal, cut, rng
        As `March.solve` takes them.
    open : tuple of int
        Levels that were not solved by linear algebra.
    """

    march: March
    moments: NDArray[np.float64]
    fingerprint: NDArray[np.float64]
    goal: float
    cut: float
    rng: np.random.Generator | None
    open: tuple[int, ...] = ()

    def advance(self, l: int) -> bool:
        """Solve the next level, by linear algebra if that suffices; whether it is solved."""
        level = self.march.levels[l]
        target = self.fingerprint[level.features]
        if l == 0:
            self.moments[level.moments] = target[: len(level.moments)]
            return True
        scale = float(np.max(np.abs(target[level.grams]), initial=0.0))
        if scale <= (self.cut * self.moments[0]) ** 2:
            return True  # nothing of this l
        start = _frame(level, target) if l == 1 else self._linear(level, target)
        self.moments[level.moments] = start
        gram = np.abs(_values(self.moments, level.table)[level.grams] - target[level.grams])
        if float(np.max(gram)) <= self.goal * scale:
            return True
        if self.rng is None:
            return False
        self.open = (*self.open, l)
        return self._search(l, start, self.rng)

    def settle(self) -> None:
        """Fit all levels together, in which the weakly determined ones win what others know."""
        levels = range(1, self.march.order + 1)
        self._fit(tuple(levels), self.march.order, 12)

    def _linear(self, level: _Level, target: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shortest solution of the linear equations of a level."""
        solution = np.zeros(len(level.moments))
        jacobian = _slopes(self.moments, level.table)[:, level.moments]
        for rows, columns in level.linear:
            if len(rows):
                equations = jacobian[rows, columns]
                solution[columns] = lstsq(
                    equations, target[rows], cond=self.cut, lapack_driver="gelsy",
                    check_finite=False,
                )[0]  # fmt: skip
        return solution

    def _search(self, l: int, start: NDArray[np.float64], rng: np.random.Generator) -> bool:
        """Solve this level, then all that are not settled together, from random starts."""
        known = self.moments.copy()
        for attempt in range(STARTS):
            alone = attempt < STARTS // 2 or len(self.open) == 1
            together = (l,) if alone else self.open
            self.moments[:] = known
            for k in together:
                other = self.march.levels[k]
                spread = np.sqrt(np.max(np.abs(self.fingerprint[other.features][other.grams])))
                noise = rng.normal(size=len(other.moments))
                base = start if k == l else 0.0 if attempt % 2 else known[other.moments]
                step = 0.1 if attempt == 0 else 0.5
                self.moments[other.moments] = base + spread * noise * step
            if self._fit(together, l) <= self.goal:
                return True
        return False

    def _fit(self, together: tuple[int, ...], l: int, most_steps: int = STEPS) -> float:
        """Fit some levels from where they are; the relative residual."""
        features, table = self.march.together(together[0], l)
        unknown = np.concatenate([self.march.levels[k].moments for k in together])
        target = self.fingerprint[features]
        scale = float(np.max(np.abs(target)))
        moments = self.moments.copy()

        def residuals(x: NDArray[np.float64]) -> NDArray[np.float64]:
            moments[unknown] = x
            return (_values(moments, table) - target) / scale

        def slopes(x: NDArray[np.float64]) -> NDArray[np.float64]:
            moments[unknown] = x
            return _slopes(moments, table)[:, unknown] / scale

        goal = 1e-26
        end = descend(residuals, slopes, moments[unknown], goal, most_steps)
        self.moments[unknown] = end.x
        return float(np.sqrt(end.cost))


def _values(moments: NDArray[np.float64], table: ContractionTable) -> NDArray[np.float64]:
    """Invariants of given moments."""
    out = np.empty((1, len(table.dot_left)))
    _moment_kernels.contractions(moments[None], table, out)
    values: NDArray[np.float64] = out[0]
    return values


def _slopes(moments: NDArray[np.float64], table: ContractionTable) -> NDArray[np.float64]:
    """Derivatives of invariants by all moments."""
    out = np.empty((1, len(table.dot_left), len(moments)))
    _jacobian_kernels.contraction_jacobians(moments[None], table, out)
    slopes: NDArray[np.float64] = out[0]
    return slopes


def _frame(level: _Level, target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors with given scalar products, in a frame of their own."""
    n = len(level.moments) // 3
    gram = np.zeros((n, n))
    gram[np.triu_indices(n)] = np.sqrt(3.0) * target[level.grams]
    values, vectors = np.linalg.eigh(gram + np.triu(gram, 1).T)
    roots = np.sqrt(np.maximum(values[::-1][:3], 0.0))
    rows = np.zeros((n, 3))
    rows[:, : len(roots)] = vectors[:, ::-1][:, :3] * roots
    return rows.ravel()


@lru_cache(maxsize=32)
def march(full_order: int, parity_odd: bool, order: int) -> March:
    """
    `March` through the fingerprints of a full set, made once.

    Parameters
    ----------
    full_order : int
        Order of the set.
    parity_odd : bool
        Whether the set has pseudoscalars; they are left alone.
    order : int
        Largest n to solve for.
    """
    return March(full_set(full_order, 1, parity_odd), order)


def _levels(invariants: tuple[Invariant, ...], order: int) -> tuple[_Level, ...]:
    layout = tuple(tensors(order))
    largest = np.array(
        [
            -1 if v.is_odd or max(t.n for t in v.tensors) > order else max(t.l for t in v.tensors)
            for v in invariants
        ]
    )
    levels = []
    for l in range(order + 1):
        features = np.flatnonzero(largest == l)
        chosen = [invariants[f] for f in features]
        own = [(n, offset) for n, m, offset in layout if m == l]
        places = np.concatenate([offset + np.arange(2 * l + 1) for _, offset in own])
        linear = tuple(
            (_rows_linear_in(chosen, n, l), slice(k * (2 * l + 1), (k + 1) * (2 * l + 1)))
            for k, (n, _) in enumerate(own)
        )
        grams = np.array([r for r, v in enumerate(chosen) if len(v.tensors) == 2], dtype=int)
        table = contraction_table(chosen, layout, 1)
        levels.append(_Level(features, tuple(chosen), table, places, linear, grams))
    return tuple(levels)


def _rows_linear_in(invariants: list[Invariant], n: int, l: int) -> NDArray[np.int64]:
    rows = [
        r
        for r, v in enumerate(invariants)
        if len(v.tensors) == 3 and [t.n for t in v.tensors if t.l == l] == [n]
    ]
    return np.array(rows, dtype=int)
