"""What a lock needs of its storage: how old it is, to be renewed, and to be taken over by one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from distdesc.place import ObjectPath, Place
from distdesc.store import bucket


def aged(file: Place) -> tuple[bytes, float]:
    """
    Content of an object, and the seconds since it was put or touched.

    Parameters
    ----------
    file : Place
        The object.
    """
    if isinstance(file, Path):
        return file.read_bytes(), time.time() - file.stat().st_mtime
    found = bucket.bucket_of(file).read(file.key)
    return found.data, time.time() - found.modified


def touch(file: Place, mine: bytes) -> bool:
    """
    Make an object new again, if it is still the one that was created.

    Parameters
    ----------
    file : Place
        The object.
    mine : bytes
        The content that it was created with.

    Returns
    -------
    bool
        False if it has other content by now.
    """
    if isinstance(file, Path):
        os.utime(file)
        return file.read_bytes() == mine
    found = bucket.bucket_of(file).read(file.key)
    if found.data != mine:
        return False
    return bucket.bucket_of(file).put(file.key, mine, found.version)


def swap(file: ObjectPath, data: bytes, wanted: Callable[[], bool]) -> bool:
    """
    Replace an object in a bucket, if it is not changed by another meanwhile.

    Parameters
    ----------
    file : ObjectPath
        The object.
    data : bytes
        Its new content.
    wanted : callable
        Asked, after a look at the object, whether it is still to be replaced.

    Returns
    -------
    bool
        False if it was not replaced.
    """
    _, version = bucket.bucket_of(file).head(file.key)
    return wanted() and bucket.bucket_of(file).put(file.key, data, version)
