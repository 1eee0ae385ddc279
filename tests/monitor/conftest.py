"""Receipts and tallies made up for the tests of what is shown of a run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from distdesc.monitor.stage_tally import StageTally
from distdesc.monitor.tally import Tally
from distdesc.store.receipts import Receipt

ROWS = 100


def receipt_of(
    shard: int,
    seconds: float = 2.0,
    stage: str = "fingerprint",
    quarantined: tuple[tuple[int, str], ...] = (),
    finished: float = 1000.0,
) -> Receipt:
    return Receipt(
        campaign="abc",
        stage=stage,
        shard=shard,
        rows=(shard * ROWS, (shard + 1) * ROWS),
        structures=10,
        counts={"ok": ROWS - len(quarantined), "failed": 0, "quarantined": len(quarantined)},
        quarantined=list(quarantined),
        digests={"fingerprint": "d" * 32},
        objects={"fingerprint": (1, "e" * 32)},
        seconds={
            "start": 1.0,
            "read": 0.25 * seconds,
            "kernel": 0.5 * seconds,
            "write": 0.125 * seconds,
            "total": 1.0 + seconds,
        },
        where={"host": "here", "pid": 7, "peak_rss": 2**28, "versions": {"numpy": "2"}},
        finished=finished,
    )


@pytest.fixture
def make_receipt() -> Callable[..., Receipt]:
    return receipt_of


@pytest.fixture
def make_tally() -> Callable[..., Tally]:
    def build(n: int = 20, *more: tuple[str, int]) -> Tally:
        stages = [
            StageTally(name, ROWS, k * ROWS, np.full(k, 50))
            for name, k in (("fingerprint", n), *more)
        ]
        tally = Tally("abc", "/data/run.zarr", "What?", 10 * n, stages)
        tally.begin(1000.0)
        return tally

    return build
