"""Points and weights of a density from its moments: the truncated moment problem."""

from __future__ import annotations

from functools import lru_cache
from math import pi

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from distdesc.decode._basis_kernels import functions_and_slopes
from distdesc.decode._moment_problem_kernels import joint_diagonalise
from distdesc.descriptors.density import harmonic_recurrence, n_moments, zernike_functions
from distdesc.descriptors.zernike import zernike_coefficients

NEWTON = 25
"""Steps towards common zeros, from each place of a grid."""

SWEEPS = 30
"""Of the joint diagonalisation; commuting matrices take about six."""


def capacity(order: int) -> int:
    """
    Points in general position that moments up to an order can hold.

    Parameters
    ----------
    order : int
        Largest n of the moments.
    """
    return n_moments((order - 1) // 2)


class MomentMatrix:
    """
    Weighted sums of products of polynomials over the points of a density.

    With an orthonormal basis phi of the polynomials of degree ``(order - 1) // 2``, the matrices
    ``M = sum_i w_i phi(r_i) phi(r_i)^T`` and ``X^k``, the same with a factor ``r_i^k``, are
    linear in the moments. M has as many non-zero eigenvalues as there are points in general
    position; whitened, the three X^k commute, and their joint eigenvalues are the points [1]_.

    Parameters
    ----------
    moments : ndarray, shape (n_moments(order),), float64
        Of one density, in the order of `distdesc.descriptors.density.tensors`.
    order : int
        Largest n.

    References
    ----------
    .. [1] Curto and Fialkow, Mem. Amer. Math. Soc. 136 (1998); Harmouch, Khalil and Mourrain,
       J. Symb. Comput. 85, 108 (2018).
    """

    def __init__(self, moments: NDArray[np.float64], order: int) -> None:
        size = capacity(order)
        self._order = order
        upper = np.triu_indices(size)
        matrices = np.empty((4, size, size))
        matrices[:, upper[0], upper[1]] = (_products(order) @ moments).reshape(4, -1)
        matrices[:, upper[1], upper[0]] = matrices[:, upper[0], upper[1]]
        self._mass, self._positions = matrices[0], matrices[1:]
        values, vectors = np.linalg.eigh(self._mass)
        self.eigenvalues: NDArray[np.float64] = values[::-1]
        self._vectors = vectors[:, ::-1]

    def ranks(self) -> list[int]:
        """
        Likely numbers of points, the most likely first.

        Eigenvalues that belong to points stand out from those that are rounded or noisy zeros;
        where the step is not clear, several are offered, widest step first.
        """
        values = np.maximum(self.eigenvalues, 1e-18 * self.eigenvalues[0])
        steps = np.log(values[:-1] / values[1:])
        positive = int(np.sum(self.eigenvalues > 1e-14 * self.eigenvalues[0]))
        best = [int(k) + 1 for k in np.argsort(-steps, kind="stable") if k < positive]
        if positive == len(values):
            best.insert(0 if steps.max() < np.log(1e5) else 1, positive)
        return list(dict.fromkeys(best))

    def condition(self, rank: int) -> float:
        """
        Ratio of the largest eigenvalue and the smallest that belongs to a point.

        Parameters
        ----------
        rank : int
            Number of points.
        """
        return float(self.eigenvalues[0] / self.eigenvalues[rank - 1])

    def points(self, rank: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """
        Points and weights, if there are so many.

        Parameters
        ----------
        rank : int
            Number of points.

        Returns
        -------
        points : ndarray, shape (rank, 3), float64
            In units of the radius of the ball.
        weights : ndarray, shape (rank,), float64
            Positive.
        """
        whiten = self._vectors[:, :rank] / np.sqrt(self.eigenvalues[:rank])
        matrices = np.ascontiguousarray(whiten.T @ self._positions @ whiten)
        vectors = np.eye(rank)
        joint_diagonalise(matrices, vectors, SWEEPS)
        points = np.stack([np.diag(m) for m in matrices], axis=1)
        roots = vectors.T @ (whiten.T @ self._mass[:, 0])  # the first polynomial is one
        return points, roots**2

    def zeros(
        self, moments: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """
        Points and weights where there are more points than the rank, such as those of a ring.

        A polynomial in the null space of M vanishes at every point. From a grid, the common
        zeros of all of them are sought by Newton's method; their weights follow from the moments.

        Parameters
        ----------
        moments : ndarray, shape (n_moments(order),), float64
            The moments again.

        Returns
        -------
        points : ndarray, shape (n, 3), float64
            In units of the radius of the ball; none if no polynomial vanishes.
        weights : ndarray, shape (n,), float64
            Positive.
        """
        rank = self.ranks()[0]
        null = self._vectors[:, rank:]
        if null.shape[1] < 3:
            return np.empty((0, 3)), np.empty(0)
        found, values = _common_zeros(null, (self._order - 1) // 2)
        points = _distinct(found[values < 1e-5])
        if not len(points):
            return points, np.empty(0)
        functions = 3 / (4 * pi) * zernike_functions(points, self._order)
        weights = np.linalg.lstsq(functions.T, moments, rcond=1e-10)[0]
        kept = weights > 1e-3 * np.max(weights)
        return points[kept], weights[kept]

    def sure_rank(self) -> int:
        """Rank that even moments with errors of about 1e-4 leave no doubt of."""
        return int(np.sum(self.eigenvalues > 2e-4 * self.eigenvalues[0]))


def _common_zeros(
    null: NDArray[np.float64], degree: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points of the ball where polynomials, columns of coefficients, vanish; largest values."""
    ticks = np.linspace(-0.9, 0.9, 8)
    grid = np.stack(np.meshgrid(ticks, ticks, ticks), axis=-1).reshape(-1, 3)
    points = grid[np.sum(grid**2, axis=1) < 1]
    recurrence = np.array(harmonic_recurrence(degree))
    radial = np.array(zernike_coefficients(degree))
    functions = np.empty((len(points), len(null)))
    slopes = np.empty((len(points), 3, len(null)))
    for _ in range(NEWTON):
        functions_and_slopes(points, recurrence, radial, functions, slopes)
        values, by_place = functions @ null, slopes @ null
        gradient = np.einsum("pkn,pn->pk", by_place, values)
        curvature = by_place @ by_place.transpose(0, 2, 1) + 1e-12 * np.eye(3)
        step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        length = np.linalg.norm(step, axis=1, keepdims=True)
        points = points - step * np.minimum(1.0, 0.2 / np.maximum(length, 1e-12))
        points = points / np.maximum(1.0, np.linalg.norm(points, axis=1, keepdims=True))
    functions_and_slopes(points, recurrence, radial, functions, slopes)
    return points, np.max(np.abs(functions @ null), axis=1)


def _distinct(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points, each once."""
    kept: list[NDArray[np.float64]] = []
    for point in points:
        if all(np.sum((point - other) ** 2) > 1e-6 for other in kept):
            kept.append(point)
    return np.array(kept).reshape(-1, 3)


@lru_cache(maxsize=8)
def _products(order: int) -> csr_array:
    """Upper halves of the matrices of `MomentMatrix`, mass, x, y and z, by moments."""
    degree = (order - 1) // 2
    points, weights = ball_rule(2 * degree + 1 + order)
    basis, functions = zernike_functions(points, degree), zernike_functions(points, order)
    first, second = np.triu_indices(basis.shape[1])
    products = basis[:, first] * basis[:, second]
    factors = (np.ones(len(points)), *points.T)
    parts = [products.T @ (functions * (weights * f)[:, None]) for f in factors]
    table = 4 * pi / 3 * np.concatenate(parts)
    table[np.abs(table) < 1e-13] = 0.0
    return csr_array(table)


def ball_rule(degree: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Places and weights that integrate polynomials over the ball, ``3 / (4 pi)`` included.

    Parameters
    ----------
    degree : int
        Largest degree that is integrated exactly.

    Returns
    -------
    places : ndarray, shape (n, 3), float64
        In the unit ball.
    weights : ndarray, shape (n,), float64
        They sum to one.
    """
    x, by_radius = np.polynomial.legendre.leggauss(degree // 2 + 2)
    z, by_height = np.polynomial.legendre.leggauss(degree // 2 + 1)
    turn = 2 * pi * np.arange(degree + 1) / (degree + 1)
    radius = 0.5 * (x + 1)
    r, cosine, angle = np.meshgrid(radius, z, turn, indexing="ij")
    sine = np.sqrt(1 - cosine**2)
    places = r[..., None] * np.stack([sine * np.cos(angle), sine * np.sin(angle), cosine], axis=-1)
    weights = 3 * (0.5 * by_radius * radius**2)[:, None, None] * (0.5 * by_height)[:, None]
    return places.reshape(-1, 3), np.repeat(weights.ravel(), degree + 1) / (degree + 1)
