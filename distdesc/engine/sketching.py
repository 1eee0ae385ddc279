"""One attempt of one part of a pass: featurise its rows, sketch them, publish the receipt last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from distdesc.engine.attempt import Attempt
from distdesc.engine.plan import Task
from distdesc.engine.reading import NOTHING, problems_of, read_structures
from distdesc.engine.sample import FitPlan, slice_rows, unreduced
from distdesc.engine.stage_run import rows_of_structures, run_good
from distdesc.engine.workspace import Workspace
from distdesc.errors import StoreError
from distdesc.place import Place
from distdesc.reduction.sketch import Sketch
from distdesc.stopwatch import Stopwatch
from distdesc.store.fits import TABLE, basis_path, read_arrays, sketch_path, write_arrays
from distdesc.store.receipts import Receipt, commit, read_receipt
from distdesc.store.written import WrittenPlan, read_shard_table
from distdesc.structures.source import Structures

SKETCH = "sketch"
"""Name of a part's object in its receipt."""

NEAR = 64
"""Structures between two runs that are read in vain rather than reading twice."""

TOGETHER = 2**15
"""Atoms read at once at the most, unless a single run has more."""

Rows = NDArray[np.float64]


def sketch_part(
    path: Place,
    digest: str,
    wanted: dict[str, str],
    number: int,
    basis_digest: str,
    task: Task,
    crashed: Mapping[int, str] = NOTHING,
) -> Receipt:
    """
    Make sure that a part of a pass is done; safe to repeat, anywhere, at the same time.

    Parameters
    ----------
    path : Place
        The store.
    digest : str
        Of the campaign.
    wanted : dict of str to str
        Versions that the client runs with.
    number : int
        Of the pass.
    basis_digest : str
        XXH3-128 of the file of its basis.
    task : Task
        Which part.
    crashed : mapping of int to str
        Structures that killed the process that computed them, and how; they are not touched.

    Returns
    -------
    Receipt
        Of this attempt, or of the one that came first; its counts are of environments.

    Raises
    ------
    DistdescError
        If the store, the source or the versions are not what the campaign was planned with.
    """
    before = read_receipt(path, task.stage, task.shard)
    if before is not None:
        return before
    attempt = Attempt(path, digest, task)
    with attempt.clock("start"):
        workspace = attempt.workspace(wanted, reduced=False)
        basis = _basis(basis_path(path, number), basis_digest)
    runs = plan_of(workspace.plan, path).runs(task.shard)
    sketch, problems = _sketch(workspace, runs, basis, crashed, attempt.clock)
    with attempt.clock("write"):
        stored = _write(sketch_path(path, number, task.shard), sketch)
    receipt = attempt.receipt(
        structures=0,
        counts={"ok": sketch.n, "quarantined": int((runs[:, 1] - runs[:, 0]).sum()) - sketch.n},
        problems=problems,
        untouched=crashed,
        digests={"basis": basis_digest, SKETCH: stored[1]},
        objects={SKETCH: stored},
    )
    commit(path, receipt)
    return receipt


def _sketch(
    workspace: Workspace,
    runs: NDArray[np.int64],
    basis: NDArray[np.float64],
    crashed: Mapping[int, str],
    clock: Stopwatch,
) -> tuple[Sketch, dict[int, str]]:
    """Sums over the usable rows of some runs, and the structures set aside."""
    problems = dict(crashed)
    sketch = Sketch.nothing(basis)
    usable = _usable_rows(workspace, runs, problems, clock)
    for rows in in_slices(usable, slice_rows(len(basis))):
        with clock("sketch"):
            sketch = sketch.merged(Sketch.of(rows, basis), basis)
    return sketch, problems


def _write(file: Place, sketch: Sketch) -> tuple[int, str]:
    """Size and digest of what is written; `read_sketch` takes it back."""
    arrays = {
        "n": np.array(sketch.n), "mean": sketch.mean,
        "spread": np.array(sketch.spread), "product": sketch.product,
    }  # fmt: skip
    return write_arrays(file, arrays)


def read_sketch(path: Place, number: int, receipt: Receipt) -> Sketch:
    """
    What a part of a pass found.

    Parameters
    ----------
    path : Place
        The store.
    number : int
        Of the pass.
    receipt : Receipt
        Of the part.

    Raises
    ------
    StoreError
        If it is missing or damaged.
    """
    file = sketch_path(path, number, receipt.shard)
    found, _ = read_arrays(file, receipt.objects[SKETCH][1])
    return Sketch(int(found["n"]), found["mean"], float(found["spread"]), found["product"])


