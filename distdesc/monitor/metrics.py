"""Prometheus: metrics of campaigns on the scheduler's endpoint, and of shards on the workers'."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from distdesc.monitor.facts import PARTS, CampaignFacts
from distdesc.monitor.stage_tally import parts
from distdesc.store.receipts import Receipt

if TYPE_CHECKING:
    from distdesc.monitor.board import Board

BUCKETS = (0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1800, 3600)
"""Upper bounds of the times of shards, in s."""

LABELS = ("campaign", "stage")


class CampaignCollector:
    """
    Facts of the latest campaign of a board, whenever Prometheus asks.

    Parameters
    ----------
    board : Board
        Of the scheduler of this process.
    """

    def __init__(self, board: Board) -> None:
        self.board = board

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client: the metrics as they are now."""
        facts = [f for d in self.board.tallies if (f := self.board.facts(d)) is not None]
        yield from _by_stage(facts)
        yield from _of_campaigns(facts)

    def describe(self) -> list[Metric]:
        """See prometheus_client: nothing, so that registering does not collect."""
        return []


def publish(board: Board) -> None:
    """
    Serve the facts of a board in the metrics of this process.

    Parameters
    ----------
    board : Board
        Of the scheduler.
    """
    withdraw(board)
    collector = CampaignCollector(board)
    _published()[id(board)] = collector
    REGISTRY.register(collector)


def withdraw(board: Board) -> None:
    """
    Take back what `publish` did, if it did.

    Parameters
    ----------
    board : Board
        Of the scheduler.
    """
    collector = _published().pop(id(board), None)
    if collector is not None:
        REGISTRY.unregister(collector)


def observe(receipt: Receipt) -> None:
    """
    Count a shard in the metrics of the worker that did it.

    Parameters
    ----------
    receipt : Receipt
        Of the shard.
    """
    metrics = _worker_metrics()
    stage = receipt.stage
    metrics.shards.labels(stage).observe(receipt.seconds.get("total", 0.0))
    metrics.structures.labels(stage).inc(receipt.structures)
    metrics.rows.labels(stage).inc(receipt.rows[1] - receipt.rows[0])
    metrics.quarantined.labels(stage).inc(len(receipt.quarantined))
    for part, seconds in parts(receipt.seconds).items():
        metrics.seconds.labels(stage, part).inc(seconds)
    metrics.peak.set(receipt.where.get("peak_rss", 0))


def _by_stage(facts: list[CampaignFacts]) -> Iterator[Metric]:
    shards = GaugeMetricFamily("distdesc_shards", "Shards by state", labels=[*LABELS, "state"])
    rows = GaugeMetricFamily("distdesc_rows", "Rows of the plan", labels=LABELS)
    done = CounterMetricFamily("distdesc_rows_done", "Rows with a receipt", labels=LABELS)
    structures = CounterMetricFamily(
        "distdesc_structures_done", "Structures that begin in shards with a receipt", labels=LABELS
    )
    seconds = CounterMetricFamily(
        "distdesc_shard_seconds", "Worker time by part", labels=[*LABELS, "part"]
    )
    for f in facts:
        for s in f.stages:
            for state in ("done", "running", "waiting", "failed", "quarantined"):
                shards.add_metric([f.digest, s.stage, state], getattr(s.shards, state))
            rows.add_metric([f.digest, s.stage], s.rows)
            done.add_metric([f.digest, s.stage], s.rows_done)
            structures.add_metric([f.digest, s.stage], s.structures_done)
            for part in PARTS:
                seconds.add_metric([f.digest, s.stage, part], s.seconds[part])
    yield from (shards, rows, done, structures, seconds)


def _of_campaigns(facts: list[CampaignFacts]) -> Iterator[Metric]:
    aside = GaugeMetricFamily(
        "distdesc_quarantined_structures", "Structures set aside", labels=["campaign"]
    )
    rate = GaugeMetricFamily(
        "distdesc_structures_per_second", "Structures done per second, lately", labels=["campaign"]
    )
    left = GaugeMetricFamily(
        "distdesc_time_left_seconds", "Expected time left, and its bounds",
        labels=["campaign", "bound"],
    )  # fmt: skip
    running = GaugeMetricFamily(
        "distdesc_running", "1 while a client works on the campaign", labels=["campaign"]
    )
    for f in facts:
        aside.add_metric([f.digest], f.quarantined_structures)
        rate.add_metric([f.digest], f.rate_now.structures if f.state == "running" else 0.0)
        running.add_metric([f.digest], float(f.state == "running"))
        if f.time_left is not None:
            t = f.time_left
            for bound, value in (("low", t.low), ("expected", t.seconds), ("high", t.high)):
                left.add_metric([f.digest, bound], value)
    yield from (aside, rate, left, running)


class WorkerMetrics:
    """Metrics of a worker process, registered once."""

    def __init__(self) -> None:
        self.shards = Histogram(
            "distdesc_worker_shard_duration_seconds", "Time of a shard on this worker", ["stage"],
            buckets=BUCKETS,
        )  # fmt: skip
        self.structures = Counter(
            "distdesc_worker_structures", "Structures that this worker did", ["stage"]
        )
        self.rows = Counter("distdesc_worker_rows", "Rows that this worker did", ["stage"])
        self.quarantined = Counter(
            "distdesc_worker_quarantined", "Structures that this worker set aside", ["stage"]
        )
        self.seconds = Counter(
            "distdesc_worker_seconds", "Time of this worker by part", ["stage", "part"]
        )
        self.peak = Gauge("distdesc_worker_peak_rss_bytes", "Largest resident memory so far")


@cache
def _worker_metrics() -> WorkerMetrics:
    return WorkerMetrics()


@cache
def _published() -> dict[int, CampaignCollector]:
    return {}
