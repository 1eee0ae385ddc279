"""Singular values by way of a small matrix, and from the Jacobian itself where digits are lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from distdesc.singular.sight import complement

Responses = Callable[[NDArray[np.float64]], Iterator[NDArray[np.float64]]]
"""What the features do, in parts, in response to motions: (3 n, k) to parts (n_features, k)."""

REFINED = 1e-4
"""A row with a singular value below this, relative to the largest, is looked at again."""

COARSE = 1e-2
"""Singular values from here on, relative to the largest, are exact enough by way of squares."""


def singular_values(
    gram: NDArray[np.float64], motions: NDArray[np.float64], responses: Responses
) -> NDArray[np.float64]:
    """
    Singular values of a Jacobian J within the motions that are not trivial.

    They are the roots of the eigenvalues of ``J J^T``, a small matrix whatever the number of
    features. Squares keep half of the digits: a value s has the relative error
    ``eps (s_max / s)^2``. Where one is small, all below `COARSE` are found again as the singular
    values of the responses to their own motions. These are what is left of J once the large
    ones have been taken out, so that nothing is lost: errors are then about 1e-14 of s_max.

    Parameters
    ----------
    gram : ndarray, shape (3 n, 3 n), float64
        ``J J^T``, in features² per Å².
    motions : ndarray, shape (3 n, k), float64
        Trivial ones, orthonormal.
    responses : callable
        Gives ``J^T v`` of motions v, in parts.

    Returns
    -------
    ndarray, shape (3 n - k,), float64
        From the largest, in features per Å; NaN if `gram` is not finite.
    """
    basis = complement(motions)
    if not np.all(np.isfinite(gram)):
        return np.full(basis.shape[1], np.nan)
    squares, vectors = np.linalg.eigh(basis.T @ gram @ basis)
    values: NDArray[np.float64] = np.sqrt(np.maximum(squares[::-1], 0.0))
    if len(values) == 0 or values[-1] > REFINED * values[0]:
        return values
    small = int(np.sum(values < COARSE * values[0]))
    values[len(values) - small :] = _exact(responses(basis @ vectors[:, :small]), small)
    return np.sort(values)[::-1]


def _exact(parts: Iterator[NDArray[np.float64]], n: int) -> NDArray[np.float64]:
    """Singular values of a tall matrix that comes in parts, of which one is in memory at once."""
    triangle: NDArray[np.float64] = np.empty((0, n))
    for part in parts:
        _, triangle = np.linalg.qr(np.vstack([triangle, part]))
    values = np.zeros(n)
    found = np.linalg.svd(triangle, compute_uv=False)
    values[: len(found)] = found
    return values
