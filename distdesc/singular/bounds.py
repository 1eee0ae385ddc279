"""Where searches for singular points may go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distdesc.checks import check_count
from distdesc.errors import CampaignError

ROOM = 0.8
"""Share of a distance shorter than the core at the start that it may shrink to."""

SLACK = 1e-9
"""Relative excess of a distance that counts as none."""


@dataclass(frozen=True)
class Bounds:
    """
    Where the search for a singular point may go.

    Parameters
    ----------
    reach : float
        Farthest from the start, in Å: length of the displacement of all neighbours together.
    step : float
        Longest step of one iteration, in Å, in the same measure.
    core : float
        Smallest distance between two neighbours, or of one from the centre, in Å: where like
        atoms fall together, every fingerprint is singular.
    rim : float
        Largest distance from the centre, relative to the cutoff, near which neighbours fade.
    iterations : int
        Steps at most.
    """

    reach: float = 0.5
    step: float = 0.2
    core: float = 0.5
    rim: float = 0.95
    iterations: int = 60

    def __post_init__(self) -> None:
        for name in ("reach", "step"):
            if not getattr(self, name) > 0:
                raise CampaignError(f"{name} must be > 0 Å, got {getattr(self, name)}")
        if not self.core >= 0:
            raise CampaignError(f"core must be >= 0 Å, got {self.core}")
        if not 0 < self.rim <= 1:
            raise CampaignError(f"rim must be above 0 and at most 1, got {self.rim}")
        check_count("iterations", self.iterations, least=1)

    def limits(self, start: NDArray[np.float64], cutoff: float) -> Limits:
        """
        Limits of a search that begins somewhere.

        What is too far at the start may stay so; what is too near may come a little nearer.

        Parameters
        ----------
        start : ndarray, shape (3 n,), float64
            Where the neighbours are, in Å.
        cutoff : float
            Of the descriptor, in Å.
        """
        n = len(start) // 3
        pairs = np.stack(np.triu_indices(n, 1))
        shifts = np.zeros((pairs.shape[1], 3))
        radii, distances = _distances(start, pairs, shifts)
        least = np.minimum(self.core, ROOM * np.concatenate([radii, distances]))
        most = np.maximum(self.rim * cutoff, radii)
        return Limits(start, self.reach, least, most, pairs, shifts)

    def between(
        self, start: NDArray[np.float64], pairs: NDArray[np.int64], shifts: NDArray[np.float64]
    ) -> Limits:
        """
        Limits of a search that begins somewhere, of distances between atoms alone.

        Parameters
        ----------
        start : ndarray, shape (3 n,), float64
            Where the atoms are, in Å.
        pairs : ndarray, shape (2, n_pairs), int64
            Which of them may come near to each other.
        shifts : ndarray, shape (n_pairs, 3), float64
            What leads from the first of a pair to the image that is meant, in Å.
        """
        n = len(start) // 3
        distances = _distances(start, pairs, shifts)[1]
        least = np.concatenate([np.zeros(n), np.minimum(self.core, ROOM * distances)])
        return Limits(start, self.reach, least, np.full(n, np.inf), pairs, shifts)


@dataclass(frozen=True)
class Limits:
    """
    Limits of the distances between neighbours, and from the centre, in one search.

    Parameters
    ----------
    start : ndarray, shape (3 n,), float64
        Where it began, in Å.
    reach : float
        Farthest from there, in Å.
    least : ndarray, shape (n + n_pairs,), float64
        Smallest distance of each neighbour from the centre, then of each pair, in Å.
    most : ndarray, shape (n,), float64
        Largest distance of each neighbour from the centre, in Å.
    pairs : ndarray, shape (2, n_pairs), int64
        Neighbours that have to keep their distance.
    shifts : ndarray, shape (n_pairs, 3), float64
        Of the first of each pair, to the image that is meant, in Å.
    """

    start: NDArray[np.float64]
    reach: float
    least: NDArray[np.float64]
    most: NDArray[np.float64]
    pairs: NDArray[np.int64]
    shifts: NDArray[np.float64]

    def admit(self, there: NDArray[np.float64]) -> bool:
        """
        Whether neighbours may be somewhere.

        Parameters
        ----------
        there : ndarray, shape (3 n,), float64
            In Å.
        """
        if np.linalg.norm(there - self.start) > self.reach:
            return False
        near, far = self._violated(there)
        return not (np.any(near) or np.any(far))

    def walls(self, here: NDArray[np.float64], there: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Directions, across the walls, of what would run into them.

        Parameters
        ----------
        here, there : ndarray, shape (3 n,), float64
            Where the neighbours are and would go, in Å.

        Returns
        -------
        ndarray, shape (3 n, n_walls), float64
            Unit changes of the distances that would leave their limits.
        """
        near, far = self._violated(there)
        n = len(self.most)
        vectors, (first, second) = here.reshape(n, 3), self.pairs
        radial = np.flatnonzero(near[:n] | far)
        pairs = np.flatnonzero(near[n:])
        walls = np.zeros((len(radial) + len(pairs), n, 3))
        walls[np.arange(len(radial)), radial] = vectors[radial]
        apart = vectors[first[pairs]] + self.shifts[pairs] - vectors[second[pairs]]
        rows = len(radial) + np.arange(len(pairs))
        walls[rows, first[pairs]], walls[rows, second[pairs]] = apart, -apart
        flat: NDArray[np.float64] = walls.reshape(len(walls), 3 * n).T
        flat /= np.maximum(np.linalg.norm(flat, axis=0), 1e-300)
        return flat

    def drawn_in(self, there: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        The same with neighbours that are a little too far out on the rim.

        Parameters
        ----------
        there : ndarray, shape (3 n,), float64
            In Å.
        """
        vectors = there.reshape(-1, 3)
        radii = np.linalg.norm(vectors, axis=1)
        shares = np.minimum(1.0, self.most / np.maximum(radii, 1e-300))
        found: NDArray[np.float64] = (vectors * shares[:, None]).ravel()
        return found

    def _violated(self, there: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        radii, distances = _distances(there, self.pairs, self.shifts)
        near = np.concatenate([radii, distances]) < self.least * (1 - SLACK)
        return near, radii > self.most * (1 + SLACK)


def _distances(
    coordinates: NDArray[np.float64], pairs: NDArray[np.int64], shifts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances of neighbours from the centre, and of pairs of them."""
    vectors = coordinates.reshape(-1, 3)
    apart = vectors[pairs[0]] + shifts - vectors[pairs[1]]
    return np.linalg.norm(vectors, axis=1), np.linalg.norm(apart, axis=1)
