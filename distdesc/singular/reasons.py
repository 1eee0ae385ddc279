"""What makes the null motions of a singular point null: a ladder of what sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.descriptor import Descriptor
from distdesc.singular.ladder import body_order, larger, of_order
from distdesc.singular.point import Point

SEEN, LEAST_SEEN = 1e-6, 1e-10
"""Responses relative to the largest: from the first on surely seen, below the second surely not."""

CLEARLY = 1e3
"""Between these, seen is what has so many times the response of the descriptor itself."""

BETTER = 10.0
"""And always so many times, where the descriptor itself sees more than the first of them."""

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


@dataclass(frozen=True)
class Trial:
    """
    Something that may see a motion.

    Parameters
    ----------
    kind : Kind
        What makes a motion null that it sees.
    what : str
        What it is.
    jacobian : ndarray, shape (3 n, n_features), float64
        Its responses, in features per Å.
    least : float
        Response, relative to the largest, from which on a motion is seen.
    """

    kind: Kind
    what: str
    jacobian: NDArray[np.float64]
    least: float


Slopes = tuple[
    Callable[[Descriptor], NDArray[np.float64]], Callable[[int], NDArray[np.float64] | None]
]
"""Jacobian of any descriptor, and derivatives of what correlations of an order can tell."""


def sort_nulls(
    nulls: NDArray[np.float64],
    visible: NDArray[np.float64],
    lasting: NDArray[np.float64] | None,
    own: NDArray[np.float64],
    tests: Callable[[float], Iterator[Trial]],
) -> Classification:
    """
    Sort null motions of anything by what makes them null; see `classify`.

    Parameters
    ----------
    nulls : ndarray, shape (3 n, k), float64
        Orthonormal null motions.
    visible : ndarray, shape (3 n, v), float64
        Orthonormal motions that symmetry lets features see.
    lasting : ndarray, shape (3 n, l), float64, or None
        Orthonormal motions that are seen by more than what fades; all if None.
    own : ndarray, shape (3 n, n_features), float64
        Jacobian of the descriptor itself, in features per Å.
    tests : callable
        Gives the tests, in order, for the least response that counts.
    """
    motions: dict[Kind, NDArray[np.float64]] = {}
    rest, others = _split(nulls, visible.T @ nulls, 0.5)
    if others.shape[1]:
        motions[Kind.SYMMETRY] = others
    if lasting is not None:
        rest, cut = _split(rest, lasting.T @ rest, CARRIED)
        if cut.shape[1]:
            motions[Kind.CUTOFF] = cut
    left = float(np.linalg.norm(own.T @ nulls)) / max(_size(own), 1e-300)
    every = tests(max(min(SEEN, max(LEAST_SEEN, CLEARLY * left)), BETTER * left))
    said: list[str] = []
    while rest.shape[1] and (test := next(every, None)) is not None:
        seen, rest = _split(rest, test.jacobian.T @ rest, test.least * _size(test.jacobian))
        if seen.shape[1]:
            motions[test.kind] = np.hstack([motions.get(test.kind, seen[:, :0]), seen])
            said.append(f"{seen.shape[1]} seen by {test.what}")
    if rest.shape[1]:
        motions[Kind.UNRESOLVED] = rest
        said.append(f"{rest.shape[1]} seen by nothing that was tried")
    return Classification(motions, "; ".join(said))


def ladder_tests(
    descriptor: Descriptor, point: Point, slopes: Slopes, seen_from: float
) -> Iterator[Trial]:
    """
    What may see a motion, one after the other: a larger basis, then more neighbours at once.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    point : Point
        Which atoms.
    slopes : tuple of callable
        How a descriptor responds, and correlations of an order in a complete basis, None where
        that is too much.
    seen_from : float
        Least response, relative to the largest, that counts.

    Yields
    ------
    Trial
        The next.
    """
    jacobian, complete = slopes
    order = body_order(descriptor)
    for bigger in larger(descriptor, point):
        yield Trial(Kind.TRUNCATION, "a larger basis", jacobian(bigger), seen_from)
    if not order:
        return
    for more in range(max(3, MOST_AT_ONCE + 1 - order)):
        kind = (Kind.TRUNCATION, Kind.INCOMPLETENESS, Kind.HIGHER)[min(more, 2)]
        words = f"correlations of {order + more}"
        other = of_order(descriptor, point, order + more) if more else None
        if other is not None:
            yield Trial(kind, words, jacobian(other), seen_from)
        every = complete(order + more)
        if every is not None:
            yield Trial(kind, f"{words} in a complete basis", every, COINCIDE)


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
