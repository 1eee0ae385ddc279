"""Totally symmetric motions of the neighbours that do not fade, and how a fingerprint sees them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.descriptor import Descriptor
from distdesc.singular.bounds import Bounds
from distdesc.singular.distance import estimate
from distdesc.singular.maps import Separate
from distdesc.singular.motions import ROTATIONS, trivial_motions
from distdesc.singular.parent import distance_with, parent_of
from distdesc.singular.point import Point, as_environments
from distdesc.singular.screen import singular_values
from distdesc.singular.sight import Sight, focused
from distdesc.symmetry.group import Symmetry


def unfaded_motions(group: Symmetry, faded: NDArray[np.bool_]) -> NDArray[np.float64]:
    """
    Totally symmetric motions of neighbours that have not faded; each is of one orbit.

    Parameters
    ----------
    group : Symmetry
        Of the environment.
    faded : ndarray, shape (n,), bool
        Which neighbours stay where they are.

    Returns
    -------
    ndarray, shape (3 n, k), float64
        Orthonormal columns.
    """
    symmetric = group.motions()
    moves_faded = np.any(np.abs(symmetric[np.repeat(faded, 3)]) > 0, axis=0)
    return symmetric[:, ~moves_faded]


class Inner:
    """
    One environment, made exactly symmetric, whose neighbours near the cutoff stay where they are.

    These fade: no fingerprint sees much of them, and where the smallest singular value is theirs
    it says nothing of the rest. What symmetry hides is left out as well, so that what remains is
    up to the fingerprint.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    point : Point
        The environment.
    group : Symmetry
        That it has nearly; see `symmetry_of`.
    rim : float
        Distance from the centre, relative to the cutoff, from which on neighbours fade.
    """

    def __init__(
        self, descriptor: Descriptor, point: Point, group: Symmetry, rim: float = Bounds.rim
    ) -> None:
        self.descriptor, self.point = descriptor, point.at(group.symmetrised(point.vectors))
        self.faded = np.linalg.norm(point.vectors, axis=1) > rim * descriptor.cutoff
        self.allowed = unfaded_motions(group, self.faded)

    def values(self) -> NDArray[np.float64]:
        """
        Singular values within these motions, rotations set aside.

        Returns
        -------
        ndarray, shape (n_values,), float64
            From the largest, in features per Å; empty where nothing is free to move.
        """
        seen = Separate(self.descriptor, as_environments([self.point]))
        trivial = trivial_motions(self.point.vectors, ROTATIONS)
        return singular_values(seen.gram(), trivial, seen.responses, self.allowed)

    def smallest(self) -> float:
        """Smallest of these values, in features per Å; infinite where there is none."""
        return float(np.min(self.values(), initial=np.inf))

    def distances(self) -> tuple[float, float]:
        """
        Estimated distance to a singular point, in Å, and that of the linear model alone.

        See `distance_with` and `estimate`; the second is that to one of the same symmetry.
        """
        kind = focused(self.descriptor, self.point)
        sight = Sight(kind, self.point, self.allowed)
        guess = estimate(sight)
        parent = parent_of(self.descriptor, self.point, self.allowed, self.faded)
        best = distance_with(sight, guess, np.inf if parent is None else parent.distance)
        return best, guess.distance
