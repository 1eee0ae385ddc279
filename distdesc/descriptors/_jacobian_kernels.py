"""Compiled derivatives of the moment invariants, by moments and by neighbour positions."""

from __future__ import annotations

# mypy: allow-untyped-defs, allow-untyped-calls, allow-subclassing-any
import numpy as np
from numba import njit

from distdesc.descriptors._lanes_kernels import (
    WIDTH,
    fma,
    largest,
    load,
    root,
    rows_of_lanes,
    splat,
    store,
)
from distdesc.descriptors._moment_kernels import (
    _block,
    _contract,
    _decay,
    _expand,
    _orthonormalise,
    _pack,
    _workspace,
)

# For the arguments, see _moment_kernels. Here the lanes hold the neighbours of one environment.


@njit(cache=True, nogil=True)
def _through_rows(table, state, unit, first, last, adjoint):
    """Hand the adjoints of derived rows, from the last to the first, on to their operands."""
    term_start, term_left, term_right, term_factor = table[:4]
    for row in range(last - 1, first - 1, -1):
        slope = adjoint[unit + 1 + row]
        adjoint[unit + 1 + row] = 0.0  # clean for the next invariant
        if slope != 0.0:
            for t in range(term_start[row], term_start[row + 1]):
                part = slope * term_factor[t]
                adjoint[term_left[t]] += part * state[term_right[t]]
                adjoint[term_right[t]] += part * state[term_left[t]]


@njit(cache=True, nogil=True)
def _by_moments(table, state, unit, adjoint, out):
    """
    Derivatives of all invariants by the moments of one environment: fill (n_features, unit).

    `adjoint` is room for a state, zero before the first call.
    """
    row_start, dot_left, dot_right, dot_length, dot_feature, dot_factor = table[4:5] + table[6:]
    n_sums = row_start[1]
    for dot in range(len(dot_left)):
        adjoint[:unit] = 0.0
        left, right, length = dot_left[dot], dot_right[dot], dot_length[dot]
        for m in range(length):
            adjoint[left + m] += dot_factor[dot] * state[right + m]
            adjoint[right + m] += dot_factor[dot] * state[left + m]
        for first in (left - unit - 1, right - unit - 1):
            if first >= n_sums:
                _through_rows(table, state, unit, first, first + length, adjoint)
        _through_rows(table, state, unit, 0, n_sums, adjoint)
        out[dot_feature[dot]] = adjoint[:unit]


@njit(cache=True, nogil=True)
def contraction_jacobians(moments, table, out):
    """Derivatives of invariants by given moments: fill `out`, shape (n, n_features, n_moments)."""
    unit = moments.shape[1]
    n_state = unit + 1 + len(table[0]) - 1
    lanes_state = rows_of_lanes(n_state)
    features = rows_of_lanes(out.shape[1])
    adjoint = np.zeros(n_state)
    for k in range(len(moments)):
        lanes_state[:, :] = 0.0
        lanes_state[:unit, 0] = moments[k]
        _contract(table, lanes_state, unit, features)
        _by_moments(table, lanes_state[:, 0].copy(), unit, adjoint, out[k])


