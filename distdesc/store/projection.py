"""The projection of a store: its arrays, in a group of their own, and whether they are whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xxhash
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from distdesc.errors import StoreError
from distdesc.place import Place
from distdesc.store.arrays import consolidate
from distdesc.store.checked import UNREADABLE, get_array
from distdesc.store.containment import inside
from distdesc.store.fits import Arrays, Fitted, read_fitted
from distdesc.store.rows import digest_file, digest_rows
from distdesc.store.storage import delete_folder, files, read, zarr_store

GROUP = "reduction"
"""Zarr group of the arrays of the projection."""

CHUNK_BYTES = 2**21
"""Of a chunk of the components, decoded, at the most."""


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
_METADATA = ("zarr.json", *(f"{name}/zarr.json" for name in _DIMENSIONS))
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


def projection_files(path: Place) -> dict[str, str]:
    """
    XXH3-128 of each object of the projection, by its name in the group ``reduction``.

    Parameters
    ----------
    path : Place
        The store.
    """
    return {name: digest_file(path / GROUP / name) for name in sorted(files(path / GROUP))}


def fitted_metadata(path: Place) -> dict[str, bytes]:
    """
    Metadata of the projection as they were written, by name in the group ``reduction``.

    Parameters
    ----------
    path : Place
        The store.

    Returns
    -------
    dict of str to bytes
        Of group and arrays; empty if nothing is fitted, or one of them is damaged or missing.
    """
    try:
        fitted = read_fitted(path)
        written = {} if fitted is None else fitted.files
        names = [name for name in _METADATA if name in written]
        found = {name: read(inside(path, path / GROUP / name)) for name in names}
    except (StoreError, FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return {}
    sound = all(xxhash.xxh3_128_hexdigest(v) == written[k] for k, v in found.items())
    return found if sound else {}


def projection_faults(path: Place, fitted: Fitted) -> dict[str, str]:
    """
    Say what of a projection is not as it was when it was fitted.

    Parameters
    ----------
    path : Place
        The store.
    fitted : Fitted
        Record of the fit.

    Returns
    -------
    dict of str to str
        What is wrong, by name of the array or object within the store.
    """
    faults = {}
    for name, digest in fitted.digests.items():
        try:
            read_projection(path, {name: digest})
        except StoreError as error:
            faults[f"{GROUP}/{name}"] = str(error)
    found = projection_files(path) if fitted.files and not faults else fitted.files
    for name in sorted({*fitted.files, *found}):
        if found.get(name) != fitted.files.get(name):
            what = "has other bytes than were written" if name in found else "is missing"
            faults[f"{GROUP}/{name}"] = f"{path / GROUP / name} {what}"
    return faults
