"""How elements enter the densities of a spectrum: apart, weighted, or mixed into a few."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from distdesc.checks import check_choice
from distdesc.descriptors.species import Species
from distdesc.elements import SYMBOLS
from distdesc.errors import CampaignError

WAYS = ("channels", "weights", "none", "embedding")


@dataclass(frozen=True)
class Mixing:
    """
    Weight of each element in each density, a matrix of elements by channels.

    With ``"channels"`` it is the identity; with ``"embedding"`` it has few columns, so that a
    fingerprint does not grow with the number of elements [1]_.

    Parameters
    ----------
    way : str
        ``"channels"``: one density per element. ``"weights"``: one density, in which elements
        differ by weight. ``"none"``: one density, all weights one. ``"embedding"``: `rank`
        densities, sums over the elements.
    elements : tuple of str
        Accepted elements; empty for all, which ``"channels"`` cannot do.
    weights : tuple of float
        For ``"weights"``; see `Species`.
    rank : int
        For ``"embedding"``, the number of densities, if `embedding` is not given: each element
        then has a seeded random unit vector, the same in every campaign.
    embedding : tuple of tuple of float
        For ``"embedding"``, one line of numbers per element, in the order of `elements`.

    References
    ----------
    .. [1] Darby et al., Phys. Rev. Lett. 131, 028001 (2023).
    """

    way: str
    elements: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    rank: int = 0
    embedding: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        check_choice("species", self.way, WAYS)
        if self.way != "embedding":
            if self.rank or self.embedding:
                raise CampaignError(
                    f'rank and embedding must be left out for species "{self.way}", got some'
                )
            self._species  # noqa: B018  validates
            return
        Species("none", self.elements, self.weights)
        if type(self.rank) is not int or self.rank < 0:
            raise CampaignError(f"rank must be a whole number >= 1, got {self.rank!r}")
        if self.embedding:
            self._check_embedding()
        elif not self.rank:
            raise CampaignError('rank or embedding must be given for species "embedding", got none')

    def _check_embedding(self) -> None:
        lines = self.embedding
        if not isinstance(lines, tuple) or not all(isinstance(x, tuple) and x for x in lines):
            raise CampaignError(f"embedding must be a list of lists of numbers, got {lines!r}")
        if len(lines) != len(self.elements):
            raise CampaignError(
                f"embedding must have one line per element, {len(self.elements)}, got {len(lines)}"
            )
        if len({len(line) for line in lines}) > 1 or self.rank not in (0, len(lines[0])):
            wanted = f"{self.rank} numbers" if self.rank else "equal length"
            raise CampaignError(
                f"embedding must have lines of {wanted}, got lengths {[len(x) for x in lines]}"
            )
        for value in (v for line in lines for v in line):
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not isfinite(value):
                raise CampaignError(f"embedding must have finite numbers, got {value!r}")

    @property
    def _species(self) -> Species:
        way = "none" if self.way == "embedding" else self.way
        return Species(way, self.elements, self.weights)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Accepted atomic numbers, sorted."""
        return self._species.numbers

    @property
    def channels(self) -> tuple[str, ...]:
        """Name of each density: its element, the lightest first, or its place in the embedding."""
        if self.way != "embedding":
            return self._species.channels
        return tuple(f"d{k}" for k in range(self.matrix().shape[1]))

    def matrix(self) -> NDArray[np.float64]:
        """
        Weights of the elements in the densities.

        Returns
        -------
        ndarray, shape (n_atomic_numbers, n_channels), float64
            By atomic number; zero for elements that are not accepted.
        """
        table = np.zeros((len(SYMBOLS), max(1, self.rank)))
        numbers = list(self.numbers)
        if self.embedding:
            lines = dict(zip(self.elements, self.embedding, strict=True))
            table = np.zeros((len(SYMBOLS), len(self.embedding[0])))
            table[numbers] = [lines[SYMBOLS[z]] for z in numbers]
        elif self.way == "embedding":
            drawn = np.random.default_rng(0).normal(size=(self.rank, len(SYMBOLS))).T
            drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
            table[numbers] = drawn[numbers]
        elif self.way == "channels":
            table = np.zeros((len(SYMBOLS), len(numbers)))
            table[numbers, range(len(numbers))] = 1.0
        else:
            table[:, 0] = self._species.weight_table()
        return table
