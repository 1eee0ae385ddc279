"""Environments: the neighbours of a batch of centres, as flat arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Environments:
    """
    Neighbours of a batch of centres.

    Parameters
    ----------
    offsets : ndarray, shape (n + 1,), int64
        Environment k has the pairs ``offsets[k]:offsets[k + 1]``.
    vectors : ndarray, shape (n_pairs, 3), float64
        Neighbour positions relative to the centre, in Å, all closer than the cutoff.
    numbers : ndarray, shape (n_pairs,), int32
        Atomic numbers of the neighbours.
    neighbours : ndarray, shape (n_pairs,), int64
        Which atom of the batch a neighbour is, or is a periodic image of.
    centres : ndarray, shape (n,), int64
        Which atom of the batch a centre is.
    centre_numbers : ndarray, shape (n,), int32
        Atomic numbers of the centres.
    """

    offsets: NDArray[np.int64]
    vectors: NDArray[np.float64]
    numbers: NDArray[np.int32]
    neighbours: NDArray[np.int64]
    centres: NDArray[np.int64]
    centre_numbers: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.centres)

    def part(self, begin: int, end: int) -> Environments:
        """
        Environments ``begin`` to ``end`` of these.

        Parameters
        ----------
        begin, end : int
            Half-open range.
        """
        first, last = self.offsets[begin], self.offsets[end]
        return Environments(
            self.offsets[begin : end + 1] - first,
            self.vectors[first:last],
            self.numbers[first:last],
            self.neighbours[first:last],
            self.centres[begin:end],
            self.centre_numbers[begin:end],
        )


def single_environment(distance: float, number: int) -> Environments:
    """
    One centre with one neighbour of its own element, such as it takes to compile a kernel.

    Parameters
    ----------
    distance : float
        Of the neighbour, along the diagonal, in Å.
    number : int
        Atomic number of both.
    """
    return Environments(
        offsets=np.array([0, 1]),
        vectors=np.full((1, 3), distance / np.sqrt(3)),
        numbers=np.full(1, number, dtype=np.int32),
        neighbours=np.zeros(1, dtype=np.int64),
        centres=np.zeros(1, dtype=np.int64),
        centre_numbers=np.full(1, number, dtype=np.int32),
    )
