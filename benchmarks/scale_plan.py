"""
A campaign over 10^8 structures on a thousand workers, on paper: from what is measured here.

    python benchmarks/scale_plan.py [--sizes 1000000,10000000] [--copies 20] \
        [--workers 1000] [--storage 10] [--scheduler-ms 3] [--client-ms 2.3] [--idle 0.08]

Measured, each in a fresh process: beginning and taking up a store of so many molecules of 20
atoms, whose source is simulated (an index made of random numbers, as large as that of extended XYZ
files; nothing is read), and from these, by the line through them, those of 10^8; indexing a real
file of the molecules of `jobs/data`; and some shards of each of two campaigns, computed, looked at
and read as `verify` does. Given are what tasks cost the scheduler and the client
(`scheduler_load.py`), what the storage can write, and how long a request to a bucket takes. All
else is arithmetic, which is printed. Seconds are CPU time.
"""

from __future__ import annotations

import argparse
import json
import lzma
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from distdesc.campaign import Campaign
from distdesc.engine.ledger import Ledger
from distdesc.engine.memory import peak_rss, reset_peak
from distdesc.engine.missing import missing_shards
from distdesc.engine.prepare import prepare
from distdesc.engine.run import run, stage_plans
from distdesc.engine.soundness import shard_faults
from distdesc.engine.workspace import open_workspace
from distdesc.monitor.opening import tally_of
from distdesc.store.held import HOLD
from distdesc.store.layout import default_shard_rows
from distdesc.store.receipts import iter_receipts, receipt_path
from distdesc.structures import SOURCES
from distdesc.structures.extxyz import ExtxyzFiles
from distdesc.structures.index import FileStamp, SourceIndex

SHARES = 20
"""In which a store is verified at the same time."""

SAMPLE = Path(__file__).resolve().parent.parent / "jobs" / "data" / "qm9_sample.xyz.xz"
STRUCTURES, ATOMS = 10**8, 20
AT_ONCE = 64
"""Requests that are under way at once where many are made, see `store.bucket`."""

MIB = 2**20

ELEMENTS = ["H", "C", "N", "O", "F"]
DESCRIPTORS: dict[str, dict[str, Any]] = {
    "power spectrum": {"name": "power_spectrum", "cutoff": 5.0, "n_max": 5, "l_max": 8,
                       "species": "embedding", "rank": 2, "elements": ELEMENTS},
    "moment invariants": {"name": "moment_invariants", "cutoff": 5.0, "order": 7,
                          "elements": ELEMENTS},
}  # fmt: skip


@dataclass(frozen=True)
class Simulated:
    """Molecules of which there is nothing but an index."""

    structures: int
    seekable = True

    def scan(self, progress: Any = None, scratch: Any = None) -> SourceIndex:
        """Index as large as that of extended XYZ."""
        rng = np.random.default_rng(0)
        counts = rng.integers(ATOMS - 5, ATOMS + 6, self.structures, dtype=np.int32)
        locators = np.empty((self.structures, 4), dtype=np.int64)
        locators[:, 0] = 0
        for k in (1, 2, 3):
            np.cumsum(counts, out=locators[:, k])
        # Any file that stays as it is, so that the source is not read again.
        return SourceIndex(counts, locators, "0" * 32, (FileStamp.of(SAMPLE),))


def campaign(store: Path, source: dict[str, Any], which: str, **options: Any) -> Campaign:
    return Campaign.from_dict(
        {
            "question": "What would 10^8 structures take?",
            "source": source,
            "descriptor": DESCRIPTORS[which],
            "stage": [{"name": "fingerprint", "dtype": "float32"}],
            "store": {"path": str(store), **options},
            "execution": {"executor": "serial"},
        }
    )


def timed(work: Callable[[], Any]) -> tuple[list[float], Any]:
    """CPU seconds of something, and how much memory it took at its peak, in MiB; its result."""
    reset_peak()
    before, begun = peak_rss(), time.process_time()
    result = work()
    return [time.process_time() - begun, (peak_rss() - before) / MIB], result


