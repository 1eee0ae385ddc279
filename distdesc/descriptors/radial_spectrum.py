"""Radial spectrum of the neighbour density: its spherical average."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.expansion import DensityExpansion
from distdesc.structures.environment import Environments, single_environment


@dataclass(frozen=True)
class RadialSpectrum(DensityExpansion):
    """
    Coefficients of the density with l = 0: two-body correlations, blind to all angles.

    Features go by density, the lightest elements first, then by n. See `DensityExpansion` for
    the parameters.
    """

    l_max: int = field(default=0, init=False)

    @property
    def parity_odd(self) -> bool:
        """See Descriptor.parity_odd."""
        return False

    @property
    def n_features(self) -> int:
        """See Descriptor.n_features."""
        return len(self.channels) * self.n_max

    @property
    def block_starts(self) -> NDArray[np.int64]:
        """See BlockDescriptor.block_starts."""
        return np.arange(len(self.channels) + 1) * self.n_max

    @property
    def block_width(self) -> int:
        """See BlockDescriptor.block_width."""
        return self.n_max

    def block_names(self) -> tuple[str, ...]:
        """See BlockDescriptor.block_names."""
        return self.channels

    def feature_names(self) -> tuple[str, ...]:
        """See Descriptor.feature_names."""
        return tuple(f"{a}{n}" for a in self.channels for n in range(self.n_max))

    def warm_up(self) -> None:
        """See Descriptor.warm_up."""
        one = single_environment(self.cutoff / 4, self.accepted_numbers[0])
        self.compute(one)
        self.jacobian(one)

    def compute(self, environments: Environments) -> NDArray[np.float64]:
        """See Descriptor.compute."""
        return self.coefficients(environments).reshape(len(environments), self.n_features)

    def jacobian(self, environments: Environments) -> NDArray[np.float64]:
        """See Descriptor.jacobian."""
        own = self.coefficient_derivatives(environments)[:, :, 0]
        weights = self.mixing()[environments.numbers]
        every = weights[:, None, :, None] * own[:, :, None, :]
        return every.reshape(len(own), 3, self.n_features)

    def compute_blocks(
        self, environments: Environments
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
        """See BlockDescriptor.compute_blocks."""
        every = self.coefficients(environments)[:, :, 0]
        occurs = every.any(axis=2)
        rows, blocks = np.nonzero(occurs)
        return occurs.sum(axis=1, dtype=np.int32), blocks.astype(np.int32), every[rows, blocks]
