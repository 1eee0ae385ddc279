"""Trispectrum of the neighbour density: rotation invariants of fourth degree."""

from __future__ import annotations

from dataclasses import dataclass

from distdesc.descriptors.correlation_spectrum import CorrelationSpectrum


@dataclass(frozen=True)
class Trispectrum(CorrelationSpectrum):
    """
    Products of four coefficients of the density, coupled to scalars: five-body correlations.

    Two pairs of tensors ``c[q l]``, q for a density and a radial function, are coupled to the
    same momentum L, and the dot product is taken. Each product of four is kept once, with all
    scalars in it that are independent; they are orthonormal functions of the product, times the
    square root of the number of sequences in which it occurs, so that scalar products of
    fingerprints are those of the full array. Some environments that have the same bispectrum
    differ in this one [1]_. Features go by l1 <= l2 <= l3 <= l4, then by q1 to q4, then by L; their
    number grows with the fourth power of ``n_max * l_max``, and only small settings are
    practical. See `DensityExpansion` for the other parameters.

    Parameters
    ----------
    n_max : int
        Radial functions of each l, 1 to 16.
    l_max : int
        Largest l, 0 to 16.
    parity_odd : bool
        Also pseudoscalars, ``l1 + l2 + l3 + l4`` odd, which change sign under reflection.

    References
    ----------
    .. [1] Pozdnyakov et al., Phys. Rev. Lett. 125, 166001 (2020).
    """

    n_max: int = 2
    l_max: int = 3

    @property
    def degree(self) -> int:
        """See CorrelationSpectrum.degree."""
        return 4
