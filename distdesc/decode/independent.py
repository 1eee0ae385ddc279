"""The road from independent invariants to atoms: a march for each symmetry that there may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from distdesc.decode.atoms import Candidate
from distdesc.decode.fingerprints import Fit
from distdesc.decode.frame import frames_of
from distdesc.decode.independent_march import independent_march
from distdesc.decode.independent_symmetry import NO_SYMMETRY, generators
from distdesc.decode.moment_problem import MomentMatrix, capacity
from distdesc.decode.placing import place
from distdesc.decode.roads import Roads
from distdesc.decode.starts import Starts
from distdesc.descriptors.density import n_moments

GOALS = (1e-8, 1e-6, 1e-4, 1e-3)
"""Residuals up to which a density passes for symmetric, one after the other."""

EXACT_GOAL = 1e-13
"""Residual of a march that supposes no symmetry."""

EXACT_CUT, SYMMETRIC_CUT = 1e-10, 1e-6
"""Singular values that count as zero, where no symmetry is supposed and where one is."""

PLACEMENTS = 10
"""Densities of each goal that atoms are fitted to from random places, at most."""

FEW = 8
"""Random places for each of them; true moments seldom need more."""

LOWER = 2
"""Orders below the highest that atoms are sought from, where there are moments enough."""

NEARLY = 0.02
"""Misfit of places from which the whole fingerprint may lead to the atoms."""

BEST = 2
"""Of such places, that are fitted to it."""

CLOSE, STEPS = 1e-3, 200
"""Residual from which it is worth to take more steps, where symmetry makes them small; so many."""

AGAIN = 2
"""Densities that are given as many as there may be, where nothing was found."""

ALIKE = 1e-6
"""Relative difference of the eigenvalues of densities that are not the same one."""


class _Density(NamedTuple):
    """Moments, the spectrum of their matrix, and whether no symmetry was supposed."""

    moments: NDArray[np.float64]
    spectrum: NDArray[np.float64]
    exact: bool

    @property
    def negative(self) -> float:
        """Amount by which squares of polynomials are negative."""
        return max(0.0, float(-self.spectrum[-1]))

    def is_like(self, other: _Density) -> bool:
        """Whether another density is this one, turned or mirrored."""
        off = np.max(np.abs(self.spectrum - other.spectrum))
        return self.exact == other.exact and bool(off < ALIKE * self.spectrum[0])


def from_independent(
    roads: Roads, fingerprint: NDArray[np.float64], rng: np.random.Generator, least: int
) -> Iterator[Candidate]:
    """
    Atoms of the moments that have a fingerprint of independent invariants.

    Parameters
    ----------
    roads : Roads
        Of a descriptor with one density, of an order that `marchable_set` takes.
    fingerprint : ndarray, shape (n_features,), float64
        To decode.
    rng : numpy.random.Generator
        Of the places to begin with, where linear algebra does not find the atoms.
    least : int
        Atoms that there must be.

    Yields
    ------
    Candidate
        Best atoms of each density found.
    """
    order, chemistry = roads.descriptor.order, roads.chemistry
    tried: list[_Density] = []
    for goal in GOALS:
        found: list[_Density] = []
        for density in _densities(fingerprint, order, goal, roads.noise):
            if any(density.is_like(other) for other in (*tried, *found)):
                continue
            found.append(density)
            if least <= capacity(order):
                candidate = roads.from_moments(density.moments, order, fingerprint)
                yield _settled(candidate, roads, fingerprint)
        found.sort(key=lambda d: (d.exact, d.negative))
        for density in found[:PLACEMENTS]:
            moments, tolerance = density.moments, roads.tolerance
            yield place(moments, order, chemistry, fingerprint, rng, tolerance, FEW)
            yield from _nearly(moments, roads, fingerprint, rng, least)
        tried += found
    for density in tried[:AGAIN]:
        yield place(density.moments, order, chemistry, fingerprint, rng, roads.tolerance)


def _nearly(
    moments: NDArray[np.float64],
    roads: Roads,
    fingerprint: NDArray[np.float64],
    rng: np.random.Generator,
    least: int,
) -> Iterator[Candidate]:
    """
    Atoms of moments that are somewhat off: those of a density that is nearly symmetric.

    Errors grow towards the moments of the highest order, so that it goes without them, too.
    """
    highest = roads.descriptor.order
    for order in range(highest, highest - LOWER - 1, -1):
        if 3 * least > n_moments(order):
            return
        fits: list[tuple[float, int, Starts, Fit]] = []
        frames = frames_of(moments[: n_moments(order)], order)
        for frame in frames:
            search = Starts(frame, roads.chemistry, fingerprint, 1, clear=len(frames) == 1)
            for k in range(FEW if search.sizes else 0):
                fit = search.start(search.sizes[k % len(search.sizes)], rng)
                fits.append((fit.residual, len(fits), search, fit))
        for misfit, _, search, fit in sorted(fits, key=lambda f: f[:2])[:BEST]:
            if misfit < NEARLY:
                found = search.atoms(fit._replace(residual=0.0), roads.tolerance, rng)
                yield _settled(found, roads, fingerprint)


def _settled(found: Candidate, roads: Roads, fingerprint: NDArray[np.float64]) -> Candidate:
    """Atoms that are nearly right, moved until the fingerprint is theirs."""
    if not roads.tolerance < found.residual < CLOSE:
        return found
    weights = roads.chemistry.table[found.numbers]
    own = roads.chemistry.fingerprints
    fit = own.fit(fingerprint, found.points, weights, most_steps=STEPS, patience=STEPS // 4)
    return replace(found, points=fit.points, residual=fit.residual)


def _densities(
    fingerprint: NDArray[np.float64], order: int, goal: float, noise: float
) -> Iterator[_Density]:
    """Densities with a fingerprint, for all symmetries that fit as well as demanded."""
    march = independent_march(order)
    for group in generators():
        exact = group == NO_SYMMETRY
        if not exact:
            found = march.solve(fingerprint, group, max(goal, noise), SYMMETRIC_CUT)
        elif goal == GOALS[0]:
            cut = max(EXACT_CUT, noise)
            found = march.solve(fingerprint, group, max(EXACT_GOAL, 10 * noise), cut)
        else:
            continue
        for moments in found:
            spectrum = MomentMatrix(moments, order).eigenvalues / moments[0]
            yield _Density(moments, spectrum, exact)
