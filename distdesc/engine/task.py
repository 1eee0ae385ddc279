"""One attempt of one task: read, validate, compute, write, and publish the receipt last."""

from __future__ import annotations

import logging
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.engine.plan import Task
from distdesc.engine.versions import machine, versions
from distdesc.engine.workspace import StageWork, Workspace, open_workspace
from distdesc.errors import DistdescError, SourceError, StructureError
from distdesc.schema import ArraySpec, RowKind, Status
from distdesc.stages.stage import Stage
from distdesc.stopwatch import Stopwatch
from distdesc.store.receipts import Receipt, commit, read_receipt
from distdesc.store.rows import digest_rows
from distdesc.structures.source import Structures
from distdesc.structures.validate import find_problems

log = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]


def run_task(path: Path, digest: str, task: Task) -> Receipt:
    """
    Make sure that a shard is done; safe to repeat, anywhere, at the same time.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the store.
    digest : str
        Of the campaign.
    task : Task
        Which shard of which stage.

    Returns
    -------
    Receipt
        Of this attempt, or of the one that came first.

    Raises
    ------
    DistdescError
        If the store, the source or the versions are not what the campaign was planned with.
    """
    before = read_receipt(path, task.stage, task.shard)
    if before is not None and before.campaign == digest:
        return before
    started = time.perf_counter()
    clock = Stopwatch()
    with clock("start"):
        workspace = open_workspace(path, digest)
    with clock("read"):
        batch = _read(workspace, task)
    work = workspace.work[task.stage]
    with clock("validate"):
        problems = _problems(workspace, work.stage, batch)
    arrays, status = _compute(work, task, batch, problems, clock)
    with clock("write"):
        objects, digests = _write(work, task, arrays, status)
    counts = {s.name.lower(): int((status == s).sum()) for s in Status if s is not Status.PENDING}
    clock.seconds["total"] = time.perf_counter() - started
    receipt = Receipt(
        campaign=digest,
        stage=task.stage,
        shard=task.shard,
        rows=(task.row_start, task.row_stop),
        structures=_home_structures(work, task),
        counts=counts,
        quarantined=[(int(batch.indices[k]), v) for k, v in sorted(problems.items())],
        digests=digests,
        objects=objects,
        seconds={k: round(v, 6) for k, v in clock.seconds.items()},
        where={**machine(), "versions": versions(), "peak_rss": peak_rss()},
        finished=time.time(),
    )
    commit(path, receipt)
    log.debug("%s: %d rows in %.3f s", task.key, len(status), clock.seconds["total"])
    return receipt


