"""Environments that are singular, or degenerate, by construction; parameters are random."""

from __future__ import annotations

import numpy as np
from reference.batches import random_rotation

from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.elements import SYMBOLS
from distdesc.singular.point import Point
from distdesc.singular.sight import Sight

# Neighbours as points, without a decay at the cutoff.
POINTS = {"radial": "laplacian", "sigma": 0.0, "cutoff_function": "none"}

TETRAHEDRON = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)


def apart(vectors, least=0.5):
    """Whether no two neighbours, and none and the centre, are too close."""
    distances = np.linalg.norm(vectors[:, None] - vectors, axis=2) + 10 * np.eye(len(vectors))
    return min(distances.min(), np.linalg.norm(vectors, axis=1).min()) > least


def drawn(rng, make):
    """Environment of a family whose neighbours are apart, in a general orientation."""
    while not apart(vectors := np.asarray(make(rng))):
        pass
    return vectors @ random_rotation(rng).T


def merged_on_axis(rng):
    """Pairs with one power spectrum meet here: two like atoms about an axis, one on it, one off."""
    first, pair = rng.uniform(0.4, 1.1, size=(2, 3))
    return [first, pair, pair * [-1, -1, 1], [0, 0, rng.uniform(0.7, 1.2)]]


def folded_at_mirror(rng):
    """They meet in another way: two at one distance, one between them, one in their plane."""
    one, two = rng.normal(size=(2, 3))
    two *= np.linalg.norm(one) / np.linalg.norm(two)
    middle, normal = one + two, np.cross(one, two)
    third = rng.uniform(0.4, 0.8) * middle + rng.uniform(0.6, 1.0) * normal
    four = np.array([one, two, third, rng.uniform(0.6, 1.0) * one - rng.uniform(1.0, 1.4) * two])
    return four * 1.5 / np.max(np.linalg.norm(four, axis=1))


def on_cone(rng, height=None):
    """And in a third: three at one distance and angle about the direction of the fourth."""
    height = rng.uniform(0.25, 0.5) if height is None else height
    angles = np.cumsum(rng.uniform(1.7, 2.3, size=3))
    cone = np.stack([np.cos(angles), np.sin(angles), np.full(3, height)], axis=1)
    return [*cone, [0, 0, rng.uniform(0.8, 1.3)]]


def of_two_triangles(rng):
    """Pairs with one bispectrum meet here: an isosceles triangle, twice, and one on their axis."""
    half, turn, height = rng.uniform(1.6, 2.0), rng.uniform(0.4, 0.9), rng.uniform(0.3, 0.6)
    angles = np.array([0, half, -half])
    ring = np.stack([np.cos(angles), np.sin(angles), np.full(3, height)], axis=1)
    c, s = np.cos(turn), np.sin(turn)
    below = ring @ np.array([[c, s, 0], [-s, c, 0], [0, 0, -1]])
    return [*ring, *below, [0, 0, rng.uniform(0.7, 0.9)]]


def at_one_distance(rng, n):
    """Neighbours in general directions."""
    vectors = rng.normal(size=(n, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def scattered(rng, radius=3.0):
    """Four neighbours anywhere in a ball."""
    vectors = rng.uniform(-radius, radius, size=(4, 3))
    return vectors * np.where(np.linalg.norm(vectors, axis=1) < radius, 1, 0.1)[:, None]


def spectrum(n_max=4, l_max=6, numbers=(1,), cutoff=2.6, kind=PowerSpectrum, **fields):
    """Descriptor of points; its cutoff leaves room about the environments above."""
    elements = tuple(SYMBOLS[z] for z in sorted(set(numbers)))
    sizes = {"n_max": n_max, "l_max": l_max}
    return kind(cutoff=cutoff, elements=elements, **sizes, **POINTS, **fields)


def hydrogens(vectors):
    """Point of a carbon with such hydrogen neighbours."""
    return Point(vectors, np.ones(len(vectors), dtype=np.int32), 6)


def beside(rng, vectors, distance):
    """The same environment displaced by a given distance, in a random direction."""
    shift = rng.normal(size=np.shape(vectors))
    return vectors + distance * shift / np.linalg.norm(shift)


def sight_of(vectors, **fields):
    """A power spectrum that looks at hydrogens."""
    return Sight(spectrum(**fields), hydrogens(vectors))
