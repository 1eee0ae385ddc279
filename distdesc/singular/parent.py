"""More symmetric places beside a row, which explain why many motions are hardly seen at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.descriptor import Descriptor
from distdesc.singular.classify import symmetry_of
from distdesc.singular.distance import Estimate
from distdesc.singular.motions import ROTATIONS, trivial_motions
from distdesc.singular.point import Point
from distdesc.singular.sight import Sight, complement
from distdesc.symmetry.group import Symmetry

NEARLY = (3e-3, 1e-2, 3e-2, 1e-1)
"""In Å: how far from symmetric a row may be for a symmetric one to be nearby."""

HOLDS = 0.2
"""What may be left of singular values where they ought to vanish, if the estimate is to hold."""

HIDDEN = 0.5
"""Part of a unit motion from which on a symmetry hides it, which is all or nothing."""


@dataclass(frozen=True)
class Parent:
    """
    A more symmetric environment, neighbours that fade left where they are, or structure.

    Parameters
    ----------
    core : Point
        Neighbours that do not fade, or all atoms, exactly symmetric.
    symmetry : Symmetry
        Of the core.
    tolerance : float
        That it was found with, in Å.
    distance : float
        From the environment, in Å.
    """

    core: Point
    symmetry: Symmetry
    tolerance: float
    distance: float


def parent_of(
    descriptor: Descriptor, point: Point, allowed: NDArray[np.float64], faded: NDArray[np.bool_]
) -> Parent | None:
    """
    Find the nearest environment whose symmetry hides motions that are free here.

    Neighbours that fade take no part: a shell at the cutoff, part of which is beyond it, has no
    symmetry, though it hardly changes what is seen of the others.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    point : Point
        The environment.
    allowed : ndarray, shape (3 n, a), float64
        Motions that its own symmetry lets features see; see `unfaded_motions`.
    faded : ndarray, shape (n,), bool
        Which neighbours stay where they are.

    Returns
    -------
    Parent or None
        None if the farthest of `NEARLY` is not enough.
    """
    core = Point(point.vectors[~faded], point.numbers[~faded], point.centre_number)
    free = allowed[np.repeat(~faded, 3)]
    for tolerance in NEARLY if free.shape[1] else ():
        group = symmetry_of(descriptor, core, tolerance)
        there = core.at(group.symmetrised(core.vectors))
        known = np.hstack([group.motions(), trivial_motions(there.vectors, ROTATIONS)])
        if len(group.operations) > 1 and hides(known, free):
            distance = float(np.linalg.norm(there.vectors - core.vectors))
            return Parent(there, group, tolerance, distance)
    return None


def hides(known: NDArray[np.float64], free: NDArray[np.float64]) -> bool:
    """
    Whether a place hides any of the motions that are seen beside it.

    Parameters
    ----------
    known : ndarray, shape (3 n, k), float64
        Motions that its symmetry lets features see, and trivial ones.
    free : ndarray, shape (3 n, m), float64
        Those that are seen beside it; orthonormal.
    """
    sizes = np.linalg.svd(complement(known).T @ free, compute_uv=False)
    return bool(np.any(sizes > HIDDEN))


def distance_with(sight: Sight, guess: Estimate, parent: float) -> float:
    """
    Estimated distance to a singular point beside which there may be a more symmetric place.

    There many values vanish at once, of which a linear model of a few says next to nothing: they
    vanish with each other's help only, and what it takes for the least of them is often ten or a
    hundred times too near. The model is believed if one more Jacobian, at the end of the step, says
    that the values are gone, and the symmetric place if not, or if it is nearer.

    Parameters
    ----------
    sight : Sight
        What the estimate is of.
    guess : Estimate
        That of the linear model.
    parent : float
        Distance of the symmetric place, in Å; infinite if there is none.

    Returns
    -------
    float
        In Å. Where neither can be relied upon, the linear model's, which is too short rather than
        too long.
    """
    if parent <= guess.distance or not np.isfinite(parent) or not guess.together:
        return min(parent, guess.distance)
    there = sight.singular(sight.point.vectors.ravel() + guess.displacement.ravel())
    left = np.linalg.norm(there.values[-guess.together :])
    before = np.linalg.norm(guess.singular.values[-guess.together :])
    return guess.distance if left <= HOLDS * before else parent
