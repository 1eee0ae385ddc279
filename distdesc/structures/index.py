"""Where every structure of a source is and how many atoms it has, on disk beside the run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from distdesc.errors import SourceError

ARRAYS = ("atom_counts", "locators")
"""Kept in a file each."""


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
        Time of the last change, in ns.
    """

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> FileStamp:
        """
        Stamp of a file as it is now.

        Parameters
        ----------
        path : pathlib.Path
            An existing file.
        """
        stat = path.stat()
        return cls(str(path.absolute()), stat.st_size, stat.st_mtime_ns)


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

    def save(self, folder: Path) -> None:
        """
        Write the index, ``index.json`` last.

        Parameters
        ----------
        folder : pathlib.Path
            Created if missing.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name in ARRAYS:
            partial = folder / f"{name}.npy.partial"
            with partial.open("wb") as file:
                np.save(file, getattr(self, name))
                file.flush()
                os.fsync(file.fileno())
            partial.rename(folder / f"{name}.npy")
        meta = {
            "structures": len(self),
            "digest": self.digest,
            "arrays": {name: _digest(getattr(self, name)) for name in ARRAYS},
            "files": [[f.path, f.size, f.mtime_ns] for f in self.files],
            "problems": {str(k): v for k, v in self.problems.items()},
        }
        text = folder / "index.json.partial"
        with text.open("w") as file:
            file.write(json.dumps(meta, indent=1))
            file.flush()
            os.fsync(file.fileno())
        text.rename(folder / "index.json")

    @classmethod
    def load(cls, folder: Path) -> SourceIndex:
        """
        Index written by `save`, its arrays mapped, not read.

        Parameters
        ----------
        folder : pathlib.Path
            Where `save` put it.

        Raises
        ------
        SourceError
            If it is missing or damaged.
        """
        try:
            meta = json.loads((folder / "index.json").read_text())
            counts = np.load(folder / "atom_counts.npy", mmap_mode="r")
            locators = np.load(folder / "locators.npy", mmap_mode="r")
        except (OSError, ValueError, EOFError, KeyError) as error:
            raise SourceError(f"source index {folder} cannot be read: {error}") from error
        if not len(counts) == len(locators) == meta["structures"]:
            raise SourceError(f"source index {folder} is damaged: its arrays differ in length")
        return cls(
            counts,
            locators,
            meta["digest"],
            tuple(FileStamp(*f) for f in meta["files"]),
            {int(k): v for k, v in meta["problems"].items()},
        )

    def damage(self, folder: Path) -> str | None:
        """
        Say what of an index that was loaded is not as it was saved; None if nothing is.

        Reads the arrays whole, which `load` does not.

        Parameters
        ----------
        folder : pathlib.Path
            Where it was loaded from.
        """
        saved = json.loads((folder / "index.json").read_text()).get("arrays", {})
        for name in ARRAYS:
            if saved.get(name, "") not in ("", _digest(getattr(self, name))):
                return f"{folder / name}.npy has other values than were saved"
        return None

    def changed_file(self, ignoring: Path | None = None) -> str | None:
        """
        Say which file is no longer as it was when scanned, by size and time.

        Parameters
        ----------
        ignoring : pathlib.Path, optional
            Folder whose files do not count, such as that of unpacked copies.

        Returns
        -------
        str or None
            None if nothing has changed.
        """
        for stamp in self.files:
            path = Path(stamp.path)
            if ignoring is not None and path.is_relative_to(ignoring):
                continue
            if not path.exists():
                return f"{stamp.path} is gone"
            if FileStamp.of(path) != stamp:
                return f"{stamp.path} has changed since it was indexed"
        return None


def _digest(values: NDArray[np.generic]) -> str:
    return str(xxhash.xxh3_128_hexdigest(np.ascontiguousarray(values).data))
