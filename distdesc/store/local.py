"""Objects of a store that is a folder: files, put in place at once, and on disk."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

PARTIAL = ".partial"
"""Suffix of an object that is being written; zarr's local store uses the same."""


def create(path: Path, data: bytes) -> bool:
    """
    See `storage.create`: an exclusive link to a file that is whole and on disk.

    Parameters
    ----------
    path : pathlib.Path
        Its folder is created if missing.
    data : bytes
        The content.
    """
    changed = {path.parent, *_make_folder(path.parent)}
    partial = _write_partial(path, [data])
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


class FileBatch:
    """
    See `storage.Batch`.

    Parameters
    ----------
    sync : bool
        False leaves it to the system when they are on disk.
    """

    def __init__(self, sync: bool = True) -> None:
        self.sync = sync
        self._partials: dict[Path, Path] = {}
        self._folders: set[Path] = set()

    def discard(self) -> None:
        """Delete what was not put in place."""
        for partial in self._partials.values():
            partial.unlink(missing_ok=True)

    def add(self, path: Path, *data: bytes | memoryview) -> None:
        """
        Write a file, beside its place.

        Parameters
        ----------
        path : pathlib.Path
            Its place, which may be taken; the folder is created if missing.
        *data : bytes or memoryview
            The content, in pieces.
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


def delete_folder(folder: Path) -> None:
    """
    See `storage.delete_folder`.

    Parameters
    ----------
    folder : pathlib.Path
        Or a file.
    """
    while folder.is_dir() and not folder.is_symlink():
        # Others may be at it too.
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)
    folder.unlink(missing_ok=True)


def sizes(folder: Path) -> Iterator[tuple[str, int]]:
    """
    See `storage.sizes`.

    Parameters
    ----------
    folder : pathlib.Path
        It need not exist.
    """
    for name in files(folder):
        yield name, (folder / name).stat().st_size


def files(folder: Path) -> Iterator[str]:
    """
    See `storage.files`; looks at folders only, at none of the files.

    Parameters
    ----------
    folder : pathlib.Path
        It need not exist.
    """
    for above, _, found in os.walk(folder):
        inner = os.path.relpath(above, folder)
        yield from found if inner == "." else (f"{inner}/{name}" for name in found)


def remove_partials(folder: Path, spared: Callable[[Path], bool]) -> None:
    """
    See `storage.remove_partials`.

    Parameters
    ----------
    folder : pathlib.Path
        Searched with all its sub-folders.
    spared : callable
        Says what is to be left.
    """
    for partial in list(folder.rglob(f"*{PARTIAL}")):
        if not spared(partial):
            partial.unlink(missing_ok=True)


def write(path: Path, blocks: Iterable[bytes]) -> None:
    """
    Create or replace a file, whole; it is left to the system when it is on disk.

    Parameters
    ----------
    path : pathlib.Path
        Its folder is created if missing.
    blocks : iterable of bytes
        The content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(_write_partial(path, blocks), path)


def _write_partial(path: Path, blocks: Iterable[bytes | memoryview]) -> Path:
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            file.writelines(blocks)
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
