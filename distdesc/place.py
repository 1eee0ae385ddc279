"""Where a store is: a folder of a file system, or a prefix in a bucket of an object store."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from distdesc.errors import CampaignError, StoreError

SCHEMES = ("s3", "gs", "az")
"""Of the object stores that there are: of S3 and what speaks like it, of Google, of Azure."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class ObjectPath:
    """
    An object in a bucket, or what many have as the beginning of their name: a folder, as it were.

    Parameters
    ----------
    scheme : str
        One of `SCHEMES`.
    bucket : str
        Name of the bucket.
    key : str
        Name of the object, without slashes at its ends; empty for all of the bucket.
    """

    scheme: str
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"

    def __truediv__(self, name: str | PurePath) -> ObjectPath:
        """
        Place within this one.

        Parameters
        ----------
        name : str or PurePath
            Relative, and without ``..``.

        Raises
        ------
        StoreError
            If it would lie outside.
        """
        inner = PurePosixPath(name)
        if inner.is_absolute() or ".." in inner.parts:
            raise StoreError(f"{name} is not within {self}")
        parts = (*PurePosixPath(self.key).parts, *inner.parts)
        return ObjectPath(self.scheme, self.bucket, "/".join(parts))

    @property
    def name(self) -> str:
        """Last part of the key."""
        return PurePosixPath(self.key).name

    @property
    def stem(self) -> str:
        """Last part of the key, without its suffix."""
        return PurePosixPath(self.key).stem

    @property
    def parent(self) -> ObjectPath:
        """What it lies in."""
        return ObjectPath(self.scheme, self.bucket, self.key.rpartition("/")[0])

    def with_name(self, name: str) -> ObjectPath:
        """
        Place beside this one.

        Parameters
        ----------
        name : str
            Its last part.
        """
        return self.parent / name

    def relative_to(self, folder: ObjectPath) -> PurePosixPath:
        """
        Name within a folder.

        Parameters
        ----------
        folder : ObjectPath
            That it lies in.

        Raises
        ------
        ValueError
            If it does not.
        """
        if (folder.scheme, folder.bucket) != (self.scheme, self.bucket):
            raise ValueError(f"{self} is not in {folder}")
        return PurePosixPath(self.key).relative_to(folder.key)


Place = Path | ObjectPath


def place(text: str | Place) -> Place:
    """
    Place that a user named.

    Parameters
    ----------
    text : str, pathlib.Path or ObjectPath
        A folder, in which ``~`` is the user's, or ``s3://bucket/name.zarr``.

    Raises
    ------
    CampaignError
        If it is a URL of something else, or holds more than bucket and name, such as
        credentials; these are not repeated.
    """
    url = _URL.fullmatch(text) if isinstance(text, str) else None
    if url is None:
        return Path(os.path.expanduser(text)) if isinstance(text, str) else text
    scheme, rest = url.group(1).lower(), url.group(2)
    if scheme not in SCHEMES:
        raise CampaignError(
            f"path must be a folder, or begin with one of {', '.join(f'{s}://' for s in SCHEMES)}, "
            f"got {scheme}://"
        )
    bucket, _, key = rest.partition("/")
    if "@" in bucket or ":" in bucket or "?" in rest or "#" in rest:
        raise CampaignError(
            f"path must be {scheme}://BUCKET/NAME and nothing else: it is written into the store, "
            f"so give credentials by the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
        )
    parts = [p for p in key.split("/") if p]
    if not _BUCKET.fullmatch(bucket) or not parts or {".", ".."} & set(parts):
        raise CampaignError(f"path must be {scheme}://BUCKET/NAME, got {scheme}://{rest}")
    return ObjectPath(scheme, bucket, "/".join(parts))
