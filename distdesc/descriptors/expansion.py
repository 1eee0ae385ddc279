"""Density expansions: what all spectra are made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import isfinite, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.checks import check_choice, check_flag
from distdesc.descriptors import _expansion_kernels
from distdesc.descriptors._lanes_kernels import SHORT
from distdesc.descriptors.cutoff import CUTOFF_FUNCTIONS, Window
from distdesc.descriptors.density import harmonic_recurrence
from distdesc.descriptors.mixing import Mixing
from distdesc.descriptors.piecewise import piecewise
from distdesc.descriptors.radial_basis import BASES, RadialBasis
from distdesc.errors import CampaignError
from distdesc.structures.environment import Environments

MOST_N, MOST_L = 16, 16

MOST_ELEMENTS = 256
"""Atomic numbers that the kernels have room for: those of a byte."""


@dataclass(frozen=True)
class DensityExpansion:
    """
    Coefficients of the neighbour density in radial functions and spherical harmonics.

    Every neighbour is a point or a Gaussian, weighted by its element and by a cutoff function of
    its distance: ``c[channel, n, l, m] = sum_j w[channel, Z_j] fc(r_j) R_nl(r_j) Y_lm(r_j)``
    [1]_. It holds the hyper-parameters that all spectra share.

    Parameters
    ----------
    cutoff : float
        Radius of an environment, in Å; positive.
    n_max : int
        Radial functions of each l, 1 to 16.
    l_max : int
        Largest l, 0 to 16.
    radial : str
        ``"gto"``, ``"gto_dscribe"``, ``"laplacian"`` or ``"zernike"``; see `RadialBasis`.
    sigma : float
        Width of the Gaussian at each neighbour, in Å; 0 for points, else at least a sixtieth of
        the cutoff.
    cutoff_function : str
        ``"cosine"``: half a cosine wave. ``"polynomial"``: a quintic, with continuous curvature.
        ``"none"``: neighbours count fully up to the cutoff, where fingerprints jump.
    smoothing : float
        Width of the decay before the cutoff, in Å, 0 to `cutoff`; not used with ``"none"``.
    basis_radius : float
        Radius that Gaussian-type orbitals are made for, in Å; 0 for the cutoff.
    species : str
        ``"channels"``, ``"weights"``, ``"none"`` or ``"embedding"``; see `Mixing`.
    elements : tuple of str
        Accepted elements; empty for all, except with ``"channels"``.
    weights : tuple of float
        With ``"weights"``, of each element, in their order; empty for the rule of `Species`.
    rank : int
        With ``"embedding"``, number of densities; see `Mixing`.
    embedding : tuple of tuple of float
        With ``"embedding"``, one line of numbers per element; see `Mixing`.
    include_centre : bool
        Whether the centre is a neighbour of itself, at distance zero.

    References
    ----------
    .. [1] Bartók, Kondor and Csányi, Phys. Rev. B 87, 184115 (2013).
    """

    cutoff: float = 5.0
    n_max: int = 8
    l_max: int = 6
    radial: str = "gto"
    sigma: float = 0.3
    cutoff_function: str = "cosine"
    smoothing: float = 0.5
    basis_radius: float = 0.0
    species: str = "channels"
    elements: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    rank: int = 0
    embedding: tuple[tuple[float, ...], ...] = ()
    include_centre: bool = False

    def __post_init__(self) -> None:
        Window(self.cutoff, self.smoothing)
        Mixing(self.species, self.elements, self.weights, self.rank, self.embedding)
        for name, low, high in (("n_max", 1, MOST_N), ("l_max", 0, MOST_L)):
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise CampaignError(f"{name} must be an integer from {low} to {high}, got {value}")
        check_choice("radial", self.radial, BASES)
        check_choice("cutoff_function", self.cutoff_function, CUTOFF_FUNCTIONS)
        for name in ("sigma", "basis_radius"):
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not isfinite(value) or value < 0:
                raise CampaignError(f"{name} must be a number of Å >= 0, got {value!r}")
        if 0 < self.sigma < self.cutoff / 60:
            raise CampaignError(
                f"sigma must be 0 for points or at least a sixtieth of the cutoff, "
                f"{self.cutoff / 60:.4f}, got {self.sigma}"
            )
        if self.basis_radius and self.radial in ("laplacian", "zernike"):
            raise CampaignError(
                f'basis_radius must be 0 for radial "{self.radial}", got {self.basis_radius}'
            )
        check_flag("include_centre", self.include_centre)
        _prepared(self._key)

    @property
    def accepted_numbers(self) -> tuple[int, ...]:
        """See Descriptor.accepted_numbers."""
        return self._mixing.numbers

    @property
    def channels(self) -> tuple[str, ...]:
        """Name of each density, such as its element."""
        return self._mixing.channels

    def mixing(self) -> NDArray[np.float64]:
        """
        Weight of each element in each density.

        Returns
        -------
        ndarray, shape (n_atomic_numbers, n_channels), float64
            By atomic number; zero for elements that are not accepted.
        """
        return self._mixing.matrix()

    def radial_functions(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Radial functions times the cutoff function, from their formulas: exact, but slow.

        Parameters
        ----------
        distances : ndarray, shape (n,), float64
            From the centre, in Å.

        Returns
        -------
        ndarray, shape (n, l_max + 1, n_max), float64
            As they enter `coefficients`.
        """
        return _radial_functions(self._key, distances)

    def coefficients(self, environments: Environments) -> NDArray[np.float64]:
        """
        Coefficients of the densities of a batch of environments.

        Parameters
        ----------
        environments : Environments
            Not modified.

        Returns
        -------
        ndarray, shape (n_environments, n_channels, (l_max + 1) ** 2, n_max), float64
            For each l, m from -l to l; the harmonics are real and orthonormal.
        """
        n_channels = len(self.channels)
        shape = (len(environments), n_channels, (self.l_max + 1) ** 2, self.n_max)
        out = np.zeros(shape)
        _expansion_kernels.coefficients(
            *self._inputs(environments), self.l_max, self.n_max, n_channels, out
        )
        return out

    def coefficient_derivatives(self, environments: Environments) -> NDArray[np.float64]:
        """
        Derivatives of every neighbour's own term of the coefficients by its position.

        They are to be multiplied by the weight of the neighbour's element in each density.

        Parameters
        ----------
        environments : Environments
            Not modified.

        Returns
        -------
        ndarray, shape (n_pairs, 3, (l_max + 1) ** 2, n_max), float64
            Units of `coefficients` over Å.
        """
        pairs, _, cutoff, basis, _ = self._inputs(environments)
        out = np.zeros((len(environments.vectors), 3, (self.l_max + 1) ** 2, self.n_max))
        _expansion_kernels.slopes(pairs[1], cutoff, basis, self.l_max, self.n_max, out)
        return out

    @cached_property
    def _mixing(self) -> Mixing:
        return Mixing(self.species, self.elements, self.weights, self.rank, self.embedding)

    @property
    def _key(self) -> tuple[Any, ...]:
        """What the radial functions depend on."""
        radius = self.basis_radius or self.cutoff
        window = (self.cutoff_function, float(self.cutoff), float(self.smoothing))
        return self.radial, self.n_max, self.l_max, float(radius), float(self.sigma), *window

    def _inputs(self, environments: Environments, root: bool = False) -> tuple[Any, ...]:
        """Arguments of the kernels; with `root`, ready for products of two (see `_tables`)."""
        offsets = np.array(environments.offsets)  # writable, or kernels would compile anew
        vectors = np.require(environments.vectors, np.float64, ["C", "W"])
        numbers = np.require(environments.numbers, np.int32, ["C", "W"])
        centres = np.array(environments.centre_numbers, dtype=np.int32)
        for some in (numbers, centres):
            if len(some) and not (some.min() >= 0 and some.max() < MOST_ELEMENTS):
                raise ValueError(
                    f"atomic numbers must be from 0 to {MOST_ELEMENTS - 1}, "
                    f"got {some.min()} to {some.max()}"
                )
        if not self.include_centre:
            centres[:] = -1
        mixing = _mixing_rows(self._mixing)
        pairs = (offsets, vectors, numbers)
        return pairs, centres, float(self.cutoff), _tables(self._key, root), mixing


