"""An environment that is looked at: its symmetry, and more symmetric ones beside it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.descriptor import Descriptor
from distdesc.singular.bounds import Bounds
from distdesc.singular.classify import symmetry_of
from distdesc.singular.distance import Estimate
from distdesc.singular.inner import unfaded_motions
from distdesc.singular.look import Look, faded_of, look, unseen
from distdesc.singular.parent import distance_with, parent_of
from distdesc.singular.point import Point
from distdesc.singular.reasons import Classification
from distdesc.singular.sight import Sight
from distdesc.symmetry.group import Symmetry


@dataclass(frozen=True)
class EnvironmentRow:
    """
    An environment, whose neighbours move about its centre.

    Parameters
    ----------
    descriptor : Descriptor
        The map; see `focused`.
    bounds : Bounds
        What they say of the rim counts.
    null : float, optional
        As of `Sight`.
    """

    descriptor: Descriptor
    bounds: Bounds = field(default_factory=Bounds)
    null: float | None = None

    @property
    def pairs(self) -> bool:
        """See Row.pairs."""
        return True

    @property
    def fewest(self) -> int:
        """See Row.fewest."""
        return 0

    def refusal(self, point: Point) -> str:
        """See Row.refusal."""
        return "no neighbours" if not len(point) else unseen(Sight(self.descriptor, point))

    def symmetry(self, point: Point, tolerance: float) -> Symmetry:
        """See Row.symmetry."""
        return symmetry_of(self.descriptor, point, tolerance)

    def parent(self, here: Look) -> tuple[Look, float] | None:
        """See Row.parent."""
        faded = faded_of(self.descriptor, here.point, self.bounds)
        allowed = unfaded_motions(here.symmetry, faded)
        found = parent_of(self.descriptor, here.point, allowed, faded)
        if found is None:
            return None
        there = look(self.descriptor, found.core, found.symmetry, self.bounds, self.null)
        return (_among(there, here.point, ~faded) if np.any(faded) else there), found.distance

    def distance(self, here: Look, guess: Estimate, parent: float) -> float:
        """See Row.distance."""
        return distance_with(here.free, guess, parent)

    def look(self, point: Point, symmetry: Symmetry, tolerance: float) -> Look:
        """See Row.look."""
        return look(self.descriptor, point, symmetry, self.bounds, self.null)


def _among(there: Look, point: Point, core: NDArray[np.bool_]) -> Look:
    """What some neighbours are alone, with the others, which fade, where they are."""
    rows = np.repeat(core, 3)

    def _of_all(motions: NDArray[np.float64]) -> NDArray[np.float64]:
        out = np.zeros((len(rows), motions.shape[1]))
        out[rows] = motions
        return out

    vectors = point.vectors.copy()
    vectors[core] = there.point.vectors
    whole = point.at(vectors)
    motions = {kind: _of_all(own) for kind, own in there.found.motions.items()}
    reason = "; ".join(filter(None, (there.found.reason, "neighbours that fade left out")))
    seen = replace(there.singular, motions=_of_all(there.singular.motions))
    allowed = _of_all(there.symmetry.motions())
    sight = replace(there.within, point=whole, allowed=allowed)
    return Look(whole, there.symmetry, seen, Classification(motions, reason), sight, sight)
