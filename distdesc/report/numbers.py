"""How numbers are told, to people and to machines."""

from __future__ import annotations

from typing import Any

import numpy as np


def finite(value: Any) -> float | None:
    """
    Return a number as JSON can have it: None if it is not finite.

    Parameters
    ----------
    value : number
        Perhaps NaN or infinite.
    """
    return float(value) if np.isfinite(value) else None


def so_many(n: int, of: int, digits: int = 4) -> str:
    """
    Return a count of a total, with the per cent.

    Parameters
    ----------
    n, of : int
        The count and the total.
    digits : int
        Of the per cent.
    """
    return f"{n:,} of {of:,} ({100 * n / max(1, of):.{digits}g} %)"


def counted(number: int, thing: str) -> str:
    """
    Return so many of a thing: one shard, two shards.

    Parameters
    ----------
    number : int
        How many.
    thing : str
        What one of them is called.
    """
    return f"{number:,} {thing}{'s' if number != 1 else ''}"
