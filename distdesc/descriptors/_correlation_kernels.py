"""Compiled loops of the correlations of third and fourth degree, and of their derivatives."""

from __future__ import annotations

# mypy: allow-untyped-defs, allow-untyped-calls, allow-subclassing-any
import numpy as np
from numba import njit

from distdesc.descriptors._lanes_kernels import WIDTH, fma, load, rows_of_lanes, splat, store

# Shared arguments:
#   table      the fields of CorrelationTable
#   sizes      entries of its state, most cells of a kind
# A state is an array (n_state, WIDTH): coefficients of all tensors, then the couplings. Values are
# computed with an environment in each lane; derivatives with a neighbour in each, all of the same
# environment, and three rows for each entry: its derivatives by x, y and z.

TILE = 32
"""Features computed before they are written out, so that they are still in the cache."""


@njit(cache=True, nogil=True)
def _couple(table, group, state, cells):
    """Couplings that are new in a group: fill their rows of a state."""
    (group_fan, fan_first, fan_kind, fan_row, fan_start, block_second, kind_row, row_cell,
     cell_second, cell_term, term_first, term_factor) = table[2:14]  # fmt: skip
    for fan in range(group_fan[group], group_fan[group + 1]):
        row = int(fan_row[fan])
        first, kind = fan_first[fan], fan_kind[fan]
        start, stop = row_cell[kind_row[kind]], row_cell[kind_row[kind + 1]]
        for cell in range(start, stop):
            total = splat(0.0)
            for t in range(cell_term[cell], cell_term[cell + 1]):
                total = fma(splat(term_factor[t]), load(state, first + term_first[t]), total)
            store(cells, cell - start, total)
        for block in range(fan_start[fan], fan_start[fan + 1]):
            second = block_second[block]
            for line in range(kind_row[kind], kind_row[kind + 1]):
                total = splat(0.0)
                for cell in range(row_cell[line], row_cell[line + 1]):
                    part = load(state, second + cell_second[cell])
                    total = fma(load(cells, cell - start), part, total)
                store(state, row, total)
                row += 1


@njit(cache=True, nogil=True)
def _contract(table, state, first, last, features):
    """Scalars of a range of features: fill the first rows of `features`."""
    feature_start, dot_left, dot_right, dot_length, dot_factor = table[14:]
    for feature in range(first, last):
        value = splat(0.0)
        for dot in range(feature_start[feature], feature_start[feature + 1]):
            left, right = dot_left[dot], dot_right[dot]
            total = load(state, left) * load(state, right)
            for m in range(1, dot_length[dot]):
                total = fma(load(state, left + m), load(state, right + m), total)
            value = fma(splat(dot_factor[dot]), total, value)
        store(features, feature - first, value)


@njit(cache=True, nogil=True)
def _load_block(coefficients, order, start, state):
    """Coefficients of up to WIDTH environments, one in each lane; how many there are."""
    n_lanes = min(WIDTH, len(coefficients) - start)
    for row in range(len(order)):
        for lane in range(n_lanes):
            state[row, lane] = coefficients[start + lane, order[row]]
        for lane in range(n_lanes, WIDTH):
            state[row, lane] = 0.0
    return n_lanes


@njit(cache=True, nogil=True)
def correlations(coefficients, table, sizes, out):
    """Fingerprints of coefficients, (n, n_coefficients): fill `out`, (n, n_features)."""
    n_state, n_cells = sizes
    group_feature = table[1].astype(np.int64)
    state, cells, features = rows_of_lanes(n_state), rows_of_lanes(n_cells), rows_of_lanes(TILE)
    for start in range(0, len(coefficients), WIDTH):
        n_lanes = _load_block(coefficients, table[0], start, state)
        for group in range(len(group_feature) - 1):
            _couple(table, group, state, cells)
            stop = group_feature[group + 1]
            for first in range(group_feature[group], stop, TILE):
                last = min(first + TILE, stop)
                _contract(table, state, first, last, features)
                for lane in range(n_lanes):
                    line = out[start + lane, first:last]
                    for feature in range(len(line)):
                        line[feature] = features[feature, lane]


