"""Seeded variants of the structures of a file, rattled or scattered: starts of searches."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distdesc import registry
from distdesc.checks import check_count
from distdesc.errors import CampaignError
from distdesc.structures import SOURCES
from distdesc.structures.batches import check_range
from distdesc.structures.guess import guess_source
from distdesc.structures.index import SourceIndex
from distdesc.structures.source import Progress, Source, Structure, Structures

LEAST = 0.5
"""Smallest distance of two scattered atoms, in Å."""

TRIES = 1000
"""Places that are tried for a scattered atom."""


@dataclass(frozen=True)
class Variants:
    """
    Every structure of a file many times, its atoms displaced about the first one.

    The first atom stays; the others are displaced at random, by each of `spreads`, or scattered
    anywhere in a ball about it. Each variant depends on the seed and its number only.

    Parameters
    ----------
    path : str
        File, glob, folder or URL of the structures, of any kind that is recognised.
    spreads : tuple of float
        Standard deviations of the displacement of every coordinate, in Å.
    radius : float
        Of the ball that atoms are scattered in, in Å, none closer than 0.5 Å to another; 0 for
        no scattered variants.
    copies : int
        Variants of each structure by each spread, and scattered ones.
    seed : int
        Of all of them.
    """

    path: str
    spreads: tuple[float, ...] = (0.0,)
    radius: float = 0.0
    copies: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not self.path:
            raise CampaignError(f"path must be that of structures, got {self.path!r}")
        if not isinstance(self.spreads, tuple) or not all(_is_length(s) for s in self.spreads):
            raise CampaignError(f"spreads must be numbers of Å >= 0, got {self.spreads!r}")
        if not _is_length(self.radius):
            raise CampaignError(f"radius must be a number of Å >= 0, got {self.radius!r}")
        check_count("copies", self.copies, least=1)
        check_count("seed", self.seed)
        if not self.n_variants:
            raise CampaignError("spreads or radius must be given, got neither")

    @property
    def n_variants(self) -> int:
        """Variants of each structure."""
        return self.copies * (len(self.spreads) + (self.radius > 0))

    @property
    def seekable(self) -> bool:
        """See `Source.seekable`."""
        return self._source.seekable

    @cached_property
    def _source(self) -> Source:
        source: Source = registry.build(SOURCES, "source", guess_source(self.path))
        return source

    def scan(self, progress: Progress | None = None, scratch: Path | None = None) -> SourceIndex:
        """
        See `Source.scan`; scans the structures themselves.

        Parameters
        ----------
        progress : callable, optional
            As of the structures themselves.
        scratch : pathlib.Path, optional
            As of the structures themselves.

        Raises
        ------
        SourceError
            If there is nothing to read.
        """
        index = self._source.scan(progress, scratch)
        n = self.n_variants
        made = (index.digest, self.spreads, self.radius, self.copies, self.seed)
        problems = {k * n + v: why for k, why in index.problems.items() for v in range(n)}
        return SourceIndex(
            np.repeat(index.atom_counts, n), np.repeat(index.locators, n, axis=0),
            hashlib.sha256(repr(made).encode()).hexdigest()[:12], index.files, problems,
        )  # fmt: skip

    def read(self, index: SourceIndex, start: int, stop: int, records: bool = False) -> Structures:
        """
        See `Source.read`.

        Parameters
        ----------
        index : SourceIndex
            Of this source.
        start, stop : int
            Half-open range of variants.
        records : bool
            Also fill ``Structures.records``.

        Raises
        ------
        SourceError
            If the range is not there, or a file is not there or has changed.
        """
        check_range(index, start, stop)
        n = self.n_variants
        own = SourceIndex(
            index.atom_counts[::n], index.locators[::n], index.digest, index.files,
            {k // n: why for k, why in index.problems.items()},
        )  # fmt: skip
        numbers = np.arange(start, stop)
        first = start // n
        originals = self._source.read(own, first, max(first, -(-stop // n)), records)
        batch = replace(originals.take(numbers // n - first), indices=numbers)
        problems = dict(batch.problems)
        for k in range(len(batch)):
            if k not in problems:
                atoms = slice(int(batch.offsets[k]), int(batch.offsets[k + 1]))
                problems |= self._vary(batch.positions[atoms], int(numbers[k]), k)
        kept = None if batch.records is None else _with_positions(batch, problems)
        return replace(batch, problems=problems, records=kept)

    def _vary(self, positions: NDArray[np.float64], number: int, k: int) -> Mapping[int, str]:
        """Displace the atoms of one variant in place; the reason if there is no room for them."""
        rng = np.random.default_rng(np.random.SeedSequence((self.seed, number)))
        way = number % self.n_variants // self.copies
        if way < len(self.spreads):
            positions[1:] += self.spreads[way] * rng.normal(size=(max(len(positions) - 1, 0), 3))
            return {}
        if _scatter(rng, positions, self.radius):
            return {}
        positions[:] = np.nan
        return {k: f"no room for {len(positions)} atoms in a ball of {self.radius:g} Å"}


def _is_length(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return isfinite(value) and value >= 0


def _scatter(rng: np.random.Generator, positions: NDArray[np.float64], radius: float) -> bool:
    """Put all atoms but the first anywhere in a ball about it; whether there was room."""
    for k in range(1, len(positions)):
        for _ in range(TRIES):
            place = rng.uniform(-radius, radius, size=3)
            if np.linalg.norm(place) > radius:
                continue
            positions[k] = positions[0] + place
            if np.min(np.linalg.norm(positions[:k] - positions[k], axis=1)) >= LEAST:
                break
        else:
            return False
    return True


def _with_positions(batch: Structures, problems: Mapping[int, str]) -> list[Structure | None]:
    """Records of a batch, with its positions."""
    found: list[Structure | None] = []
    for k, record in enumerate(batch.records or ()):
        atoms = slice(int(batch.offsets[k]), int(batch.offsets[k + 1]))
        if record is None or k in problems:
            found.append(None)
        else:
            found.append(replace(record, positions=batch.positions[atoms]))
    return found
