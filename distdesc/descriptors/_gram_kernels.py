"""Compiled scalar products of the derivatives of power spectra, without the derivatives."""

from __future__ import annotations

# mypy: allow-untyped-defs, allow-untyped-calls, allow-subclassing-any
import numpy as np
from numba import njit

from distdesc.descriptors._expansion_kernels import (
    expand_one,
    slope_workspace,
    slopes_of_pair,
)
from distdesc.descriptors._lanes_kernels import (
    SHORT,
    WIDTH,
    fma,
    load_short,
    load_splat,
    rows_of_lanes,
    splat_short,
    store_short,
)
from distdesc.descriptors._spectrum_kernels import _outer, _prepared, _zeros

# For the arguments, see _expansion_kernels. A neighbour j of element s has the term c_j in the
# channels of s, with their weights w_s, so that with C_a, the coefficients of channel a,
#     P_ab = C_a C_b^T,    dP_ab / dx_j = w_s[a] c_j' C_b^T + C_a c_j'^T w_s[b],
# where c_j' is c_j differentiated. With the square root of two beside the diagonal, the scalar
# product of the derivatives by x_i and x_j is that of the full squares, twice
#     (w_s . w_t) tr(c_i' M c_j'^T) + tr(c_i' D_t^T c_j' D_s^T),
# with M = sum_a C_a^T C_a and D_s = sum_a w_s[a] C_a, the density as element s sees it. Both are
# products of rows, one for each coordinate, of matrices that BLAS multiplies.


@njit(cache=True, nogil=True)
def _seen_by(number, mixing, slots, size, found, seen):
    """Densities weighted as an element is: fill `seen`, lm and padded n."""
    mix_start, mix_channel, mix_weight = mixing
    for k in range(0, size, SHORT):
        total = splat_short(0.0)
        for e in range(mix_start[number], mix_start[number + 1]):
            slot = slots[mix_channel[e]]
            if slot >= 0:  # or all of them are beyond the cutoff
                part = load_short(found, slot * size + k)
                total = fma(splat_short(mix_weight[e]), part, total)
        store_short(seen, k, total)


@njit(cache=True, nogil=True)
def _overlaps(n_present, size, l_max, n_max, n_pad, found, squares):
    """Products of the coefficients, summed over channels and n: fill M of one l after the other."""
    place = 0
    for l in range(l_max + 1):
        n_m = 2 * l + 1
        for a in range(n_m):
            for b in range(a + 1):
                total = 0.0
                for slot in range(n_present):
                    left = slot * size + (l * l + a) * n_pad
                    right = slot * size + (l * l + b) * n_pad
                    for n in range(n_max):
                        total += found[left + n] * found[right + n]
                squares[place + a * n_m + b] = total
                squares[place + b * n_m + a] = total
        place += n_m * n_m


@njit(cache=True, nogil=True)
def _crossed(left, a, right, b, l_max, n_max, n_pad, out, start):
    """Products of one side's functions with the other's, for each l: fill from `start` on."""
    lm = 0
    for l in range(l_max + 1):
        n_m = 2 * l + 1
        for i in range(0, n_pad, SHORT):
            for j in range(0, n_pad, SHORT):
                s0, s1, s2, s3, s4, s5, s6, s7 = _outer(
                    left, a + lm * n_pad + i, right, b + lm * n_pad + j, n_m, n_pad, _zeros()
                )
                # rows of zeros are written too, and then overwritten by what is next
                place = start + i * n_pad + j
                store_short(out, place, s0)
                store_short(out, place + n_pad, s1)
                store_short(out, place + 2 * n_pad, s2)
                store_short(out, place + 3 * n_pad, s3)
                store_short(out, place + 4 * n_pad, s4)
                store_short(out, place + 5 * n_pad, s5)
                store_short(out, place + 6 * n_pad, s6)
                store_short(out, place + 7 * n_pad, s7)
        start += n_max * n_pad
        lm += n_m


@njit(cache=True, nogil=True)
def _weighted(squares, grad, first, l_max, n_pad, factor, out, start):
    """Slopes times M of each l, times a factor: fill from `start` on, lm and padded n."""
    f = splat_short(factor)
    place, lm = 0, 0
    for l in range(l_max + 1):
        n_m = 2 * l + 1
        for a in range(n_m):
            for k in range(0, n_pad, SHORT):
                total = splat_short(0.0)
                for b in range(n_m):
                    slope = load_short(grad, first + (lm + b) * n_pad + k)
                    total = fma(load_splat(squares, place + a * n_m + b), slope, total)
                store_short(out, start + (lm + a) * n_pad + k, f * total)
        place += n_m * n_m
        lm += n_m


