"""Run a stage on the good structures of a shard and put every row in its place."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.engine.plan import Task
from distdesc.engine.workspace import StageWork
from distdesc.errors import DistdescError, StructureError
from distdesc.schema import ArraySpec, RowKind, Status
from distdesc.stages.stage import Stage
from distdesc.stopwatch import Stopwatch
from distdesc.structures.source import Structures

log = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]


def compute(
    work: StageWork, task: Task, batch: Structures, problems: dict[int, str], clock: Stopwatch
) -> tuple[Arrays, NDArray[np.int8]]:
    """
    Outputs of all rows of a shard and their status.

    Parameters
    ----------
    work : StageWork
        The stage.
    task : Task
        The shard.
    batch : Structures
        What the task reads.
    problems : dict of int to str
        Structures set aside and why, by position in the batch; grows by what is found.
    clock : Stopwatch
        Told what the time is spent on.

    Returns
    -------
    arrays : dict of str to ndarray
        Each output, fill values where there is nothing.
    status : ndarray, shape (n_rows,), int8
        See `Status`.
    """
    rows = rows_of_structures(work.stage, task, batch)
    parts, crashed = run_good(work.stage, batch, rows, problems, clock)
    n_rows = task.row_stop - task.row_start
    status = np.full(n_rows, Status.QUARANTINED, dtype=np.int8)
    for k in crashed:
        status[rows[k, 0] : rows[k, 1]] = Status.FAILED
    arrays: Arrays = {}
    for keep, outputs in parts:
        place = _place(rows, keep)
        status[place] = Status.OK
        for spec in work.stage.outputs():
            if spec.ragged:
                continue
            if isinstance(place, slice) and place == slice(0, n_rows):
                arrays[spec.name] = outputs[spec.name].astype(_dtype(spec), copy=False)
            else:
                target = arrays.setdefault(spec.name, _empty(work, spec.name, n_rows))
                target[place] = outputs[spec.name]
    for spec in work.stage.outputs():
        if not spec.ragged:
            arrays.setdefault(spec.name, _empty(work, spec.name, n_rows))
    arrays.update(_ragged(work, task, parts, arrays))
    return arrays, status


def rows_of_structures(stage: Stage, task: Task, batch: Structures) -> NDArray[np.int64]:
    """
    Rows of the shard that each structure of the batch owns.

    Parameters
    ----------
    stage : Stage
        For its kind of rows.
    task : Task
        The shard.
    batch : Structures
        What the task reads.

    Returns
    -------
    ndarray, shape (n_structures, 3), int64
        Start and stop, counted from the beginning of the shard, and how many atoms of the
        structure belong to an earlier shard.
    """
    if stage.row_kind is RowKind.STRUCTURE:
        start = np.arange(len(batch), dtype=np.int64)
        return np.stack([start, start + 1, np.zeros_like(start)], axis=1)
    edges = batch.offsets + (task.first_row - task.row_start)
    mine = np.clip(edges, 0, task.row_stop - task.row_start)
    return np.stack([mine[:-1], mine[1:], (mine - edges)[:-1]], axis=1)


def _place(rows: NDArray[np.int64], keep: NDArray[np.int64]) -> Any:
    """Index of the rows of some structures: a slice where they are contiguous."""
    start, stop = rows[keep, 0], rows[keep, 1]
    if np.array_equal(start[1:], stop[:-1]):
        return slice(int(start[0]), int(stop[-1]))
    return np.concatenate([np.arange(a, b) for a, b in zip(start, stop, strict=True)])


def _empty(work: StageWork, name: str, n_rows: int) -> NDArray[Any]:
    spec = work.writer.specs[name]
    return np.full((n_rows, *spec.shape), spec.fill, dtype=_dtype(spec))


def _dtype(spec: ArraySpec) -> np.dtype[Any]:
    return np.dtype(object if spec.dtype == "string" else spec.dtype)


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
            for k, reason in error.reasons.items():
                problems[int(keep[k])] = reason
            pending.append(np.delete(keep, list(error.reasons)))
        except (DistdescError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 (recorded as the structure's reason)
            if len(keep) == 1:
                crashed.append(int(keep[0]))
                problems[int(keep[0])] = f"{type(error).__name__}: {error}"
                log.warning("structure %d: %s", batch.indices[keep[0]], problems[int(keep[0])])
            else:
                pending += [keep[len(keep) // 2 :], keep[: len(keep) // 2]]
    return sorted(parts, key=lambda part: int(part[0][0])), crashed


def _row_range(
    stage: Stage, part: Structures, rows: NDArray[np.int64], keep: NDArray[np.int64]
) -> tuple[int, int]:
    """Rows of a batch of good structures that belong to this shard."""
    if stage.row_kind is RowKind.STRUCTURE:
        return 0, len(part)
    first = int(rows[keep[0], 2])
    return first, first + int((rows[keep, 1] - rows[keep, 0]).sum())


def _ragged(
    work: StageWork,
    task: Task,
    parts: list[tuple[NDArray[np.int64], Arrays]],
    columns: Arrays,
) -> Arrays:
    """Ragged outputs of the shard one after the other, and where those of each row begin."""
    slot = task.shard * work.layout.capacity
    arrays: Arrays = {}
    for spec in work.stage.outputs():
        if spec.ragged:
            counts = columns[spec.ragged.count]
            arrays[spec.ragged.first] = slot + np.cumsum(counts, dtype=np.int64) - counts
            flat = [outputs[spec.name] for _, outputs in parts]
            nothing = np.empty((0, *spec.shape), dtype=np.dtype(spec.dtype))
            arrays[spec.name] = flat[0] if len(flat) == 1 else np.concatenate([nothing, *flat])
    return arrays
