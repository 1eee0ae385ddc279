"""
What thousands of workers, and tasks that compute nothing, cost the scheduler and the client.

    python benchmarks/scheduler_load.py [--workers 2,100,1000,2000] [--tasks 20000] \
        [--idle 20] [--processes 4]

Real are the scheduler (`distdesc scheduler`, a process of its own, with its dashboard and the page
of the campaign), the client's loop (`DaskExecutor.run` in a process of its own, and the ledger),
and every message between them. Simulated are the workers: they are `distributed.Worker`s of one
thread with the settings of ours, but hundreds of them share a process, without nannies, and look at
their own memory less often; and the tasks, which return a receipt and compute nothing.

For each number of workers it prints CPU time, which depends little on what else the machine does:
of the scheduler while nothing is computed, as a share of a core and for each heartbeat; of both for
each look that the client takes at the workers; of both for each task, without the heartbeats and
looks meanwhile, from which follows how many tasks a second they can take; and their memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import numpy as np
from distributed import Worker
from distributed.scheduler import heartbeat_interval
from many_shards import loop, resident, start

from distdesc.engine.executors.dask import COUNT_EVERY, DaskExecutor
from distdesc.engine.executors.settings import SETTINGS
from distdesc.monitor.stage_tally import StageTally
from distdesc.monitor.tally import Tally
from distdesc.options import Execution

OWN = {
    "distributed.admin.system-monitor.interval": "1h",
    "distributed.admin.tick.interval": "10s",
    "distributed.admin.tick.limit": "1h",
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.comm.timeouts.connect": "600s",
}
"""Of simulated workers only: to look at the memory of a process hundreds of times tells nothing."""

LOOKS = 10
"""How often the client is asked how many workers there are."""

TICKS = os.sysconf("SC_CLK_TCK")


class Counted(Worker):  # type: ignore[misc]
    """A worker that counts the heartbeats of all workers of its process."""

    heartbeats = 0

    async def heartbeat(self) -> None:
        """Tell the scheduler that this worker is alive."""
        Counted.heartbeats += 1
        await super().heartbeat()


async def simulate(scheduler: str, count: int) -> None:
    """Workers that share this process; each line that comes in is answered with heartbeats."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    event_loop = asyncio.get_running_loop()
    event_loop.add_reader(sys.stdin, lambda: heard.put_nowait(sys.stdin.readline()))
    with tempfile.TemporaryDirectory() as folder, dask.config.set({**SETTINGS, **OWN}):
        workers = [
            Counted(scheduler_file=scheduler, nthreads=1, memory_limit=2**30, dashboard=False,
                    host="127.0.0.1", local_directory=folder, name=f"{os.getpid()}-{k}")
            for k in range(count)
        ]  # fmt: skip
        for begin in range(0, count, 25):
            await asyncio.gather(*workers[begin : begin + 25])
        print("all there", flush=True)
        while await heard.get():
            print(Counted.heartbeats, flush=True)
    os._exit(0)


