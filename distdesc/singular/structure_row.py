"""A whole structure that is looked at: its symmetry, what is seen of it, and what is not."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.descriptor import Descriptor
from distdesc.singular.bounds import Bounds
from distdesc.singular.classify import symmetry_of
from distdesc.singular.classify_structure import classify_structure
from distdesc.singular.distance import Estimate
from distdesc.singular.look import Look, unseen
from distdesc.singular.parent import NEARLY, Parent, distance_with, hides
from distdesc.singular.point import Point
from distdesc.singular.sight import Sight, complement, focused
from distdesc.singular.whole import Whole, symmetrised_in
from distdesc.structures.environment import Environments
from distdesc.structures.source import Structures
from distdesc.symmetry.crystal import find_structure_symmetry
from distdesc.symmetry.group import Symmetry
from distdesc.symmetry.structure_nulls import visible_motions

MOST_NUMBERS = 2**26
"""Of the Jacobians that are in memory at once; what needs more is not followed."""

AT_ONCE = 16
"""Jacobians of a structure that an estimate has in memory."""


@dataclass(frozen=True)
class StructureRow:
    """
    A structure, whose atoms move in a fixed cell, or a molecule about its centroid.

    Parameters
    ----------
    descriptor : Descriptor
        The map of environments; see `focused`.
    subject : Whole
        What is made of their fingerprints.
    bounds : Bounds
        What they say of the rim counts: neighbours beyond it fade.
    null : float, optional
        As of `Sight`.
    """

    descriptor: Descriptor
    subject: Whole
    bounds: Bounds = field(default_factory=Bounds)
    null: float | None = None

    @classmethod
    def of(
        cls,
        descriptor: Descriptor,
        one: Structures,
        features: str,
        bounds: Bounds | None = None,
        null: float | None = None,
    ) -> tuple[StructureRow, Point]:
        """
        Row of a structure, and where its atoms are.

        Parameters
        ----------
        descriptor : Descriptor
            The map of environments.
        one : Structures
            Just one, of at least an atom.
        features : str
            ``"sum"`` or ``"stack"``.
        bounds : Bounds, optional
            As of the row.
        null : float, optional
            As of `Sight`.

        Returns
        -------
        row : StructureRow
            Of the elements that occur.
        point : Point
            Positions in Å; those of a molecule from its centroid.
        """
        positions = one.positions
        if not np.any(one.pbc[0]):
            positions = positions - positions.mean(axis=0)
        point = Point(positions, one.numbers, int(one.numbers[0]))
        subject = Whole(features, one.cells[0], one.pbc[0])
        return cls(focused(descriptor, point), subject, bounds or Bounds(), null), point

    @property
    def pairs(self) -> bool:
        """See Row.pairs: of chains, whether they are the same is not known."""
        return self.subject.n_periodic != 1

    @property
    def fewest(self) -> int:
        """See Row.fewest."""
        return 1

    def refusal(self, point: Point) -> str:
        """See Row.refusal."""
        n = len(point)
        if self.subject.trivial(point.vectors.ravel()).shape[1] == 3 * n:
            return "no motion but as a whole"
        n_sums = n if self.subject.features == "stack" else len(np.unique(point.numbers))
        numbers = AT_ONCE * 3 * n * n_sums * self.descriptor.n_features
        if numbers > MOST_NUMBERS:
            return f"its Jacobians have {numbers:,} numbers, more than {MOST_NUMBERS:,}"
        return unseen(Sight(self.descriptor, point, subject=self.subject))

    def symmetry(self, point: Point, tolerance: float) -> Symmetry:
        """See Row.symmetry."""
        found = find_structure_symmetry(
            point.vectors, point.numbers, self.subject.cell, self.subject.pbc, tolerance
        )
        return found.proper() if self.descriptor.parity_odd else found

    def symmetrised(self, point: Point, symmetry: Symmetry) -> Point:
        """
        The nearest positions with exactly this symmetry, as far as the cell has it.

        Parameters
        ----------
        point : Point
            The structure.
        symmetry : Symmetry
            That it has nearly.
        """
        return symmetrised_in(self.subject.cell * self.subject.pbc[:, None], point, symmetry)

    def visible(self, point: Point, tolerance: float) -> NDArray[np.float64]:
        """
        Motions, trivial ones aside, that the symmetry of the environments lets features see.

        Parameters
        ----------
        point : Point
            The structure, exactly as symmetric as it is nearly.
        tolerance : float
            Of the symmetry of its environments, in Å.

        Returns
        -------
        ndarray, shape (3 n, n_visible), float64
            Orthonormal columns.
        """
        near = self.subject.environments(point, self.descriptor.cutoff)
        groups = [
            symmetry_of(self.descriptor, Point.of(near, k), tolerance) for k in range(len(near))
        ]
        odd, trivial = self.descriptor.parity_odd, self.subject.trivial(point.vectors.ravel())
        return visible_motions(near, self.subject.features, odd, groups, tolerance, trivial)

    def parent(self, here: Look) -> tuple[Look, float] | None:
        """See Row.parent."""
        visible = here.within.motions(here.point.vectors.ravel())
        found = self.place(here.point, here.symmetry, visible)
        if found is None:
            return None
        return self.look(here.point, found.symmetry, found.tolerance), found.distance

    def place(
        self, point: Point, symmetry: Symmetry, visible: NDArray[np.float64]
    ) -> Parent | None:
        """
        Find the nearest structure whose symmetry hides motions that are seen here.

        Parameters
        ----------
        point : Point
            The structure, exactly as symmetric as it is nearly.
        symmetry : Symmetry
            Of the structure.
        visible : ndarray, shape (3 n, v), float64
            See `visible`.
        """
        for tolerance in NEARLY:
            group = self.symmetry(point, tolerance)
            if len(group.operations) <= len(symmetry.operations):
                continue
            there = self.symmetrised(point, group)
            trivial = self.subject.trivial(there.vectors.ravel())
            if hides(np.hstack([self.visible(there, tolerance), trivial]), visible):
                distance = float(np.linalg.norm(there.vectors - point.vectors))
                return Parent(there, group, tolerance, distance)
        return None

    def distance(self, here: Look, guess: Estimate, parent: float) -> float:
        """See Row.distance."""
        return distance_with(here.free, guess, parent)

    def look(self, point: Point, symmetry: Symmetry, tolerance: float) -> Look:
        """See Row.look."""
        point = self.symmetrised(point, symmetry)
        whole = Sight(self.descriptor, point, subject=self.subject, null=self.null)
        seen = whole.singular(point.vectors.ravel())
        visible = self.visible(point, tolerance)
        nulls = seen.motions[:, seen.ratios <= seen.null]
        found = classify_structure(
            self.descriptor, self.subject, point, nulls, visible, self.lasting(point)
        )
        return Look(point, symmetry, seen, found, *self.sights(point, visible, symmetry))

    def sights(
        self, point: Point, visible: NDArray[np.float64], symmetry: Symmetry
    ) -> tuple[Sight, Sight]:
        """
        What is looked at: motions that symmetry lets features see, and of these, what lasts.

        Parameters
        ----------
        point : Point
            The structure, exactly symmetric.
        visible : ndarray, shape (3 n, v), float64
            See `visible`.
        symmetry : Symmetry
            Which a search keeps.
        """
        # what is trivial here is not quite so elsewhere, where it is set aside again
        trivial = self.subject.trivial(point.vectors.ravel())
        allowed = np.hstack([visible, trivial])
        free, lasting = allowed, self.lasting(point)
        if lasting is not None:
            faint = complement(np.hstack([lasting, trivial]))
            free = allowed @ complement(allowed.T @ faint)
        paths = symmetry.motions()
        return (
            Sight(self.descriptor, point, allowed, self.subject, paths, self.null),
            Sight(self.descriptor, point, free, self.subject, paths, self.null),
        )

    def lasting(self, point: Point) -> NDArray[np.float64] | None:
        """
        Motions, trivial ones aside, that change distances short of the rim.

        Parameters
        ----------
        point : Point
            The structure.

        Returns
        -------
        ndarray, shape (3 n, n_lasting), float64, or None
            Orthonormal columns; None if nothing is beyond the rim.
        """
        near = self.subject.environments(point, self.descriptor.cutoff)
        short = np.linalg.norm(near.vectors, axis=1) <= self.bounds.rim * self.descriptor.cutoff
        if np.all(short):
            return None
        ends = np.concatenate([[0], np.cumsum(short)])[near.offsets]
        inner = Environments(
            ends, near.vectors[short], near.numbers[short], near.neighbours[short],
            near.centres, near.centre_numbers,
        )  # fmt: skip
        groups = [_none(int(n), "") for n in np.diff(ends)]
        trivial = self.subject.trivial(point.vectors.ravel())
        return visible_motions(inner, "stack", symmetries=groups, trivial=trivial)


def _none(n: int, name: str) -> Symmetry:
    """No symmetry at all, of some atoms."""
    places = np.arange(n)
    return Symmetry(np.eye(3)[None], places[None], places, name)
