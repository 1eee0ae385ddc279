"""A fingerprint that points are fitted to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from distdesc.decode.fingerprints import PointFingerprints


class Goal:
    """
    Residuals and slopes of a fit, by what is free of points and weights.

    Parameters
    ----------
    own : PointFingerprints
        Makes the features.
    fingerprint : ndarray, shape (n_features,), float64
        What is to be reached.
    points : ndarray, shape (n, 3), float64
        In units of the radius of the ball.
    weights : ndarray, shape (n,), float64
        Weight of each.
    free_points, free_weights : bool
        What may change; the variables are the coordinates, point by point, then the weights.
    """

    def __init__(
        self,
        own: PointFingerprints,
        fingerprint: NDArray[np.float64],
        points: NDArray[np.float64],
        weights: NDArray[np.float64],
        free_points: bool,
        free_weights: bool,
    ) -> None:
        self.own, self.fingerprint = own, fingerprint
        self.points, self.weights = points, weights
        self.free_points, self.free_weights = free_points, free_weights
        # degree by degree, features grow with the power of the total weight
        self.scale = 1 / own.units(fingerprint)

    def unpacked(self, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """
        Points and weights of the variables.

        Parameters
        ----------
        x : ndarray, shape (n_variables,), float64
            The variables.
        """
        split = self.points.size if self.free_points else 0
        moved = x[:split].reshape(-1, 3) if self.free_points else self.points
        return moved, x[split:] if self.free_weights else self.weights

    def residuals(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Differences of the features, scaled.

        Parameters
        ----------
        x : ndarray, shape (n_variables,), float64
            The variables.
        """
        return (self.own.of_points(*self.unpacked(x)) - self.fingerprint) * self.scale

    def slopes(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Derivatives of these differences.

        Parameters
        ----------
        x : ndarray, shape (n_variables,), float64
            The variables.
        """
        points, weights = self.unpacked(x)
        functions, by_place = self.own.basis(points)
        rows = []
        if self.free_points:
            rows.append((by_place * weights[:, None, None]).reshape(-1, functions.shape[1]))
        if self.free_weights:
            rows.append(functions)
        by_moments = self.own.slopes_by_moments(weights @ functions)
        product: NDArray[np.float64] = by_moments @ np.concatenate(rows).T
        return product * self.scale[:, None]
