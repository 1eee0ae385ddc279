"""Bispectrum of the neighbour density: rotation invariants of third degree."""

from __future__ import annotations

from dataclasses import dataclass

from distdesc.descriptors.correlation_spectrum import CorrelationSpectrum


@dataclass(frozen=True)
class Bispectrum(CorrelationSpectrum):
    """
    Products of three coefficients of the density, coupled to scalars: four-body correlations.

    ``b = sum W[m1, m2, m3] c[q1 l1 m1] c[q2 l2 m2] c[q3 l3 m3]`` over all m, with Wigner's 3j
    symbols in the basis of real harmonics, and q for a density and a radial function [1]_. Each
    product is kept once, ``(l1, q1) <= (l2, q2) <= (l3, q3)``, times the square root of the
    number of sequences in which it occurs, so that scalar products of fingerprints are those of
    the full array. Some environments that have the same power spectrum differ in this one [2]_.
    Features go by l1, l2, l3, then by q1, q2, q3. See `DensityExpansion` for the other
    parameters.

    Parameters
    ----------
    n_max : int
        Radial functions of each l, 1 to 16.
    l_max : int
        Largest l, 0 to 16.
    parity_odd : bool
        Also pseudoscalars, ``l1 + l2 + l3`` odd, which change sign under reflection; three
        different coefficients are needed for one.

    References
    ----------
    .. [1] Bartók, Payne, Kondor and Csányi, Phys. Rev. Lett. 104, 136403 (2010).
    .. [2] Pozdnyakov et al., Phys. Rev. Lett. 125, 166001 (2020).
    """

    n_max: int = 4
    l_max: int = 4

    @property
    def degree(self) -> int:
        """See CorrelationSpectrum.degree."""
        return 3
