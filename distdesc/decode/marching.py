"""Moments of a density from its invariants, one angular momentum after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dgelsy

from distdesc.decode.damped import refine
from distdesc.decode.levels import Level, Levels
from distdesc.descriptors.density import n_moments
from distdesc.descriptors.selection import full_set

CUTS = (1e-9, 1e-7, 1e-5, 1e-3)
"""What counts as zero among the singular values of linear equations, relative."""

SMALL = (0.0, 1e-6, 1e-4, 1e-2)
"""Length of a tensor that is none, relative to those of higher levels, for each of these."""

ROUNDING = 1e-12
"""Error of a feature, relative to the tensors in it, that leaves nothing to mend."""

GOALS = (1e-9, 1e-7, 1e-5, 1e-4)
"""Error of a level that is good enough to go on, for each of these."""

STEPS = 40
"""To mend a level, at most."""

STARTS = 4
"""Ways to complete a level that linear equations leave open, at most, in one march."""

CLOSE = 0.1
"""Error of a level, completed by itself, from which all levels together may follow."""


@dataclass
class Effort:
    """
    Arithmetic so far: a clock that tells the same on every machine.

    Parameters
    ----------
    limit : float
        Multiplications and additions to give up at.
    spent : float
        Those so far, roughly.
    """

    limit: float = np.inf
    spent: float = 0.0

    def spend(self, steps: int, m: int, n: int) -> None:
        """
        Add steps of `refine`.

        Parameters
        ----------
        steps, m, n : int
            How many, of how many residuals and unknowns.
        """
        self.spent += steps * (2.0 * m * n**2 + 20.0 * n**3)


class March:
    """
    Solves invariants for the moments, by "frequency marching".

    Invariants of degree three that hold one tensor of angular momentum l, and two of lower ones
    that are known, are linear equations for it. The lowest l fixes the frame. Where that frame
    is nearly deficient, as that of a molecule that is nearly symmetric, digits are lost, and
    what linear equations tell is nearly nothing; all invariants of the levels so far, those
    quadratic and cubic in the new tensors too, bring them back. Where a symmetric environment
    leaves directions open, what is missing is put there at random, with the scalar products that
    are known, and then fitted in the same way.

    Parameters
    ----------
    levels : Levels
        Of a full set of one density, up to the order to solve for.
    """

    def __init__(self, levels: Levels) -> None:
        self.levels = levels

    def solve(
        self,
        fingerprint: NDArray[np.float64],
        rung: int,
        noise: float,
        rng: np.random.Generator | None,
        effort: Effort,
    ) -> NDArray[np.float64] | None:
        """
        Moments that have a fingerprint, shape (n_moments(order),), in a frame of their own.

        Parameters
        ----------
        fingerprint : ndarray, shape (n_features,), float64
            What to solve, of all invariants.
        rung : int
            How strict to be: which of `CUTS` and `GOALS`.
        noise : float
            Relative error of the features to expect.
        rng : numpy.random.Generator or None
            Of the completions; None to do without.
        effort : Effort
            To add to.

        Returns
        -------
        ndarray or None
            None if a level could not be solved.
        """
        least = self.levels.least(fingerprint, SMALL[rung])
        state = _State(
            self.levels,
            np.zeros(n_moments(self.levels.order)),
            fingerprint,
            self.levels.scales(fingerprint, least),
            least,
            max(CUTS[rung], noise),
            max(GOALS[rung], 30 * noise),
            noise,
            rng,
            effort,
        )
        return state.moments if all(map(state.advance, self.levels.members)) else None


@dataclass
class _State:
    """
    Moments found so far.

    Parameters
    ----------
    levels : Levels
        What to solve.
    moments : ndarray
        Those of the levels solved; zero beyond.
    fingerprint, noise, rng, effort
        As `March.solve` takes them.
    scales : list of ndarray
        See `Levels.scales`.
    least : ndarray
        See `Levels.least`.
    cut, goal : float
        What counts as zero, and as solved.
    open : list of Level
        Those that linear equations did not solve.
    """

    levels: Levels
    moments: NDArray[np.float64]
    fingerprint: NDArray[np.float64]
    scales: list[NDArray[np.float64]]
    least: NDArray[np.float64]
    cut: float
    goal: float
    noise: float
    rng: np.random.Generator | None
    effort: Effort
    open: list[Level] = field(default_factory=list)

    def advance(self, level: Level) -> bool:
        """Solve the next level; whether it is solved."""
        target = self.fingerprint[level.features]
        if level.l == 0:
            self.moments[level.moments] = target[: len(level.moments)]
            return True
        gram = np.sqrt(level.width) * target[level.grams]
        if not np.max(np.diag(gram)) > self.least[level.l] ** 2:
            return True  # nothing of this l
        if level.l == 1:
            self.moments[level.moments] = _vectors(gram, 3).ravel()
        else:
            self._linear(level, target)
        worst = self._worst(level, target)
        if worst <= max(ROUNDING, 10 * self.noise):
            return True
        if self.effort.spent > self.effort.limit:
            return False
        known = self.moments.copy()
        if worst <= CLOSE and self._refined(1, level.l):
            return True
        self.open.append(level)
        if self.rng is None:
            return False
        return self._completed(level, gram, known, self.rng) or self._shaken(known, self.rng)

    def _linear(self, level: Level, target: NDArray[np.float64]) -> None:
        """Take the shortest solution of the linear equations of a level."""
        equations = level.coupled(self.moments)
        size = max(level.width, len(equations))
        goal = np.zeros((size, level.linear.shape[1]))
        goal[: len(equations)] = target[level.linear]
        pivots = np.zeros(level.width, dtype=np.int32)
        solution = dgelsy(equations, goal, pivots, self.cut, 4096)[1][: level.width]
        self.moments[level.moments] = solution.T.ravel()

    def _worst(self, level: Level, target: NDArray[np.float64]) -> float:
        """Largest error of a feature of a level."""
        return float(
            np.max(np.abs(level.values(self.moments) - target) * self.scales[level.l], initial=0.0)
        )

    def _completed(
        self,
        level: Level,
        gram: NDArray[np.float64],
        known: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> bool:
        """Solve a level of which linear equations tell a part."""
        free = _untold(level.coupled(known), self.cut)
        shortest = known[level.moments].reshape(len(gram), -1)
        missing = _vectors(gram - shortest @ shortest.T, len(free))
        for _ in range(STARTS if len(free) else 0):
            turned = np.linalg.qr(rng.normal(size=(len(free), len(free))))[0]
            self.moments[:] = known
            self.moments[level.moments] += (missing @ turned @ free).ravel()
            self._refined(level.l, level.l)
            if self._refined(1, level.l):
                return True
        return False

    def _shaken(self, known: NDArray[np.float64], rng: np.random.Generator) -> bool:
        """Solve all levels that are open, which may need each other, from random moments."""
        first, last = self.open[0].l, self.open[-1].l
        for start in range(STARTS):
            self.moments[:] = known
            for level in self.open:
                spread = np.sqrt(np.max(np.abs(self.fingerprint[level.features][level.grams])))
                base = known[level.moments] if start % 2 else 0.0
                noise = rng.normal(size=len(level.moments))
                self.moments[level.moments] = base + 0.5 * spread * noise
            if self._refined(first, last, self.open):
                return True
        return False

    def _refined(self, first: int, last: int, free: list[Level] | None = None) -> bool:
        """Fit the moments of some levels, or some of these, to their features; whether it went."""
        levels = self.levels.members[first : last + 1]
        unknown = np.concatenate([level.moments for level in free or levels])
        target = np.concatenate([self.fingerprint[level.features] for level in levels])
        scale = np.concatenate(self.scales[first : last + 1])
        moments = self.moments.copy()

        def residuals(x: NDArray[np.float64]) -> NDArray[np.float64]:
            moments[unknown] = x
            parts = [level.values(moments) for level in levels]
            off: NDArray[np.float64] = (np.concatenate(parts) - target) * scale
            return off

        def slopes(x: NDArray[np.float64]) -> NDArray[np.float64]:
            moments[unknown] = x
            rows = np.concatenate([level.slopes(moments)[:, unknown] for level in levels])
            return rows * scale[:, None]

        end = refine(residuals, slopes, moments[unknown], 1e-28, STEPS)
        self.moments[unknown] = end.x
        self.effort.spend(end.steps, len(target), len(unknown))
        return end.cost <= self.goal**2


def _untold(equations: NDArray[np.float64], cut: float) -> NDArray[np.float64]:
    """Directions that linear equations tell nothing about, shape (n, n_unknowns)."""
    if not len(equations):
        return np.eye(equations.shape[1])
    _, roots, turn = np.linalg.svd(equations)
    return np.asarray(turn[np.sum(roots > cut * roots[0]) :])


def _vectors(gram: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Vectors with given scalar products, in a frame of their own, shape (n, width)."""
    values, vectors = np.linalg.eigh(gram)
    roots = np.sqrt(np.maximum(values[::-1][:width], 0.0))
    rows = np.zeros((len(gram), width))
    rows[:, : len(roots)] = vectors[:, ::-1][:, :width] * roots
    return rows


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
    return March(Levels(full_set(full_order, 1, parity_odd), order))
