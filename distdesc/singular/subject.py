"""What the positions of a point are those of: neighbours of a centre, or atoms of a structure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.descriptor import Descriptor
from distdesc.singular.bounds import Bounds, Limits
from distdesc.singular.congruence import misfit
from distdesc.singular.motions import ROTATIONS, trivial_motions
from distdesc.singular.point import Point, moved

TURN = np.array([[2.0, -1.0, 2.0], [2.0, 2.0, -1.0], [-1.0, 2.0, 2.0]]) / 3
"""A rotation, to see what rounding does."""


class Subject(Protocol):
    """Features of a row as a function of its positions, whatever the row is of."""

    def values(
        self, descriptor: Descriptor, point: Point, coordinates: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """
        Features with the positions in several places.

        Parameters
        ----------
        descriptor : Descriptor
            The map of environments.
        point : Point
            Which atoms.
        coordinates : ndarray, shape (k, 3 n), float64
            Where they are, in Å.

        Returns
        -------
        ndarray, shape (k, n_features), float64
            One row a place.
        """
        ...

    def jacobians(
        self, descriptor: Descriptor, point: Point, coordinates: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """
        Derivatives of `values` by the positions.

        Parameters
        ----------
        descriptor : Descriptor
            The map of environments.
        point : Point
            Which atoms.
        coordinates : ndarray, shape (k, 3 n), float64
            Where they are, in Å.

        Returns
        -------
        ndarray, shape (k, 3 n, n_features), float64
            In features per Å.
        """
        ...

    def trivial(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Motions that never change any feature.

        Parameters
        ----------
        coordinates : ndarray, shape (3 n,), float64
            In Å.

        Returns
        -------
        ndarray, shape (3 n, k), float64
            Orthonormal columns.
        """
        ...

    def limits(self, bounds: Bounds, start: NDArray[np.float64], cutoff: float) -> Limits:
        """
        Where a search that begins somewhere may go.

        Parameters
        ----------
        bounds : Bounds
            In general.
        start : ndarray, shape (3 n,), float64
            In Å.
        cutoff : float
            Of the descriptor, in Å.
        """
        ...

    def elsewhere(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        The same row, its atoms moved as one.

        Parameters
        ----------
        coordinates : ndarray, shape (3 n,), float64
            In Å.

        Returns
        -------
        ndarray, shape (3 n,), float64
            With other numbers, so that features differ by rounding.
        """
        ...

    def misfit(
        self,
        first: NDArray[np.float64],
        second: NDArray[np.float64],
        labels: NDArray[np.int32],
        reflections: bool,
    ) -> float:
        """
        How different two rows of the same atoms are, in the alignment that suits them best.

        Parameters
        ----------
        first, second : ndarray, shape (n, 3), float64
            Where the atoms are, in Å.
        labels : ndarray, shape (n,), int32
            The same for atoms that are alike.
        reflections : bool
            Whether mirror images are the same.

        Returns
        -------
        float
            Length of the displacement of all atoms together, in Å.
        """
        ...


@dataclass(frozen=True)
class Neighbourhood:
    """Neighbours of one centre, which is at the origin and stays there."""

    def values(
        self, descriptor: Descriptor, point: Point, coordinates: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See Subject.values."""
        return descriptor.compute(moved(point, coordinates))

    def jacobians(
        self, descriptor: Descriptor, point: Point, coordinates: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See Subject.jacobians."""
        found = descriptor.jacobian(moved(point, coordinates))
        return found.reshape(*coordinates.shape, found.shape[2])

    def trivial(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """See Subject.trivial."""
        return trivial_motions(coordinates.reshape(-1, 3), ROTATIONS)

    def limits(self, bounds: Bounds, start: NDArray[np.float64], cutoff: float) -> Limits:
        """See Subject.limits."""
        return bounds.limits(start, cutoff)

    def elsewhere(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """See Subject.elsewhere."""
        return turned(coordinates)

    def misfit(
        self,
        first: NDArray[np.float64],
        second: NDArray[np.float64],
        labels: NDArray[np.int32],
        reflections: bool,
    ) -> float:
        """See Subject.misfit."""
        return misfit(first, second, labels, reflections)


def turned(coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Turn atoms about the origin.

    Parameters
    ----------
    coordinates : ndarray, shape (3 n,), float64
        In Å.
    """
    found: NDArray[np.float64] = (coordinates.reshape(-1, 3) @ TURN.T).ravel()
    return found


NEIGHBOURHOOD = Neighbourhood()
"""The neighbours of any centre; which, the point says."""
