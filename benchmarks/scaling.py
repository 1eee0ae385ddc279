"""
Weak and strong scaling of a real campaign, in processes and on hosts with networks of their own.

    python benchmarks/scaling.py [--workers 1,2] [--shards 24] [--molecules 2048] \
        [--repeats 1] [--hosts]

featurises the molecules of `jobs/data` repeatedly, with moment invariants (cheap) and with a power
spectrum (costly), by 1, 2, … workers: strong scaling shares the same molecules out, weak scaling
gives each worker as many. Workers are processes of an embedded cluster, with `--hosts` (root only)
also one on each of so many network namespaces, started by `deploy/ssh/run.sh` over TLS. Everything
is computed from the times in the receipts:

* steady, while all workers compute, from when the last has begun until the first has nothing left:
  rows a second for each worker, to those of one worker; and the part of it that is in no task;
* whole, from the first task to the last receipt, so with workers that join late, start up (loading
  kernels), or wait for others at the end: time of one worker to that of all;
* before, from the command to the first task: seconds, in which the source is indexed and workers
  start.
"""

from __future__ import annotations

import argparse
import lzma
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from distdesc.store.receipts import Receipt, iter_receipts

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "jobs" / "data" / "qm9_sample.xyz.xz"
SCRIPT = ROOT / "deploy" / "ssh" / "run.sh"
KERNELS = {
    "moment invariants": 'name = "moment_invariants"\norder = 7\n',
    "power spectrum": 'name = "power_spectrum"\nn_max = 6\nl_max = 6\n',
}

JOB = """\
question = "How does it scale?"
[source]
name = "extxyz"
path = "{source}"
[descriptor]
{kernel}cutoff = 5.0
elements = ["H", "C", "N", "O", "F"]
[[stage]]
name = "fingerprint"
per = "structure"
dtype = "float32"
[store]
path = "{store}"
shard_rows = {rows}
chunk_rows = {rows}
"""


@dataclass(frozen=True)
class Times:
    """What the receipts of a run say: rows/s and worker in the steady part, and seconds."""

    rate: float
    outside: float
    whole: float
    before: float


def times(receipts: list[Receipt], workers: int, begun: float) -> Times:
    """Times of a run, from its receipts."""
    spans: dict[str, list[tuple[float, float, int]]] = {}
    first = min(r.finished - r.seconds["total"] for r in receipts)
    for r in receipts:
        # Loading kernels is no work.
        start = r.finished - r.seconds["total"] + r.seconds.get("start", 0.0)
        worker = f"{r.where['host']}:{r.where['pid']}"
        spans.setdefault(worker, []).append((start, r.finished, r.rows[1] - r.rows[0]))
    if len(spans) != workers:
        raise SystemExit(f"{len(spans)} of {workers} workers got a shard; take more --shards")
    begin = max(min(s for s, _, _ in of) for of in spans.values())
    end = min(max(e for _, e, _ in of) for of in spans.values())
    if end <= begin:
        raise SystemExit("a worker was done before the last had begun; take more --shards")
    rows = inside = 0.0
    for start, stop, n in (span for of in spans.values() for span in of):
        within = max(0.0, min(stop, end) - max(start, begin))
        inside += within
        rows += n * within / (stop - start)
    steady = (end - begin) * workers
    last = max(r.finished for r in receipts)
    return Times(rows / steady, 1 - inside / steady, last - first, first - begun)


