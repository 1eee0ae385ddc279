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
# computed with an environment in each lane; derivatives with a column in each, which is one
# coordinate of one neighbour, all of the same environment.

TILE = 64
"""Features computed before they are written out, so that they are still in the cache."""


@njit(cache=True, nogil=True)
def _couple(table, state, cells):
    """Couplings of the tensors of a state: fill the rows after them."""
    (order, fan_first, fan_kind, fan_start, block_second, kind_row, row_cell, cell_second,
     cell_term, term_first, term_factor) = table[:11]  # fmt: skip
    row = len(order)
    for fan in range(len(fan_first)):
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
    feature_start, dot_left, dot_right, dot_length, dot_factor = table[11:]
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
    state, cells, features = rows_of_lanes(n_state), rows_of_lanes(n_cells), rows_of_lanes(TILE)
    for start in range(0, len(coefficients), WIDTH):
        n_lanes = _load_block(coefficients, table[0], start, state)
        _couple(table, state, cells)
        for first in range(0, out.shape[1], TILE):
            last = min(first + TILE, out.shape[1])
            _contract(table, state, first, last, features)
            for lane in range(n_lanes):
                for feature in range(first, last):
                    out[start + lane, feature] = features[feature - first, lane]


@njit(cache=True, nogil=True)
def _couple_slopes(table, values, slopes, live, cells, cell_slopes):
    """
    Derivatives of the couplings, by the product rule: fill the rows of `slopes` after those given.

    `values` (n_state) is the state of the environment; `live` says of each first row of a tensor,
    and is to say of a coupling, whether any lane has a derivative.
    """
    (order, fan_first, fan_kind, fan_start, block_second, kind_row, row_cell, cell_second,
     cell_term, term_first, term_factor) = table[:11]  # fmt: skip
    row = len(order)
    for fan in range(len(fan_first)):
        first, kind = fan_first[fan], fan_kind[fan]
        start, stop = row_cell[kind_row[kind]], row_cell[kind_row[kind + 1]]
        first_live = live[first]
        for cell in range(start, stop):
            total, slope = 0.0, splat(0.0)
            for t in range(cell_term[cell], cell_term[cell + 1]):
                total += term_factor[t] * values[first + term_first[t]]
                if first_live:
                    part = load(slopes, first + term_first[t])
                    slope = fma(splat(term_factor[t]), part, slope)
            cells[cell - start] = total
            store(cell_slopes, cell - start, slope)
        for block in range(fan_start[fan], fan_start[fan + 1]):
            second = block_second[block]
            second_live = live[second]
            live[row] = first_live or second_live
            for line in range(kind_row[kind], kind_row[kind + 1]):
                slope = splat(0.0)
                for cell in range(row_cell[line], row_cell[line + 1]):
                    place = second + cell_second[cell]
                    if second_live:
                        slope = fma(splat(cells[cell - start]), load(slopes, place), slope)
                    if first_live:
                        factor = splat(values[place])
                        slope = fma(factor, load(cell_slopes, cell - start), slope)
                store(slopes, row, slope)
                row += 1


@njit(cache=True, nogil=True)
def _contract_slopes(table, values, slopes, live, first, last, features):
    """Derivatives of a range of features: fill the first rows of `features`."""
    feature_start, dot_left, dot_right, dot_length, dot_factor = table[11:]
    for feature in range(first, last):
        slope = splat(0.0)
        for dot in range(feature_start[feature], feature_start[feature + 1]):
            left, right = dot_left[dot], dot_right[dot]
            total = splat(0.0)
            if live[left]:
                for m in range(dot_length[dot]):
                    total = fma(splat(values[right + m]), load(slopes, left + m), total)
            if live[right]:
                for m in range(dot_length[dot]):
                    total = fma(splat(values[left + m]), load(slopes, right + m), total)
            slope = fma(splat(dot_factor[dot]), total, slope)
        store(features, feature - first, slope)


@njit(cache=True, nogil=True)
def _load_columns(order, pairs, first, n_lanes, weights, derivatives, slopes, live):
    """Derivatives of the coefficients by up to WIDTH coordinates, one in each lane."""
    size = derivatives.shape[2]
    for row in range(len(order)):
        channel, place = order[row] // size, order[row] % size
        any_live = False
        for lane in range(n_lanes):
            pair, axis = pairs[(first + lane) // 3], (first + lane) % 3
            weight = weights[pair, channel]
            slopes[row, lane] = weight * derivatives[pair, axis, place]
            any_live |= weight != 0.0
        for lane in range(n_lanes, WIDTH):
            slopes[row, lane] = 0.0
        live[row] = any_live


@njit(cache=True, nogil=True)
def jacobians(offsets, pairs, coefficients, derivatives, weights, table, sizes, out):
    """
    Derivatives of fingerprints by positions of neighbours: fill `out`, (n_pairs, 3, n_features).

    `pairs` are the pairs of each environment in the order of work, best those of the same element
    after each other; `derivatives` (n_pairs, 3, n_coefficients of a density) are to be multiplied
    by `weights` (n_pairs, n_channels).
    """
    order = table[0]
    n_state, n_cells = sizes
    state, slopes = rows_of_lanes(n_state), rows_of_lanes(n_state)
    cells, cell_slopes = rows_of_lanes(n_cells), rows_of_lanes(n_cells)
    cell_values, live = np.empty(n_cells), np.zeros(n_state, np.bool_)
    values, features = np.empty(n_state), rows_of_lanes(TILE)
    n_features = out.shape[2]
    for start in range(0, len(coefficients), WIDTH):
        n_environments = _load_block(coefficients, order, start, state)
        _couple(table, state, cells)
        for member in range(n_environments):
            for row in range(n_state):
                values[row] = state[row, member]
            own = pairs[offsets[start + member] : offsets[start + member + 1]]
            for column in range(0, 3 * len(own), WIDTH):
                n_lanes = min(WIDTH, 3 * len(own) - column)
                _load_columns(order, own, column, n_lanes, weights, derivatives, slopes, live)
                _couple_slopes(table, values, slopes, live, cell_values, cell_slopes)
                for first in range(0, n_features, TILE):
                    last = min(first + TILE, n_features)
                    _contract_slopes(table, values, slopes, live, first, last, features)
                    for lane in range(n_lanes):
                        pair, axis = own[(column + lane) // 3], (column + lane) % 3
                        for feature in range(first, last):
                            out[pair, axis, feature] = features[feature - first, lane]
