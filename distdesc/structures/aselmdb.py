"""LMDB databases of ASE rows (.aselmdb), as fairchem publishes its data sets."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from distdesc.errors import CampaignError, SourceError
from distdesc.structures._rows import Rows, add_row, read_rows, scan_rows
from distdesc.structures.batches import BatchBuilder
from distdesc.structures.files import check_path, find_files
from distdesc.structures.index import FileStamp, SourceIndex
from distdesc.structures.records import parse_errors
from distdesc.structures.source import Progress, Structures

_N_ATOMS = re.compile(rb'\{"numbers": \{"__ndarray__": \[\[(\d+)\]')
"""How a row begins that ASE wrote."""


@dataclass(frozen=True)
class AseLmdb:
    """
    Rows of .aselmdb files, such as those of OMat24 and OC20.

    Files are opened for reading only and without a lock, so that any number of workers can
    share one. Records are as those of ``ase_db``. Needs ``pip install 'distdesc[aselmdb]'``.

    Parameters
    ----------
    path : str or tuple of str
        File, folder of .aselmdb files, glob, or several of those. Files of a folder or glob are
        sorted by name.
    """

    path: str | tuple[str, ...]

    def __post_init__(self) -> None:
        check_path(self.path)

    @property
    def seekable(self) -> bool:
        """See `Source.seekable`."""
        return True

    def files(self) -> list[Path]:
        """See `FileSource.files`."""
        return find_files(self.path, "*.aselmdb")

    def scan(self, progress: Progress | None = None, scratch: Path | None = None) -> SourceIndex:
        """
        See `Source.scan`; the digest is of the rows as they are stored.

        Parameters
        ----------
        progress : callable, optional
            Called with rows done and their number so far.
        scratch : pathlib.Path, optional
            Not needed.

        Raises
        ------
        CampaignError
            If a package is missing.
        SourceError
            If there is nothing to read.
        """
        files = self.files()
        return scan_rows([str(file) for file in files], LmdbRows, progress)

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
        CampaignError
            If a package is missing.
        SourceError
            If the range or a row is not there, or a file cannot be read.
        """
        batch = BatchBuilder(index, start, stop, records)
        return read_rows([stamp.path for stamp in index.files], LmdbRows, batch, index)


class LmdbRows(Rows):
    """
    An .aselmdb file, opened.

    Parameters
    ----------
    location : str
        The file.

    Raises
    ------
    CampaignError
        If a package is missing.
    SourceError
        If it is not an LMDB file.
    """

    def __init__(self, location: str) -> None:
        lmdb, database = _packages()
        self.name = location
        try:
            self._stamp = FileStamp.of(Path(location))
            # Opened by hand first: the class below fails twice on a bad file, the second time
            # in its destructor.
            lmdb.open(location, subdir=False, readonly=True, lock=False).close()
            self._database = database(location, use_lock_file=False, readonly=True)
        except parse_errors(lmdb.Error, zlib.error) as error:
            raise SourceError(f"{location} is not an .aselmdb file: {error}") from error

    @property
    def stamp(self) -> FileStamp:
        """See `Rows.stamp`."""
        return self._stamp

    def close(self) -> None:
        """See `Rows.close`."""
        self._database.close()

    def count(self) -> int:
        """See `Rows.count`."""
        return len(self._database.ids)

    def summaries(self) -> Iterator[tuple[int, str, int | str]]:
        """See `Rows.summaries`; unpacks no more of a row than its beginning."""
        with self._database.env.begin() as transaction:
            for row in self._database.ids:
                data = transaction.get(str(row).encode())
                if data is None:
                    yield row, "", "is not there"
                    continue
                try:
                    head = zlib.decompressobj().decompress(data, 200)
                    found = _N_ATOMS.match(head)
                    count = int(found[1]) if found else self._database.get(id=row).natoms
                except parse_errors(zlib.error) as error:
                    count = f"damaged: {error}"
                yield row, str(xxhash.xxh3_64_hexdigest(data)), count

    def add(self, batch: BatchBuilder, ids: list[int]) -> None:
        """See `Rows.add`; geometry is taken from a row's JSON without making it an ASE row."""
        with self._database.env.begin() as transaction:
            for row in ids:
                name = f"{self.name} id {row}"
                data = transaction.get(str(row).encode())
                if data is None:
                    add_row(batch, None, name)
                try:
                    geometry = None if batch.wants_records else _geometry(data)
                    found = self._database.get(id=row) if geometry is None else None
                except parse_errors(zlib.error) as error:
                    batch.add_problem(f"{name}: damaged: {error}")
                    continue
                if geometry is not None:
                    batch.add(*geometry)
                else:
                    add_row(batch, found, name)


def _geometry(data: bytes) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], Any] | None:
    """Numbers, positions, cell and periodicity of a row; None if it is not as ASE writes it."""
    row = json.loads(zlib.decompress(data))
    values = [row.get(key) for key in ("numbers", "positions", "cell", "pbc")]
    numbers, positions, cell, pbc = (_array(value) if value else value for value in values)
    if numbers is None or positions is None or positions.shape != (len(numbers), 3):
        return None
    cell = np.zeros((3, 3)) if cell is None else cell
    pbc = False if pbc is None else pbc
    if cell.shape != (3, 3) or np.shape(pbc) not in ((), (3,)):
        return None
    return numbers, positions, cell, pbc


def _array(value: Any) -> NDArray[Any] | None:
    """Array in the notation of ``ase.io.jsonio``."""
    if not isinstance(value, dict) or "__ndarray__" not in value:
        return None
    shape, dtype, flat = value["__ndarray__"]
    return np.array(flat, dtype=dtype).reshape(shape)


@lru_cache(maxsize=1)
def _packages() -> tuple[Any, Any]:
    try:
        import lmdb
        from ase_db_backends.aselmdb import LMDBDatabase
    except ModuleNotFoundError as error:
        raise CampaignError(
            f"aselmdb needs the package {error.name}: pip install 'distdesc[aselmdb]'"
        ) from error
    return lmdb, LMDBDatabase
