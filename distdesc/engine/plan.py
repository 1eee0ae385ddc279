"""The plan: shards of every stage, what each reads, what memory and disk it will take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from distdesc.campaign import Campaign
from distdesc.engine.memory import (
    atom_bytes,
    fixed_memory,
    reading_memory,
    rows_that_fit,
)
from distdesc.engine.sizes import Size, array_size
from distdesc.errors import CampaignError, LastingError
from distdesc.schema import ArraySpec, RowKind
from distdesc.stages.stage import Stage
from distdesc.store.layout import (
    StageLayout,
    default_chunk_rows,
    default_shard_rows,
    ragged_of,
    rows_of_slow_shard,
    slot_capacity,
    system_specs,
)

BLOCK = 2**20
"""Structures looked at at once while planning, so that planning takes little memory."""


@dataclass(frozen=True)
class Task:
    """
    One stage on one shard: the unit of work, of retry and of writing.

    Parameters
    ----------
    stage : str
        Name of the stage.
    shard : int
        Number of the shard.
    row_start, row_stop : int
        Half-open range of rows.
    structure_start, structure_stop : int
        Half-open range of structures to read.
    first_row : int
        Row of the first atom of structure `structure_start`; its rows before `row_start`
        belong to the shard before.
    """

    stage: str
    shard: int
    row_start: int
    row_stop: int
    structure_start: int
    structure_stop: int
    first_row: int

    @property
    def key(self) -> str:
        """Name of the task on dashboards and in logs."""
        return f"{self.stage}-{self.shard:08d}"


@dataclass(frozen=True)
class StagePlan:
    """
    Shards of one stage.

    Parameters
    ----------
    layout : StageLayout
        Rows, shards and chunks.
    specs : tuple of ArraySpec
        Arrays of the stage, with its status column.
    table : ndarray, shape (n_shards, 4), int64
        Structures start and stop, first row, atoms to read; one line a shard.
    memory : int
        Projected peak memory of a worker, in bytes, for the shard that needs most.
    sizes : dict of str to Size
        Bytes of each array.
    row_seconds : float
        Expected time of a row, see `Stage.row_seconds`.
    least : int
        What a worker must have, in bytes, to compute a shard in pieces, see `pieces.pieces`.
    """

    layout: StageLayout
    specs: tuple[ArraySpec, ...]
    table: NDArray[np.int64]
    memory: int
    sizes: dict[str, Size]
    row_seconds: float = 0.0
    least: int = 0

    @property
    def size(self) -> Size:
        """Bytes of all arrays."""
        every = self.sizes.values()
        return Size(sum(s.most for s in every), sum(s.expected for s in every))

    def task(self, shard: int) -> Task:
        """
        Task of one shard.

        Parameters
        ----------
        shard : int
            Its number.
        """
        start = shard * self.layout.shard_rows
        stop = min(start + self.layout.shard_rows, self.layout.n_rows)
        first, last, row = (int(v) for v in self.table[shard, :3])
        return Task(self.layout.stage, shard, start, stop, first, last, row)

    def tasks(self, shards: Iterable[int]) -> Iterator[Task]:
        """
        Tasks of some shards, one at a time.

        Parameters
        ----------
        shards : iterable of int
            Their numbers.
        """
        return (self.task(int(shard)) for shard in shards)

    def by_cost(self, shards: NDArray[np.int64]) -> NDArray[np.int64]:
        """
        Shards in the order in which to compute them: as given, or the longest first.

        Parameters
        ----------
        shards : ndarray, shape (n,), int64
            Their numbers.
        """
        if not self.row_seconds:
            return shards
        return shards[np.argsort(-self.table[shards, 3], kind="stable")]


def plan_stage(
    name: str, stage: Stage, campaign: Campaign, offsets: NDArray[np.int64]
) -> StagePlan:
    """
    Cut the rows of a stage into shards.

    Rows, not structures, are cut, at multiples of the shard length; a structure on a boundary
    is read by both neighbours and each computes only its own rows.

    Parameters
    ----------
    name : str
        Name of the stage.
    stage : Stage
        The stage, resolved.
    campaign : Campaign
        For its store options.
    offsets : ndarray, shape (n_structures + 1,), int64
        Atoms before each structure.

    Raises
    ------
    CampaignError
        If shard and chunk lengths do not fit each other.
    """
    outputs = stage.outputs()
    by_atom = stage.row_kind is RowKind.ENVIRONMENT
    n_atoms, n_structures = int(offsets[-1]), len(offsets) - 1
    n_rows = n_atoms if by_atom else n_structures
    per_row = 0.0 if by_atom else n_atoms / max(1, n_structures)
    shard_rows, chunk_rows = _lengths(campaign, stage, n_rows, per_row)
    layout = StageLayout(name, stage.row_kind.value, n_rows, shard_rows, chunk_rows)
    table = shard_table(offsets, layout)
    ragged = ragged_of(outputs)
    if ragged is not None:
        heaviest = int(table[:, 3].max(initial=0))
        layout = replace(layout, capacity=slot_capacity(ragged, shard_rows, heaviest))
    return assemble(stage, layout, table, n_atoms, _largest(offsets))


def assemble(
    stage: Stage, layout: StageLayout, table: NDArray[np.int64], n_atoms: int, largest: int
) -> StagePlan:
    """
    Plan of a stage whose shards are known, with its projections.

    Parameters
    ----------
    stage : Stage
        The stage, resolved.
    layout : StageLayout
        Rows and shards.
    table : ndarray, shape (n_shards, 4), int64
        See `shard_table`.
    n_atoms : int
        Atoms of all structures.
    largest : int
        Atoms of the largest structure.
    """
    outputs = stage.outputs()
    specs = (*outputs, *system_specs(layout.stage, outputs))
    sizes = {s.name: array_size(s, layout.n_rows, n_atoms) for s in specs}
    rows, heaviest = min(layout.shard_rows, max(1, layout.n_rows)), int(table[:, 3].max(initial=0))
    fixed = fixed_memory(specs, rows, heaviest)
    memory = fixed + reading_memory(stage, heaviest) + stage.working_memory(rows, largest)
    least = fixed + stage.working_memory(1, 1)
    return StagePlan(layout, specs, table, memory, sizes, stage.row_seconds, least)


def shard_table(offsets: NDArray[np.int64], layout: StageLayout) -> NDArray[np.int64]:
    """
    What each shard reads.

    A structure without atoms belongs to the shard in which its first atom would be.

    Parameters
    ----------
    offsets : ndarray, shape (n_structures + 1,), int64
        Atoms before each structure.
    layout : StageLayout
        Rows and shards.

    Returns
    -------
    ndarray, shape (n_shards, 4), int64
        Structures start and stop, row of the first atom of the first structure, atoms to read.
    """
    starts = np.arange(layout.n_shards, dtype=np.int64) * layout.shard_rows
    stops = np.minimum(starts + layout.shard_rows, layout.n_rows)
    if layout.row_kind == RowKind.STRUCTURE.value:
        first, last = starts, stops
    else:
        first, last = structures_of_rows(offsets, starts, stops)
    first_row = offsets[first]
    return np.stack([first, last, first_row, offsets[last] - first_row], axis=1).astype(np.int64)


def structures_of_rows(
    edges: NDArray[np.int64], starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """
    Structures that ranges of rows touch, where the ranges follow each other to the last row.

    Parameters
    ----------
    edges : ndarray, shape (n_structures + 1,), int64
        Rows before each structure.
    starts, stops : ndarray, shape (n,), int64
        Half-open ranges of rows.

    Returns
    -------
    first, last : ndarray, shape (n,), int64
        Half-open ranges of structures; one without rows is in the range where its first row
        would be, in the last range if it is at the end.
    """
    first = np.searchsorted(edges, starts, side="left")
    first -= edges[first] > starts
    last = np.searchsorted(edges[:-1], stops, side="left")
    last[-1] = len(edges) - 1
    return first, last


def check_memory(plans: Iterable[StagePlan], allowed: int) -> None:
    """
    Refuse a plan whose shards would not fit a worker even in pieces, before anything runs.

    Parameters
    ----------
    plans : iterable of StagePlan
        Of all stages.
    allowed : int
        Memory of one worker, in bytes.

    Raises
    ------
    LastingError
        If a shard is projected to need more.
    """
    for plan in plans:
        if plan.least > allowed:
            raise LastingError(
                f"stage {plan.layout.stage} is projected to need {plan.least / 2**30:.2f} GiB "
                f"a worker, more than the {allowed / 2**30:.2f} GiB each has; use smaller "
                f"[store] shard_rows (now {plan.layout.shard_rows}), fewer [execution] workers, "
                f"or more [execution] memory"
            )


def _lengths(campaign: Campaign, stage: Stage, n_rows: int, per_row: float) -> tuple[int, int]:
    """Rows of a shard and of a chunk; `per_row` are the atoms read for a row."""
    options, outputs = campaign.store, stage.outputs()
    shard_rows = options.shard_rows or default_shard_rows(
        outputs, n_rows, per_row * atom_bytes(stage)
    )
    if stage.row_seconds and not options.shard_rows:
        shard_rows = min(shard_rows, rows_of_slow_shard(stage.row_seconds, n_rows))
    memory = int(campaign.execution.memory * 2**30)
    if memory and not options.shard_rows and not options.chunk_rows:
        shard_rows = rows_that_fit(stage, outputs, shard_rows, per_row, memory)
    chunk_rows = options.chunk_rows or default_chunk_rows(outputs, shard_rows)
    if shard_rows % chunk_rows:
        raise CampaignError(
            f"[store] chunk_rows must divide shard_rows, got {chunk_rows} and {shard_rows}"
            + ("" if options.shard_rows else " (chosen)")
        )
    return shard_rows, chunk_rows


def _largest(offsets: NDArray[np.int64]) -> int:
    largest = 0
    for begin in range(0, len(offsets) - 1, BLOCK):
        largest = max(largest, int(np.diff(offsets[begin : begin + BLOCK + 1]).max(initial=0)))
    return largest
