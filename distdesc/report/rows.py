"""Rows that somebody asks for, checked."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from distdesc.errors import StoreError


def existing_rows(rows: ArrayLike | range, n: int) -> NDArray[np.int64]:
    """
    Rows as whole numbers, all of them below `n`.

    Parameters
    ----------
    rows : array_like of int or range
        Rows.
    n : int
        How many there are.

    Raises
    ------
    StoreError
        If they are no whole numbers, such as a mask, or some do not exist.
    """
    found = np.asarray(rows)
    if found.size and found.dtype.kind not in "iu":  # a mask would mean rows 0 and 1
        raise StoreError(
            f"rows must be whole numbers, such as np.flatnonzero of a mask, got {found.dtype}"
        )
    if found.size and not (found.min() >= 0 and found.max() < n):
        raise StoreError(f"rows must be in [0, {n})")
    return found.astype(np.int64)
