"""What a pass over the data leaves behind: sums small enough to be sent, kept and merged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distdesc.reduction.algebra import multiply


@dataclass(frozen=True)
class Sketch:
    """
    Number, mean and spread of some fingerprints, and their scatter matrix times a basis.

    Of ``n`` fingerprints x with the mean m, the scatter matrix is S = Σ (x - m)(x - m)ᵀ; it is
    too large to keep, its product with a narrow basis is not. Deviations are taken from the
    mean of the fingerprints at hand and put right when sketches are merged [1]_, so that
    nothing is lost where the mean is much larger than the deviations.

    Parameters
    ----------
    n : int
        Fingerprints seen.
    mean : ndarray, shape (n_features,), float64
        Their mean; zero if there are none.
    spread : float
        Trace of S: sum of the squared deviations of all features.
    product : ndarray, shape (n_features, width), float64
        S times the basis.

    References
    ----------
    .. [1] Chan, Golub & LeVeque, The American Statistician 37 (1983), 242.
    """

    n: int
    mean: NDArray[np.float64]
    spread: float
    product: NDArray[np.float64]

    @classmethod
    def nothing(cls, basis: NDArray[np.float64]) -> Sketch:
        """
        Sketch of no fingerprints.

        Parameters
        ----------
        basis : ndarray, shape (n_features, width), float64
            Of the pass.
        """
        return cls(0, np.zeros(len(basis)), 0.0, np.zeros(basis.shape))

    @classmethod
    def of(cls, fingerprints: NDArray[np.float64], basis: NDArray[np.float64]) -> Sketch:
        """
        Sketch of some fingerprints.

        Parameters
        ----------
        fingerprints : ndarray, shape (n, n_features), float64
            Finite; one and more.
        basis : ndarray, shape (n_features, width), float64
            Of the pass.
        """
        mean = fingerprints.mean(axis=0)
        deviations = fingerprints - mean
        product = multiply(deviations.T, multiply(deviations, basis))
        return cls(len(fingerprints), mean, float(np.square(deviations).sum()), product)

    def merged(self, other: Sketch, basis: NDArray[np.float64]) -> Sketch:
        """
        Sketch of the fingerprints of both; in the last digits, the order of merging counts.

        Parameters
        ----------
        other : Sketch
            With the same basis.
        basis : ndarray, shape (n_features, width), float64
            Of the pass.
        """
        if not self.n or not other.n:
            return other if not self.n else self
        n = self.n + other.n
        shift = other.mean - self.mean
        weight = self.n * other.n / n
        product = multiply(shift[None] * weight, basis)
        return Sketch(
            n,
            self.mean + shift * (other.n / n),
            self.spread + other.spread + weight * float(np.square(shift).sum()),
            self.product + other.product + shift[:, None] * product,
        )
