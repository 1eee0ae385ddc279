"""Rows of a store: where they are, what they digest to, how they are read."""

from __future__ import annotations

import os
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
import zarr
from numpy.typing import NDArray
from zarr.abc.store import Store

from distdesc.errors import StoreError
from distdesc.place import Place, place
from distdesc.schema import ArraySpec
from distdesc.store.checked import UNREADABLE, get_array
from distdesc.store.containment import inside
from distdesc.store.storage import read, zarr_store

MACHINE_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
"""Bytes; no array that is read at once is larger."""


def digest_rows(rows: NDArray[Any]) -> str:
    """
    XXH3-128 of the values, independent of codecs.

    Parameters
    ----------
    rows : ndarray
        Of any shape; text is digested as UTF-8, each with its length.
    """
    if rows.dtype.kind not in "OTU":
        return xxhash.xxh3_128_hexdigest(np.ascontiguousarray(rows).data)
    state = xxhash.xxh3_128()
    for text in rows.ravel():
        data = str(text).encode()
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()


def digest_file(file: Place) -> str:
    """
    XXH3-128 of an object's bytes.

    Parameters
    ----------
    file : Place
        The object.
    """
    if not isinstance(file, Path):
        return xxhash.xxh3_128_hexdigest(read(file))
    state = xxhash.xxh3_128()
    with file.open("rb") as opened:
        while block := opened.read(2**22):
            state.update(block)
    return state.hexdigest()


def object_key(spec: ArraySpec, shard: int) -> str:
    """
    Name, within a store, of the object that holds one shard of one array.

    Parameters
    ----------
    spec : ArraySpec
        The array.
    shard : int
        Number of the shard.
    """
    return "/".join((spec.name, "c", str(shard), *("0" for _ in spec.shape)))


def object_path(path: Place, spec: ArraySpec, shard: int) -> Place:
    """
    Object that holds one shard of one array.

    Parameters
    ----------
    path : Place
        The store.
    spec : ArraySpec
        The array.
    shard : int
        Number of the shard.
    """
    return inside(path, path / object_key(spec, shard))


class RowReader:
    """
    Reads ranges of the arrays of a store, finished or still being written.

    Parameters
    ----------
    path : Place or str
        The store.
    held : zarr.abc.store.Store, optional
        Its objects, some of which are in memory.

    Raises
    ------
    StoreError
        If there is no store.
    """

    def __init__(self, path: Place | str, held: Store | None = None) -> None:
        self.path = place(path)
        store = zarr_store(self.path, True) if held is None else held
        try:
            self._group = zarr.open_group(store, mode="r", zarr_format=3)
        except (FileNotFoundError, *UNREADABLE) as error:
            raise StoreError(f"{path} is not a Zarr store: {error}") from error
        self._arrays: dict[str, zarr.Array[Any]] = {}

    def names(self) -> tuple[str, ...]:
        """Names of the arrays, sorted."""
        return tuple(sorted(self._group.array_keys()))

    def array(self, name: str) -> zarr.Array[Any]:
        """
        One array, as zarr gives it.

        Parameters
        ----------
        name : str
            Its name.

        Raises
        ------
        StoreError
            If there is no such array.
        """
        if name not in self._arrays:
            self._arrays[name] = get_array(self._group, name)
        return self._arrays[name]

    def attributes(self, name: str | None = None) -> dict[str, Any]:
        """
        Attributes of an array, or of the store.

        Parameters
        ----------
        name : str, optional
            Array; None for the root group.
        """
        owner = self._group if name is None else self.array(name)
        return dict(owner.attrs)

    def length(self, name: str) -> int:
        """
        Rows of an array.

        Parameters
        ----------
        name : str
            Its name.
        """
        return int(self.array(name).shape[0])

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """
        Rows ``start`` to ``stop`` of an array.

        Parameters
        ----------
        name : str
            Its name.
        start, stop : int
            Half-open range.

        Raises
        ------
        StoreError
            If an object is damaged, or so many rows do not fit into the memory of this machine.
        """
        array = self.array(name)
        rows = max(0, min(stop, array.shape[0]) - start)
        size = rows * prod(array.shape[1:]) * array.dtype.itemsize
        if size > MACHINE_MEMORY:
            raise StoreError(
                f"{self.path}/{name}[{start}:{stop}] would take {size / 2**30:.3g} GiB of memory, "
                f"more than there is"
            )
        try:
            return np.asarray(array[start:stop])
        except (ValueError, RuntimeError, MemoryError) as error:
            raise StoreError(f"{self.path}/{name}[{start}:{stop}] is damaged: {error}") from error

    def take(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        """
        Some rows of an array; each chunk is decoded once if they are sorted.

        Parameters
        ----------
        name : str
            Its name.
        rows : ndarray, shape (n,), int64
            Any rows, in any order.

        Raises
        ------
        StoreError
            If an object is damaged.
        """
        array = self.array(name)
        if not len(rows):
            return np.empty((0, *array.shape[1:]), dtype=array.dtype)
        if rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
            return self.read(name, int(rows[0]), int(rows[-1]) + 1)
        try:
            return np.asarray(array.oindex[rows])
        except (ValueError, RuntimeError, MemoryError) as error:
            raise StoreError(f"{self.path}/{name} is damaged: {error}") from error
