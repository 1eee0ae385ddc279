"""The table of what decoding found."""

from __future__ import annotations

from rich.console import Console

from distdesc.report.decoding import DecodingSummary, Successes
from distdesc.report.decoding_text import decoding_table


def successes(atoms, group, rows, seconds):
    return Successes(
        atoms, group, rows, *[rows] * 7, tells_elements=rows, species_ok=rows, wrong=0,
        median_error=7.6e-08, largest_error=1.5e-07, median_seconds=seconds,
        total_seconds=rows * seconds,
    )  # fmt: skip


def test_nothing_is_cut_off_in_a_terminal_of_80_columns():
    found = DecodingSummary(
        1016, "structure", successes(0, "", 3000, 10.1),
        (successes(5, "", 1234, 1.39), successes(12, "", 3, 0.0085)),
        (successes(0, "D*h", 1234, 20.1),), {"1e-08": 3000}, {"algebra": 3000},
    )  # fmt: skip
    console = Console(width=80)
    with console.capture() as text:
        console.print(decoding_table(found))
    assert "…" not in text.get()
    assert "e+" not in text.get()
    for time in ("1,390", "8.5", "20,100"):
        assert f" {time} " in text.get()
