"""The 117 invariants of Uhrin (2021), slowly and straight from their notation; their moments."""

from __future__ import annotations

import re

import numpy as np

from distdesc.descriptors.couplings import clebsch_gordan
from distdesc.descriptors.density import tensors

# Two digits are n and l. "a·b": degree two; "[a,b]→c": degree three, coupled to the l of c;
# "[a,b]j[c,d]": degree four, coupled through j.
NOTATION = """
00 11·11 20 22·22 [22,22]→22 [11,11]→22 [11,11]2[22,22] 33·33 31·31 [22,33]→33 [22,31]→33
[22,31]→31 [22,22]2[33,33] [33,33]2[33,33] [31,33]2[33,33] [31,31]2[33,33] [31,31]2[31,33] 40
44·44 42·42 [22,44]→44 [22,42]→44 [22,42]→42 [42,44]→44 [42,42]→44 [42,42]→42 [44,44]→44
[22,22]2[44,44] [22,22]2[42,44] [22,22]2[42,42] [33,33]2[44,44] [31,33]2[44,44] 55·55 53·53 51·51
[22,55]→55 [22,53]→55 [22,53]→53 [22,51]→53 [22,51]→51 [22,22]2[55,55] [22,22]2[53,55]
[22,22]2[53,53] [42,55]→55 [42,53]→55 [42,53]→53 [42,51]→53 [42,51]→51 [44,55]→55 [44,53]→55
[44,51]→55 [44,53]→53 [44,51]→53 60 66·66 64·64 62·62 [22,66]→66 [22,64]→66 [22,64]→64 [22,62]→64
[22,62]→62 [22,22]2[66,66] [22,22]2[64,66] [22,22]2[64,64] [22,22]2[62,64] [22,22]2[62,62]
[42,66]→66 [42,64]→66 [42,64]→64 [42,62]→64 [42,62]→62 [44,66]→66 [44,64]→66 [44,62]→66 [44,64]→64
[44,62]→64 [44,62]→62 [62,66]→66 [62,64]→66 [62,64]→64 77·77 75·75 73·73 71·71 [22,77]→77
[22,75]→77 [22,75]→75 [22,73]→75 [22,73]→73 [22,71]→73 [22,71]→71 [22,22]2[77,77] [22,22]2[75,77]
[22,22]2[75,75] [22,22]2[73,75] [22,22]2[73,73] [42,77]→77 [42,75]→77 [42,75]→75 [42,73]→75
[42,73]→73 [42,71]→73 [42,71]→71 [44,77]→77 [44,75]→77 [44,73]→77 [44,75]→75 [44,73]→75 [44,71]→75
[44,73]→73 [44,71]→73 [33,33]2[77,77] [31,33]2[77,77] [31,31]2[77,77] [33,33]2[75,77]
[31,33]2[75,77]
""".split()

OFFSETS = {f"{n}{l}": (offset, l) for n, l, offset in tensors(7)}


def complex_moments(real, order):
    """
    Complex Zernike moments of the literature from real ones, in the same order.

    The complex function is ``R_nl sqrt(4 pi) (-i)**m r**l Y_lm`` (Condon-Shortley phase), and
    the moment takes its conjugate, as Novotni and Klein do.
    """
    values = np.empty(real.shape, dtype=np.complex128)
    for _, l, offset in tensors(order):
        middle = offset + l
        values[..., middle] = real[..., middle]
        for m in range(1, l + 1):
            value = (real[..., middle + m] - 1j * real[..., middle - m]) * (-1j) ** m / np.sqrt(2)
            values[..., middle + m] = value
            values[..., middle - m] = (-1) ** m * np.conj(value)
    return values


class Number:
    """A complex number with its derivatives by the moments."""

    def __init__(self, value, gradient):
        self.value, self.gradient = value, gradient

    def __mul__(self, other):
        return Number(
            self.value * other.value, self.value * other.gradient + other.value * self.gradient
        )

    def plus(self, factor, other):
        return Number(self.value + factor * other.value, self.gradient + factor * other.gradient)


def tensor(moments, name):
    """Moments of one tensor, from m = -l to l."""
    offset, l = OFFSETS[name]
    unit = np.eye(len(moments))
    return [Number(moments[k], unit[k]) for k in range(offset, offset + 2 * l + 1)]


def form(moments, first, second, j):
    """Composite form: the part of a product of two tensors with angular momentum j."""
    a, b = tensor(moments, first), tensor(moments, second)
    l1, l2 = len(a) // 2, len(b) // 2
    coefficients = clebsch_gordan(l1, l2, j)
    result = [Number(0, np.zeros(len(moments))) for _ in range(2 * j + 1)]
    for m1, m2, k in np.argwhere(coefficients):
        result[k] = result[k].plus(coefficients[m1, m2, k], a[m1] * b[m2])
    return result


def contract(left, right):
    """Scalar product of two objects with the same j."""
    j = len(left) // 2
    total = Number(0, np.zeros_like(left[0].gradient))
    for k in range(-j, j + 1):
        sign = (-1) ** (j - k) / np.sqrt(2 * j + 1)
        total = total.plus(sign, left[j + k] * right[j - k])
    return total


def invariant(moments, name):
    """One invariant of complex Zernike moments to order 7, in the order of `density.tensors`."""
    if match := re.fullmatch(r"\[(\d+),(\d+)\](\d)\[(\d+),(\d+)\]", name):
        a, b, j, c, d = match.groups()
        return contract(form(moments, a, b, int(j)), form(moments, c, d, int(j)))
    if match := re.fullmatch(r"\[(\d+),(\d+)\]→(\d+)", name):
        a, b, c = match.groups()
        return contract(form(moments, a, b, OFFSETS[c][1]), tensor(moments, c))
    if "·" in name:
        a, b = name.split("·")
        return form(moments, a, b, 0)[0]
    (number,) = tensor(moments, name)
    return number


def published_invariants(moments):
    """
    Values and derivatives of all 117.

    Parameters
    ----------
    moments : ndarray, shape (120,), complex128
        Complex Zernike moments, in the order of `density.tensors`.

    Returns
    -------
    tuple of ndarray
        Shapes (117,) and (117, 120), complex128.
    """
    numbers = [invariant(moments, name) for name in NOTATION]
    return np.array([n.value for n in numbers]), np.array([n.gradient for n in numbers])
