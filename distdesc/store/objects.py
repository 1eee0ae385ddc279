"""Small objects of a store, such as receipts: published whole, or not at all."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
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
    partial = _write_partial(path, data)
    try:
        os.link(partial, path)
    except FileExistsError:
        return False
    finally:
        partial.unlink()
    _sync_folder(path.parent)
    return True


def replace(path: Path, data: bytes | memoryview, sync: bool = True) -> None:
    """
    Create or replace a file, whole, and on disk before this returns.

    Parameters
    ----------
    path : pathlib.Path
        Its folder is created if missing.
    data : bytes or memoryview
        The content.
    sync : bool
        False leaves it to the system when it is on disk.
    """
    partial = _write_partial(path, data, sync)
    try:
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    if sync:
        _sync_folder(path.parent)


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


def _write_partial(path: Path, data: bytes | memoryview, sync: bool = True) -> Path:
    _make_folder(path.parent, sync)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
    except OSError as error:
        partial.unlink(missing_ok=True)
        # Of a write, the system does not say where.
        raise OSError(error.errno, error.strerror, str(path)) from error
    return partial


def _make_folder(folder: Path, sync: bool) -> None:
    """Create a folder and those above it, each on disk as an entry of the one above."""
    if folder.is_dir():
        return
    _make_folder(folder.parent, sync)
    folder.mkdir(exist_ok=True)
    if sync:
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
