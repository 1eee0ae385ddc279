"""Which file of a source a structure is in, and which files were refused."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distdesc.structures.files import is_compressed
from distdesc.structures.index import SourceIndex

_COPY = re.compile(r"^\d{6}-")
"""How the names of unpacked copies begin."""

REFUSED = "file refused"
"""How the problem of a structure begins that stands for a file without any structure."""


@dataclass(frozen=True)
class FileCounts:
    """
    How many files of a source gave structures.

    Parameters
    ----------
    total : int
        Files.
    whole : int
        Files of which every structure can be used.
    partly : int
        Files with structures that were set aside, and others that were not.
    none : int
        Files whose structures can be read, and were all set aside.
    refused : int
        Files that cannot be read at all.
    """

    total: int
    whole: int
    partly: int
    none: int
    refused: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible form."""
        return asdict(self)


class Places:
    """
    Files of a source, by structure.

    Parameters
    ----------
    index : SourceIndex
        Of a source whose locators begin with the number of a file.
    """

    def __init__(self, index: SourceIndex) -> None:
        self._index = index
        self._names = [f.path for f in index.files]
        packed = [Path(f.path) for f in index.files if is_compressed(Path(f.path))]
        for number, name in enumerate(self._names):
            # A copy that was unpacked is called as what it is a copy of; they come in order.
            place = next((k for k, file in enumerate(packed) if _is_copy(Path(name), file)), None)
            if place is not None:
                self._names[number] = str(packed[place])
                del packed[: place + 1]
        last = self._number(len(index) - 1)
        self._total = len(set(self._names[: last + 1]))

    @classmethod
    def of(cls, index: SourceIndex) -> Places | None:
        """
        Places of a source; None if its locators are something else.

        Parameters
        ----------
        index : SourceIndex
            Of any source.
        """
        known = index.files and len(index) and index.locators.shape[1] > 1
        return cls(index) if known else None

    def find(self, structure: int) -> tuple[str, int]:
        """
        File of a structure, and its position among the structures of that file.

        Parameters
        ----------
        structure : int
            Position in the source.
        """
        number = self._number(structure)
        return self._names[number], structure - self._first(number)

    def count(self, quarantined: Iterable[int]) -> FileCounts:
        """
        Files by what became of their structures.

        Parameters
        ----------
        quarantined : iterable of int
            Structures that were set aside.
        """
        refused = {k for k, why in self._index.problems.items() if why.startswith(REFUSED)}
        aside = Counter(self._number(k) for k in refused.union(quarantined))
        entire = sum(self._first(f + 1) - self._first(f) == n for f, n in aside.items())
        return FileCounts(
            total=self._total,
            whole=self._total - len(aside),
            partly=len(aside) - entire,
            none=entire - len(refused),
            refused=len(refused),
        )

    def _number(self, structure: int) -> int:
        return int(self._index.locators[structure, 0])

    def _first(self, number: int) -> int:
        """First structure of a file; found by bisection, as there may be very many."""
        return bisect_left(self._index.locators, number, key=lambda place: place[0])


def _is_copy(file: Path, packed: Path) -> bool:
    start = _COPY.match(file.name)
    return bool(start and file.name[start.end() :] == packed.stem and file.parent != packed.parent)
