"""Clebsch-Gordan coefficients and the real tensors that couple spherical harmonics."""

from __future__ import annotations

from functools import cache
from math import comb, sqrt

import numpy as np
from numpy.typing import NDArray


@cache
def clebsch_gordan(l1: int, l2: int, l3: int) -> NDArray[np.float64]:
    """
    Clebsch-Gordan coefficients in the convention of Condon and Shortley.

    The alternating sum of Racah's formula is taken over exact integers [1]_, so there is no
    cancellation at any order.

    Parameters
    ----------
    l1, l2, l3 : int
        Angular momenta that satisfy the triangle inequality.

    Returns
    -------
    ndarray, shape (2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1), float64
        ``<l1 m1 l2 m2 | l3 m3>``, every index from ``-l`` to ``l``; read-only.

    References
    ----------
    .. [1] Wei, Comput. Phys. Commun. 120, 222 (1999).
    """
    table = np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1))
    k3, k2, k1 = l1 + l2 - l3, l1 - l2 + l3, -l1 + l2 + l3
    for m1 in range(-l1, l1 + 1):
        for m2 in range(max(-l2, -l3 - m1), min(l2, l3 - m1) + 1):
            total = 0
            for k in range(max(0, l1 - m1 - k2, l2 + m2 - k1), min(k3, l1 - m1, l2 + m2) + 1):
                term = comb(k3, k) * comb(k2, l1 - m1 - k) * comb(k1, l2 + m2 - k)
                total += -term if k % 2 else term
            above = comb(2 * l1, k3) * comb(2 * l2, k3)
            below = comb(l1 + l2 + l3 + 1, k3) * comb(2 * l1, l1 - m1)
            below *= comb(2 * l2, l2 - m2) * comb(2 * l3, l3 - m1 - m2)
            table[m1 + l1, m2 + l2, m1 + m2 + l3] = total * sqrt(above / below)
    table.flags.writeable = False
    return table


@cache
def real_basis(l: int) -> NDArray[np.complex128]:
    """
    Unitary matrix from complex (Condon-Shortley) to real spherical harmonics.

    Parameters
    ----------
    l : int
        Angular momentum.

    Returns
    -------
    ndarray, shape (2 * l + 1, 2 * l + 1), complex128
        Row m of the product with ``Y_l`` is the real harmonic m: cosines for m > 0, sines for
        m < 0; read-only.
    """
    matrix = np.zeros((2 * l + 1, 2 * l + 1), dtype=np.complex128)
    matrix[l, l] = 1.0
    for m in range(1, l + 1):
        sign = (-1.0) ** m
        matrix[l + m, l + m], matrix[l + m, l - m] = sign / sqrt(2), 1 / sqrt(2)
        matrix[l - m, l + m], matrix[l - m, l - m] = -1j * sign / sqrt(2), 1j / sqrt(2)
    matrix.flags.writeable = False
    return matrix


@cache
def coupling_tensor(l1: int, l2: int, l3: int) -> NDArray[np.float64]:
    """
    Invariant tensor W that couples three real spherical tensors to a number.

    ``sum W[i, j, k] a[i] b[j] c[k]`` is a scalar if ``l1 + l2 + l3`` is even and a pseudoscalar
    if it is odd. W is Wigner's 3j symbol in the real basis, its squares sum to one; with an odd
    sum, the symbol is imaginary and its imaginary part is taken.

    Parameters
    ----------
    l1, l2, l3 : int
        Angular momenta that satisfy the triangle inequality.

    Returns
    -------
    ndarray, shape (2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1), float64
        Exact zeros where the coefficient vanishes; read-only.
    """
    coefficients = clebsch_gordan(l1, l2, l3)[:, :, ::-1]
    signs = (-1.0) ** (l1 - l2 - np.arange(-l3, l3 + 1))
    symbol = (coefficients * signs / sqrt(2 * l3 + 1)).astype(np.complex128)
    for l in (l1, l2, l3):  # each pass turns the leading axis and moves it to the end
        symbol = np.tensordot(symbol, real_basis(l).conj(), axes=(0, 1))
    tensor = np.ascontiguousarray(symbol.real if (l1 + l2 + l3) % 2 == 0 else symbol.imag)
    tensor[np.abs(tensor) < 1e-14] = 0.0
    tensor.flags.writeable = False
    return tensor
