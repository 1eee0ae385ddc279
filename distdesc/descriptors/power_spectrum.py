"""Power spectrum of the neighbour density: rotation invariants of second degree."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors import _gram_kernels, _spectrum_kernels
from distdesc.descriptors._expansion_kernels import padded
from distdesc.descriptors.expansion import DensityExpansion
from distdesc.structures.environment import Environments, single_environment


@dataclass(frozen=True)
class PowerSpectrum(DensityExpansion):
    """
    Products of two coefficients of the density with the same l, summed over m.

    ``p[a n, b n', l] = sum_m c[a n l m] c[b n' l m] / sqrt(2 l + 1)`` [1]_: three-body
    correlations, known as SOAP. Each product is kept once, with a factor ``sqrt(2)`` where it
    occurs twice, so that scalar products of fingerprints are those of the full square. Features
    go by pair of densities, the lightest elements first, then by l, n and n'; with one density
    per element, the block of a pair is zero unless both occur. See `DensityExpansion` for the
    parameters.

    References
    ----------
    .. [1] Bartók, Kondor and Csányi, Phys. Rev. B 87, 184115 (2013).
    """

    @property
    def parity_odd(self) -> bool:
        """See Descriptor.parity_odd."""
        return False

    @property
    def n_features(self) -> int:
        """See Descriptor.n_features."""
        return int(self.block_starts[-1])

    @property
    def block_starts(self) -> NDArray[np.int64]:
        """See BlockDescriptor.block_starts."""
        return _starts(len(self.channels), self.n_max, self.l_max)

    @property
    def block_width(self) -> int:
        """See BlockDescriptor.block_width."""
        return int(np.max(np.diff(self.block_starts)))

    def block_names(self) -> tuple[str, ...]:
        """See BlockDescriptor.block_names."""
        names = self.channels
        return tuple(f"{a}-{b}".strip("-") for k, a in enumerate(names) for b in names[k:])

    def feature_names(self) -> tuple[str, ...]:
        """See Descriptor.feature_names."""
        names, n = [], range(self.n_max)
        for first, a in enumerate(self.channels):
            for second, b in enumerate(self.channels[first:], first):
                pairs = [(i, j) for i in n for j in (n if first != second else n[i:])]
                names += [
                    f"{a}{i}·{b}{j} l{l}" for l in range(self.l_max + 1) for i, j in pairs
                ]  # fmt: skip
        return tuple(names)

    def warm_up(self) -> None:
        """See Descriptor.warm_up."""
        one = single_environment(self.cutoff / 4, self.accepted_numbers[0])
        self.compute(one)
        self.compute_blocks(one)
        self.jacobian(one)
        self.jacobian_products(one)

    def compute(self, environments: Environments) -> NDArray[np.float64]:
        """See Descriptor.compute."""
        out = np.empty((len(environments), self.n_features))
        _spectrum_kernels.power_spectra(
            *self._arguments(environments), self.block_starts, self.n_features, out.ravel()
        )
        return out

    def jacobian(self, environments: Environments) -> NDArray[np.float64]:
        """See Descriptor.jacobian."""
        out = np.zeros((len(environments.vectors), 3, self.n_features))
        _spectrum_kernels.power_spectrum_jacobians(
            *self._arguments(environments), self.block_starts, self.n_features, out.ravel()
        )
        return out

    def jacobian_products(self, environments: Environments) -> NDArray[np.float64]:
        """
        Scalar products of the derivatives by all coordinates, without the derivatives.

        Far fewer numbers than the Jacobian J has, and as many operations fewer.

        Parameters
        ----------
        environments : Environments
            Not modified.

        Returns
        -------
        ndarray, shape (sum of 9 n_neighbours**2,), float64
            ``J J^T`` of each environment, of shape (3 n_neighbours, 3 n_neighbours), one after
            the other; in 1/Å².
        """
        out = np.empty(9 * int(np.sum(np.diff(environments.offsets) ** 2)))
        arguments = self._arguments(environments)[:-1]
        _gram_kernels.power_spectrum_grams(*arguments, out)
        return out

    def compute_blocks(
        self, environments: Environments
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
        """See BlockDescriptor.compute_blocks."""
        arguments = self._arguments(environments)
        pairs, centres, cutoff, _, mixing, _, _, n_channels, _ = arguments
        counts = np.empty(len(environments), dtype=np.int32)
        _spectrum_kernels.count_blocks(pairs, centres, cutoff, mixing, n_channels, counts)
        most, width = int(np.sum(counts)), self.block_width
        blocks, out = np.empty(most, dtype=np.int32), np.zeros((most, width))
        found = _spectrum_kernels.power_spectrum_blocks(
            *arguments, width, counts, blocks, out.ravel()
        )
        return counts, blocks[:found], out[:found]

    def operations(self, n_neighbours: int, n_species: int) -> int:
        """
        Count the multiplications and additions that one fingerprint takes.

        Parameters
        ----------
        n_neighbours : int
            Neighbours of the environment.
        n_species : int
            Different elements among them, each with a density of its own.
        """
        n_lm = (self.l_max + 1) ** 2
        radial = 2 * 7 * (self.l_max + 1) * self.n_max
        harmonics = 8 + 6 * n_lm  # distance and direction; recurrence, wave and their product
        expansion = n_neighbours * (radial + harmonics + 2 * n_lm * self.n_max)
        same = n_lm * self.n_max * (self.n_max + 1) + self.block_starts[1]
        mixed = (2 * n_lm + self.l_max + 1) * self.n_max**2
        blocks = n_species * same + n_species * (n_species - 1) // 2 * mixed
        return int(expansion + blocks)

    def _arguments(self, environments: Environments) -> tuple[Any, ...]:
        return (
            *self._inputs(environments, root=True),
            self.l_max,
            self.n_max,
            len(self.channels),
            _factors(self.n_max),
        )


@lru_cache(maxsize=64)
def _starts(n_channels: int, n_max: int, l_max: int) -> NDArray[np.int64]:
    same, mixed = n_max * (n_max + 1) // 2, n_max * n_max
    lengths = [
        (l_max + 1) * (same if a == b else mixed)
        for a in range(n_channels)
        for b in range(a, n_channels)
    ]
    return np.cumsum([0, *lengths], dtype=np.int64)


@lru_cache(maxsize=16)
def _factors(n_max: int) -> tuple[tuple[NDArray[np.float64], NDArray[np.int64]], ...]:
    """Factors and places of products within a channel and between two; see the kernels."""
    mixed = np.full((n_max, padded(n_max)), sqrt(2))
    same = mixed.copy()
    np.fill_diagonal(same, 1.0)
    n = np.arange(n_max)
    return (same.ravel(), n * n_max - n * (n + 1) // 2), (mixed.ravel(), n * n_max)
