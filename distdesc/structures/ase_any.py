"""Files of any format that ASE reads."""

from __future__ import annotations

import lzma
import struct
import warnings
import zlib
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np
import xxhash
from ase import Atoms
from ase.io import iread
from ase.io.aims import AimsParseError
from ase.io.formats import ioformats
from ase.io.octopus.input import OctopusParseError
from ase.io.trajectory import VersionTooOldError
from ase.io.vasp_parsers.vasp_outcar_parsers import NoNonEmptyLines, UnableToLocateDelimiter
from ase.spacegroup.spacegroup import SpacegroupError

from distdesc.errors import CampaignError, SourceError
from distdesc.structures.batches import BatchBuilder
from distdesc.structures.files import check_path, digest_of_file, find_files
from distdesc.structures.index import FileStamp, SourceIndex
from distdesc.structures.records import from_atoms, parse_errors
from distdesc.structures.source import Progress, Structures

CACHED_SIZE = 2**25
"""Files up to this size, in bytes, are parsed once and kept, as ASE parses most from the start."""

FULL = 1e-3
"""How far an occupancy may be from one."""

_READ_ERRORS = (
    *parse_errors(), AimsParseError, NoNonEmptyLines, OctopusParseError, SpacegroupError,
    UnableToLocateDelimiter, VersionTooOldError, lzma.LZMAError, struct.error, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class AseFiles:
    """
    Structures of files that ``ase.io.read`` reads, such as CIF, POSCAR or trajectories.

    A file that ASE cannot read is one structure without atoms whose problem says why; where a
    file fails after some structures, those are kept and followed by the problem.

    Parameters
    ----------
    path : str or tuple of str
        File, glob, or several of those. Globs are sorted by name.
    format : str
        Name of the format as ASE has it; recognised by content and name if empty.
    partial : bool
        Whether structures with partly occupied sites are taken as ASE makes them, with one
        occupant of each site and without vacancies; otherwise they are problems.
    """

    path: str | tuple[str, ...]
    format: str = ""
    partial: bool = False

    def __post_init__(self) -> None:
        check_path(self.path)
        if self.format and self.format not in ioformats:
            raise CampaignError(f"format must be one that ASE knows, got {self.format!r}")

    @property
    def seekable(self) -> bool:
        """See `Source.seekable`; ASE unpacks by itself."""
        return True

    def files(self) -> list[Path]:
        """See `FileSource.files`."""
        return find_files(self.path)

    def scan(self, progress: Progress | None = None, scratch: Path | None = None) -> SourceIndex:
        """
        See `Source.scan`; reads everything once.

        Parameters
        ----------
        progress : callable, optional
            Called with files done and their number.
        scratch : pathlib.Path, optional
            Not needed.

        Raises
        ------
        SourceError
            If there is nothing to read.
        """
        files = self.files()
        counts: list[int] = []
        places: list[tuple[int, int]] = []
        problems: dict[int, str] = {}
        digest = xxhash.xxh3_128()
        stamps = []
        for number, file in enumerate(files):
            stamp = FileStamp.of(file)
            stamps.append(stamp)
            images, failure = _read_all(stamp, self.format)
            places += [(number, k) for k in range(len(images) + (failure is not None))]
            counts += [len(image) for image in images]
            if failure is not None:
                problems[len(counts)] = failure
                counts.append(0)
            digest.update(f"{len(images)}:{digest_of_file(file)};".encode())
            if progress is not None:
                progress(number + 1, len(files))
        return SourceIndex(
            np.array(counts, dtype=np.int32),
            np.array(places, dtype=np.int64),
            str(digest.hexdigest()),
            tuple(stamps),
            problems,
        )

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
        batch = BatchBuilder(index, start, stop, records)
        places = zip(range(start, stop), index.locators[start:stop].tolist(), strict=True)
        for number, items in groupby(places, key=lambda place: place[1][0]):
            wanted = [(structure, frame) for structure, (_, frame) in items]
            first, last = wanted[0][1], wanted[-1][1] + 1
            images, failure = _read_range(index.files[number], self.format, first, last)
            for structure, frame in wanted:
                if batch.skip_known(structure):
                    continue
                image = images[frame - first] if frame - first < len(images) else None
                partly = None if image is None or self.partial else _partly_occupied(image)
                if partly is not None:
                    batch.add_problem(f"{index.files[number].path} frame {frame}: {partly}")
                elif image is not None:
                    batch.add_record(from_atoms(image))
                else:
                    batch.add_problem(failure or f"{index.files[number].path}: no frame {frame}")
        return batch.finish()


def _partly_occupied(image: Atoms) -> str | None:
    """Say which site of a structure has no atom, or several, part of the time."""
    sites = image.info.get("occupancy")
    for site in sites.values() if isinstance(sites, dict) else ():
        if len(site) > 1 or any(part < 1 - FULL for part in site.values()):
            shares = ", ".join(f"{symbol} {part:g}" for symbol, part in site.items())
            return (
                f"a site is partly occupied ({shares}), of which ASE would make "
                f"{image.get_chemical_formula()}; partial = true accepts that"
            )
    return None


def _read_range(
    stamp: FileStamp, format_name: str, first: int, last: int
) -> tuple[list[Atoms], str | None]:
    if stamp.size <= CACHED_SIZE:
        images, failure = _read_cached(stamp, format_name)
        return images[first:last], failure
    return _read_frames(stamp.path, format_name, slice(first, last))


def _read_all(stamp: FileStamp, format_name: str) -> tuple[list[Atoms], str | None]:
    if stamp.size <= CACHED_SIZE:
        return _read_cached(stamp, format_name)
    return _read_frames(stamp.path, format_name, slice(None))


@lru_cache(maxsize=4)
def _read_cached(stamp: FileStamp, format_name: str) -> tuple[list[Atoms], str | None]:
    return _read_frames(stamp.path, format_name, slice(None))


def _read_frames(path: str, format_name: str, frames: slice) -> tuple[list[Atoms], str | None]:
    """Structures of a file, and what stopped ASE before its end."""
    images: list[Atoms] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for image in iread(path, frames, format_name or None, do_not_split_by_at_sign=True):
                images.append(image)  # noqa: PERF402 (those before a failure are kept)
    except _READ_ERRORS as error:
        if not Path(path).is_file():
            raise SourceError(f"{path} is gone: {error}") from error
        text = " ".join(str(error).split())[:200]
        return images, f"{path}: ASE cannot read it: {type(error).__name__}: {text}"
    if not images and frames == slice(None):
        return images, f"{path}: ASE finds no structure in it"
    return images, None
