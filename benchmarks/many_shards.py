"""
Memory and time of client and scheduler against the number of shards, which compute nothing.

    python benchmarks/many_shards.py [--tasks 1000,10000] [--receipts 1000,10000] \
        [--plans 1000,10000,100000,1000000] [--figure FILE] [--drawn FILE]

Three things are real, each measured in a fresh process: a client that indexes, plans and lays out a
store of so many shards (of one atom each); the scheduler, a process of its own, and the client's
loop over so many tasks, which a worker answers with a receipt and nothing else; and a client that
takes up a store with so many receipts. What is simulated is the work: tasks compute nothing, and
receipts are written without syncing and without rows. `--plans` also runs the client's loop with an
executor that answers at once, without Dask, since a scheduler would take an hour for 10^6 tasks.
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
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from distdesc.campaign import Campaign
from distdesc.engine.executors.dask import DaskExecutor
from distdesc.engine.executors.executor import Outcome
from distdesc.engine.ledger import Ledger
from distdesc.engine.memory import peak_rss, reset_peak
from distdesc.engine.missing import missing_shards
from distdesc.engine.plan import Task
from distdesc.engine.prepare import prepare
from distdesc.engine.run import stage_plans
from distdesc.options import Execution
from distdesc.store.objects import sealed
from distdesc.store.receipts import Receipt, receipt_path
from distdesc.store.written import read_plan

ATOM = "1\nProperties=species:S:1:pos:R:3\nH 0 0 0\n"
MIB = 2**20


def campaign(folder: Path) -> Campaign:
    """One-atom structures, each a shard of its own."""
    return Campaign.from_dict(
        {
            "question": "What does a shard cost those that compute nothing?",
            "source": {"name": "extxyz", "path": str(folder / "atoms.xyz")},
            "descriptor": {"name": "radial_spectrum", "cutoff": 2.0, "elements": ["H"]},
            "stage": [{"name": "fingerprint"}],
            "store": {"path": str(folder / "run.zarr"), "shard_rows": 1, "chunk_rows": 1},
            "execution": {"executor": "serial"},
        }
    )


def nothing(task: Task) -> Receipt:
    """Receipt of a task that was not computed, as long as a real one."""
    return Receipt(
        campaign="0" * 12, stage=task.stage, shard=task.shard,
        rows=(task.row_start, task.row_stop), structures=1,
        counts={"ok": 1, "failed": 0, "quarantined": 0}, quarantined=[],
        digests=dict.fromkeys(("fingerprint", "number", "fingerprint_status"), "0" * 32),
        objects={}, seconds=dict.fromkeys(("start", "read", "kernel", "write", "total"), 0.1),
        where={"host": "somewhere", "pid": 1, "versions": dict.fromkeys("abcdefgh", "1.2.3")},
    )  # fmt: skip


def measured(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds that something took, how much the memory of this process rose, and its result."""
    reset_peak()
    before, begun = peak_rss(), time.perf_counter()
    result = work()
    return time.perf_counter() - begun, (peak_rss() - before) / MIB, result


def planned(folder: Path) -> dict[str, Any]:
    """Client that begins a store, and loops over all its tasks, without Dask."""
    made = campaign(folder)
    made.path.mkdir()
    plan_time, plan_memory, written = measured(
        lambda: prepare(made, lambda event: None, accept_versions=False)
    )
    plans = stage_plans(made.path, written)
    resume_time, resume_memory, missing = measured(
        lambda: missing_shards(made.path, written.digest, plans, Ledger(0), lambda event: None)
    )

    def at_once(tasks: Iterable[Task]) -> Iterator[Outcome]:
        return (Outcome(task, receipt=nothing(task)) for task in tasks)

    def loop() -> None:
        ledger = Ledger(0)
        order = plans[0].by_cost(missing["fingerprint"])
        for outcome in at_once(plans[0].tasks(order)):
            ledger.account(outcome, lambda event: None)

    loop_time, loop_memory, _ = measured(loop)
    return {"plan": [plan_time, plan_memory], "missing": [resume_time, resume_memory],
            "loop": [loop_time, loop_memory]}  # fmt: skip


def resumed(folder: Path) -> dict[str, Any]:
    """Client that takes up a store whose shards all have receipts."""
    path = folder / "run.zarr"
    written = read_plan(path)
    plans = stage_plans(path, written)
    seconds, memory, _ = measured(
        lambda: missing_shards(path, written.digest, plans, Ledger(0), lambda event: None)
    )
    return {"resume": [seconds, memory]}


def write_receipts(path: Path) -> int:
    """Receipt of every shard of a store, and its bytes."""
    written = read_plan(path)
    plan, size = stage_plans(path, written)[0], 0
    for task in plan.tasks(range(plan.layout.n_shards)):
        data = sealed({**nothing(task).to_dict(), "campaign": written.digest})
        file = receipt_path(path, task.stage, task.shard)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        size = len(data)
    return size


