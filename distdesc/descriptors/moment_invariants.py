"""Rotation invariants of the Zernike moments of the neighbour density."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.checks import check_choice, check_flag
from distdesc.descriptors import _jacobian_kernels, _moment_kernels
from distdesc.descriptors.cutoff import SINE, ShiftedCosine
from distdesc.descriptors.density import harmonic_recurrence, n_moments, tensors
from distdesc.descriptors.invariants import (
    ContractionTable,
    Invariant,
    contraction_table,
    feature_name,
)
from distdesc.descriptors.selection import full_set, independent_set
from distdesc.descriptors.species import Species
from distdesc.descriptors.zernike import zernike_coefficients
from distdesc.errors import CampaignError
from distdesc.structures.environment import Environments, single_environment

SETS = ("independent", "full")
MAX_ORDER = 12


@dataclass(frozen=True)
class MomentInvariants:
    """
    Products of moments of the neighbour density, summed so that rotations do not change them.

    The density of an environment is a sum of weighted points in the ball of the cutoff; its
    moments are taken with the real Zernike functions up to `order`, and couplings of up to three
    of them, in few cases four, make the invariants [1]_. The features of ``"independent"`` are as
    many as the moments of all densities less the three rotations (order 1 of one density: less
    two), and independent of each other at a generic environment; mirror images have the same
    fingerprint unless `parity_odd`.

    Parameters
    ----------
    cutoff : float
        Radius of an environment, in Å; positive.
    order : int
        Largest order of the moments, 1 to 12.
    smoothing : float
        Width of the decay before the cutoff, in Å, 0 to `cutoff`. With 0 the fingerprint is not
        continuous where a neighbour crosses the cutoff.
    invariants : str
        ``"independent"``, or ``"full"`` for all of degree one to three.
    parity_odd : bool
        Also pseudoscalars, which tell mirror images apart: up to five of lowest order with
        ``"independent"``, all of degree three with ``"full"``. One density needs order 4, two
        need order 2.
    species : str
        ``"weights"``, ``"channels"`` or ``"none"``; see `Species`.
    elements : tuple of str
        Accepted elements; empty for all, except with ``"channels"``.
    weights : tuple of float
        Weight of each element, in their order; empty for the rule of `Species`.
    include_centre : bool
        Whether the centre is a point of the density of its environment.

    References
    ----------
    .. [1] Uhrin, Phys. Rev. B 104, 144110 (2021).
    """

    cutoff: float = 5.0
    order: int = 7
    smoothing: float = 0.5
    invariants: str = "independent"
    parity_odd: bool = False
    species: str = "weights"
    elements: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    include_centre: bool = False

    def __post_init__(self) -> None:
        ShiftedCosine(self.cutoff, self.smoothing)
        species = Species(self.species, self.elements, self.weights)
        if type(self.order) is not int or not 1 <= self.order <= MAX_ORDER:
            raise CampaignError(f"order must be an integer from 1 to {MAX_ORDER}, got {self.order}")
        check_choice("invariants", self.invariants, SETS)
        check_flag("parity_odd", self.parity_odd)
        check_flag("include_centre", self.include_centre)
        least = {1: 4, 2: 2}.get(len(species.channels), 1)
        if self.parity_odd and self.order < least:
            raise CampaignError(
                f"order must be from {least} to {MAX_ORDER} for parity_odd with so many densities, "
                f"{len(species.channels)}, got {self.order}"
            )

    @property
    def accepted_numbers(self) -> tuple[int, ...]:
        """See Descriptor.accepted_numbers."""
        return self._species.numbers

    @property
    def n_features(self) -> int:
        """See Descriptor.n_features."""
        return len(self.invariant_list())

    @property
    def n_moments(self) -> int:
        """Number of moments of an environment, over all densities."""
        return self._n_channels * n_moments(self.order)

    @property
    def _species(self) -> Species:
        return Species(self.species, self.elements, self.weights)

    @property
    def _n_channels(self) -> int:
        return len(self._species.channels)

    def weight_table(self) -> NDArray[np.float64]:
        """Weight by atomic number; zero for elements that are not accepted."""
        return self._species.weight_table()

    def invariant_list(self) -> tuple[Invariant, ...]:
        """Invariants in the order of the features."""
        return _invariants(self.invariants, self.order, self._n_channels, self.parity_odd)

    def table(self) -> ContractionTable:
        """Arrays of the contractions, as the kernels take them."""
        return _table(self.invariants, self.order, self._n_channels, self.parity_odd)

    def feature_names(self) -> tuple[str, ...]:
        """See Descriptor.feature_names."""
        channels = self._species.channels
        return tuple(feature_name(v, self.order, channels) for v in self.invariant_list())

    def warm_up(self) -> None:
        """See Descriptor.warm_up."""
        one = single_environment(self.cutoff / 4, self.accepted_numbers[0])
        self.compute(one)
        self.jacobian(one)
        self.invariants_of(self.moments(one))

    def compute(self, environments: Environments) -> NDArray[np.float64]:
        """See Descriptor.compute."""
        out = np.empty((len(environments), self.n_features))
        _moment_kernels.fingerprints(
            *self._inputs(environments), self._n_channels, self.table(), out
        )
        return out

    def jacobian(self, environments: Environments) -> NDArray[np.float64]:
        """See Descriptor.jacobian."""
        out = np.zeros((len(environments.vectors), 3, self.n_features))
        _jacobian_kernels.jacobians(
            *self._inputs(environments), self._n_channels, self.table(),
            self.n_features, 1 / self.cutoff, out,
        )  # fmt: skip
        return out

    def moments(self, environments: Environments) -> NDArray[np.float64]:
        """
        Real Zernike moments of the densities of a batch of environments.

        Parameters
        ----------
        environments : Environments
            Not modified.

        Returns
        -------
        ndarray, shape (n_environments, n_moments), float64
            Density after density, each in the order of `density.tensors`; dimensionless.
        """
        out = np.empty((len(environments), self.n_moments))
        _moment_kernels.expansions(*self._inputs(environments), self._n_channels, out)
        return out

    def invariants_of(self, moments: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Fingerprints of given moments.

        Parameters
        ----------
        moments : ndarray, shape (n, n_moments), float64
            As `moments` returns them, or any others.

        Returns
        -------
        ndarray, shape (n, n_features), float64
            One fingerprint a row.
        """
        out = np.empty((len(moments), self.n_features))
        _moment_kernels.contractions(np.ascontiguousarray(moments), self.table(), out)
        return out

    def invariants_jacobian(self, moments: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Derivatives of the fingerprints by given moments.

        Parameters
        ----------
        moments : ndarray, shape (n, n_moments), float64
            As `moments` returns them, or any others.

        Returns
        -------
        ndarray, shape (n, n_features, n_moments), float64
            Dimensionless.
        """
        out = np.empty((len(moments), self.n_features, self.n_moments))
        _jacobian_kernels.contraction_jacobians(np.ascontiguousarray(moments), self.table(), out)
        return out

    def operations(self, n_neighbours: int) -> int:
        """
        Count the additions and multiplications that one fingerprint takes.

        Parameters
        ----------
        n_neighbours : int
            Neighbours of the environment.
        """
        powers = [(self.order - l) // 2 + 1 for l in range(self.order + 1)]
        # r^2, the powers of x + i y, the recurrence in l, the powers of r^2 times both of these
        harmonics = sum(4 * (self.order - m) for m in range(self.order + 1))
        sums = sum((2 * l + 1) * (2 * powers[l] + 1) for l in range(self.order + 1))
        window = 31 if self.smoothing > 0 else 0
        neighbour = 5 + 6 * self.order + harmonics + sums + window
        radial = sum((2 * l + 1) * (p * (p + 1) + p) for l, p in enumerate(powers))
        expansion = n_neighbours * neighbour + self._n_channels * radial
        return expansion + self.table().n_operations

    def _inputs(self, environments: Environments) -> tuple[Any, ...]:
        """Arguments of the kernels, up to the basis."""
        species, numbers = self._species, environments.numbers
        weights, channels = species.weight_table(), species.channel_table()
        offsets = np.array(environments.offsets)  # writable, or kernels would compile anew
        pairs = (environments.vectors / self.cutoff, weights[numbers], channels[numbers])
        centre_channels = channels[environments.centre_numbers]
        if not self.include_centre:
            centre_channels = np.full_like(centre_channels, -1)
        centres = (weights[environments.centre_numbers], centre_channels)
        # lanes of a block run as long as its largest environment: sort by size
        sequence = np.argsort(np.diff(offsets), kind="stable")
        inverse_width = self.cutoff / self.smoothing if self.smoothing > 0 else 0.0
        window = np.array([1 - self.smoothing / self.cutoff, inverse_width, *SINE])
        return sequence, offsets, pairs, centres, window, _basis(self.order)


@lru_cache(maxsize=32)
def _invariants(kind: str, order: int, n_channels: int, odd: bool) -> tuple[Invariant, ...]:
    return (independent_set if kind == "independent" else full_set)(order, n_channels, odd)


@lru_cache(maxsize=32)
def _table(kind: str, order: int, n_channels: int, odd: bool) -> ContractionTable:
    chosen = _invariants(kind, order, n_channels, odd)
    return contraction_table(chosen, tuple(tensors(order)), n_channels)


@lru_cache(maxsize=16)
def _basis(order: int) -> tuple[NDArray[Any], ...]:
    """Tables of the expansion, as the kernels take them: place, drop, norm, radial."""
    place = np.full((order + 1, order // 2 + 1), -1)
    for n, l, offset in tensors(order):
        place[l, (n - l) // 2] = offset + l
    a, b = harmonic_recurrence(order)
    # Q is scaled to the recurrence q_l = z q_{l-1} + drop r^2 q_{l-2}, which saves a product
    norm, drop = np.zeros((order + 1, order + 1)), np.zeros((order + 1, order + 1))
    for m in range(order + 1):
        norm[m:, m] = np.cumprod(a[m:, m])
        for l in range(m + 2, order + 1):
            drop[l, m] = b[l, m] * norm[l - 2, m] / norm[l, m]
    return place, drop, norm * 3 / (4 * pi), np.array(zernike_coefficients(order))