def complete(command: list[Any], environment: dict[str, str], folder: Path) -> None:
    """Run a command to its end; with all that it started, it is ended if this is."""
    process = subprocess.Popen(
        command, env=environment, cwd=folder, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        if process.wait():
            raise SystemExit(f"{command[0]} ended with {process.returncode}")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def in_processes(job: Path, workers: int, environment: dict[str, str]) -> None:
    """Run a job with an embedded cluster."""
    command = [sys.executable, "-m", "distdesc", "run", str(job), "--workers", str(workers)]
    complete(command, environment, job.parent)


def on_hosts(job: Path, workers: int, environment: dict[str, str]) -> None:
    """Run a job by the script of deploy/ssh, one worker on each of so many hosts."""
    sys.path.insert(0, str(ROOT / "tests" / "cluster"))
    from hosts import Hosts

    with tempfile.TemporaryDirectory() as name, Hosts(Path(name), workers) as made:
        folder = Path(name)
        (folder / "hosts.txt").write_text("".join(f"{host} 1 2\n" for host in made.names))
        there = {"RUN": f"{folder}/run", "HOST": made.address, "SSH": str(made.ssh),
                 "SCRATCH": name}  # fmt: skip
        complete([SCRIPT, folder / "hosts.txt", job], environment | there, folder)


def measured(way: Any, kernel: str, shards: int, rows: int, workers: int) -> Times:
    """Times of a fresh run with so many shards of so many molecules."""
    environment = {
        **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = lzma.decompress(SAMPLE.read_bytes())
        molecules = text.count(b"Properties=")
        source, store, job = folder / "x.xyz", folder / "run.zarr", folder / "job.toml"
        source.write_bytes(text * ceil(shards * rows / molecules))
        job.write_text(JOB.format(source=source, store=store, kernel=KERNELS[kernel],
                                  rows=rows))  # fmt: skip
        begun = time.time()
        way(job, workers, environment)
        return times(list(iter_receipts(store, "fingerprint")), workers, begun)


def compared(
    way: Any, kernel: str, shards: int, rows: int, workers: list[int], repeats: int
) -> None:
    """Print weak and strong scaling to one worker, medians of alternating runs."""
    kinds = {"strong": 1, "weak": 0}
    found: dict[tuple[str, int], list[Times]] = {}
    for _ in range(repeats):
        for kind, count in {(k, n) for k in kinds for n in workers if n > 1} | {("strong", 1)}:
            amount = shards if kind == "strong" else shards * count
            found.setdefault((kind, count), []).append(measured(way, kernel, amount, rows, count))
    found["weak", 1] = found["strong", 1]

    def median(kind: str, count: int, what: str) -> float:
        return statistics.median(getattr(t, what) for t in found[kind, count])

    for kind, share in kinds.items():
        for n in workers:
            whole = median(kind, 1, "whole") / median(kind, n, "whole") / (n if share else 1)
            steady = median(kind, n, "rate") / median(kind, 1, "rate")
            print(f"  {kind:6s} {n} workers: steady {steady:.2f}, whole {whole:.2f}, outside tasks "
                  f"{median(kind, n, 'outside'):.1%}; before {median(kind, n, 'before'):.1f} s",
                  flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--workers", default=",".join(map(str, range(1, cores + 1))))
    parser.add_argument("--shards", type=int, default=24, help="of one worker")
    parser.add_argument("--molecules", type=int, default=2048, help="of a shard")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--kernels", default=",".join(KERNELS))
    parser.add_argument("--hosts", action="store_true", help="network namespaces too")
    options = parser.parse_args()
    # What was started is ended, and networks are taken down, also then.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    ways = {"processes": in_processes}
    if options.hosts:
        sys.path.insert(0, str(ROOT / "tests" / "cluster"))
        from hosts import why_not

        reason = why_not()
        if reason:
            raise SystemExit(f"no hosts: {reason}")
        ways["hosts"] = on_hosts
    workers = sorted({1, *(int(n) for n in options.workers.split(","))})
    print(f"{cores} cores, load {os.getloadavg()[0]:.1f}; {options.molecules} molecules a shard")
    for name, way in ways.items():
        for kernel in options.kernels.split(","):
            print(f"{kernel}, in {name}:", flush=True)
            compared(way, kernel, options.shards, options.molecules, workers, options.repeats)


if __name__ == "__main__":
    main()
