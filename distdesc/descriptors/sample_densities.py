"""Densities to choose invariants by: like molecules, and of many symmetries."""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.density import moments, n_moments

CHAINS = 32
"""Samples that are like molecules."""

RADII = (0.5, 0.6, 0.7, 0.8)
"""Their sizes, in turn: molecules rarely fill the ball."""

ORBITS = (12, 20)
"""Atoms of the samples of a symmetry, at most, or three orbits."""

RANDOM = 4
"""Samples of random moments, which belong to no atoms."""

SMALL = 0.3
"""Weight of a sample that is like a molecule, of which there are many, beside any other."""

TRIALS = 40
"""Directions to try for an atom before another neighbour is taken."""


class Samples(NamedTuple):
    """
    Moments of samples.

    Parameters
    ----------
    moments : ndarray, shape (n, n_moments(order)), float64
        Of one density each.
    generic : ndarray, shape (n,), bool
        Whether a sample has no symmetry.
    atomic : ndarray, shape (n,), bool
        Whether there are atoms that have these moments.
    weights : ndarray, shape (n,), float64
        How much a sample counts.
    """

    moments: NDArray[np.float64]
    generic: NDArray[np.bool_]
    atomic: NDArray[np.bool_]
    weights: NDArray[np.float64]


def symmetries() -> dict[str, tuple[NDArray[np.float64], ...]]:
    """
    Generators of point groups, their main axis along z, by their names.

    Those of which small molecules are, and those of which only few invariants are not zero.
    """
    y_mirror, z_mirror = np.diag([1.0, -1.0, 1.0]), np.diag([1.0, 1.0, -1.0])
    two_fold, inversion = np.diag([1.0, -1.0, -1.0]), -np.eye(3)
    cycle = np.roll(np.eye(3), 1, axis=0)
    half, third = turn(2), turn(3)
    improper = turn(4) @ z_mirror
    return {
        "Cs": (y_mirror,), "C2": (half,), "C2v": (half, y_mirror), "C3": (third,),
        "C3v": (third, y_mirror), "C2h": (half, z_mirror), "D2": (half, two_fold),
        "D3": (third, two_fold), "D3h": (third, two_fold, z_mirror),
        "D3d": (third, two_fold, inversion), "D2h": (half, two_fold, z_mirror),
        "D2d": (improper, two_fold), "Td": (cycle, half, improper),
        "D5h": (turn(5), two_fold, z_mirror), "D6h": (turn(6), two_fold, z_mirror),
    }  # fmt: skip


def samples(order: int) -> Samples:
    """
    Moments of samples, the same in every process.

    Parameters
    ----------
    order : int
        Largest n.
    """
    # of all generators, this one is promised to stay the same in later versions
    draw = Random(20210419).random
    found = []
    for k in range(CHAINS):
        points, weights = _chain(draw, 3 + k % 7, RADII[k % len(RADII)])
        found.append(moments(points, weights, order))
    found += [np.array([2 * draw() - 1 for _ in range(n_moments(order))]) for _ in range(RANDOM)]
    found += [
        moments(*_orbits(draw, closure(generators), size), order)
        for generators in symmetries().values()
        for size in ORBITS
    ]
    points, weights = _orbits(draw, np.eye(3)[None], ORBITS[0])
    found.append(moments(points * [1.0, 1.0, 0.0], weights, order))  # all in a plane
    number = np.arange(len(found))
    generic, chain = number < CHAINS + RANDOM, number < CHAINS
    return Samples(np.array(found), generic, ~generic | chain, np.where(chain, SMALL, 1.0))


def turn(fold: int) -> NDArray[np.float64]:
    """
    Matrix of the smallest turn of an axis along z, shape (3, 3).

    Parameters
    ----------
    fold : int
        Turns that make a whole one.
    """
    c, s = np.cos(2 * pi / fold), np.sin(2 * pi / fold)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def closure(generators: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
    """
    All operations of a finite group.

    Parameters
    ----------
    generators : tuple of ndarray, each shape (3, 3), float64
        Orthogonal.

    Returns
    -------
    ndarray, shape (n, 3, 3), float64
        The identity first.
    """
    group = [np.eye(3)]
    for operation in group:  # which grows meanwhile
        for generator in generators:
            product = generator @ operation
            if all(np.max(np.abs(product - other)) > 1e-6 for other in group):
                group.append(product)
    return np.array(group)


def _direction(draw: Callable[[], float]) -> NDArray[np.float64]:
    height, angle = 2 * draw() - 1, 2 * pi * draw()
    width = np.sqrt(1 - height**2)
    return np.array([width * np.cos(angle), width * np.sin(angle), height])


def _orbits(
    draw: Callable[[], float], group: NDArray[np.float64], size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points and weights with a symmetry."""
    n = max(3, size // len(group))
    points = np.array([(0.25 + 0.7 * draw()) * _direction(draw) for _ in range(n)])
    weights = np.array([1 + draw() for _ in range(n)])
    return (points @ group).reshape(-1, 3), np.tile(weights, len(group))


def _chain(
    draw: Callable[[], float], n_heavy: int, radius: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Heavy atoms bound to each other at random, and light ones to them, about their middle."""
    places, weights = [np.zeros(3)], [1.3]

    def bind(to: int, bond: float, apart: float, weight: float) -> None:
        for _ in range(TRIALS):
            place = places[to] + bond * _direction(draw)
            if min(float(np.linalg.norm(place - p)) for p in places) > apart:
                places.append(place)
                weights.append(weight)
                return

    while len(places) < n_heavy:
        bind(int(draw() * len(places)), 1.5, 1.4, (1.3, 1.3, 1.3, 1.5, 1.7)[int(5 * draw())])
    for _ in range(int(2.2 * n_heavy * draw())):
        bind(int(draw() * n_heavy), 1.1, 1.0, 1.1)
    points = np.array(places)
    middle = points.mean(axis=0)
    for k in range(200):  # towards the centre of the smallest ball
        farthest = points[np.argmax(np.linalg.norm(points - middle, axis=1))]
        middle = middle + (farthest - middle) / (k + 2)
    points = points - middle
    return points * (radius / np.linalg.norm(points, axis=1).max()), np.array(weights)
