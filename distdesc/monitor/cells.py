"""A map of shards that stays small however many there are."""

from __future__ import annotations

from collections.abc import Collection
from math import ceil

import numpy as np
from numpy.typing import NDArray

from distdesc.monitor.facts import ShardMap

CELLS = 2000
"""Cells of a map at most, all stages together."""

WAITING, DONE, RUNNING, QUARANTINED, FAILED = range(5)

STATES = ("waiting", "done", "running", "quarantined", "failed")
"""Of a shard, and of a cell: the last of them that any of its shards is in."""


def shard_map(
    stage: str, states: NDArray[np.uint8], running: Collection[int], most: int = CELLS
) -> ShardMap:
    """
    Map of the shards of a stage.

    Parameters
    ----------
    stage : str
        Its name.
    states : ndarray, shape (n_shards,), uint8
        See `STATES`; none is running.
    running : collection of int
        Shards that are.
    most : int
        Cells at most.

    Returns
    -------
    ShardMap
        A cell is ``done`` or ``waiting`` by the larger part of it, and otherwise in the state
        that deserves most attention.
    """
    per_cell = max(1, ceil(len(states) / max(1, most)))
    n_cells = ceil(len(states) / per_cell)
    padded = np.full(n_cells * per_cell, WAITING, np.uint8)
    padded[: len(states)] = states
    finished = (padded == DONE) | (padded == QUARANTINED)
    sizes = np.full(n_cells, per_cell)
    if n_cells:
        sizes[-1] = len(states) - (n_cells - 1) * per_cell
    done = finished.reshape(n_cells, per_cell).sum(axis=1) / np.maximum(sizes, 1)
    live = [k for k in running if k < len(states) and states[k] in (WAITING, FAILED)]
    padded[live] = RUNNING
    cells = padded.reshape(n_cells, per_cell).max(axis=1, initial=WAITING)
    cells[(cells == DONE) & (done < 0.5)] = WAITING
    return ShardMap(stage, per_cell, tuple(cells.tolist()), tuple(np.round(done, 3).tolist()))
