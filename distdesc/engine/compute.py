"""Read and compute a shard, piece by piece if need be, and put every row in its place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.engine.pieces import ENDLESS, pieces, touches
from distdesc.engine.plan import Task
from distdesc.engine.reading import problems_of, read_structures
from distdesc.engine.stage_run import Arrays, rows_of_structures, run_good
from distdesc.engine.workspace import StageWork, Workspace
from distdesc.schema import ArraySpec, Status
from distdesc.stages.stage import Stage
from distdesc.stopwatch import Stopwatch
from distdesc.structures.source import Structures


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
        batch, problems = _read(workspace, work.stage, piece, without, clock)
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
    _point_to_entries(work, task, found)
    return found


def _read(
    workspace: Workspace, stage: Stage, piece: Task, without: Mapping[int, str], clock: Stopwatch
) -> tuple[Structures, dict[int, str]]:
    """Structures of a piece, and why some of them cannot be used, by position among them."""
    start, stop = piece.structure_start, piece.structure_stop
    with clock("read"):
        batch = read_structures(workspace, start, stop, stage.reads_records, without)
    with clock("validate"):
        return batch, problems_of(workspace, stage, batch)


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


def _point_to_entries(work: StageWork, task: Task, found: Computed) -> None:
    """Say where the entries of each row begin in the ragged outputs."""
    for spec in work.stage.outputs():
        if spec.ragged:
            entries = found.arrays[spec.ragged.count]
            before = np.cumsum(entries, dtype=np.int64) - entries
            found.arrays[spec.ragged.first] = task.shard * work.layout.capacity + before


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