def weight(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def planned(n: int) -> dict[str, Any]:
    """Begin a store of so many structures that are not there."""
    SOURCES["simulated"] = "__main__:Simulated"
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "run.zarr"
        made = campaign(store, {"name": "simulated", "structures": 1000}, "power spectrum")
        store.mkdir()
        prepare(made, lambda event: None, False)
        store = Path(folder) / "large.zarr"
        store.mkdir()
        made = campaign(store, {"name": "simulated", "structures": n}, "power spectrum")
        scanning, _ = timed(made.source.scan)
        begin, plan = timed(lambda: prepare(made, lambda event: None, False))
        return {
            "plan": [begin[0] - scanning[0], begin[1]],
            "index": weight(store / "run" / "index"),
            "offsets": weight(store / "offsets"),
            "table": weight(store / "run" / "shards") / plan.layouts[0].n_shards,
            "shards": plan.layouts[0].n_shards,
        }


def taken_up(n: int) -> dict[str, Any]:
    """Take up a store of so many structures, and open it as a worker does."""
    SOURCES["simulated"] = "__main__:Simulated"
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "run.zarr"
        store.mkdir()
        made = campaign(store, {"name": "simulated", "structures": n}, "power spectrum")
        plan = prepare(made, lambda event: None, False)

        def again() -> None:
            plan = prepare(made, lambda event: None, False)
            ledger = Ledger(0, tally=tally_of(store, plan))
            missing_shards(store, plan.digest, stage_plans(store, plan), ledger, lambda e: None)

        opening, _ = timed(lambda: open_workspace(store, plan.digest))
        resuming, _ = timed(again)
        return {"resume": resuming, "open": opening}


def indexed(copies: int) -> dict[str, Any]:
    """Index a file of real molecules."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.xyz"
        file.write_bytes(lzma.decompress(SAMPLE.read_bytes()) * copies)
        source = ExtxyzFiles(str(file))
        source.scan()
        spent, index = timed(source.scan)
        return {"seconds": spent[0] / len(index), "bytes": file.stat().st_size / len(index)}


def computed(which: str, copies: int) -> dict[str, Any]:
    """A few shards of a campaign, as long as those of the large one."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.xyz"
        file.write_bytes(lzma.decompress(SAMPLE.read_bytes()) * copies)
        source = {"name": "extxyz", "path": str(file)}
        stage = campaign(Path(folder) / "a.zarr", source, which).stages[0]
        per = default_shard_rows(stage.outputs(), STRUCTURES * ATOMS)
        first, made = (
            campaign(Path(folder) / name, source, which, shard_rows=per)
            for name in ("a.zarr", "b.zarr")
        )
        run(first)
        spent, plan = timed(lambda: run(made))
        receipts = list(iter_receipts(made.path, "fingerprint"))
        stages = stage_plans(made.path, plan)
        checked, faults = timed(
            lambda: [f for _, found in shard_faults(made.path, stages[0], receipts) for f in found]
        )
        assert not faults
        size = sum(n for r in receipts for n, _ in r.objects.values())
        rows = plan.layouts[0].n_rows
        return {
            "features": stage.outputs()[0].shape[0],
            "shard_rows": per,
            "row": spent[0] / rows,
            "row_bytes": size / rows,
            "arrays": len(receipts[0].digests),
            "receipt": receipt_path(made.path, "fingerprint", 0).stat().st_size,
            "verify": checked[0] / size,
            "look": looked_at(folder),
        }


def looked_at(folder: str) -> float:
    """CPU seconds a shard to see that it is done, of many small ones."""
    source = {"name": "extxyz", "path": f"{folder}/x.xyz"}
    made = campaign(Path(folder) / "c.zarr", source, "moment invariants", shard_rows=256)
    plan = run(made)
    plans = stage_plans(made.path, plan)
    looks = [
        timed(lambda: missing_shards(made.path, plan.digest, plans, Ledger(0), lambda e: None))
        for _ in range(3)
    ]
    return min(spent[0] for spent, _ in looks) / plan.layouts[0].n_shards


def apart(*what: Any) -> Any:
    command = [sys.executable, __file__, "--child", *map(str, what)]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out.splitlines()[-1])


