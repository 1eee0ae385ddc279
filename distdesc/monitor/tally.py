"""What is known of a campaign under way, kept up to date shard by shard."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping
from heapq import heappush, heappushpop, nlargest

import numpy as np
from numpy.typing import NDArray

from distdesc.monitor.cells import CELLS, DONE, FAILED, QUARANTINED, WAITING, shard_map
from distdesc.monitor.facts import (
    CampaignFacts,
    Problem,
    ShardCounts,
    ShardTime,
    WorkerFacts,
)
from distdesc.monitor.forecast import Rest, time_left
from distdesc.monitor.pace import Pace
from distdesc.monitor.stage_tally import StageTally, work_seconds
from distdesc.store.receipts import Receipt

SLOWEST = 8
"""Shards that are shown as slow."""

PROBLEMS = 50
"""Problems that are remembered, the latest."""


class Tally:
    """
    A campaign under way; adding a shard takes the same time however many there are.

    Parameters
    ----------
    digest : str
        Of the campaign.
    store : str
        Its store.
    question : str
        The campaign's question.
    structures : int
        Of the source.
    stages : iterable of StageTally
        In the order in which they run.
    """

    def __init__(
        self, digest: str, store: str, question: str, structures: int, stages: Iterable[StageTally]
    ) -> None:
        self.digest, self.store, self.question = digest, store, question
        self.structures = structures
        self.stages = {stage.stage: stage for stage in stages}
        self.state = "running"
        self.quarantined: set[int] = set()
        self.problems: deque[Problem] = deque(maxlen=PROBLEMS)
        self._slowest: list[tuple[float, str, int, int, str]] = []
        self.pace = Pace(time.time())
        self.ended: float | None = None

    def begin(self, now: float) -> None:
        """
        Note that a run begins, or goes on.

        Parameters
        ----------
        now : float
            Unix time.
        """
        self.state, self.pace, self.ended = "running", Pace(now), None

    def end(self, now: float) -> None:
        """
        Note that the run ends, complete or not; rates are those until then.

        Parameters
        ----------
        now : float
            Unix time.
        """
        over = all(s.n_left == 0 and not s.by_state[FAILED] for s in self.stages.values())
        self.state = "complete" if self.is_complete else "share done" if over else "stopped"
        self.ended = now

    def expect(self, missing: Mapping[str, NDArray[np.int64]]) -> None:
        """
        Leave the shards that are not named to other clients: they are not waited for.

        Parameters
        ----------
        missing : mapping of str to ndarray of int64
            Shards that this run computes, by stage.
        """
        for stage, shards in missing.items():
            if stage in self.stages:
                self.stages[stage].expect(shards)

    @property
    def is_complete(self) -> bool:
        """Whether all shards are done."""
        return all(
            s.by_state[DONE] + s.by_state[QUARANTINED] == len(s.states)
            for s in self.stages.values()
        )

    def add(self, receipt: Receipt, at: float | None = None) -> None:
        """
        Note that a shard is done; what was known is not counted twice.

        Parameters
        ----------
        receipt : Receipt
            Of any attempt.
        at : float, optional
            Unix time at which this run did it; None if an earlier one had.
        """
        stage = self.stages.get(receipt.stage)
        if stage is None or not stage.add(receipt):
            return
        rows, total = receipt.rows[1] - receipt.rows[0], work_seconds(receipt)
        slow = (total, receipt.stage, receipt.shard, rows, worker_of(receipt))
        if len(self._slowest) < SLOWEST:
            heappush(self._slowest, slow)
        else:
            heappushpop(self._slowest, slow)
        for structure, reason in receipt.quarantined:
            if structure not in self.quarantined:
                self.quarantined.add(structure)
                self.note("quarantined", receipt.stage, receipt.shard, reason, receipt.finished,
                          structure)  # fmt: skip
        if at is not None:
            cost = float(stage.costs[receipt.shard])
            self.pace.add(at, receipt.structures, rows, total, receipt.stage, cost)

    def fail(self, stage: str, shard: int, reason: str, at: float) -> None:
        """
        Note that a shard was given up.

        Parameters
        ----------
        stage : str
            Name of the stage.
        shard : int
            Number of the shard.
        reason : str
            The last error.
        at : float
            Unix time.
        """
        if stage in self.stages:
            self.stages[stage].fail(shard)
        self.note("failed", stage, shard, reason, at)

    def note(
        self,
        kind: str,
        stage: str,
        shard: int,
        reason: str,
        at: float,
        structure: int | None = None,
    ) -> None:
        """
        Remember a problem, see `Problem`.

        Parameters
        ----------
        kind, stage, shard, reason, at, structure
            As there.
        """
        self.problems.appendleft(Problem(at, kind, stage, shard, structure, reason))

    def facts(
        self,
        now: float,
        running: Iterable[ShardTime] = (),
        workers: Iterable[WorkerFacts] = (),
    ) -> CampaignFacts:
        """
        The campaign as it stands.

        Parameters
        ----------
        now : float
            Unix time.
        running : iterable of ShardTime
            Shards under way.
        workers : iterable of WorkerFacts
            The workers.
        """
        live = [r for r in running if r.stage in self.stages and self._is_open(r)]
        by_stage = {name: [r.shard for r in live if r.stage == name] for name in self.stages}
        stages = tuple(s.facts(by_stage[name]) for name, s in self.stages.items())
        until = now if self.ended is None else self.ended
        rate_now, parallel_now = self.pace.lately(until)
        rate_run, parallel = self.pace.overall(until)
        rests = [Rest(k, s.n_left, s.cost_left, s.times) for k, s in self.stages.items()]
        under_way = sum(r.seconds for r in live)
        going_on = self.state == "running"
        slopes = {name: s.times.slope for name, s in self.stages.items()}
        slowness = self.pace.slowness(until, slopes)
        left = time_left(rests, under_way, parallel, parallel_now, slowness)
        return CampaignFacts(
            digest=self.digest,
            store=self.store,
            question=self.question,
            state=self.state,
            began=self.pace.began,
            now=now,
            structures=self.structures,
            shards=_total(s.shards for s in stages),
            rows=sum(s.rows for s in stages),
            rows_done=sum(s.rows_done for s in stages),
            structures_done=sum(s.structures_done for s in stages),
            quarantined_structures=len(self.quarantined),
            rate_now=rate_now,
            rate_run=rate_run,
            time_left=left if going_on else None,
            stages=stages,
            maps=tuple(
                shard_map(name, s.states, by_stage[name], self._cells(s))
                for name, s in self.stages.items()
            ),
            slowest=self._slow(live),
            problems=tuple(self.problems),
            workers=tuple(sorted(workers, key=lambda w: w.name)),
            history=self.pace.history(until),
        )

    def _is_open(self, running: ShardTime) -> bool:
        states = self.stages[running.stage].states
        return 0 <= running.shard < len(states) and states[running.shard] in (WAITING, FAILED)

    def _cells(self, stage: StageTally) -> int:
        """Cells for a stage: by its part of all shards, but some for the smallest."""
        shards = sum(len(s.states) for s in self.stages.values())
        return max(1, CELLS * len(stage.states) // max(1, shards))

    def _slow(self, live: list[ShardTime]) -> tuple[ShardTime, ...]:
        over = [ShardTime(st, k, s, rows, who, True) for s, st, k, rows, who in self._slowest]
        return tuple(nlargest(SLOWEST, [*over, *live], key=lambda t: t.seconds))


def worker_of(receipt: Receipt) -> str:
    """
    Host and process that did a shard.

    Parameters
    ----------
    receipt : Receipt
        Of the shard.
    """
    return f"{receipt.where.get('host', '?')}:{receipt.where.get('pid', '?')}"


def _total(counts: Iterable[ShardCounts]) -> ShardCounts:
    every = list(counts)
    names = ("done", "running", "waiting", "failed", "quarantined", "total")
    return ShardCounts(**{n: sum(getattr(c, n) for c in every) for n in names})
