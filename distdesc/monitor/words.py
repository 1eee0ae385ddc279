"""Numbers as people say them."""

from __future__ import annotations

from distdesc.monitor.facts import TimeLeft

UNITS = (
    ("min", 60, "s", 1, 3600.0),
    ("h", 3600, "min", 60, 48 * 3600.0),
    ("d", 86400, "h", 3600, float("inf")),
)
"""Unit, its seconds, the next smaller unit, its seconds, and until when the two are used."""


def duration(seconds: float) -> str:
    """
    A time in words, of two units at most.

    Parameters
    ----------
    seconds : float
        In s.
    """
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    unit, length, small, part, _ = next(u for u in UNITS if round(seconds / u[3]) * u[3] < u[4])
    big, rest = divmod(round(seconds / part) * part, length)
    return f"{big} {unit} {rest // part} {small}" if rest else f"{big} {unit}"


def time_left_words(left: TimeLeft | None) -> str:
    """
    Time left, with its bounds.

    Parameters
    ----------
    left : TimeLeft or None
        What is expected.
    """
    if left is None:
        return "not known yet"
    text = f"{duration(left.seconds)} (between {duration(left.low)} and {duration(left.high)})"
    return f"{text}, without {', '.join(left.without)}" if left.without else text


def per_second(value: float) -> str:
    """
    A rate, to three digits.

    Parameters
    ----------
    value : float
        Per second.
    """
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
