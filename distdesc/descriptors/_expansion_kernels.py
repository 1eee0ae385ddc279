"""Compiled loops of density expansions: harmonics, radial functions, coefficients."""

from __future__ import annotations

# mypy: allow-untyped-defs, allow-untyped-calls, allow-subclassing-any
import numpy as np
from numba import njit

from distdesc.descriptors._lanes_kernels import (
    SHORT,
    WIDTH,
    fma,
    largest,
    load,
    load_short,
    load_splat,
    root,
    rows_of_lanes,
    splat,
    splat_short,
    store,
    store_short,
)

# Shared arguments, all arrays or scalars:
#   pairs      offsets, vectors in Å, atomic numbers
#   centres    atomic number of each centre, or -1 where it is no point of its density
#   basis      radial (flat: piece, l, n in short vectors, power from the highest), scales (see
#              Piecewise.scales), rise and drop: the recurrence of the harmonics; at_centre (n)
#   mixing     start by atomic number, then channels and weights
# A coefficient c[channel, lm, n] has lm = l * l + l + m, and n padded with zeros.


@njit(cache=True, nogil=True)
def padded(n_max):
    """Number of radial functions, rounded up to whole short vectors."""
    return -(-n_max // SHORT) * SHORT


@njit(cache=True, nogil=True)
def _directions(vectors, sequence, first, near):
    """Load up to WIDTH pairs: fill rows x, y, z of the unit vector, r and 1/r (0 at r = 0)."""
    near[:, :] = 0.0
    for lane in range(min(WIDTH, len(sequence) - first)):
        for axis in range(3):
            near[axis, lane] = vectors[sequence[first + lane], axis]
    x, y, z = load(near, 0), load(near, 1), load(near, 2)
    r2 = fma(x, x, fma(y, y, z * z))
    r = root(r2)
    inverse = r / largest(r2, splat(1e-300))
    store(near, 0, x * inverse)
    store(near, 1, y * inverse)
    store(near, 2, z * inverse)
    store(near, 3, r)
    store(near, 4, inverse)


@njit(cache=True, nogil=True)
def _harmonics(near, l_max, rise, drop, values):
    """Real spherical harmonics of WIDTH directions: fill (n_lm, WIDTH)."""
    x, y, z = load(near, 0), load(near, 1), load(near, 2)
    zero = splat(0.0)
    r2 = fma(x, x, fma(y, y, z * z))  # one, or zero where there is no direction
    cosine, sine = splat(1.0), zero
    for m in range(l_max + 1):
        q, old = splat(rise[m, m]), zero
        for l in range(m, l_max + 1):
            if l > m:
                up = splat(rise[l, m]) * z
                q, old = fma(up, q, (splat(drop[l, m]) * r2) * old), q
            row = l * l + l
            store(values, row + m, q * cosine)
            if m > 0:
                store(values, row - m, q * sine)
        cosine, sine = fma(x, cosine, zero - y * sine), fma(x, sine, y * cosine)


@njit(cache=True, nogil=True)
def _harmonic_slopes(near, l_max, rise, drop, values, outward, turning):
    """
    Harmonics as `_harmonics`, times the unit vector, and their derivatives by position.

    Fill `values` (n_lm, WIDTH), `outward` and `turning` (3 * n_lm, WIDTH), axis after axis.
    """
    x, y, z, inverse = load(near, 0), load(near, 1), load(near, 2), load(near, 4)
    size = values.shape[0]
    zero, two = splat(0.0), splat(2.0)
    on_centre = largest(zero, splat(1.0) - splat(1e300) * load(near, 3))
    r2 = fma(x, x, fma(y, y, z * z))
    cosine, sine, cosine_low, sine_low = splat(1.0), zero, zero, zero
    for m in range(l_max + 1):
        q, old, by_z, by_z_old = splat(rise[m, m]), zero, zero, zero
        by_r2, by_r2_old = zero, zero
        for l in range(m, l_max + 1):
            if l > m:
                a, b = splat(rise[l, m]), splat(drop[l, m])
                new_r2 = fma(a * z, by_r2, b * fma(r2, by_r2_old, old))
                new_z = fma(a * z, by_z, fma(b * r2, by_z_old, a * q))
                q, old = fma(a * z, q, (b * r2) * old), q
                by_z, by_z_old, by_r2, by_r2_old = new_z, by_z, new_r2, by_r2
            middle = l * l + l
            q_m = splat(float(m)) * q
            for side in range(1 if m == 0 else 2):
                wave = cosine if side == 0 else sine
                by_x = q_m * (cosine_low if side == 0 else sine_low)
                by_y = q_m * (zero - sine_low if side == 0 else cosine_low)
                row = middle + (m if side == 0 else -m)
                value = q * wave
                # the derivative of the polynomial less its radial part, l times the value
                common = two * (by_r2 * wave) - splat(float(l)) * value
                store(values, row, value)
                # on the centre itself, where there is no direction, l = 1 still has a slope
                here = on_centre if l == 1 else zero
                store(outward, row, fma(x, value, here * by_x))
                store(outward, size + row, fma(y, value, here * by_y))
                store(outward, 2 * size + row, fma(z, value, here * (by_z * wave)))
                store(turning, row, inverse * fma(x, common, by_x))
                store(turning, size + row, inverse * fma(y, common, by_y))
                store(turning, 2 * size + row, inverse * fma(z, common, by_z * wave))
        cosine_low, sine_low = cosine, sine
        cosine, sine = (
            fma(x, cosine_low, zero - y * sine_low),
            fma(x, sine_low, y * cosine_low),
        )


@njit(cache=True, nogil=True, forceinline=True)
def _piece(scales, r):
    """Interval of a distance, position in it from -1 to 1, and intervals per Å."""
    rate = scales[0]
    place = r * rate
    first = 0
    if r >= scales[1]:
        rate = scales[3]
        place = (r - scales[1]) * rate
        first = int(scales[2])
    piece = min(first + int(place), int(scales[4]) - 1)
    return piece, 2.0 * (place - (piece - first)) - 1.0, rate


@njit(cache=True, nogil=True, forceinline=True)
def _radial(radial, scales, r, size, values, start):
    """Radial functions at one distance: fill `size` numbers (l, padded n) of `values`."""
    piece, position, _ = _piece(scales, r)
    t = splat_short(position)
    first = piece * 8 * size
    for k in range(0, size, SHORT):
        place = first + 8 * k
        total = load_short(radial, place)
        for power in range(1, 8):
            total = fma(total, t, load_short(radial, place + power * SHORT))
        store_short(values, start + k, total)


@njit(cache=True, nogil=True, forceinline=True)
def _radial_slopes(radial, scales, r, size, values, slopes):
    """Radial functions at one distance and their derivatives, in 1/Å."""
    piece, position, rate = _piece(scales, r)
    t, scale = splat_short(position), splat_short(2.0 * rate)
    first = piece * 8 * size
    for k in range(0, size, SHORT):
        place = first + 8 * k
        total, slope = load_short(radial, place), splat_short(0.0)
        for power in range(1, 8):
            slope = fma(slope, t, total)
            total = fma(total, t, load_short(radial, place + power * SHORT))
        store_short(values, k, total)
        store_short(slopes, k, scale * slope)


@njit(cache=True, nogil=True, forceinline=True)
def _add(values, harmonics, lane, weight, l_max, n_pad, coefficients, first):
    """Add one neighbour to the coefficients of one channel, which begin at `first`."""
    w = splat_short(weight)
    row = 0
    for l in range(l_max + 1):
        for k in range(0, n_pad, SHORT):
            part = w * load_short(values, l * n_pad + k)
            entry = first + row * n_pad + k
            for m in range(2 * l + 1):
                factor = load_splat(harmonics, (row + m) * WIDTH + lane)
                here = load_short(coefficients, entry + m * n_pad)
                store_short(coefficients, entry + m * n_pad, fma(part, factor, here))
        row += 2 * l + 1


@njit(cache=True, nogil=True, forceinline=True)
def _add_four(values, harmonics, lane, weight, l_max, n_pad, coefficients, first):
    """Add four neighbours in consecutive lanes: a quarter of the traffic of `_add`."""
    w = splat_short(weight)
    size = (l_max + 1) * n_pad
    row = 0
    for l in range(l_max + 1):
        for k in range(0, n_pad, SHORT):
            place = l * n_pad + k
            a = w * load_short(values, place)
            b = w * load_short(values, place + size)
            c = w * load_short(values, place + 2 * size)
            d = w * load_short(values, place + 3 * size)
            entry = first + row * n_pad + k
            for m in range(2 * l + 1):
                column = (row + m) * WIDTH + lane
                total = load_short(coefficients, entry + m * n_pad)
                total = fma(a, load_splat(harmonics, column), total)
                total = fma(b, load_splat(harmonics, column + 1), total)
                total = fma(c, load_splat(harmonics, column + 2), total)
                total = fma(d, load_splat(harmonics, column + 3), total)
                store_short(coefficients, entry + m * n_pad, total)
        row += 2 * l + 1


@njit(cache=True, nogil=True)
def _slot(channel, slots, present, n_present, size, coefficients):
    """Place of a channel among those present; a new one is cleared."""
    if slots[channel] < 0:
        slots[channel] = n_present
        present[n_present] = channel
        start = n_present * size
        for k in range(0, size, SHORT):
            store_short(coefficients, start + k, splat_short(0.0))
        n_present += 1
    return slots[channel], n_present


@njit(cache=True, nogil=True)
def by_element(pairs):
    """Pairs of a batch, environment after environment, those of the same element together."""
    offsets, _, numbers = pairs
    sequence = np.arange(len(numbers))
    count, place = np.zeros(256, np.int64), np.empty(256, np.int64)
    for k in range(len(offsets) - 1):
        low, high = 255, 0
        for pair in range(offsets[k], offsets[k + 1]):
            count[numbers[pair]] += 1
            low, high = min(low, numbers[pair]), max(high, numbers[pair])
        position = offsets[k]
        for number in range(low, high + 1):
            place[number] = position
            position += count[number]
            count[number] = 0
        for pair in range(offsets[k], offsets[k + 1]):
            sequence[place[numbers[pair]]] = pair
            place[numbers[pair]] += 1
    return sequence


@njit(cache=True, nogil=True)
def expand_one(
    k, pairs, centre_numbers, cutoff, basis, mixing, l_max, n_pad, room, slots, present,
    coefficients,
):  # fmt: skip
    """
    Coefficients of environment k, channel after channel as they turn up; number of channels.

    `slots` (-1 everywhere before and, if the caller clears it, after) says where each channel
    lies, `present` which channel lies where. `room` keeps the harmonics of the pairs that are
    expanded together: they are the same whatever else is in the batch.
    """
    offsets, vectors, numbers = pairs
    radial, scales, rise, drop, at_centre = basis
    mix_start, mix_channel, mix_weight = mixing
    near, table, harmonics, loaded, values, sequence = room
    step = (l_max + 1) * n_pad
    size = (l_max + 1) ** 2 * n_pad
    n_present = 0
    place = offsets[k]
    while place < offsets[k + 1]:
        lane = place % WIDTH
        if loaded[0] != place - lane:
            loaded[0] = place - lane
            _directions(vectors, sequence, place - lane, near)
            _harmonics(near, l_max, rise, drop, table)
        number = numbers[sequence[place]]
        count = 0  # of neighbours of this element side by side, at most four
        while (
            count < 4 and lane + count < WIDTH and place + count < offsets[k + 1]
            and numbers[sequence[place + count]] == number
            and near[3, lane + count] < cutoff
        ):  # fmt: skip
            _radial(radial, scales, near[3, lane + count], step, values, count * step)
            count += 1
        for e in range(mix_start[number], mix_start[number + 1]):
            if count == 0:
                break
            slot, n_present = _slot(mix_channel[e], slots, present, n_present, size, coefficients)
            weight, first = mix_weight[e], slot * size
            if count == 4:
                _add_four(values, harmonics, lane, weight, l_max, n_pad, coefficients, first)
            else:
                for one in range(count):
                    _add(
                        values[one * step :], harmonics, lane + one, weight, l_max, n_pad,
                        coefficients, first,
                    )  # fmt: skip
        place += max(1, count)
    if centre_numbers[k] >= 0:
        number = centre_numbers[k]
        for e in range(mix_start[number], mix_start[number + 1]):
            slot, n_present = _slot(mix_channel[e], slots, present, n_present, size, coefficients)
            for n in range(len(at_centre)):
                coefficients[slot * size + n] += mix_weight[e] * at_centre[n]
    return n_present


@njit(cache=True, nogil=True)
def workspace(pairs, l_max, n_pad):
    """Room for the pairs that are expanded together, see `expand_one`."""
    near, table = rows_of_lanes(5), rows_of_lanes((l_max + 1) ** 2)
    values = rows_of_lanes(4 * (l_max + 1) * n_pad // SHORT).ravel()
    return near, table, table.ravel(), np.full(1, -1), values, by_element(pairs)


@njit(cache=True, nogil=True)
def coefficients(pairs, centre_numbers, cutoff, basis, mixing, l_max, n_max, n_channels, out):
    """Coefficients of environments: fill `out`, shape (n, n_channels, n_lm, n_max); zero before."""
    n_pad = padded(n_max)
    n_lm = (l_max + 1) ** 2
    room = workspace(pairs, l_max, n_pad)
    slots, present = np.full(n_channels, -1), np.empty(n_channels, np.int64)
    found = rows_of_lanes(n_channels * n_lm * n_pad // SHORT).ravel()
    for k in range(len(out)):
        n_present = expand_one(
            k, pairs, centre_numbers, cutoff, basis, mixing, l_max, n_pad, room, slots, present,
            found,
        )  # fmt: skip
        for slot in range(n_present):
            channel = present[slot]
            slots[channel] = -1
            for lm in range(n_lm):
                for n in range(n_max):
                    out[k, channel, lm, n] = found[(slot * n_lm + lm) * n_pad + n]


@njit(cache=True, nogil=True)
def slopes_of_pair(place, vectors, cutoff, basis, l_max, n_pad, room, out):
    """
    Derivatives of one neighbour's own term by its position; whether it is within the cutoff.

    Fill `out`, flat: axis, lm, padded n. `place` is the neighbour's in the sequence of `room`.
    """
    radial, scales, rise, drop, _ = basis
    near, harmonics, outward, turning, along, across, loaded, values, slopes, sequence = room
    lane = place % WIDTH
    if loaded[0] != place - lane:
        loaded[0] = place - lane
        _directions(vectors, sequence, place - lane, near)
        _harmonic_slopes(near, l_max, rise, drop, harmonics, outward, turning)
    if near[3, lane] >= cutoff:
        return False
    _radial_slopes(radial, scales, near[3, lane], (l_max + 1) * n_pad, values, slopes)
    n_lm = (l_max + 1) ** 2
    for axis in range(3):
        lm = 0
        for l in range(l_max + 1):
            for k in range(0, n_pad, SHORT):
                value, slope = load_short(values, l * n_pad + k), load_short(slopes, l * n_pad + k)
                for m in range(2 * l + 1):
                    row = axis * n_lm + lm + m
                    part = value * load_splat(across, row * WIDTH + lane)
                    part = fma(slope, load_splat(along, row * WIDTH + lane), part)
                    store_short(out, row * n_pad + k, part)
            lm += 2 * l + 1
    return True


@njit(cache=True, nogil=True)
def slope_workspace(sequence, l_max, n_pad):
    """Room for the pairs that are differentiated together, see `slopes_of_pair`."""
    n_lm = (l_max + 1) ** 2
    near, harmonics = rows_of_lanes(5), rows_of_lanes(n_lm)
    outward, turning = rows_of_lanes(3 * n_lm), rows_of_lanes(3 * n_lm)
    values = rows_of_lanes((l_max + 1) * n_pad // SHORT).ravel()
    slopes = rows_of_lanes((l_max + 1) * n_pad // SHORT).ravel()
    flat = outward.ravel(), turning.ravel()
    return near, harmonics, outward, turning, *flat, np.full(1, -1), values, slopes, sequence


@njit(cache=True, nogil=True)
def slopes(vectors, cutoff, basis, l_max, n_max, out):
    """Derivatives of every neighbour's own term: fill `out`, (n_pairs, 3, n_lm, n_max)."""
    n_pad = padded(n_max)
    n_lm = (l_max + 1) ** 2
    room = slope_workspace(np.arange(len(out)), l_max, n_pad)
    found = rows_of_lanes(3 * n_lm * n_pad // SHORT).ravel()
    for pair in range(len(out)):
        if slopes_of_pair(pair, vectors, cutoff, basis, l_max, n_pad, room, found):
            for axis in range(3):
                for lm in range(n_lm):
                    for n in range(n_max):
                        out[pair, axis, lm, n] = found[(axis * n_lm + lm) * n_pad + n]
