"""The facts of a campaign under way, as plain data: what every page and endpoint shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

PARTS = ("read", "neighbours", "kernel", "write", "other")
"""Where the time of a shard goes; `other` is starting up, validation and all else."""


@dataclass(frozen=True)
class ShardCounts:
    """
    Shards by state; the first four add up to the total.

    Parameters
    ----------
    done, running, waiting, failed : int
        With a receipt; on a worker now; neither; given up after all attempts.
    quarantined : int
        Of those done, the ones in which structures were set aside.
    total : int
        Of the plan.
    """

    done: int
    running: int
    waiting: int
    failed: int
    quarantined: int
    total: int


@dataclass(frozen=True)
class Rate:
    """
    Work per second of wall time.

    Parameters
    ----------
    structures, rows : float
        Per second.
    seconds : float
        Wall time that they are an average of.
    """

    structures: float
    rows: float
    seconds: float


@dataclass(frozen=True)
class TimeLeft:
    """
    When the shards are expected to be done.

    Parameters
    ----------
    seconds : float
        From now.
    low, high : float
        Between which it lies in 19 of 20 cases, if the rest is like what was seen.
    without : tuple of str
        Stages that nothing is known of yet, and that come on top.
    """

    seconds: float
    low: float
    high: float
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class StageFacts:
    """
    One stage, or one pass of the fit.

    Parameters
    ----------
    stage : str
        Its name.
    shards : ShardCounts
        Its shards.
    rows, rows_done : int
        Of the plan, and of the shards that are done.
    ok, failed, quarantined : int
        Rows that are done, by outcome.
    structures_done : int
        Structures that begin in the shards that are done.
    seconds : dict of str to float
        Worker time by part, see `PARTS`, in s.
    shard_seconds : float
        Mean worker time of a shard, in s; 0 if none is done.
    """

    stage: str
    shards: ShardCounts
    rows: int
    rows_done: int
    ok: int
    failed: int
    quarantined: int
    structures_done: int
    seconds: dict[str, float]
    shard_seconds: float


@dataclass(frozen=True)
class ShardTime:
    """
    How long a shard took, or is taking.

    Parameters
    ----------
    stage : str
        Name of the stage.
    shard : int
        Number of the shard.
    seconds : float
        Worker time, in s.
    rows : int
        Its rows.
    worker : str
        Host and process that did it.
    done : bool
        False while it is running.
    """

    stage: str
    shard: int
    seconds: float
    rows: int
    worker: str
    done: bool


@dataclass(frozen=True)
class Problem:
    """
    Something that went wrong, and was dealt with or not.

    Parameters
    ----------
    time : float
        Unix time.
    kind : str
        ``"quarantined"``: a structure was set aside; ``"tried again"``: an attempt failed;
        ``"isolated"``: a worker died; ``"failed"``: a shard was given up.
    stage : str
        Name of the stage.
    shard : int
        Number of the shard.
    structure : int or None
        Position in the source, if one is to blame.
    reason : str
        What was wrong with it.
    """

    time: float
    kind: str
    stage: str
    shard: int
    structure: int | None
    reason: str


@dataclass(frozen=True)
class WorkerFacts:
    """
    A worker process.

    Parameters
    ----------
    name : str
        Host and process.
    memory, limit : int
        Resident now, and allowed, in bytes; 0 if not known.
    task : str
        Shard that it computes; empty if none.
    seconds : float
        For how long it has, in s.
    """

    name: str
    memory: int
    limit: int
    task: str
    seconds: float


@dataclass(frozen=True)
class ShardMap:
    """
    The shards of a stage in order, some of them to a cell.

    Parameters
    ----------
    stage : str
        Its name.
    per_cell : int
        Shards of a cell; the last may have fewer.
    states : tuple of int
        Of each cell, the worst that there is in it: see `distdesc.monitor.cells.STATES`.
    done : tuple of float
        Part of each cell that is done.
    """

    stage: str
    per_cell: int
    states: tuple[int, ...]
    done: tuple[float, ...]


@dataclass(frozen=True)
class CampaignFacts:
    """
    A campaign as it stands.

    Parameters
    ----------
    digest : str
        Of the campaign.
    store : str
        Its store.
    question : str
        The campaign's question.
    state : str
        ``"running"``, ``"complete"``, ``"stopped"``; ``"share done"``, if other clients have the
        other shards; or ``"silent"``, if a client has the store but long nothing has come of it.
    began, now : float
        Unix times: when this run was begun, and of these facts.
    structures : int
        Of the source.
    shards : ShardCounts
        Of all stages.
    rows, rows_done : int
        Of all stages.
    structures_done : int
        In the shards that are done, all stages.
    quarantined_structures : int
        Structures set aside.
    rate_now, rate_run : Rate
        Lately, and since this run was begun.
    time_left : TimeLeft or None
        None as long as too little is done to tell, and when all is.
    stages : tuple of StageFacts
        In the order in which they run.
    maps : tuple of ShardMap
        One a stage.
    slowest : tuple of ShardTime
        Slowest first.
    problems : tuple of Problem
        Latest first.
    workers : tuple of WorkerFacts
        By name.
    history : tuple of tuple of float
        Seconds since this run was begun, structures/s and rows/s from then to the next.
    """

    digest: str
    store: str
    question: str
    state: str
    began: float
    now: float
    structures: int
    shards: ShardCounts
    rows: int
    rows_done: int
    structures_done: int
    quarantined_structures: int
    rate_now: Rate
    rate_run: Rate
    time_left: TimeLeft | None
    stages: tuple[StageFacts, ...]
    maps: tuple[ShardMap, ...]
    slowest: tuple[ShardTime, ...]
    problems: tuple[Problem, ...]
    workers: tuple[WorkerFacts, ...]
    history: tuple[tuple[float, float, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible form."""
        return asdict(self)

    @property
    def seconds(self) -> dict[str, float]:
        """Worker time by part, all stages, in s."""
        return {part: sum(s.seconds[part] for s in self.stages) for part in PARTS}
