"""Whether what is stored is what a receipt says."""

from __future__ import annotations

from pathlib import Path

from distdesc.schema import ArraySpec
from distdesc.store.receipts import Receipt
from distdesc.store.rows import digest_file, object_path


def object_fault(path: Path, spec: ArraySpec, receipt: Receipt, content: bool) -> str | None:
    """
    Say how the object of one array is not as a receipt says; None if it is.

    Values that are measured may be those of another attempt that lost the race.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the store.
    spec : ArraySpec
        The array.
    receipt : Receipt
        Of the shard.
    content : bool
        Read the object too; otherwise, it must be there and have its size.
    """
    file = object_path(path, spec, receipt.shard)
    expected = receipt.objects.get(spec.name)
    try:
        found = file.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
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
