"""Whole structures as points: their features as functions of the positions of all atoms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.derivatives import by_atom, pooled_by_atom
from distdesc.descriptors.descriptor import Descriptor
from distdesc.errors import CampaignError
from distdesc.singular.bounds import Bounds, Limits
from distdesc.singular.congruence import misfit
from distdesc.singular.motions import structure_motions
from distdesc.singular.periodic_congruence import periodic_misfit
from distdesc.singular.point import Point
from distdesc.singular.subject import turned
from distdesc.structures.environment import Environments
from distdesc.structures.neighbours import build_environments
from distdesc.structures.source import Structures
from distdesc.symmetry.group import Symmetry

FEATURES = ("sum", "stack")

SHIFT = np.array([0.37, 0.21, 0.13])
"""In Å: moves a periodic structure as a whole, to see what rounding does."""


@dataclass(frozen=True)
class Whole:
    """
    Atoms of a structure, whose fingerprints are summed or stacked.

    Parameters
    ----------
    features : str
        ``"sum"`` over the centres of each element, or ``"stack"`` of those of all centres.
    cell : ndarray, shape (3, 3), float64
        Lattice vectors as rows, in Å; they stay as they are.
    pbc : ndarray, shape (3,), bool
        Periodic directions.

    Raises
    ------
    CampaignError
        If the features are neither.
    """

    features: str
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.features not in FEATURES:
            raise CampaignError(
                f"features must be one of {', '.join(FEATURES)}, got {self.features!r}"
            )

    @property
    def n_periodic(self) -> int:
        """Periodic directions."""
        return int(np.sum(self.pbc))

    def batch(self, point: Point, coordinates: NDArray[np.float64] | None = None) -> Structures:
        """
        The structure in several places, as a batch.

        Parameters
        ----------
        point : Point
            Its atoms.
        coordinates : ndarray, shape (k, 3 n), float64, optional
            Where they are, in Å; where the point says, if left out.
        """
        places = point.vectors[None] if coordinates is None else coordinates
        k, n = len(places), len(point)
        return Structures(
            indices=np.arange(k, dtype=np.int64),
            offsets=np.arange(k + 1, dtype=np.int64) * n,
            numbers=np.tile(point.numbers, k),
            positions=np.ascontiguousarray(places, dtype=np.float64).reshape(k * n, 3),
            cells=np.tile(self.cell, (k, 1, 1)),
            pbc=np.tile(self.pbc, (k, 1)),
        )

    def environments(self, point: Point, radius: float) -> Environments:
        """
        Environments of all atoms.

        Parameters
        ----------
        point : Point
            The structure.
        radius : float
            How far they reach, in Å.
        """
        return build_environments(self.batch(point), 0, len(point), radius)

    def jacobian(self, descriptor: Descriptor, point: Point) -> NDArray[np.float64]:
        """
        Derivatives of the features by the positions of all atoms.

        Parameters
        ----------
        descriptor : Descriptor
            The map of environments.
        point : Point
            The structure.

        Returns
        -------
        ndarray, shape (3 n, n_features), float64
            In features per Å.
        """
        found: NDArray[np.float64] = self.jacobians(
            descriptor, point, point.vectors.reshape(1, -1)
        )[0]
        return found

    def values(
        self, descriptor: Descriptor, point: Point, coordinates: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See Subject.values."""
        batch, (k, n) = self.batch(point, coordinates), (len(coordinates), len(point))
        environments = build_environments(batch, 0, k * n, descriptor.cutoff)
        found = descriptor.compute(environments).reshape(k, n, -1)
        if self.features == "stack":
            return found.reshape(k, -1)
        sums = [np.sum(found[:, point.numbers == z], axis=1) for z in np.unique(point.numbers)]
        return np.concatenate(sums, axis=1)

    def jacobians(
        self, descriptor: Descriptor, point: Point, coordinates: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See Subject.jacobians."""
        batch, (k, n) = self.batch(point, coordinates), (len(coordinates), len(point))
        if self.features == "sum":
            elements = tuple(np.unique(point.numbers).tolist())
            return pooled_by_atom(descriptor, batch, elements=elements).reshape(k, 3 * n, -1)
        out = np.empty((k, n, 3, n, descriptor.n_features))
        for place, first in enumerate(batch.offsets[:-1]):
            own = build_environments(batch, first, first + n, descriptor.cutoff)
            found = by_atom(descriptor, own).dense(first, first + n)
            out[place] = found.transpose(1, 2, 0, 3)
        return out.reshape(k, 3 * n, -1)

    def trivial(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """See Subject.trivial."""
        return structure_motions(coordinates.reshape(-1, 3), self.cell, self.pbc)

    def limits(self, bounds: Bounds, start: NDArray[np.float64], cutoff: float) -> Limits:
        """See Subject.limits."""
        # two atoms come nearer to each other by at most √2 of what all move together
        numbers = np.ones(len(start) // 3, dtype=np.int32)
        point = Point(start.reshape(-1, 3), numbers)
        near = self.environments(point, bounds.core + np.sqrt(2) * bounds.reach)
        owners = np.repeat(near.centres, np.diff(near.offsets))
        once = near.neighbours < owners
        pairs = np.stack([near.neighbours, owners])[:, once]
        places = point.vectors[pairs]
        shifts = near.vectors[once] + places[1] - places[0]
        return bounds.between(start, pairs, shifts)

    def elsewhere(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """See Subject.elsewhere: in a fixed cell, shifted."""
        if not self.n_periodic:
            return turned(coordinates)
        moved: NDArray[np.float64] = coordinates + np.tile(SHIFT, len(coordinates) // 3)
        return moved

    def misfit(
        self,
        first: NDArray[np.float64],
        second: NDArray[np.float64],
        labels: NDArray[np.int32],
        reflections: bool,
    ) -> float:
        """See Subject.misfit; of chains it is not known."""
        if not self.n_periodic:
            return misfit(first, second, labels, reflections)
        return periodic_misfit(first, second, labels, self.cell, self.pbc, reflections)


def symmetrised_in(cell: NDArray[np.float64], point: Point, symmetry: Symmetry) -> Point:
    """
    The nearest positions with exactly this symmetry, in a fixed cell.

    Parameters
    ----------
    cell : ndarray, shape (3, 3), float64
        Lattice vectors as rows, zero where it is not periodic, in Å.
    point : Point
        The structure.
    symmetry : Symmetry
        That it has nearly.
    """
    if len(symmetry.operations) == 1:
        return point
    if not symmetry.periodic:
        return point.at(symmetry.symmetrised(point.vectors))
    inverse = np.linalg.pinv(cell)
    total = np.zeros_like(point.vectors)
    for operation, images in zip(symmetry.operations, symmetry.permutations, strict=True):
        off = point.vectors @ operation.T - point.vectors[images]
        off -= off[0]  # but for the shift that goes with the operation, and lattice vectors
        off -= np.rint(off @ inverse) @ cell
        total[images] += off - off.mean(axis=0)
    return point.at(point.vectors + total / len(symmetry.operations))
