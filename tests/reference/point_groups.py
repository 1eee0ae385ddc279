"""Point groups by other means: matrices from generators, and a slow search along likely axes."""

from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np

GOLDEN = (1 + 5**0.5) / 2


def rotation(axis, turn):
    """Rotation about an axis by a part of a full turn (Rodrigues' formula)."""
    axis = np.asarray(axis, dtype=float) / np.linalg.norm(axis)
    angle = 2 * np.pi * turn
    cross = np.cross(np.eye(3), axis)
    along = np.outer(axis, axis)
    return along + np.cos(angle) * (np.eye(3) - along) - np.sin(angle) * cross


def mirror(normal):
    normal = np.asarray(normal, dtype=float) / np.linalg.norm(normal)
    return np.eye(3) - 2 * np.outer(normal, normal)


def closure(*generators):
    """All products of some matrices."""
    group = [np.eye(3)]
    for member in group:
        for generator in generators:
            new = generator @ member
            if np.min(np.max(np.abs(np.array(group) - new), axis=(1, 2))) > 1e-6:
                group.append(new)
    return np.array(group)


@cache
def point_group(name):
    """Operations of a group about z, or of a solid with twofold axes along x, y and z."""
    x, z, inversion = [1, 0, 0], [0, 0, 1], -np.eye(3)
    threefold = rotation([1, 1, 1], 1 / 3)
    solids = {
        "T": [rotation(z, 1 / 2), threefold],
        "O": [rotation(z, 1 / 4), threefold],
        "I": [rotation(z, 1 / 2), threefold, rotation([0, 1, GOLDEN], 1 / 5)],
    }
    special = {
        "C1": [], "Cs": [mirror(z)], "Ci": [inversion], "Td": [-rotation(z, 1 / 4), threefold],
    }  # fmt: skip
    if name in special:
        return closure(*special[name])
    if name.rstrip("h") in solids:
        return closure(*solids[name.rstrip("h")], *([inversion] if name.endswith("h") else []))
    n = int(name.strip("CDSvhd"))
    if name[0] == "S":
        return closure(mirror(z) @ rotation(z, 1 / n))
    more = {"C": [], "Cv": [mirror(x)], "Ch": [mirror(z)], "D": [rotation(x, 1 / 2)]}
    more["Dh"] = [*more["D"], mirror(z)]
    more["Dd"] = [*more["D"], mirror(z) @ rotation(z, 1 / (2 * n))]
    return closure(rotation(z, 1 / n), *more[name.replace(str(n), "")])


def replicated(points, numbers, group):
    """All images of some atoms."""
    images = np.einsum("gxy,ky->gkx", group, points).reshape(-1, 3)
    return images, np.tile(numbers, len(group))


def maps_onto_itself(operation, points, numbers, tolerance):
    gaps = np.linalg.norm(points[:, None] - points @ operation.T, axis=2)
    gaps[np.asarray(numbers)[:, None] != numbers] = np.inf
    return bool(np.all(np.min(gaps, axis=0) < tolerance))


def slow_search(points, numbers, tolerance=1e-6, most=8):
    """
    Operations of points that are not on one line, by trial.

    An axis goes through an atom or the middle of two, is normal to the plane of two and the
    centre, or to that of three. A mirror is normal to an axis or to the line of two atoms.
    """
    n = len(points)
    axes = [*points, *(points[i] + points[j] for i, j in combinations(range(n), 2))]
    axes += [np.cross(points[i], points[j]) for i, j in combinations(range(n), 2)]
    axes += [
        np.cross(points[j] - points[i], points[k] - points[i])
        for i, j, k in combinations(range(n), 3)
    ]
    axes += [points[i] - points[j] for i, j in combinations(range(n), 2)]
    axes = np.array([a / np.linalg.norm(a) for a in axes if np.linalg.norm(a) > 1e-3])
    kept: list[np.ndarray] = []
    for axis in axes:
        if not any(abs(abs(axis @ other) - 1) < 1e-9 for other in kept):
            kept.append(axis)
    turns = sorted({k / m for m in range(1, most + 1) for k in range(m)})
    tried = [np.eye(3), -np.eye(3)]
    for axis in kept:
        plain = [rotation(axis, turn) for turn in turns]
        tried += [*plain, *(mirror(axis) @ turn for turn in plain)]
    found = [o for o in tried if maps_onto_itself(o, points, numbers, tolerance)]
    unique = []
    for member in found:
        if not any(np.allclose(member, old, atol=1e-4) for old in unique):
            unique.append(member)
    return np.array(unique)
