"""Which structures cannot be used, and why, decided before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.checks import check_count
from distdesc.elements import symbol_of
from distdesc.errors import CampaignError
from distdesc.structures.neighbours import Frames, closest_distances
from distdesc.structures.source import Structures

MIN_HEIGHT = 1e-6
"""Distance of lattice planes, in Å, below which a cell counts as flat."""


@dataclass(frozen=True)
class Limits:
    """
    What is accepted, and when a run stops.

    Parameters
    ----------
    max_atoms : int
        Atoms of a structure.
    max_coordinate : float
        Largest coordinate, in Å, up or down.
    min_distance : float
        Two atoms are not closer, in Å; 0 accepts anything.
    max_images : int
        Cells within the cutoff of a periodic structure; a cell much smaller than the cutoff has
        thousands.
    attempts : int
        How often a shard is tried.
    quarantined_fraction : float
        A run stops when more than this part of all structures is quarantined, 0 to 1.
    structure_seconds : float
        A structure that takes longer, in s, is set aside as one that hangs, and a shard that
        takes longer is computed structure by structure to find out which; 0 waits for ever.
    """

    max_atoms: int = 100_000
    max_coordinate: float = 1e6
    min_distance: float = 0.2
    max_images: int = 50_000
    attempts: int = 3
    quarantined_fraction: float = 0.01
    structure_seconds: float = 1800.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not np.isfinite(value):
                raise CampaignError(f"{field.name} must be a number, got {value!r}")
        for name in ("max_atoms", "max_images", "attempts"):
            check_count(name, getattr(self, name), least=1)
        if self.max_coordinate <= 0:
            raise CampaignError(f"max_coordinate must be > 0 Å, got {self.max_coordinate}")
        if self.min_distance < 0:
            raise CampaignError(f"min_distance must be >= 0 Å, got {self.min_distance}")
        if self.structure_seconds < 0:
            raise CampaignError(f"structure_seconds must be >= 0 s, got {self.structure_seconds}")
        if not 0 <= self.quarantined_fraction <= 1:
            raise CampaignError(
                f"quarantined_fraction must be from 0 to 1, got {self.quarantined_fraction}"
            )


def find_problems(
    batch: Structures, limits: Limits, accepted_numbers: tuple[int, ...], cutoff: float
) -> dict[int, str]:
    """
    Say which structures of a batch cannot be featurised, and why.

    Each is judged as a whole, whatever else is in the batch, so that all shards that touch it
    agree.

    Parameters
    ----------
    batch : Structures
        As read.
    limits : Limits
        What is accepted.
    accepted_numbers : tuple of int
        Atomic numbers that the descriptor takes.
    cutoff : float
        Radius of an environment, in Å.

    Returns
    -------
    dict of int to str
        Reason, by position in the batch; the first that applies.
    """
    problems = dict(batch.problems)
    _check_sizes(batch, limits, problems)
    _check_positions(batch, limits, problems)
    _check_species(batch, accepted_numbers, problems)
    heights = _check_cells(batch, problems)
    _check_images(heights, limits, cutoff, problems)
    _check_distances(batch, limits, problems)
    return problems


def _note(problems: dict[int, str], found: NDArray[np.bool_], reason: str) -> None:
    for k in np.flatnonzero(found):
        problems.setdefault(int(k), reason)


def _owners(batch: Structures, atoms: Any) -> list[tuple[int, int]]:
    """Structures that have a marked atom, each with the first such atom of the batch."""
    marked = np.flatnonzero(atoms)
    if not len(marked):
        return []
    owners = np.searchsorted(batch.offsets, marked, side="right") - 1
    first = np.unique(owners, return_index=True)
    return [(int(k), int(marked[j])) for k, j in zip(*first, strict=True)]


def _check_sizes(batch: Structures, limits: Limits, problems: dict[int, str]) -> None:
    counts = np.diff(batch.offsets)
    _note(problems, counts == 0, "no atoms")
    for k in np.flatnonzero(counts > limits.max_atoms):
        problems.setdefault(int(k), f"too many atoms: {counts[k]}, accepted are {limits.max_atoms}")


def _check_positions(batch: Structures, limits: Limits, problems: dict[int, str]) -> None:
    x: NDArray[np.float64] = batch.positions
    # One pass for the rule: comparisons with NaN are false.
    if bool((np.abs(x) <= limits.max_coordinate).all()):
        return
    for k, atom in _owners(batch, ~np.isfinite(x).all(axis=1)):
        place = ", ".join(f"{v:g}" for v in x[atom])
        problems.setdefault(
            k, f"position is not finite: atom {atom - batch.offsets[k]} is at ({place}) Å"
        )
    for k, atom in _owners(batch, (np.abs(x) > limits.max_coordinate).any(axis=1)):
        place = ", ".join(f"{v:g}" for v in x[atom])
        problems.setdefault(
            k,
            f"position is too far out: atom {atom - batch.offsets[k]} is at ({place}) Å, "
            f"accepted are coordinates up to {limits.max_coordinate:g}",
        )


def _check_species(
    batch: Structures, accepted_numbers: tuple[int, ...], problems: dict[int, str]
) -> None:
    accepted = np.zeros(256, dtype=bool)
    accepted[list(accepted_numbers)] = True
    numbers = batch.numbers
    unknown = ~accepted[np.clip(numbers, 0, 255)]
    if not unknown.any():
        return
    several = len(accepted_numbers) <= 12
    named = ", ".join(symbol_of(z) for z in accepted_numbers) if several else "the elements"
    for k, atom in _owners(batch, unknown):
        problems.setdefault(
            k,
            f"species is not accepted: atom {atom - batch.offsets[k]} is "
            f"{symbol_of(int(numbers[atom]))}, accepted are {named}",
        )


def _check_cells(batch: Structures, problems: dict[int, str]) -> NDArray[np.float64]:
    """Heights of the periodic directions, shape (n, 3); infinite for the others."""
    periodic = batch.pbc.any(axis=1)
    heights = np.full((len(batch), 3), np.inf)
    if not periodic.any():
        return heights
    finite = np.isfinite(batch.cells).all(axis=(1, 2))
    for k in np.flatnonzero(periodic & ~finite):
        problems.setdefault(int(k), f"cell is not finite: {_rows(batch.cells[k])}")
    usable = periodic & finite
    part = batch.take(np.flatnonzero(usable))
    heights[usable] = Frames.of(part).heights
    for k in np.flatnonzero(usable & (heights < MIN_HEIGHT).any(axis=1)):
        lengths = np.where(batch.pbc[k], np.linalg.norm(batch.cells[k], axis=1), np.inf)
        # Without one of its vectors, the cell has no height along the others either.
        what, sizes = ("height", heights[k]) if lengths.min() else ("length", lengths)
        direction = int(np.argmin(sizes))
        problems.setdefault(
            int(k),
            f"cell is flat: it is periodic along vector {direction}, but has the {what} "
            f"{sizes[direction]:g} Å there ({_rows(batch.cells[k])})",
        )
    return heights


def _rows(cell: NDArray[np.float64]) -> str:
    return "; ".join(" ".join(f"{v:g}" for v in row) for row in cell)


def _check_images(
    heights: NDArray[np.float64], limits: Limits, cutoff: float, problems: dict[int, str]
) -> None:
    with np.errstate(divide="ignore"):
        images = np.prod(2 * np.ceil(cutoff / heights) + 1, axis=1)
    for k in np.flatnonzero(images > limits.max_images):
        problems.setdefault(
            int(k),
            f"cell is too small for the cutoff: {images[k]:.3g} images within {cutoff:g} Å, "
            f"accepted are {limits.max_images}",
        )


def _check_distances(batch: Structures, limits: Limits, problems: dict[int, str]) -> None:
    if limits.min_distance == 0:
        return
    usable = np.ones(len(batch), dtype=bool)
    usable[list(problems)] = False
    closest = closest_distances(batch, limits.min_distance, usable)
    hint = " (coordinates in nm instead of Å?)"  # atoms in one place are so in any unit
    for k in np.flatnonzero(usable & (closest < limits.min_distance)):
        problems.setdefault(
            int(k),
            f"atoms are too close: {closest[k]:.3g} Å, accepted are {limits.min_distance:g} Å "
            f"and more{hint if closest[k] else ''}",
        )
