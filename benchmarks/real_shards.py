"""
What 10^5 shards that are really computed and written cost scheduler, client and store.

    python benchmarks/real_shards.py [--shards 100000] [--workers 2] [--folder DIR]

Nothing is simulated: `distdesc scheduler` with its dashboard, `distdesc worker` and `distdesc run`
are processes of their own; each shard is one molecule of the sample of QM9 in `jobs/data`, rattled
by 0.02 Å, whose moment invariants are pooled, compressed, synced to the disk and promised by a
receipt. Shards are as short as can be, so that what a shard costs beside its work shows most.

While the campaign runs, CPU time and memory of scheduler and client are printed at every tenth of
the shards; then what it costs to find a whole store whole (`run` again), to look at it (`status`)
and to check it (`verify`), each a process. CPU time and memory depend little on what else the
machine does, time does.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from ase.io import iread
from many_shards import resident, start
from scheduler_load import cpu, scheduling

SAMPLE = Path(__file__).parent.parent / "jobs" / "data" / "qm9_sample.xyz.xz"
LOOK_EVERY = 5.0
"""Seconds between two looks at the page of the campaign."""

JOB = """
question = "What do so many shards cost those that compute none of them?"
[source]
name = "extxyz"
path = "molecules.xyz"
[descriptor]
name = "moment_invariants"
order = 7
cutoff = 5.0
elements = ["H", "C", "N", "O", "F"]
[[stage]]
name = "fingerprint"
per = "structure"
[store]
path = "run.zarr"
shard_rows = 1
chunk_rows = 1
[execution]
executor = "dask"
"""


def write_molecules(file: Path, n: int) -> None:
    """So many molecules, no two alike."""
    rng = np.random.default_rng(0)
    sample = list(iread(SAMPLE, format="extxyz"))
    with file.open("w") as out:
        for k in range(n):
            atoms = sample[k % len(sample)]
            positions = atoms.positions + rng.normal(scale=0.02, size=atoms.positions.shape)
            out.write(f"{len(atoms)}\nProperties=species:S:1:pos:R:3\n")
            for symbol, (x, y, z) in zip(atoms.symbols, positions, strict=True):
                out.write(f"{symbol} {x:.8f} {y:.8f} {z:.8f}\n")


@contextmanager
def working(file: Path, count: int) -> Iterator[None]:
    """Workers of a scheduler."""
    with start(["worker", str(file), "--workers", str(count), "--memory", "2"]) as process:
        try:
            yield
        finally:
            process.terminate()


def page(said: Path) -> str:
    """Address of the campaign's page, of what a run said; empty if it did not say it yet."""
    found = re.search(r"campaign: (\S+)", said.read_text())
    return f"{found[1]}.json" if found else ""


def shards_done(address: str) -> int:
    """Shards of the campaign that the page says are done."""
    with urllib.request.urlopen(address, timeout=60) as answer:
        shown = json.load(answer)
    done: int = shown["shards"]["done"]
    return done


def watched(command: list[str], said: Path, scheduler: int, n: int) -> list[dict[str, float]]:
    """Cost of scheduler and client, at the start and at each tenth of a campaign that runs."""
    found: list[dict[str, float]] = []
    begun = time.perf_counter()
    with said.open("w") as file, subprocess.Popen(command, stderr=file, stdout=file) as client:
        while client.poll() is None:
            time.sleep(LOOK_EVERY)
            try:
                address = page(said)
                done = shards_done(address) if address else 0
                row = {
                    "done": done,
                    "seconds": time.perf_counter() - begun,
                    "scheduler": cpu(scheduler),
                    "client": cpu(client.pid),
                    "scheduler_memory": resident(scheduler),
                    "client_memory": resident(client.pid),
                }
            except OSError:  # it ended meanwhile
                continue
            if done and (not found or done >= found[-1]["done"] + n // 10):
                found.append(row)
                print_row(row, found[0])
    if client.returncode:
        raise RuntimeError(f"the campaign ended with {client.returncode}: {said.read_text()}")
    return found


def print_row(row: dict[str, float], first: dict[str, float]) -> None:
    """Print what scheduler and client cost since they were looked at first."""
    shards = max(1, row["done"] - first["done"])
    spent = {who: (row[who] - first[who]) / shards * 1e3 for who in ("scheduler", "client")}
    grown = {who: row[f"{who}_memory"] - first[f"{who}_memory"] for who in spent}
    print(f"{row['done']:8.0f} shards in {row['seconds']:6.0f} s; "
          + "; ".join(f"{who} {spent[who]:.2f} ms a shard, {row[f'{who}_memory']:.0f} MiB "
                      f"({grown[who]:+.1f}, {grown[who] * 2**20 / shards:.0f} bytes a shard)"
                      for who in spent), flush=True)  # fmt: skip


def spent_by(command: list[str]) -> tuple[float, float, float]:
    """CPU time and elapsed time of a command, in s, and its memory, in MiB."""
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime, time.perf_counter() - begun, used.ru_maxrss / 1024


def objects(store: Path) -> tuple[int, int]:
    """Files of a store, and their bytes."""
    sizes = [f.stat().st_size for f in store.rglob("*") if f.is_file()]
    return len(sizes), sum(sizes)


def measured(folder: Path, n: int, workers: int) -> None:
    """Make the molecules, run the campaign, and look at what there is."""
    write_molecules(folder / "molecules.xyz", n)
    job = folder / "job.toml"
    job.write_text(JOB.replace('"run.zarr"', json.dumps(str(folder / "run.zarr"))))
    program = [sys.executable, "-m", "distdesc"]
    with scheduling(folder) as (pid, file), working(file, workers):
        watched([*program, "run", str(job), "--scheduler", str(file)],
                folder / "said.txt", pid, n)  # fmt: skip
    store = folder / "run.zarr"
    count, size = objects(store)
    print(f"store: {count} files ({count / n:.2f} a shard), {size / n:.0f} bytes a shard")
    again = [*program, "run", str(job), "--executor", "serial"]
    for name, command in {"run again": again, "status": [*program, "status", str(store)],
                          "verify": [*program, "verify", str(store)]}.items():  # fmt: skip
        used, seconds, memory = spent_by(command)
        print(f"{name}: {used:.1f} s of CPU time, {used / n * 1e3:.3f} ms a shard, in "
              f"{seconds:.0f} s; at most {memory:.0f} MiB", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--shards", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--folder", type=Path, help="empty; kept")
    options = parser.parse_args()
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
        measured(options.folder, options.shards, options.workers)
        return
    with tempfile.TemporaryDirectory() as name:
        measured(Path(name), options.shards, options.workers)


if __name__ == "__main__":
    main()
