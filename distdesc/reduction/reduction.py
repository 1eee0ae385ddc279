"""What a reduction is: a recipe for a linear map to fewer numbers, fitted on the data or not."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from distdesc.reduction.projection import Projection
from distdesc.reduction.sketch import Sketch


class Reduction(Protocol):
    """
    A recipe for a `Projection`.

    An implementation is a frozen dataclass whose fields are the keys of ``[reduction]``. It is
    fitted in a number of passes over a sample of environments; each pass multiplies the scatter
    matrix of the fingerprints with a basis (see `Sketch`), from which the basis of the next
    pass follows, and in the end the projection. A reduction without passes needs no data.
    """

    @property
    def n_components(self) -> int:
        """Numbers kept of a fingerprint."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each component."""
        ...

    @property
    def passes(self) -> int:
        """Passes over the sample; 0 if nothing is fitted."""
        ...

    @property
    def sample(self) -> int:
        """Environments to fit on, about; 0 for all."""
        ...

    @property
    def seed(self) -> int:
        """Of everything that is drawn at random."""
        ...

    def width(self, n_features: int) -> int:
        """
        Columns of the basis of a pass, at the most.

        Parameters
        ----------
        n_features : int
            Length of a fingerprint.
        """
        ...

    def basis(self, n_features: int, last: Sketch | None) -> NDArray[np.float64]:
        """
        Basis of the next pass.

        Parameters
        ----------
        n_features : int
            Length of a fingerprint.
        last : Sketch or None
            Of the pass before; None for the first.

        Returns
        -------
        ndarray, shape (n_features, width), float64
            Orthonormal columns.
        """
        ...

    def project(
        self, n_features: int, basis: NDArray[np.float64] | None, last: Sketch | None
    ) -> Projection:
        """
        Projection that the passes lead to.

        Parameters
        ----------
        n_features : int
            Length of a fingerprint.
        basis : ndarray, shape (n_features, width), float64, or None
            Of the last pass; None if there are none.
        last : Sketch or None
            Of the last pass; None if there are none.
        """
        ...
