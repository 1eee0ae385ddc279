"""The roads from a fingerprint to atoms: algebra, algebra with a search, and search alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from distdesc.decode.atoms import NOTHING, Candidate, Chemistry
from distdesc.decode.collinear import Density, complete_line
from distdesc.decode.marching import CUTS, Effort, March, march
from distdesc.decode.moment_problem import MomentMatrix, capacity
from distdesc.decode.placing import crowded, place
from distdesc.descriptors.moment_invariants import MomentInvariants

SETTLED = 1e-10
"""
Residual at which atoms are left as they are.

`Starts` fits them further, down to `atoms.POLISHED`, since what it finds counts as found for
sure if it gets below this.
"""

SMALL = 20
"""Number of atoms below which there are more starts, in proportion."""

QUICK, LONG = 1e10, 2e10
"""Arithmetic at which to give up marching by algebra alone, and with a search."""

ATOMS = 3e8
"""Arithmetic to look for atoms of some moments, about."""

RUNGS = (2, 3, 1, 0)
"""How strict to be in passes with a search: in symmetric molecules, some levels are nearly zero."""

RANKS = 6
"""Numbers of points to try for the same moments."""

THOROUGH = 3
"""Of these, how many to fit to the fingerprint where they are not near it at once."""

LIGHTEST = 0.7
"""Weight of a point that stands for atoms, at least, relative to that of the lightest element."""


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

    Attributes
    ----------
    alternatives : list of Candidate
        Found beside others, with the same fingerprint.
    """

    def __init__(self, descriptor: MomentInvariants, tolerance: float, noise: float) -> None:
        self.descriptor = descriptor
        self.chemistry = Chemistry(descriptor)
        self.tolerance = max(tolerance, 3 * noise)
        self.noise = noise
        self.alternatives: list[Candidate] = []
        self._placed = False

    def algebra(
        self, fingerprint: NDArray[np.float64], rng: np.random.Generator
    ) -> Iterator[Candidate]:
        """
        March through the levels by linear algebra alone, strictly first, then with some slack.

        If there are more atoms than linear algebra can find in moments, they are searched for.

        Parameters
        ----------
        fingerprint : ndarray, shape (n_features,), float64
            Of a full set.
        rng : numpy.random.Generator
            Of that search.

        Yields
        ------
        Candidate
            What the moments found belong to.
        """
        order, effort = self.descriptor.order, Effort(QUICK)
        for rung in range(len(CUTS)):
            moments = self._march(order).solve(fingerprint, rung, self.noise, None, effort)
            if moments is None:
                continue
            found = self.from_moments(moments, order, fingerprint)
            yield found
            if found.residual > self.tolerance and not self._placed and crowded(moments, order):
                self._placed = True
                yield place(moments, order, self.chemistry, fingerprint, rng, self.tolerance)

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
        highest, effort = self.descriptor.order, Effort(LONG)
        orders = [n for n in range(3, highest + 1, 2) if capacity(n) >= least] or [highest]
        for order, rung in product(orders * tries, RUNGS):
            moments = self._march(order).solve(fingerprint, rung, self.noise, rng, effort)
            if moments is not None:
                effort.spent += ATOMS
                found = self.from_moments(moments, order, fingerprint)
                yield found
                if order == orders[-1] and found.residual > self.tolerance and not self._placed:
                    self._placed = True
                    yield place(moments, order, self.chemistry, fingerprint, rng, self.tolerance)
            if effort.spent > effort.limit:
                return

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
                    fit.points, fit.weights, fingerprint, self.tolerance, SETTLED
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
        kept = [NOTHING]
        for found in self._from_matrix(matrix, Density(moments, order, fingerprint)):
            kept.append(found)
            if found.residual <= SETTLED:
                break
        return min(kept, key=lambda c: c.residual)

    def _from_matrix(self, matrix: MomentMatrix, density: Density) -> Iterator[Candidate]:
        """Atoms for moments: as they are, where there are too many, fitted to the fingerprint."""
        fingerprint, likely, nodes = density.fingerprint, list[Candidate](), list[Candidate]()
        for rank in matrix.ranks()[:RANKS]:
            points, weights = self._plain(*matrix.points(rank))
            near = self.chemistry.nearest(points, weights, fingerprint, SETTLED, density.moments)
            likely.append(replace(near, condition=matrix.condition(rank)))
            nodes.append(replace(likely[-1], points=points))
            yield likely[-1]
        if self.descriptor.smoothing == 0 and density.order == self.descriptor.order:
            whole = [c for c in nodes if self._whole(c)]
            for near in sorted(whole, key=lambda c: -len(c.points))[:THOROUGH]:
                lines = complete_line(self.chemistry, density, near, SETTLED)
                self.alternatives += lines[1:]
                yield from lines[:1]
        for near in sorted(likely, key=lambda c: c.residual)[:THOROUGH]:
            found = self.chemistry.atoms(
                near.points, near.weights, fingerprint, self.tolerance, SETTLED
            )
            yield replace(found, condition=near.condition)
            if found.residual <= self.tolerance:
                return
        points, weights = self._plain(*matrix.zeros(density.moments))
        if len(points):
            yield self.chemistry.atoms(points, weights, fingerprint, self.tolerance, SETTLED)

    def _whole(self, near: Candidate) -> bool:
        """Whether points could stand for one or more atoms each."""
        lightest = np.min(self.chemistry.table[self.chemistry.numbers])
        inside = np.max(np.sum(near.points**2, axis=1)) < 1.1
        return bool(inside and np.min(near.weights) > LIGHTEST * lightest)

    def _plain(
        self, points: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Points, and their weights before the cutoff function."""
        decay = self.chemistry.fingerprints.decay(points)
        return points, weights / np.maximum(decay, 1e-9)

    def _march(self, order: int) -> March:
        return march(self.descriptor.order, self.descriptor.parity_odd, order)
