"""Arrays of a store: created once by the client, written in whole shards by the workers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
import zarr
from numpy.typing import NDArray

from distdesc.errors import StoreError
from distdesc.schema import ArraySpec
from distdesc.store.layout import StageLayout


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


def digest_file(path: Path) -> str:
    """
    XXH3-128 of a file's bytes.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    """
    state = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(2**22):
            state.update(block)
    return state.hexdigest()


def object_path(path: Path, spec: ArraySpec, shard: int) -> Path:
    """
    File that holds one shard of one array.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the store.
    spec : ArraySpec
        The array.
    shard : int
        Number of the shard.
    """
    return path.joinpath(spec.name, "c", str(shard), *("0" for _ in spec.shape))


class RowWriter:
    """
    Writes whole shards of the arrays of one stage.

    Shards of the plan are shards of the store, so two tasks never touch the same object and no
    lock is taken; a repeated attempt rewrites the same bytes.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the store.
    layout : StageLayout
        Of the stage.
    specs : iterable of ArraySpec
        Its arrays.
    """

    def __init__(self, path: Path, layout: StageLayout, specs: Iterable[ArraySpec]) -> None:
        self.path, self.layout = path, layout
        self.specs = {s.name: s for s in specs}
        group = zarr.open_group(path, mode="r+", use_consolidated=False)
        # A slot's unused tail costs nothing; elsewhere, every chunk is stored, so that a
        # missing object is always a fault and never "all fill values".
        self.arrays = {
            name: open_array(group, name).with_config({"write_empty_chunks": not spec.ragged})
            for name, spec in self.specs.items()
        }

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
        spec = self.specs[name]
        start, stop = self.layout.span(spec, shard)
        fits = len(rows) <= stop - start if spec.ragged else len(rows) == stop - start
        if not fits or rows.shape[1:] != spec.shape:
            raise StoreError(
                f"{name}[{start}:{stop}] takes {stop - start} rows of shape {spec.shape}, "
                f"got {len(rows)} of shape {rows.shape[1:]}"
            )
        path = object_path(self.path, spec, shard)
        # zarr merges into an existing shard and refuses if that one is damaged.
        path.unlink(missing_ok=True)
        if len(rows):
            self.arrays[name][start : start + len(rows)] = rows
        if not path.exists():
            return None
        return path.stat().st_size, digest_file(path)


class RowReader:
    """
    Reads ranges of the arrays of a store, finished or still being written.

    Parameters
    ----------
    path : pathlib.Path or str
        Folder of the store.

    Raises
    ------
    StoreError
        If there is no store.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            self._group = zarr.open_group(self.path, mode="r")
        except (FileNotFoundError, ValueError) as error:
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
            self._arrays[name] = open_array(self._group, name)
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
            If an object is damaged.
        """
        try:
            return np.asarray(self.array(name)[start:stop])
        except (ValueError, RuntimeError) as error:
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
        except (ValueError, RuntimeError) as error:
            raise StoreError(f"{self.path}/{name} is damaged: {error}") from error


def open_array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    """
    One array of a group.

    Parameters
    ----------
    group : zarr.Group
        The group.
    name : str
        Path of the array in it.

    Raises
    ------
    StoreError
        If there is no such array.
    """
    array = group.get(name)
    if not isinstance(array, zarr.Array):
        raise StoreError(f"{group.store_path} has no array {name}")
    return array
