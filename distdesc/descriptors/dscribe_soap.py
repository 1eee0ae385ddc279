"""The power spectrum of dscribe, as a descriptor beside ours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
from numpy.typing import NDArray

from distdesc.checks import check_flag
from distdesc.descriptors.peer import (
    check_length,
    check_sizes,
    cluster,
    load,
    numbers_of,
    pairs_of,
    product_name,
)
from distdesc.descriptors.radial_basis import dscribe_padding
from distdesc.errors import CampaignError
from distdesc.structures.environment import Environments, single_environment


@dataclass(frozen=True)
class DscribeSoap:
    """
    Power spectrum computed by dscribe, ``SOAP`` with Gaussian-type orbitals [1]_.

    Features go by pair of elements, the lightest first, then by l, n and n', for like elements
    with n' >= n only. dscribe has no cutoff function, so that fingerprints jump a little where a
    neighbour crosses the cutoff; its Gaussian has fallen to a thousandth at `basis_radius` there.

    Parameters
    ----------
    basis_radius : float
        Radius of the widest orbital, dscribe's ``r_cut``, in Å; above 1.
    n_max : int
        Radial functions of each l, 1 to 16.
    l_max : int
        Largest l, 0 to 16.
    sigma : float
        Width of the Gaussian at each neighbour, in Å; positive.
    elements : tuple of str
        Accepted elements, at least one.
    include_centre : bool
        Whether the centre is a neighbour of itself, as it always is for atoms in dscribe.

    References
    ----------
    .. [1] Himanen et al., Comput. Phys. Commun. 247, 106949 (2020).
    """

    basis_radius: float = 5.0
    n_max: int = 8
    l_max: int = 6
    sigma: float = 0.3
    elements: tuple[str, ...] = ()
    include_centre: bool = False

    def __post_init__(self) -> None:
        check_length("basis_radius", self.basis_radius, above=1)
        check_sizes(self.n_max, self.l_max, 16, 16)
        check_length("sigma", self.sigma)
        numbers_of(self.elements)
        check_flag("include_centre", self.include_centre)
        _soap(self)

    @property
    def cutoff(self) -> float:
        """See Descriptor.cutoff: dscribe takes neighbours from beyond its ``r_cut``."""
        return self.basis_radius + dscribe_padding(self.sigma)

    @property
    def accepted_numbers(self) -> tuple[int, ...]:
        """See Descriptor.accepted_numbers."""
        return numbers_of(self.elements)

    @property
    def parity_odd(self) -> bool:
        """See Descriptor.parity_odd."""
        return False

    @property
    def jacobian_error(self) -> float:
        """
        Relative error of derivatives, up to which they are not invariant.

        Of motions of ammonia's hydrogens that symmetry hides from its nitrogen, dscribe sees 6e-8
        of what it sees of others; of most environments 1e-14.
        """
        return 1e-6

    @property
    def n_features(self) -> int:
        """See Descriptor.n_features."""
        n = len(self.elements) * self.n_max
        return n * (n + 1) // 2 * (self.l_max + 1)

    def feature_names(self) -> tuple[str, ...]:
        """See Descriptor.feature_names."""
        n = range(self.n_max)
        return tuple(
            product_name((a, b), l, i, j)
            for a, b in pairs_of(self.accepted_numbers)
            for l in range(self.l_max + 1)
            for i in n
            for j in (n[i:] if a == b else n)
        )

    def warm_up(self) -> None:
        """See Descriptor.warm_up."""
        self.jacobian(single_environment(self.cutoff / 4, self.accepted_numbers[0]))

    def compute(self, environments: Environments) -> NDArray[np.float64]:
        """See Descriptor.compute."""
        out = np.zeros((len(environments), self.n_features))
        for k in range(len(environments)):
            atoms = Cluster(*cluster(environments, k, self.include_centre))
            out[k] = _soap(self).create_single(atoms, [ORIGIN])[0]
        return out

    def jacobian(self, environments: Environments) -> NDArray[np.float64]:
        """See Descriptor.jacobian."""
        out = np.zeros((len(environments.vectors), 3, self.n_features))
        for k in range(len(environments)):
            atoms = Cluster(*cluster(environments, k, self.include_centre))
            part = slice(environments.offsets[k], environments.offsets[k + 1])
            moved = np.arange(int(self.include_centre), len(atoms))
            if len(moved):
                # the centre is a place, not an atom: it stays where it is
                out[part] = _soap(self).derivatives_single(
                    atoms, [ORIGIN], moved, method="analytical", return_descriptor=False
                )[0]
        return out


ORIGIN = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Cluster:
    """
    Atoms without a cell, with the methods of ``ase.Atoms`` that dscribe calls.

    Parameters
    ----------
    numbers : ndarray, shape (n_atoms,), int32
        Atomic numbers.
    positions : ndarray, shape (n_atoms, 3), float64
        In Å.
    """

    numbers: NDArray[np.int32]
    positions: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.numbers)

    def get_atomic_numbers(self) -> NDArray[np.int32]:
        """Atomic numbers."""
        return self.numbers

    def get_positions(self) -> NDArray[np.float64]:
        """Positions, in Å."""
        return self.positions

    def get_pbc(self) -> NDArray[np.bool_]:
        """Periodic directions: none."""
        return np.zeros(3, dtype=bool)

    def get_cell(self) -> NDArray[np.float64]:
        """Lattice vectors: zero."""
        return np.zeros((3, 3))


@lru_cache(maxsize=16)
def _soap(soap: DscribeSoap) -> Any:
    """Calculator of dscribe."""
    dscribe = load("dscribe", "dscribe.descriptors")
    try:
        with catch_warnings():
            # of an ill-conditioned overlap matrix, which dscribe would go on with
            simplefilter("error")
            return dscribe.SOAP(
                r_cut=float(soap.basis_radius),
                n_max=soap.n_max,
                l_max=soap.l_max,
                sigma=float(soap.sigma),
                species=soap.accepted_numbers,
            )
    except (ValueError, RuntimeWarning) as error:
        raise CampaignError(f"dscribe must accept the parameters, got: {error}") from error
