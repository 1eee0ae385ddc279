"""Atoms on a line, more than moments can tell apart: their elements as the letters of a word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from math import pi

import numpy as np
from numpy.typing import NDArray

from distdesc.decode._collinear_kernels import fit_lines
from distdesc.decode.atoms import CLOSEST, Candidate, Chemistry
from distdesc.decode.damped import refine
from distdesc.decode.moment_problem import ball_rule
from distdesc.descriptors.density import zernike_functions

MONOVALENT = (1, 9, 17, 35, 53)
"""Elements that end a chain of atoms."""

ELEMENT = (0.02, 0.1)
"""Errors of a weight, relative to the step between elements, up to which it is an atom's."""

STRAIGHT = 0.06
"""Distance from the line, relative to half its length, of what is on it."""

BEYOND = 1.3
"""Half the length of the line to that of the nodes on it, which end before the atoms do."""

WORDS = 3000
"""Of elements, to try for one line; the most uniform first."""

STEPS = 40
"""To fit one of them."""

FITTED = 1e-3
"""Error of the moments along the line, relative to the weight, of what is looked at further."""

ROUNDED = 1e-9
"""The same, of words that all fit as well as can be."""

POLISHES = 8
"""Words fitted in space, at most."""

SLACK = 10.0
"""Times the residual at which nothing is left to fit, up to which a fit counts: lines are thin."""

NEAR = 1e-2
"""Residual from which it is worth to fit the fingerprint."""


@dataclass(frozen=True)
class Density:
    """
    What is known of a density.

    Parameters
    ----------
    moments : ndarray, shape (n_moments(order),), float64
        In a frame of their own.
    order : int
        Largest n.
    fingerprint : ndarray, shape (n_features,), float64
        What its atoms must have.
    """

    moments: NDArray[np.float64]
    order: int
    fingerprint: NDArray[np.float64]


def complete_line(
    chemistry: Chemistry,
    density: Density,
    near: Candidate,
    polished: float,
) -> list[Candidate]:
    """
    Replace points with weights of no element, if they are on a line, by atoms.

    Moments along a line up to degree 2 n - 1 are those of n points, the nodes of a Gauss
    quadrature, also if there are more atoms. That the weights of atoms are those of elements
    makes up for it: for every word of elements with the total weight, places are fitted to the
    moments along the line, which follow without error from those in space.

    Parameters
    ----------
    chemistry : Chemistry
        Of the descriptor.
    density : Density
        Moments, and the fingerprint.
    near : Candidate
        Points: those that are atoms, and those that are not.
    polished : float
        Residual at which nothing is left to fit.

    Returns
    -------
    list of Candidate
        Those that have the fingerprint; all of them, if that of more than one word does.
    """
    nodes, masses = near.points, near.weights
    for allowed in ELEMENT:
        inside = _on_line(chemistry, nodes, masses, allowed)
        if inside is None:
            continue
        line = _Line(nodes[inside], masses[inside])
        singles = chemistry.nearest_numbers(masses[~inside])
        target = line.moments(density.moments, density.order)
        target -= line.polynomials(nodes[~inside], density.order) @ chemistry.table[singles]
        found: list[Candidate] = []
        for cost, word, places in _words(chemistry, line, target):
            if found and cost > ROUNDED * target[0]:
                break  # as those before, it is none of those that fit
            points = np.concatenate([nodes[~inside], line.points(places)])
            numbers = np.concatenate([singles, word])
            settled = _settled(chemistry, density, points, numbers, polished)
            if settled.residual <= SLACK * polished:
                found.append(replace(settled, condition=near.condition))
        if found:
            return found
    return []


