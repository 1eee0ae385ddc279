"""A point as it is: its symmetry, what is seen there, and what is not, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.descriptor import Descriptor
from distdesc.singular.bounds import Bounds
from distdesc.singular.classify import classify
from distdesc.singular.distance import Estimate
from distdesc.singular.family import pair_beside
from distdesc.singular.inner import unfaded_motions
from distdesc.singular.partner import Pair
from distdesc.singular.point import Point
from distdesc.singular.reasons import Classification, Kind
from distdesc.singular.sight import Decomposition, Sight
from distdesc.symmetry.group import Symmetry

EXACT = 1e-6
"""In Å: a singular point that was searched for is this exact, and so is its symmetry."""

ROUNDING = 1e-9
"""In Å: symmetry that is exact without any help."""

INCOMPLETE = (Kind.INCOMPLETENESS, Kind.HIGHER)
"""Kinds of motions along which environments with one fingerprint can come apart."""


@dataclass(frozen=True)
class Look:
    """
    One point and its null motions.

    Parameters
    ----------
    point : Point
        The point, exactly as symmetric as it is nearly.
    symmetry : Symmetry
        Its symmetry, as the descriptor can tell its atoms apart.
    singular : Decomposition
        Singular values and vectors within all motions but trivial ones.
    found : Classification
        Its null motions.
    within : Sight
        What is seen of the motions that symmetry lets features see.
    free : Sight
        Of these, of those of atoms that do not fade near the cutoff.
    """

    point: Point
    symmetry: Symmetry
    singular: Decomposition
    found: Classification
    within: Sight
    free: Sight


class Row(Protocol):
    """What can be looked at: an environment or a structure, wherever its atoms are."""

    @property
    def descriptor(self) -> Descriptor:
        """The map of environments."""
        ...

    @property
    def pairs(self) -> bool:
        """Whether two points can be told to be different, so that degenerate pairs are known."""
        ...

    @property
    def fewest(self) -> int:
        """Atoms of a point that have nothing to be seen, and at most so many."""
        ...

    def refusal(self, point: Point) -> str:
        """
        Why a point cannot be looked at; empty if it can.

        Parameters
        ----------
        point : Point
            Where the atoms are.
        """
        ...

    def symmetry(self, point: Point, tolerance: float) -> Symmetry:
        """
        Symmetry of a point, as the descriptor can tell its atoms apart.

        Parameters
        ----------
        point : Point
            Where the atoms are.
        tolerance : float
            As of `find_symmetry`, in Å.
        """
        ...

    def parent(self, here: Look) -> tuple[Look, float] | None:
        """
        Find a more symmetric place nearby, whose nulls make the least seen motions what they are.

        A search may miss it where neighbours that fade, and are held, break the symmetry.

        Parameters
        ----------
        here : Look
            Where to look from.

        Returns
        -------
        tuple of Look and float, or None
            The place and how far it is, in Å.
        """
        ...

    def distance(self, here: Look, guess: Estimate, parent: float) -> float:
        """
        Estimated distance to a singular point, in Å.

        Parameters
        ----------
        here : Look
            Where to look from.
        guess : Estimate
            What a linear model says.
        parent : float
            Distance of the more symmetric place, in Å; infinite if there is none.
        """
        ...

    def look(self, point: Point, symmetry: Symmetry, tolerance: float) -> Look:
        """
        Look at a point that is made exactly as symmetric as stated.

        Parameters
        ----------
        point : Point
            Where the atoms are.
        symmetry : Symmetry
            That it has nearly.
        tolerance : float
            How nearly, in Å.
        """
        ...


def unseen(sight: Sight) -> str:
    """
    Say that a Jacobian is not finite; empty if it is.

    Parameters
    ----------
    sight : Sight
        Of a point with atoms.
    """
    jacobian = sight.jacobians(sight.point.vectors.reshape(1, -1))
    return "" if np.all(np.isfinite(jacobian)) else "the Jacobian is not finite"


def look(
    descriptor: Descriptor,
    point: Point,
    symmetry: Symmetry,
    bounds: Bounds | None = None,
    null: float | None = None,
) -> Look:
    """
    Look at an environment that is made exactly as symmetric as stated.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    point : Point
        The environment, with at least one neighbour.
    symmetry : Symmetry
        That it has nearly; see `symmetry_of`.
    bounds : Bounds, optional
        What they say of the rim counts.
    null : float, optional
        As of `Sight`.
    """
    point = point.at(symmetry.symmetrised(point.vectors))
    faded = faded_of(descriptor, point, bounds or Bounds())
    seen = Sight(descriptor, point, null=null).singular(point.vectors.ravel())
    nulls = seen.motions[:, seen.ratios <= seen.null]
    found = classify(descriptor, point, nulls, symmetry, faded)
    within = Sight(descriptor, point, symmetry.motions(), null=null)
    free = replace(within, allowed=unfaded_motions(symmetry, faded))
    return Look(point, symmetry, seen, found, within, free)


def faded_of(descriptor: Descriptor, point: Point, bounds: Bounds) -> NDArray[np.bool_]:
    """
    Neighbours so near to the cutoff that they fade.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    point : Point
        The environment.
    bounds : Bounds
        What they say of the rim counts.

    Returns
    -------
    ndarray, shape (n,), bool
        Which.
    """
    return np.asarray(np.linalg.norm(point.vectors, axis=1) > bounds.rim * descriptor.cutoff)


def look_closely(row: Row, point: Point, n_nulls: int) -> Look:
    """
    Look at a singular point that a search has found.

    It is symmetrised within the accuracy of the search, unless that makes it less singular.

    Parameters
    ----------
    row : Row
        Of what.
    point : Point
        The point.
    n_nulls : int
        Null motions that it has as it is.
    """
    found = row.look(point, row.symmetry(point, EXACT), EXACT)
    if found.singular.n_nulls() >= n_nulls:
        return found
    return row.look(point, row.symmetry(point, ROUNDING), ROUNDING)


def pair_at(there: Look, bounds: Bounds | None = None) -> tuple[Pair | None, str]:
    """
    Degenerate pair beside a point, along any of its motions that can lead to one.

    Parameters
    ----------
    there : Look
        The point.
    bounds : Bounds, optional
        Where the pair may lie.

    Returns
    -------
    pair : Pair or None
        None if none is found, or no null motion is due to incompleteness.
    said : str
        What there is to say of it; see `pair_beside`.
    """
    sight = replace(there.within, allowed=None, paths=None)
    found = there.found.motions
    motions = [found[kind] for kind in INCOMPLETE if kind in found]
    return pair_beside(sight, np.hstack(motions), bounds) if motions else (None, "")
