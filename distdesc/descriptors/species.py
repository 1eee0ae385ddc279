"""How elements enter a density: as weights of one, or as several densities."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from distdesc.checks import check_choice
from distdesc.elements import NUMBERS, SYMBOLS
from distdesc.errors import CampaignError

WAYS = ("weights", "channels", "none")


@dataclass(frozen=True)
class Species:
    """
    Weight and channel of each element.

    Parameters
    ----------
    way : str
        ``"weights"``: one density, in which elements differ by weight. ``"channels"``: one
        density per element. ``"none"``: one density, all weights one.
    elements : tuple of str
        Accepted elements; empty for all, which ``"channels"`` cannot do.
    weights : tuple of float
        For ``"weights"``, one per element, finite and not zero. Empty for a rule: with K
        elements, ``1 + (k + 1/2) / K`` for the k-th lightest (from zero), as Uhrin (2021) has
        it; without, ``1 + Z / 100``.
    """

    way: str
    elements: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_choice("species", self.way, WAYS)
        for name in ("elements", "weights"):
            if not isinstance(getattr(self, name), tuple):
                raise CampaignError(f"{name} must be a list, got {getattr(self, name)!r}")
        for element in self.elements:
            if not NUMBERS.get(element):
                raise CampaignError(f'elements must be chemical symbols, got "{element}"')
        if len(set(self.elements)) != len(self.elements):
            raise CampaignError(f"elements must differ, got {', '.join(self.elements)}")
        if self.way == "channels" and not self.elements:
            raise CampaignError('elements must be given for species "channels", got none')
        if self.weights and self.way != "weights":
            raise CampaignError(f'weights must be empty for species "{self.way}", got some')
        if self.weights and len(self.weights) != len(self.elements):
            raise CampaignError(
                f"weights must be one per element, {len(self.elements)}, got {len(self.weights)}"
            )
        for weight in self.weights:
            number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
            if not number or not isfinite(weight) or weight == 0:
                raise CampaignError(f"weights must be finite and not zero, got {weight!r}")

    @property
    def numbers(self) -> tuple[int, ...]:
        """Accepted atomic numbers, sorted."""
        if not self.elements:
            return tuple(range(1, len(SYMBOLS)))
        return tuple(sorted(NUMBERS[element] for element in self.elements))

    @property
    def channels(self) -> tuple[str, ...]:
        """Element of each density, the lightest first; one empty name if there is but one."""
        return tuple(SYMBOLS[z] for z in self.numbers) if self.way == "channels" else ("",)

    def weight_table(self) -> NDArray[np.float64]:
        """Weight by atomic number; zero for elements that are not accepted."""
        table = np.zeros(len(SYMBOLS))
        numbers = np.asarray(self.numbers)
        if self.way != "weights":
            table[numbers] = 1.0
        elif self.weights:
            table[[NUMBERS[element] for element in self.elements]] = self.weights
        elif self.elements:
            table[numbers] = 1 + (np.arange(len(numbers)) + 0.5) / len(numbers)
        else:
            table[numbers] = 1 + numbers / 100
        return table

    def channel_table(self) -> NDArray[np.int64]:
        """Channel by atomic number; -1 for elements that are not accepted."""
        table = np.full(len(SYMBOLS), -1)
        table[list(self.numbers)] = np.arange(len(self.numbers)) if self.way == "channels" else 0
        return table
