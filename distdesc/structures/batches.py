"""Builds a batch of structures one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.errors import SourceError
from distdesc.structures.index import SourceIndex
from distdesc.structures.source import Structure, Structures


def check_range(index: SourceIndex, start: int, stop: int) -> None:
    """
    Refuse a range that is not within a source.

    Parameters
    ----------
    index : SourceIndex
        Of the source.
    start, stop : int
        Half-open range of structures.

    Raises
    ------
    SourceError
        If it is not within the source.
    """
    if not 0 <= start <= stop <= len(index):
        raise SourceError(
            f"structures {start} to {stop} are not within the source, which has {len(index)}"
        )


def joined(batches: Sequence[Structures]) -> Structures:
    """
    One batch of several, in their order.

    Parameters
    ----------
    batches : sequence of Structures
        At least one; all with records, or none.
    """
    problems: dict[int, str] = {}
    records: list[Structure | None] = []
    counts = [np.diff(b.offsets) for b in batches]
    before = 0
    for batch in batches:
        problems.update({before + k: reason for k, reason in batch.problems.items()})
        records.extend(batch.records or ())
        before += len(batch)
    return Structures(
        np.concatenate([b.indices for b in batches]),
        np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64),
        np.concatenate([b.numbers for b in batches]),
        np.concatenate([b.positions for b in batches]),
        np.concatenate([b.cells for b in batches]),
        np.concatenate([b.pbc for b in batches]),
        problems,
        records if batches[0].records is not None else None,
    )


class BatchBuilder:
    """
    Collects the structures ``start`` to ``stop`` of a source, in order.

    Parameters
    ----------
    index : SourceIndex
        Of the source; what is added must have the atoms that it says.
    start, stop : int
        Half-open range of structures.
    records : bool
        Whether records are collected too.

    Raises
    ------
    SourceError
        If the range is not within the source.
    """

    def __init__(self, index: SourceIndex, start: int, stop: int, records: bool) -> None:
        check_range(index, start, stop)
        self.start, self.stop = start, stop
        self.counts: list[int] = index.atom_counts[start:stop].tolist()
        self.problems: dict[int, str] = {}
        self._known = index.problems
        self._numbers: list[Any] = []
        self._positions: list[NDArray[np.float64]] = []
        self._cells = np.zeros((stop - start, 3, 3))
        self._pbc = np.zeros((stop - start, 3), dtype=bool)
        self._records: list[Structure | None] | None = [] if records else None

    @property
    def wants_records(self) -> bool:
        """Whether records are collected."""
        return self._records is not None

    def skip_known(self, structure: int) -> bool:
        """
        Add a structure that the scan found unreadable as a problem; say whether it was one.

        Parameters
        ----------
        structure : int
            Position in the source; the next one to be added.
        """
        if structure not in self._known:
            return False
        self.add_problem(self._known[structure])
        return True

    def add(
        self,
        numbers: NDArray[Any] | list[int],
        positions: NDArray[np.float64],
        cell: NDArray[np.float64],
        pbc: Any,
    ) -> None:
        """
        Add the geometry of the next structure; for a batch without records.

        Parameters
        ----------
        numbers : array_like, shape (n_atoms,)
            Atomic numbers.
        positions : ndarray, shape (n_atoms, 3)
            In Å.
        cell : ndarray, shape (3, 3)
            Lattice vectors as rows, in Å.
        pbc : array_like
            Three booleans, or one for all.

        Raises
        ------
        SourceError
            If the number of atoms is not that of the index.
        """
        k = len(self._numbers)
        if len(numbers) != self.counts[k] or len(positions) != self.counts[k]:
            raise SourceError(
                f"structure {self.start + k} has {len(numbers)} atoms and had {self.counts[k]} "
                f"when the source was indexed: it has changed since"
            )
        self._numbers.append(numbers)
        self._positions.append(positions)
        self._cells[k] = cell
        self._pbc[k] = pbc

    def add_record(self, record: Structure) -> None:
        """
        Add the next structure; its record is kept if records are collected.

        Parameters
        ----------
        record : Structure
            With as much data as is known.
        """
        self.add(record.numbers, record.positions, record.cell, record.pbc)
        if self._records is not None:
            self._records.append(record)

    def add_problem(self, reason: str) -> None:
        """
        Add the next structure as one that cannot be read.

        Parameters
        ----------
        reason : str
            Why.
        """
        k = len(self._numbers)
        self.problems[k] = reason
        self._numbers.append(np.zeros(self.counts[k], dtype=np.int32))
        self._positions.append(np.full((self.counts[k], 3), np.nan))
        if self._records is not None:
            self._records.append(None)

    def finish(self) -> Structures:
        """All structures as one batch."""
        offsets = np.zeros(len(self.counts) + 1, dtype=np.int64)
        np.cumsum(self.counts, out=offsets[1:])
        numbers = np.empty(offsets[-1], dtype=np.int32)
        positions = np.empty((offsets[-1], 3))
        if len(self.counts):
            numbers[:] = np.concatenate(self._numbers)
            np.concatenate(self._positions, out=positions)
        return Structures(
            np.arange(self.start, self.stop, dtype=np.int64),
            offsets,
            numbers,
            positions,
            self._cells,
            self._pbc,
            self.problems,
            self._records,
        )
