"""
What it costs that nothing is lost: syncing rows to disk, processes of their own, and resuming.

    python benchmarks/durability.py [--copies 40] [--repeats 3] [--folder /on/that/disk]

featurises the molecules of `jobs/data` repeatedly, in one process, with order-7 moment invariants:
about the fastest that there is, so that what is written takes the largest part of the time. It
prints, as ratios of medians of alternating runs: a run that syncs every object before its
receipt, to one that does not, and its part spent in writing; a run whose every shard is computed
in a process of its own, to one in one process, with what such a process costs; and what looking
at the objects of a shard that is done adds to reading its receipt.
"""

from __future__ import annotations

import argparse
import lzma
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from distdesc.campaign import Campaign
from distdesc.engine.ledger import Ledger
from distdesc.engine.missing import missing_shards
from distdesc.engine.run import run, stage_plans
from distdesc.store.receipts import iter_receipts
from distdesc.store.written import read_plan

SAMPLE = Path(__file__).resolve().parent.parent / "jobs" / "data" / "qm9_sample.xyz.xz"


def campaign(source: Path, store: Path, **execution: Any) -> Campaign:
    store_options = {k: execution.pop(k) for k in ("sync", "shard_rows") if k in execution}
    return Campaign.from_dict(
        {
            "question": "What does durability cost?",
            "source": {"name": "extxyz", "path": str(source)},
            "descriptor": {"name": "moment_invariants", "order": 7, "cutoff": 5.0,
                           "elements": ["H", "C", "N", "O", "F"]},
            "stage": [{"name": "fingerprint"}],
            "store": {"path": str(store), **store_options},
            "execution": {"executor": "serial", **execution},
        }
    )  # fmt: skip


def timed(campaign: Campaign) -> tuple[float, float, int]:
    """Wall time of a run, the part of it spent in writing, shards."""
    shutil.rmtree(campaign.path, ignore_errors=True)
    begun = time.perf_counter()
    run(campaign)
    seconds = time.perf_counter() - begun
    receipts = list(iter_receipts(campaign.path, "fingerprint"))
    return seconds, sum(r.seconds["write"] for r in receipts) / seconds, len(receipts)


def compared(first: Campaign, second: Campaign, repeats: int) -> list[tuple[float, float, int]]:
    """Medians of both, in turns, so that what else the machine does strikes both."""
    runs = [(timed(first), timed(second)) for _ in range(repeats)]
    return [
        (
            statistics.median(r[k][0] for r in runs),
            statistics.median(r[k][1] for r in runs),
            runs[0][k][2],
        )
        for k in (0, 1)
    ]


def resuming(path: Path) -> tuple[float, float]:
    """Microseconds a shard: to read its receipt, and to look at its objects too."""
    plan = read_plan(path)
    plans = stage_plans(path, plan)
    n = sum(p.layout.n_shards for p in plans)
    looks, reads = [], []
    for _ in range(20):
        begun = time.perf_counter()
        missing_shards(path, plan.digest, plans, Ledger(0), lambda event: None)
        looks.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        for layout in plan.layouts:
            list(iter_receipts(path, layout.stage))
        reads.append(time.perf_counter() - begun)
    return statistics.median(reads) / n * 1e6, statistics.median(looks) / n * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--copies", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        source = Path(folder) / "molecules.xyz"
        with lzma.open(SAMPLE) as sample:
            source.write_bytes(sample.read() * options.copies)
        store = Path(folder) / "run.zarr"
        timed(campaign(source, store))
        on, off = compared(
            campaign(source, store), campaign(source, store, sync=False), options.repeats
        )
        print(f"{on[2]} shards; synced to not synced: {on[0] / off[0]:.3f}")
        print(f"part of the time spent in writing: {on[1]:.1%}, without syncing {off[1]:.1%}")
        print(f"syncing costs {(on[0] - off[0]) / on[2] * 1e3:.0f} ms a shard")
        read, looked = resuming(store)
        print(f"resuming: {read:.0f} µs a shard to read its receipt, {looked:.0f} with its objects")
        few = max(512, read_plan(store).layouts[0].n_rows // 4)
        alone, together = compared(
            campaign(source, store, isolation="always", shard_rows=few),
            campaign(source, store, shard_rows=few),
            options.repeats,
        )
        print(f"every shard in a process of its own: {alone[0] / together[0]:.2f} times as long, "
              f"{(alone[0] - together[0]) / alone[2]:.2f} s a shard")  # fmt: skip


if __name__ == "__main__":
    main()