@njit(cache=True, nogil=True)
def _alike(mixing, s, t):
    """Scalar product of the weights of two elements."""
    mix_start, mix_channel, mix_weight = mixing
    total = 0.0
    for e in range(mix_start[s], mix_start[s + 1]):
        for f in range(mix_start[t], mix_start[t + 1]):
            if mix_channel[e] == mix_channel[f]:
                total += mix_weight[e] * mix_weight[f]
    return total


@njit(cache=True, nogil=True)
def _put(block, rows, columns, n_rows, n_columns, sequence, first, width, out, start):
    """Twice a block of products, and its mirror image, by neighbours as they were given."""
    for i in range(n_rows):
        row = 3 * (sequence[rows + i // 3] - first) + i % 3
        for j in range(n_columns):
            column = 3 * (sequence[columns + j // 3] - first) + j % 3
            value = 2.0 * block[i * n_columns + j]
            out[start + row * width + column] = value
            out[start + column * width + row] = value


@njit(cache=True, nogil=True)
def power_spectrum_grams(
    pairs, centre_numbers, cutoff, basis, mixing, l_max, n_max, n_channels, out
):  # fmt: skip
    """
    Scalar products of the derivatives of power spectra by all coordinates of each environment.

    Fill `out`, flat: the symmetric matrices (3 n, 3 n) of one environment after the other.
    """
    n_pad, size, room, slots, present, found = _prepared(pairs, l_max, n_max, n_channels)
    sequence = room[-1]
    slope_room = slope_workspace(sequence, l_max, n_pad)
    offsets, vectors, numbers = pairs
    most = 3 * np.max(np.diff(offsets))
    crossed = (l_max + 1) * n_max * n_pad
    wide = crossed + size
    grad = rows_of_lanes(most * size // WIDTH + 1).ravel()
    left = rows_of_lanes((most * wide + n_pad * n_pad) // WIDTH + 1).ravel()
    right = rows_of_lanes((most * wide + n_pad * n_pad) // WIDTH + 1).ravel()
    block = np.empty(most * most)
    seen = rows_of_lanes(2 * size // WIDTH + 1).ravel()
    squares = np.empty((l_max + 1) * (2 * l_max + 1) * (2 * l_max + 3) // 3)
    start = 0
    for k in range(len(centre_numbers)):
        n_present = expand_one(
            k, pairs, centre_numbers, cutoff, basis, mixing, l_max, n_pad, room, slots, present,
            found,
        )  # fmt: skip
        _overlaps(n_present, size, l_max, n_max, n_pad, found, squares)
        first, last = offsets[k], offsets[k + 1]
        for place in range(first, last):
            begin = 3 * (place - first) * size
            if not slopes_of_pair(
                place, vectors, cutoff, basis, l_max, n_pad, slope_room, grad[begin:]
            ):
                grad[begin : begin + 3 * size] = 0.0
        s = first
        while s < last:
            s_end = s + 1
            while s_end < last and numbers[sequence[s_end]] == numbers[sequence[s]]:
                s_end += 1
            _seen_by(numbers[sequence[s]], mixing, slots, size, found, seen)
            t = s
            while t < last:
                t_end = t + 1
                while t_end < last and numbers[sequence[t_end]] == numbers[sequence[t]]:
                    t_end += 1
                _seen_by(numbers[sequence[t]], mixing, slots, size, found, seen[size:])
                alike = _alike(mixing, numbers[sequence[s]], numbers[sequence[t]])
                width = wide if alike != 0.0 else crossed
                n_rows, n_columns = 3 * (s_end - s), 3 * (t_end - t)
                for i in range(n_rows):
                    own = (3 * (s - first) + i) * size
                    _crossed(grad, own, seen, size, l_max, n_max, n_pad, left, i * width)
                    if alike != 0.0:
                        place = i * width + crossed
                        _weighted(squares, grad, own, l_max, n_pad, alike, left, place)
                for j in range(n_columns):
                    own = (3 * (t - first) + j) * size
                    _crossed(seen, 0, grad, own, l_max, n_max, n_pad, right, j * width)
                    if alike != 0.0:
                        place = j * width + crossed
                        right[place : place + size] = grad[own : own + size]
                a = left[: n_rows * width].reshape(n_rows, width)
                b = right[: n_columns * width].reshape(n_columns, width)
                products = block[: n_rows * n_columns].reshape(n_rows, n_columns)
                np.dot(a, b.T, products)
                _put(
                    block, s, t, n_rows, n_columns, sequence, first, 3 * (last - first), out, start
                )
                t = t_end
            s = s_end
        start += 9 * (last - first) ** 2
        slots[present[:n_present]] = -1
