"""Small objects of a store, such as receipts: published whole, or not at all."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

import xxhash

SEAL = "checksum"
"""Key of the checksum of a sealed object."""

PARTIAL = ".partial"
"""Suffix of an object that is being written; zarr's local store uses the same."""


def publish(path: Path, data: bytes) -> bool:
    """
    Create a file that did not exist, whole and on disk, or leave the existing one alone.

    Of any number of processes that publish the same path at the same time, exactly one wins.

    Parameters
    ----------
    path : pathlib.Path
        Its folder is created if missing.
    data : bytes
        The content.

    Returns
    -------
    bool
        False if the file was there already.
    """
    changed = {path.parent, *_make_folder(path.parent)}
    partial = _write_partial(path, data)
    try:
        _sync(partial)
        os.link(partial, path)
    except FileExistsError:
        return False
    finally:
        partial.unlink(missing_ok=True)
    for folder in changed:
        _sync(folder)
    return True


class Batch:
    """
    Files that are put in place together, each whole, and all on disk at the cost of about one.

    A context manager; what was not put in place is gone at its end.

    Parameters
    ----------
    sync : bool
        False leaves it to the system when they are on disk.
    """

    def __init__(self, sync: bool = True) -> None:
        self.sync = sync
        self._partials: dict[Path, Path] = {}
        self._folders: set[Path] = set()

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Delete what was not put in place."""
        for partial in self._partials.values():
            partial.unlink(missing_ok=True)

    def add(self, path: Path, data: bytes | memoryview) -> None:
        """
        Write a file, beside its place.

        Parameters
        ----------
        path : pathlib.Path
            Its place, which may be taken; the folder is created if missing.
        data : bytes or memoryview
            The content.
        """
        self._folders |= {path.parent, *_make_folder(path.parent)}
        self._partials[path] = _write_partial(path, data)

    def place(self) -> None:
        """Put all files in place, and have them on disk before this returns."""
        for partial in self._partials.values() if self.sync else ():
            _sync(partial)
        for path, partial in self._partials.items():
            os.replace(partial, path)
        for folder in self._folders if self.sync else ():
            _sync(folder)
        self._partials.clear()


def replace(path: Path, data: bytes | memoryview) -> None:
    """
    Create or replace a file, whole, and on disk before this returns.

    Parameters
    ----------
    path : pathlib.Path
        Its folder is created if missing.
    data : bytes or memoryview
        The content.
    """
    with Batch() as batch:
        batch.add(path, data)
        batch.place()


def sealed(data: dict[str, Any], indent: int | None = None) -> bytes:
    """
    JSON with a checksum of itself, so that damage shows that leaves it readable.

    Parameters
    ----------
    data : dict
        JSON-compatible.
    indent : int, optional
        For people to read.
    """
    return json.dumps({**data, SEAL: _seal(data)}, indent=indent).encode()


def unsealed(text: bytes) -> dict[str, Any]:
    """
    What was `sealed`.

    Parameters
    ----------
    text : bytes
        JSON; of older stores, without checksum.

    Raises
    ------
    ValueError
        If it is not a JSON object, or not as it was sealed.
    """
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("it is not a JSON object")
    seal = data.pop(SEAL, None)
    if seal is not None and seal != _seal(data):
        raise ValueError("its content does not have its checksum")
    return data


def _seal(data: dict[str, Any]) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(data, sort_keys=True).encode())


def remove_partials(folder: Path) -> int:
    """
    Delete what killed writers left behind; to be called when no attempt is running.

    Parameters
    ----------
    folder : pathlib.Path
        Searched with all its sub-folders.

    Returns
    -------
    int
        Files deleted.
    """
    partials = list(folder.rglob(f"*{PARTIAL}"))
    for partial in partials:
        partial.unlink(missing_ok=True)
    return len(partials)


def _write_partial(path: Path, data: bytes | memoryview) -> Path:
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            file.write(data)
    except OSError as error:
        partial.unlink(missing_ok=True)
        # Of a write, the system does not say where.
        raise OSError(error.errno, error.strerror, str(path)) from error
    return partial


def _make_folder(folder: Path) -> set[Path]:
    """Create a folder and those above it; folders that have a new entry."""
    if folder.is_dir():
        return set()
    changed = _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    return {*changed, folder.parent}


def _sync(path: Path) -> None:
    """Have a file, or the entries of a folder, on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(handle)
