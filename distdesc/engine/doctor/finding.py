"""What a doctor says: a check, how it came out, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

OK, WARNING, FAULT = "ok", "warning", "fault"
"""How a check comes out: as it should be; works, but look at it; does not work, or not right."""


@dataclass(frozen=True)
class Finding:
    """
    How one check came out.

    Parameters
    ----------
    check : str
        What was looked at, in a word or two.
    state : str
        ``ok``, ``warning`` or ``fault``.
    said : str
        What was found, with names and numbers.
    advice : str
        What to do; empty if nothing is to be done.
    """

    check: str
    state: str
    said: str
    advice: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible form."""
        return asdict(self)


def some(names: list[str], most: int = 4) -> str:
    """
    Some of many names, and how many more there are.

    Parameters
    ----------
    names : list of str
        The names.
    most : int
        To spell out.
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
