"""What a run found out about singular points: a census, the extremes, and row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.report.reader import Run
from distdesc.report.singular_rows import (
    NOT_TOLD,
    Rows,
    all_rows,
    blocks,
    kind_names,
    stage_of,
)
from distdesc.schema import RowKind
from distdesc.singular.search import distinct

NAMES = (
    "s_min", "s_max", "ratio", "n_nulls", "symmetry_nulls", "point_group", "s_min_symmetric",
    "kind", "flagged", "number", "d_est", "distance", "point_group_there", "reason",
    "pair_residual", "pair_misfit",
)  # fmt: skip
"""Columns that are read, of those that the stage has."""

MOST = 10
"""Environments that are listed at either end."""

ALL_OF_IT = 1e-9
"""A row whose least seen motion is nearly its most seen one has only one to see."""

AS_IT_SHOULD_BE = ("cutoff", "symmetry")
"""
Kinds that are not listed among the blindest: neighbours about to fade are to be seen little, and
so are motions that break a symmetry, or nearly.
"""


@dataclass(frozen=True)
class SingularSummary:
    """
    What a run found out so far.

    Parameters
    ----------
    stage : str
        ``"singular"`` or ``"search"``.
    map : str
        Whose features: ``"env"``, ``"sum"`` or ``"stack"``.
    row_kind : str
        What a row is.
    rows : int
        Rows that were looked at.
    alone : int
        Of them, those with nothing to see: no neighbours, or no motion that is not trivial.
    flagged : int
        Those that deserve a close look.
    beyond_symmetry : int
        Those with more nulls than their symmetry demands.
    kinds : dict of str to int
        Rows by kind; those that were flagged and not followed are ``"flagged"``.
    by_element : dict of str to dict of str to int
        The same for each element of the centre; empty of whole structures.
    by_point_group : dict of str to dict of str to int
        The same for each point group.
    points : dict of str to int
        Of a search: different singular points that were found, by kind.
    pairs : int
        Degenerate pairs that were found.
    blindest, most_sensitive : list of dict
        Rows whose least seen motion is seen least and most, relative to the most seen one; of a
        search, those with the nearest singular point. Blind by symmetry or near the cutoff does
        not count.
    """

    stage: str
    map: str
    row_kind: str
    rows: int
    alone: int
    flagged: int
    beyond_symmetry: int
    kinds: dict[str, int]
    by_element: dict[str, dict[str, int]]
    by_point_group: dict[str, dict[str, int]]
    points: dict[str, int]
    pairs: int
    blindest: list[dict[str, Any]]
    most_sensitive: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible form."""
        return asdict(self)


def summarise_singular(run: Run, most: int = MOST) -> SingularSummary | None:
    """
    Census of a run by kind, element and point group, in one pass, a block at a time.

    Parameters
    ----------
    run : Run
        Finished or not.
    most : int
        Environments to list at either end.

    Returns
    -------
    SingularSummary or None
        None if nothing was looked at by the stage ``singular`` or ``search``.
    """
    stage = stage_of(run)
    if stage is None:
        return None
    counts: Counter[str] = Counter()
    kinds: Counter[tuple[str, str, str]] = Counter()
    ends: dict[bool, Rows | None] = {False: None, True: None}
    for rows in blocks(run, stage, NAMES):
        counts.update(_counts(rows))
        keys = zip(rows.elements, rows["point_group"].astype("U8"), rows.kinds, strict=True)
        kinds.update((e, str(g), str(k)) for e, g, k in keys)
        for high in ends:
            ends[high] = _extremes([ends[high], rows], most, high)
    own: list[dict[str, Any]] = run.plan.campaign["stage"]
    settings = next(s for s in own if s["name"] == stage)
    order = (*kind_names(run), NOT_TOLD)
    return SingularSummary(
        stage=stage,
        map=str(settings.get("map", "env")),
        row_kind=(RowKind.ENVIRONMENT.value if stage == "search"
                  else run.plan.layout(stage).row_kind),
        **{k: counts[k] for k in ("rows", "alone", "flagged", "beyond_symmetry", "pairs")},
        kinds=_by(kinds, None, order).get("", {}),
        by_element={k: v for k, v in _by(kinds, 0, order).items() if k},
        by_point_group=_by(kinds, 1, order),
        points=_points(run, order) if stage == "search" else {},
        blindest=_listed(ends[False]),
        most_sensitive=_listed(ends[True]),
    )  # fmt: skip


