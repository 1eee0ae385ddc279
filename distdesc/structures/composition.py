"""Which elements the structures of a source have."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from distdesc.elements import SYMBOLS
from distdesc.errors import SourceError
from distdesc.structures.source import Progress, Source

BLOCK = 1024
"""Structures held in memory at a time."""


def elements_of(source: Source, progress: Progress | None = None) -> tuple[str, ...]:
    """
    Elements that occur in a source, the lightest first; the whole source is read.

    Structures that cannot be read do not count.

    Parameters
    ----------
    source : Source
        Where the structures are.
    progress : callable, optional
        Called with (structures read, total).

    Raises
    ------
    SourceError
        If the source cannot be opened, or has no atoms.
    """
    found = np.zeros(len(SYMBOLS), dtype=bool)
    with TemporaryDirectory() as scratch:
        index = source.scan(None, Path(scratch))
        for start in range(0, len(index), BLOCK):
            stop = min(start + BLOCK, len(index))
            numbers = np.unique(source.read(index, start, stop).numbers)
            found[numbers[(numbers > 0) & (numbers < len(SYMBOLS))]] = True
            if progress is not None:
                progress(stop, len(index))
    if not found.any():
        raise SourceError("there are no atoms in the source, or none of it can be read")
    return tuple(SYMBOLS[number] for number in np.flatnonzero(found))