class _Line:
    """
    The line of some nodes, and how far they are from it.

    Parameters
    ----------
    nodes : ndarray, shape (n, 3), float64
        In units of the radius.
    masses : ndarray, shape (n,), float64
        Their weights.
    """

    def __init__(self, nodes: NDArray[np.float64], masses: NDArray[np.float64]) -> None:
        middle = np.average(nodes, axis=0, weights=masses)
        self.axis: NDArray[np.float64] = np.linalg.svd(nodes - middle)[2][0]
        along = (nodes - middle) @ self.axis
        self.length = BEYOND / 2 * float(np.ptp(along))
        self._middle = middle + 0.5 * (along.min() + along.max()) * self.axis
        order = np.argsort(along)
        self._along, self._beside = self.split(nodes[order])
        self._masses = masses[order]
        self.n_nodes = len(nodes)

    def split(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Places of points along the line, in units of its length, and what is beside it."""
        along = (points - self._middle) @ self.axis / self.length
        return along, points - self._middle - self.length * np.outer(along, self.axis)

    def polynomials(self, points: NDArray[np.float64], order: int) -> NDArray[np.float64]:
        """Chebyshev polynomials along the line at some points, shape (order + 1, n)."""
        along, _ = self.split(points)
        return np.asarray(np.polynomial.chebyshev.chebvander(along, order).T, dtype=np.float64)

    def moments(self, moments: NDArray[np.float64], order: int) -> NDArray[np.float64]:
        """Moments of these polynomials from those in space."""
        places, projection = _projection(order)
        along: NDArray[np.float64] = self.polynomials(places, order) @ (projection @ moments)
        return 4 * pi / 3 * along

    def shares(self, total: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Places along the line, and the weight of the density up to there."""
        upto = np.cumsum(self._masses) * (total / np.sum(self._masses))
        ends = 1.5 * self._along[[0, -1]] - 0.5 * self._along[[1, -2]]
        middles = upto - 0.5 * self._masses
        knots = np.concatenate([ends[:1], self._along, ends[1:]])
        return knots, np.concatenate([[0.0], middles, upto[-1:]])

    def points(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Places along the line in space, as far beside it as the nodes are there."""
        beside = [np.interp(places, self._along, b) for b in self._beside.T]
        on_line = self._middle + self.length * np.outer(places, self.axis)
        return np.asarray(on_line + np.stack(beside, axis=1))


def _on_line(
    chemistry: Chemistry,
    nodes: NDArray[np.float64],
    masses: NDArray[np.float64],
    allowed: float,
) -> NDArray[np.bool_] | None:
    """Which nodes are on a line with those that are no atoms; None if these are on none."""
    weights = np.unique(chemistry.table[chemistry.numbers])
    step = float(np.min(np.diff(weights))) if len(weights) > 1 else float(weights[0])
    rounded = chemistry.table[chemistry.nearest_numbers(masses)]
    odd = np.abs(rounded - masses) > allowed * step
    if np.sum(odd) < 3:
        return None
    line = _Line(nodes[odd], masses[odd])
    along, beside = line.split(nodes)
    near = np.linalg.norm(beside, axis=1) < STRAIGHT * line.length
    return near & (np.abs(along) <= BEYOND) if np.all(near[odd]) else None


def _words(
    chemistry: Chemistry, line: _Line, target: NDArray[np.float64]
) -> list[tuple[float, NDArray[np.int32], NDArray[np.float64]]]:
    """Errors, elements and places of atoms with moments near a target, evenly spaced first."""
    total = float(target[0])
    knots, shares = line.shares(total)
    found: list[tuple[float, float, NDArray[np.int32], NDArray[np.float64]]] = []
    left = WORDS
    for formula in _likely(chemistry.formulas(total), line.n_nodes, len(target) - 1):
        words = np.array(list(islice(_arrangements(formula.tolist()), left)), dtype=np.int32)
        if not len(words):
            continue
        left -= len(words)
        places, costs = np.empty(words.shape), np.empty(len(words))
        fit_lines(words, chemistry.table, target, knots, shares, STEPS, places, costs)
        for k in np.flatnonzero(costs < (FITTED * total) ** 2):
            spacing = np.diff(np.sort(places[k])) * line.length
            if not np.all(spacing * chemistry.radius > CLOSEST):
                continue
            cost = max(float(np.sqrt(costs[k])), ROUNDED * total)
            found.append((cost, float(np.max(spacing) / np.min(spacing)), words[k], places[k]))
    found.sort(key=lambda fit: fit[:2])
    return [(cost, word, places) for cost, _, word, places in found[:POLISHES]]


def _likely(formulas: list[NDArray[np.int32]], least: int, most: int) -> list[NDArray[np.int32]]:
    """Formulas of so many atoms, those with the fewest different elements first."""

    def variety(formula: NDArray[np.int32]) -> tuple[int, int]:
        return len(formula) - int(np.max(np.bincount(formula))), len(formula)

    return sorted((f for f in formulas if least <= len(f) <= most), key=variety)


def _arrangements(formula: list[int]) -> Iterator[tuple[int, ...]]:
    """Different orders of some atoms on a line, monovalent elements at its ends."""
    ends = [z for z in formula if z in MONOVALENT]
    inner = sorted(z for z in formula if z not in MONOVALENT)
    if len(ends) > 2 or len(formula) < 2:
        return
    if len(ends) == 1:
        pairs: list[tuple[list[int], list[int]]] = [(ends, []), ([], ends)]
    else:
        pairs = [(ends[:1], ends[1:])]
        if len(set(ends)) == 2:
            pairs.append((ends[1:], ends[:1]))
    for middle in _permutations(inner):
        for first, last in pairs:
            yield (*first, *middle, *last)


def _permutations(items: list[int]) -> Iterator[tuple[int, ...]]:
    """Different orders of sorted items."""
    if not items:
        yield ()
    for k, item in enumerate(items):
        if k == 0 or item != items[k - 1]:
            for rest in _permutations(items[:k] + items[k + 1 :]):
                yield (item, *rest)


def _settled(
    chemistry: Chemistry,
    density: Density,
    points: NDArray[np.float64],
    numbers: NDArray[np.int32],
    polished: float,
) -> Candidate:
    """Atoms fitted to moments, then to the fingerprint."""
    own, weights = chemistry.fingerprints, chemistry.table[numbers]
    moments, fingerprint = density.moments, density.fingerprint
    scale = 1 / own.units(fingerprint)

    def by_place(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        functions, slopes = own.basis(x.reshape(-1, 3))
        weighted = slopes * weights[:, None, None]
        return weights @ functions, weighted.reshape(-1, functions.shape[1]).T

    def from_moments(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return by_place(x)[0][: len(moments)] - moments

    def from_fingerprint(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return (own.of_moments(by_place(x)[0]) - fingerprint) * scale

    def slopes(x: NDArray[np.float64]) -> NDArray[np.float64]:
        found, slopes = by_place(x)
        product: NDArray[np.float64] = own.slopes_by_moments(found) @ slopes
        return product * scale[:, None]

    x = refine(
        from_moments, lambda x: by_place(x)[1][: len(moments)], points.ravel(), 1e-26, STEPS // 2
    ).x
    residual = own.residual(fingerprint, x.reshape(-1, 3), weights)
    if polished < residual < NEAR:
        x = refine(from_fingerprint, slopes, x, 1e-28, STEPS // 2).x
        residual = own.residual(fingerprint, x.reshape(-1, 3), weights)
    return Candidate(x.reshape(-1, 3), weights, numbers, residual)


@lru_cache(maxsize=8)
def _projection(order: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places in the ball, and Zernike functions there with the weights of an integral."""
    places, weights = ball_rule(2 * order)
    return places, zernike_functions(places, order) * weights[:, None]
