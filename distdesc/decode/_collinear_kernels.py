"""Compiled fits of atoms on a line to the moments of their density along it."""

from __future__ import annotations

# mypy: allow-untyped-defs, allow-untyped-calls
import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _chebyshev(x, values, slopes):
    """Fill Chebyshev polynomials of the first kind at x, and their derivatives."""
    values[0], slopes[0] = 1.0, 0.0
    values[1], slopes[1] = x, 1.0
    for k in range(2, len(values)):
        values[k] = 2 * x * values[k - 1] - values[k - 2]
        slopes[k] = 2 * values[k - 1] + 2 * x * slopes[k - 1] - slopes[k - 2]


@njit(cache=True, nogil=True)
def _differences(places, weights, target, off, slopes):
    """Fill differences of the moments, and their derivatives by the places; sum of squares."""
    values, by_place, total = np.empty(len(target)), np.empty(len(target)), 0.0
    for k in range(len(target)):
        off[k] = -target[k]
    for i in range(len(places)):
        _chebyshev(places[i], values, by_place)
        for k in range(len(target)):
            off[k] += weights[i] * values[k]
            slopes[k, i] = weights[i] * by_place[k]
    for k in range(len(target)):
        total += off[k] * off[k]
    return total


@njit(cache=True, nogil=True)
def _solved(matrix, right):
    """Solve a positive definite system in place, by Cholesky's method; whether that went well."""
    n = len(right)
    for j in range(n):
        for k in range(j):
            matrix[j, j] -= matrix[j, k] * matrix[j, k]
        if not matrix[j, j] > 0.0:
            return False
        matrix[j, j] = np.sqrt(matrix[j, j])
        for i in range(j + 1, n):
            for k in range(j):
                matrix[i, j] -= matrix[i, k] * matrix[j, k]
            matrix[i, j] /= matrix[j, j]
    for i in range(n):
        for k in range(i):
            right[i] -= matrix[i, k] * right[k]
        right[i] /= matrix[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            right[i] -= matrix[k, i] * right[k]
        right[i] /= matrix[i, i]
    return True


@njit(cache=True, nogil=True)
def _fit(places, weights, target, most_steps):
    """Move places on a line towards moments (Levenberg and Marquardt); the sum of squares."""
    n, m = len(places), len(target)
    off, slopes = np.empty(m), np.empty((m, n))
    trial, trial_off, trial_slopes = np.empty(n), np.empty(m), np.empty((m, n))
    cost = _differences(places, weights, target, off, slopes)
    damping = 1e-3
    for step in range(most_steps):
        if cost < 1e-24 or damping > 1e6:
            break
        if step == 12 and cost > 1e-4:
            break
        matrix, move = np.zeros((n, n)), np.zeros(n)
        for i in range(n):
            for k in range(m):
                move[i] += slopes[k, i] * off[k]
                for j in range(i + 1):
                    matrix[i, j] += slopes[k, i] * slopes[k, j]
            matrix[i, i] += damping * matrix[i, i] + 1e-15
        if not _solved(matrix, move):
            damping *= 10
            continue
        for i in range(n):
            trial[i] = places[i] - move[i]
        lower = _differences(trial, weights, target, trial_off, trial_slopes)
        if lower < cost:
            done = lower > 0.999 * cost and cost < 1e-12
            for i in range(n):
                places[i] = trial[i]
            off, trial_off = trial_off, off
            slopes, trial_slopes = trial_slopes, slopes
            cost = lower
            damping = max(0.1 * damping, 1e-14)
            if done:
                break
        else:
            damping *= 5
    return cost


@njit(cache=True, nogil=True)
def fit_lines(words, table, target, knots, shares, most_steps, places, costs):
    """
    Fit atoms on a line, each set a word (n_words, n_atoms) of indices into `table`, to moments.

    `target` are the moments of the Chebyshev polynomials along the line. An atom starts where
    the weight up to its middle is that of the density, `shares` at the places `knots`. Fill
    `places`, (n_words, n_atoms), and `costs`.
    """
    weights = np.empty(words.shape[1])
    for word in range(len(words)):
        upto, k = 0.0, 1
        for i in range(words.shape[1]):
            weights[i] = table[words[word, i]]
            middle = upto + 0.5 * weights[i]
            upto += weights[i]
            while k < len(shares) - 1 and shares[k] < middle:
                k += 1
            part = (middle - shares[k - 1]) / (shares[k] - shares[k - 1])
            places[word, i] = knots[k - 1] + part * (knots[k] - knots[k - 1])
        costs[word] = _fit(places[word], weights, target, most_steps)
