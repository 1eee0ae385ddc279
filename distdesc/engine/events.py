"""What happens in a run, as plain data; progress bars and logs are listeners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from distdesc.store.receipts import Receipt


@dataclass(frozen=True)
class Announced:
    """
    Something a person should know, such as what is being waited for.

    Parameters
    ----------
    text : str
        One sentence.
    """

    text: str


@dataclass(frozen=True)
class ScanProgressed:
    """
    Indexing of the source went on.

    Parameters
    ----------
    done, total : int
        Bytes or structures.
    """

    done: int
    total: int


@dataclass(frozen=True)
class RunStarted:
    """
    The plan stands and workers are there.

    Parameters
    ----------
    store : str
        Folder of the store.
    shards : int
        Shards of the plan, all stages.
    shards_done : int
        Shards that earlier runs completed.
    structures : int
        Structures of the source.
    rows : int
        Rows of the plan, all stages.
    workers : int
        Worker processes at the start.
    dashboard : str or None
        Address of Dask's dashboard.
    """

    store: str
    shards: int
    shards_done: int
    structures: int
    rows: int
    workers: int
    dashboard: str | None


@dataclass(frozen=True)
class ShardFinished:
    """
    A shard has its receipt.

    Parameters
    ----------
    receipt : Receipt
        What was done.
    """

    receipt: Receipt


@dataclass(frozen=True)
class ShardFailed:
    """
    All attempts of a shard failed.

    Parameters
    ----------
    stage : str
        Name of the stage.
    shard : int
        Number of the shard.
    reason : str
        Last error.
    """

    stage: str
    shard: int
    reason: str


Event = Announced | ScanProgressed | RunStarted | ShardFinished | ShardFailed
Listener = Callable[[Event], None]
