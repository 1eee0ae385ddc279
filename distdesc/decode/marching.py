"""Moments of a density from its invariants, one angular momentum after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lstsq
from scipy.optimize import least_squares

from distdesc.descriptors import _jacobian_kernels, _moment_kernels
from distdesc.descriptors.density import n_moments, tensors
from distdesc.descriptors.invariants import ContractionTable, Invariant, contraction_table
from distdesc.descriptors.moment_invariants import MomentInvariants

CUTS = (1e-8, 1e-5, 1e-3, 1e-4, 1e-2)
"""What counts as zero, relative: moments of an l, singular values of its linear equations."""

STARTS = 12
"""Random starts where linear algebra does not suffice."""


@dataclass(frozen=True)
class _Level:
    """
    What determines the moments of one l, once those of all lower l are known.

    Parameters
    ----------
    features : ndarray of int
        Features whose largest l this is.
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
    table: ContractionTable
    moments: NDArray[np.int64]
    linear: tuple[tuple[NDArray[np.int64], slice], ...]
    grams: NDArray[np.int64]

    def values(self, moments: NDArray[np.float64]) -> NDArray[np.float64]:
        """Features of this level."""
        out = np.empty((1, len(self.features)))
        _moment_kernels.contractions(moments[None], self.table, out)
        return out[0]

    def jacobian(self, moments: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivatives of the features of this level by all moments."""
        out = np.empty((1, len(self.features), len(moments)))
        _jacobian_kernels.contraction_jacobians(moments[None], self.table, out)
        return out[0]


class March:
    """
    Solves the invariants of a descriptor for the moments ("frequency marching").

    Invariants of degree three that hold one tensor of angular momentum l, and two of lower ones
    that are known, are linear equations for it. The lowest l fixes the frame. Where a symmetric
    environment leaves directions open, or the frame is not fixed yet, all invariants of the
    level are solved together, from random starts.

    Parameters
    ----------
    descriptor : MomentInvariants
        With the invariants ``"full"`` and one density.
    """

    def __init__(self, descriptor: MomentInvariants) -> None:
        self.order = descriptor.order
        self.levels = _levels(descriptor)

    def solutions(
        self, fingerprint: NDArray[np.float64], rng: np.random.Generator, tries: int, goal: float
    ) -> Iterator[tuple[NDArray[np.float64], float]]:
        """
        Moments that have a fingerprint, each with its largest relative residual of any level.

        Parameters
        ----------
        fingerprint : ndarray, shape (n_features,), float64
            What to solve.
        rng : numpy.random.Generator
            Of the starts.
        tries : int
            Solutions to try; the first is the only one where every level is linear.
        goal : float
            Relative residual at which a level counts as solved.

        Yields
        ------
        moments : ndarray, shape (n_moments(order),), float64
            In a frame of its own.
        residual : float
            Relative.
        """
        for attempt in range(tries):
            state = _State(
                np.zeros(n_moments(self.order)), fingerprint, self.levels, rng, goal,
                CUTS[attempt % len(CUTS)],
            )  # fmt: skip
            for l in range(self.order + 1):
                state.advance(l)
            yield state.moments, state.residual
            if state.unique:
                return


@dataclass
class _State:
    """
    Moments found so far.

    Parameters
    ----------
    moments : ndarray
        Those of the levels solved; zero beyond.
    fingerprint : ndarray
        What to solve.
    levels : tuple of _Level
        All of them.
    rng : numpy.random.Generator
        Of the starts.
    goal : float
        Relative residual at which a level counts as solved.
    cut : float
        What counts as zero, relative.
    """

    moments: NDArray[np.float64]
    fingerprint: NDArray[np.float64]
    levels: tuple[_Level, ...]
    rng: np.random.Generator
    goal: float
    cut: float
    open: tuple[int, ...] = ()
    residual: float = 0.0
    unique: bool = True

    def advance(self, l: int) -> None:
        """Solve the next level, by linear algebra if that suffices."""
        level = self.levels[l]
        target = self.fingerprint[level.features]
        if l == 0:
            self.moments[level.moments] = target[: len(level.moments)]
            return
        scale = float(np.max(np.abs(target[level.grams]), initial=0.0))
        if scale <= (self.cut * self.moments[0]) ** 2:
            self.unique = False
            return
        start = _frame(level, target) if l == 1 else self._linear(level, target)
        self.moments[level.moments] = start
        gram = np.abs(level.values(self.moments)[level.grams] - target[level.grams])
        off = float(np.max(gram) / scale)
        if off > self.goal:
            self.unique = False
            self.open = (*self.open, l)
            off = self._search(l, start)
        self.residual = max(self.residual, off)

    def _linear(self, level: _Level, target: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shortest solution of the linear equations of a level."""
        solution = np.zeros(len(level.moments))
        jacobian = level.jacobian(self.moments)[:, level.moments]
        for rows, columns in level.linear:
            if len(rows):
                equations = jacobian[rows, columns]
                solution[columns] = lstsq(
                    equations, target[rows], cond=self.cut, lapack_driver="gelsy",
                    check_finite=False,
                )[0]  # fmt: skip
        return solution

    def _search(self, l: int, start: NDArray[np.float64]) -> float:
        """Solve this level, then all that are not settled together, from random starts."""
        best, least = self.moments.copy(), np.inf
        for attempt in range(STARTS):
            together = self.open if attempt >= STARTS // 3 else (l,)
            if attempt >= STARTS // 3 and len(self.open) == 1:
                together = (l,)
            guess = best.copy()
            for k in together:
                level = self.levels[k]
                spread = np.sqrt(np.max(np.abs(self.fingerprint[level.features][level.grams])))
                noise = self.rng.normal(size=len(level.moments))
                known = start if k == l else 0.0
                guess[level.moments] = known + spread * noise * (0.1 if attempt == 0 else 0.5)
            found, off = self._fit(together, l, guess)
            if off < least:
                best, least = found, off
            if off <= 0.01 * self.goal:
                break
        self.moments = best
        return least

    def _fit(
        self, together: tuple[int, ...], l: int, guess: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], float]:
        """Least-squares solution of some levels near a guess, and its relative residual."""
        levels = [self.levels[k] for k in range(together[0], l + 1)]
        unknown = np.concatenate([self.levels[k].moments for k in together])
        target = np.concatenate([self.fingerprint[level.features] for level in levels])
        trial = guess.copy()

        def residual(x: NDArray[np.float64]) -> NDArray[np.float64]:
            trial[unknown] = x
            return np.concatenate([level.values(trial) for level in levels]) - target

        def jacobian(x: NDArray[np.float64]) -> NDArray[np.float64]:
            trial[unknown] = x
            return np.concatenate([level.jacobian(trial)[:, unknown] for level in levels])

        method = "lm" if len(target) >= len(unknown) else "trf"
        found = least_squares(
            residual, guess[unknown], jacobian, method=method, x_scale=1.0,
            xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=60,
        )  # fmt: skip
        trial[unknown] = found.x
        return trial, float(np.max(np.abs(found.fun)) / np.max(np.abs(target)))


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


@lru_cache(maxsize=4)
def _levels(descriptor: MomentInvariants) -> tuple[_Level, ...]:
    invariants = descriptor.invariant_list()
    layout = tuple(tensors(descriptor.order))
    largest = np.array([max(t.l for t in v.tensors) for v in invariants])
    levels = []
    for l in range(descriptor.order + 1):
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
        levels.append(_Level(features, table, places, linear, grams))
    return tuple(levels)


def _rows_linear_in(invariants: list[Invariant], n: int, l: int) -> NDArray[np.int64]:
    rows = [
        r
        for r, v in enumerate(invariants)
        if len(v.tensors) == 3 and [t.n for t in v.tensors if t.l == l] == [n]
    ]
    return np.array(rows, dtype=int)