@njit(cache=True, nogil=True)
def _slopes(near, window, basis, grad):
    """Derivatives of raw moments by x, y and z of WIDTH neighbours: fill (3 * size, WIDTH)."""
    place, drop = basis[0], basis[1]
    order = place.shape[0] - 1
    size = grad.shape[0] // 3
    zero, two = splat(0.0), splat(2.0)
    x, y, z, weight = (
        load(near, 0), load(near, 1), load(near, 2), load(near, 3),
    )  # fmt: skip
    r2 = fma(x, x, fma(y, y, z * z))
    value, slope = weight, zero  # slope: derivative by r, divided by r
    if window[1] != 0.0:
        r = root(r2)
        decay, s = _decay(r, window)
        value = weight * decay
        slope = weight * (_decay_slope(s, window) / largest(r, splat(1e-150)))
    cosine, sine, cosine_low, sine_low = splat(1.0), zero, zero, zero
    for m in range(order + 1):
        q, q_old, by_z, by_z_old, by_r2, by_r2_old = splat(1.0), zero, zero, zero, zero, zero
        for l in range(m, order + 1):
            if l > m:
                b = splat(drop[l, m])
                by_r2_new = fma(z, by_r2, b * fma(r2, by_r2_old, q_old))
                by_z_new = fma(z, by_z, fma(b * r2, by_z_old, q))
                q_new = fma(z, q, (b * r2) * q_old)
                q, q_old, by_z, by_z_old = q_new, q, by_z_new, by_z
                by_r2, by_r2_old = by_r2_new, by_r2
            power, power_slope = value, slope
            q_m = splat(float(m)) * q
            for v in range((order - l) // 2 + 1):
                if v > 0:
                    power_slope = fma(power_slope, r2, two * power)
                    power = power * r2
                along = fma(power_slope, q, power * (two * by_r2))
                row = place[l, v] + m
                turn = power * q_m
                upward = power * by_z
                common = along * cosine
                store(grad, row, fma(x, common, turn * cosine_low))
                store(grad, size + row, fma(y, common, zero - turn * sine_low))
                store(grad, 2 * size + row, fma(z, common, upward * cosine))
                if m > 0:
                    row -= 2 * m
                    common = along * sine
                    store(grad, row, fma(x, common, turn * sine_low))
                    store(grad, size + row, fma(y, common, turn * cosine_low))
                    store(grad, 2 * size + row, fma(z, common, upward * sine))
        cosine_low, sine_low = cosine, sine
        cosine, sine = (
            fma(x, cosine_low, zero - y * sine_low),
            fma(x, sine_low, y * cosine_low),
        )


@njit(cache=True, nogil=True)
def _decay_slope(s, window):
    """Derivative of the cutoff function by r, from the phase of its sine."""
    # d/ds of s (c0 + c1 s^2 + ...), in the same coefficients, so that it fits the value exactly
    s2 = s * s
    last = len(window) - 1
    total = splat(window[last] * (2 * last - 3))
    for k in range(last - 1, 1, -1):
        total = fma(total, s2, splat(window[k] * (2 * k - 3)))
    return splat(-0.5 * window[1]) * total


@njit(cache=True, nogil=True)
def _chain(by_moments, grad, first, index, n_pairs, scale, out):
    """Derivatives by the positions of up to WIDTH neighbours: fill their rows of `out`."""
    size = grad.shape[0] // 3
    touched = np.empty(size, np.int64)
    columns = rows_of_lanes(3)
    for feature in range(by_moments.shape[0]):
        n_touched = 0
        for row in range(size):
            touched[n_touched] = row
            n_touched += by_moments[feature, first + row] != 0.0
        x, y, z = splat(0.0), splat(0.0), splat(0.0)
        for k in range(n_touched):
            row = touched[k]
            factor = splat(by_moments[feature, first + row])
            x = fma(factor, load(grad, row), x)
            y = fma(factor, load(grad, size + row), y)
            z = fma(factor, load(grad, 2 * size + row), z)
        store(columns, 0, splat(scale) * x)
        store(columns, 1, splat(scale) * y)
        store(columns, 2, splat(scale) * z)
        for lane in range(n_pairs):
            for axis in range(3):
                out[index[lane], axis, feature] = columns[axis, lane]


@njit(cache=True, nogil=True)
def jacobians(
    sequence, offsets, pairs, centres, window, basis, n_channels, table, n_features, scale, out
):
    """
    Derivatives of invariants by neighbour positions: fill `out`, (n_pairs, 3, n_features).

    `out` is zero before, and stays so for neighbours beyond the cutoff; `scale` is the inverse
    of the unit of the positions.
    """
    near, index = _workspace(offsets, sequence)
    order = basis[0].shape[0] - 1
    size = (order + 1) * (order + 2) * (order + 3) // 6
    unit = n_channels * size
    state = rows_of_lanes(unit + len(table[0]))
    features, grad = rows_of_lanes(n_features), rows_of_lanes(3 * size)
    adjoint, single = np.zeros(len(state)), rows_of_lanes(4)
    by_moments = np.empty((n_features, unit))
    for start in range(0, len(sequence), WIDTH):
        block = _block(sequence, start)
        _expand(block, offsets, pairs, centres, window, basis, n_channels, near, index, state)
        _contract(table, state, unit, features)
        for lane in range(min(WIDTH, len(sequence) - start)):
            k = block[lane]
            _by_moments(table, state[:, lane].copy(), unit, adjoint, by_moments)
            for channel in range(n_channels):
                count = _pack(near, index, 0, offsets[k], offsets[k + 1], channel, pairs)
                for first in range(0, count, WIDTH):
                    n_pairs = min(WIDTH, count - first)
                    single[:, :] = 0.0
                    for j in range(n_pairs):
                        for entry in range(4):
                            single[entry, j] = near[4 * (first + j) + entry, 0]
                    _slopes(single, window, basis, grad)
                    for axis in range(3):
                        _orthonormalise(basis, axis * size, grad)
                    place = channel * size
                    _chain(by_moments, grad, place, index[first:], n_pairs, scale, out)
