"""Singular values by way of a small matrix, and from the Jacobian itself where digits are lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.descriptor import Descriptor
from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.singular._spectra_kernels import deflate
from distdesc.singular.maps import Separate
from distdesc.singular.motions import rotations
from distdesc.singular.point import Point, as_environments
from distdesc.singular.sight import complement, focused
from distdesc.structures.environment import Environments

ROUNDING = 1e-13
"""Of terms that cancel, relative to the largest of them."""

MAX_NUMBERS = 2**20
"""Of the matrices that are in memory at once, unless a single one has more."""

Responses = Callable[[NDArray[np.float64]], Iterator[NDArray[np.float64]]]
"""What the features do, in parts, in response to motions: (3 n, k) to parts (n_features, k)."""

REFINED = 1e-4
"""A row with a singular value below this, relative to the largest, is looked at again."""

COARSE = 1e-2
"""Singular values from here on, relative to the largest, are exact enough by way of squares."""


def singular_values(
    gram: NDArray[np.float64],
    motions: NDArray[np.float64],
    responses: Responses,
    allowed: NDArray[np.float64] | None = None,
    scale: float = 0.0,
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
    allowed : ndarray, shape (3 n, a), float64, optional
        Orthonormal motions that are looked at, such as totally symmetric ones; all if None.
    scale : float
        How large terms are that cancel in J, see `FeatureMap.scale`: what is below their rounding
        error is zero.

    Returns
    -------
    ndarray, shape (3 n - k,), float64
        From the largest, in features per Å; NaN if `gram` is not finite. Less if not all motions
        are looked at.
    """
    basis = complement(motions) if allowed is None else allowed @ complement(allowed.T @ motions)
    if not np.all(np.isfinite(gram)):
        return np.full(basis.shape[1], np.nan)
    squares, vectors = np.linalg.eigh(basis.T @ gram @ basis)
    values: NDArray[np.float64] = np.sqrt(np.maximum(squares[::-1], 0.0))
    if not _needs_more(values, scale):
        return values
    small = int(np.sum(values < COARSE * max(values[0], scale)))
    values[len(values) - small :] = _exact(responses(basis @ vectors[:, :small]), small)
    values[values < ROUNDING * scale] = 0.0
    return np.sort(values)[::-1]


def screened(
    descriptor: Descriptor, environments: Environments
) -> Iterator[tuple[NDArray[np.float64], int]]:
    """
    Singular values of many environments, as `singular_values`, and rotations set aside.

    Environments are taken together where they have as many neighbours and, for a descriptor whose
    other features are zero, the same elements. A power spectrum gives ``J J^T`` without J.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    environments : Environments
        Not modified.

    Yields
    ------
    values : ndarray, shape (3 n - n_rotations,), float64
        Of the next environment; NaN where the Jacobian is not finite.
    n_rotations : int
        Trivial motions.
    """
    of_part = _by_products if isinstance(descriptor, PowerSpectrum) else _by_jacobians
    for begin, end in _slices(np.diff(environments.offsets)):
        part = environments.part(begin, end)
        found = {k: (values, n) for k, values, n in of_part(descriptor, part)}
        for k in range(end - begin):
            yield found[k]


Found = Iterator[tuple[int, NDArray[np.float64], int]]
"""Each environment, its singular values and rotations, in any order."""


def _by_products(descriptor: Any, environments: Environments) -> Found:
    """Environments whose matrices ``J J^T`` the descriptor gives."""
    grams = descriptor.jacobian_products(environments)
    sizes = np.diff(environments.offsets)
    starts = np.cumsum([0, *(9 * sizes**2)])
    for n in np.unique(sizes):
        same = np.flatnonzero(sizes == n)
        matrices = grams[starts[same][:, None] + np.arange(9 * n * n)]

        def responses(place: int, same: NDArray[np.int64] = same) -> Responses:
            k = int(same[place])
            return Separate(descriptor, environments.part(k, k + 1)).responses

        shaped = matrices.reshape(len(same), 3 * n, 3 * n)
        yield from _of_one_size(environments, same, shaped, responses)


