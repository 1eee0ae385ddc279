"""Read and compute a shard, piece by piece if need be, and put every row in its place."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.engine.pieces import ENDLESS, pieces, touches
from distdesc.engine.plan import Task
from distdesc.engine.reading import problems_of, read_structures
from distdesc.engine.workspace import StageWork, Workspace
from distdesc.errors import DistdescError, StructureError
from distdesc.schema import ArraySpec, RowKind, Status
from distdesc.stages.stage import Stage
from distdesc.stopwatch import Stopwatch
from distdesc.structures.source import Structures

log = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]


@dataclass
class Computed:
    """
    Rows of a shard, in the order in which its pieces are computed.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Each output, fill values where there is nothing; those that are ragged at the end.
    status : ndarray, shape (n_rows,), int8
        See `Status`.
    problems : dict of int to str
        Structures set aside and why, by position in the source.
    """

    arrays: Arrays
    status: NDArray[np.int8]
    problems: dict[int, str] = field(default_factory=dict)


def compute(
    workspace: Workspace,
    work: StageWork,
    task: Task,
    without: Mapping[int, str],
    clock: Stopwatch,
    memory: int = ENDLESS,
) -> Computed:
    """
    Read, validate and compute all rows of a shard, in as many pieces as it takes to fit a worker.

    Parameters
    ----------
    workspace : Workspace
        Of the store.
    work : StageWork
        The stage.
    task : Task
        The shard.
    without : mapping of int to str
        Structures that must not be touched, and why.
    clock : Stopwatch
        Told what the time is spent on.
    memory : int
        Of a worker, in bytes.

    Raises
    ------
    DistdescError
        If the source cannot be read, or has changed.
    """
    n_rows = task.row_stop - task.row_start
    found = Computed({}, np.full(n_rows, Status.QUARANTINED, dtype=np.int8), {})
    counts = np.array(workspace.index.atom_counts[task.structure_start : task.structure_stop])
    failed: set[int] = set()
    ragged: list[Arrays] = []
    for piece in pieces(work, task, counts, without, memory):
        with clock("read"):
            batch = read_structures(
                workspace, piece.structure_start, piece.structure_stop,
                work.stage.reads_records, without,
            )  # fmt: skip
        with clock("validate"):
            problems = problems_of(workspace, work.stage, batch)
        begin = piece.structure_start
        problems.update({k - begin: v for k, v in found.problems.items() if touches(piece, k)})
        rows = rows_of_structures(work.stage, piece, batch.offsets)
        parts, crashed = run_good(work.stage, batch, rows, problems, clock)
        rows[:, :2] += piece.row_start - task.row_start
        ragged += _put(work, found, parts, rows)
        found.problems.update({begin + k: reason for k, reason in problems.items()})
        failed.update(begin + k for k in crashed)
    for spec in work.stage.outputs():
        if not spec.ragged:
            found.arrays.setdefault(spec.name, _empty(work, spec.name, n_rows))
    _join(work, found, ragged)
    _set_aside(work, task, found, counts, failed)
    for spec in work.stage.outputs():
        if spec.ragged:
            entries = found.arrays[spec.ragged.count]
            before = np.cumsum(entries, dtype=np.int64) - entries
            found.arrays[spec.ragged.first] = task.shard * work.layout.capacity + before
    return found


def _put(
    work: StageWork,
    found: Computed,
    parts: list[tuple[NDArray[np.int64], Arrays]],
    rows: NDArray[np.int64],
) -> list[Arrays]:
    """Put the rows of a piece in their place; what is ragged is given back, in order."""
    n_rows = len(found.status)
    for keep, outputs in parts:
        place = _place(rows, keep)
        found.status[place] = Status.OK
        whole = isinstance(place, slice) and place == slice(0, n_rows)
        for spec in work.stage.outputs():
            if spec.ragged:
                continue
            if whole:
                found.arrays[spec.name] = outputs[spec.name].astype(_dtype(spec), copy=False)
            else:
                if spec.name not in found.arrays:
                    found.arrays[spec.name] = _empty(work, spec.name, n_rows)
                found.arrays[spec.name][place] = outputs[spec.name]
    ragged = [spec.name for spec in work.stage.outputs() if spec.ragged]
    return [{name: outputs[name] for name in ragged} for _, outputs in parts]


def _join(work: StageWork, found: Computed, parts: list[Arrays]) -> None:
    """Put the ragged outputs of all pieces one after the other."""
    for spec in work.stage.outputs():
        if spec.ragged:
            values = [outputs.pop(spec.name) for outputs in parts]
            nothing = np.empty((0, *spec.shape), dtype=np.dtype(spec.dtype))
            joined = values[0] if len(values) == 1 else np.concatenate([nothing, *values])
            found.arrays[spec.name] = joined


def _set_aside(
    work: StageWork,
    task: Task,
    found: Computed,
    counts: NDArray[np.int32],
    failed: Collection[int],
) -> None:
    """
    Set the status of the structures that were set aside.

    Of a structure in two pieces, the rows of the first were computed if only the second showed
    the problem; they are emptied, so that nothing depends on the pieces.
    """
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    rows = rows_of_structures(work.stage, task, offsets)
    computed = found.status == Status.OK
    for k in found.problems:
        place = slice(*rows[k - task.structure_start, :2])
        found.status[place] = Status.FAILED if k in failed else Status.QUARANTINED
    left = found.status == Status.OK
    if np.array_equal(left, computed):
        return
    outputs = work.stage.outputs()
    for spec in outputs:
        if spec.ragged:
            kept = np.repeat(left, found.arrays[spec.ragged.count])
            found.arrays[spec.name] = found.arrays[spec.name][kept]
    for spec in outputs:
        if not spec.ragged:
            found.arrays[spec.name][computed & ~left] = spec.fill


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
