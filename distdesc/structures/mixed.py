"""Files of any mixture of formats, of which those that cannot be read are set aside by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from distdesc import registry
from distdesc.checks import check_flag
from distdesc.errors import SourceBusyError, SourceError
from distdesc.structures import SOURCES
from distdesc.structures.batches import BatchBuilder, check_range, joined
from distdesc.structures.files import check_path, digest_of_file, find_files, is_compressed
from distdesc.structures.guess import guess_source
from distdesc.structures.index import FileStamp, SourceIndex
from distdesc.structures.places import REFUSED
from distdesc.structures.source import Progress, Source, Structures

WIDTHS = {"extxyz": 4, "ase_db": 2, "aselmdb": 2, "ase_any": 2}
"""Sources of single files, and numbers of their locators."""

NAMED = 5
"""Refused files that a message names."""


@dataclass(frozen=True)
class MixedFiles:
    """
    Structures of a folder, or of files of any mixture of formats, one file after the other.

    Each file is read by the source that its name stands for: extended XYZ, ASE databases,
    .aselmdb files, and ASE for all others. A file that gives no structure at all is refused: it
    is one structure without atoms, whose problem begins with "file refused" and says why, and
    does not count as quarantined. Hidden files are left out, and what is in folders ending in
    .zarr. Compressed extended XYZ is unpacked beside the store until the run is done.

    Parameters
    ----------
    path : str or tuple of str
        Folder, file, glob, or several of those. Files of a folder or glob are sorted by name.
    strict : bool
        Whether a refused file is an error.
    partial : bool
        As of ``ase_any``: whether structures with partly occupied sites are taken.
    """

    path: str | tuple[str, ...]
    strict: bool = False
    partial: bool = False

    def __post_init__(self) -> None:
        check_path(self.path)
        check_flag("strict", self.strict)
        check_flag("partial", self.partial)

    @property
    def seekable(self) -> bool:
        """See `Source.seekable`; what is compressed is unpacked by the scan."""
        return True

    def files(self) -> list[Path]:
        """See `FileSource.files`."""
        return _files(self.path)

    def scan(self, progress: Progress | None = None, scratch: Path | None = None) -> SourceIndex:
        """
        See `Source.scan`.

        Parameters
        ----------
        progress : callable, optional
            Called with files done and their number.
        scratch : pathlib.Path, optional
            Where compressed extended XYZ is unpacked.

        Raises
        ------
        SourceBusyError
            If a file is in use, so that waiting for it may help.
        SourceError
            If there is no file, or one is refused although `strict`.
        """
        files = self.files()
        packed = [f for f in files if is_compressed(f) and _kind(str(f)) == "extxyz"]
        if packed and scratch is None:
            raise SourceError(f"{packed[0]} is compressed, and there is no place to unpack it")
        scanned = _Scanned()
        for number, file in enumerate(files):
            own = None if scratch is None else scratch / f"{number:06d}"
            scanned.add(file, self._scan_file(file, own))
            if progress is not None:
                progress(number + 1, len(files))
        if len(scanned.refused) == len(files):
            first = scanned.refused[0]
            raise SourceError(f"none of {len(files)} files can be read, the first: {first}")
        if self.strict and scanned.refused:
            named = "; ".join(scanned.refused[:NAMED])
            more = len(scanned.refused) - NAMED
            raise SourceError(
                f"{len(scanned.refused)} of {len(files)} files cannot be read, and strict is "
                f"set: {named}{f'; and {more} more' if more > 0 else ''}"
            )
        return scanned.index()

    def read(self, index: SourceIndex, start: int, stop: int, records: bool = False) -> Structures:
        """
        See `Source.read`.

        Parameters
        ----------
        index : SourceIndex
            Of this source; says which files to read.
        start, stop : int
            Half-open range of structures.
        records : bool
            Also fill ``Structures.records``.

        Raises
        ------
        SourceError
            If the range or a file is not there, or a file has changed.
        """
        check_range(index, start, stop)
        parts = [
            self._read_file(index, number, first, last, records)
            for number, first, last in _stretches(index.locators[start:stop, 0], start)
        ]
        return joined(parts) if parts else BatchBuilder(index, start, stop, records).finish()

    def _scan_file(self, file: Path, scratch: Path | None) -> SourceIndex | str:
        """Index of a file, or why it cannot be read."""
        try:
            return _source(str(file), self.partial).scan(scratch=scratch)
        except SourceBusyError:
            raise
        except (SourceError, PermissionError) as error:
            return str(error)

    def _read_file(
        self, index: SourceIndex, number: int, start: int, stop: int, records: bool
    ) -> Structures:
        """Structures of one file, as its own source reads them."""
        problems = index.problems_within(start, stop)
        if len(problems) == stop - start:
            builder = BatchBuilder(index, start, stop, records)
            for k in range(start, stop):
                builder.skip_known(k)
            return builder.finish()
        stamp = index.files[number]
        places = index.locators[start:stop, 1 : 1 + WIDTHS[_kind(stamp.path)]]
        own = SourceIndex(index.atom_counts[start:stop], places, "", (stamp,), problems)
        batch = _source(stamp.path, self.partial).read(own, 0, stop - start, records)
        return replace(batch, indices=np.arange(start, stop, dtype=np.int64))


class _Scanned:
    """What was found so far, file after file."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self._counts: list[NDArray[np.int32]] = []
        self._locators: list[NDArray[np.int64]] = []
        self._stamps: list[FileStamp] = []
        self._problems: dict[int, str] = {}
        self._digest = xxhash.xxh3_128()
        self._n = 0

    def add(self, file: Path, found: SourceIndex | str) -> None:
        """Add what a file has, or why it has nothing."""
        if not isinstance(found, str) and len(found.problems) == len(found):
            # Nothing in it can be read: the first reason stands for all of them.
            found = found.problems[0]
        if isinstance(found, str):
            reason = found if str(file) in found else f"{file}: {found}"
            self.refused.append(reason)
            self._problems[self._n] = f"{REFUSED}: {reason}"
            content = f"{REFUSED}:{_content(file)}"
            found = SourceIndex(
                np.zeros(1, np.int32), np.zeros((1, 0), np.int64), content, (FileStamp.of(file),)
            )
        own = np.zeros((len(found), 1 + max(WIDTHS.values())), dtype=np.int64)
        own[:, 0] = len(self._stamps)
        own[:, 1 : 1 + found.locators.shape[1]] = found.locators
        self._digest.update(f"{len(found)}:{found.digest};".encode())
        self._problems |= {self._n + k: reason for k, reason in found.problems.items()}
        self._counts.append(found.atom_counts)
        self._locators.append(own)
        self._stamps += found.files
        self._n += len(found)

    def index(self) -> SourceIndex:
        return SourceIndex(
            np.concatenate(self._counts), np.concatenate(self._locators),
            str(self._digest.hexdigest()), tuple(self._stamps), self._problems,
        )  # fmt: skip


