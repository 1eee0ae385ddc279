"""What a source of structures is, and the batch of structures that it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from distdesc.structures.index import SourceIndex

Progress = Callable[[int, int], None]
"""Called with (bytes or structures done, total) now and then during long work."""


@dataclass(frozen=True)
class Structure:
    """
    One structure with everything that its source knows of it.

    Parameters
    ----------
    numbers : ndarray, shape (n_atoms,), int64
        Atomic numbers.
    positions : ndarray, shape (n_atoms, 3), float64
        In Å.
    cell : ndarray, shape (3, 3), float64
        Lattice vectors as rows, in Å; zero where there is none.
    pbc : ndarray, shape (3,), bool
        Periodic directions.
    info : dict
        Per-structure data, as ``ase.Atoms.info``.
    arrays : dict of str to ndarray
        Per-atom data other than numbers and positions, as ``ase.Atoms.arrays``.
    results : dict
        Calculator results (energy in eV, forces in eV/Å, …), as ``SinglePointCalculator``.
    """

    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    info: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Structures:
    """
    A batch of structures as flat arrays.

    A structure that could not be read still has its place: `problems` says why, and its atoms,
    as many as the index announced, have number 0 and positions NaN.

    Parameters
    ----------
    indices : ndarray, shape (n,), int64
        Position of each structure in its source.
    offsets : ndarray, shape (n + 1,), int64
        Structure k has the atoms ``offsets[k]:offsets[k + 1]``.
    numbers : ndarray, shape (n_atoms,), int32
        Atomic numbers.
    positions : ndarray, shape (n_atoms, 3), float64
        In Å.
    cells : ndarray, shape (n, 3, 3), float64
        Lattice vectors as rows, in Å.
    pbc : ndarray, shape (n, 3), bool
        Periodic directions.
    problems : dict of int to str
        Why a structure could not be read, by position in this batch.
    records : sequence of Structure or None, optional
        The same structures with all their data, where asked for; None for the unreadable.
    """

    indices: NDArray[np.int64]
    offsets: NDArray[np.int64]
    numbers: NDArray[np.int32]
    positions: NDArray[np.float64]
    cells: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    problems: Mapping[int, str] = field(default_factory=dict)
    records: Sequence[Structure | None] | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, keep: NDArray[np.int64]) -> Structures:
        """
        Batch of some of these structures, in the order given.

        Parameters
        ----------
        keep : ndarray, shape (m,), int64
            Positions in this batch.
        """
        counts = np.diff(self.offsets)[keep]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        shift = np.repeat(self.offsets[keep] - offsets[:-1], counts)
        atoms = np.arange(offsets[-1], dtype=np.int64) + shift
        problems = {j: self.problems[int(k)] for j, k in enumerate(keep) if int(k) in self.problems}
        records = None if self.records is None else [self.records[int(k)] for k in keep]
        return Structures(
            self.indices[keep], offsets, self.numbers[atoms], self.positions[atoms],
            self.cells[keep], self.pbc[keep], problems, records,
        )  # fmt: skip


class Source(Protocol):
    """
    An ordered, read-only collection of structures that any worker can open by its configuration.

    An implementation is a frozen dataclass whose fields are the keys of ``[source]``.
    """

    @property
    def seekable(self) -> bool:
        """Whether a range can be read without what comes before it; compressed text is not."""
        ...

    def scan(self, progress: Progress | None = None, scratch: Path | None = None) -> SourceIndex:
        """
        Read the source once and say how many atoms each structure has and where it is.

        Parameters
        ----------
        progress : callable, optional
            Called with (done, total).
        scratch : pathlib.Path, optional
            Folder for unpacked copies; a source that is not seekable needs it, and its index
            then points there.

        Raises
        ------
        SourceError
            If the source cannot be opened, or is empty.
        """
        ...

    def read(self, index: SourceIndex, start: int, stop: int, records: bool = False) -> Structures:
        """
        Structures ``start`` to ``stop``, touching nothing else of the source.

        Parameters
        ----------
        index : SourceIndex
            What `scan` returned.
        start, stop : int
            Half-open range of structures.
        records : bool
            Also fill ``Structures.records``.

        Raises
        ------
        SourceError
            If the source cannot be opened; one bad structure is a problem of the batch instead.
        """
        ...


@runtime_checkable
class FileSource(Protocol):
    """A source that consists of the files that its path stands for now."""

    def files(self) -> list[Path]:
        """
        Files, in order.

        Raises
        ------
        SourceError
            If there are none.
        """
        ...
