"""Compiled loops of the power spectrum: products of coefficients and their derivatives."""

from __future__ import annotations

# mypy: allow-untyped-defs, allow-untyped-calls, allow-subclassing-any
import numpy as np
from numba import njit

from distdesc.descriptors._expansion_kernels import (
    expand_one,
    padded,
    slope_workspace,
    slopes_of_pair,
    workspace,
)
from distdesc.descriptors._lanes_kernels import (
    SHORT,
    fma,
    load_short,
    load_splat,
    rows_of_lanes,
    shift1,
    shift2,
    shift3,
    shift4,
    shift5,
    shift6,
    shift7,
    splat_short,
    store_part,
    store_short,
)

# For the arguments, see _expansion_kernels. Coefficients of one environment are flat: channel as
# it turned up, lm, padded n. Factors, for products within a channel and between two, are a flat
# table (n_max, padded n), one on the diagonal of the square of the coefficients and the square
# root of two beside it, and where the row of each n begins less the entries left out.


@njit(cache=True, nogil=True, forceinline=True)
def _outer(left, a, right, b, n_m, n_pad, sums):
    """Add the products of SHORT functions of one side with SHORT of the other, summed over m."""
    s0, s1, s2, s3, s4, s5, s6, s7 = sums
    for m in range(n_m):
        i = a + m * n_pad
        v = load_short(right, b + m * n_pad)
        s0 = fma(load_splat(left, i), v, s0)
        s1 = fma(load_splat(left, i + 1), v, s1)
        s2 = fma(load_splat(left, i + 2), v, s2)
        s3 = fma(load_splat(left, i + 3), v, s3)
        s4 = fma(load_splat(left, i + 4), v, s4)
        s5 = fma(load_splat(left, i + 5), v, s5)
        s6 = fma(load_splat(left, i + 6), v, s6)
        s7 = fma(load_splat(left, i + 7), v, s7)
    return s0, s1, s2, s3, s4, s5, s6, s7


@njit(cache=True, nogil=True, forceinline=True)
def _put(out, start, total, factors, n, first, n_max, n_pad, same):
    """Write one row of products, n with SHORT others; of the same channel, none before n."""
    if n < n_max:
        table, places = factors
        total = total * load_short(table, n * n_pad + first)
        low = n - first if same else 0
        if low <= 0 and n_max - first >= SHORT:
            store_short(out, start + places[n] + first, total)
        else:
            store_part(out, start + places[n] + first, total, low, n_max - first)


@njit(cache=True, nogil=True, forceinline=True)
def _put_row(out, place, stop, total, count):
    """Write `count` products, and what is after them, which comes later, up to `stop`."""
    if place + SHORT <= stop:
        store_short(out, place, total)
    elif count > 0:
        store_part(out, place, total, 0, count)


