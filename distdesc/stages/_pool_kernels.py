"""Compiled sum of the rows of a slice over the structures that own them."""

from __future__ import annotations

# mypy: allow-untyped-defs
from numba import njit


@njit(cache=True, nogil=True)
def add_rows(values, targets, totals):
    """
    Add each row to its total, one after the other, so that slices do not change a bit of it.

    Parameters
    ----------
    values : ndarray, shape (n, n_columns), float64
        Rows.
    targets : ndarray, shape (n,), int64
        Total that each row is added to.
    totals : ndarray, shape (n_totals, n_columns), float64
        Changed in place.
    """
    for k in range(len(values)):
        for column in range(values.shape[1]):
            totals[targets[k], column] += values[k, column]
