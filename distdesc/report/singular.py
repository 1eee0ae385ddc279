"""What a run found out about singular points: a census, and both ends of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from distdesc.report.reader import Run
from distdesc.report.singular_ends import seen_best, seen_least, without
from distdesc.report.singular_records import NAMES, row_dicts, singular_rows
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

MOST = 10
"""Environments that are listed at either end."""

FLAG_RATIO = 1e-3
"""From which ratio on nothing is wrong with a row, unless the stage has another ``flag_ratio``."""


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
        Of a search: different singular points that were found, by kind. Where there are as many
        as starts, they are of families: not isolated, but the places that starts happen to reach.
    points_by_point_group : dict of str to dict of str to int
        Of a search: starts that led to a point of each point group, by kind.
    pairs : int
        Degenerate pairs that were found.
    blindest, most_sensitive : list of dict
        Rows whose least seen motion is seen least and most, relative to the most seen one, each
        for as many that are ``alike``; of a search, the starts with the nearest singular point.
        Which rows count is up to `seen_least` and `seen_best`; none is in both lists.
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
    points_by_point_group: dict[str, dict[str, int]]
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
    own: list[dict[str, Any]] = run.plan.campaign["stage"]
    settings = next(s for s in own if s["name"] == stage)
    least: Rows | None = None
    best: Rows | None = None
    for rows in blocks(run, stage, NAMES):
        counts.update(_counts(rows))
        keys = zip(rows.elements, rows["point_group"].astype("U8"), rows.kinds, strict=True)
        kinds.update((e, str(g), str(k)) for e, g, k in keys)
        least = seen_least([least, rows], most)
        # as many more as may be among the others
        best = seen_best([best, rows], 2 * most, settings.get("flag_ratio", FLAG_RATIO))
    if least is not None and best is not None:
        best = without(best, least).take(slice(most))
    order = (*kind_names(run), NOT_TOLD)
    found, groups = _points(run, order) if stage == "search" else ({}, {})
    return SingularSummary(
        stage=stage,
        map=str(settings.get("map", "env")),
        row_kind=(RowKind.ENVIRONMENT.value if stage == "search"
                  else run.plan.layout(stage).row_kind),
        **{k: counts[k] for k in ("rows", "alone", "flagged", "beyond_symmetry", "pairs")},
        kinds=_by(kinds, None, order).get("", {}),
        by_element={k: v for k, v in _by(kinds, 0, order).items() if k},
        by_point_group=_by(kinds, 1, order),
        points=found,
        points_by_point_group=groups,
        blindest=_listed(least),
        most_sensitive=_listed(best),
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


def _points(run: Run, order: tuple[str, ...]) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """Different singular points among those that a search found, and all by point group."""
    names = ("kind", "distance", "point_fingerprint", "point_group_there")
    rows = all_rows(run, "search", names)
    found = rows.take(np.isfinite(rows["distance"]))
    first = distinct(found["point_fingerprint"]) == np.arange(len(found))
    different = Counter(found.take(first).kinds.tolist())
    groups = found["point_group_there"].astype("U8")
    kinds = Counter(("", str(g), str(k)) for g, k in zip(groups, found.kinds, strict=True))
    return {kind: different[kind] for kind in order if different[kind]}, _by(kinds, 1, order)


def _listed(rows: Rows | None) -> list[dict[str, Any]]:
    return [] if rows is None else list(row_dicts(rows))


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
