"""A campaign followed from its store alone, by its receipts: no connection to anything."""

from __future__ import annotations

from collections.abc import Iterable

from distdesc.errors import StoreError
from distdesc.monitor.facts import CampaignFacts, WorkerFacts
from distdesc.monitor.opening import tally_of
from distdesc.monitor.stage_tally import work_seconds
from distdesc.monitor.tally import worker_of
from distdesc.place import Place
from distdesc.store.lock import is_lock
from distdesc.store.receipts import Receipt, done_shards, read_receipts
from distdesc.store.storage import names
from distdesc.store.written import read_plan

GAP = 120.0
"""Seconds between two receipts, at least, that mean that nobody worked on it in between."""

LONG = 4.0
"""Times the longest shard that such a gap must have lasted, too."""


class StoreWatch:
    """
    What is known of a store; every look reads only the receipts that are new.

    Parameters
    ----------
    path : Place
        The store.

    Raises
    ------
    StoreError
        If it is not a distdesc store.
    """

    def __init__(self, path: Place) -> None:
        self.path = path
        self.tally = tally_of(path, read_plan(path))
        self._seen: dict[str, set[int]] = {stage: set() for stage in self.tally.stages}
        self._last = 0.0
        self._longest = 0.0
        self._workers: dict[str, Receipt] = {}

    def look(self, now: float) -> CampaignFacts:
        """
        Facts as the store has them now.

        A run counts from the last long pause between receipts. What shards are under way, and
        how much memory workers have, no receipt tells: that of a worker is its largest so far.

        Parameters
        ----------
        now : float
            Unix time.
        """
        fresh = sorted(self._fresh(), key=lambda r: r.finished)
        if fresh and not self._last:
            self.tally.begin(self._begin(fresh))
            self._last = self.tally.pace.began
        for receipt in fresh:
            self._note(receipt)
        pause = self._pause()
        quiet = bool(self._last) and now - self._last > pause
        if self.tally.is_complete or quiet or not self._is_held():
            self.tally.end(self._last or now)
            if not self.tally.is_complete and self._is_held():
                self.tally.state = "silent"
        active = [r for r in self._workers.values() if now - r.finished < pause]
        return self.tally.facts(now, (), self._of_workers(active))

    def _fresh(self) -> list[Receipt]:
        found: list[Receipt] = []
        for stage, seen in self._seen.items():
            new = sorted(done_shards(self.path, stage) - seen)
            for shard, receipt in zip(new, read_receipts(self.path, stage, new), strict=True):
                if receipt is None or isinstance(receipt, StoreError):
                    continue  # withdrawn since, or damaged: `verify` says which
                seen.add(shard)
                found.append(receipt)
        return found

    def _begin(self, receipts: list[Receipt]) -> float:
        """When the first shard after the last long pause was begun."""
        pause = max(GAP, LONG * max(work_seconds(r) for r in receipts))
        begin = 0
        for k in range(1, len(receipts)):
            if receipts[k].finished - receipts[k - 1].finished > pause:
                begin = k
        return min(r.finished - r.seconds.get("total", 0.0) for r in receipts[begin:])

    def _note(self, receipt: Receipt) -> None:
        if self.tally.state != "running" or receipt.finished - self._last > self._pause():
            self.tally.begin(receipt.finished - receipt.seconds.get("total", 0.0))
        self._last = max(self._last, receipt.finished)
        self._longest = max(self._longest, work_seconds(receipt))
        self._workers[worker_of(receipt)] = receipt
        lately = receipt.finished >= self.tally.pace.began
        self.tally.add(receipt, receipt.finished if lately else None)

    def _is_held(self) -> bool:
        """Whether a client works on the store, or died without a word."""
        return any(is_lock(name) for name in names(self.path / "run"))

    def _pause(self) -> float:
        return max(GAP, LONG * self._longest)

    def _of_workers(self, receipts: Iterable[Receipt]) -> list[WorkerFacts]:
        return [
            WorkerFacts(worker_of(r), int(r.where.get("peak_rss", 0)), 0, "", 0.0) for r in receipts
        ]