def _counts(rows: Rows) -> dict[str, int]:
    known = rows.get("n_nulls", 0), rows.get("symmetry_nulls", 0)
    return {
        "rows": len(rows),
        # by symmetry, none of many motions may be seen: their ratio is not a number either
        "alone": int(np.sum(np.isnan(rows.get("s_max", rows["ratio"])))),
        "flagged": int(np.sum(rows.get("flagged", 0) == 1)),
        "beyond_symmetry": int(np.sum(known[0] > known[1])),
        "pairs": int(np.sum(np.isfinite(rows.get("pair_residual", np.nan)))),
    }


def _by(
    kinds: Counter[tuple[str, str, str]], place: int | None, order: tuple[str, ...]
) -> dict[str, dict[str, int]]:
    """Rows by kind, for each value of one part of the key; the most frequent first."""
    totals: Counter[str] = Counter()
    cells: Counter[tuple[str, str]] = Counter()
    for key, n in kinds.items():
        name = "" if place is None else key[place]
        totals[name] += n
        cells[name, key[2]] += n
    return {
        name: {kind: cells[name, kind] for kind in order if cells[name, kind]}
        for name, _ in sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    }


def _points(run: Run, order: tuple[str, ...]) -> dict[str, int]:
    """Different singular points among those that a search found."""
    rows = all_rows(run, "search", ("kind", "distance", "point_fingerprint"))
    found = rows.take(np.isfinite(rows["distance"]))
    first = distinct(found["point_fingerprint"]) == np.arange(len(found))
    names = Counter(found.take(first).kinds.tolist())
    return {kind: names[kind] for kind in order if names[kind]}


def _extremes(parts: list[Rows | None], most: int, high: bool) -> Rows:
    """Rows at one end among some that are kept and new ones."""
    known = [part for part in parts if part is not None]
    columns = {k: np.concatenate([p[k] for p in known]) for k in known[0].columns}
    rows = Rows(known[0].run, known[0].stage, np.concatenate([p.row for p in known]), columns)
    seen = rows.seen_least
    if high:
        rows = rows.take((seen < 1 - ALL_OF_IT) & (rows.stage != "search"))
        return rows.take(np.argsort(-rows.seen_least, kind="stable")[:most])
    rows = rows.take((seen < 1 - ALL_OF_IT) & ~np.isin(rows.kinds, AS_IT_SHOULD_BE))
    if rows.stage == "search":
        return rows.take(np.argsort(rows.distances, kind="stable")[:most])
    # zeros differ by rounding only: of these, the row comes first
    return rows.take(np.lexsort((rows.row, np.maximum(rows.seen_least, 1e-12)))[:most])


def _listed(rows: Rows | None) -> list[dict[str, Any]]:
    return [] if rows is None else list(row_dicts(rows))


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
            "seen_least": _finite(seen[k]),
            "d_est_angstrom": _number(rows, "d_est", k),
            **(_found(rows, k) if found else {}),
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


def singular_json(run: Run) -> dict[str, Any]:
    """
    All that is known of a run, JSON-compatible.

    Parameters
    ----------
    run : Run
        With the stage ``singular`` or ``search``.
    """
    summary = summarise_singular(run)
    return {
        **({} if summary is None else summary.to_dict()),
        "results": list(singular_rows(run)),
        "quarantined": [
            {"structure": k, "reason": v} for k, v in sorted(run.quarantined().items())
        ],
    }


def _number(rows: Rows, name: str, k: int) -> float | None:
    values: NDArray[Any] | None = rows.columns.get(name)
    return None if values is None else _finite(values[k])


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
