"""From all environments to the few that deserve a close look: cheap steps first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from distdesc.descriptors.descriptor import Descriptor
from distdesc.singular.analysis import Options, analyse
from distdesc.singular.classify import symmetry_of
from distdesc.singular.inner import Inner
from distdesc.singular.point import Point, as_environments
from distdesc.singular.reasons import Kind
from distdesc.singular.screened import FADED, Screened, smallest_beyond
from distdesc.singular.spectrum import Spectra, environment_spectra
from distdesc.singular.zeros import null_of
from distdesc.structures.environment import Environments
from distdesc.symmetry.group import Symmetry


def screen(
    descriptor: Descriptor,
    environments: Environments,
    options: Options | None = None,
    closely: bool = False,
) -> Screened:
    """
    Find the environments that no symmetry, but the fingerprint itself makes singular, or nearly.

    Every environment has its singular values and its symmetry found. Within totally symmetric
    motions, they are those that are left without the nulls that symmetry demands: where the
    smallest is below ``flag_ratio`` of the largest, even without the neighbours that fade near
    the cutoff, the distance to a singular point is estimated. If that, or its linear model alone,
    is at most ``flag_distance``, or one of these values is zero, the environment is flagged.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    environments : Environments
        Not modified.
    options : Options, optional
        When an environment is looked at closer, and how.
    closely : bool
        Whether flagged environments are analysed; see `analyse`.
    """
    options = options or Options()
    null = null_of(descriptor) if options.null is None else options.null
    points = [Point.of(environments, k) for k in range(len(environments))]
    groups = [symmetry_of(descriptor, point, options.tolerance) for point in points]
    hidden = np.array([group.expected_nulls("env") for group in groups], dtype=np.int32)
    spectra = environment_spectra(descriptor, environments)
    exact = _symmetrised(descriptor, points, groups, spectra)
    summary = replace(spectra.summary(null), n_nulls=exact.summary(null).n_nulls)
    symmetric = smallest_beyond(exact, hidden)
    largest = summary.s_max
    kinds: list[Kind | None] = [
        Kind.UNRESOLVED if not size > 0 and len(point) else Kind.SYMMETRY if n else Kind.REGULAR
        for point, size, n in zip(points, largest, hidden, strict=True)
    ]
    estimates, flagged = np.full(len(points), np.nan), np.zeros(len(points), dtype=bool)
    for k in np.flatnonzero((largest > 0) & (symmetric <= options.flag_ratio * largest)):
        near = Inner(descriptor, points[k], groups[k], options.bounds.rim)
        smallest, zero = near.smallest(), null * largest[k]
        if smallest <= options.flag_ratio * largest[k]:
            estimates[k], linear = near.distances()
            flagged[k] = min(estimates[k], linear) <= options.flag_distance or smallest <= zero
        if smallest > options.flag_ratio * largest[k] or symmetric[k] < FADED * smallest:
            kinds[k] = Kind.CUTOFF  # what is hardly seen, or the null, is there only with the faded
    analyses = {}
    for k in np.flatnonzero(flagged):
        kinds[k] = None
        if closely:
            analyses[int(k)] = found = analyse(descriptor, points[k], options, groups[k])
            kinds[k] = found.kind
    names = [group.name for group in groups]
    return Screened(
        spectra, summary, names, hidden, symmetric, estimates, kinds, flagged, analyses
    )  # fmt: skip


def _symmetrised(
    descriptor: Descriptor, points: list[Point], groups: list[Symmetry], spectra: Spectra
) -> Spectra:
    """Spectra of the environments made exactly as symmetric as they nearly are."""
    moved = [k for k, group in enumerate(groups) if len(group.operations) > 1 and len(points[k])]
    if not moved:
        return spectra
    places = [points[k].at(groups[k].symmetrised(points[k].vectors)) for k in moved]
    return spectra.replaced(moved, environment_spectra(descriptor, as_environments(places)))
