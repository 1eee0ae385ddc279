"""How many motions of an environment or a structure a fingerprint does not see."""

from __future__ import annotations

import numpy as np


def turns(vectors):
    """Motions of an infinitesimal rotation about each axis."""
    return [np.cross(axis, vectors) for axis in np.eye(3)]


def shifts(vectors):
    """Motions of a shift along each axis."""
    return [np.tile(axis, (len(vectors), 1)) for axis in np.eye(3)]


def nulls(vectors, jacobian, trivial=turns, tolerance=1e-9):
    """
    Null singular values of a Jacobian, shape (n, 3, n_features), that are not due to rotations.

    Also the smallest of the others, and the largest null, relative to the largest of all.
    """
    motions = jacobian.reshape(3 * len(vectors), -1)
    left_out = np.stack([motion.ravel() for motion in trivial(vectors)], axis=1)
    left, sizes, _ = np.linalg.svd(left_out)
    others = left[:, np.sum(sizes > 1e-8 * sizes[0]) :]
    seen = others.T @ motions
    # the same singular values, of a small matrix
    values = np.linalg.svd(np.linalg.qr(seen.T, mode="r"), compute_uv=False)
    values = np.concatenate([values, np.zeros(seen.shape[0] - len(values))]) / values[0]
    is_null = values < tolerance
    return int(np.sum(is_null)), np.min(values[~is_null]), np.max(values[is_null], initial=0.0)


def global_nulls(positions, jacobian):
    """Null singular values as `nulls`, of a whole structure: shifts are left out as well."""
    centred = positions - positions.mean(axis=0)
    return nulls(centred, jacobian, trivial=lambda x: [*turns(x), *shifts(x)])
