"""Why a fingerprint does not see a motion: symmetry, a truncated basis, or incompleteness."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.descriptor import Descriptor
from distdesc.errors import CampaignError
from distdesc.singular.ladder import alike, body_order, larger, of_order, weights_of
from distdesc.singular.motions import ROTATIONS, trivial_motions
from distdesc.singular.point import Point, as_environments
from distdesc.singular.sight import complement, focused
from distdesc.singular.tuples import class_rows
from distdesc.symmetry.finder import find_symmetry
from distdesc.symmetry.group import Symmetry

SEEN, LEAST_SEEN = 1e-6, 1e-10
"""Responses relative to the largest: from the first on surely seen, below the second surely not."""

CLEARLY = 1e3
"""Between these, seen is what has so many times the response of the descriptor itself."""

COINCIDE = 1e-3
"""
In Å² and Å³, and of responses relative to the largest: what counts as equal in a complete basis.

Where a singular value vanishes with the square of the distance or faster, its zero says where the
point is to some 1e-5 Å only, and so do the products that ought to be equal there.
"""

CARRIED = 1e-3
"""Part of a unit motion among neighbours that have not faded, below which it is not theirs."""

MOST_AT_ONCE = 4
"""Neighbours that are tried at once for any descriptor, and two more than its own."""


class Kind(Enum):
    """What an environment is, or the singular point beside it."""

    REGULAR = "regular"
    SYMMETRY = "symmetry"
    CUTOFF = "cutoff"
    TRUNCATION = "truncation"
    INCOMPLETENESS = "incompleteness"
    HIGHER = "higher incompleteness"
    UNRESOLVED = "unresolved"


MOST_TELLING = (
    Kind.INCOMPLETENESS, Kind.HIGHER, Kind.TRUNCATION, Kind.UNRESOLVED, Kind.CUTOFF, Kind.SYMMETRY
)  # fmt: skip
"""Order in which the kinds of several null motions give the point its own."""


@dataclass(frozen=True)
class Classification:
    """
    Null motions of a singular point, sorted by what makes them null.

    Parameters
    ----------
    motions : dict of Kind to ndarray, shape (3 n, k), float64
        Orthonormal motions of each kind that occurs.
    reason : str
        What sees those that are not due to symmetry, and what does not.
    """

    motions: dict[Kind, NDArray[np.float64]]
    reason: str

    @property
    def counts(self) -> dict[Kind, int]:
        """Null motions of each kind that occurs."""
        return {kind: motions.shape[1] for kind, motions in self.motions.items()}

    @property
    def kind(self) -> Kind:
        """The most telling kind that occurs; regular if there is no null motion."""
        return next((k for k in MOST_TELLING if k in self.motions), Kind.REGULAR)

    @property
    def motion(self) -> NDArray[np.float64]:
        """A motion of this kind, shape (3 n, 1); none of a regular point."""
        found = self.motions.get(self.kind)
        return np.empty((0, 1)) if found is None else found[:, :1]


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
    motions: dict[Kind, NDArray[np.float64]] = {}
    symmetric = symmetry.motions()
    rest, others = _split(nulls, symmetric.T @ nulls, 0.5)
    if others.shape[1]:
        motions[Kind.SYMMETRY] = others
    there = np.ones(len(point), dtype=bool) if faded is None else ~faded
    if not np.all(there):
        rest, cut = _split(rest, _among(point.vectors, rest, there), CARRIED)
        if cut.shape[1]:
            motions[Kind.CUTOFF] = cut
    core = replace(point, vectors=point.vectors[there], numbers=point.numbers[there])
    rows = np.repeat(there, 3)
    own = _jacobian(descriptor, point)
    left = float(np.linalg.norm(own.T @ nulls)) / max(_size(own), 1e-300)
    tests = _tests(descriptor, core, min(SEEN, max(LEAST_SEEN, CLEARLY * left)))
    said: list[str] = []
    while rest.shape[1] and (test := next(tests, None)) is not None:
        kind, what, jacobian, least = test
        seen, rest = _split(rest, jacobian.T @ rest[rows], least * _size(jacobian))
        if seen.shape[1]:
            motions[kind] = np.hstack([motions.get(kind, seen[:, :0]), seen])
            said.append(f"{seen.shape[1]} seen by {what}")
    if rest.shape[1]:
        motions[Kind.UNRESOLVED] = rest
        said.append(f"{rest.shape[1]} seen by nothing that was tried")
    return Classification(motions, "; ".join(said))


def _among(
    vectors: NDArray[np.float64], motions: NDArray[np.float64], chosen: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """What some motions are among the chosen neighbours, apart from rotations of these."""
    inner = complement(trivial_motions(vectors[chosen], ROTATIONS))
    found: NDArray[np.float64] = inner.T @ motions[np.repeat(chosen, 3)]
    return found


def _tests(
    descriptor: Descriptor, point: Point, seen_from: float
) -> Iterator[tuple[Kind, str, NDArray[np.float64], float]]:
    """What may see a motion, one after the other, what it means if it does, and from where on."""
    order = body_order(descriptor)
    for bigger in larger(descriptor, point):
        yield Kind.TRUNCATION, "a larger basis", _jacobian(bigger, point), seen_from
    if not order:
        return
    for more in range(max(3, MOST_AT_ONCE + 1 - order)):
        kind = (Kind.TRUNCATION, Kind.INCOMPLETENESS, Kind.HIGHER)[min(more, 2)]
        words = f"correlations of {order + more}"
        other = of_order(descriptor, point, order + more) if more else None
        if other is not None:
            yield kind, words, _jacobian(other, point), seen_from
        complete = _complete(descriptor, point, order + more)
        if complete is not None:
            yield kind, f"{words} in a complete basis", complete, COINCIDE


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


def _size(jacobian: NDArray[np.float64]) -> float:
    """Largest response to a unit motion."""
    return float(np.sqrt(np.linalg.eigvalsh(jacobian @ jacobian.T)[-1]))


def _split(
    motions: NDArray[np.float64], responses: NDArray[np.float64], threshold: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Motions turned so that some have responses above a threshold, and the others have not."""
    if 0 in responses.shape:
        return motions[:, :0], motions
    triangle = np.linalg.qr(responses, mode="r")
    _, sizes, right = np.linalg.svd(triangle, full_matrices=True)
    n_seen = int(np.sum(sizes > threshold))
    return motions @ right[:n_seen].T, motions @ right[n_seen:].T
