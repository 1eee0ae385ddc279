"""Objects of a store in a bucket: each is put at once, whole, and is safe when that is answered."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.core.sync import sync
from zarr.storage import ObjectStore

from distdesc.place import ObjectPath
from distdesc.store.client import client, environment, told

SINGLE = 64 * 2**20
"""Bytes up to which an object is put by one request, of which nothing is left if it fails."""

BLOCK = 2**24
"""Bytes of a block, at the least, of what is copied."""

AT_ONCE = 64
"""Objects that are read at the same time."""

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

    def put(self, key: str, data: bytes | memoryview, over: Version | None = None) -> bool:
        """
        Put an object, and replace what is there; False if that is not what it should be.

        Parameters
        ----------
        key : str
            Its name.
        data : bytes or memoryview
            The content.
        over : dict of str to str, optional
            Version that what is there must have.
        """
        large = len(data) > SINGLE and over is None
        how: Any = {} if over is None else {"mode": over}
        try:
            with told(f"{self._url}/{key}"):
                self._obs.put(
                    self._client, key, data, use_multipart=large, chunk_size=SINGLE // 4, **how
                )
        except FileExistsError:
            return False
        return True

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


class ZarrBucket(ObjectStore):  # type: ignore[type-arg]
    """
    Store of Zarr in a bucket, which says what fails, and travels without credentials.

    Parameters
    ----------
    path : ObjectPath
        The store.
    read_only : bool
        Whether nothing can be written.
    """

    def __init__(self, path: ObjectPath, read_only: bool = False) -> None:
        super().__init__(client(path.scheme, path.bucket, path.key), read_only=read_only)
        self.path = path

    def __reduce__(self) -> tuple[type[ZarrBucket], tuple[ObjectPath, bool]]:
        return type(self), (self.path, self.read_only)

    def __str__(self) -> str:
        return str(self.path)

    def with_read_only(self, read_only: bool = False) -> ZarrBucket:
        """
        See zarr.abc.store.Store.

        Parameters
        ----------
        read_only : bool
            Whether nothing can be written.
        """
        return type(self)(self.path, read_only)

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
        with told(f"{self.path}/{key}"):
            return await super().get(key, prototype, byte_range)

    async def set(self, key: str, value: Buffer) -> None:
        """
        See zarr.abc.store.Store.

        Parameters
        ----------
        key : str
            Name of the object.
        value : Buffer
            The content.
        """
        with told(f"{self.path}/{key}"):
            await super().set(key, value)


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
