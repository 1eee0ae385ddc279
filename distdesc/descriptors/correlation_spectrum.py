"""Spectra of third and fourth degree: all that they have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distdesc.checks import check_flag
from distdesc.descriptors import _correlation_kernels
from distdesc.descriptors.correlations import correlation_table, feature_labels, n_correlations
from distdesc.descriptors.expansion import DensityExpansion
from distdesc.errors import CampaignError
from distdesc.structures.environment import Environments, single_environment

MOST_FEATURES = 200_000
"""More would fill memory with tables before a single environment is featurised."""


@dataclass(frozen=True)
class CorrelationSpectrum(DensityExpansion, ABC):
    """
    Scalars in products of several tensors of coefficients of the density.

    A subclass says of how many. See `DensityExpansion` for the other parameters.

    Parameters
    ----------
    parity_odd : bool
        Also pseudoscalars, which tell mirror images apart; refused where there are none.
    """

    parity_odd: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flag("parity_odd", self.parity_odd)
        n_channels = len(self.channels)
        if n_correlations(*self._arguments, MOST_FEATURES) > MOST_FEATURES:
            raise CampaignError(
                f"n_max, l_max or the number of densities must be lower, for at most "
                f"{MOST_FEATURES:,} features; got more with n_max {self.n_max}, "
                f"l_max {self.l_max} and {n_channels} densities"
            )
        even = n_correlations(*self._arguments[:3], False, MOST_FEATURES)
        if self.parity_odd and even == self.n_features:
            raise CampaignError(
                f"n_max or l_max must be larger for parity_odd, as there is no pseudoscalar; "
                f"got n_max {self.n_max}, l_max {self.l_max} and {n_channels} densities"
            )

    @property
    @abstractmethod
    def degree(self) -> int:
        """Tensors that are multiplied, 3 or 4."""

    @property
    def n_features(self) -> int:
        """See Descriptor.n_features."""
        return n_correlations(*self._arguments, MOST_FEATURES)

    def feature_names(self) -> tuple[str, ...]:
        """
        See Descriptor.feature_names.

        ``H0·H1·C0 l0,2,2`` multiplies the tensors of the densities H, H and C, radial functions
        0, 1 and 0, and l = 0, 2 and 2. With four, L at the end is what pairs are coupled to: the
        first two with each other, or those that are equal.
        """
        single = [f"{channel}{n}" for channel in self.channels for n in range(self.n_max)]
        names = []
        for ls, tensors, middle in feature_labels(*self._arguments):
            name = f"{'·'.join(single[q] for q in tensors)} l{','.join(map(str, ls))}"
            names.append(name if self.degree == 3 else f"{name} L{middle}")
        return tuple(names)

    def warm_up(self) -> None:
        """See Descriptor.warm_up."""
        one = single_environment(self.cutoff / 4, self.accepted_numbers[0])
        self.compute(one)
        self.jacobian(one)

    def compute(self, environments: Environments) -> NDArray[np.float64]:
        """See Descriptor.compute."""
        return self.contract(self.coefficients(environments))

    def contract(self, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Fingerprints of given coefficients.

        Parameters
        ----------
        coefficients : ndarray, shape (n, n_channels, (l_max + 1) ** 2, n_max), float64
            As `coefficients` returns them, or any others.

        Returns
        -------
        ndarray, shape (n, n_features), float64
            One fingerprint a row.
        """
        table = correlation_table(*self._table_arguments)
        flat = np.ascontiguousarray(coefficients).reshape(len(coefficients), len(table.order))
        out = np.empty((len(coefficients), self.n_features))
        _correlation_kernels.correlations(flat, table, table.sizes, out)
        return out

    def jacobian(self, environments: Environments) -> NDArray[np.float64]:
        """See Descriptor.jacobian."""
        table = correlation_table(*self._table_arguments)
        n_pairs, offsets = len(environments.vectors), np.array(environments.offsets)
        coefficients = self.coefficients(environments)
        coefficients = coefficients.reshape(len(environments), len(table.order))
        derivatives = self.coefficient_derivatives(environments)
        derivatives = derivatives.reshape(n_pairs, 3, (self.l_max + 1) ** 2 * self.n_max)
        # neighbours of one element after each other: what it has no part in is skipped
        environment = np.repeat(np.arange(len(environments)), np.diff(offsets))
        pairs = np.lexsort((environments.numbers, environment))
        out = np.empty((n_pairs, 3, self.n_features))
        _correlation_kernels.jacobians(
            offsets, pairs, coefficients, derivatives, self.mixing()[environments.numbers],
            table, table.sizes, out,
        )  # fmt: skip
        return out

    @property
    def _arguments(self) -> tuple[int, int, int, bool]:
        return self.degree, len(self.channels) * self.n_max, self.l_max, self.parity_odd

    @property
    def _table_arguments(self) -> tuple[int, int, int, int, bool]:
        return self.degree, len(self.channels), self.n_max, self.l_max, self.parity_odd
