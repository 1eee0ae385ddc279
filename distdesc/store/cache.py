"""Copies of objects that are in a bucket, which the processes of this machine map into memory."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xxhash

from distdesc.errors import StoreError
from distdesc.place import ObjectPath, Place
from distdesc.store import storage


def cache_folder(folder: ObjectPath) -> Path:
    """
    Folder on this machine, and of this user alone, for what belongs to a folder in a bucket.

    It is in ``$TMPDIR``, and is kept for other processes and for the next run.

    Parameters
    ----------
    folder : ObjectPath
        The folder in the bucket.

    Raises
    ------
    StoreError
        If another user could write there.
    """
    root = Path(tempfile.gettempdir()) / f"distdesc-{os.getuid()}"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = root.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StoreError(f"{root} must be a folder of this user, for no other; remove it")
    return root / xxhash.xxh3_64_hexdigest(str(folder).encode())


def local_copy(file: Place, fresh: bool = False) -> Path:
    """
    File with the content of an object: itself, or a copy of what it is now.

    Parameters
    ----------
    file : Place
        The object.
    fresh : bool
        Do not use a copy that was made before.
    """
    if isinstance(file, Path):
        return file
    folder = cache_folder(file.parent)
    copy = folder / f"{storage.stamp(file).version:016x}-{file.name}"
    if fresh or not copy.exists():
        with _alone(folder):
            if fresh or not copy.exists():
                storage.download(file, copy)
            for old in folder.glob(f"*-{file.name}"):
                if old != copy:
                    # Whoever has mapped it keeps it.
                    old.unlink(missing_ok=True)
    return copy


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process of this machine at a time: all its workers want an index of gigabytes at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        # Given up by the system with the file, also if the process is killed.
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
