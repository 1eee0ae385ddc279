"""
A process of its own for one shard: posts the structure it is at, so that its death names it.

Asked to probe, it first computes some structures one by one, and posts each before it is touched.

Started by `child_process` as ``python -m distdesc.engine.child FD``, with a job as JSON on standard
input; posts lines of JSON to the file descriptor. Nothing is pickled.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from distdesc.engine.pieces import too_large
from distdesc.engine.plan import Task
from distdesc.engine.reading import problems_of, read_structures
from distdesc.engine.sample import unreduced
from distdesc.engine.sketching import plan_of, sketch_part
from distdesc.engine.stage_run import rows_of_structures, run_good
from distdesc.engine.task import run_task
from distdesc.engine.workspace import Workspace, open_workspace
from distdesc.errors import DistdescError
from distdesc.place import place
from distdesc.stages.stage import Stage
from distdesc.stopwatch import Stopwatch
from distdesc.store.fits import TABLE

READY, AT, PROBED, ERROR, DONE = "ready", "at", "probed", "error", "done"
"""Keys of what is posted."""

PR_SET_PDEATHSIG = 1
"""Of prctl(2)."""


def main() -> None:
    """Do the job on standard input; the parent reads how it went."""
    _die_with_parent()
    post = partial(_post, int(sys.argv[1]))
    job = json.load(sys.stdin)
    try:
        _work(job, post)
    except (DistdescError, MemoryError, OSError) as error:
        number = error.errno if isinstance(error, OSError) else None
        post(error=[type(error).__name__, str(error), number])


def _post(descriptor: int, **what: Any) -> None:
    os.write(descriptor, json.dumps(what).encode() + b"\n")


def _work(job: dict[str, Any], post: Callable[..., None]) -> None:
    path, task = place(job["path"]), Task(**job["task"])
    workspace = open_workspace(path, job["digest"], reduced=job["fit"] is None)
    if job["fit"] is None:
        stage, pieces = workspace.work[task.stage].stage, [task]
    else:
        stage, pieces = unreduced(workspace.campaign), _runs(workspace, task)
        stage.warm_up()
    crashed = {int(k): str(reason) for k, reason in job["crashed"].items()}
    post(ready=True)
    if job["probe"] is not None:
        untouched = {*crashed, *_too_large(workspace, task, job)}
        for piece in pieces:
            for k in range(*_overlap(piece, *job["probe"])):
                if k not in untouched:
                    post(at=k)
                    _compute_alone(workspace, stage, piece, k)
        post(probed=True)
    if job["fit"] is None:
        run_task(path, job["digest"], job["versions"], task, crashed, job["memory"])
    else:
        number, basis = job["fit"]
        sketch_part(path, job["digest"], job["versions"], number, basis, task, crashed)
    post(done=True)


def _too_large(workspace: Workspace, task: Task, job: dict[str, Any]) -> dict[int, str]:
    if job["fit"] is not None:
        return {}
    counts = workspace.index.atom_counts[task.structure_start : task.structure_stop]
    return too_large(workspace.work[task.stage], task, counts, job["memory"])


def _runs(workspace: Workspace, part: Task) -> list[Task]:
    """Runs of rows that a part of a pass of the fit consists of, each as a task."""
    runs = plan_of(workspace.plan, workspace.path).runs(part.shard)
    return [Task(TABLE, 0, *(int(v) for v in run)) for run in runs]


def _overlap(piece: Task, start: int, stop: int) -> tuple[int, int]:
    return max(piece.structure_start, start), min(piece.structure_stop, stop)


def _compute_alone(workspace: Workspace, stage: Stage, piece: Task, k: int) -> None:
    """Read, validate and compute the rows of one structure; the result is not kept."""
    counts = workspace.index.atom_counts[piece.structure_start : k]
    first_row = piece.first_row + int(counts.sum(dtype="int64"))
    alone = replace(piece, structure_start=k, structure_stop=k + 1, first_row=first_row)
    batch = read_structures(workspace, k, k + 1, stage.reads_records)
    problems = problems_of(workspace, stage, batch)
    run_good(stage, batch, rows_of_structures(stage, alone, batch.offsets), problems, Stopwatch())


def posts(lines: bytes) -> Iterator[tuple[str, Any]]:
    """
    What a process of its own posted.

    Parameters
    ----------
    lines : bytes
        Whole lines.
    """
    for line in lines.splitlines():
        yield from json.loads(line).items()


def _die_with_parent() -> None:
    """Ask Linux to kill this process when the worker dies, which may be killed at any moment."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
