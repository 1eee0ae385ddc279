"""What a fingerprint sees of the motions of one row, to first order and beyond."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.descriptor import Descriptor
from distdesc.elements import symbol_of
from distdesc.singular.bounds import Bounds, Limits
from distdesc.singular.point import Point
from distdesc.singular.subject import NEIGHBOURHOOD, Subject
from distdesc.singular.zeros import EXACT, NULL, exact_of, null_of

STEP = 1e-4
"""In Å: of central differences of the Jacobian; both its errors are then about 1e-8."""

INDEPENDENT = 1e-6
"""Smallest singular value of unit motions that are still different from each other."""


@dataclass(frozen=True)
class Decomposition:
    """
    Singular values and vectors of the Jacobian of one environment within some motions.

    Parameters
    ----------
    values : ndarray, shape (d,), float64
        Descending, in features per Å; zeros included.
    motions : ndarray, shape (3 n, d), float64
        Right singular vectors: orthonormal motions of the neighbours.
    responses : ndarray, shape (n_features, d), float64
        Left singular vectors: what the fingerprint does; zero where there are fewer features.
    null : float
        Values up to this, relative to the largest, are zero; see `null_of`.
    exact : float
        Values up to this, relative to the largest, cannot be told from zero; see `exact_of`.
    """

    values: NDArray[np.float64]
    motions: NDArray[np.float64]
    responses: NDArray[np.float64]
    null: float = NULL
    exact: float = EXACT

    @property
    def ratios(self) -> NDArray[np.float64]:
        """Values relative to the largest."""
        return self.values / self.values[0] if np.any(self.values) else self.values

    def n_nulls(self, tolerance: float | None = None) -> int:
        """
        Count the values that are zero; all are where even the largest is.

        Parameters
        ----------
        tolerance : float, optional
            Relative to the largest, if not `null`.
        """
        return int(np.sum(self.ratios <= (self.null if tolerance is None else tolerance)))


@dataclass(frozen=True)
class Sight:
    """
    A descriptor that looks at one environment, or structure, whose atoms move.

    Parameters
    ----------
    descriptor : Descriptor
        The map; see `focused`.
    point : Point
        Which neighbours, or atoms.
    allowed : ndarray, shape (3 n, a), float64, optional
        Orthonormal motions that are looked at, such as the totally symmetric ones; all if None.
    subject : Subject
        Whether the atoms are neighbours of a centre or those of a structure.
    paths : ndarray, shape (3 n, p), float64, optional
        Orthonormal motions along which a search may go, if these are others: a motion that keeps
        the symmetry of a structure is seen, but not only such motions are seen by its atoms.
    null : float, optional
        Singular values up to this, relative to the largest, are zero; `null_of` of the descriptor
        if None.
    """

    descriptor: Descriptor
    point: Point
    allowed: NDArray[np.float64] | None = None
    subject: Subject = NEIGHBOURHOOD
    paths: NDArray[np.float64] | None = None
    null: float | None = None

    def motions(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Orthonormal motions other than trivial ones.

        Parameters
        ----------
        coordinates : ndarray, shape (3 n,), float64
            Where the atoms are, in Å.

        Returns
        -------
        ndarray, shape (3 n, d), float64
            Of what is allowed, what is orthogonal to what of the trivial motions is allowed.
        """
        return self._within(self.allowed, coordinates)

    def steps(
        self, coordinates: NDArray[np.float64], seen: Decomposition | None = None
    ) -> NDArray[np.float64]:
        """
        Orthonormal motions along which a search may go on.

        Parameters
        ----------
        coordinates : ndarray, shape (3 n,), float64
            Where the atoms are, in Å.
        seen : Decomposition, optional
            What is seen there, if known.

        Returns
        -------
        ndarray, shape (3 n, p), float64
            Those that are looked at, unless there are `paths`.
        """
        if self.paths is not None:
            return self._within(self.paths, coordinates)
        return self.motions(coordinates) if seen is None else seen.motions

    def limits(self, bounds: Bounds, start: NDArray[np.float64]) -> Limits:
        """
        Limits of a search that begins somewhere.

        Parameters
        ----------
        bounds : Bounds
            In general.
        start : ndarray, shape (3 n,), float64
            In Å.
        """
        return self.subject.limits(bounds, start, self.descriptor.cutoff)

    def features(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Fingerprints with the atoms in several places.

        Parameters
        ----------
        coordinates : ndarray, shape (k, 3 n), float64
            In Å.

        Returns
        -------
        ndarray, shape (k, n_features), float64
            One row a place.
        """
        return self.subject.values(self.descriptor, self.point, coordinates)

    def jacobians(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Jacobians with the atoms in several places.

        Parameters
        ----------
        coordinates : ndarray, shape (k, 3 n), float64
            In Å.

        Returns
        -------
        ndarray, shape (k, 3 n, n_features), float64
            In features per Å.
        """
        return self.subject.jacobians(self.descriptor, self.point, coordinates)

    def singular(self, coordinates: NDArray[np.float64]) -> Decomposition:
        """
        Singular values and vectors within the motions that are looked at.

        Parameters
        ----------
        coordinates : ndarray, shape (3 n,), float64
            Where the atoms are, in Å.
        """
        found = decomposed(self.jacobians(coordinates[None])[0], self.motions(coordinates))
        null = null_of(self.descriptor) if self.null is None else self.null
        return replace(found, null=null, exact=exact_of(self.descriptor))

    def turns(
        self, coordinates: NDArray[np.float64], motions: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """
        How the responses to some motions change as the neighbours move.

        Second derivatives are symmetric, so that the change of ``J v`` along every coordinate is
        the change of the Jacobian along v: two Jacobians for each motion.

        Parameters
        ----------
        coordinates : ndarray, shape (3 n,), float64
            Where the atoms are, in Å.
        motions : ndarray, shape (3 n, k), float64
            Unit motions.

        Returns
        -------
        ndarray, shape (k, 3 n, n_features), float64
            Features per Å².
        """
        shifts = STEP * motions.T
        both = self.jacobians(np.concatenate([coordinates + shifts, coordinates - shifts]))
        k = len(shifts)
        found: NDArray[np.float64] = (both[:k] - both[k:]) / (2 * STEP)
        return found

    def _within(
        self, some: NDArray[np.float64] | None, coordinates: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        trivial = self.subject.trivial(coordinates)
        return complement(trivial) if some is None else some @ complement(some.T @ trivial)


def complement(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Orthonormal vectors that are orthogonal to all given ones.

    Parameters
    ----------
    vectors : ndarray, shape (d, k), float64
        Of any length up to 1; those below 1e-6 count as none.

    Returns
    -------
    ndarray, shape (d, d - rank), float64
        As columns.
    """
    if vectors.shape[1] == 0:
        return np.eye(len(vectors))
    left, sizes, _ = np.linalg.svd(vectors, full_matrices=True)
    return left[:, int(np.sum(sizes > INDEPENDENT)) :]


def decomposed(jacobian: NDArray[np.float64], motions: NDArray[np.float64]) -> Decomposition:
    """
    Singular values and vectors of a Jacobian within some motions, small ones as exact as large.

    Parameters
    ----------
    jacobian : ndarray, shape (3 n, n_features), float64
        In features per Å.
    motions : ndarray, shape (3 n, d), float64
        Orthonormal.
    """
    q, r = np.linalg.qr(jacobian.T @ motions)
    left, sizes, right = np.linalg.svd(r)
    d = motions.shape[1]
    values, responses = np.zeros(d), np.zeros((jacobian.shape[1], d))
    values[: len(sizes)] = sizes
    responses[:, : len(sizes)] = q @ left[:, : len(sizes)]
    return Decomposition(values, motions @ right.T, responses)


def focused(descriptor: Descriptor, point: Point) -> Descriptor:
    """
    Return the same descriptor without the features that are zero for want of their elements.

    Parameters
    ----------
    descriptor : Descriptor
        With one density per element, it is made anew for those that occur; others stay as they are.
    point : Point
        The environment.
    """
    kind: Any = descriptor
    if getattr(kind, "species", "channels") != "channels" or not hasattr(kind, "elements"):
        return descriptor
    centre = [point.centre_number] if kind.include_centre else []
    present = sorted({*point.numbers.tolist(), *centre})
    if not present or not set(present) <= set(descriptor.accepted_numbers):
        return descriptor
    made: Descriptor = replace(kind, elements=tuple(symbol_of(z) for z in present))
    return made
