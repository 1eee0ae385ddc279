"""Objects of a store in a bucket: each is put at once, whole, and is safe when that is answered."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from zarr.core.sync import sync

from distdesc.place import ObjectPath
from distdesc.store.client import client, environment, told

SINGLE = 64 * 2**20
"""Bytes up to which an object is put by one request, of which nothing is left if it fails."""

BLOCK = 2**24
"""Bytes of a block, at the least, of what is copied."""

AT_ONCE = 64
"""Objects that are read, or put, at the same time."""

CREATIONS = 5
"""Tries of a conditional put whose answer was lost."""


Version = dict[str, str]


@dataclass(frozen=True)
class Found:
    """
    An object as it was read.

    Parameters
    ----------
    data : bytes
        Its content.
    version : dict of str to str
        What tells this content from any other: an ETag, and where there are any, a number.
    modified : float
        Unix time of the server, in s.
    """

    data: bytes
    version: Version
    modified: float


class Bucket:
    """
    What is done with the objects of one bucket; see `storage`.

    Parameters
    ----------
    scheme, name : str
        Of the bucket.
    """

    def __init__(self, scheme: str, name: str) -> None:
        self._url = f"{scheme}://{name}"
        self._client = client(scheme, name)
        # After the client, which says what to do if it is not installed.
        import obstore

        self._obs = obstore

    def read(self, key: str) -> Found:
        """
        Content of an object.

        Parameters
        ----------
        key : str
            Its name.
        """
        with told(f"{self._url}/{key}"):
            got = self._obs.get(self._client, key)
            meta = got.meta
            data = got.bytes().to_bytes()
        return Found(data, _version(meta), meta["last_modified"].timestamp())

    def blocks(self, key: str) -> Iterator[bytes]:
        """
        Content of an object, in blocks.

        Parameters
        ----------
        key : str
            Its name.
        """
        with told(f"{self._url}/{key}"):
            for block in self._obs.get(self._client, key).stream(min_chunk_size=BLOCK):
                yield bytes(block)

    def read_each(self, keys: Sequence[str]) -> list[bytes | None]:
        """
        See `storage.read_each`; all at the same time.

        Parameters
        ----------
        keys : sequence of str
            Their names.
        """
        return sync(self._read_all(keys))

    async def _read_all(self, keys: Sequence[str]) -> list[bytes | None]:
        return await asyncio.gather(*(self._read_if_there(key) for key in keys))

    async def _read_if_there(self, key: str) -> bytes | None:
        try:
            with told(f"{self._url}/{key}"):
                got = await self._obs.get_async(self._client, key)
                return (await got.bytes_async()).to_bytes()
        except FileNotFoundError:
            return None

    def head(self, key: str) -> tuple[int, Version]:
        """
        Size and version of an object.

        Parameters
        ----------
        key : str
            Its name.
        """
        with told(f"{self._url}/{key}"):
            meta = self._obs.head(self._client, key)
        return meta["size"], _version(meta)

    def create(self, key: str, data: bytes) -> bool:
        """
        Put an object that did not exist; False if it was there already.

        If an answer is lost, what is there is compared: if it is this very content, it was put.

        Parameters
        ----------
        key : str
            Its name.
        data : bytes
            The content.
        """
        last: OSError | None = None
        for _ in range(CREATIONS):
            try:
                with told(f"{self._url}/{key}"):
                    self._obs.put(self._client, key, data, mode="create", use_multipart=False)
                    return True
            except FileExistsError:
                pass
            except OSError as error:
                last = error
            try:
                found = self.read(key)
            except FileNotFoundError:
                continue
            return found.data == data
        raise last or OSError(errno.EIO, "it can be neither created nor read", f"{self._url}/{key}")

    def put(self, key: str, data: bytes, over: Version) -> bool:
        """
        Replace a small object; False if what is there is not what it should be.

        Parameters
        ----------
        key : str
            Its name.
        data : bytes
            The content.
        over : dict of str to str
            Version that what is there must have.
        """
        mode: Any = over
        try:
            with told(f"{self._url}/{key}"):
                self._obs.put(self._client, key, data, mode=mode, use_multipart=False)
        except FileExistsError:
            return False
        return True

    def put_each(self, objects: Sequence[tuple[str, bytes | memoryview]]) -> None:
        """
        Put objects at the same time, and replace what is there.

        All are safe when this returns; if one fails, none is under way any more.

        Parameters
        ----------
        objects : sequence of tuple of str and bytes or memoryview
            Name and content of each.
        """
        for begin in range(0, len(objects), AT_ONCE):
            sync(self._put_all(objects[begin : begin + AT_ONCE]))

    async def _put_all(self, objects: Sequence[tuple[str, bytes | memoryview]]) -> None:
        ends = await asyncio.gather(*(self._put(*one) for one in objects), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end

    async def _put(self, key: str, data: bytes | memoryview) -> None:
        with told(f"{self._url}/{key}"):
            await self._obs.put_async(
                self._client, key, data,
                use_multipart=len(data) > SINGLE, chunk_size=SINGLE // 4,
            )  # fmt: skip

    def delete(self, keys: Sequence[str]) -> None:
        """
        Delete objects, those of them that are there.

        Parameters
        ----------
        keys : sequence of str
            Their names.
        """
        for key in keys:
            try:
                with told(f"{self._url}/{key}"):
                    self._obs.delete(self._client, key)
            except FileNotFoundError:
                continue

    def names(self, folder: str) -> set[str]:
        """
        See `storage.names`.

        Parameters
        ----------
        folder : str
            Key of it, without a slash at its end.
        """
        with told(f"{self._url}/{folder}"):
            found = self._obs.list_with_delimiter(self._client, f"{folder}/")
        keys = [*found["common_prefixes"], *(o["path"] for o in found["objects"])]
        return {key.rstrip("/").rpartition("/")[2] for key in keys}

    def sizes(self, folder: str) -> Iterator[tuple[str, int]]:
        """
        See `storage.sizes`.

        Parameters
        ----------
        folder : str
            Key of it, without a slash at its end.
        """
        with told(f"{self._url}/{folder}"):
            for page in self._obs.list(self._client, f"{folder}/"):
                yield from ((o["path"][len(folder) + 1 :], o["size"]) for o in page)


def _version(meta: Any) -> Version:
    return {k: meta[k] for k in ("e_tag", "version") if meta.get(k)}


def bucket_of(path: ObjectPath) -> Bucket:
    """
    Bucket that a place is in.

    Parameters
    ----------
    path : ObjectPath
        The place.

    Raises
    ------
    StoreError
        If nothing says who one is, or a package is missing.
    """
    return _opened(path.scheme, path.bucket, environment())


@lru_cache(maxsize=16)
def _opened(scheme: str, name: str, environment: tuple[tuple[str, str], ...]) -> Bucket:
    """Open a bucket once per process, and anew when the environment says other things."""
    return Bucket(scheme, name)
