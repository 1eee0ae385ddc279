"""What a fit leaves in a store: parts of each pass while it goes on, the projection at its end."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from distdesc.errors import StoreError
from distdesc.place import Place
from distdesc.store.checked import UNREADABLE
from distdesc.store.containment import inside
from distdesc.store.npy import DAMAGED
from distdesc.store.objects import sealed, unsealed
from distdesc.store.storage import delete, delete_folder, read, replace

FOLDER = "run/fit"
"""Folder of bases, sketches and the record of a fit, in the store."""

FITTED = f"{FOLDER}/fitted.json"
"""Record of a fit."""

TABLE = "fit"
"""Name of the table of what the sample reads, beside the shard tables."""

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Fitted:
    """
    Record of a finished fit; the fit is done if and only if it exists and the arrays agree.

    Parameters
    ----------
    digests : dict of str to str
        XXH3-128 of the values of each array of the projection.
    environments : int
        Environments that were fitted; 0 if nothing had to be.
    total_variance : float
        Of all features together.
    variance : tuple of float
        Along each component; empty if nothing was fitted.
    files : dict of str to str
        XXH3-128 of each object of the projection, by its name in the group ``reduction``.
    """

    digests: dict[str, str]
    environments: int
    total_variance: float
    variance: tuple[float, ...]
    files: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Digest of the projection, by which receipts of rows name it."""
        return projection_digest(self.digests)

    @property
    def explained(self) -> tuple[float, ...]:
        """Part of the total variance along each component; empty if nothing was fitted."""
        return tuple(v / self.total_variance if self.total_variance else 0.0 for v in self.variance)


def projection_digest(digests: Mapping[str, str]) -> str:
    """
    XXH3-128 of a projection.

    Parameters
    ----------
    digests : mapping of str to str
        Of the values of each of its arrays.
    """
    text = "".join(f"{name}:{digest};" for name, digest in sorted(digests.items()))
    return xxhash.xxh3_128_hexdigest(text.encode())


def pass_name(number: int) -> str:
    """
    Name under which the receipts of a pass are filed.

    Parameters
    ----------
    number : int
        Of the pass, from 0.
    """
    return f"fit-{number}"


def basis_path(path: Place, number: int) -> Place:
    """
    File of the basis of a pass.

    Parameters
    ----------
    path : Place
        The store.
    number : int
        Of the pass.
    """
    return inside(path, path / FOLDER / f"{pass_name(number)}-basis.npz")


def sketch_path(path: Place, number: int, part: int) -> Place:
    """
    File of what one part of a pass found.

    Parameters
    ----------
    path : Place
        The store.
    number : int
        Of the pass.
    part : int
        Number of the part.
    """
    return inside(path, path / FOLDER / pass_name(number) / f"{part:08d}.npz")


def write_arrays(file: Place, arrays: Arrays) -> tuple[int, str]:
    """
    Write some arrays whole, or not at all.

    Parameters
    ----------
    file : Place
        Replaced if it exists.
    arrays : dict of str to ndarray
        The arrays.

    Returns
    -------
    tuple of int and str
        Size of the file, and XXH3-128 of its bytes.
    """
    data = io.BytesIO()
    np.savez(data, allow_pickle=False, **arrays)
    content = data.getvalue()
    replace(file, content)
    return len(content), xxhash.xxh3_128_hexdigest(content)


def read_arrays(file: Place, digest: str | None = None) -> tuple[Arrays, str]:
    """
    Arrays of a file written by `write_arrays`, and the XXH3-128 of its bytes.

    Parameters
    ----------
    file : Place
        The file.
    digest : str, optional
        XXH3-128 that its bytes must have.

    Returns
    -------
    arrays : dict of str to ndarray
        The arrays.
    digest : str
        XXH3-128 of the bytes.

    Raises
    ------
    StoreError
        If it is missing or damaged.
    """
    try:
        content = read(file)
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}") from error
    stored = xxhash.xxh3_128_hexdigest(content)
    if digest is not None and stored != digest:
        raise StoreError(f"{file} has other bytes than its receipt says")
    try:
        _check_stored(content)
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            return dict(found), stored
    except (*DAMAGED, OSError, zipfile.BadZipFile, zlib.error, struct.error) as error:
        raise StoreError(f"{file} is damaged: {error}") from error


def _check_stored(content: bytes) -> None:
    """Refuse compressed arrays, which are not written, and may be larger than they look."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{member.filename} is compressed")


def remove_pass(path: Place, number: int) -> None:
    """
    Delete basis and sketches of a pass that are needed no more; its receipts stay.

    Parameters
    ----------
    path : Place
        The store.
    number : int
        Of the pass.
    """
    delete_folder(path / FOLDER / pass_name(number))
    delete(basis_path(path, number))


def write_fitted(path: Place, fitted: Fitted) -> None:
    """
    Record that the fit is done, as its last act.

    Parameters
    ----------
    path : Place
        The store.
    fitted : Fitted
        The record.
    """
    replace(path / FITTED, sealed(asdict(fitted)))


def read_fitted(path: Place) -> Fitted | None:
    """
    Record of the fit, or None if it is not done.

    Parameters
    ----------
    path : Place
        The store.

    Raises
    ------
    StoreError
        If it is damaged.
    """
    file = inside(path, path / FITTED)
    try:
        data = unsealed(read(file))
        return Fitted(**{**data, "variance": tuple(data["variance"])})
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        raise StoreError(f"{file} is damaged: {error}; the next run fits again") from error
