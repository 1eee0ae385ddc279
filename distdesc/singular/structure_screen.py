"""Whole structures, from all to the few that deserve a close look: cheap steps first."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.descriptor import Descriptor
from distdesc.singular.analysis import Options, analyse_row
from distdesc.singular.distance import Estimate, estimate
from distdesc.singular.parent import distance_with
from distdesc.singular.point import Point
from distdesc.singular.reasons import Kind
from distdesc.singular.screened import FADED, Screened, smallest_beyond
from distdesc.singular.sight import Sight
from distdesc.singular.spectrum import structure_spectra
from distdesc.singular.structure_row import StructureRow
from distdesc.singular.zeros import null_of
from distdesc.structures.source import Structures
from distdesc.symmetry.group import Symmetry


@dataclass(frozen=True)
class _Found:
    """A structure, its symmetry, and what that lets features see."""

    row: StructureRow
    point: Point
    symmetry: Symmetry
    exact: Point
    visible: NDArray[np.float64]

    @classmethod
    def of(cls, descriptor: Descriptor, one: Structures, features: str, options: Options) -> _Found:
        row, point = StructureRow.of(descriptor, one, features, options.bounds, options.null)
        symmetry = row.symmetry(point, options.tolerance)
        exact = row.symmetrised(point, symmetry)
        return cls(row, point, symmetry, exact, row.visible(exact, options.tolerance))

    def free(self) -> Sight:
        """What is seen of motions that neither symmetry nor the cutoff hides."""
        return self.row.sights(self.exact, self.visible, self.symmetry)[1]

    def distance(self, guess: Estimate) -> float:
        """Estimated distance to a singular point, in Å, from that of the linear model."""
        place = self.row.place(self.exact, self.symmetry, self.visible)
        return distance_with(self.free(), guess, np.inf if place is None else place.distance)


def screen_structures(
    descriptor: Descriptor,
    batch: Structures,
    features: str,
    options: Options | None = None,
    closely: bool = False,
) -> Screened:
    """
    Find the structures that no symmetry, but the fingerprint itself makes singular, or nearly.

    As `cascade.screen` does for environments: every structure has its singular values and its
    symmetry found, those with a small one besides the nulls that symmetry demands have their
    distance to a singular point estimated, and those that are near to one are flagged.

    Parameters
    ----------
    descriptor : Descriptor
        The map of environments.
    batch : Structures
        Structures that passed validation.
    features : str
        ``"sum"`` or ``"stack"``; see `structure_spectra`.
    options : Options, optional
        When a structure is looked at closer, and how.
    closely : bool
        Whether flagged structures are analysed; see `analyse_row`.
    """
    options = options or Options()
    null = null_of(descriptor) if options.null is None else options.null
    spectra = structure_spectra(descriptor, batch, features)
    rows = [
        _Found.of(descriptor, batch.take(np.array([k])), features, options)
        for k in range(len(batch))
    ]
    there, moved = spectra, [k for k, row in enumerate(rows) if row.exact is not row.point]
    if moved:
        positions = np.concatenate([row.exact.vectors for row in rows])
        exact = replace(batch, positions=positions).take(np.array(moved))
        there = spectra.replaced(moved, structure_spectra(descriptor, exact, features))
    hidden = np.array(
        [row.visible.shape[0] - row.visible.shape[1] for row in rows], dtype=np.int32
    ) - there.n_motions.astype(np.int32)
    summary = replace(spectra.summary(null), n_nulls=there.summary(null).n_nulls)
    symmetric = smallest_beyond(there, hidden)
    kinds: list[Kind | None] = [Kind.SYMMETRY if n else Kind.REGULAR for n in hidden]
    estimates, flagged = np.full(len(rows), np.nan), np.zeros(len(rows), dtype=bool)
    analyses = {}
    for k in np.flatnonzero(symmetric <= options.flag_ratio * summary.s_max).tolist():
        limits = options.flag_ratio * summary.s_max[k], null * summary.s_max[k]
        kinds[k], estimates[k] = _estimated(
            rows[k], options.flag_distance, limits, float(symmetric[k]), kinds[k]
        )
        flagged[k] = kinds[k] is None
        if flagged[k] and closely:
            row = rows[k]
            analyses[k] = analyse_row(row.row, row.point, options, row.symmetry)
            kinds[k] = analyses[k].kind
    names = [row.symmetry.name for row in rows]
    return Screened(spectra, summary, names, hidden, symmetric, estimates, kinds, flagged, analyses)


def _estimated(
    found: _Found, near: float, limits: tuple[float, float], least: float, otherwise: Kind | None
) -> tuple[Kind | None, float]:
    """
    Kind of a structure of which little is seen, and its distance from a singular point.

    None if it deserves a close look, and what it is otherwise if it is far from any. The limits
    are those of singular values that are little, and that are zero; `least` is the smallest with
    what fades.
    """
    if found.row.refusal(found.point):
        return None, np.nan
    guess = estimate(found.free())
    smallest, (little, zero) = np.min(guess.singular.values, initial=np.inf), limits
    if smallest > little:
        return Kind.CUTOFF, np.nan
    best = found.distance(guess)
    if min(best, guess.distance) <= near or smallest <= zero:
        return None, best
    return (Kind.CUTOFF if least < FADED * smallest else otherwise), best
