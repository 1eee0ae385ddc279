"""Tables of what a run found out about singular points, and about truncations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from distdesc.report.numbers import so_many
from distdesc.report.sensitivity import Line, SensitivitySummary
from distdesc.report.singular import SingularSummary
from distdesc.report.text import facts_table

GROUPS = 12
"""Point groups that are shown, the most frequent."""

TITLES = {
    "env": "environments by kind",
    "sum": "structures by kind, seen by the fingerprint summed over their atoms",
    "stack": "structures by kind, seen by the fingerprints of all their atoms",
}

LEAST = {
    "singular": "seen least, unless the cutoff or a more symmetric place nearby explains it",
    "search": "nearest to a singular point that is not one by symmetry",
}
"""What is listed first, by stage."""

TIMES = "∞"
"""For the star of linear groups."""


def singular_table(found: SingularSummary) -> Group:
    """
    Tables of the census by element and symmetry, and of both ends.

    Parameters
    ----------
    found : SingularSummary
        The numbers.
    """
    title = TITLES[found.map]
    if found.stage == "search":
        title = "starts by the kind of the singular point found"
    parts: list[RenderableType] = []
    columns = list(found.kinds)
    if found.by_element:
        census = _census("centre", found.by_element, found.kinds, columns)
        parts += [_title(title), census]
        title = "by point group"
    shown = dict(list(found.by_point_group.items())[:GROUPS])
    what = "group of start" if found.stage == "search" else "group"
    parts += [_title(title), _census(what, shown, found.kinds, columns, group=True)]
    if found.points_by_point_group:
        led = _led(found)
        points = dict(list(found.points_by_point_group.items())[:GROUPS])
        parts.append(_title("singular points by their point group"))
        parts.append(_census("group", points, led, list(led), group=True))
    facts = facts_table("")
    for name, value in _facts(found):
        facts.add_row(name, Text(value))
    parts.append(facts)
    parts += _ends(LEAST[found.stage], found.blindest)
    parts += _ends("seen best", found.most_sensitive)
    return Group(*parts)


def _title(text: str) -> Text:
    """Line above a table; that of the table itself would be broken at its width."""
    return Text(text, style="italic")


def _census(
    what: str,
    lines: Mapping[str, Mapping[str, int]],
    total: Mapping[str, int],
    columns: Sequence[str],
    group: bool = False,
) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in (what, "rows", *columns):
        table.add_column(name, justify="right")
    for name, kinds in lines.items():
        table.add_row(_group(name) if group else name, *_cells(kinds, columns))
    table.add_section()
    table.add_row("all", *_cells(total, columns), style="bold")
    return table


def _group(name: str) -> str:
    """Schoenflies symbol as people write it."""
    return name.replace("*", TIMES)


def _cells(kinds: Mapping[str, int], columns: Sequence[str]) -> list[str]:
    numbers = (kinds.get(kind, 0) for kind in columns)
    return [f"{sum(kinds.values()):,}", *(f"{n:,}" if n else "·" for n in numbers)]


def _facts(found: SingularSummary) -> list[tuple[str, str]]:
    if found.stage == "search":
        facts = [("different points", _points(found))]
    else:
        facts = [("nulls beyond symmetry", so_many(found.beyond_symmetry, found.rows, 3)),
                 ("flagged", so_many(found.flagged, found.rows, 3))]  # fmt: skip
        if found.alone:
            facts.append(("nothing to see", f"{found.alone:,}: no motion but trivial ones"))
    if found.pairs:
        what = "environments" if found.map == "env" else "structures"
        facts.append(("degenerate pairs",
                      f"{found.pairs:,}: two different {what} with one fingerprint"))  # fmt: skip
    return facts


def _points(found: SingularSummary) -> str:
    """How many of the points of a search are different, of each kind, and what that means."""
    led = _led(found)
    words = ", ".join(f"{n:,} of {led[kind]:,} {kind}" for kind, n in found.points.items())
    if 2 * sum(found.points.values()) > sum(led.values()) > 1:  # isolated ones come again and again
        words += "; they form families, of which starts reach different places"
    return words or "none"


def _led(found: SingularSummary) -> Counter[str]:
    """Starts that led to a singular point, by its kind."""
    led = Counter[str]()
    for kinds in found.points_by_point_group.values():
        led.update(kinds)
    return led


def _ends(title: str, rows: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    """Table of the rows at one end, if there are any."""
    if not rows:
        return []
    atoms = any(row["atom"] is not None for row in rows)
    far = any(_distance(row) for row in rows)
    nulls = "nulls" in rows[0]
    table = Table(box=None, padding=(0, 1, 0, 0))
    names = ["structure", *(["atom", "centre"] if atoms else []), "group"]
    names += [*(["nulls", "sym."] if nulls else []), "least/most"]
    for name in [*names, *(["away, Å"] if far else [])]:
        table.add_column(name, justify="right")
    table.add_column("kind", no_wrap=True)
    many = any(row["alike"] > 1 for row in rows)
    if many:
        table.add_column("alike", justify="right")
    for row in rows:
        who = [str(row["atom"]), row["element"]] if atoms else []
        cells = [f"{row['structure']:,}", *who, _group(row["point_group"])]
        cells += [str(row["nulls"]), str(row["symmetry_nulls"])] if nulls else []
        cells += [_number(row["seen_least"]), *([_distance(row)] if far else [])]
        cells += [row["kind"] or "flagged", *([f"{row['alike']:,}"] if many else [])]
        table.add_row(*cells)
    return [_title(title), table]


def _distance(row: Mapping[str, Any]) -> str:
    """Distance of the singular point that was found, or the estimate, which is marked."""
    if row.get("distance_angstrom") is not None:
        return f"{row['distance_angstrom']:.4f}"
    return "" if row["d_est_angstrom"] is None else f"≈ {row['d_est_angstrom']:.4f}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return "0" if value < 1e-12 else f"{value:.2e}"


def sensitivity_table(found: SensitivitySummary) -> Group:
    """
    Table of a scan by configuration, and which values are enough.

    Parameters
    ----------
    found : SensitivitySummary
        The numbers.
    """
    title = f"least seen motion to most seen, in {found.rows:,} environments"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    for name in ("descriptor", "features", "smallest", "1 %", "10 %", "median", "extra nulls"):
        table.add_column(name, justify="left" if name == "descriptor" else "right")
    for line in found.configurations:
        table.add_row(*_line(line), style="bold" if not line.changes else "")
    facts = facts_table("")
    for verdict in found.verdicts:
        facts.add_row(verdict.key, Text(verdict.words))
    return Group(table, facts)


def _line(line: Line) -> list[str]:
    rows = f"{line.rows_with_extra_nulls:,}" if line.rows_with_extra_nulls else "·"
    return [line.label, f"{line.n_features:,}", *map(_number, line.quantiles.values()), rows]