def plan_of(plan: WrittenPlan, path: Place) -> FitPlan:
    """
    Plan of the fit of a store that was begun.

    Parameters
    ----------
    plan : WrittenPlan
        Of the store.
    path : Place
        The store.

    Raises
    ------
    StoreError
        If the store has no fit.
    """
    if plan.fit is None:
        raise StoreError(f"{path} is of a campaign without [reduction]")
    return FitPlan(plan.fit, read_shard_table(path, TABLE))


@lru_cache(maxsize=2)
def _basis(file: Place, digest: str) -> NDArray[np.float64]:
    """Read a basis once per process."""
    return read_arrays(file, digest)[0]["basis"]


def in_slices(pieces: Iterable[Rows], length: int) -> Iterator[Rows]:
    """
    Rows in slices of equal length, but the last, however they came.

    So a part has the same sums wherever and however often it is computed.

    Parameters
    ----------
    pieces : iterable of ndarray, shape (n, n_features), float64
        Rows, in order.
    length : int
        Of a slice.

    Yields
    ------
    ndarray, shape (length, n_features), float64
        The same rows; the last slice may be shorter, but is not empty.
    """
    waiting: list[Rows] = []
    n = 0
    for rows in pieces:
        waiting.append(rows)
        n += len(rows)
        if n >= length:
            joined = np.concatenate(waiting)
            whole = n // length * length
            for start in range(0, whole, length):
                yield joined[start : start + length]
            waiting, n = [joined[whole:]], n - whole
    if n:
        yield np.concatenate(waiting)


def _usable_rows(
    workspace: Workspace, runs: NDArray[np.int64], problems: dict[int, str], clock: Stopwatch
) -> Iterator[Rows]:
    """
    Fingerprints of all usable rows of some runs; the structures set aside are noted.

    Those that are noted already are not touched.
    """
    for run, batch, found in _batches(workspace, runs, dict(problems), clock):
        yield from _fingerprints(workspace, run, batch, found, clock)
        problems.update({int(batch.indices[k]): reason for k, reason in found.items()})


def _batches(
    workspace: Workspace, runs: NDArray[np.int64], without: Mapping[int, str], clock: Stopwatch
) -> Iterator[tuple[NDArray[np.int64], Structures, dict[int, str]]]:
    """
    Structures of each run, and why some of them cannot be used.

    What lies close together is read and validated at once.
    """
    stage = unreduced(workspace.campaign)
    begin = 0
    while begin < len(runs):
        end, last = _end_of_group(runs, begin, workspace.index.atom_counts)
        first = int(runs[begin, 2])
        with clock("read"):
            batch = read_structures(workspace, first, last, stage.reads_records, without)
        with clock("validate"):
            problems = problems_of(workspace, stage, batch)
        for run in runs[begin:end]:
            keep = np.arange(run[2] - first, run[3] - first)
            found = {j: problems[k] for j, k in enumerate(keep.tolist()) if k in problems}
            yield run, batch.take(keep), found
        begin = end


def _end_of_group(
    runs: NDArray[np.int64], begin: int, atom_counts: NDArray[np.int32]
) -> tuple[int, int]:
    """First run that is not read together with run `begin`, and the end of what is read."""
    first, last = int(runs[begin, 2]), int(runs[begin, 3])
    end = begin + 1
    while end < len(runs):
        stop = int(runs[end, 3])
        if stop > last:
            atoms = int(atom_counts[first:stop].sum())
            if runs[end, 2] - last > NEAR or atoms > TOGETHER:
                break
        last = stop
        end += 1
    return end, last


def _fingerprints(
    workspace: Workspace,
    run: NDArray[np.int64],
    batch: Structures,
    problems: dict[int, str],
    clock: Stopwatch,
) -> list[Rows]:
    """Fingerprints of the usable structures of one run; further problems are noted."""
    row_start, row_stop, first, last, first_row = (int(k) for k in run)
    stage = unreduced(workspace.campaign)
    task = Task(TABLE, 0, row_start, row_stop, first, last, first_row)
    owned = rows_of_structures(stage, task, batch.offsets)
    parts, _ = run_good(stage, batch, owned, problems, clock)
    return [outputs["fingerprint"] for _, outputs in parts]
