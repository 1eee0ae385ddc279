"""Compiled loops of the moment invariants: expansion, contraction and their derivatives."""

from __future__ import annotations

# mypy: allow-untyped-defs, allow-untyped-calls, allow-subclassing-any
import numpy as np
from numba import njit

from distdesc.descriptors._lanes_kernels import (
    WIDTH,
    fma,
    largest,
    least,
    load,
    root,
    rows_of_lanes,
    splat,
    store,
)

# Shared arguments, all arrays or scalars:
#   pairs      offsets, vectors (in units of the cutoff), weights, channels: one entry per pair
#   window     start and inverse width of the decay (in units of the cutoff; 0 if hard), then the
#              coefficients of sin(pi s) / s in s * s
#   basis      place[l, v], first moment + l of the tensor n = l + 2 v; drop[l, m], the recurrence;
#              norm[l, m]; radial[l, k, v]
#   table      the fields of ContractionTable
# A state is an array (n_state, WIDTH): moments of every channel, the constant one, derived rows.


@njit(cache=True, nogil=True)
def _decay(r, window):
    """Cutoff function, and the phase s in [-1/2, 1/2] of its sine."""
    half = splat(0.5)
    phase = (r - splat(window[0])) * splat(window[1])
    s = least(largest(phase, splat(0.0)), splat(1.0)) - half
    s2 = s * s
    sine = splat(window[len(window) - 1])
    for k in range(len(window) - 2, 1, -1):
        sine = fma(sine, s2, splat(window[k]))
    return half - half * (sine * s), s


@njit(cache=True, nogil=True)
def _pack(near, index, lane, start, stop, channel, pairs):
    """Copy the neighbours of one environment and channel into a lane; their number."""
    vectors, weights, channels = pairs
    count = 0
    for pair in range(start, stop):
        x, y, z = vectors[pair, 0], vectors[pair, 1], vectors[pair, 2]
        if channels[pair] == channel and x * x + y * y + z * z < 1.0:
            near[4 * count, lane] = x
            near[4 * count + 1, lane] = y
            near[4 * count + 2, lane] = z
            near[4 * count + 3, lane] = weights[pair]
            index[count] = pair
            count += 1
    return count


