"""Smooth radial cutoffs and their derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial, isfinite, pi

import numpy as np
from numpy.typing import NDArray

from distdesc.errors import CampaignError

SINE = tuple((-1) ** k * pi ** (2 * k + 1) / factorial(2 * k + 1) for k in range(11))
"""Taylor coefficients of ``sin(pi s) / s`` in ``s * s``: exact to rounding for ``|s| <= 1/2``."""


@dataclass(frozen=True)
class Window:
    """
    Range of a decay: one inside, then down to zero at the cutoff.

    Parameters
    ----------
    cutoff : float
        Radius of an environment, in Å; positive.
    smoothing : float
        Width of the decay before the cutoff, in Å, from 0 to `cutoff`. With 0 the cutoff is
        hard and fingerprints jump where a neighbour crosses it.
    """

    cutoff: float
    smoothing: float

    def __post_init__(self) -> None:
        for name in ("cutoff", "smoothing"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise CampaignError(f"{name} must be a number of Å, got {value!r}")
        if not (isfinite(self.cutoff) and self.cutoff > 0):
            raise CampaignError(f"cutoff must be positive and finite, got {self.cutoff}")
        if not 0 <= self.smoothing <= self.cutoff:
            raise CampaignError(
                f"smoothing must be from 0 to the cutoff, {self.cutoff}, got {self.smoothing}"
            )

    def _phase(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Position in the decay, from 0 where it begins to 1 at the cutoff."""
        if self.smoothing == 0:
            return np.zeros_like(distances)
        phase: NDArray[np.float64] = (distances - (self.cutoff - self.smoothing)) / self.smoothing
        return np.clip(phase, 0.0, 1.0)


@dataclass(frozen=True)
class ShiftedCosine(Window):
    """Half a cosine wave from one down to zero; value and slope are continuous. See `Window`."""

    def __call__(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Weight of a neighbour.

        Parameters
        ----------
        distances : ndarray, any shape
            From the centre, in Å.
        """
        value = 0.5 * (1 + np.cos(pi * self._phase(distances)))
        return np.where(distances < self.cutoff, value, 0.0)

    def slope(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Derivative of the weight of a neighbour by its distance, in 1/Å.

        Parameters
        ----------
        distances : ndarray, any shape
            From the centre, in Å.
        """
        if self.smoothing == 0:
            return np.zeros_like(distances)
        value = -0.5 * pi / self.smoothing * np.sin(pi * self._phase(distances))
        return np.where(distances < self.cutoff, value, 0.0)


@dataclass(frozen=True)
class Polynomial(Window):
    """
    The quintic ``1 - 10 s**3 + 15 s**4 - 6 s**5``; two derivatives are continuous. See `Window`.
    """

    def __call__(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """See ShiftedCosine."""
        s = self._phase(distances)
        return np.where(distances < self.cutoff, 1 + s**3 * (-10 + s * (15 - 6 * s)), 0.0)

    def slope(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """See ShiftedCosine.slope."""
        if self.smoothing == 0:
            return np.zeros_like(distances)
        s = self._phase(distances)
        return np.where(distances < self.cutoff, -30 / self.smoothing * (s * (1 - s)) ** 2, 0.0)


@dataclass(frozen=True)
class Step(Window):
    """One up to the cutoff, whatever the smoothing; fingerprints jump there. See `Window`."""

    def __call__(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """See ShiftedCosine."""
        return np.where(distances < self.cutoff, 1.0, 0.0)

    def slope(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """See ShiftedCosine.slope."""
        return np.zeros_like(distances)


CUTOFF_FUNCTIONS = {"cosine": ShiftedCosine, "polynomial": Polynomial, "none": Step}
