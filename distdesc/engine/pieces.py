"""A shard in pieces that fit the memory of a worker, and structures that do not fit it alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from distdesc.engine.memory import fixed_memory, reading_memory
from distdesc.engine.plan import Task, structures_of_rows
from distdesc.engine.workspace import StageWork
from distdesc.schema import RowKind
from distdesc.stages.stage import Stage

GIB = 2**30

ENDLESS = 2**63
"""Memory of a worker without limit."""


def too_large(
    work: StageWork, task: Task, counts: NDArray[np.int32], memory: int
) -> dict[int, str]:
    """
    Structures of a shard that a worker could not compute even alone, and why.

    Parameters
    ----------
    work : StageWork
        The stage.
    task : Task
        The shard.
    counts : ndarray, shape (n_structures,), int32
        Atoms of each structure that the task reads.
    memory : int
        That a worker may use, in bytes.

    Returns
    -------
    dict of int to str
        Reason, by position in the source.
    """
    own = _fixed(work, task, counts)
    reasons: dict[int, str] = {}
    for size in np.unique(counts)[::-1].tolist():
        needed = own + _needed(work.stage, 1, size, size)
        if needed <= memory:
            break
        for k in np.flatnonzero(counts == size).tolist():
            reasons[task.structure_start + k] = (
                f"{size} atoms: needs about {needed / GIB:.2f} GiB of memory, "
                f"a worker may use {memory / GIB:.2f} GiB"
            )
    return reasons


def pieces(
    work: StageWork,
    task: Task,
    counts: NDArray[np.int32],
    without: Collection[int],
    memory: int,
) -> list[Task]:
    """
    Cut a shard into ranges of rows that a worker can compute one after the other.

    A shard that fits as it is, is one piece; one that does not is halved, at the border of a
    structure if there is one, until its pieces fit or are single rows.

    Parameters
    ----------
    work : StageWork
        The stage.
    task : Task
        The shard.
    counts : ndarray, shape (n_structures,), int32
        Atoms of each structure that the task reads.
    without : collection of int
        Structures that are not computed, whatever their size.
    memory : int
        That a worker may use, in bytes.

    Returns
    -------
    list of Task
        The same shard, in order; each row is in one, and each structure in one at least.
    """
    computed = counts.copy()
    skipped = [k - task.structure_start for k in without if touches(task, k)]
    computed[skipped] = 0
    left = memory - _fixed(work, task, counts)
    return list(_halved(work.stage, task, counts, computed, left))


def touches(task: Task, structure: int) -> bool:
    """
    Whether a task reads a structure.

    Parameters
    ----------
    task : Task
        The task.
    structure : int
        Position in the source.
    """
    return task.structure_start <= structure < task.structure_stop


def _halved(
    stage: Stage, task: Task, counts: NDArray[np.int32], computed: NDArray[np.int32], left: int
) -> Iterator[Task]:
    rows = task.row_stop - task.row_start
    total, largest = int(computed.sum(dtype=np.int64)), int(computed.max(initial=0))
    if rows <= 1 or _needed(stage, rows, total, largest) <= left:
        yield task
        return
    offsets = task.first_row + np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    by_structure = stage.row_kind is RowKind.STRUCTURE
    edges = task.row_start + np.arange(len(counts) + 1) if by_structure else offsets
    middle = _border(edges, task.row_start, task.row_stop)
    ranges = np.array([[task.row_start, middle], [middle, task.row_stop]])
    for (start, stop), a, b in zip(ranges, *structures_of_rows(edges, *ranges.T), strict=True):
        half = replace(
            task,
            row_start=int(start),
            row_stop=int(stop),
            structure_start=task.structure_start + int(a),
            structure_stop=task.structure_start + int(b),
            first_row=int(offsets[a]),
        )
        yield from _halved(stage, half, counts[a:b], computed[a:b], left)


def _border(edges: NDArray[np.int64], start: int, stop: int) -> int:
    """Border of two structures nearest to the middle of some rows; the middle if there is none."""
    middle = (start + stop) // 2
    inner = edges[(edges > start) & (edges < stop)]
    return int(inner[np.abs(inner - middle).argmin()]) if len(inner) else middle


def _fixed(work: StageWork, task: Task, counts: NDArray[np.int32]) -> int:
    """Bytes that a shard takes however it is cut."""
    rows = task.row_stop - task.row_start
    return fixed_memory(work.writer.specs.values(), rows, int(counts.sum(dtype=np.int64)))


def _needed(stage: Stage, rows: int, atoms: int, largest: int) -> int:
    return reading_memory(stage, atoms) + stage.working_memory(rows, largest)
