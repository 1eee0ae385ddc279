"""A linear map from fingerprints to shorter ones, ready to be applied."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from distdesc.reduction.algebra import multiply


@dataclass(frozen=True, eq=False)
class Projection:
    """
    Deviations from a mean, projected on components.

    Parameters
    ----------
    mean : ndarray, shape (n_features,), float64
        Subtracted from each fingerprint.
    components : ndarray, shape (n_components, n_features), float64
        One row for each number that is kept.
    names : tuple of str
        Of the components.
    variance : ndarray, shape (n_components,) or (0,), float64
        Variance of the fitted fingerprints along each component; empty if nothing was fitted.
    total_variance : float
        Of the fitted fingerprints, over all features; 0 if nothing was fitted.
    """

    mean: NDArray[np.float64]
    components: NDArray[np.float64]
    names: tuple[str, ...]
    variance: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    total_variance: float = 0.0

    @property
    def n_components(self) -> int:
        """Numbers kept of a fingerprint."""
        return len(self.components)

    @property
    def explained(self) -> NDArray[np.float64]:
        """Part of the total variance along each component, 0 to 1, shape as `variance`."""
        if not self.total_variance:
            return np.zeros_like(self.variance)
        return self.variance / self.total_variance

    def apply(self, fingerprints: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Reduced fingerprints; each depends on its own fingerprint only, bit for bit.

        Parameters
        ----------
        fingerprints : ndarray, shape (n, n_features), float64
            Not modified.

        Returns
        -------
        ndarray, shape (n, n_components), float64
            Not finite where the fingerprint is not.
        """
        return multiply(fingerprints - self.mean, self._columns)

    @cached_property
    def _columns(self) -> NDArray[np.float64]:
        return np.ascontiguousarray(self.components.T)