def resident(pid: int) -> float:
    """Memory of a process, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def scheduled(folder: Path, n: int) -> dict[str, Any]:
    """Client's loop over `n` tasks of a scheduler and a worker that are processes of their own."""
    file = folder / "scheduler.json"
    scheduler = start(["scheduler", "--port", "0", "--scheduler-file", str(file)])
    while not file.exists():
        time.sleep(0.1)
    worker = start(["worker", str(file), "--memory", "2"])
    try:
        with DaskExecutor(Execution(scheduler=str(file)), 1) as executor:
            while not executor.workers:
                time.sleep(0.1)
            loop(executor, 200)
            before = resident(scheduler.pid)
            seconds, memory, _ = measured(lambda: loop(executor, n))
            return {"tasks": [seconds, memory, resident(scheduler.pid) - before]}
    finally:
        for process in (worker, scheduler):
            process.terminate()
            process.wait()


def start(command: list[str]) -> subprocess.Popen[bytes]:
    """Start a command of distdesc, which can import this script."""
    known = os.pathsep.join(filter(None, [sys.path[0], os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", "distdesc", *command],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": known},
    )  # fmt: skip


def loop(executor: DaskExecutor, n: int) -> None:
    ledger = Ledger(0)
    tasks = (Task("fingerprint", k, k, k + 1, k, k + 1, k) for k in range(n))
    for outcome in executor.run(nothing, tasks):
        ledger.account(outcome, lambda event: None)


def child(mode: str, folder: Path, n: int) -> None:
    work = {"planned": planned, "resumed": resumed}.get(mode)
    print(json.dumps(scheduled(folder, n) if work is None else work(folder)))


def apart(mode: str, folder: Path, n: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", mode, str(folder), str(n)]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def draw(found: dict[str, dict[int, list[float]]], file: str) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5.5, 3.6), layout="constrained")
    lines = {
        "plan": ("client: index, plan, lay out", 1), "loop": ("client: loop without Dask", 1),
        "resume": ("client: take up, all receipts there", 1),
        "tasks": ("client: loop with Dask", 1), "scheduler": ("scheduler", 2),
    }  # fmt: skip
    for name, (label, column) in lines.items():
        series = found.get("tasks" if name == "scheduler" else name, {})
        if series:
            values = [max(v[column], 0.0) for v in series.values()]
            axes.plot(list(series), values, "o-", label=label, markersize=4)
    axes.set(xscale="log", xlabel="shards", ylabel="memory above the start, MiB")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=160)


def printed(text: str) -> dict[str, dict[int, list[float]]]:
    """What was printed, as it was found."""
    found: dict[str, dict[int, list[float]]] = {}
    pattern = r" *(\d+) (\w+) +([\d.]+) s .* ([-\d.]+) MiB .*shard(?:, scheduler ([-\d.]+) MiB)?"
    for n, name, *values in re.findall(pattern, text):
        found.setdefault(name, {})[int(n)] = [float(v) for v in values if v]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--plans", default="1000,10000,100000,1000000")
    parser.add_argument("--receipts", default="1000,10000")
    parser.add_argument("--tasks", default="1000,10000")
    parser.add_argument("--figure", help="file for the curve")
    parser.add_argument("--drawn", help="file of what earlier runs printed, to draw it only")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], Path(options.child[1]), int(options.child[2]))
        return
    if options.drawn:
        draw(printed(Path(options.drawn).read_text()), options.figure)
        return
    found: dict[str, dict[int, list[float]]] = {}

    def note(n: int, result: dict[str, list[float]]) -> None:
        for name, values in result.items():
            found.setdefault(name, {})[n] = values
            extra = f", scheduler {values[2]:.1f} MiB" if len(values) > 2 else ""
            print(f"{n:8d} {name:8s} {values[0]:8.2f} s {values[0] / n * 1e6:8.1f} µs/shard "
                  f"{values[1]:8.1f} MiB {values[1] * MIB / n:8.1f} bytes/shard{extra}",
                  flush=True)  # fmt: skip

    receipts = [int(n) for n in options.receipts.split(",") if n]
    for n in sorted({*(int(n) for n in options.plans.split(",") if n), *receipts}):
        with tempfile.TemporaryDirectory() as name:
            (Path(name) / "atoms.xyz").write_text(ATOM * n)
            note(n, apart("planned", Path(name), n))
            if n in receipts:
                print(f"{n:8d} a receipt has {write_receipts(Path(name) / 'run.zarr')} bytes")
                note(n, apart("resumed", Path(name), n))
    for n in (int(n) for n in options.tasks.split(",") if n):
        with tempfile.TemporaryDirectory() as name:
            note(n, apart("scheduled", Path(name), n))
    if options.figure:
        draw(found, options.figure)


if __name__ == "__main__":
    main()
