"""One environment as a point of the space of its neighbours' positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from distdesc.errors import StructureError
from distdesc.structures.environment import Environments


@dataclass(frozen=True)
class Point:
    """
    Neighbours of one centre, at the origin.

    Parameters
    ----------
    vectors : ndarray, shape (n, 3), float64
        From the centre to its neighbours, in Å.
    numbers : ndarray, shape (n,), int32
        Atomic numbers of the neighbours.
    centre_number : int
        Atomic number of the centre.

    Raises
    ------
    StructureError
        If the arrays do not go together, or a coordinate is not finite.
    """

    vectors: NDArray[np.float64]
    numbers: NDArray[np.int32]
    centre_number: int = 0

    def __post_init__(self) -> None:
        vectors = np.array(self.vectors, dtype=np.float64)
        numbers = np.array(self.numbers, dtype=np.int32)
        if vectors.ndim != 2 or vectors.shape[1] != 3 or numbers.shape != vectors.shape[:1]:
            raise StructureError(
                {0: f"vectors must be (n, 3) with n numbers, got {vectors.shape}, {numbers.shape}"}
            )
        if not np.all(np.isfinite(vectors)):
            raise StructureError({0: "vectors must be finite"})
        object.__setattr__(self, "vectors", vectors)
        object.__setattr__(self, "numbers", numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def at(self, vectors: NDArray[np.float64]) -> Point:
        """
        Return the same neighbours elsewhere.

        Parameters
        ----------
        vectors : ndarray, shape (n, 3) or (3 n,), float64
            In Å.
        """
        return replace(self, vectors=np.reshape(vectors, (len(self), 3)))

    @classmethod
    def of(cls, environments: Environments, k: int) -> Point:
        """
        One environment of a batch.

        Parameters
        ----------
        environments : Environments
            The batch.
        k : int
            Which one.
        """
        own = slice(int(environments.offsets[k]), int(environments.offsets[k + 1]))
        return cls(
            environments.vectors[own], environments.numbers[own],
            int(environments.centre_numbers[k]),
        )  # fmt: skip


def as_environments(points: Sequence[Point]) -> Environments:
    """
    Several points as one batch, so that a descriptor is called once.

    Parameters
    ----------
    points : sequence of Point
        At least one.
    """
    counts = [len(p) for p in points]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Environments(
        offsets=offsets,
        vectors=np.concatenate([p.vectors for p in points]),
        numbers=np.concatenate([p.numbers for p in points]),
        neighbours=np.arange(offsets[-1]) + len(points),
        centres=np.arange(len(points), dtype=np.int64),
        centre_numbers=np.array([p.centre_number for p in points], dtype=np.int32),
    )


def moved(point: Point, coordinates: NDArray[np.float64]) -> Environments:
    """
    A batch of one environment with its neighbours in several places.

    Parameters
    ----------
    point : Point
        Which neighbours.
    coordinates : ndarray, shape (k, 3 n), float64
        Where they are, in Å.
    """
    k, n = len(coordinates), len(point)
    return Environments(
        offsets=np.arange(k + 1, dtype=np.int64) * n,
        vectors=np.ascontiguousarray(coordinates, dtype=np.float64).reshape(k * n, 3),
        numbers=np.tile(point.numbers, k),
        neighbours=np.tile(np.arange(n, dtype=np.int64) + 1, k),
        centres=np.zeros(k, dtype=np.int64),
        centre_numbers=np.full(k, point.centre_number, dtype=np.int32),
    )
