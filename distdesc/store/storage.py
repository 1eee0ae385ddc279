"""
What is done with the objects of a store, be they files or in a bucket: the one door to both.

Every function takes a `Place`, and says the same of either: an object is there whole or not at all,
and is safe when the call returns. A file that is not there is a FileNotFoundError; storage that
fails is an OSError with the place's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType

import xxhash
from zarr.abc.store import Store

from distdesc.place import ObjectPath, Place
from distdesc.store import bucket, local
from distdesc.store.containment import ContainedStore
from distdesc.store.zarr_bucket import ZarrBucket


@dataclass(frozen=True)
class Stamp:
    """
    Cheap identity of an object's content.

    Parameters
    ----------
    size : int
        In bytes.
    version : int
        Differs after a change: of a file, the time of it in ns.
    """

    size: int
    version: int


def read(file: Place) -> bytes:
    """
    Content of an object.

    Parameters
    ----------
    file : Place
        The object.
    """
    return (
        file.read_bytes() if isinstance(file, Path) else bucket.bucket_of(file).read(file.key).data
    )


def read_each(files: Iterable[Place]) -> Iterator[bytes | None]:
    """
    Content of many objects, in their order; None for one that is not there.

    Those in a bucket are read some at a time, since each takes long to be answered.

    Parameters
    ----------
    files : iterable of Place
        The objects, of one store.
    """
    left = iter(files)
    while some := list(islice(left, bucket.AT_ONCE)):
        remote = [f for f in some if isinstance(f, ObjectPath)]
        if remote:
            yield from bucket.bucket_of(remote[0]).read_each([f.key for f in remote])
        else:
            yield from map(_read_if_there, some)


def _read_if_there(file: Place) -> bytes | None:
    try:
        return read(file)
    except FileNotFoundError:
        return None


def stamp(file: Place) -> Stamp:
    """
    Size and version of an object.

    Parameters
    ----------
    file : Place
        The object.
    """
    if isinstance(file, Path):
        found = file.stat()
        return Stamp(found.st_size, found.st_mtime_ns)
    size, version = bucket.bucket_of(file).head(file.key)
    return Stamp(size, xxhash.xxh3_64_intdigest(repr(version).encode()) >> 1)


def exists(file: Place) -> bool:
    """
    Whether there is such an object.

    Parameters
    ----------
    file : Place
        The object; a folder is none.
    """
    if isinstance(file, Path):
        return file.is_file()
    with suppress(FileNotFoundError):
        stamp(file)
        return True
    return False


def create(file: Place, data: bytes) -> bool:
    """
    Create an object that did not exist, whole and safe, or leave the existing one alone.

    Of any number of processes that create the same object at the same time, exactly one wins.

    Parameters
    ----------
    file : Place
        The object.
    data : bytes
        Its content; different for each who tries, where it matters who has won.

    Returns
    -------
    bool
        False if it was there already.
    """
    if isinstance(file, Path):
        return local.create(file, data)
    return bucket.bucket_of(file).create(file.key, data)


class Batch:
    """
    Objects that are put in place together, each whole, and are all safe at about the cost of one.

    A context manager; files that were not put in place are gone at its end. In a bucket, objects
    are put at the same time.

    Parameters
    ----------
    sync : bool
        False leaves it to the system when files are on disk.
    """

    def __init__(self, sync: bool = True) -> None:
        self._files = local.FileBatch(sync)
        self._objects: list[tuple[ObjectPath, bytes | memoryview]] = []

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Delete what was not put in place."""
        self._files.discard()

    def add(self, file: Place, *data: bytes | memoryview) -> None:
        """
        Take an object; it is in place after `place`.

        Parameters
        ----------
        file : Place
            Its place, which may be taken; all of a batch are in one store.
        *data : bytes or memoryview
            The content, in pieces.
        """
        if isinstance(file, Path):
            self._files.add(file, *data)
        else:
            self._objects.append((file, data[0] if len(data) == 1 else b"".join(data)))

    def place(self) -> None:
        """Put all objects in place, and have them safe before this returns."""
        self._files.place()
        if self._objects:
            here = bucket.bucket_of(self._objects[0][0])
            here.put_each([(file.key, data) for file, data in self._objects])
            self._objects.clear()


def replace(file: Place, *data: bytes | memoryview) -> None:
    """
    Create or replace an object, whole, and safe before this returns.

    Parameters
    ----------
    file : Place
        The object.
    *data : bytes or memoryview
        The content, in pieces.
    """
    with Batch() as batch:
        batch.add(file, *data)
        batch.place()


def delete(file: Place) -> None:
    """
    Delete an object, if it is there.

    Parameters
    ----------
    file : Place
        The object.
    """
    if isinstance(file, Path):
        file.unlink(missing_ok=True)
    else:
        bucket.bucket_of(file).delete([file.key])


def delete_folder(folder: Place) -> None:
    """
    Delete all objects in a folder, or the one of that name; nothing if there is none.

    Parameters
    ----------
    folder : Place
        The folder.
    """
    if isinstance(folder, Path):
        local.delete_folder(folder)
    else:
        inner = bucket.bucket_of(folder).sizes(folder.key)
        bucket.bucket_of(folder).delete([folder.key, *((folder / name).key for name, _ in inner)])


def names(folder: Place) -> set[str]:
    """
    Names of what is directly in a folder, objects and folders alike.

    Parameters
    ----------
    folder : Place
        It need not exist.
    """
    if isinstance(folder, ObjectPath):
        return bucket.bucket_of(folder).names(folder.key)
    with suppress(FileNotFoundError):
        return {f.name for f in folder.iterdir()}
    return set()


def sizes(folder: Place) -> Iterator[tuple[str, int]]:
    """
    Name and size of every object in a folder and those below it.

    Parameters
    ----------
    folder : Place
        It need not exist.
    """
    return (
        local.sizes(folder)
        if isinstance(folder, Path)
        else bucket.bucket_of(folder).sizes(folder.key)
    )


def download(file: ObjectPath, copy: Path) -> None:
    """
    Copy an object in a bucket into a file, which is there whole or not at all.

    Parameters
    ----------
    file : ObjectPath
        The object.
    copy : pathlib.Path
        The file; its folder is created if missing.
    """
    local.write(copy, bucket.bucket_of(file).blocks(file.key))


def files(folder: Place) -> Iterator[str]:
    """
    Name within it of every object in a folder and those below it.

    Parameters
    ----------
    folder : Place
        It need not exist.
    """
    return local.files(folder) if isinstance(folder, Path) else (name for name, _ in sizes(folder))


def remove_partials(folder: Place, spared: Callable[[Path], bool] = lambda file: False) -> None:
    """
    Delete what killed writers left behind; to be called when no attempt is running.

    Parameters
    ----------
    folder : Place
        Searched with all that is below it.
    spared : callable
        Says of a file that is written by somebody who lives.
    """
    if isinstance(folder, Path):
        local.remove_partials(folder, spared)


def zarr_store(path: Place, read_only: bool = False) -> Store:
    """
    Store of Zarr.

    Parameters
    ----------
    path : Place
        The store.
    read_only : bool
        Whether nothing can be written.
    """
    if isinstance(path, Path):
        return ContainedStore(path, read_only=read_only)
    return ZarrBucket(path, read_only)
