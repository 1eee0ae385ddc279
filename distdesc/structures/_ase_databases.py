"""The kinds of ASE databases, each opened for reading only and without ASE's lock file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from ase.db import connect
from ase.db.row import AtomsRow
from ase.db.sqlite import SQLite3Database

from distdesc.errors import CampaignError, SourceBusyError, SourceError
from distdesc.structures._rows import Rows, add_row
from distdesc.structures.batches import BatchBuilder
from distdesc.structures.files import SERVERS
from distdesc.structures.index import FileStamp
from distdesc.structures.records import parse_errors

PATIENCE = 20.0
"""How long to wait for a writer that has locked a database, in s."""

_PBC_BITS = np.array([1, 2, 4])
_SUMMARY = "SELECT id, unique_id, mtime, natoms FROM systems WHERE id > ? ORDER BY id LIMIT 10000"
_GEOMETRY = "SELECT id, numbers, positions, cell, pbc FROM systems WHERE id BETWEEN ? AND ?"


class SqliteRows:
    """
    An SQLite file.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Raises
    ------
    SourceError
        If it is not an ASE database.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stamp = FileStamp.of(path)
        self._database = _ReadOnlyDatabase(str(path), use_lock_file=False)
        self._connection = self._database._connect()
        try:
            self._connection.execute("SELECT natoms FROM systems LIMIT 1")
        except sqlite3.DatabaseError as error:
            self.close()
            _check_free(path, error)
            raise SourceError(f"{path} is not an ASE database: {error}") from error

    def close(self) -> None:
        """See `Rows.close`."""
        self._connection.close()

    def count(self) -> int:
        """See `Rows.count`."""
        (largest,) = self._connection.execute("SELECT max(id) FROM systems").fetchone()
        return int(largest or 0)

    def summaries(self) -> Iterator[tuple[int, str, int]]:
        """See `Rows.summaries`."""
        last = -1
        while True:
            try:
                found = self._connection.execute(_SUMMARY, (last,)).fetchall()
            except sqlite3.DatabaseError as error:
                _check_free(self.path, error)
                raise SourceError(f"{self.path} after id {last}: {error}") from error
            for row, unique, mtime, count in found:
                yield row, f"{unique}:{mtime!r}", count or 0
            if not found:
                return
            last = found[-1][0]

    def add(self, batch: BatchBuilder, ids: list[int]) -> None:
        """See `Rows.add`; geometry is taken from the columns as they are, without ASE."""
        if batch.wants_records:
            self._add_records(batch, ids)
            return
        for row, values in zip(ids, self._geometry(ids), strict=True):
            name = f"{self.path} id {row}"
            if values is None:
                raise SourceError(f"{name} is gone: the database has changed since it was indexed")
            try:
                if isinstance(values, str):
                    raise ValueError(values)
                numbers, positions, cell = map(_array, values[:3], ("<i4", "<f8", "<f8"))
                positions, cell = positions.reshape(len(numbers), 3), cell.reshape(3, 3)
            except (TypeError, ValueError) as error:
                batch.add_problem(f"{name}: damaged: {error}")
            else:
                batch.add(numbers, positions, cell, (values[3] or 0) & _PBC_BITS > 0)

    def _geometry(self, ids: list[int]) -> list[tuple[Any, ...] | str | None]:
        """Columns of each row; text where the file is damaged, None where there is no row."""
        rows: dict[int, tuple[Any, ...] | str] = {}
        try:
            for found in self._connection.execute(_GEOMETRY, (ids[0], ids[-1])):
                rows[found[0]] = found[1:]
        except sqlite3.OperationalError as error:
            _check_free(self.path, error)
            raise SourceError(f"{self.path}: {error}") from error
        except sqlite3.DatabaseError:
            for row in ids:
                try:
                    for found in self._connection.execute(_GEOMETRY, (row, row)):
                        rows[row] = found[1:]
                except sqlite3.DatabaseError as error:
                    rows[row] = str(error)
        return [rows.get(row) for row in ids]

    def _add_records(self, batch: BatchBuilder, ids: list[int]) -> None:
        with self._database as database:
            for row in ids:
                name = f"{self.path} id {row}"
                try:
                    found = database.get(id=row)
                except KeyError:
                    found = None
                except sqlite3.OperationalError as error:
                    _check_free(self.path, error)
                    raise SourceError(f"{name}: {error}") from error
                except parse_errors(sqlite3.DatabaseError) as error:
                    batch.add_problem(f"{name}: damaged: {type(error).__name__}: {error}")
                    continue
                add_row(batch, found, name)


