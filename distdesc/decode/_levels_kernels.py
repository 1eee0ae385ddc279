"""Compiled sums of products of moments."""

from __future__ import annotations

# mypy: allow-untyped-defs, allow-untyped-calls
from numba import njit


@njit(cache=True, nogil=True)
def derived_rows(state, term_start, term_left, term_right, term_factor, out):
    """Fill `out` with the derived rows of a table, see ContractionTable, of moments alone."""
    for row in range(len(out)):
        total = 0.0
        for t in range(term_start[row], term_start[row + 1]):
            total += term_factor[t] * state[term_left[t]] * state[term_right[t]]
        out[row] = total