class Crowd:
    """Simulated workers in a few processes."""

    def __init__(self, scheduler: Path, count: int, processes: int) -> None:
        shares = [count // processes + (k < count % processes) for k in range(processes)]
        command = [sys.executable, __file__, "--scheduler", str(scheduler), "--simulate"]
        self.processes = [
            subprocess.Popen([*command, str(share)], stdin=subprocess.PIPE, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            for share in shares if share
        ]  # fmt: skip
        for process in self.processes:
            if self._answer(process) != "all there":
                raise RuntimeError("a process of simulated workers ended early")

    def heartbeats(self) -> int:
        """Heartbeats that all workers sent until now."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write("how many\n")
            process.stdin.flush()
        return sum(int(self._answer(process)) for process in self.processes)

    @staticmethod
    def _answer(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()


def cpu(pid: int) -> float:
    """CPU time of a process until now, in s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def scheduling(folder: Path) -> Iterator[tuple[int, Path]]:
    """A scheduler as deployments start it: its process id, and its file."""
    file = folder / "scheduler.json"
    command = ["scheduler", "--port", "0", "--dashboard", "127.0.0.1:0", "--scheduler-file"]
    with start([*command, str(file)]) as process:
        try:
            while not file.exists():
                if process.poll() is not None:
                    raise RuntimeError(f"the scheduler ended with {process.returncode}")
                time.sleep(0.1)
            yield process.pid, file
        finally:
            process.send_signal(signal.SIGKILL)


def measured(count: int, n_tasks: int, idle: float, processes: int) -> dict[str, Any]:
    """What a crowd of workers costs, idle, looked at, and with tasks."""
    with tempfile.TemporaryDirectory() as folder, scheduling(Path(folder)) as (pid, file):
        alone = _idle(pid, idle)
        empty, begun = resident(pid), cpu(pid)
        crowd = Crowd(file, count, processes)
        found: dict[str, Any] = {
            "workers": count,
            "joining": (cpu(pid) - begun) / count,
            "memory": [empty, resident(pid)],
        }
        try:
            # Heartbeats adapt to the number of workers one heartbeat late.
            time.sleep(heartbeat_interval(count))
            beats, begun = crowd.heartbeats(), time.perf_counter()
            found["idle"] = [alone, _idle(pid, idle)]
            found["beats"] = (crowd.heartbeats() - beats) / (time.perf_counter() - begun)
            with DaskExecutor(Execution(scheduler=str(file)), 1) as executor:
                used, mine = cpu(pid), time.process_time()
                for _ in range(LOOKS):
                    assert executor.workers == count
                found["look"] = [(cpu(pid) - used) / LOOKS, (time.process_time() - mine) / LOOKS]
                found |= worked(executor, n_tasks, pid, crowd)
        finally:
            for process in crowd.processes:
                process.kill()
        return found


def _idle(pid: int, seconds: float) -> float:
    """Share of a core that a process takes while nothing is asked of it."""
    used, begun = cpu(pid), time.perf_counter()
    time.sleep(seconds)
    return (cpu(pid) - used) / (time.perf_counter() - begun)


def worked(executor: DaskExecutor, n: int, pid: int, crowd: Crowd) -> dict[str, Any]:
    """What so many tasks cost, of which the page of a campaign is told."""
    costs = np.ones(n, dtype=np.int64)
    executor.show(Tally("0" * 12, "/nowhere", "?", n, [StageTally("fingerprint", 1, n, costs)]))
    loop(executor, 200)
    before, mine_before = resident(pid), resident(os.getpid())
    beats, used = crowd.heartbeats(), cpu(pid)
    mine, begun = time.process_time(), time.perf_counter()
    loop(executor, n)
    return {
        "tasks": n,
        "spent": [cpu(pid) - used, time.process_time() - mine],
        "seconds": time.perf_counter() - begun,
        "beats_meanwhile": crowd.heartbeats() - beats,
        "grown": [resident(pid) - before, resident(os.getpid()) - mine_before],
        "client": resident(os.getpid()),
    }


def for_a_task(found: dict[str, Any]) -> tuple[float, float]:
    """CPU seconds of scheduler and client for a task, without what is done meanwhile anyway."""
    alone, idle = found["idle"]
    looks = found["seconds"] / COUNT_EVERY
    beat = (idle - alone) / found["beats"]
    scheduler = found["spent"][0] - alone * found["seconds"] - beat * found["beats_meanwhile"]
    scheduler -= looks * found["look"][0]
    client = found["spent"][1] - looks * found["look"][1]
    return scheduler / found["tasks"], client / found["tasks"]


def printed(found: dict[str, Any]) -> None:
    """Print what was found with one number of workers."""
    n, (alone, idle), (empty, full) = found["workers"], found["idle"], found["memory"]
    scheduler, client = for_a_task(found)
    due = n / heartbeat_interval(n)
    lines = (
        f"{n} workers",
        f"  joining: {found['joining'] * 1e3:.1f} ms of the scheduler's CPU a worker",
        f"  scheduler idle: {alone:.1%} of a core alone, {idle:.1%} with workers, at "
        f"{found['beats']:.0f} heartbeats a second ({due:.0f} are due), "
        f"{(idle - alone) / found['beats'] * 1e3:.2f} ms each",
        f"  a look at the workers, every {COUNT_EVERY:.0f} s at most: "
        f"{found['look'][0] * 1e3:.0f} ms of the scheduler, {found['look'][1] * 1e3:.0f} ms of the "
        "client",
        f"  {found['tasks']} tasks: {scheduler * 1e3:.2f} ms of the scheduler each, "
        f"{client * 1e3:.2f} ms of the client: {1 / max(scheduler, client):.0f} a second on cores "
        f"of their own (here, beside all else, {found['tasks'] / found['seconds']:.0f})",
        f"  memory: scheduler {empty:.0f} MiB alone, {full:.0f} with workers "
        f"({(full - empty) / n * 1024:.0f} KiB each), {found['grown'][0]:+.0f} by the tasks; "
        f"client {found['client']:.0f} MiB, {found['grown'][1]:+.0f} by the tasks",
    )
    print("\n".join(lines), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--workers", default="2,100,1000,2000")
    parser.add_argument("--tasks", type=int, default=20000)
    parser.add_argument("--idle", type=float, default=20.0, help="seconds")
    parser.add_argument("--processes", type=int, default=4, help="that workers share")
    parser.add_argument("--scheduler", help=argparse.SUPPRESS)
    parser.add_argument("--simulate", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if options.simulate:
        asyncio.run(simulate(options.scheduler, options.simulate))
    elif options.one:
        found = measured(options.one, options.tasks, options.idle, options.processes)
        print(json.dumps(found), flush=True)
    else:
        for count in (int(n) for n in options.workers.split(",")):
            command = [sys.executable, __file__, "--one", str(count), *sys.argv[1:]]
            out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            printed(json.loads(out.splitlines()[-1]))


if __name__ == "__main__":
    main()