def _check_free(path: Path, error: sqlite3.Error) -> None:
    if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        raise SourceBusyError(
            f"{path} is locked by another program, which writes to it, for more than "
            f"{PATIENCE:g} s; run the same command again when that is done"
        ) from error


def _array(blob: bytes | None, dtype: str) -> Any:
    return np.frombuffer(blob or b"", dtype)


class _ReadOnlyDatabase(SQLite3Database):  # type: ignore[misc]
    def _connect(self) -> sqlite3.Connection:
        uri = f"{Path(self.filename).absolute().as_uri()}?mode=ro"
        return sqlite3.connect(uri, uri=True, timeout=PATIENCE)


class JsonRows:
    """
    A JSON file; read as a whole.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Raises
    ------
    SourceError
        If it is not an ASE database.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stamp = FileStamp.of(path)
        try:
            self._rows = _json_rows(self.stamp)
        except parse_errors() as error:
            raise SourceError(f"{path} is not an ASE database: {error}") from error

    def close(self) -> None:
        """See `Rows.close`; there is nothing to close."""

    def count(self) -> int:
        """See `Rows.count`."""
        return len(self._rows)

    def summaries(self) -> Iterator[tuple[int, str, int]]:
        """See `Rows.summaries`."""
        for row in self._rows.values():
            yield row.id, f"{row.unique_id}:{row.mtime!r}", row.natoms

    def add(self, batch: BatchBuilder, ids: list[int]) -> None:
        """See `Rows.add`."""
        for row in ids:
            add_row(batch, self._rows.get(row), f"{self.path} id {row}")


@lru_cache(maxsize=2)
def _json_rows(stamp: FileStamp) -> dict[int, AtomsRow]:
    database = connect(stamp.path, type="json", use_lock_file=False)
    return {row.id: row for row in database.select()}


class ServerRows:
    """
    A PostgreSQL server.

    Parameters
    ----------
    url : str
        As ``ase.db.connect`` takes it.

    Raises
    ------
    CampaignError
        If the packages for it are not installed.
    SourceError
        If there is no connection.
    """

    stamp = None

    def __init__(self, url: str) -> None:
        try:
            import ase_db_backends  # noqa: F401 (ASE finds it by its entry point)
            import psycopg2
        except ModuleNotFoundError as error:
            raise CampaignError(
                f"path is a PostgreSQL URL, which needs the package {error.name}: "
                "pip install 'distdesc[postgresql]'"
            ) from error
        self.name = hide_password(url)
        self._failures = parse_errors(psycopg2.Error)
        try:
            self._database = connect(url.replace("postgres://", "postgresql://", 1))
            self._connection = self._database._connect()
            self._database._initialize(self._connection)
        except self._failures as error:
            raise SourceError(f"{self.name} cannot be used: {error}") from error

    def close(self) -> None:
        """See `Rows.close`."""
        self._connection.close()

    def count(self) -> int:
        """See `Rows.count`."""
        return int(self._query("SELECT max(id) FROM systems", ())[0][0] or 0)

    def summaries(self) -> Iterator[tuple[int, str, int]]:
        """See `Rows.summaries`."""
        last = -1
        while found := self._query(_SUMMARY, (last,)):
            for row, unique, mtime, count in found:
                yield row, f"{unique}:{mtime!r}", count or 0
            last = found[-1][0]

    def add(self, batch: BatchBuilder, ids: list[int]) -> None:
        """See `Rows.add`."""
        try:
            found = {r.id: r for r in self._database.select(f"id>={ids[0]},id<={ids[-1]}")}
        except self._failures as error:
            raise SourceError(f"{self.name}: {error}") from error
        for row in ids:
            add_row(batch, found.get(row), f"{self.name} id {row}")

    def _query(self, statement: str, values: tuple[int, ...]) -> list[tuple[Any, ...]]:
        try:
            cursor = self._connection.cursor()
            cursor.execute(statement, values)
            return list(cursor.fetchall())
        except self._failures as error:
            raise SourceError(f"{self.name}: {error}") from error


def hide_password(url: str) -> str:
    """
    URL without user and password, for messages.

    Parameters
    ----------
    url : str
        Of a server.
    """
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def open_rows(location: str) -> Rows:
    """
    Open a database.

    Parameters
    ----------
    location : str
        File or URL.

    Raises
    ------
    SourceError
        If it cannot be opened or is not an ASE database.
    """
    if location.startswith(SERVERS):
        return ServerRows(location)
    try:
        return (
            JsonRows(Path(location)) if location.endswith(".json") else SqliteRows(Path(location))
        )
    except (OSError, sqlite3.OperationalError) as error:
        raise SourceError(f"{location} cannot be opened: {error}") from error
