"""Where every structure of a source is and how many atoms it has, on disk beside the run."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from distdesc.errors import SourceError
from distdesc.place import Place, place
from distdesc.store.cache import local_copy
from distdesc.store.npy import read_npy
from distdesc.store.objects import sealed, unsealed
from distdesc.store.storage import read, replace, stamp

INDEX = "run/index"
"""Folder of the index, in a store."""

ARRAYS = {"atom_counts": ("<i4", 1), "locators": ("<i8", 2)}
"""Kept in a file each: type and dimensions."""

EVERYTHING = Path("/")
"""Stands for all places, where some are to be ignored."""


@dataclass(frozen=True)
class FileStamp:
    """
    Cheap identity of an input file.

    Parameters
    ----------
    path : str
        Absolute path.
    size : int
        In bytes.
    mtime_ns : int
        Time of the last change, in ns; of an object, another number that differs after one.
    """

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Place) -> FileStamp:
        """
        Stamp of a file as it is now.

        Parameters
        ----------
        path : Place
            An existing file, or object in a bucket.
        """
        now = stamp(path)
        name = path.absolute() if isinstance(path, Path) else path
        return cls(str(name), now.size, now.version)


@dataclass(frozen=True)
class SourceIndex:
    """
    What a scan of a source found.

    Parameters
    ----------
    atom_counts : ndarray, shape (n,), int32
        Atoms of each structure; 0 where they cannot be known.
    locators : ndarray, shape (n, k), int64
        Whatever the source needs to find a structure: byte range, database id, file number.
    digest : str
        Of the content: equal for equal structures, wherever the files lie.
    files : tuple of FileStamp
        Files read; empty for servers.
    problems : dict of int to str
        Structures known from the scan to be unreadable, and why.
    """

    atom_counts: NDArray[np.int32]
    locators: NDArray[np.int64]
    digest: str
    files: tuple[FileStamp, ...] = ()
    problems: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.atom_counts)

    def problems_within(self, start: int, stop: int) -> dict[int, str]:
        """
        Known problems of a range, by position in it.

        Parameters
        ----------
        start, stop : int
            Half-open range of structures.
        """
        if not self.problems:
            return {}
        return {k - start: self.problems[k] for k in range(start, stop) if k in self.problems}

    def save(self, folder: Place) -> None:
        """
        Write the index, ``index.json`` last.

        Parameters
        ----------
        folder : Place
            Created if missing.
        """
        for name in ARRAYS:
            replace(folder / f"{name}.npy", *_npy(getattr(self, name)))
        meta = {
            "structures": len(self),
            "digest": self.digest,
            "arrays": {name: _digest(getattr(self, name)) for name in ARRAYS},
            "files": [[f.path, f.size, f.mtime_ns] for f in self.files],
            "problems": {str(k): v for k, v in self.problems.items()},
        }
        replace(folder / "index.json", sealed(meta, indent=1))

    @classmethod
    def load(cls, folder: Place) -> SourceIndex:
        """
        Index written by `save`, its arrays mapped, not read; from a bucket, copies of them.

        Parameters
        ----------
        folder : Place
            Where `save` put it.

        Raises
        ------
        SourceError
            If it is missing or damaged.
        """
        try:
            meta = unsealed(read(folder / "index.json"))
            saved = meta.get("arrays", {})
            counts, locators = (_load(folder, k, saved.get(k, "")) for k in ARRAYS)
            if not len(counts) == len(locators) == meta["structures"]:
                raise ValueError("its arrays differ in length")
            return cls(
                counts,
                locators,
                meta["digest"],
                tuple(FileStamp(*f) for f in meta["files"]),
                {int(k): v for k, v in meta["problems"].items()},
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SourceError(f"source index {folder} cannot be read: {error}") from error

    def damage(self, folder: Place) -> str | None:
        """
        Say what of an index that was loaded is not as it was saved; None if nothing is.

        Reads the arrays whole, which `load` does not.

        Parameters
        ----------
        folder : Place
            Where it was loaded from.
        """
        saved = unsealed(read(folder / "index.json")).get("arrays", {})
        for name in ARRAYS:
            if saved.get(name, "") not in ("", _digest(getattr(self, name))):
                return f"{folder / name}.npy has other values than were saved"
        return None

    def changed_file(self, ignoring: Place | None = None) -> str | None:
        """
        Say which file is no longer as it was when scanned, by size and time.

        Parameters
        ----------
        ignoring : Place, optional
            Folder whose files do not count, such as that of unpacked copies, or `EVERYTHING`.

        Returns
        -------
        str or None
            None if nothing has changed.
        """
        for then in self.files:
            path = place(then.path)
            if ignoring is not None and _within(path, ignoring):
                continue
            try:
                now = FileStamp.of(path)
            except FileNotFoundError:
                return f"{then.path} is gone"
            if now != then:
                return f"{then.path} has changed since it was indexed"
        return None


def _load(folder: Place, name: str, digest: str) -> NDArray[Any]:
    file = folder / f"{name}.npy"
    if isinstance(file, Path):
        return read_npy(file, *ARRAYS[name])
    with suppress(ValueError):
        found = read_npy(local_copy(file), *ARRAYS[name])
        if digest in ("", _digest(found)):
            return found
    found = read_npy(local_copy(file, fresh=True), *ARRAYS[name])
    if _digest(found) != digest:
        raise ValueError(f"{file} has other values than were saved")
    return found


def _within(path: Place, folder: Place) -> bool:
    if isinstance(path, Path):
        return isinstance(folder, Path) and path.is_relative_to(folder)
    return folder == EVERYTHING


def _npy(values: NDArray[Any]) -> tuple[bytes, memoryview]:
    """What `np.save` would write, without a copy of values that take gigabytes."""
    values = np.ascontiguousarray(values)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(values))
    return header.getvalue(), values.reshape(-1).view(np.uint8).data


def _digest(values: NDArray[np.generic]) -> str:
    return str(xxhash.xxh3_128_hexdigest(np.ascontiguousarray(values).data))
