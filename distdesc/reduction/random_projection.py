"""Random projections: no data are needed, and distances are kept approximately."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from distdesc.checks import check_count
from distdesc.errors import CampaignError
from distdesc.reduction.projection import Projection
from distdesc.reduction.sketch import Sketch

BLOCK = 4096
"""Features for which numbers are drawn at once."""


@dataclass(frozen=True)
class RandomProjection:
    """
    Sums of randomly chosen features with random signs.

    Squared lengths and distances are kept in the mean; that of a given pair of fingerprints is
    off by more than a part ε with a probability that falls exponentially with
    ``n_components ε²`` (Johnson & Lindenstrauss), with these numbers as with normal ones [1]_.

    Parameters
    ----------
    n_components : int
        Sums to keep.
    density : float
        Part of the features that enter each sum, above 0 and up to 1.
    seed : int
        The matrix depends on it, on `density` and on its own shape only.

    References
    ----------
    .. [1] Achlioptas, J. Comput. Syst. Sci. 66 (2003), 671; for densities below 1/3, Li, Hastie
       & Church, KDD 2006, 287.
    """

    n_components: int
    density: float = 1 / 3
    seed: int = 0

    def __post_init__(self) -> None:
        check_count("n_components", self.n_components, 1)
        check_count("seed", self.seed, 0)
        number = isinstance(self.density, int | float) and not isinstance(self.density, bool)
        if not number or not 0 < self.density <= 1:
            raise CampaignError(f"density must be above 0 and up to 1, got {self.density!r}")

    @property
    def names(self) -> tuple[str, ...]:
        """See Reduction.names."""
        return tuple(f"rp{k}" for k in range(self.n_components))

    @property
    def passes(self) -> int:
        """See Reduction.passes."""
        return 0

    @property
    def sample(self) -> int:
        """See Reduction.sample: no environment is looked at before the projection stands."""
        return 0

    def width(self, n_features: int) -> int:
        """See Reduction.width."""
        return 0

    def basis(self, n_features: int, last: Sketch | None) -> NDArray[np.float64]:
        """See Reduction.basis: without passes, an empty one."""
        return np.empty((n_features, 0))

    def project(
        self, n_features: int, basis: NDArray[np.float64] | None, last: Sketch | None
    ) -> Projection:
        """See Reduction.project."""
        generator = np.random.default_rng(self.seed)
        scale = 1 / sqrt(self.density * self.n_components)
        columns = np.zeros((n_features, self.n_components))
        for begin in range(0, n_features, BLOCK):
            part = columns[begin : begin + BLOCK]
            draws = generator.random(part.shape)
            part[draws < self.density] = -scale
            part[draws < self.density / 2] = scale
        return Projection(np.zeros(n_features), columns.T, self.names)
