"""Rows of a run that looks for singular points, one by one: all that is known of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from distdesc.report.numbers import finite
from distdesc.report.reader import Run
from distdesc.report.singular_ends import ALIKE
from distdesc.report.singular_rows import NOT_TOLD, Rows, blocks, stage_of

NAMES = (
    "s_min", "s_max", "ratio", "n_nulls", "symmetry_nulls", "point_group", "s_min_symmetric",
    "kind", "flagged", "number", "d_est", "distance", "point_group_there", "reason",
    "pair_residual", "pair_misfit",
)  # fmt: skip
"""Columns that are read, of those that the stage has."""


def row_dicts(rows: Rows) -> Iterator[dict[str, Any]]:
    """
    What is known of each row, JSON-compatible.

    Parameters
    ----------
    rows : Rows
        Some of a run.

    Yields
    ------
    dict
        Of one row; null where something is not known, or was not asked for.
    """
    structures, atoms = rows.places()
    kinds, seen, elements = rows.kinds, rows.seen_least, rows.elements
    found = "distance" in rows.columns
    for k in range(len(rows)):
        yield {
            "structure": int(structures[k]),
            "atom": None if atoms is None else int(atoms[k]),
            "element": elements[k] or None,
            "point_group": str(rows["point_group"][k]),
            **_nulls(rows, k),
            "kind": None if kinds[k] == NOT_TOLD else str(kinds[k]),
            "seen_least": finite(seen[k]),
            "d_est_angstrom": _number(rows, "d_est", k),
            **(_found(rows, k) if found else {}),
            **({ALIKE: int(rows[ALIKE][k])} if ALIKE in rows.columns else {}),
        }


def _nulls(rows: Rows, k: int) -> dict[str, Any]:
    if rows.stage == "search":
        return {}
    return {
        "nulls": int(rows["n_nulls"][k]),
        "symmetry_nulls": int(rows["symmetry_nulls"][k]),
        **{name: _number(rows, name, k) for name in ("s_min", "s_max", "s_min_symmetric")},
        "flagged": bool(rows["flagged"][k] == 1),
    }


def _found(rows: Rows, k: int) -> dict[str, Any]:
    """What a close look has told."""
    return {
        "distance_angstrom": _number(rows, "distance", k),
        "point_group_there": str(rows["point_group_there"][k]) or None,
        "pair_misfit_angstrom": _number(rows, "pair_misfit", k),
        "reason": str(rows["reason"][k]) or None,
    }


def singular_rows(run: Run) -> Iterator[dict[str, Any]]:
    """
    What is known of each row of a run; see `row_dicts`.

    Parameters
    ----------
    run : Run
        With the stage ``singular`` or ``search``.
    """
    stage = stage_of(run)
    for rows in blocks(run, stage, NAMES) if stage else ():
        yield from row_dicts(rows)


def _number(rows: Rows, name: str, k: int) -> float | None:
    values: NDArray[Any] | None = rows.columns.get(name)
    return None if values is None else finite(values[k])
