"""What a descriptor is: a smooth, invariant map from environments to fingerprints."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from distdesc.structures.environment import Environments


class Descriptor(Protocol):
    """
    A map from environments to fingerprints, with its hyper-parameters.

    An implementation is a frozen dataclass whose fields are the keys of ``[descriptor]``; it
    rejects bad values in ``__post_init__`` with a `CampaignError` that names the field, the
    accepted range and the value got. Fingerprints do not change under rotation about the
    centre, nor under exchange of neighbours of the same species; they and their first
    derivatives are continuous where a neighbour crosses the cutoff.
    """

    @property
    def cutoff(self) -> float:
        """Radius of an environment, in Å."""
        ...

    @property
    def accepted_numbers(self) -> tuple[int, ...]:
        """Atomic numbers that can be featurised, sorted; structures with others are quarantined."""
        ...

    @property
    def parity_odd(self) -> bool:
        """Whether some features change sign under reflection."""
        ...

    @property
    def n_features(self) -> int:
        """Length of a fingerprint, known without any structure."""
        ...

    def feature_names(self) -> tuple[str, ...]:
        """Name of each feature, unique within the descriptor."""
        ...

    def warm_up(self) -> None:
        """Build tables and compile kernels, so that processes started later find them cached."""
        ...

    def compute(self, environments: Environments) -> NDArray[np.float64]:
        """
        Fingerprints of a batch of environments.

        Each row depends on its own environment only, bit for bit, whatever else is in the batch.

        Parameters
        ----------
        environments : Environments
            Not modified.

        Returns
        -------
        ndarray, shape (n_environments, n_features), float64
            One fingerprint a row.
        """
        ...

    def jacobian(self, environments: Environments) -> NDArray[np.float64]:
        """
        Derivatives of the fingerprints by neighbour positions, the centre held fixed.

        A neighbour exactly on the centre has no direction: in adapters, derivatives by its own
        position may not be finite there.

        Parameters
        ----------
        environments : Environments
            Not modified.

        Returns
        -------
        ndarray, shape (n_pairs, 3, n_features), float64
            In 1/Å for dimensionless features.
        """
        ...


class BlockDescriptor(Descriptor, Protocol):
    """
    A descriptor whose features come in blocks, most of which are zero in most environments.

    With one density per element, a block belongs to the elements whose densities it multiplies,
    and is zero unless all of them occur.
    """

    @property
    def block_starts(self) -> NDArray[np.int64]:
        """
        First feature of each block, and the number of features; shape (n_blocks + 1,).
        """
        ...

    @property
    def block_width(self) -> int:
        """Features of the longest block."""
        ...

    def block_names(self) -> tuple[str, ...]:
        """Name of each block, such as ``H-C``, unique within the descriptor."""
        ...

    def compute_blocks(
        self, environments: Environments
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
        """
        Blocks of the fingerprints of a batch of environments that are not zero throughout.

        Parameters
        ----------
        environments : Environments
            Not modified.

        Returns
        -------
        counts : ndarray, shape (n_environments,), int32
            Blocks of each environment.
        blocks : ndarray, shape (n,), int32
            Their numbers, ascending in each environment.
        values : ndarray, shape (n, block_width), float64
            Their features; zero after the end of shorter blocks.
        """
        ...