def peak_rss() -> int:
    """Largest resident memory of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def recompute(workspace: Workspace, task: Task) -> Arrays:
    """
    Arrays of a shard computed anew and not written, to compare with what is stored.

    Parameters
    ----------
    workspace : Workspace
        Of the store.
    task : Task
        Which shard.

    Returns
    -------
    dict of str to ndarray
        Outputs and status column, as `run_task` would write them.
    """
    work = workspace.work[task.stage]
    batch = _read(workspace, task)
    problems = _problems(workspace, work.stage, batch)
    arrays, status = _compute(work, task, batch, problems, Stopwatch())
    return {**arrays, work.layout.status_name: status}


def _read(workspace: Workspace, task: Task) -> Structures:
    start, stop = task.structure_start, task.structure_stop
    records = workspace.work[task.stage].stage.reads_records
    batch = workspace.campaign.source.read(workspace.index, start, stop, records=records)
    if not np.array_equal(np.diff(batch.offsets), workspace.index.atom_counts[start:stop]):
        raise SourceError(
            f"structures {start} to {stop} of the source do not have the atoms that its index "
            f"says; it changed after it was indexed"
        )
    return batch


def _problems(workspace: Workspace, stage: Stage, batch: Structures) -> dict[int, str]:
    descriptor = workspace.campaign.descriptor
    if not stage.validates or descriptor is None:
        return dict(batch.problems)
    return find_problems(
        batch, workspace.campaign.limits, descriptor.accepted_numbers, descriptor.cutoff
    )


def _home_structures(work: StageWork, task: Task) -> int:
    """Structures that begin in this shard: over all shards they add up to all structures."""
    begun_before = (
        work.stage.row_kind is RowKind.ENVIRONMENT
        and task.structure_stop > task.structure_start
        and task.first_row < task.row_start
    )
    return task.structure_stop - task.structure_start - begun_before


def _compute(
    work: StageWork, task: Task, batch: Structures, problems: dict[int, str], clock: Stopwatch
) -> tuple[Arrays, NDArray[np.int8]]:
    """Outputs of all rows of the shard and their status; `problems` grows by what is found."""
    rows = _rows_of_structures(work, task, batch)
    parts = _run_good(work.stage, batch, rows, problems, clock)
    n_rows = task.row_stop - task.row_start
    status = np.full(n_rows, Status.QUARANTINED, dtype=np.int8)
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
    if work.layout.capacity:
        arrays.update(_ragged(work, task, parts, arrays["n_atoms"]))
    return arrays, status


def _rows_of_structures(work: StageWork, task: Task, batch: Structures) -> NDArray[np.int64]:
    """
    Rows of the shard that each structure of the batch owns, shape (n, 3).

    Start and stop, counted from the beginning of the shard, and how many atoms of the
    structure belong to an earlier shard.
    """
    if work.stage.row_kind is RowKind.STRUCTURE:
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


def _run_good(
    stage: Stage,
    batch: Structures,
    rows: NDArray[np.int64],
    problems: dict[int, str],
    clock: Stopwatch,
) -> list[tuple[NDArray[np.int64], Arrays]]:
    """
    Run the stage on the structures without problems.

    A `StructureError` quarantines the structures it names and the rest is run again. Any other
    error of the stage is pinned down by halving the batch until one structure is left: that one
    is quarantined, and the campaign goes on.
    """
    bad = np.zeros(len(batch), dtype=bool)
    bad[list(problems)] = True
    owned = (rows[:, 1] > rows[:, 0]) if len(rows) else bad
    pending = [np.flatnonzero(~bad & owned)]
    parts: list[tuple[NDArray[np.int64], Arrays]] = []
    while pending:
        keep = pending.pop()
        if not len(keep):
            continue
        good = batch if len(keep) == len(batch) else batch.take(keep)
        first, last = _row_range(stage, good, rows, keep)
        try:
            parts.append((keep, stage.run(good, first, last, clock)))
        except StructureError as error:
            for k, reason in error.reasons.items():
                problems[int(keep[k])] = reason
            pending.append(np.delete(keep, list(error.reasons)))
        except (DistdescError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 (recorded as the structure's reason)
            if len(keep) == 1:
                problems[int(keep[0])] = f"{type(error).__name__}: {error}"
                log.warning("structure %d: %s", batch.indices[keep[0]], problems[int(keep[0])])
            else:
                pending += [keep[len(keep) // 2 :], keep[: len(keep) // 2]]
    return sorted(parts, key=lambda part: int(part[0][0]))


def _row_range(
    stage: Stage, good: Structures, rows: NDArray[np.int64], keep: NDArray[np.int64]
) -> tuple[int, int]:
    """Rows of a batch of good structures that belong to this shard."""
    if stage.row_kind is RowKind.STRUCTURE:
        return 0, len(good)
    first = int(rows[keep[0], 2])
    return first, first + int((rows[keep, 1] - rows[keep, 0]).sum())


def _ragged(
    work: StageWork,
    task: Task,
    parts: list[tuple[NDArray[np.int64], Arrays]],
    n_atoms: NDArray[np.int32],
) -> Arrays:
    """Ragged outputs of the shard one after the other, and where each structure begins."""
    slot = task.shard * work.layout.capacity
    arrays: Arrays = {"first_atom": slot + np.cumsum(n_atoms, dtype=np.int64) - n_atoms}
    for spec in work.stage.outputs():
        if spec.ragged:
            flat = [outputs[spec.name] for _, outputs in parts]
            nothing = np.empty((0, *spec.shape), dtype=np.dtype(spec.dtype))
            arrays[spec.name] = np.concatenate(flat) if flat else nothing
    return arrays


def _write(
    work: StageWork, task: Task, arrays: Arrays, status: NDArray[np.int8]
) -> tuple[dict[str, tuple[int, str]], dict[str, str]]:
    objects, digests = {}, {}
    for name, values in {**arrays, work.layout.status_name: status}.items():
        stored = work.writer.write(name, task.shard, values)
        if stored is not None:
            objects[name] = stored
        digests[name] = digest_rows(values)
    return objects, digests
