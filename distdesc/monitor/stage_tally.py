"""What is known of one stage of a campaign under way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from distdesc.monitor.cells import DONE, FAILED, QUARANTINED, WAITING
from distdesc.monitor.facts import PARTS, ShardCounts, StageFacts
from distdesc.monitor.forecast import ShardTimes
from distdesc.store.receipts import Receipt

PART_OF = {
    "read": "read",
    "neighbours": "neighbours",
    "kernel": "kernel",
    "decode": "kernel",
    "match": "kernel",
    "sketch": "kernel",
    "write": "write",
}
"""Parts of the activities that receipts name; all else is ``other``."""


def work_seconds(receipt: Receipt) -> float:
    """
    Time of a shard without starting up its process, which only the first shards of a worker need.

    Parameters
    ----------
    receipt : Receipt
        Of the shard.
    """
    return max(0.0, receipt.seconds.get("total", 0.0) - receipt.seconds.get("start", 0.0))


def parts(seconds: Mapping[str, float]) -> dict[str, float]:
    """
    Time of a shard by part, see `PARTS`.

    Parameters
    ----------
    seconds : mapping of str to float
        Of a receipt, in s.
    """
    found = dict.fromkeys(PARTS, 0.0)
    for activity, part in PART_OF.items():
        found[part] += seconds.get(activity, 0.0)
    found["other"] = max(0.0, seconds.get("total", 0.0) - sum(found.values()))
    return found


class StageTally:
    """
    Shards of one stage: a few bytes each, and sums.

    Parameters
    ----------
    stage : str
        Its name.
    shard_rows, n_rows : int
        Rows of a shard, and of the stage.
    costs : ndarray, shape (n_shards,)
        What the time of a shard is expected to go with, such as the atoms that it reads.
    """

    def __init__(self, stage: str, shard_rows: int, n_rows: int, costs: NDArray[np.int64]) -> None:
        self.stage, self.shard_rows, self.n_rows = stage, shard_rows, n_rows
        self.costs = np.maximum(costs, 1).astype(np.float32)
        self.states = np.full(len(costs), WAITING, np.uint8)
        self.times = ShardTimes()
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.counts: Counter[str] = Counter()
        self.by_state = Counter({WAITING: len(costs)})
        self.rows = self.structures = 0
        self.n_left = len(costs)
        self.cost_left = float(self.costs.sum(dtype=np.float64))

    def add(self, receipt: Receipt) -> bool:
        """
        Note that a shard is done; False if that was known.

        Parameters
        ----------
        receipt : Receipt
            Of any attempt.
        """
        shard = receipt.shard
        if not self._change(shard, QUARANTINED if receipt.quarantined else DONE):
            return False
        self.times.add(float(self.costs[shard]), work_seconds(receipt))
        for part, value in parts(receipt.seconds).items():
            self.seconds[part] += value
        self.counts.update(receipt.counts)
        self.rows += receipt.rows[1] - receipt.rows[0]
        self.structures += receipt.structures
        return True

    def fail(self, shard: int) -> None:
        """
        Note that a shard was given up.

        Parameters
        ----------
        shard : int
            Its number.
        """
        self._change(shard, FAILED)

    def _change(self, shard: int, state: int) -> bool:
        if not 0 <= shard < len(self.states):
            return False
        before = int(self.states[shard])
        if before in (DONE, QUARANTINED) or before == state:
            return False
        if before == WAITING:
            self.n_left -= 1
            self.cost_left -= float(self.costs[shard])
        self.by_state[before] -= 1
        self.by_state[state] += 1
        self.states[shard] = state
        return True

    def expect(self, shards: NDArray[np.int64]) -> None:
        """
        Leave the other shards to other clients: they are not waited for.

        Parameters
        ----------
        shards : ndarray of int64
            That this run computes.
        """
        self.n_left = len(shards)
        self.cost_left = float(self.costs[shards].sum(dtype=np.float64))

    def rows_of(self, shard: int) -> int:
        """
        Rows of a shard.

        Parameters
        ----------
        shard : int
            Its number.
        """
        return max(0, min(self.shard_rows, self.n_rows - shard * self.shard_rows))

    def shard_counts(self, running: Iterable[int]) -> ShardCounts:
        """
        Shards by state.

        Parameters
        ----------
        running : iterable of int
            Shards that are under way; those that are done are not.
        """
        live = [self.states[k] for k in running if k < len(self.states)]
        waiting = self.by_state[WAITING] - live.count(WAITING)
        failed = self.by_state[FAILED] - live.count(FAILED)
        aside = self.by_state[QUARANTINED]
        done = self.by_state[DONE] + aside
        total = len(self.states)
        return ShardCounts(done, total - done - waiting - failed, waiting, failed, aside, total)

    def facts(self, running: Iterable[int]) -> StageFacts:
        """
        Facts of the stage.

        Parameters
        ----------
        running : iterable of int
            Shards that are under way.
        """
        return StageFacts(
            stage=self.stage,
            shards=self.shard_counts(running),
            rows=self.n_rows,
            rows_done=self.rows,
            ok=self.counts["ok"],
            failed=self.counts["failed"],
            quarantined=self.counts["quarantined"],
            structures_done=self.structures,
            seconds=dict(self.seconds),
            shard_seconds=self.times.seconds / self.times.n if self.times.n else 0.0,
        )