def _prepared(key: tuple[Any, ...]) -> tuple[RadialBasis, Window]:
    """Radial basis and cutoff function; raises if there is no such basis."""
    kind, n_max, l_max, radius, sigma, name, cutoff, smoothing = key
    basis = RadialBasis(kind, n_max, l_max, radius, sigma)
    BASES[kind](n_max, l_max, radius)
    return basis, CUTOFF_FUNCTIONS[name](cutoff, smoothing)


def _radial_functions(key: tuple[Any, ...], distances: NDArray[np.float64]) -> NDArray[np.float64]:
    basis, window = _prepared(key)
    weight: NDArray[np.float64] = window(distances)  # type: ignore[operator]
    return basis(distances) * weight[:, None, None]


@lru_cache(maxsize=64)  # about 1 MB each; a scan of sensitivity takes dozens in turn
def _tables(key: tuple[Any, ...], root: bool) -> tuple[NDArray[np.float64], ...]:
    """
    Arrays of the expansion, as the kernels take them: see _expansion_kernels.

    With `root`, coefficients are divided by the fourth root of 2 l + 1, so that products of two
    of them need no factor.
    """
    _, n_max, l_max, *_, name, cutoff, smoothing = key
    # what the kernels' harmonics, squares of which sum to 2 l + 1, are too large by
    scale = np.full(l_max + 1, (4 * pi) ** -0.5)
    if root:
        scale *= (2 * np.arange(l_max + 1) + 1) ** -0.25
    edge = cutoff if name == "none" else cutoff - smoothing
    pieces = piecewise(lambda r: _radial_functions(key, r) * scale[:, None], edge, cutoff)
    n_pad = _expansion_kernels.padded(n_max)
    radial = np.zeros((*pieces.coefficients.shape[:3], n_pad))
    radial[..., :n_max] = pieces.coefficients[:, ::-1]
    vectors = radial.reshape(*radial.shape[:2], -1, SHORT)
    radial = np.ascontiguousarray(vectors.transpose(0, 2, 1, 3))
    rise, drop = harmonic_recurrence(l_max)
    at_centre = _radial_functions(key, np.zeros(1))[0, 0] * scale[0]
    return radial.ravel(), pieces.scales, np.array(rise), np.array(drop), at_centre


@lru_cache(maxsize=64)
def _mixing_rows(mixing: Mixing) -> tuple[NDArray[Any], ...]:
    """Nonzero weights of each element: where they start, their channels, and they themselves."""
    matrix = mixing.matrix()
    numbers, channels = np.nonzero(matrix)
    start = np.searchsorted(numbers, np.arange(MOST_ELEMENTS + 1))
    return start, channels, matrix[numbers, channels]