@njit(cache=True, nogil=True)
def _accumulate(near, count, window, basis, first, state):
    """Add the raw moments, ``w r**(2 v) Q_l^m Re or Im (x + i y)^m``, of packed neighbours."""
    place, drop = basis[0], basis[1]
    order = place.shape[0] - 1
    zero = splat(0.0)
    for j in range(0, count, 2):  # two at a time: half the traffic of the sums
        xa, ya, za, ca = (
            load(near, 4 * j), load(near, 4 * j + 1), load(near, 4 * j + 2), load(near, 4 * j + 3),
        )  # fmt: skip
        xb, yb, zb, cb = (
            load(near, 4 * j + 4), load(near, 4 * j + 5),
            load(near, 4 * j + 6), load(near, 4 * j + 7),
        )  # fmt: skip
        ra = fma(xa, xa, fma(ya, ya, za * za))
        rb = fma(xb, xb, fma(yb, yb, zb * zb))
        if window[1] != 0.0:
            ca = ca * _decay(root(ra), window)[0]
            cb = cb * _decay(root(rb), window)[0]
        sa, sb = zero, zero
        for m in range(order + 1):
            qa, qb, olda, oldb = splat(1.0), splat(1.0), zero, zero
            for l in range(m, order + 1):
                if l > m:
                    b = splat(drop[l, m])
                    qa, olda = fma(za, qa, (b * ra) * olda), qa
                    qb, oldb = fma(zb, qb, (b * rb) * oldb), qb
                ua, ub = qa * ca, qb * cb
                va, vb = qa * sa, qb * sb
                for v in range((order - l) // 2 + 1):
                    row = first + place[l, v] + m
                    store(state, row, load(state, row) + (ua + ub))
                    ua, ub = ua * ra, ub * rb
                    if m > 0:
                        row -= 2 * m
                        store(state, row, load(state, row) + (va + vb))
                        va, vb = va * ra, vb * rb
            ca, sa = fma(xa, ca, zero - ya * sa), fma(xa, sa, ya * ca)
            cb, sb = fma(xb, cb, zero - yb * sb), fma(xb, sb, yb * cb)


@njit(cache=True, nogil=True)
def _orthonormalise(basis, first, state):
    """Turn raw moments of one channel into Zernike moments, in place."""
    place, _, norm, radial = basis
    order = place.shape[0] - 1
    for l in range(order + 1):
        for m in range(-l, l + 1):
            scale = splat(norm[l, abs(m)])
            for k in range((order - l) // 2, -1, -1):
                total = splat(0.0)
                for v in range(k + 1):
                    total = fma(splat(radial[l, k, v]), load(state, first + place[l, v] + m), total)
                store(state, first + place[l, k] + m, scale * total)


@njit(cache=True, nogil=True)
def _expand(block, offsets, pairs, centres, window, basis, n_channels, near, index, state):
    """Moments of the environments of a block, one in each lane; -1 leaves a lane empty."""
    centre_weights, centre_channels = centres
    order = basis[0].shape[0] - 1
    size = (order + 1) * (order + 2) * (order + 3) // 6
    for row in range(n_channels * size):
        store(state, row, splat(0.0))
    for channel in range(n_channels):
        most = 0
        near[:, :] = 0.0
        for lane in range(WIDTH):
            k = block[lane]
            if k >= 0:
                count = _pack(near, index, lane, offsets[k], offsets[k + 1], channel, pairs)
                most = max(most, count)
                if centre_channels[k] == channel:
                    state[channel * size, lane] += centre_weights[k]
        _accumulate(near, most, window, basis, channel * size, state)
        _orthonormalise(basis, channel * size, state)


@njit(cache=True, nogil=True)
def _contract(table, state, unit, features):
    """Derived rows of a state, and the invariants."""
    (term_start, term_left, term_right, term_factor, row_start, dot_start,
     dot_left, dot_right, dot_length, dot_feature, dot_factor) = table  # fmt: skip
    store(state, unit, splat(1.0))
    for group in range(len(row_start) - 1):
        for row in range(row_start[group], row_start[group + 1]):
            total = splat(0.0)
            for t in range(term_start[row], term_start[row + 1]):
                product = load(state, term_left[t]) * load(state, term_right[t])
                total = fma(splat(term_factor[t]), product, total)
            store(state, unit + 1 + row, total)
        for dot in range(dot_start[group], dot_start[group + 1]):
            left, right = dot_left[dot], dot_right[dot]
            total = load(state, left) * load(state, right)
            for m in range(1, dot_length[dot]):
                total = fma(load(state, left + m), load(state, right + m), total)
            store(features, dot_feature[dot], splat(dot_factor[dot]) * total)


@njit(cache=True, nogil=True)
def _block(sequence, start):
    """Environments of the lanes of a block."""
    block = np.full(WIDTH, -1)
    stop = min(start + WIDTH, len(sequence))
    block[: stop - start] = sequence[start:stop]
    return block


@njit(cache=True, nogil=True)
def _workspace(offsets, sequence):
    """Room for the neighbours of a block; an even number of them."""
    most = 0
    for k in sequence:
        most = max(most, offsets[k + 1] - offsets[k])
    return rows_of_lanes(4 * (most + most % 2)), np.empty(most, np.int64)


@njit(cache=True, nogil=True)
def expansions(sequence, offsets, pairs, centres, window, basis, n_channels, out):
    """
    Moments of environments: fill `out`, shape (n, n_channels * n_moments).

    `sequence` is the order of work; environments of similar size should be neighbours in it.
    """
    near, index = _workspace(offsets, sequence)
    state = rows_of_lanes(out.shape[1])
    for start in range(0, len(sequence), WIDTH):
        block = _block(sequence, start)
        _expand(block, offsets, pairs, centres, window, basis, n_channels, near, index, state)
        for lane in range(min(WIDTH, len(sequence) - start)):
            for row in range(out.shape[1]):
                out[block[lane], row] = state[row, lane]


@njit(cache=True, nogil=True)
def contractions(moments, table, out):
    """Invariants of given moments, (n, n_channels * n_moments): fill `out`, (n, n_features)."""
    unit = moments.shape[1]
    state = rows_of_lanes(unit + len(table[0]))
    features = rows_of_lanes(out.shape[1])
    for start in range(0, len(moments), WIDTH):
        n_lanes = min(WIDTH, len(moments) - start)
        state[:, :] = 0.0
        for lane in range(n_lanes):
            for row in range(unit):
                state[row, lane] = moments[start + lane, row]
        _contract(table, state, unit, features)
        for lane in range(n_lanes):
            for feature in range(out.shape[1]):
                out[start + lane, feature] = features[feature, lane]


@njit(cache=True, nogil=True)
def fingerprints(sequence, offsets, pairs, centres, window, basis, n_channels, table, out):
    """Invariants of environments: fill `out`, shape (n, n_features). See `expansions`."""
    near, index = _workspace(offsets, sequence)
    order = basis[0].shape[0] - 1
    unit = n_channels * (order + 1) * (order + 2) * (order + 3) // 6
    state = rows_of_lanes(unit + len(table[0]))
    features = rows_of_lanes(out.shape[1])
    for start in range(0, len(sequence), WIDTH):
        block = _block(sequence, start)
        _expand(block, offsets, pairs, centres, window, basis, n_channels, near, index, state)
        _contract(table, state, unit, features)
        for lane in range(min(WIDTH, len(sequence) - start)):
            for feature in range(out.shape[1]):
                out[block[lane], feature] = features[feature, lane]
