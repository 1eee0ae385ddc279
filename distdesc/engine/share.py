"""Which shards a client computes: all, or its share beside clients that know nothing of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from distdesc.errors import CampaignError


@dataclass(frozen=True)
class Share:
    """
    One of several equal shares of the shards of a campaign; by default all of them.

    Every so-many-th shard, rather than a range: sources are often sorted, and ranges would take
    different times.

    Parameters
    ----------
    number : int
        Which share, from 1.
    count : int
        Of how many.
    wait : bool
        Whether to wait for another client of the store rather than to be refused.
    """

    number: int = 1
    count: int = 1
    wait: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise CampaignError(
                f"a share of the shards must be K/N with 1 <= K <= N, "
                f"got {self.number}/{self.count}"
            )

    @classmethod
    def parse(cls, text: str, wait: bool = False) -> Share:
        """
        Share of what a user typed.

        Parameters
        ----------
        text : str
            Such as ``3/20``; empty for all.
        wait : bool
            See `Share`.

        Raises
        ------
        CampaignError
            If it is not of that form.
        """
        if not text:
            return cls(wait=wait)
        found = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
        if found is None:
            raise CampaignError(f"--shards takes K/N, such as 3/20, got {text}")
        return cls(int(found[1]), int(found[2]), wait)

    @property
    def name(self) -> str:
        """Name of the share, for its lock; empty for all."""
        return "" if self.count == 1 else f"{self.number}-of-{self.count}"

    def of(self, shards: Iterable[int]) -> list[int]:
        """
        Those of some shards that are in the share.

        Parameters
        ----------
        shards : iterable of int
            Numbers of shards.
        """
        return [s for s in shards if s % self.count == self.number - 1]


ALL = Share()
"""All shards."""
