"""Rows of a run that are seen least, and best, each kind of environment once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from distdesc.report.singular_rows import Rows

ALIKE = "alike"
"""Column that counts the rows that one stands for, itself among them."""

ALL_OF_IT = 1e-9
"""A row whose least seen motion is nearly its most seen one has only one to see."""

SAME = 5e-3
"""
Relative difference of singular values up to which rows with the same centre and point group, in
which symmetry hides as much, count as alike: about what a table with three digits shows.
"""

ZERO = 1e-12
"""Ratios below this are zero, and differ by rounding only."""


def seen_least(parts: Sequence[Rows | None], most: int) -> Rows:
    """
    Rows whose least seen motion is seen least, relative to the most seen one.

    Motions that symmetry hides do not count, and rows of the kind ``symmetry`` do, by what else
    there is to see. Left out are rows at the cutoff, whose neighbours are to be seen little, and
    those next to a singular point that is one by symmetry alone, which explains what is hardly
    seen. Of a search, rows by the distance of the singular point found.

    Parameters
    ----------
    parts : sequence of Rows or None
        Such as those known so far, and new ones; at least one.
    most : int
        How many to keep.
    """
    rows = _together(parts)
    near = rows.get("flagged", 1) == 1
    explained = (rows.kinds == "cutoff") | (near & (rows.kinds == "symmetry"))
    rows = rows.take((rows.seen_least < 1 - ALL_OF_IT) & ~explained)
    if rows.stage == "search":
        return _first(rows, np.argsort(rows.distances, kind="stable"), most)
    # of zeros, the row comes first
    return _first(rows, np.lexsort((rows.row, np.maximum(rows.seen_least, ZERO))), most)


def seen_best(parts: Sequence[Rows | None], most: int, above: float) -> Rows:
    """
    Rows whose least seen motion is seen best; none of a search.

    Parameters
    ----------
    parts : sequence of Rows or None
        Such as those known so far, and new ones; at least one.
    most : int
        How many to keep.
    above : float
        Rows that see less, relative to the most seen motion, do not count, nor do flagged ones.
    """
    rows = _together(parts)
    seen = rows.seen_least
    fine = (seen > above) & (seen < 1 - ALL_OF_IT) & (rows.get("flagged", 0) != 1)
    rows = rows.take(fine & (rows.stage != "search"))
    return _first(rows, np.argsort(-rows.seen_least, kind="stable"), most)


def without(rows: Rows, others: Rows) -> Rows:
    """
    Rows that are not among others.

    Parameters
    ----------
    rows, others : Rows
        Of one stage.
    """
    return rows.take(~np.isin(rows.row, others.row))


def _together(parts: Sequence[Rows | None]) -> Rows:
    known = [_counted(part) for part in parts if part is not None]
    columns = {k: np.concatenate([p[k] for p in known]) for k in known[0].columns}
    return Rows(known[0].run, known[0].stage, np.concatenate([p.row for p in known]), columns)


def _counted(rows: Rows) -> Rows:
    """Rows that each count as many as they stand for."""
    if ALIKE in rows.columns:
        return rows
    one = np.ones(len(rows), dtype=np.int64)
    return Rows(rows.run, rows.stage, rows.row, {**rows.columns, ALIKE: one})


def _first(rows: Rows, order: NDArray[np.int64], most: int) -> Rows:
    """First rows in some order, of which each stands for those that are like it."""
    rows = rows.take(order)
    who = [rows.get(name, 0) for name in ("number", "point_group", "n_nulls", "symmetry_nulls")]
    sizes = [np.log(np.maximum(np.abs(v), ZERO)) for v in _sizes(rows)]
    left = np.ones(len(rows), dtype=bool)
    counts = rows[ALIKE].copy()
    kept: list[int] = []
    while len(kept) < most and left.any():
        k = int(np.argmax(left))
        like = left.copy()
        for values in who:
            like &= values == values[k]
        for values in sizes:
            like &= (np.abs(values - values[k]) <= SAME) | (np.isnan(values) & np.isnan(values[k]))
        counts[k] = np.sum(rows[ALIKE][like])
        left &= ~like
        kept.append(k)
    chosen = rows.take(np.array(kept, dtype=np.int64))
    chosen.columns[ALIKE] = counts[kept]
    return chosen


def _sizes(rows: Rows) -> tuple[NDArray[np.float64], ...]:
    """What is seen, of rows that are alike the same but for rounding."""
    if rows.stage == "search":  # starts, each of which leads somewhere
        return rows["ratio"], rows.distances
    return rows.seen_least, rows["s_max"]
