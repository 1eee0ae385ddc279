"""Whether what is stored is what a receipt says."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from distdesc.place import Place
from distdesc.schema import ArraySpec
from distdesc.store import storage
from distdesc.store.receipts import Receipt
from distdesc.store.rows import object_path

Sizes = dict[str, NDArray[np.int64]]

MISSING = -1
"""Size of an object that is not there."""


def object_fault(
    path: Place,
    spec: ArraySpec,
    receipt: Receipt,
    sizes: Sizes | None = None,
) -> str | None:
    """
    Say whether the object of one array is missing, or has another size than a receipt says.

    Values that are measured may be those of another attempt that lost the race.

    Parameters
    ----------
    path : Place
        The store.
    spec : ArraySpec
        The array.
    receipt : Receipt
        Of the shard.
    sizes : dict of str to ndarray, optional
        What `listed_sizes` found; looked up if None.
    """
    file = object_path(path, spec, receipt.shard)
    expected = receipt.objects.get(spec.name)
    found = _size(file) if sizes is None else int(sizes[spec.name][receipt.shard])
    if found < 0:
        return None if expected is None else f"{file} is missing"
    if expected is None:
        return f"{file} should not exist"
    if not spec.measured and found != expected[0]:
        return f"{file} has {found} bytes, its receipt says {expected[0]}"
    return None


def content_fault(
    path: Place, spec: ArraySpec, receipt: Receipt, content: bytes | None
) -> str | None:
    """
    Say how the content of an object is not as a receipt says; None if it is.

    Parameters
    ----------
    path : Place
        The store.
    spec : ArraySpec
        The array.
    receipt : Receipt
        Of the shard, which has such an object.
    content : bytes or None
        As it was read; None if it is not there.
    """
    file = object_path(path, spec, receipt.shard)
    if content is None:
        return f"{file} is missing"
    if not spec.measured and xxhash.xxh3_128_hexdigest(content) != receipt.objects[spec.name][1]:
        return f"{file} has other bytes than its receipt says"
    return None


def listed_sizes(path: Place, specs: Iterable[ArraySpec], n_shards: int) -> Sizes | None:
    """
    Sizes of all objects of some arrays, where listing them is cheaper than to look at each.

    Parameters
    ----------
    path : Place
        The store.
    specs : iterable of ArraySpec
        The arrays.
    n_shards : int
        Shards of their stage.

    Returns
    -------
    dict of str to ndarray, shape (n_shards,), int64
        By array; -1 where there is no object. None for a store that is a folder.
    """
    if isinstance(path, Path):
        return None
    found = {spec.name: np.full(n_shards, MISSING, dtype=np.int64) for spec in specs}
    for name, sizes in found.items():
        for key, size in storage.sizes(path / name / "c"):
            shard = key.partition("/")[0]
            if shard.isdecimal() and int(shard) < n_shards:
                sizes[int(shard)] = size
    return found


def _size(file: Place) -> int:
    try:
        return storage.stamp(file).size
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
