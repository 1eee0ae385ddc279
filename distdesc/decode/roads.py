"""The roads from a fingerprint to atoms: algebra, algebra with a search, and search alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from distdesc.decode.atoms import NOTHING, Candidate, Chemistry
from distdesc.decode.marching import CUTS, March, march
from distdesc.decode.moment_problem import MomentMatrix, capacity
from distdesc.descriptors.moment_invariants import MomentInvariants

POLISHED = 1e-11
"""Relative residual at which rounding is all that is left."""

RANKS = 3
"""Numbers of points to try for the same moments."""


class Roads:
    """
    Ways to candidates for the answer.

    Parameters
    ----------
    descriptor : MomentInvariants
        With one density.
    tolerance : float
        Relative residual that is good enough.
    noise : float
        Relative error to expect of the features.
    """

    def __init__(self, descriptor: MomentInvariants, tolerance: float, noise: float) -> None:
        self.descriptor = descriptor
        self.chemistry = Chemistry(descriptor)
        self.tolerance = tolerance
        self.noise = noise

    def algebra(self, fingerprint: NDArray[np.float64]) -> Iterator[Candidate]:
        """
        March through the levels by linear algebra alone, strictly first, then with some slack.

        Parameters
        ----------
        fingerprint : ndarray, shape (n_features,), float64
            Of a full set.

        Yields
        ------
        Candidate
            What the moments found belong to.
        """
        order = self.descriptor.order
        slack = max(1e-8, 10 * self.noise)
        for k, cut in enumerate(CUTS):
            goal = min(0.1, slack * 30.0**k)
            moments = self._march(order).solve(fingerprint, goal, max(cut, self.noise), None)
            if moments is not None:
                yield self.from_moments(moments, order, fingerprint)

    def completion(
        self, fingerprint: NDArray[np.float64], rng: np.random.Generator, tries: int, least: int
    ) -> Iterator[Candidate]:
        """
        March with a search where a symmetry leaves levels open; low orders, which are cheap, first.

        Parameters
        ----------
        fingerprint : ndarray, shape (n_features,), float64
            Of a full set.
        rng : numpy.random.Generator
            Of the starts.
        tries : int
            Passes over all orders.
        least : int
            Atoms that there must be.

        Yields
        ------
        Candidate
            What the moments found belong to.
        """
        orders = [n for n in range(3, self.descriptor.order + 1, 2) if capacity(n) >= least]
        for k in range(tries):
            for order in orders:
                goal = max(1e-8, 30 * self.noise) * 30.0 ** (k // 2)
                cut = max(CUTS[k % len(CUTS)], self.noise)
                moments = self._march(order).solve(fingerprint, min(goal, 0.1), cut, rng)
                if moments is not None:
                    yield self.from_moments(moments, order, fingerprint)

    def search(
        self,
        fingerprint: NDArray[np.float64],
        rng: np.random.Generator,
        starts: int,
        sizes: list[int],
    ) -> Iterator[Candidate]:
        """
        Fit atoms from random places.

        Parameters
        ----------
        fingerprint : ndarray, shape (n_features,), float64
            Of any set.
        rng : numpy.random.Generator
            Of the starts.
        starts : int
            Number of them.
        sizes : list of int
            Numbers of atoms to try in turn.

        Yields
        ------
        Candidate
            Where the descent ended.
        """
        own = self.chemistry.fingerprints
        total = 4 * np.pi / 3 * fingerprint[0]
        for k in range(starts):
            n = sizes[k % len(sizes)]
            directions = rng.normal(size=(n, 3))
            directions /= np.linalg.norm(directions, axis=1)[:, None]
            points = directions * np.cbrt(rng.uniform(size=n))[:, None]
            fit = own.fit(
                fingerprint, points, np.full(n, total / n), free_weights=True, most_steps=100
            )
            if fit.residual < 0.01:
                yield self.chemistry.atoms(
                    fit.points, fit.weights, fingerprint, self.tolerance, POLISHED
                )

    def from_moments(
        self, moments: NDArray[np.float64], order: int, fingerprint: NDArray[np.float64]
    ) -> Candidate:
        """
        Best set of atoms for some moments.

        Parameters
        ----------
        moments : ndarray, shape (n_moments(order),), float64
            Known ones.
        order : int
            Their largest n.
        fingerprint : ndarray, shape (n_features,), float64
            What the atoms must have.
        """
        matrix = MomentMatrix(moments, order)
        if not matrix.eigenvalues[0] > 0:
            return NOTHING
        found = [NOTHING]
        for rank in matrix.ranks()[:RANKS]:
            points, weights = matrix.points(rank)
            if not np.all(np.sum(points**2, axis=1) < 1.2):
                continue
            plain = weights / np.maximum(self.chemistry.fingerprints.decay(points), 1e-9)
            atoms = self.chemistry.atoms(points, plain, fingerprint, self.tolerance, POLISHED)
            spread = float(matrix.eigenvalues[0] / matrix.eigenvalues[rank - 1])
            found.append(replace(atoms, condition=spread))
            if atoms.residual <= self.tolerance:
                return found[-1]
        points, weights = matrix.zeros(moments)
        if len(points):
            plain = weights / np.maximum(self.chemistry.fingerprints.decay(points), 1e-9)
            found.append(self.chemistry.atoms(points, plain, fingerprint, self.tolerance, POLISHED))
        return min(found, key=lambda c: c.residual)

    def _march(self, order: int) -> March:
        return march(self.descriptor.order, self.descriptor.parity_odd, order)