def line(sizes: list[int], values: list[float], at: int) -> float:
    """Value at a size, on the line through those of the smallest and the largest measured."""
    if len(sizes) == 1:
        return values[0] / sizes[0] * at
    slope = (values[-1] - values[0]) / (sizes[-1] - sizes[0])
    return values[-1] + slope * (at - sizes[-1])


def print_plan(sizes: list[int], copies: int) -> None:
    """What the client takes for the index and the plan."""
    begun, again = ([apart(mode, n) for n in sizes] for mode in ("planned", "taken_up"))
    for n, b, a in zip(sizes, begun, again, strict=True):
        print(f"{n:.0e} structures, {b['shards']} shards: begin {b['plan'][0]:.1f} s and "
              f"{b['plan'][1]:.0f} MiB; index {b['index'] / n:.1f}, offsets {b['offsets'] / n:.1f} "
              f"bytes a structure, table {b['table']:.0f} bytes a shard; take up "
              f"{a['resume'][0]:.1f} s and {a['resume'][1]:.0f} MiB; a worker opens it in "
              f"{a['open'][0]:.1f} s and {a['open'][1]:.0f} MiB", flush=True)  # fmt: skip
    ends = {"begin": [b["plan"] for b in begun], "take up": [a["resume"] for a in again],
            "a worker opens": [a["open"] for a in again]}  # fmt: skip
    for name, values in ends.items():
        seconds, memory = (line(sizes, [v[k] for v in values], STRUCTURES) for k in (0, 1))
        print(
            f"{STRUCTURES:.0e} structures, by the line: {name} {seconds:.0f} s, "
            f"{memory / 1024:.1f} GiB"
        )
    real = apart("indexed", copies)
    print(f"indexing extended XYZ: {real['seconds'] * 1e6:.1f} µs a structure of "
          f"{real['bytes']:.0f} bytes; {real['seconds'] * STRUCTURES / 60:.0f} min of one core for "
          f"{STRUCTURES:.0e}, {real['bytes'] * STRUCTURES / 1e9:.0f} GB", flush=True)  # fmt: skip


def print_campaign(
    which: str, found: dict[str, Any], given: argparse.Namespace, longer: tuple[int, ...]
) -> None:
    """Arithmetic of one campaign, with shards so many times as long as they are chosen."""
    for times_longer in longer:
        per = found["shard_rows"] * times_longer
        print(f"\n{which}, {per} rows a shard")
        for name, text in arithmetic(found, per, given).items():
            print(f"  {name:24s} {text}")


