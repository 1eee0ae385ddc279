"""Principal components of the fingerprints, found in a few passes by random sketches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distdesc.checks import check_count
from distdesc.errors import CampaignError
from distdesc.reduction.algebra import decompose, multiply, orthonormalise
from distdesc.reduction.projection import Projection
from distdesc.reduction.sketch import Sketch

NOISE = 1e-13
"""Part of the largest variance below which a direction is rounding."""


@dataclass(frozen=True)
class PrincipalComponents:
    """
    Directions along which the fingerprints of a sample vary most.

    Randomised subspace iteration [1]_: every pass multiplies the scatter matrix with a basis
    that is a little wider than wanted, the first one random; from the last product the
    components follow by Nyström's method. Exact if the basis is as wide as the fingerprint or
    as the rank of the data.

    Parameters
    ----------
    n_components : int
        Components to keep.
    sample : int
        Environments to fit on, about, in randomly chosen runs of rows; 0 for all.
    oversampling : int
        Columns of the basis beyond `n_components`.
    power_iterations : int
        Passes over the sample after the first; each sharpens the components.
    seed : int
        Of the sample and of the first basis.
    whiten : bool
        Divide each component by its standard deviation in the sample.

    References
    ----------
    .. [1] Halko, Martinsson & Tropp, SIAM Review 53 (2011), 217, algorithms 4.4 and 5.5.
    """

    n_components: int
    sample: int = 100_000
    oversampling: int = 10
    power_iterations: int = 1
    seed: int = 0
    whiten: bool = False

    def __post_init__(self) -> None:
        check_count("n_components", self.n_components, 1)
        check_count("sample", self.sample, 0)
        check_count("oversampling", self.oversampling, 0)
        check_count("power_iterations", self.power_iterations, 0)
        check_count("seed", self.seed, 0)
        if 0 < self.sample <= self.n_components:
            raise CampaignError(
                f"sample must be 0 (all environments) or more than n_components "
                f"({self.n_components}), got {self.sample}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """See Reduction.names."""
        return tuple(f"pc{k}" for k in range(self.n_components))

    @property
    def passes(self) -> int:
        """See Reduction.passes."""
        return 1 + self.power_iterations

    def width(self, n_features: int) -> int:
        """See Reduction.width."""
        return min(n_features, self.n_components + self.oversampling)

    def basis(self, n_features: int, last: Sketch | None) -> NDArray[np.float64]:
        """See Reduction.basis."""
        if last is not None:
            return orthonormalise(last.product)[0]
        width = self.width(n_features)
        if width == n_features:
            return np.eye(n_features)
        # Uniform numbers serve as well as normal ones, and have the same bits on every machine.
        draws = np.random.default_rng(self.seed).random((n_features, width))
        return orthonormalise(draws - 0.5)[0]

    def project(
        self, n_features: int, basis: NDArray[np.float64] | None, last: Sketch | None
    ) -> Projection:
        """See Reduction.project."""
        if basis is None or last is None:
            raise CampaignError("principal components cannot be had without a pass over the data")
        components, scatter = _nystroem(basis, last.product)
        kept = min(self.n_components, int((scatter > NOISE * scatter.max(initial=0.0)).sum()))
        variance = np.zeros(self.n_components)
        variance[:kept] = scatter[:kept] / max(1, last.n - 1)
        rows = np.zeros((self.n_components, n_features))
        rows[:kept] = components[:, :kept].T
        # The sign is free: the largest loading is positive.
        largest = np.abs(rows).argmax(axis=1)
        rows[rows[np.arange(len(rows)), largest] < 0] *= -1
        if self.whiten:
            rows[:kept] /= np.sqrt(variance[:kept, None])
        return Projection(last.mean, rows, self.names, variance, last.spread / max(1, last.n - 1))


def _nystroem(
    basis: NDArray[np.float64], product: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Eigenvectors, in columns, and eigenvalues of a positive matrix S, from ``product = S basis``.

    S is replaced by ``product (basisᵀ product)⁻¹ productᵀ``, which agrees with it on the basis.
    """
    small = multiply(basis.T, product)
    vectors, values = decompose((small + small.T) / 2)
    sound = values > NOISE * values.max(initial=0.0)
    factor = multiply(product, vectors[:, sound] / np.sqrt(values[sound]))
    space, triangle = orthonormalise(factor)
    left, singular = decompose(triangle)
    # A triangle that is wider than high has more columns than directions.
    left, singular = left[:, : len(left)], singular[: len(left)]
    return multiply(space, left), np.square(singular)
