"""Structures from a store that ``distdesc ingest`` wrote."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.errors import SourceError, StoreError
from distdesc.place import place
from distdesc.store.receipts import content_digest, iter_receipts
from distdesc.store.rows import RowReader
from distdesc.store.storage import stamp
from distdesc.store.written import plan_path, read_plan
from distdesc.structures.batches import check_range
from distdesc.structures.files import check_store_path
from distdesc.structures.index import FileStamp, SourceIndex
from distdesc.structures.pack import PER_ATOM, from_column, load_extra, put_together
from distdesc.structures.source import Progress, Structure, Structures

STAGE = "ingest"


@dataclass(frozen=True)
class StructureStore:
    """
    Structures from a store that ``distdesc ingest`` wrote: the fastest source.

    Parameters
    ----------
    path : str
        The store: a folder, or ``s3://bucket/name.zarr``.
    """

    path: str

    def __post_init__(self) -> None:
        check_store_path(self.path)

    @property
    def seekable(self) -> bool:
        """See `Source.seekable`."""
        return True

    def scan(self, progress: Progress | None = None, scratch: Path | None = None) -> SourceIndex:
        """
        See `Source.scan`; reads two columns and the receipts, no structure.

        Parameters
        ----------
        progress : callable, optional
            Called once, with all structures done.
        scratch : pathlib.Path, optional
            Not needed.

        Raises
        ------
        SourceError
            If there is no store, or its ingest is not finished.
        """
        path = place(self.path)
        try:
            digest = content_digest(path, STAGE)
            reader = RowReader(path)
            n = reader.length("n_atoms")
            counts = reader.read("n_atoms", 0, n).astype(np.int32)
            first = reader.read("first_atom", 0, n)
        except StoreError as error:
            raise SourceError(f"source {self.path}: {error}") from error
        problems = {k: why for r in iter_receipts(path, STAGE) for k, why in r.quarantined}
        if progress is not None:
            progress(n, n)
        stamp = FileStamp.of(plan_path(path))
        return SourceIndex(counts, first[:, None], digest, (stamp,), problems)

    def read(self, index: SourceIndex, start: int, stop: int, records: bool = False) -> Structures:
        """
        See `Source.read`.

        Parameters
        ----------
        index : SourceIndex
            Of this source.
        start, stop : int
            Half-open range of structures.
        records : bool
            Also fill ``Structures.records``.

        Raises
        ------
        SourceError
            If the range is not there, or the store is gone or damaged.
        """
        check_range(index, start, stop)
        try:
            return self._read(index, start, stop, records)
        except (StoreError, OSError) as error:
            raise SourceError(f"source {self.path}: {error}") from error

    def _read(self, index: SourceIndex, start: int, stop: int, records: bool) -> Structures:
        reader = _reader(self.path, stamp(plan_path(place(self.path))).version)
        counts = np.asarray(index.atom_counts[start:stop], dtype=np.int64)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        first = np.asarray(index.locators[start:stop, 0])
        batch = Structures(
            np.arange(start, stop, dtype=np.int64),
            offsets,
            _ragged(reader, "numbers", first, counts).astype(np.int32),
            _ragged(reader, "positions", first, counts),
            reader.read("cell", start, stop),
            reader.read("pbc", start, stop),
            index.problems_within(start, stop),
        )
        if not records:
            return batch
        return replace(batch, records=_records(self.path, reader, batch, first, start, stop))


@lru_cache(maxsize=4)
def _reader(path: str, made: int) -> RowReader:
    """Open a store once per process, and anew if another was made in its place."""
    return RowReader(path)


def _ragged(
    reader: RowReader, name: str, first: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[Any]:
    """Entries of consecutive structures, without the unused ends of the slots between them."""
    used = np.flatnonzero(counts > 0)
    if not len(used):
        return reader.read(name, 0, 0)
    begin, end = first[used], first[used] + counts[used]
    breaks = np.flatnonzero(begin[1:] != end[:-1]) + 1
    stretches = [
        (int(begin[a]), int(end[b - 1])) for a, b in pairwise([0, *breaks.tolist(), len(used)])
    ]
    low, high = stretches[0][0], stretches[-1][1]
    if high - low <= 2 * counts.sum():
        # A call of zarr costs more than the few entries that are read for nothing.
        block = reader.read(name, low, high)
        parts = [block[a - low : b - low] for a, b in stretches]
    else:
        parts = [reader.read(name, a, b) for a, b in stretches]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _records(
    path: str,
    reader: RowReader,
    batch: Structures,
    first: NDArray[np.int64],
    start: int,
    stop: int,
) -> list[Structure | None]:
    counts, offsets = np.diff(batch.offsets), batch.offsets
    stages = read_plan(place(path)).identity["stage"]
    columns = next(s["columns"] for s in stages if s["name"] == STAGE)
    values = {}
    for name, group, *_ in columns:
        ragged = group in PER_ATOM
        values[name] = (
            _ragged(reader, name, first, counts) if ragged else reader.read(name, start, stop)
        )
    extra = reader.read("extra", start, stop)
    found: list[Structure | None] = []
    for k in range(len(batch)):
        if k in batch.problems:
            found.append(None)
            continue
        atoms = slice(int(offsets[k]), int(offsets[k + 1]))
        groups, absent = load_extra(str(extra[k]))
        for name, group, key, tag, *_ in columns:
            if name not in absent:
                ragged = group in PER_ATOM
                value = values[name][atoms] if ragged else values[name][k]
                groups.setdefault(group, {})[key] = from_column(tag, value)
        found.append(
            put_together(
                groups,
                batch.numbers[atoms].astype(np.int64),
                batch.positions[atoms].copy(),
                batch.cells[k].copy(),
                batch.pbc[k].copy(),
            )
        )
    return found
