"""Small objects of a store, such as receipts: published whole, or not at all."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

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


def replace(path: Path, data: bytes) -> None:
    """
    Create or replace a file, whole and on disk.

    Parameters
    ----------
    path : pathlib.Path
        Its folder is created if missing.
    data : bytes
        The content.
    """
    os.replace(_write_partial(path, data), path)
    _sync_folder(path.parent)


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


def _write_partial(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PARTIAL}")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return partial


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
