"""Environments to try descriptors on."""

from __future__ import annotations

import numpy as np

from distdesc.structures.environment import Environments


def batch(environments, centre_number=6):
    """Environments from pairs of (vectors, numbers)."""
    vectors = [np.asarray(v, dtype=np.float64).reshape(-1, 3) for v, _ in environments]
    numbers = [np.asarray(z, dtype=np.int32).reshape(-1) for _, z in environments]
    counts = [len(v) for v in vectors]
    n = len(environments)
    return Environments(
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        vectors=np.concatenate([np.empty((0, 3)), *vectors]),
        numbers=np.concatenate([np.empty(0, np.int32), *numbers]),
        neighbours=np.arange(sum(counts)),
        centres=np.arange(n),
        centre_numbers=np.full(n, centre_number, dtype=np.int32),
    )


def random_environment(rng, n, radius, numbers=(1, 6, 7, 8)):
    """Neighbours scattered in a ball, not too close to its centre."""
    directions = rng.normal(size=(n, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    distances = radius * rng.uniform(0.05, 1.0, size=(n, 1)) ** (1 / 3)
    return directions * distances, rng.choice(numbers, size=n)


def random_rotation(rng):
    """Proper rotation matrix."""
    matrix, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return matrix * np.sign(np.linalg.det(matrix))


def row(environments, k):
    """Environment k as (vectors, numbers)."""
    part = slice(environments.offsets[k], environments.offsets[k + 1])
    return environments.vectors[part], environments.numbers[part]
