"""Whether what is stored is what a receipt says."""

from __future__ import annotations

from collections.abc import Mapping

from distdesc.place import Place
from distdesc.schema import ArraySpec
from distdesc.store.receipts import Receipt
from distdesc.store.rows import digest_file, object_key, object_path
from distdesc.store.storage import stamp


def object_fault(
    path: Place,
    spec: ArraySpec,
    receipt: Receipt,
    content: bool,
    sizes: Mapping[str, int] | None = None,
) -> str | None:
    """
    Say how the object of one array is not as a receipt says; None if it is.

    Values that are measured may be those of another attempt that lost the race.

    Parameters
    ----------
    path : Place
        The store.
    spec : ArraySpec
        The array.
    receipt : Receipt
        Of the shard.
    content : bool
        Read the object too; otherwise, it must be there and have its size.
    sizes : mapping of str to int, optional
        Sizes of what is stored, by name within the store; looked up if None.
    """
    file = object_path(path, spec, receipt.shard)
    expected = receipt.objects.get(spec.name)
    found = _size(file) if sizes is None else sizes.get(object_key(spec, receipt.shard))
    if found is None:
        return None if expected is None else f"{file} is missing"
    if expected is None:
        return f"{file} should not exist"
    size, checksum = expected
    if spec.measured:
        return None
    if found != size:
        return f"{file} has {found} bytes, its receipt says {size}"
    if content and digest_file(file) != checksum:
        return f"{file} has other bytes than its receipt says"
    return None


def _size(file: Place) -> int | None:
    try:
        return stamp(file).size
    except (FileNotFoundError, NotADirectoryError):
        return None
