"""One attempt of one task: read, validate, compute, write, and publish the receipt last."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from distdesc.engine.attempt import Attempt
from distdesc.engine.compute import Computed, compute
from distdesc.engine.pieces import ENDLESS, too_large, touches
from distdesc.engine.plan import Task
from distdesc.engine.reading import NOTHING
from distdesc.engine.stage_run import Arrays
from distdesc.engine.versions import machine
from distdesc.engine.workspace import StageWork, Workspace
from distdesc.place import Place
from distdesc.schema import RowKind, Status
from distdesc.stopwatch import Stopwatch
from distdesc.store.agreement import check_agreement
from distdesc.store.receipts import Receipt, commit, read_receipt
from distdesc.store.rows import digest_rows

log = logging.getLogger(__name__)

Written = tuple[dict[str, tuple[int, str]], dict[str, str]]
"""Of a shard: size and digest of each object, and digest of the values of each array."""


def run_task(
    path: Place,
    digest: str,
    wanted: dict[str, str],
    task: Task,
    crashed: Mapping[int, str] = NOTHING,
    memory: int = ENDLESS,
) -> Receipt:
    """
    Make sure that a shard is done; safe to repeat, anywhere, at the same time.

    Parameters
    ----------
    path : Place
        The store.
    digest : str
        Of the campaign.
    wanted : dict of str to str
        Versions that the client runs with.
    task : Task
        Which shard of which stage.
    crashed : mapping of int to str
        Structures that killed the process that computed them, and how; they are not touched.
    memory : int
        That a worker has, in bytes: what does not fit is computed in pieces, and a structure that
        does not fit alone is set aside.

    Returns
    -------
    Receipt
        Of this attempt, or of the one that came first.

    Raises
    ------
    DistdescError
        If the store, the source or the versions are not what the campaign was planned with.
    """
    log.debug("%s tried", task.key)
    before = read_receipt(path, task.stage, task.shard)
    if before is not None:
        return before
    log.debug("%s begun", task.key)
    attempt = Attempt(path, digest, task)
    clock = attempt.clock
    with clock("start"):
        workspace = attempt.workspace(wanted)
    work = workspace.work[task.stage]
    counts = workspace.index.atom_counts[task.structure_start : task.structure_stop]
    untouched = {**too_large(work, task, counts, memory), **crashed}
    found = compute(workspace, work, task, untouched, clock, memory)
    with clock("write"):
        written = _write(path, work, task, found)
    if isinstance(written, Receipt):
        log.debug("%s done, after another attempt: not written", task.key)
        return written
    receipt = _receipt(attempt, work, found, untouched, written)
    won = commit(path, receipt, work.measured)
    how = "done" if won else "done, after another attempt"
    log.debug("%s %s: %d rows in %.3f s", task.key, how, len(found.status), clock.seconds["total"])
    return receipt


def recompute(workspace: Workspace, task: Task, crashed: Mapping[int, str] = NOTHING) -> Arrays:
    """
    Arrays of a shard computed anew and not written, to compare with what is stored.

    Parameters
    ----------
    workspace : Workspace
        Of the store.
    task : Task
        Which shard.
    crashed : mapping of int to str
        Structures that must not be touched, and why.

    Returns
    -------
    dict of str to ndarray
        Outputs and status column, as `run_task` would write them.
    """
    work = workspace.work[task.stage]
    found = compute(workspace, work, task, crashed, Stopwatch())
    return {**found.arrays, work.layout.status_name: found.status}


def _outcomes(found: Computed) -> dict[str, int]:
    """Rows by outcome."""
    told = [status for status in Status if status is not Status.PENDING]
    return {status.name.lower(): int((found.status == status).sum()) for status in told}


def _home_structures(work: StageWork, task: Task) -> int:
    """Structures that begin in this shard: over all shards they add up to all structures."""
    begun_before = (
        work.stage.row_kind is RowKind.ENVIRONMENT
        and task.structure_stop > task.structure_start
        and task.first_row < task.row_start
    )
    return task.structure_stop - task.structure_start - begun_before


def _write(path: Place, work: StageWork, task: Task, found: Computed) -> Written | Receipt:
    """Write a shard, unless another attempt was done before: then its receipt."""
    every = {**found.arrays, work.layout.status_name: found.status}
    digests = {name: digest_rows(values) for name, values in every.items()}
    first = read_receipt(path, task.stage, task.shard)
    if first is not None:
        host = str(machine()["host"])
        check_agreement(first, digests, work.measured, host, work.projection)
        return first
    return work.writer.write_shard(task.shard, every), digests


def _receipt(
    attempt: Attempt,
    work: StageWork,
    found: Computed,
    untouched: Collection[int],
    written: Written,
) -> Receipt:
    task, (objects, digests) = attempt.task, written
    return attempt.receipt(
        structures=_home_structures(work, task),
        counts=_outcomes(found),
        problems=found.problems,
        untouched=[k for k in untouched if touches(task, k)],
        digests=digests,
        objects=objects,
        projection=work.projection,
    )
