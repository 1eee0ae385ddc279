"""A log for machines: a line of JSON for every shard of a run, and for every event."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from distdesc.engine.events import (
    Announced,
    Event,
    FitFinished,
    PartFinished,
    PassStarted,
    RunStarted,
    ShardFailed,
    ShardFinished,
    ShardIsolated,
)
from distdesc.monitor.stage_tally import parts
from distdesc.monitor.tally import worker_of
from distdesc.store.receipts import Receipt


class JsonLog:
    """
    Listener that writes a log; a context manager.

    Every line is an object with ``time`` (Unix) and ``event``, and is in the file when the next
    event comes, so that other programs can follow it.

    Parameters
    ----------
    file : pathlib.Path
        Added to, if it is there.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._stream: TextIO | None = None
        self._attempts: dict[tuple[str, int], int] = {}

    def __enter__(self) -> JsonLog:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self.file.open("a", encoding="utf-8")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write how it ended, and close the file."""
        if error is None:
            self._write("ended", outcome="complete")
        else:
            self._write("ended", outcome="stopped", error=f"{type(error).__name__}: {error}")
        if self._stream is not None:
            self._stream.close()

    def __call__(self, event: Event) -> None:
        """
        Write an event.

        Parameters
        ----------
        event : Event
            What happened.
        """
        match event:
            case Announced(text):
                self._write("announced", text=text)
            case PassStarted(layout, number, parts_done, workers):
                self._write(
                    "pass_started", number=number, parts=layout.parts, parts_done=parts_done,
                    workers=workers,
                )  # fmt: skip
            case FitFinished(fitted):
                self._write("fitted", environments=fitted.environments)
            case RunStarted():
                self._begin(event)
            case ShardIsolated(stage, shard, reason):
                self._attempts[stage, shard] = 2
                self._write("isolated", stage=stage, shard=shard, reason=reason)
            case ShardFailed(stage, shard, reason):
                self._write("failed", stage=stage, shard=shard, reason=reason)
            case ShardFinished(receipt):
                self._write("shard", **self._shard(receipt))
            case PartFinished(receipt):
                self._write("part", **self._shard(receipt))

    def _begin(self, event: RunStarted) -> None:
        self._write(
            "run_started",
            store=event.store,
            campaign=None if event.tally is None else event.tally.digest,
            shards=event.shards,
            shards_done=event.shards_done,
            structures=event.structures,
            rows=event.rows,
            workers=event.workers,
            dashboard=event.dashboard,
            page=event.page,
            tunnel=event.tunnel,
        )

    def _shard(self, receipt: Receipt) -> dict[str, Any]:
        seconds = {**parts(receipt.seconds), "total": receipt.seconds.get("total", 0.0)}
        return {
            "stage": receipt.stage,
            "shard": receipt.shard,
            "rows": receipt.rows[1] - receipt.rows[0],
            "structures": receipt.structures,
            "counts": receipt.counts,
            "seconds": {k: round(v, 6) for k, v in seconds.items()},
            "worker": worker_of(receipt),
            "attempt": self._attempts.pop((receipt.stage, receipt.shard), 1),
            "quarantined": [{"structure": k, "reason": v} for k, v in receipt.quarantined],
            "peak_rss": receipt.where.get("peak_rss"),
            "finished": receipt.finished,
        }

    def _write(self, event: str, **facts: Any) -> None:
        if self._stream is not None:
            self._stream.write(json.dumps({"time": time.time(), "event": event, **facts}) + "\n")
            self._stream.flush()
