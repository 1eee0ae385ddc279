"""ASE databases: SQLite and JSON files, PostgreSQL servers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distdesc.errors import CampaignError
from distdesc.structures._ase_databases import open_rows
from distdesc.structures._rows import read_rows, scan_rows
from distdesc.structures.batches import BatchBuilder
from distdesc.structures.files import SERVERS, check_path, find_files
from distdesc.structures.index import SourceIndex
from distdesc.structures.source import Progress, Structures


@dataclass(frozen=True)
class AseDatabase:
    """
    Rows of ASE databases, by id; ids may have gaps.

    Files are opened for reading only and without ASE's lock file, so that any number of workers
    can share one and a left-over lock does not matter. Geometry of SQLite files is read from
    their columns directly. Records hold key-value pairs and data as ASE's
    ``row.toatoms(add_additional_information=True)`` puts them into `info`, and calculator
    results; constraints are not kept, and forces are as stored.

    Parameters
    ----------
    path : str or tuple of str
        SQLite (.db) or JSON (.json) file, glob, PostgreSQL URL, or several of those.
    """

    path: str | tuple[str, ...]

    def __post_init__(self) -> None:
        check_path(self.path)
        if any(p.startswith(SERVERS) != self._on_server for p in self._paths):
            raise CampaignError(f"path must be all files or all URLs, got {self.path!r}")

    @property
    def seekable(self) -> bool:
        """See `Source.seekable`."""
        return True

    def files(self) -> list[Path]:
        """See `FileSource.files`."""
        return [] if self._on_server else find_files(self._paths)

    def scan(self, progress: Progress | None = None, scratch: Path | None = None) -> SourceIndex:
        """
        See `Source.scan`; the digest is of ids, unique ids, times of change and atom counts.

        Parameters
        ----------
        progress : callable, optional
            Called with rows done and their (estimated) number.
        scratch : pathlib.Path, optional
            Not needed.

        Raises
        ------
        SourceError
            If there is nothing to read.
        """
        return scan_rows(self._locations(), open_rows, progress)

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
            If the range or a row is not there, or a database cannot be read.
        """
        locations = [stamp.path for stamp in index.files] or self._locations()
        batch = BatchBuilder(index, start, stop, records)
        return read_rows(locations, open_rows, batch, index)

    def _locations(self) -> list[str]:
        if self._on_server:
            return list(self._paths)
        return [str(file) for file in self.files()]

    @property
    def _paths(self) -> tuple[str, ...]:
        return (self.path,) if isinstance(self.path, str) else self.path

    @property
    def _on_server(self) -> bool:
        return self._paths[0].startswith(SERVERS)