def _files(path: str | Sequence[str]) -> list[Path]:
    """All files that a path stands for; of a folder, those in its folders too."""
    if not isinstance(path, str):
        return [file for p in path for file in _files(p)]
    folder = Path(path).expanduser()
    if not folder.is_dir():
        return find_files(path)
    found = []
    for file in sorted(folder.rglob("*")):
        place = file.relative_to(folder)
        if file.is_dir() or any(p.startswith(".") or p.endswith(".zarr") for p in place.parts):
            continue
        if not file.is_file():
            what = "a link to nothing" if file.is_symlink() else "no regular file"
            raise SourceError(f"{file} is {what}; remove it, or name the files with a glob")
        found.append(file)
    if not found:
        raise SourceError(f"{path} has no files")
    return found


def _kind(path: str) -> str:
    name = str(guess_source(path)["name"])
    return name if name in WIDTHS else "ase_any"


def _content(file: Path) -> str:
    try:
        return digest_of_file(file)
    except PermissionError:
        return "forbidden"


def _stretches(numbers: NDArray[np.int64], start: int) -> Iterator[tuple[int, int, int]]:
    """File, first structure and one after the last, of what lies in one file."""
    for number, items in groupby(range(len(numbers)), key=numbers.tolist().__getitem__):
        places: Sequence[int] = list(items)
        yield number, start + places[0], start + places[-1] + 1


@lru_cache(maxsize=1024)
def _source(path: str, partial: bool) -> Source:
    name = _kind(path)
    fields = {"partial": partial} if name == "ase_any" else {}
    source: Source = registry.build(SOURCES, "source", {"name": name, "path": path, **fields})
    return source