@njit(cache=True, nogil=True, forceinline=True)
def _put_all(out, start, stop, sums, factors, n, first, n_max, n_pad, same):
    """Write SHORT rows of products of one l, in a block that ends at `stop`."""
    s0, s1, s2, s3, s4, s5, s6, s7 = sums
    if n_pad > SHORT:
        _put(out, start, s0, factors, n, first, n_max, n_pad, same)
        _put(out, start, s1, factors, n + 1, first, n_max, n_pad, same)
        _put(out, start, s2, factors, n + 2, first, n_max, n_pad, same)
        _put(out, start, s3, factors, n + 3, first, n_max, n_pad, same)
        _put(out, start, s4, factors, n + 4, first, n_max, n_pad, same)
        _put(out, start, s5, factors, n + 5, first, n_max, n_pad, same)
        _put(out, start, s6, factors, n + 6, first, n_max, n_pad, same)
        _put(out, start, s7, factors, n + 7, first, n_max, n_pad, same)
        return
    # A row overwrites the beginning of the next, which is written after it.
    f = load_short(factors[0], 0)
    if same:
        place = start
        _put_row(out, place, stop, f * s0, n_max)
        place += n_max
        if n_max > 1:
            _put_row(out, place, stop, f * shift1(s1), n_max - 1)
        place += n_max - 1
        if n_max > 2:
            _put_row(out, place, stop, f * shift2(s2), n_max - 2)
        place += n_max - 2
        if n_max > 3:
            _put_row(out, place, stop, f * shift3(s3), n_max - 3)
        place += n_max - 3
        if n_max > 4:
            _put_row(out, place, stop, f * shift4(s4), n_max - 4)
        place += n_max - 4
        if n_max > 5:
            _put_row(out, place, stop, f * shift5(s5), n_max - 5)
        place += n_max - 5
        if n_max > 6:
            _put_row(out, place, stop, f * shift6(s6), n_max - 6)
        place += n_max - 6
        if n_max > 7:
            _put_row(out, place, stop, f * shift7(s7), n_max - 7)
    else:
        _put_row(out, start, stop, f * s0, n_max)
        if n_max > 1:
            _put_row(out, start + n_max, stop, f * s1, n_max)
        if n_max > 2:
            _put_row(out, start + 2 * n_max, stop, f * s2, n_max)
        if n_max > 3:
            _put_row(out, start + 3 * n_max, stop, f * s3, n_max)
        if n_max > 4:
            _put_row(out, start + 4 * n_max, stop, f * s4, n_max)
        if n_max > 5:
            _put_row(out, start + 5 * n_max, stop, f * s5, n_max)
        if n_max > 6:
            _put_row(out, start + 6 * n_max, stop, f * s6, n_max)
        if n_max > 7:
            _put_row(out, start + 7 * n_max, stop, f * s7, n_max)


@njit(cache=True, nogil=True, forceinline=True)
def _zeros():
    z = splat_short(0.0)
    return z, z, z, z, z, z, z, z


@njit(cache=True, nogil=True, forceinline=True)
def _any_block(found, a, b, l_max, n_max, n_pad, factors, same, out, start):
    """Products of two channels, l after l, from `start` on."""
    length = n_max * (n_max + 1) // 2 if same else n_max * n_max
    stop = start + (l_max + 1) * length
    lm = 0
    for l in range(l_max + 1):
        n_m = 2 * l + 1
        for i in range(0, n_pad, SHORT):
            for j in range(i if same else 0, n_pad, SHORT):
                sums = _outer(
                    found, a + lm * n_pad + i, found, b + lm * n_pad + j, n_m, n_pad, _zeros()
                )
                _put_all(out, start, stop, sums, factors, i, j, n_max, n_pad, same)
        start += length
        lm += n_m


@njit(cache=True, nogil=True)
def _block(found, a, b, l_max, n_max, n_pad, factors, same, out, start):
    """Call `_any_block`, in the commonest case with what the compiler had better know."""
    if n_max == SHORT and same:
        _any_block(found, a, b, l_max, SHORT, SHORT, factors, True, out, start)
    elif n_max == SHORT:
        _any_block(found, a, b, l_max, SHORT, SHORT, factors, False, out, start)
    else:
        _any_block(found, a, b, l_max, n_max, n_pad, factors, same, out, start)


@njit(cache=True, nogil=True, forceinline=True)
def _any_slope_block(
    grad, first, wa, wb, found, a, b, l_max, n_max, n_pad, factors, same, out, start
):  # fmt: skip
    """
    Derivatives of the products of two channels by one coordinate of one neighbour.

    `grad` holds, from `first` on, the slopes of the neighbour's term, which has weight `wa` in
    the channel at `a` and `wb` in that at `b`.
    """
    length = n_max * (n_max + 1) // 2 if same else n_max * n_max
    stop = start + (l_max + 1) * length
    row = 0
    for l in range(l_max + 1):
        n_m = 2 * l + 1
        for i in range(0, n_pad, SHORT):
            for j in range(i if same else 0, n_pad, SHORT):
                sums = _zeros()
                if wa != 0.0:
                    sums = _outer(grad, first + row + i, found, b + row + j, n_m, n_pad, sums)
                    if wa != 1.0:
                        sums = _scaled(sums, wa)
                if wb == 1.0:
                    sums = _outer(found, a + row + i, grad, first + row + j, n_m, n_pad, sums)
                elif wb != 0.0:
                    more = _zeros()
                    more = _outer(found, a + row + i, grad, first + row + j, n_m, n_pad, more)
                    sums = _added(sums, _scaled(more, wb))
                _put_all(out, start, stop, sums, factors, i, j, n_max, n_pad, same)
        start += length
        row += n_m * n_pad


