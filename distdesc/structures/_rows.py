"""What databases have in common: rows found by id, several databases one after the other."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import groupby
from typing import Protocol

import numpy as np
import xxhash
from ase.db.row import AtomsRow

from distdesc.errors import SourceError
from distdesc.structures.batches import BatchBuilder
from distdesc.structures.index import FileStamp, SourceIndex
from distdesc.structures.records import from_atoms, parse_errors
from distdesc.structures.source import Progress, Structure, Structures

REPORT_EVERY = 10_000
"""Rows between two calls of the progress callback."""


class Rows(Protocol):
    """A database, opened, as far as reading it goes."""

    @property
    def stamp(self) -> FileStamp | None:
        """Stamp of its file, if it has one."""
        ...

    def close(self) -> None:
        """Let go of the file or connection."""
        ...

    def count(self) -> int:
        """Rows, or an upper estimate that costs nothing."""
        ...

    def summaries(self) -> Iterator[tuple[int, str, int | str]]:
        """Id, identity of the content, and number of atoms (or what is wrong) of every row."""
        ...

    def add(self, batch: BatchBuilder, ids: list[int]) -> None:
        """
        Add rows to a batch.

        Parameters
        ----------
        batch : BatchBuilder
            Where to.
        ids : list of int
            Of the rows, in the order of `summaries`.
        """
        ...


def scan_rows(
    locations: Sequence[str], open_rows: Callable[[str], Rows], progress: Progress | None
) -> SourceIndex:
    """
    Index of databases; locators are the number of the database and the id.

    Parameters
    ----------
    locations : sequence of str
        Files or URLs.
    open_rows : callable
        Opens one.
    progress : callable, optional
        Called with rows done and their (estimated) number.

    Raises
    ------
    SourceError
        If none has any rows.
    """
    digest = xxhash.xxh3_128()
    # Of 10^8 rows, lists of numbers would take 16 GB.
    counts, places = array("i"), array("q")
    problems: dict[int, str] = {}
    stamps = []
    for number, location in enumerate(locations):
        with closing(open_rows(location)) as rows:
            if rows.stamp is not None:
                stamps.append(rows.stamp)
            total = len(counts) + rows.count()
            for row, identity, count in rows.summaries():
                if isinstance(count, str):
                    problems[len(counts)], count = f"{location} id {row}: {count}", 0
                digest.update(f"{row}:{identity}:{count};".encode())
                counts.append(count)
                places.extend((number, row))
                if progress is not None and len(counts) % REPORT_EVERY == 0:
                    progress(min(len(counts), total), total)
    if not counts:
        raise SourceError(f"{', '.join(locations)}: no rows")
    return SourceIndex(
        np.frombuffer(counts, dtype=np.int32),
        np.frombuffer(places, dtype=np.int64).reshape(-1, 2),
        str(digest.hexdigest()),
        tuple(stamps),
        problems,
    )


def read_rows(
    locations: Sequence[str],
    open_rows: Callable[[str], Rows],
    batch: BatchBuilder,
    index: SourceIndex,
) -> Structures:
    """
    Rows of a batch.

    Parameters
    ----------
    locations : sequence of str
        As they were scanned.
    open_rows : callable
        Opens one.
    batch : BatchBuilder
        Says which structures.
    index : SourceIndex
        Of `scan_rows`.

    Raises
    ------
    SourceError
        If a row is not there, or a database cannot be read.
    """
    places = index.locators[batch.start : batch.stop].tolist()
    numbered = zip(range(batch.start, batch.stop), places, strict=True)

    def group(item: tuple[int, list[int]]) -> tuple[int, bool]:
        return item[1][0], item[0] in index.problems

    for (number, unreadable), items in groupby(numbered, key=group):
        if unreadable:
            for structure, _ in items:
                batch.skip_known(structure)
            continue
        with closing(open_rows(locations[number])) as rows:
            rows.add(batch, [row for _, (_, row) in items])
    return batch.finish()


def structure_of(row: AtomsRow) -> Structure:
    """
    Structure of a database row, with its key-value pairs and data in `info` as ASE puts them.

    Parameters
    ----------
    row : ase.db.row.AtomsRow
        Of any kind of database.
    """
    atoms = row.toatoms(add_additional_information=True)
    if "data" in atoms.info:
        # ASE's own dictionary type means nothing to anyone else.
        atoms.info["data"] = dict(atoms.info["data"])
    return from_atoms(atoms)


def add_row(batch: BatchBuilder, row: AtomsRow | None, name: str) -> None:
    """
    Add a row to a batch, as a problem if it cannot be turned into a structure.

    Parameters
    ----------
    batch : BatchBuilder
        Where to.
    row : ase.db.row.AtomsRow or None
        None for a row that is no longer there.
    name : str
        What to call it in messages.

    Raises
    ------
    SourceError
        If the row is gone.
    """
    if row is None:
        raise SourceError(f"{name} is gone: the database has changed since it was indexed")
    try:
        structure = structure_of(row)
    except parse_errors() as error:
        batch.add_problem(f"{name}: {type(error).__name__}: {error}")
    else:
        batch.add_record(structure)
