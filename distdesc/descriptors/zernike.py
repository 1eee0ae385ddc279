"""The radial Zernike polynomials of the unit ball, exactly."""

from __future__ import annotations

from functools import cache
from math import comb, sqrt

import numpy as np
from numpy.typing import NDArray


@cache
def zernike_coefficients(order: int) -> NDArray[np.float64]:
    """
    Coefficients of the radial Zernike polynomials ``R_nl(r) = r**l sum_v q[l, k, v] r**(2 v)``.

    With ``n = l + 2 k``. Times the solid harmonics of `distdesc.descriptors.density`, they are
    orthonormal in the unit ball with the weight ``3 / (4 pi)`` [1]_.

    Parameters
    ----------
    order : int
        Largest n.

    Returns
    -------
    ndarray, shape (order + 1, order // 2 + 1, order // 2 + 1), float64
        Zero where ``v > k`` or ``l + 2 k > order``; read-only.

    References
    ----------
    .. [1] Novotni and Klein, Comput.-Aided Des. 36, 1047 (2004).
    """
    table = np.zeros((order + 1, order // 2 + 1, order // 2 + 1))
    for l in range(order + 1):
        for k in range((order - l) // 2 + 1):
            front = sqrt((2 * l + 4 * k + 3) / 3) * comb(2 * k, k) / 4**k
            for v in range(k + 1):
                ratio = comb(k, v) * comb(2 * (k + l + v) + 1, 2 * k) / comb(k + l + v, k)
                table[l, k, v] = (-1) ** (k + v) * front * ratio
    table.flags.writeable = False
    return table