@njit(cache=True, nogil=True)
def _slope_block(
    grad, first, wa, wb, found, a, b, l_max, n_max, n_pad, factors, same, out, start
):  # fmt: skip
    """Call `_any_slope_block`, in the commonest case with what the compiler had better know."""
    if n_max == SHORT and same:
        _any_slope_block(
            grad, first, wa, wa, found, a, a, l_max, SHORT, SHORT, factors, True, out, start
        )
    elif n_max == SHORT:
        _any_slope_block(
            grad, first, wa, wb, found, a, b, l_max, SHORT, SHORT, factors, False, out, start
        )
    else:
        _any_slope_block(
            grad, first, wa, wb, found, a, b, l_max, n_max, n_pad, factors, same, out, start
        )


@njit(cache=True, nogil=True, forceinline=True)
def _scaled(sums, factor):
    f = splat_short(factor)
    s0, s1, s2, s3, s4, s5, s6, s7 = sums
    return f * s0, f * s1, f * s2, f * s3, f * s4, f * s5, f * s6, f * s7


@njit(cache=True, nogil=True, forceinline=True)
def _added(a, b):
    a0, a1, a2, a3, a4, a5, a6, a7 = a
    b0, b1, b2, b3, b4, b5, b6, b7 = b
    return a0 + b0, a1 + b1, a2 + b2, a3 + b3, a4 + b4, a5 + b5, a6 + b6, a7 + b7


@njit(cache=True, nogil=True)
def block_number(a, b, n_channels):
    """Number of the block of channels ``a <= b``."""
    return a * n_channels - a * (a - 1) // 2 + b - a


