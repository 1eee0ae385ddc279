"""The road from independent invariants to atoms: a march for each symmetry that there may be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from distdesc.decode.atoms import Candidate
from distdesc.decode.independent_march import independent_march
from distdesc.decode.independent_symmetry import NO_SYMMETRY, generators
from distdesc.decode.moment_problem import MomentMatrix, capacity
from distdesc.decode.placing import place
from distdesc.decode.roads import Roads

GOALS = (1e-8, 1e-6, 1e-4, 1e-3)
"""Residuals up to which a density passes for symmetric, one after the other."""

EXACT_GOAL = 1e-13
"""Residual of a march that supposes no symmetry."""

EXACT_CUT, SYMMETRIC_CUT = 1e-10, 1e-6
"""Singular values that count as zero, where no symmetry is supposed and where one is."""

PLACEMENTS = 2
"""Most positive densities of each goal that atoms are fitted to from random places."""

ALIKE = 1e-6
"""Relative difference of the eigenvalues of densities that are not the same one."""


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
    order = roads.descriptor.order
    seen: list[NDArray[np.float64]] = []
    for goal in GOALS:
        found: list[tuple[float, int, NDArray[np.float64]]] = []
        for moments in _densities(fingerprint, order, goal, roads.noise):
            spectrum = MomentMatrix(moments, order).eigenvalues / moments[0]
            if any(np.max(np.abs(spectrum - other)) < ALIKE * spectrum[0] for other in seen):
                continue
            seen.append(spectrum)
            found.append((max(0.0, float(-spectrum[-1])), len(seen), moments))
            if least <= capacity(order):
                yield roads.from_moments(moments, order, fingerprint)
        for _, _, moments in sorted(found)[:PLACEMENTS]:
            yield place(moments, order, roads.chemistry, fingerprint, rng, roads.tolerance)


def _densities(
    fingerprint: NDArray[np.float64], order: int, goal: float, noise: float
) -> Iterator[NDArray[np.float64]]:
    """Moments with a fingerprint, for all symmetries that fit as well as demanded."""
    march = independent_march(order)
    for group in generators():
        if group != NO_SYMMETRY:
            yield from march.solve(fingerprint, group, max(goal, noise), SYMMETRIC_CUT)
        elif goal == GOALS[0]:
            cut = max(EXACT_CUT, noise)
            yield from march.solve(fingerprint, group, max(EXACT_GOAL, 10 * noise), cut)
