"""The roads from a fingerprint to atoms: algebra, algebra with a search, and search alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from distdesc.decode.atoms import NOTHING, Candidate, Chemistry
from distdesc.decode.marching import CUTS, March, march
from distdesc.decode.moment_problem import MomentMatrix, capacity
from distdesc.decode.placing import place
from distdesc.descriptors.moment_invariants import MomentInvariants

POLISHED = 1e-11
"""Relative residual at which rounding is all that is left."""

SMALL = 20
"""Number of atoms below which there are more starts, in proportion."""

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
        Relative residual that is good enough, if noise allows.
    noise : float
        Relative error to expect of the features.
    """

    def __init__(self, descriptor: MomentInvariants, tolerance: float, noise: float) -> None:
        self.descriptor = descriptor
        self.chemistry = Chemistry(descriptor)
        self.tolerance = max(tolerance, 3 * noise)
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
        for rung in range(len(CUTS)):
            moments = self._march(order).solve(fingerprint, rung, self.noise, None)
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
        highest = self.descriptor.order
        orders = [n for n in range(3, highest + 1, 2) if capacity(n) >= least] or [highest]
        placements = 1
        for k in range(tries):
            for order in orders:
                rung = k % len(CUTS)
                moments = self._march(order).solve(fingerprint, rung, self.noise, rng)
                if moments is None:
                    continue
                found = self.from_moments(moments, order, fingerprint)
                yield found
                if order == orders[-1] and found.residual > self.tolerance and placements:
                    placements -= 1
                    yield place(moments, order, self.chemistry, fingerprint, rng, self.tolerance)

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
        # small sets of atoms are cheap to fit, and symmetric ones need many starts
        for k in range(starts * max(1, SMALL // sizes[0])):
            n = sizes[k % len(sizes)]
            directions = rng.normal(size=(n, 3))
            directions /= np.linalg.norm(directions, axis=1)[:, None]
            points = directions * np.cbrt(rng.uniform(size=n))[:, None]
            fit = own.fit(
                fingerprint,
                points,
                np.full(n, total / n),
                free_weights=True,
                most_steps=200,
                patience=30,
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
        if not np.all(np.isfinite(moments)):
            return NOTHING
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
