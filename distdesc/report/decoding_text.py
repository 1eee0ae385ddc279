"""Tables of what a decoding run found."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from distdesc.report.decoding import DecodingSummary, Successes
from distdesc.report.text import facts_table


def decoding_table(found: DecodingSummary) -> Group:
    """
    Table of successes by the number of atoms, and of the errors.

    Parameters
    ----------
    found : DecodingSummary
        The numbers.
    """
    known = found.total.known > 0
    table = Table(
        title=f"decoded {found.row_kind}s, from {found.n_features:,} numbers each",
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
    )
    columns = ["atoms", "rows", "exact", "approx.", "ambig.", "failed"]
    columns += ["positions", "species", "error, Å", "largest"] if known else []
    for name in [*columns, "ms"]:
        table.add_column(name, justify="right")
    for line in found.by_size:
        table.add_row(*_cells(line, known))
    table.add_section()
    table.add_row(*_cells(found.total, known), style="bold")
    facts = facts_table("")
    for name, value in _facts(found, known):
        facts.add_row(name, value)
    return Group(table, facts)


def _cells(line: Successes, known: bool) -> list[str]:
    verdicts = (line.exact, line.approximate, line.ambiguous, line.failed)
    cells = [str(line.atoms or "all"), f"{line.rows:,}"]
    cells += [f"{n:,}" if n else "·" for n in verdicts]
    if known:
        cells += [f"{line.positions_ok:,}", f"{line.species_ok:,}"]
        cells += [_length(line.median_error), _length(line.largest_error)]
    return [*cells, f"{1e3 * line.median_seconds:.3g}"]


def _facts(found: DecodingSummary, known: bool) -> list[tuple[str, str]]:
    total = found.total
    rate = 100 / max(1, total.known)
    facts = []
    if known:
        facts += [
            ("positions within 0.01 Å", _share(total.positions_ok, total.known, rate)),
            ("and species right", _share(total.species_ok, total.known, rate)),
            ("called exact, but wrong", str(total.wrong) if total.wrong else "none"),
        ]
    share = 100 / max(1, total.rows)
    facts.append(("fingerprint to 1e-6", _share(total.reproduced, total.rows, share)))
    if found.errors:
        parts = [f"{decade} {n:,}" for decade, n in found.errors.items()]
        facts.append(("largest error, Å", ", ".join(parts)))
    facts.append(("road", ", ".join(f"{n:,} {road}" for road, n in found.roads.items())))
    facts.append(("decoding", f"{total.total_seconds:.1f} s on one core"))
    return [(name, Text(value).plain) for name, value in facts]


def _share(n: int, of: int, rate: float) -> str:
    return f"{n:,} of {of:,} ({n * rate:.4g} %)"


def _length(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"
