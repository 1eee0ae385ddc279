"""A store cannot lead out of itself: neither names nor links in it name what is not in it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from distdesc.errors import StoreError
from distdesc.place import Place


def inside(store: Place, file: Place) -> Place:
    """
    Place of an object, if it is in its store.

    In a bucket there are no links, and `ObjectPath` refuses names that lead out.

    Parameters
    ----------
    store : Place
        The store.
    file : Place
        An object that belongs to it, whether it exists or not.

    Raises
    ------
    StoreError
        If a link, or a name with ``..``, leads out of the store.
    """
    if isinstance(store, Path) and isinstance(file, Path):
        folder = str(file if file == store else file.parent)
        if not _is_inside(str(store), folder) or (
            file != store
            and os.path.islink(file)
            and not _within(os.path.realpath(file), os.path.realpath(store))
        ):
            raise StoreError(
                f"{file} leads out of the store {store}, by a link or its name: nothing is read "
                f"or written there"
            )
    return file


def check_links(store: Place) -> None:
    """
    Refuse a store whose folders lead out of it, before anything is done with it.

    Parameters
    ----------
    store : Place
        The store, which may not exist.

    Raises
    ------
    StoreError
        Naming the link.
    """
    if isinstance(store, Path):
        for folder in (store, store / "run"):
            if folder.is_dir():
                inside(store, folder)
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.is_symlink():
                            inside(store, Path(entry.path))


class ContainedStore(LocalStore):
    """
    A folder as zarr sees it, in which nothing is read or written through links out of it.

    Parameters
    ----------
    root : pathlib.Path
        The folder.
    read_only : bool
        Whether nothing can be written.
    """

    async def get(self, key: str, *rest: Any, **options: Any) -> Buffer | None:
        """See LocalStore.get."""
        with self._at(key):
            return await super().get(key, *rest, **options)

    def get_sync(self, key: str, **options: Any) -> Buffer | None:
        """See LocalStore.get_sync."""
        with self._at(key):
            return super().get_sync(key, **options)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """See LocalStore.get_partial_values."""
        ranges = list(key_ranges)
        for key, _ in ranges:
            inside(self.root, self.root / key)
        return await super().get_partial_values(prototype, ranges)

    async def set(self, key: str, value: Buffer) -> None:
        """See LocalStore.set."""
        with self._at(key):
            await super().set(key, value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """See LocalStore.set_if_not_exists."""
        with self._at(key):
            await super().set_if_not_exists(key, value)

    def set_sync(self, key: str, value: Buffer) -> None:
        """See LocalStore.set_sync."""
        with self._at(key):
            super().set_sync(key, value)

    async def delete(self, key: str) -> None:
        """See LocalStore.delete."""
        with self._at(key):
            await super().delete(key)

    def delete_sync(self, key: str) -> None:
        """See LocalStore.delete_sync."""
        with self._at(key):
            super().delete_sync(key)

    async def delete_dir(self, prefix: str) -> None:
        """See LocalStore.delete_dir."""
        with self._at(prefix):
            await super().delete_dir(prefix)

    @contextmanager
    def _at(self, key: str) -> Iterator[None]:
        """Refuse links out of the store, and say where it was that storage failed."""
        file = inside(self.root, self.root / key)
        try:
            yield
        except OSError as error:
            if error.errno is None or error.filename is not None:
                raise
            # Of a write, the system does not say where.
            raise OSError(error.errno, error.strerror, str(file)) from error


@lru_cache(maxsize=2**14)
def _is_inside(store: str, folder: str) -> bool:
    return _within(os.path.realpath(folder), os.path.realpath(store))


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