@njit(cache=True, nogil=True)
def _couple_slopes(table, group, values, slopes, live, cells, cell_slopes):
    """
    Derivatives of the couplings that are new in a group: fill their rows of `slopes`.

    And the couplings themselves, in `values`, the state (n_state) of one environment. `slopes`
    (3 * n_state, WIDTH) has three rows for each entry of the state; `live` says of each first
    entry of a tensor, and is to say of a coupling, whether it has derivatives.
    """
    (group_fan, fan_first, fan_kind, fan_row, fan_start, block_second, kind_row, row_cell,
     cell_second, cell_term, term_first, term_factor) = table[2:14]  # fmt: skip
    for fan in range(group_fan[group], group_fan[group + 1]):
        row = int(fan_row[fan])
        first, kind = fan_first[fan], fan_kind[fan]
        start, stop = row_cell[kind_row[kind]], row_cell[kind_row[kind + 1]]
        for cell in range(start, stop):
            total = 0.0
            x, y, z = splat(0.0), splat(0.0), splat(0.0)
            for t in range(cell_term[cell], cell_term[cell + 1]):
                place = first + term_first[t]
                total += term_factor[t] * values[place]
                if live[first]:
                    factor = splat(term_factor[t])
                    x = fma(factor, load(slopes, 3 * place), x)
                    y = fma(factor, load(slopes, 3 * place + 1), y)
                    z = fma(factor, load(slopes, 3 * place + 2), z)
            cells[cell - start] = total
            _store_three(cell_slopes, cell - start, x, y, z)
        for block in range(fan_start[fan], fan_start[fan + 1]):
            second = block_second[block]
            any_live = live[first] or live[second]
            live[row] = any_live
            for line in range(kind_row[kind], kind_row[kind + 1]):
                total = 0.0
                x, y, z = splat(0.0), splat(0.0), splat(0.0)
                for cell in range(row_cell[line], row_cell[line + 1]):
                    place, own = second + cell_second[cell], cell - start
                    total += cells[own] * values[place]
                    if any_live:
                        factor, other = splat(cells[own]), splat(values[place])
                        x = fma(factor, load(slopes, 3 * place), x)
                        y = fma(factor, load(slopes, 3 * place + 1), y)
                        z = fma(factor, load(slopes, 3 * place + 2), z)
                        x = fma(other, load(cell_slopes, 3 * own), x)
                        y = fma(other, load(cell_slopes, 3 * own + 1), y)
                        z = fma(other, load(cell_slopes, 3 * own + 2), z)
                values[row] = total
                _store_three(slopes, row, x, y, z)
                row += 1


@njit(cache=True, nogil=True)
def _store_three(rows, place, x, y, z):
    """Write the derivatives of one entry."""
    store(rows, 3 * place, x)
    store(rows, 3 * place + 1, y)
    store(rows, 3 * place + 2, z)


@njit(cache=True, nogil=True)
def _contract_slopes(table, values, slopes, live, first, last, features):
    """Derivatives of a range of features: fill the first rows of `features`, three for each."""
    feature_start, dot_left, dot_right, dot_length, dot_factor = table[14:]
    for feature in range(first, last):
        x, y, z = splat(0.0), splat(0.0), splat(0.0)
        for dot in range(feature_start[feature], feature_start[feature + 1]):
            for side in range(2):
                moved = dot_left[dot] if side == 0 else dot_right[dot]
                fixed = dot_right[dot] if side == 0 else dot_left[dot]
                if live[moved]:
                    for m in range(dot_length[dot]):
                        factor = splat(dot_factor[dot] * values[fixed + m])
                        place = 3 * (moved + m)
                        x = fma(factor, load(slopes, place), x)
                        y = fma(factor, load(slopes, place + 1), y)
                        z = fma(factor, load(slopes, place + 2), z)
        _store_three(features, feature - first, x, y, z)


@njit(cache=True, nogil=True)
def _load_pairs(order, pairs, weights, derivatives, slopes, live):
    """Derivatives of the coefficients by up to WIDTH neighbours, one in each lane."""
    size = derivatives.shape[2]
    for row in range(len(order)):
        channel, place = order[row] // size, order[row] % size
        live[row] = False
        for lane in range(len(pairs)):
            pair = pairs[lane]
            weight = weights[pair, channel]
            live[row] |= weight != 0.0
            for axis in range(3):
                slopes[3 * row + axis, lane] = weight * derivatives[pair, axis, place]
        for axis in range(3):
            slopes[3 * row + axis, len(pairs) :] = 0.0


@njit(cache=True, nogil=True)
def _write(features, pairs, first, last, out):
    """Copy derivatives of a range of features to the rows of their pairs."""
    for lane in range(len(pairs)):
        for axis in range(3):
            line = out[pairs[lane], axis, first:last]
            for feature in range(len(line)):
                line[feature] = features[3 * feature + axis, lane]


@njit(cache=True, nogil=True)
def jacobians(offsets, pairs, coefficients, derivatives, weights, table, sizes, out):
    """
    Derivatives of fingerprints by positions of neighbours: fill `out`, (n_pairs, 3, n_features).

    `derivatives` (n_pairs, 3, n_coefficients of a density) are to be multiplied by `weights`
    (n_pairs, n_channels). `pairs` are the pairs of each environment in the order of work, best
    those of the same element after each other.
    """
    order, group_feature = table[0], table[1].astype(np.int64)
    n_state, n_cells = sizes
    slopes = rows_of_lanes(3 * n_state)
    cells, cell_slopes = np.empty(n_cells), rows_of_lanes(3 * n_cells)
    values, features = np.empty(n_state), rows_of_lanes(3 * TILE)
    live = np.zeros(n_state, np.bool_)
    for environment in range(len(coefficients)):
        for row in range(len(order)):
            values[row] = coefficients[environment, order[row]]
        for begin in range(offsets[environment], offsets[environment + 1], WIDTH):
            own = pairs[begin : min(begin + WIDTH, offsets[environment + 1])]
            _load_pairs(order, own, weights, derivatives, slopes, live)
            for group in range(len(group_feature) - 1):
                _couple_slopes(table, group, values, slopes, live, cells, cell_slopes)
                stop = group_feature[group + 1]
                for first in range(group_feature[group], stop, TILE):
                    last = min(first + TILE, stop)
                    _contract_slopes(table, values, slopes, live, first, last, features)
                    _write(features, own, first, last, out)
