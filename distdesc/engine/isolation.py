"""
Computes a shard in a process of its own, and names the structures that kill it.

A worker may compute anything but what kills it; so a shard that killed its worker is computed
again by a child of the worker, which may die. If it does, another child computes the structures
one by one and posts the one it is at: when that one kills a fresh child too, with nothing before
it, it is set aside with its reason, and the rest of the shard is computed.
"""

from __future__ import annotations

import logging
import time

from distdesc.engine.child_process import Bounds, Work, run_child
from distdesc.engine.executors.executor import CrashError
from distdesc.engine.plan import Task
from distdesc.place import Place
from distdesc.store.receipts import Receipt, read_receipt

log = logging.getLogger(__name__)

CHANCES = 2
"""Children that may die, but not at a structure, before the shard is given up."""


def run_isolated(
    path: Place,
    digest: str,
    wanted: dict[str, str],
    bounds: Bounds,
    fit: tuple[int, str] | None,
    task: Task,
) -> Receipt:
    """
    Make sure that a shard, or a part of a fit, is done, without dying of its structures.

    Parameters
    ----------
    path : Place
        The store.
    digest : str
        Of the campaign.
    wanted : dict of str to str
        Versions that the client runs with.
    bounds : Bounds
        What a child may use.
    fit : tuple of int and str, or None
        Number of the pass and digest of its basis, for a part of a fit.
    task : Task
        Which shard or part.

    Returns
    -------
    Receipt
        Its `crashed` are the structures that were set aside.

    Raises
    ------
    CrashError
        If the shard kills its process although none of its structures does so alone.
    DistdescError
        What `run_task` raises.
    """
    before = read_receipt(path, task.stage, task.shard)
    if before is not None:
        return before
    work = Work(path, digest, wanted, bounds, task, fit)
    if run_child(work, {}) is not None:
        _set_aside(work)
    receipt = read_receipt(path, task.stage, task.shard)
    if receipt is None:
        raise CrashError(f"{task.key} was computed, but its receipt is gone")
    return receipt


def _set_aside(work: Work) -> None:
    """
    Compute without the structures that kill the process that computes them, which are found.

    The structure at which a child died is the first that the next child computes: if it dies
    there again, it was that structure, not what came before it, nor chance.
    """
    crashed: dict[int, str] = {}
    start, stop = work.task.structure_start, work.task.structure_stop
    begun, suspect, chances = time.monotonic(), -1, CHANCES
    while True:
        death = run_child(work, crashed, (start, stop), time.monotonic() - begun)
        if death is None:
            return
        if death.at is None:
            chances -= 1
            if not chances:
                raise CrashError(
                    f"computing {work.task.key} {death.reason}, although {len(crashed)} "
                    f"structures were set aside and none of the others does so alone"
                )
            start = stop if death.probed else start
        elif death.at == suspect:
            crashed[suspect] = f"computing it {death.reason}"
            log.warning("structure %d: %s", suspect, crashed[suspect])
            start = suspect + 1
        else:
            start = suspect = death.at
