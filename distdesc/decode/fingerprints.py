"""Fingerprints of weighted points, their derivatives, and fits of points to a fingerprint."""

from __future__ import annotations

from functools import lru_cache
from math import pi
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from distdesc.decode._basis_kernels import functions_and_slopes
from distdesc.decode.descent import PATIENCE, descend
from distdesc.decode.goal import Goal
from distdesc.descriptors import _jacobian_kernels, _moment_kernels
from distdesc.descriptors.cutoff import ShiftedCosine
from distdesc.descriptors.density import harmonic_recurrence, n_moments, tensors
from distdesc.descriptors.invariants import ContractionTable, Invariant, contraction_table
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.descriptors.zernike import zernike_coefficients
from distdesc.errors import StructureError

LARGEST = 1e30
"""Feature that could still be computed with."""


class Fit(NamedTuple):
    """
    Points fitted to a fingerprint.

    Parameters
    ----------
    points : ndarray, shape (n, 3), float64
        In units of the radius of the ball.
    weights : ndarray, shape (n,), float64
        Weight of each.
    residual : float
        Largest difference of a feature, relative to the largest feature.
    """

    points: NDArray[np.float64]
    weights: NDArray[np.float64]
    residual: float


class PointFingerprints:
    """
    Invariants of weighted points in the unit ball; weights before the cutoff function.

    Parameters
    ----------
    invariants : tuple of Invariant
        Of one density.
    order : int
        Largest n.
    smoothing : float
        Width of the decay before the cutoff, in units of the radius.
    """

    def __init__(self, invariants: tuple[Invariant, ...], order: int, smoothing: float) -> None:
        self._cutoff = ShiftedCosine(1.0, smoothing) if smoothing > 0 else None
        self.order = order
        self.invariants = invariants
        self.table: ContractionTable = contraction_table(invariants, tuple(tensors(order)), 1)
        self.degrees: NDArray[np.int64] = np.array([len(v.tensors) for v in invariants])
        self._recurrence = np.array(harmonic_recurrence(order))
        self._radial = np.array(zernike_coefficients(order))

    def of_moments(self, moments: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Invariants of given moments.

        Parameters
        ----------
        moments : ndarray, shape (n_moments,), float64
            In the order of `distdesc.descriptors.density.tensors`.
        """
        out = np.empty((1, len(self.degrees)))
        _moment_kernels.contractions(moments[None], self.table, out)
        values: NDArray[np.float64] = out[0]
        return values

    def slopes_by_moments(self, moments: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Derivatives of the invariants by the moments, shape (n_features, n_moments).

        Parameters
        ----------
        moments : ndarray, shape (n_moments,), float64
            In the order of `distdesc.descriptors.density.tensors`.
        """
        out = np.empty((1, len(self.degrees), len(moments)))
        _jacobian_kernels.contraction_jacobians(moments[None], self.table, out)
        slopes: NDArray[np.float64] = out[0]
        return slopes

    def basis(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """
        Moments of points of weight one, (n, n_moments), and derivatives, (n, 3, n_moments).

        Parameters
        ----------
        points : ndarray, shape (n, 3), float64
            In units of the radius of the ball.
        """
        functions = np.empty((len(points), n_moments(self.order)))
        slopes = np.empty((len(points), 3, functions.shape[1]))
        functions_and_slopes(points, self._recurrence, self._radial, functions, slopes)
        if self._cutoff is not None:
            distances = np.linalg.norm(points, axis=1)
            fall = self._cutoff.slope(distances) / np.maximum(distances, 1e-150)
            slopes *= self._cutoff(distances)[:, None, None]
            slopes += (fall[:, None] * points)[:, :, None] * functions[:, None]
            functions *= self._cutoff(distances)[:, None]
        return 3 / (4 * pi) * functions, 3 / (4 * pi) * slopes

    def decay(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Cutoff function at some points.

        Parameters
        ----------
        points : ndarray, shape (n, 3), float64
            In units of the radius of the ball.
        """
        if self._cutoff is None:
            return np.ones(len(points))
        return self._cutoff(np.linalg.norm(points, axis=1))

    def of_points(
        self, points: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """
        Invariants of weighted points.

        Parameters
        ----------
        points : ndarray, shape (n, 3), float64
            In units of the radius of the ball.
        weights : ndarray, shape (n,), float64
            Weight of each.
        """
        return self.of_moments(weights @ self.basis(points)[0])

    def units(self, fingerprint: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        What features are measured by where large and small ones are to count alike.

        Parameters
        ----------
        fingerprint : ndarray, shape (n_features,), float64
            The first is the total weight, in a unit of its own.

        Returns
        -------
        ndarray, shape (n_features,), float64
            That weight to the degree of each feature.
        """
        return np.float64(max(abs(float(fingerprint[0])), 1e-3)) ** self.degrees

    def residual(
        self,
        fingerprint: NDArray[np.float64],
        points: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> float:
        """
        Largest difference of a feature of points from a given one, relative to the largest.

        Parameters
        ----------
        fingerprint : ndarray, shape (n_features,), float64
            The given one.
        points : ndarray, shape (n, 3), float64
            In units of the radius of the ball.
        weights : ndarray, shape (n,), float64
            Weight of each.
        """
        off = np.abs(self.of_points(points, weights) - fingerprint)
        return float(np.max(off) / max(float(np.max(np.abs(fingerprint))), 1e-300))

    def fit(
        self,
        fingerprint: NDArray[np.float64],
        points: NDArray[np.float64],
        weights: NDArray[np.float64],
        free_weights: bool = False,
        free_points: bool = True,
        most_steps: int = 30,
        patience: int = PATIENCE,
    ) -> Fit:
        """
        Move points, or change their weights, towards a fingerprint.

        Parameters
        ----------
        fingerprint : ndarray, shape (n_features,), float64
            The goal.
        points : ndarray, shape (n, 3), float64
            In units of the radius of the ball.
        weights : ndarray, shape (n,), float64
            Weight of each.
        free_weights, free_points : bool
            What may change.
        most_steps : int
            Steps at most.
        patience : int
            See `descend`.
        """
        goal = Goal(self, fingerprint, points, weights, free_points, free_weights)
        parts = [points.ravel()] * free_points + [weights] * free_weights
        end = descend(
            goal.residuals, goal.slopes, np.concatenate(parts), 1e-26, most_steps, patience
        )
        points, weights = goal.unpacked(end.x)
        return Fit(points, weights, self.residual(fingerprint, points, weights))

    def fit_moments(
        self,
        moments: NDArray[np.float64],
        points: NDArray[np.float64],
        weights: NDArray[np.float64],
        most_steps: int = 30,
    ) -> Fit:
        """
        Move points towards given moments.

        Parameters
        ----------
        moments : ndarray, shape (n_moments(n),), float64
            The goal, of an order n up to that of the fingerprints.
        points : ndarray, shape (n, 3), float64
            In units of the radius of the ball.
        weights : ndarray, shape (n,), float64
            Weight of each.
        most_steps : int
            Steps at most.
        """
        size = len(moments)
        scale = 1 / max(float(np.max(np.abs(moments))), 1e-300)

        def residuals(x: NDArray[np.float64]) -> NDArray[np.float64]:
            """Differences of the moments, scaled."""
            return (weights @ self.basis(x.reshape(-1, 3))[0][:, :size] - moments) * scale

        def slopes(x: NDArray[np.float64]) -> NDArray[np.float64]:
            """Derivatives of these differences."""
            by_place = self.basis(x.reshape(-1, 3))[1][:, :, :size] * weights[:, None, None]
            return by_place.reshape(-1, size).T * scale

        end = descend(residuals, slopes, points.ravel(), 1e-20, most_steps)
        worst = float(np.max(np.abs(residuals(end.x))))
        return Fit(end.x.reshape(-1, 3), weights, worst)


def of_descriptor(descriptor: MomentInvariants) -> PointFingerprints:
    """
    Fingerprints as a descriptor makes them, in units of its cutoff; its elements are not asked.

    Parameters
    ----------
    descriptor : MomentInvariants
        With one density.
    """
    smoothing = descriptor.smoothing / descriptor.cutoff
    return _cached(descriptor.order, descriptor.invariants, descriptor.parity_odd, smoothing)


@lru_cache(maxsize=16)
def _cached(order: int, invariants: str, parity_odd: bool, smoothing: float) -> PointFingerprints:
    plain = MomentInvariants(order=order, invariants=invariants, parity_odd=parity_odd)
    return PointFingerprints(plain.invariant_list(), order, smoothing)


def checked(descriptor: MomentInvariants, fingerprint: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Fingerprint as numbers that one can compute with.

    Parameters
    ----------
    descriptor : MomentInvariants
        What it should be of.
    fingerprint : ndarray, shape (n_features,), float64
        What was given.

    Raises
    ------
    StructureError
        If it has another length or is not finite.
    """
    wanted = descriptor.n_features
    values = np.asarray(fingerprint, dtype=np.float64)
    if values.shape != (wanted,):
        raise StructureError(
            {0: f"fingerprint must have shape ({wanted},), the {wanted} features of order "
                f"{descriptor.order}, got {values.shape}"}
        )  # fmt: skip
    bad = np.flatnonzero(~(np.abs(values) < LARGEST))
    if len(bad):
        raise StructureError(
            {0: f"fingerprint must be finite and below {LARGEST:.0e}, got {values[bad[0]]} as "
                f"feature {bad[0]}"}
        )  # fmt: skip
    return values
