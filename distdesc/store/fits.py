"""What a fit leaves in a store: parts of each pass while it goes on, the projection at its end."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xxhash
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec

from distdesc.errors import StoreError
from distdesc.place import Place
from distdesc.store.arrays import consolidate
from distdesc.store.checked import UNREADABLE, get_array
from distdesc.store.containment import inside
from distdesc.store.objects import parsed
from distdesc.store.rows import digest_rows
from distdesc.store.storage import delete, delete_folder, read, replace, zarr_store

FOLDER = "run/fit"
"""Folder of bases, sketches and the record of a fit, in the store."""

GROUP = "reduction"
"""Zarr group of the arrays of the projection."""

TABLE = "fit"
"""Name of the table of what the sample reads, beside the shard tables."""

CHUNK_BYTES = 2**21
"""Of a chunk of the components, decoded, at the most."""

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
    """

    digests: dict[str, str]
    environments: int
    total_variance: float
    variance: tuple[float, ...]

    @property
    def explained(self) -> tuple[float, ...]:
        """Part of the total variance along each component; empty if nothing was fitted."""
        return tuple(v / self.total_variance if self.total_variance else 0.0 for v in self.variance)


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
    except (*UNREADABLE, OSError, EOFError, zipfile.BadZipFile) as error:
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


def write_projection(path: Place, arrays: Arrays, attributes: Mapping[str, Any]) -> dict[str, str]:
    """
    Write the arrays of a projection into the group ``reduction``, instead of what is there.

    Parameters
    ----------
    path : Place
        The store.
    arrays : dict of str to ndarray
        ``mean``, ``components``, and ``variance`` if there is one.
    attributes : mapping
        JSON-compatible attributes of the group.

    Returns
    -------
    dict of str to str
        XXH3-128 of each array, which are also an attribute of the group.
    """
    digests = {name: digest_rows(values) for name, values in sorted(arrays.items())}
    delete_folder(path / GROUP)
    store = zarr_store(path)
    zarr.create_group(store, path=GROUP, attributes={"digests": digests, **attributes})
    for name, values in arrays.items():
        rows = max(1, CHUNK_BYTES // max(1, values[:1].nbytes))
        array = zarr.create_array(
            store,
            name=f"{GROUP}/{name}",
            shape=values.shape,
            chunks=(min(rows, len(values)), *values.shape[1:]),
            dtype=values.dtype,
            compressors=[BloscCodec(cname="lz4", clevel=5, shuffle="shuffle"), Crc32cCodec()],
            dimension_names=_DIMENSIONS[name],
            attributes={"unit": "1", "description": _DESCRIPTIONS[name]},
            config={"write_empty_chunks": True},
        )
        array[:] = values
    consolidate(path)
    return digests


_DIMENSIONS = {
    "mean": ("feature",),
    "components": ("component", "feature"),
    "variance": ("component",),
}
_DESCRIPTIONS = {
    "mean": "Subtracted from each fingerprint.",
    "components": "Each number kept is the product of a row with what the mean leaves.",
    "variance": "Of the fitted fingerprints along each component.",
}


def read_projection(path: Place, digests: Mapping[str, str]) -> Arrays:
    """
    Arrays of the projection, as they were when it was fitted.

    Parameters
    ----------
    path : Place
        The store.
    digests : mapping of str to str
        What `write_projection` returned.

    Returns
    -------
    dict of str to ndarray
        ``mean``, ``components``, and ``variance`` if there is one.

    Raises
    ------
    StoreError
        If an array is missing or damaged; the message names it.
    """
    arrays = {}
    for name, digest in digests.items():
        array = f"{GROUP}/{name}"
        try:
            group = zarr.open_group(
                zarr_store(path, True), mode="r", use_consolidated=False, zarr_format=3
            )
            arrays[name] = np.asarray(get_array(group, array)[:])
        except (OSError, *UNREADABLE) as error:
            raise StoreError(f"{path / array} cannot be read: {error}") from error
        if digest_rows(arrays[name]) != digest:
            raise StoreError(f"{path / array} has other values than were fitted")
    return arrays


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
    replace(path / FOLDER / "fitted.json", json.dumps(asdict(fitted)).encode())


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
    file = inside(path, path / FOLDER / "fitted.json")
    try:
        data = parsed(read(file))
        return Fitted(**{**data, "variance": tuple(data["variance"])})
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        raise StoreError(
            f"{file} is damaged: {error}; delete it, and the next run fits again"
        ) from error
