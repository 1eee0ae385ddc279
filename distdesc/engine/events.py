"""What happens in a run, as plain data; progress bars and logs are listeners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from distdesc.monitor.tally import Tally
from distdesc.store.fits import Fitted
from distdesc.store.receipts import Receipt
from distdesc.store.written import FitLayout


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
class PassStarted:
    """
    A pass of the fit begins, or goes on.

    Parameters
    ----------
    layout : FitLayout
        Sizes of the fit.
    number : int
        Of the pass, from 0.
    parts_done : int
        Parts that earlier runs completed.
    workers : int
        Worker processes at the start.
    dashboard : str or None
        Address of Dask's dashboard.
    """

    layout: FitLayout
    number: int
    parts_done: int
    workers: int
    dashboard: str | None


@dataclass(frozen=True)
class PartFinished:
    """
    A part of a pass of the fit has its receipt.

    Parameters
    ----------
    receipt : Receipt
        What was done.
    """

    receipt: Receipt


@dataclass(frozen=True)
class FitFinished:
    """
    The projection stands.

    Parameters
    ----------
    fitted : Fitted
        Its record.
    n_components : int
        Numbers kept of a fingerprint.
    """

    fitted: Fitted
    n_components: int


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
    page : str or None
        Address of the page that shows this campaign.
    tunnel : str or None
        Command without which these addresses do not lead there from here, if they take one.
    tally : Tally or None
        What is known of the campaign; kept up to date while it runs.
    """

    store: str
    shards: int
    shards_done: int
    structures: int
    rows: int
    workers: int
    dashboard: str | None
    page: str | None = None
    tunnel: str | None = None
    tally: Tally | None = None


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
class ShardIsolated:
    """
    A shard was computed in a process of its own, because its worker died before.

    Parameters
    ----------
    stage : str
        Name of the stage.
    shard : int
        Number of the shard.
    reason : str
        How the worker died, as far as is known; it may have been another shard's fault.
    """

    stage: str
    shard: int
    reason: str


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


Event = (
    Announced
    | ScanProgressed
    | PassStarted
    | PartFinished
    | FitFinished
    | RunStarted
    | ShardIsolated
    | ShardFinished
    | ShardFailed
)
Listener = Callable[[Event], None]
