"""Moments of the neighbour density: its expansion in real orthonormal Zernike functions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.zernike import zernike_coefficients


def tensors(order: int) -> Iterator[tuple[int, int, int]]:
    """
    Tensors (n, l) of an expansion and where their 2 l + 1 moments begin.

    Parameters
    ----------
    order : int
        Largest n.

    Yields
    ------
    tuple of int
        n, l (of the parity of n) and offset, in the order of the moments: m from -l to l fastest.
    """
    offset = 0
    for n in range(order + 1):
        for l in range(n % 2, n + 1, 2):
            yield n, l, offset
            offset += 2 * l + 1


def n_moments(order: int) -> int:
    """
    Number of moments of one density, ``(N + 1) (N + 2) (N + 3) / 6``.

    Parameters
    ----------
    order : int
        Largest n.
    """
    return (order + 1) * (order + 2) * (order + 3) // 6


@cache
def harmonic_recurrence(max_l: int) -> NDArray[np.float64]:
    """
    Coefficients of the recurrence of the solid harmonics.

    ``S_{l,m} = Q_l^m Re (x + i y)^m`` and ``S_{l,-m} = Q_l^m Im (x + i y)^m`` with
    ``Q_m^m = d_m``, ``Q_l^m = a z Q_{l-1}^m + b r^2 Q_{l-2}^m``: polynomials of x, y and z, so
    that nothing special happens at the origin or on the z axis.

    Parameters
    ----------
    max_l : int
        Largest l.

    Returns
    -------
    ndarray, shape (2, max_l + 1, max_l + 1), float64
        ``[0, l, m]`` is a, or d on the diagonal; ``[1, l, m]`` is b; read-only.
    """
    table = np.zeros((2, max_l + 1, max_l + 1))
    table[0, 0, 0] = 1.0
    for m in range(max_l + 1):
        if m > 0:
            step = sqrt((2 * m + 1) / (2 * m)) * (sqrt(2) if m == 1 else 1)
            table[0, m, m] = table[0, m - 1, m - 1] * step
        for l in range(m + 1, max_l + 1):
            a = sqrt((4 * l * l - 1) / (l * l - m * m))
            table[0, l, m] = a
            table[1, l, m] = -a * sqrt(((l - 1) ** 2 - m * m) / (4 * (l - 1) ** 2 - 1))
    table.flags.writeable = False
    return table


def solid_harmonics(points: NDArray[np.float64], max_l: int) -> NDArray[np.float64]:
    """
    Real solid harmonics, ``sqrt(4 pi) r**l Y_lm``.

    Parameters
    ----------
    points : ndarray, shape (n, 3), float64
        Positions, in any unit.
    max_l : int
        Largest l.

    Returns
    -------
    ndarray, shape (n, (max_l + 1) ** 2), float64
        l ascending, m from -l to l; for each l, the squares sum to ``(2 l + 1) r**(2 l)``.
    """
    recurrence = harmonic_recurrence(max_l)
    x, y, z = points.T
    r2 = x * x + y * y + z * z
    values = np.empty((len(points), (max_l + 1) ** 2))
    cosine, sine = np.ones_like(x), np.zeros_like(x)
    for m in range(max_l + 1):
        before, here = np.zeros_like(x), np.full_like(x, recurrence[0, m, m])
        for l in range(m, max_l + 1):
            if l > m:
                up = recurrence[0, l, m] * z * here + recurrence[1, l, m] * r2 * before
                before, here = here, up
            centre = l * (l + 1)
            values[:, centre - m] = here * sine
            values[:, centre + m] = here * cosine
        cosine, sine = x * cosine - y * sine, x * sine + y * cosine
    return values


def zernike_functions(points: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    """
    Real Zernike functions, orthonormal in the unit ball with the weight ``3 / (4 pi)``.

    Parameters
    ----------
    points : ndarray, shape (n, 3), float64
        Positions in units of the radius of the ball.
    order : int
        Largest n.

    Returns
    -------
    ndarray, shape (n, n_moments(order)), float64
        In the order of `tensors`.
    """
    harmonics = solid_harmonics(points, order)
    radial = zernike_coefficients(order)
    powers = np.sum(points**2, axis=1)[:, None] ** np.arange(order // 2 + 1)
    values = np.empty((len(points), n_moments(order)))
    for n, l, offset in tensors(order):
        factor = powers @ radial[l, (n - l) // 2]
        block = harmonics[:, l * l : (l + 1) ** 2]
        values[:, offset : offset + 2 * l + 1] = factor[:, None] * block
    return values


def moments(
    points: NDArray[np.float64], weights: NDArray[np.float64], order: int
) -> NDArray[np.float64]:
    """
    Real moments of weighted points.

    Parameters
    ----------
    points : ndarray, shape (n, 3), float64
        Positions in units of the radius of the ball.
    weights : ndarray, shape (n,) or (n_densities, n), float64
        Weight of each point, for one density or for several.
    order : int
        Largest n.

    Returns
    -------
    ndarray, shape (n_moments(order),) or (n_densities, n_moments(order)), float64
        ``3 / (4 pi)`` times the sum of weights times functions; dimensionless.
    """
    values: NDArray[np.float64] = 3 / (4 * pi) * (weights @ zernike_functions(points, order))
    return values
