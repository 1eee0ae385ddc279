"""Why the fingerprint of an environment does not see some motions of its neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.descriptor import Descriptor
from distdesc.errors import CampaignError
from distdesc.singular.ladder import alike, weights_of
from distdesc.singular.motions import ROTATIONS, trivial_motions
from distdesc.singular.point import Point, as_environments
from distdesc.singular.reasons import COINCIDE, Classification, Trial, ladder_tests, sort_nulls
from distdesc.singular.sight import complement, focused
from distdesc.singular.tuples import class_rows
from distdesc.symmetry.finder import find_symmetry
from distdesc.symmetry.group import Symmetry


def symmetry_of(descriptor: Descriptor, point: Point, tolerance: float = 1e-3) -> Symmetry:
    """
    Symmetry of an environment as a descriptor can tell its neighbours apart.

    Neighbours that have the same weight count as alike, and rotations only where the fingerprint
    tells mirror images apart.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    point : Point
        The environment.
    tolerance : float
        As of `find_symmetry`, in Å.
    """
    found = find_symmetry(point.vectors, alike(descriptor, point), tolerance)
    return found.proper() if descriptor.parity_odd else found


def classify(
    descriptor: Descriptor,
    point: Point,
    nulls: NDArray[np.float64],
    symmetry: Symmetry,
    faded: NDArray[np.bool_] | None = None,
) -> Classification:
    """
    Sort the null motions of a singular point by what makes them null.

    In this order: motions without a totally symmetric part are null for every smooth invariant
    fingerprint (symmetry), and those of neighbours that have faded for every smooth local one
    (cutoff); what the same descriptor in a larger basis sees, or correlations of
    its order in a complete basis (`class_rows`), is lost by truncation; what one more neighbour
    at once shows, by incompleteness; by higher incompleteness, if it takes more than one.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    point : Point
        The singular point, as symmetric as it is meant to be; see `Symmetry.symmetrised`.
    nulls : ndarray, shape (3 n, k), float64
        Orthonormal null motions.
    symmetry : Symmetry
        Of the point, from `symmetry_of`.
    faded : ndarray, shape (n,), bool, optional
        Neighbours so near to the cutoff that their motions are no wonder; none if left out.
    """
    there = np.ones(len(point), dtype=bool) if faded is None else ~faded
    core = replace(point, vectors=point.vectors[there], numbers=point.numbers[there])
    rows = np.repeat(there, 3)

    def _of_core(slopes: NDArray[np.float64]) -> NDArray[np.float64]:
        out = np.zeros((len(rows), slopes.shape[1]))
        out[rows] = slopes
        return out

    def _tests_of_core(seen_from: float) -> Iterator[Trial]:
        slopes = (lambda d: _jacobian(d, core), lambda order: _complete(descriptor, core, order))
        for test in ladder_tests(descriptor, core, slopes, seen_from):
            yield replace(test, jacobian=_of_core(test.jacobian))

    lasting = None
    if not np.all(there):
        lasting = _of_core(complement(trivial_motions(core.vectors, ROTATIONS)))
    own = _jacobian(descriptor, point)
    return sort_nulls(nulls, symmetry.motions(), lasting, own, _tests_of_core)


def _jacobian(descriptor: Descriptor, point: Point) -> NDArray[np.float64]:
    found = focused(descriptor, point).jacobian(as_environments([point]))
    return found.reshape(3 * len(point), -1)


def _complete(descriptor: Descriptor, point: Point, order: int) -> NDArray[np.float64] | None:
    """Derivatives of all that correlations of an order can tell; None if that is too much."""
    weights = weights_of(descriptor, point)
    if weights is not None:
        if weights.shape[1] > 1:
            return None
        weights = weights[:, 0]
    try:
        rows = class_rows(
            point.vectors, point.numbers, order, descriptor.parity_odd, weights, COINCIDE
        )
    except CampaignError:  # too many tuples
        return None
    return rows.T
