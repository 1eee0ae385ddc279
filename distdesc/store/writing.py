"""Writes whole shards of arrays: encoded in memory, then put in place at once, and on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import xxhash
import zarr
from numpy.typing import NDArray
from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import WrapperStore

from distdesc.errors import StoreError
from distdesc.place import Place
from distdesc.schema import ArraySpec
from distdesc.store.checked import get_array
from distdesc.store.layout import StageLayout
from distdesc.store.rows import object_key, object_path
from distdesc.store.storage import Batch, delete, zarr_store


class RowWriter:
    """
    Writes whole shards of the arrays of one stage.

    Shards of the plan are shards of the store, so two tasks never touch the same object and no
    lock is taken. An object is replaced at once, and never removed before: of attempts that
    race, one of which may die at any moment, none leaves less than there was.

    Parameters
    ----------
    path : Place
        The store.
    layout : StageLayout
        Of the stage.
    specs : iterable of ArraySpec
        Its arrays.
    sync : bool
        Whether objects are on disk before `write_shard` returns.
    """

    def __init__(
        self, path: Place, layout: StageLayout, specs: Iterable[ArraySpec], sync: bool = True
    ) -> None:
        self.path, self.layout, self.sync = path, layout, sync
        self.specs = {s.name: s for s in specs}
        self._encoded = _Encoded(zarr_store(path))
        group = zarr.open_group(self._encoded, mode="r+", use_consolidated=False, zarr_format=3)
        # A slot's unused tail costs nothing; elsewhere, every chunk is stored, so that a
        # missing object is always a fault and never "all fill values".
        self.arrays = {
            name: get_array(group, name).with_config({"write_empty_chunks": not spec.ragged})
            for name, spec in self.specs.items()
        }

    def write_shard(
        self, shard: int, arrays: Mapping[str, NDArray[Any]]
    ) -> dict[str, tuple[int, str]]:
        """
        Write one whole shard of some arrays, all at once.

        Parameters
        ----------
        shard : int
            Number of the shard.
        arrays : mapping of str to ndarray
            All rows of the shard, of each array.

        Returns
        -------
        dict of str to tuple of int and str
            Size and digest of each object as stored; what needs none is left out.

        Raises
        ------
        StoreError
            If an array is not the whole shard, or does not fit the slot.
        """
        with Batch(self.sync) as batch:
            stored = {k: self._add(batch, k, shard, rows) for k, rows in arrays.items()}
            batch.place()
        for name, found in stored.items():
            if found is None:
                delete(object_path(self.path, self.specs[name], shard))
        return {name: found for name, found in stored.items() if found is not None}

    def write(self, name: str, shard: int, rows: NDArray[Any]) -> tuple[int, str] | None:
        """
        Write one whole shard of one array.

        Parameters
        ----------
        name : str
            Array name.
        shard : int
            Number of the shard.
        rows : ndarray, shape (n, ...)
            All rows of the shard; for a ragged array, the used beginning of the slot.

        Returns
        -------
        tuple of int and str, or None
            Size and digest of the object as stored; None if nothing had to be stored.

        Raises
        ------
        StoreError
            If `rows` is not the whole shard, or does not fit the slot.
        """
        return self.write_shard(shard, {name: rows}).get(name)

    def _add(
        self, batch: Batch, name: str, shard: int, rows: NDArray[Any]
    ) -> tuple[int, str] | None:
        """Encode a shard of an array, to be put in place with the batch."""
        spec = self.specs[name]
        start, stop = self.layout.span(spec, shard)
        fits = len(rows) <= stop - start if spec.ragged else len(rows) == stop - start
        if not fits or rows.shape[1:] != spec.shape:
            raise StoreError(
                f"{name}[{start}:{stop}] takes {stop - start} rows of shape {spec.shape}, "
                f"got {len(rows)} of shape {rows.shape[1:]}"
            )
        if len(rows):
            self.arrays[name][start : start + len(rows)] = rows
        encoded = self._encoded.taken(object_key(spec, shard))
        if encoded is None:
            return None
        batch.add(object_path(self.path, spec, shard), encoded)
        return len(encoded), xxhash.xxh3_128_hexdigest(encoded)


class _Encoded(WrapperStore[Store]):
    """
    Metadata of a store, and what is written to it, which is kept and goes no further.

    There are no objects to read: zarr would merge a shard into the one that is there, and
    refuse to if that one is damaged.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._objects: dict[str, Buffer] = {}

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        if not key.endswith("zarr.json"):
            return None
        return await super().get(key, prototype, byte_range)

    async def set(self, key: str, value: Buffer) -> None:
        self._objects[key] = value

    async def delete(self, key: str) -> None:
        self._objects.pop(key, None)

    def taken(self, key: str) -> memoryview | None:
        """Bytes written under a key since it was last asked for; None if none were."""
        value = self._objects.pop(key, None)
        return None if value is None else value.as_numpy_array().data.cast("B")