def arithmetic(found: dict[str, Any], per: int, given: argparse.Namespace) -> dict[str, str]:
    """What a campaign takes with so many rows a shard, with how it is computed."""
    rows, arrays = STRUCTURES * ATOMS, found["arrays"]
    shards, seconds, size = ceil(rows / per), found["row"] * per, found["row_bytes"] * rows
    computing = shards * seconds / given.workers
    writing = size / (given.storage * 1e9)
    lasts = max(computing, writing)
    rate, wait = shards / lasts, given.latency_ms / 1e3
    fed = given.storage * 1e9 / (found["row_bytes"] / found["row"])
    here = f"{rate:.1f} × {given.scheduler_ms} ms + {given.idle:.0%}"
    listed = ceil(shards * (arrays + 1) / 1000)
    together = max(1, min(AT_ONCE // arrays, int(HOLD / (per * found["row_bytes"]))))
    checking = size / 1e9 * (1 / given.reading + found["verify"] * 1e9)
    waited = shards * (1 / together + 1 / AT_ONCE) * wait
    looked = shards * wait / AT_ONCE + listed * wait
    return {
        "a row": f"{found['features']} features; {found['row'] * 1e6:.0f} µs, "
                 f"{found['row_bytes']:.0f} bytes",
        "shards": f"{rows:.0e} / {per} = {shards}",
        "a shard": f"{per * found['row_bytes'] / MIB:.0f} MiB, {seconds:.1f} s",
        "objects": f"{shards} × ({arrays} arrays + receipt) = {shards * (arrays + 1)}",
        "files in a folder": f"{shards} at most",
        "bytes": f"{found['row_bytes']:.0f} × {rows:.0e} = {size / 1e12:.2f} TB",
        "receipts": f"{shards} × {found['receipt']} bytes = "
                    f"{shards * found['receipt'] / MIB:.0f} MiB",
        "shard table": f"{shards} × 32 bytes = {shards * 32 / MIB:.1f} MiB",
        "computing": f"{shards} × {seconds:.1f} s / {given.workers} = {computing / 60:.1f} min",
        "writing": f"{size / 1e12:.2f} TB / {given.storage:.0f} GB/s = {writing / 60:.1f} min",
        "workers that it feeds": f"{given.storage:.0f} GB/s × {found['row'] * 1e6:.0f} µs / "
                                 f"{found['row_bytes']:.0f} bytes = {fed:.0f}",
        "tasks": f"{shards} / {lasts / 60:.1f} min = {rate:.1f} a second",
        "scheduler": f"{here} = {rate * given.scheduler_ms / 1e3 + given.idle:.1%} of a core",
        "client": f"{rate:.1f} × {given.client_ms} ms = "
                  f"{rate * given.client_ms / 1e3:.1%} of a core",
        "verify, folder": f"{size / 1e12:.2f} TB × (1 / {given.reading:.0f} GB/s + "
                          f"{found['verify'] * 1e9:.1f} s/GB CPU) = {checking / 60:.0f} min; "
                          f"{SHARES} shares: {checking / 60 / SHARES:.0f} min",
        "resume, folder": f"{shards} × {found['look'] * 1e6:.0f} µs = "
                          f"{shards * found['look']:.0f} s",
        "bucket, requests": f"{shards} × 7 = {shards * 7 / 1e6:.2f} million to compute, × 1 + "
                            f"{listed} lists to resume, × {arrays + 1} to verify",
        "bucket, resume": f"({shards} / {AT_ONCE} + {listed}) × {wait * 1e3:.0f} ms = "
                          f"{looked:.0f} s",
        "bucket, verify": f"{shards} × (1 / {together} + 1 / {AT_ONCE}) × {wait * 1e3:.0f} ms = "
                          f"{waited / 60:.0f} min of waiting, and reading",
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--sizes", default="1000000,10000000")
    parser.add_argument("--copies", type=int, default=20)
    parser.add_argument("--scheduler-ms", type=float, default=3.0, help="of CPU, for a task")
    parser.add_argument("--client-ms", type=float, default=2.3, help="of CPU, for a task")
    parser.add_argument("--idle", type=float, default=0.08, help="of a core, at 1,000 workers")
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--storage", type=float, default=10.0, help="GB/s that can be written")
    parser.add_argument("--reading", type=float, default=1.0, help="GB/s that a client can read")
    parser.add_argument("--slow-ms", type=float, default=10.0, help="a row of a slow stage")
    parser.add_argument("--longer", type=int, default=8, help="times longer shards, to compare")
    parser.add_argument("--latency-ms", type=float, default=30.0, help="of a request to a bucket")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        mode, *arguments = options.child
        work: dict[str, Callable[..., Any]] = {
            "planned": lambda n: planned(int(n)), "taken_up": lambda n: taken_up(int(n)),
            "indexed": lambda n: indexed(int(n)), "computed": lambda k, n: computed(k, int(n)),
        }  # fmt: skip
        print(json.dumps(work[mode](*arguments)))
        return
    sizes = sorted(int(n) for n in options.sizes.split(",") if n)
    if sizes:
        print_plan(sizes, options.copies)
    for which in DESCRIPTORS:
        found = apart("computed", which, options.copies)
        print_campaign(which, found, options, (1, options.longer))
    slow = {**found, "row": options.slow_ms / 1e3}
    print_campaign(f"{which}, if a row took {options.slow_ms:.0f} ms", slow, options, (1,))


if __name__ == "__main__":
    main()
