"""Tables of what a decoding run found."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from distdesc.report.decoding import DecodingSummary, Successes
from distdesc.report.numbers import so_many
from distdesc.report.text import facts_table

GROUPS = 20
"""Point groups that are shown, the most frequent."""


def decoding_table(found: DecodingSummary) -> Group:
    """
    Tables of successes by the number of atoms and by symmetry, and of the errors.

    Parameters
    ----------
    found : DecodingSummary
        The numbers.
    """
    title = f"decoded {found.row_kind}s, from {found.n_features:,} numbers each"
    by_size = _table(title, "atoms", found.total)
    for line in found.by_size:
        by_size.add_row(str(line.atoms), *_cells(line, found.total))
    by_size.add_section()
    by_size.add_row("all", *_cells(found.total, found.total), style="bold")
    parts: list[Table] = [by_size]
    if found.by_point_group:
        parts.append(_table("by point group", "group", found.total))
        for line in found.by_point_group[:GROUPS]:
            parts[-1].add_row(line.point_group.replace("*", "∞"), *_cells(line, found.total))
    facts = facts_table("")
    for name, value in _facts(found):
        facts.add_row(name, Text(value))
    return Group(*parts, facts)


def _table(title: str, what: str, total: Successes) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    columns = [what, "rows", "exact", "approx.", "ambig.", "failed"]
    columns += ["places"] * (total.known > 0) + ["species"] * (total.tells_elements > 0)
    columns += ["error, Å", "largest"] * (total.known > 0)
    for name in [*columns, "ms"]:
        table.add_column(name, justify="right")
    return table


def _cells(line: Successes, total: Successes) -> list[str]:
    verdicts = (line.exact, line.approximate, line.ambiguous, line.failed)
    cells = [f"{line.rows:,}", *(f"{n:,}" if n else "·" for n in verdicts)]
    if total.known:
        cells.append(f"{line.positions_ok:,}")
    if total.tells_elements:
        cells.append(f"{line.species_ok:,}")
    if total.known:
        cells += [_length(line.median_error), _length(line.largest_error)]
    return [*cells, _milliseconds(line.median_seconds)]


def _facts(found: DecodingSummary) -> list[tuple[str, str]]:
    total, facts = found.total, []
    if total.known:
        facts.append(("positions within 0.01 Å", so_many(total.positions_ok, total.known)))
        if total.tells_elements:
            facts.append(("and species right", so_many(total.species_ok, total.tells_elements)))
        facts.append(("called exact, but wrong", str(total.wrong) if total.wrong else "none"))
    facts.append(("fingerprint to 1e-6", so_many(total.reproduced, total.rows)))
    if found.errors:
        parts = [f"{n:,} from {decade}" for decade, n in found.errors.items()]
        facts.append(("largest error, Å", ", ".join(parts)))
    facts.append(("road", "; ".join(f"{n:,} {road}" for road, n in found.roads.items())))
    return [*facts, ("decoding", f"{total.total_seconds:.1f} s on one core")]


def _milliseconds(seconds: float) -> str:
    # never with an exponent, for which 80 columns have no room
    return f"{1e3 * seconds:.3g}" if seconds < 0.1 else f"{1e3 * seconds:,.0f}"


def _length(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"
