"""A bucket as Zarr sees it."""

from __future__ import annotations

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import ObjectStore

from distdesc.place import ObjectPath
from distdesc.store.client import client, told


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
