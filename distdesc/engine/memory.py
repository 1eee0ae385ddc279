"""What a worker needs for a shard: projected before anything runs, and measured."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from distdesc.engine.sizes import array_size
from distdesc.schema import ArraySpec
from distdesc.stages.stage import Stage

PROCESS_BYTES = 300 * 2**20
"""Of a worker before its first task: interpreter, numpy, numba, zarr, ase."""

ATOM_BYTES = 3 * 8 + 4
"""Of one atom read: position and number."""

RECORD_BYTES = 400
"""Of one atom read with all its data."""


def fixed_memory(specs: Iterable[ArraySpec], rows: int, atoms: int) -> int:
    """
    Bytes that a worker needs for a shard, in however many pieces it is computed.

    Parameters
    ----------
    specs : iterable of ArraySpec
        Arrays of the stage.
    rows : int
        Rows of the shard.
    atoms : int
        Atoms of its structures.
    """
    # The rows themselves, the good rows before they are put in place, and what zarr encodes.
    return PROCESS_BYTES + 3 * sum(array_size(s, rows, atoms).of_a_shard for s in specs)


def reading_memory(stage: Stage, atoms: int) -> int:
    """
    Bytes of structures while they are read.

    Parameters
    ----------
    stage : Stage
        Whether it reads records.
    atoms : int
        Of the structures that are read at once.
    """
    return 2 * atoms * atom_bytes(stage)


def atom_bytes(stage: Stage) -> int:
    """
    Bytes of one atom that is read.

    Parameters
    ----------
    stage : Stage
        Whether it reads records.
    """
    return RECORD_BYTES if stage.reads_records else ATOM_BYTES


def rows_that_fit(
    stage: Stage, outputs: tuple[ArraySpec, ...], rows: int, per_row: float, memory: int
) -> int:
    """
    Longest shard, halved as often as it takes, whose rows a worker can hold.

    Parameters
    ----------
    stage : Stage
        The stage.
    outputs : tuple of ArraySpec
        Its arrays.
    rows : int
        Rows of a shard if there were memory enough, a power of two.
    per_row : float
        Atoms that are read for a row.
    memory : int
        Of a worker, in bytes.

    Returns
    -------
    int
        One if no shard fits: the plan is refused when it is to be run.
    """
    while rows > 1:
        fixed = fixed_memory(outputs, rows, round(rows * per_row))
        if fixed + stage.working_memory(1, 1) <= memory:
            break
        rows //= 2
    return rows


def reset_peak() -> None:
    """Count the peak that `peak_rss` gives from here on; on Linux only."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_rss() -> int:
    """Largest resident memory of this process since `reset_peak`, or its start, in bytes."""
    with suppress(OSError):
        # What getrusage(2) says includes the process from which this one was started.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
