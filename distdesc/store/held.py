"""Objects that are held in memory to be checked: each read once, several at a time in a bucket."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import WrapperStore

from distdesc.place import Place
from distdesc.store.bucket import AT_ONCE
from distdesc.store.containment import inside
from distdesc.store.receipts import Receipt
from distdesc.store.storage import read_each, zarr_store

HOLD = 2**28
"""Bytes of objects of a bucket that are held at a time, unless one shard has more."""


class HeldObjects(WrapperStore[Store]):
    """
    Store of Zarr that answers from memory for the objects that are held.

    What is decoded is what was checked, and nothing is read twice.

    Parameters
    ----------
    path : Place
        The store.
    """

    def __init__(self, path: Place) -> None:
        super().__init__(zarr_store(path, True))
        self._path = path
        self._objects: dict[str, bytes | None] = {}

    def hold(self, keys: Sequence[str]) -> None:
        """
        Read some objects, and forget those that were held.

        Parameters
        ----------
        keys : sequence of str
            Names within the store.
        """
        self._objects = {}
        found = read_each(inside(self._path, self._path / key) for key in keys)
        self._objects = dict(zip(keys, found, strict=True))

    def content(self, key: str) -> bytes | None:
        """
        Content of an object that is held; None if it is not there.

        Parameters
        ----------
        key : str
            Name within the store.
        """
        return self._objects[key]

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """
        See zarr.abc.store.Store.

        Parameters
        ----------
        key : str
            Name of the object.
        prototype : BufferPrototype
            Of what is returned.
        byte_range : ByteRequest, optional
            Part of it.
        """
        if key not in self._objects:
            return await super().get(key, prototype, byte_range)
        data = self._objects[key]
        return None if data is None else prototype.buffer.from_bytes(_part(data, byte_range))


def _part(data: bytes, wanted: ByteRequest | None) -> memoryview:
    """Bytes that are asked for, without a copy."""
    view = memoryview(data)
    if isinstance(wanted, RangeByteRequest):
        return view[wanted.start : wanted.end]
    if isinstance(wanted, OffsetByteRequest):
        return view[wanted.offset :]
    if isinstance(wanted, SuffixByteRequest):
        return view[max(0, len(view) - wanted.suffix) :]
    return view


def held_together(path: Place, receipts: Iterable[Receipt]) -> Iterator[list[Receipt]]:
    """
    Shards whose objects are held at the same time: of a folder, one after the other.

    Parameters
    ----------
    path : Place
        The store.
    receipts : iterable of Receipt
        Of the shards.
    """
    most = 0 if isinstance(path, Path) else AT_ONCE
    some: list[Receipt] = []
    objects = size = 0
    for receipt in receipts:
        more = sum(n for n, _ in receipt.objects.values())
        if some and (objects + len(receipt.objects) > most or size + more > HOLD):
            yield some
            some, objects, size = [], 0, 0
        some.append(receipt)
        objects += len(receipt.objects)
        size += more
    if some:
        yield some