def _by_jacobians(descriptor: Descriptor, environments: Environments) -> Found:
    """Environments whose Jacobians are computed, many at once."""
    sizes = np.diff(environments.offsets)
    for kind, numbers in _focused(descriptor, environments).items():
        for n in np.unique(sizes[numbers]):
            same = np.array(numbers)[sizes[numbers] == n]
            step = max(1, MAX_NUMBERS // max(1, 3 * int(n) * kind.n_features))
            for begin in range(0, len(same), step):
                chosen = same[begin : begin + step]
                own = as_environments([Point.of(environments, int(k)) for k in chosen])
                found = kind.jacobian(own).reshape(len(chosen), 3 * int(n), kind.n_features)
                grams = found @ found.transpose(0, 2, 1)

                def responses(place: int, found: NDArray[np.float64] = found) -> Responses:
                    return lambda motions: iter([found[place].T @ motions])

                yield from _of_one_size(environments, chosen, grams, responses)


def _focused(descriptor: Descriptor, environments: Environments) -> dict[Descriptor, list[int]]:
    """Environments by what is left of the descriptor where their elements are all there is."""
    made: dict[tuple[bytes, int], Descriptor] = {}
    out: dict[Descriptor, list[int]] = {}
    for k, centre in enumerate(environments.centre_numbers.tolist()):
        own = slice(int(environments.offsets[k]), int(environments.offsets[k + 1]))
        key = (np.unique(environments.numbers[own]).tobytes(), centre)
        if key not in made:
            made[key] = focused(descriptor, Point.of(environments, k))
        out.setdefault(made[key], []).append(k)
    return out


def _of_one_size(
    environments: Environments,
    same: NDArray[np.int64],
    grams: NDArray[np.float64],
    responses: Callable[[int], Responses],
) -> Found:
    """Environments of n neighbours each, `grams` of shape (b, 3 n, 3 n), and what they respond."""
    n = grams.shape[1] // 3
    turns, n_still = rotations(environments.vectors[environments.offsets[same][:, None]
                                                    + np.arange(n)])  # fmt: skip
    finite = np.isfinite(grams).all(axis=(1, 2))
    for k in np.flatnonzero(~finite):
        yield int(same[k]), np.full(3 * n - 3 + int(n_still[k]), np.nan), 3 - int(n_still[k])
    for still in np.unique(n_still[finite]):
        places = np.flatnonzero(finite & (n_still == still))
        motions = turns[places, still:]
        for place, own, values in zip(places, motions, _rough(grams[places], motions), strict=True):
            if _needs_more(values):
                values = singular_values(grams[place], own.T, responses(int(place)))
            yield int(same[place]), values, 3 - int(still)


def _rough(grams: NDArray[np.float64], motions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Singular values by way of squares, of matrices and motions (b, k, 3 n) all of one size."""
    n = grams.shape[1] - motions.shape[1]
    within = np.empty((len(grams), n, n))
    deflate(grams.copy(), motions.copy(), within)
    squares = np.linalg.eigvalsh(within)[:, ::-1]
    found: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0.0))
    return found


def _needs_more(values: NDArray[np.float64], scale: float = 0.0) -> bool:
    return len(values) > 0 and bool(values[-1] < REFINED * max(values[0], scale))


def _slices(sizes: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Ranges of environments whose matrices are of bounded size, or of one."""
    ends = np.cumsum(9 * sizes**2)
    begin = 0
    while begin < len(sizes):
        done = ends[begin - 1] if begin else 0
        end = int(np.searchsorted(ends, done + MAX_NUMBERS, side="right"))
        yield begin, max(end, begin + 1)
        begin = max(end, begin + 1)


def _exact(parts: Iterator[NDArray[np.float64]], n: int) -> NDArray[np.float64]:
    """Singular values of a tall matrix that comes in parts, of which one is in memory at once."""
    triangle: NDArray[np.float64] = np.empty((0, n))
    for part in parts:
        _, triangle = np.linalg.qr(np.vstack([triangle, part]))
    values = np.zeros(n)
    found = np.linalg.svd(triangle, compute_uv=False)
    values[: len(found)] = found
    return values
