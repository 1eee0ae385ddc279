"""A stage run on a batch: which rows are whose, and which structures it cannot compute."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.engine.plan import Task
from distdesc.errors import DistdescError, StructureError
from distdesc.schema import RowKind
from distdesc.stages.stage import Stage
from distdesc.stopwatch import Stopwatch
from distdesc.structures.source import Structures

log = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]
"""What a stage computes, by name."""


def rows_of_structures(stage: Stage, task: Task, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """
    Rows of the shard that each structure owns that the task reads.

    Parameters
    ----------
    stage : Stage
        For its kind of rows.
    task : Task
        The shard.
    offsets : ndarray, shape (n_structures + 1,), int64
        Atoms before each structure, counted from the first that the task reads.

    Returns
    -------
    ndarray, shape (n_structures, 3), int64
        Start and stop, counted from the beginning of the shard, and how many atoms of the
        structure belong to an earlier shard.
    """
    if stage.row_kind is RowKind.STRUCTURE:
        start = np.arange(len(offsets) - 1, dtype=np.int64)
        return np.stack([start, start + 1, np.zeros_like(start)], axis=1)
    edges = offsets + (task.first_row - task.row_start)
    mine = np.clip(edges, 0, task.row_stop - task.row_start)
    return np.stack([mine[:-1], mine[1:], (mine - edges)[:-1]], axis=1)


def run_good(
    stage: Stage,
    batch: Structures,
    rows: NDArray[np.int64],
    problems: dict[int, str],
    clock: Stopwatch,
) -> tuple[list[tuple[NDArray[np.int64], Arrays]], list[int]]:
    """
    Run the stage on the structures without problems.

    A `StructureError` quarantines the structures it names and the rest is run again. Any other
    error of the stage is pinned down by halving the batch until one structure is left: that one
    has failed, and the campaign goes on.

    Parameters
    ----------
    stage : Stage
        The stage.
    batch : Structures
        What the task reads.
    rows : ndarray, shape (n_structures, 3), int64
        See `rows_of_structures`.
    problems : dict of int to str
        Structures set aside and why, by position in the batch; grows by what is found.
    clock : Stopwatch
        Told what the time is spent on.

    Returns
    -------
    parts : list of tuple of ndarray and dict
        Positions in the batch and outputs of the structures that were computed, in order.
    crashed : list of int
        Positions of the structures whose error was not expected.
    """
    good = np.ones(len(batch), dtype=bool)
    good[list(problems)] = False
    pending = [np.flatnonzero(good)]
    crashed: list[int] = []
    parts: list[tuple[NDArray[np.int64], Arrays]] = []
    while pending:
        keep = pending.pop()
        if not len(keep):
            continue
        part = batch if len(keep) == len(batch) else batch.take(keep)
        first, last = _row_range(stage, part, rows, keep)
        try:
            parts.append((keep, stage.run(part, first, last, clock)))
        except StructureError as error:
            problems.update({int(keep[k]): reason for k, reason in error.reasons.items()})
            pending.append(np.delete(keep, list(error.reasons)))
        except (DistdescError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 (recorded as the structure's reason)
            if len(keep) > 1:
                pending += [keep[len(keep) // 2 :], keep[: len(keep) // 2]]
                continue
            crashed.append(int(keep[0]))
            problems[crashed[-1]] = f"{type(error).__name__}: {error}"
            log.warning("structure %d: %s", batch.indices[keep[0]], problems[crashed[-1]])
    return sorted(parts, key=lambda part: int(part[0][0])), crashed


def _row_range(
    stage: Stage, part: Structures, rows: NDArray[np.int64], keep: NDArray[np.int64]
) -> tuple[int, int]:
    """Rows of a batch of good structures that belong to this shard."""
    if stage.row_kind is RowKind.STRUCTURE:
        return 0, len(part)
    first = int(rows[keep[0], 2])
    return first, first + int((rows[keep, 1] - rows[keep, 0]).sum())
