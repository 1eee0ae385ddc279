"""A point as it is: its symmetry, what is seen there, and what is not, and why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.descriptor import Descriptor
from distdesc.singular.bounds import Bounds
from distdesc.singular.classify import Classification, Kind, classify, symmetry_of
from distdesc.singular.partner import Pair, find_pair
from distdesc.singular.point import Point
from distdesc.singular.sight import NULL, Sight, Singular
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
        Its symmetry, as the descriptor can tell neighbours apart.
    singular : Singular
        Singular values and vectors within all motions but rotations.
    found : Classification
        Its null motions.
    faded : ndarray, shape (n,), bool
        Neighbours near the cutoff, beyond the rim.
    """

    point: Point
    symmetry: Symmetry
    singular: Singular
    found: Classification
    faded: NDArray[np.bool_]


def look(
    descriptor: Descriptor, point: Point, symmetry: Symmetry, bounds: Bounds | None = None
) -> Look:
    """
    Look at a point that is made exactly as symmetric as stated.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    point : Point
        The point, with at least one neighbour.
    symmetry : Symmetry
        That it has nearly; see `symmetry_of`.
    bounds : Bounds, optional
        What they say of the rim counts.
    """
    point = point.at(symmetry.symmetrised(point.vectors))
    rim = (bounds or Bounds()).rim * descriptor.cutoff
    faded = np.linalg.norm(point.vectors, axis=1) > rim
    seen = Sight(descriptor, point).singular(point.vectors.ravel())
    nulls = seen.motions[:, seen.ratios <= NULL]
    return Look(point, symmetry, seen, classify(descriptor, point, nulls, symmetry, faded), faded)


def look_closely(
    descriptor: Descriptor, point: Point, n_nulls: int, bounds: Bounds | None = None
) -> Look:
    """
    Look at a singular point that a search has found.

    It is symmetrised within the accuracy of the search, unless that makes it less singular.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    point : Point
        The point.
    n_nulls : int
        Null motions that it has as it is.
    bounds : Bounds, optional
        What they say of the rim counts.
    """
    found = look(descriptor, point, symmetry_of(descriptor, point, EXACT), bounds)
    if found.singular.n_nulls(NULL) >= n_nulls:
        return found
    return look(descriptor, point, symmetry_of(descriptor, point, ROUNDING), bounds)


def pair_at(descriptor: Descriptor, there: Look, bounds: Bounds | None = None) -> Pair | None:
    """
    Degenerate pair on either side of a point, along any of its motions that can lead to one.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    there : Look
        The point.
    bounds : Bounds, optional
        Where the pair may lie.

    Returns
    -------
    Pair or None
        None if there is none, or no null motion is due to incompleteness.
    """
    sight = Sight(descriptor, there.point)
    for kind in INCOMPLETE:
        for motion in there.found.motions.get(kind, np.empty((0, 0))).T:
            pair = find_pair(sight, motion, bounds)
            if pair is not None:
                return pair
    return None
