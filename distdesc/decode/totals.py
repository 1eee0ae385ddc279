"""Sets of weights of elements that add up to a given total."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_SUMS = 20_000
"""Total weights of some number of atoms, times elements, that are still told apart."""

NEAR = 1e-5
"""Relative difference of totals that are the same."""


class Totals:
    """
    Total weights that atoms can have, number by number.

    Parameters
    ----------
    levels : ndarray, shape (m,), float64
        Weights of the elements, sorted, positive.
    total : float
        The one that is wanted.
    most : int
        Number of atoms, at most.
    """

    def __init__(self, levels: NDArray[np.float64], total: float, most: int) -> None:
        self.levels, self.total, self.most = levels, total, most
        self._sums = [np.zeros(1)]
        while len(self._sums) <= most and len(self._sums[-1]) * len(levels) <= MOST_SUMS:
            longer = (self._sums[-1][:, None] + levels).ravel()
            self._sums.append(np.unique(np.round(longer[longer < total * (1 + NEAR)], 7)))

    @property
    def known(self) -> bool:
        """Whether the totals are few enough to tell."""
        return len(self._sums) > self.most

    def reached(self, n: int) -> bool:
        """
        Whether so many atoms can have the total; if that is not known, they can.

        Parameters
        ----------
        n : int
            Number of atoms.
        """
        return not self.known or self._among(n, self.total)

    def ways(self, n: int) -> float:
        """
        Decimal logarithm of the number of arrangements of elements with a total, roughly.

        Parameters
        ----------
        n : int
            Number of atoms.
        """
        sums = len(self._sums[n]) if self.known else 1
        return float(n * np.log10(len(self.levels)) - np.log10(max(sums, 1)))

    def drawn(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """
        Weights of so many atoms, at random, that have the total.

        Parameters
        ----------
        n : int
            Number of atoms, for which it can be reached.
        rng : numpy.random.Generator
            Its state decides.
        """
        chosen: list[float] = []
        left = self.total
        for before in range(n - 1, -1, -1):
            fits = [w for w in self.levels if self._among(before, left - w)]
            chosen.append(float(rng.choice(fits)))
            left -= chosen[-1]
        return np.array(chosen)

    def _among(self, n: int, value: float) -> bool:
        return bool(np.any(np.abs(self._sums[n] - value) < NEAR * self.total))
