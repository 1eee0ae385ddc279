"""Neighbour search over a batch of structures, periodic images included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.structures import _neighbour_kernels as kernels
from distdesc.structures.environment import Environments
from distdesc.structures.source import Structures

_NO_VECTORS = np.empty((0, 3), dtype=np.float64)
_NO_ATOMS = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Frames:
    """
    Cells of a batch, completed to a basis of space where they are not periodic.

    Parameters
    ----------
    vectors : ndarray, shape (n, 3, 3), float64
        Lattice vectors of periodic directions, in Å; unit vectors normal to all others for the
        rest.
    reciprocals : ndarray, shape (n, 3, 3), float64
        Rows whose dot product with a position is its coordinate along `vectors`.
    heights : ndarray, shape (n, 3), float64
        Distance between lattice planes, in Å; infinite for directions that are not periodic,
        zero for cells without volume.
    """

    vectors: NDArray[np.float64]
    reciprocals: NDArray[np.float64]
    heights: NDArray[np.float64]

    @classmethod
    def of(cls, batch: Structures) -> Frames:
        """
        Frames of all structures of a batch.

        Parameters
        ----------
        batch : Structures
            Its cells are finite where they are periodic.
        """
        n = len(batch)
        frames = cls(np.empty((n, 3, 3)), np.empty((n, 3, 3)), np.empty((n, 3)))
        kernels.cell_frames(
            _plain(batch.cells, np.float64), _plain(batch.pbc, np.bool_),
            frames.vectors, frames.reciprocals, frames.heights,
        )  # fmt: skip
        return frames


def build_environments(batch: Structures, first: int, last: int, cutoff: float) -> Environments:
    """
    Environments of the atoms ``first`` to ``last`` of a batch.

    Neighbours come by their place in the batch, then by periodic image. What an environment
    holds, and in which order, depends on its structure alone, bit for bit.

    Parameters
    ----------
    batch : Structures
        Structures that passed validation; atoms may lie outside their cell.
    first, last : int
        Half-open range of atoms of the batch.
    cutoff : float
        Neighbours are strictly closer, in Å.

    Returns
    -------
    Environments
        Of ``last - first`` centres.
    """
    search = _Search(batch, first, last, cutoff)
    return search.environments(0, last - first)


def iterate_environments(
    batch: Structures, first: int, last: int, cutoff: float, max_pairs: int
) -> Iterator[Environments]:
    """
    Environments of the atoms ``first`` to ``last``, in slices of bounded size.

    Parameters
    ----------
    batch : Structures
        Structures that passed validation.
    first, last : int
        Half-open range of atoms of the batch.
    cutoff : float
        Neighbours are strictly closer, in Å.
    max_pairs : int
        Pairs of a slice at the most, unless a single centre has more.

    Yields
    ------
    Environments
        Of consecutive centres.
    """
    search = _Search(batch, first, last, cutoff)
    begin = 0
    while begin < last - first:
        budget = search.offsets[begin] + max_pairs
        end = int(np.searchsorted(search.offsets, budget, side="right")) - 1
        end = max(end, begin + 1)
        yield search.environments(begin, end)
        begin = end


def warm_up() -> None:
    """Compile the kernels, so that processes started later find them cached."""
    pair = Structures(
        np.zeros(1, dtype=np.int64),
        np.array([0, 2]),
        np.ones(2, dtype=np.int32),
        np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]),
        np.eye(3)[None] * 3,
        np.array([[True, True, False]]),
    )
    build_environments(pair, 0, 2, 2.0)
    closest_distances(pair, 0.1)


class _Search:
    """Pairs of a range of centres, counted at once and written slice by slice."""

    def __init__(self, batch: Structures, first: int, last: int, cutoff: float) -> None:
        self.first, self.cutoff = first, float(cutoff)
        self.numbers = batch.numbers
        self.structures = _plain(batch.offsets, np.int64)
        self.positions = _plain(batch.positions, np.float64)
        self.frames = Frames.of(batch)
        counts = np.zeros(last - first, dtype=np.int64)
        self._find(kernels.COUNT, first, last, counts, _NO_VECTORS, _NO_ATOMS)
        self.offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def environments(self, begin: int, end: int) -> Environments:
        """Environments of some centres, counted from the first of the search."""
        offsets = self.offsets[begin : end + 1] - self.offsets[begin]
        vectors = np.empty((offsets[-1], 3))
        neighbours = np.empty(offsets[-1], dtype=np.int64)
        first, last = self.first + begin, self.first + end
        self._find(kernels.FILL, first, last, offsets[:-1].copy(), vectors, neighbours)
        numbers = self.numbers
        return Environments(
            offsets, vectors, numbers[neighbours], neighbours,
            np.arange(first, last, dtype=np.int64), numbers[first:last],
        )  # fmt: skip

    def _find(
        self,
        mode: int,
        first: int,
        last: int,
        cursor: NDArray[np.int64],
        vectors: NDArray[np.float64],
        neighbours: NDArray[np.int64],
    ) -> None:
        offsets, frames = self.structures, self.frames
        begin = int(np.searchsorted(offsets, first, side="right")) - 1
        end = int(np.searchsorted(offsets, last, side="left"))
        kernels.find_pairs(
            mode, offsets[begin : end + 1], self.positions, frames.vectors[begin:end],
            frames.reciprocals[begin:end], frames.heights[begin:end],
            first, last, self.cutoff, kernels.BRUTE_PAIRS, cursor, vectors, neighbours,
        )  # fmt: skip


def closest_distances(
    batch: Structures, limit: float, usable: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """
    Smallest distance between two atoms, or an atom and its image, of each structure.

    Parameters
    ----------
    batch : Structures
        Any structures.
    limit : float
        Distances from here on are not looked for, in Å.
    usable : ndarray, shape (n,), bool, optional
        Structures to look at: positions finite, no periodic direction without height. All by
        default.

    Returns
    -------
    ndarray, shape (n,), float64
        In Å; infinite where no distance is below the limit, and where not looked at.
    """
    if usable is None:
        usable = np.ones(len(batch), dtype=bool)
    frames = Frames.of(batch)
    closest = np.empty(len(batch))
    kernels.find_closest(
        _plain(batch.offsets, np.int64), _plain(batch.positions, np.float64), frames.vectors,
        frames.reciprocals, frames.heights, usable, float(limit), kernels.BRUTE_PAIRS, closest,
    )  # fmt: skip
    return closest


def _plain(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    # Kernels are compiled for one kind of array; a read-only or strided one is copied.
    return np.require(array, dtype, ["C", "W"])
