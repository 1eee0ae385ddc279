"""Extended XYZ files, with an index of where each frame is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from distdesc.errors import SourceError
from distdesc.structures._extxyz_frames import FrameFile, UnreadableError
from distdesc.structures._extxyz_scan import FrameIndex
from distdesc.structures.batches import BatchBuilder
from distdesc.structures.files import check_path, find_files, is_compressed, unpack
from distdesc.structures.index import FileStamp, SourceIndex
from distdesc.structures.source import Progress, Structures


@dataclass(frozen=True)
class ExtxyzFiles:
    """
    Frames of extended XYZ files, plain or compressed (.gz, .xz, .bz2).

    What is not a frame (garbage, a wrong number of atoms, a file cut short) becomes a structure
    without atoms whose problem names file, line and what was found, up to the next line that is
    a number of atoms followed by that many lines with at least four columns. Info, arrays and
    results are those of ASE's reader; constraints (``move_mask``) are not kept. A frame whose
    labels alone cannot be read has a geometry, but no record.

    Parameters
    ----------
    path : str or tuple of str
        File, glob, or several of those. Globs are sorted by name.
    """

    path: str | tuple[str, ...]

    def __post_init__(self) -> None:
        check_path(self.path)

    @property
    def seekable(self) -> bool:
        """See `Source.seekable`."""
        return not any(map(is_compressed, find_files(self.path)))

    def files(self) -> list[Path]:
        """See `FileSource.files`."""
        return find_files(self.path)

    def scan(self, progress: Progress | None = None, scratch: Path | None = None) -> SourceIndex:
        """
        See `Source.scan`; the digest is of the unpacked bytes.

        Parameters
        ----------
        progress : callable, optional
            Called with bytes done and their total.
        scratch : pathlib.Path, optional
            Where compressed files are unpacked.

        Raises
        ------
        SourceError
            If there is nothing to read, or compressed files and no scratch folder.
        """
        files = self.files()
        packed = [file for file in files if is_compressed(file)]
        if packed and scratch is None:
            raise SourceError(
                f"{packed[0]} is compressed and cannot be sought: ingest it first "
                f"(distdesc ingest {packed[0]} -o structures.zarr)"
            )
        total = sum(file.stat().st_size for file in files)
        index, done = FrameIndex(), 0

        def tell(of_file: int) -> None:
            if progress is not None:
                progress(min(done + of_file, total), total)

        for number, file in enumerate(files):
            plain, damage = file, None
            if scratch is not None and is_compressed(file):
                plain = scratch / f"{number:06d}-{file.stem}"
                damage = unpack(file, plain, tell)
            before = len(index)
            index.scan(plain, file, tell if plain is file else lambda _: None)
            if len(index) == before and (damage or len(files) > 1):
                index.add_problem(0, 0, 1, f"{file} is empty")
            if damage:
                index.blame_last(damage)
            done += file.stat().st_size
        if not len(index):
            raise SourceError(f"{files[0]} is empty")
        counts, locators = index.arrays()
        stamps = tuple(FileStamp.of(file) for file in [*index.files, *packed])
        return SourceIndex(counts, locators, index.digest, stamps, index.problems)

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
        places = zip(range(start, stop), index.locators[start:stop].tolist(), batch.counts,
                     strict=True)  # fmt: skip
        for number, frames in groupby(places, key=lambda place: place[1][0]):
            with FrameFile(index.files[number].path) as file:
                for structure, (_, first, last, line), count in frames:
                    if not batch.skip_known(structure):
                        _add_frame(batch, file, (first, last, line), count)
        return batch.finish()


def _add_frame(
    batch: BatchBuilder, file: FrameFile, place: tuple[int, int, int], count: int
) -> None:
    first, last, line = place
    try:
        if batch.wants_records:
            batch.add_record(file.record(first, last, count))
        else:
            batch.add(*file.geometry(first, last, count))
    except UnreadableError as error:
        batch.add_problem(f"{file.path} line {line}: {error}")
