"""How many motions of an environment a fingerprint does not see."""

from __future__ import annotations

import numpy as np


def nulls(vectors, jacobian):
    """
    Null singular values of a Jacobian, shape (n, 3, n_features), that are not due to rotations.

    Also the smallest of the others, and the largest null, relative to the largest of all.
    """
    motions = jacobian.reshape(3 * len(vectors), -1)
    rotations = np.stack([np.cross(axis, vectors).ravel() for axis in np.eye(3)], axis=1)
    left, sizes, _ = np.linalg.svd(rotations)
    others = left[:, np.sum(sizes > 1e-8 * sizes[0]) :]
    seen = others.T @ motions
    # the same singular values, of a small matrix
    values = np.linalg.svd(np.linalg.qr(seen.T, mode="r"), compute_uv=False)
    values = np.concatenate([values, np.zeros(seen.shape[0] - len(values))]) / values[0]
    is_null = values < 1e-9
    return int(np.sum(is_null)), np.min(values[~is_null]), np.max(values[is_null], initial=0.0)