@njit(cache=True, nogil=True)
def _prepared(pairs, l_max, n_max, n_channels):
    """Room for the coefficients of one environment after the other; see `expand_one`."""
    n_pad = padded(n_max)
    size = (l_max + 1) ** 2 * n_pad
    room = workspace(pairs, l_max, n_pad)
    slots, present = np.full(n_channels, -1), np.empty(n_channels, np.int64)
    found = rows_of_lanes(n_channels * size // SHORT + 1).ravel()
    return n_pad, size, room, slots, present, found


@njit(cache=True, nogil=True)
def power_spectra(
    pairs,
    centre_numbers,
    cutoff,
    basis,
    mixing,
    l_max,
    n_max,
    n_channels,
    factors,
    starts,
    n_features,
    out,
):
    """Power spectra of environments: fill `out`, flat (n, n_features)."""
    n_pad, size, room, slots, present, found = _prepared(pairs, l_max, n_max, n_channels)
    same, mixed = factors
    for k in range(len(centre_numbers)):
        n_present = expand_one(
            k, pairs, centre_numbers, cutoff, basis, mixing, l_max, n_pad, room, slots, present,
            found,
        )  # fmt: skip
        row = k * n_features
        for a in range(n_channels):
            for b in range(a, n_channels):
                block = block_number(a, b, n_channels)
                start, stop = row + starts[block], row + starts[block + 1]
                if slots[a] < 0 or slots[b] < 0:
                    for entry in range(start, stop):
                        out[entry] = 0.0
                    continue
                _block(
                    found, slots[a] * size, slots[b] * size, l_max, n_max, n_pad,
                    same if a == b else mixed, a == b, out, start,
                )  # fmt: skip
        slots[present[:n_present]] = -1


@njit(cache=True, nogil=True)
def count_blocks(pairs, centre_numbers, cutoff, mixing, n_channels, counts):
    """Room for the blocks of each environment that are not zero throughout: fill `counts`."""
    offsets, vectors, numbers = pairs
    mix_start, mix_channel, _ = mixing
    seen = np.full(n_channels, -1)
    for k in range(len(counts)):
        n_present = 0
        for pair in range(offsets[k], offsets[k + 1] + 1):
            number = centre_numbers[k]
            if pair < offsets[k + 1]:
                x, y, z = vectors[pair]
                # at the cutoff itself, room also for what the expansion may leave out
                near = np.sqrt(x * x + y * y + z * z) <= cutoff * (1 + 1e-14)
                number = numbers[pair] if near else -1
            if number >= 0:
                for e in range(mix_start[number], mix_start[number + 1]):
                    if seen[mix_channel[e]] != k:
                        seen[mix_channel[e]] = k
                        n_present += 1
        counts[k] = n_present * (n_present + 1) // 2


@njit(cache=True, nogil=True)
def power_spectrum_blocks(
    pairs,
    centre_numbers,
    cutoff,
    basis,
    mixing,
    l_max,
    n_max,
    n_channels,
    factors,
    width,
    counts,
    blocks,
    out,
):
    """
    Blocks of power spectra that are not zero throughout, one after the other.

    `counts` holds room for the blocks of each environment, and is filled with how many there
    are; fill `blocks` (n,) and `out`, flat (n, width), zero before.
    """
    n_pad, size, room, slots, present, found = _prepared(pairs, l_max, n_max, n_channels)
    same, mixed = factors
    done = 0
    for k in range(len(centre_numbers)):
        n_present = expand_one(
            k, pairs, centre_numbers, cutoff, basis, mixing, l_max, n_pad, room, slots, present,
            found,
        )  # fmt: skip
        channels = np.sort(present[:n_present])
        for i in range(n_present):
            a = channels[i]
            for j in range(i, n_present):
                b = channels[j]
                blocks[done] = block_number(a, b, n_channels)
                _block(
                    found, slots[a] * size, slots[b] * size, l_max, n_max, n_pad,
                    same if i == j else mixed, i == j, out, done * width,
                )  # fmt: skip
                done += 1
        slots[present[:n_present]] = -1
        counts[k] = n_present * (n_present + 1) // 2
    return done


@njit(cache=True, nogil=True)
def power_spectrum_jacobians(
    pairs,
    centre_numbers,
    cutoff,
    basis,
    mixing,
    l_max,
    n_max,
    n_channels,
    factors,
    starts,
    n_features,
    out,
):
    """Derivatives by neighbour position: fill `out`, flat (n_pairs, 3, n_features), zero before."""
    n_pad, size, room, slots, present, found = _prepared(pairs, l_max, n_max, n_channels)
    slope_room = slope_workspace(room[-1], l_max, n_pad)
    grad = rows_of_lanes(3 * size // SHORT).ravel()
    weights = np.zeros(n_channels)
    same, mixed = factors
    offsets, vectors, numbers = pairs
    mix_start, mix_channel, mix_weight = mixing
    for k in range(len(centre_numbers)):
        n_present = expand_one(
            k, pairs, centre_numbers, cutoff, basis, mixing, l_max, n_pad, room, slots, present,
            found,
        )  # fmt: skip
        channels = np.sort(present[:n_present])
        for place in range(offsets[k], offsets[k + 1]):
            if not slopes_of_pair(place, vectors, cutoff, basis, l_max, n_pad, slope_room, grad):
                continue
            pair = room[-1][place]
            touched = range(mix_start[numbers[pair]], mix_start[numbers[pair] + 1])
            for e in touched:
                weights[mix_channel[e]] = mix_weight[e]
            for i in range(n_present):
                a = channels[i]
                for j in range(i, n_present):
                    b = channels[j]
                    if weights[a] == 0.0 and weights[b] == 0.0:
                        continue
                    for axis in range(3):
                        start = starts[block_number(a, b, n_channels)]
                        start += (3 * pair + axis) * n_features
                        _slope_block(
                            grad, axis * size, weights[a], weights[b], found, slots[a] * size,
                            slots[b] * size, l_max, n_max, n_pad, same if i == j else mixed,
                            i == j, out, start,
                        )  # fmt: skip
            for e in touched:
                weights[mix_channel[e]] = 0.0
        slots[present[:n_present]] = -1
