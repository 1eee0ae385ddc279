"""Arrays of a store are numbers and text: what could run code or fill the memory is refused."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import zarr
from zarr.abc.codec import Codec
from zarr.codecs import (
    BloscCodec,
    BytesCodec,
    Crc32cCodec,
    ShardingCodec,
    VLenUTF8Codec,
    ZstdCodec,
)

from distdesc.errors import StoreError

CODECS = (BloscCodec, BytesCodec, Crc32cCodec, ShardingCodec, VLenUTF8Codec, ZstdCodec)
"""With which arrays are written; there are others that unpickle what they read."""

KINDS = "biufSTU"
"""Of numpy's types: truth values, numbers and text, no objects."""

LARGEST_CHUNK = 2**31
"""Bytes of a chunk, which is decoded whole; compressors do not take more."""

UNREADABLE = (
    ValueError, TypeError, KeyError, AttributeError, RuntimeError, MemoryError, OverflowError,
)  # fmt: skip
"""What zarr raises on metadata that is damaged, or nested without end."""


def get_array(group: zarr.Group, name: str) -> zarr.Array[Any]:
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
        If there is no such array, its metadata are damaged, or it is not one that could have
        been written by this package.
    """
    where = f"{group.store_path}/{name}/zarr.json"
    try:
        array = group.get(name)
    except UNREADABLE as error:
        raise StoreError(f"{where} is damaged: {_short(error)}") from error
    if not isinstance(array, zarr.Array):
        raise StoreError(f"{group.store_path} has no array {name}")
    if array.metadata.zarr_format != 3:
        raise StoreError(f"{where} must have Zarr format 3, got {array.metadata.zarr_format}")
    if array.dtype.kind not in KINDS:
        raise StoreError(f"{where} must have a type of numbers or text, got {array.dtype}")
    for codec in _codecs(array.metadata.codecs):
        if not isinstance(codec, CODECS):
            raise StoreError(f"{where} has a codec that is not accepted: {type(codec).__name__}")
    size = prod(array.chunks) * array.dtype.itemsize
    if size > LARGEST_CHUNK:
        raise StoreError(
            f"{where} must have chunks of at most {LARGEST_CHUNK} bytes, got {size:.3g}"
        )
    return array


def _codecs(codecs: Iterable[Codec]) -> Iterable[Codec]:
    for codec in codecs:
        yield codec
        if isinstance(codec, ShardingCodec):
            yield from _codecs((*codec.codecs, *codec.index_codecs))


def _short(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:200]
