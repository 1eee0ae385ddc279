"""A cluster of real processes that are killed and stopped at random while a campaign runs."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from support import PROCESSES

from distdesc.store.receipts import is_complete, iter_receipts, receipt_path
from distdesc.store.written import read_plan

TTL = 5.0
"""Seconds without a heartbeat after which the scheduler gives a worker up."""

CLOCK = 0.05
"""Seconds by which the time of a file may be behind that of a log."""

SETTINGS = {
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": f"{TTL}s",
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
    "DASK_DISTRIBUTED__SCHEDULER__WORK_STEALING": "False",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "10s",
}
COMMON = ("--host", "127.0.0.1", "--no-dashboard")


@dataclass
class Figures:
    """What was done to a run, and what it did."""

    done: Counter[str] = field(default_factory=Counter)
    clients: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    shards: int = 0
    attempts: int = 0
    computed: int = 0
    races: int = 0
    late: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        harm = ", ".join(f"{n} × {kind}" for kind, n in sorted(self.done.items())) or "nothing"
        ends = ", ".join(f"{n} × {code}" for code, n in sorted(self.clients.items()))
        return (
            f"{harm}; clients ended with {ends}; {self.attempts} attempts begun, {self.computed} "
            f"finished, {self.races} of them after another attempt; {self.shards} receipts; "
            f"{self.seconds:.1f} s"
        )


class Chaos:
    """
    Runs a campaign on processes of its own until it is complete, whatever happens to them.

    Parameters
    ----------
    job : Path
        The campaign.
    store : Path
        Its store.
    scratch : Path
        Folder for logs.
    seed : int
        Of what happens, and when.
    events : int
        Things that happen, at the most; after them, the run is left in peace.
    kinds : tuple of str
        Which: methods of this class.
    workers : int
        Nannies, with a worker each.
    """

    def __init__(
        self, job: Path, store: Path, scratch: Path, seed: int, events: int,
        kinds: tuple[str, ...], workers: int = 2,
    ) -> None:  # fmt: skip
        self.job, self.store, self.scratch, self.kinds = job, store, scratch, kinds
        self.random, self.left, self.n_workers = random.Random(seed), events, workers
        self.scheduler_file = scratch / "scheduler.json"
        self.log = scratch / "attempts.log"
        self.log.touch()
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.nannies: list[subprocess.Popen[bytes]] = []
        self.client: subprocess.Popen[bytes] | None = None
        self.others: list[subprocess.Popen[bytes]] = []
        self.stopped: list[tuple[float, int]] = []
        self.figures = Figures()
        self._all: list[subprocess.Popen[bytes]] = []

    def run(self, limit: float) -> Figures:
        """
        Figures of the run; fails if it takes longer than `limit` seconds.

        The same command is given again and again until it says that all is done.
        """
        begun = time.monotonic()
        try:
            for _ in self._turns(begun + limit):
                self._wake()
                if self.client is not None and self.client.poll() == 0:
                    break
                self._keep_alive()
                if self.left and self._begun():
                    self.left -= 1
                    getattr(self, self.random.choice(self.kinds))()
            self.figures.seconds = time.monotonic() - begun
            self._end_others(begun + limit)
        finally:
            self._end_all()
        self._account()
        return self.figures

    def _turns(self, end: float) -> Iterator[None]:
        while time.monotonic() < end:
            yield
            time.sleep(self.random.uniform(0.1, 0.8))
        raise AssertionError(f"not complete in time: {self.figures}\n{self.output()}")

    def output(self) -> str:
        """What the clients said."""
        file = self.scratch / "client.log"
        return file.read_text()[-5000:] if file.exists() else ""

    # What happens

    def kill_worker(self) -> None:
        self._harm("kill worker", self._workers(), signal.SIGKILL)

    def kill_nanny(self) -> None:
        self._harm("kill nanny", self.nannies, signal.SIGKILL)

    def kill_scheduler(self) -> None:
        self._harm("kill scheduler", [self.scheduler], signal.SIGKILL)

    def kill_client(self) -> None:
        self._harm("kill client", [self.client], signal.SIGKILL)

    def stop_worker(self) -> None:
        self._harm("stop worker", self._workers(), signal.SIGSTOP)

    def stop_nanny(self) -> None:
        self._harm("stop nanny", self.nannies, signal.SIGSTOP)

    def stop_scheduler(self) -> None:
        self._harm("stop scheduler", [self.scheduler], signal.SIGSTOP)

    def stop_client(self) -> None:
        self._harm("stop client", [self.client], signal.SIGSTOP)

    def duplicate(self) -> None:
        """Attempts that race with those of the workers."""
        self.figures.done["duplicate attempts"] += 1
        command = [sys.executable, str(PROCESSES / "duplicate.py"), str(self.store)]
        self.others.append(self._start(command, "duplicates"))

    def second_client(self) -> None:
        """The same command, given twice by mistake."""
        self.figures.done["second client"] += 1
        self.others.append(self._start(self._run_command(), "second"))

    # How

    def _harm(self, what: str, processes: list, sent: signal.Signals) -> None:
        alive = [p for p in processes if p is not None and _alive(p.pid)]
        if not alive:
            return
        victim = self.random.choice(alive)
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim.pid, sent)
            self.figures.done[what] += 1
        if sent == signal.SIGSTOP:
            wake = time.monotonic() + self.random.uniform(0.5, 2 * TTL)
            self.stopped.append((wake, victim.pid))

    def _wake(self) -> None:
        now = time.monotonic()
        for when, pid in self.stopped:
            if when < now:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        self.stopped = [(when, pid) for when, pid in self.stopped if when >= now]

    def _workers(self) -> list[psutil.Process]:
        found = []
        for nanny in self.nannies:
            with contextlib.suppress(psutil.Error):
                children = psutil.Process(nanny.pid).children()
                found += [p for p in children if "spawn_main" in " ".join(p.cmdline())]
        return found

    def _keep_alive(self) -> None:
        """Start again what has died, as a batch system or a person would."""
        if self.scheduler is None or self.scheduler.poll() is not None:
            self.scheduler_file.unlink(missing_ok=True)
            command = ["scheduler", "--port", "0", "--scheduler-file", str(self.scheduler_file)]
            self.scheduler = self._start([sys.executable, "-m", "dask", *command, *COMMON])
        if not self.scheduler_file.exists():
            return
        self.nannies = [n for n in self.nannies if n.poll() is None]
        while len(self.nannies) < self.n_workers:
            command = ["worker", "--nthreads", "1", "--memory-limit", "1GiB", "--death-timeout",
                       "20", "--scheduler-file", str(self.scheduler_file)]  # fmt: skip
            self.nannies.append(self._start([sys.executable, "-m", "dask", *command, *COMMON]))
        if self.client is None or self.client.poll() is not None:
            if self.client is not None:
                self.figures.clients[self.client.returncode] += 1
            self.client = self._start(self._run_command(), "client")

    def _run_command(self) -> list[str]:
        command = [sys.executable, "-m", "distdesc", "run", str(self.job)]
        return [*command, "--scheduler", str(self.scheduler_file)]

    def _start(self, command: list[str], log: str = "dask") -> subprocess.Popen[bytes]:
        environment = {**os.environ, **SETTINGS, "DISTDESC_TEST_LOG": str(self.log)}
        with (self.scratch / f"{log}.log").open("ab") as file:
            process = subprocess.Popen(
                command, stdout=file, stderr=subprocess.STDOUT, env=environment,
                start_new_session=True,
            )  # fmt: skip
        self._all.append(process)
        return process

    def _begun(self) -> bool:
        """Not before the workers are at it, or all would happen while they start."""
        return len(list((self.store / "run" / "receipts").rglob("*.json"))) >= 3

    def _end_others(self, end: float) -> None:
        """Wait for attempts that nobody waits for, which may still write."""
        for process in self.others:
            process.wait(max(1.0, end - time.monotonic()))
            if process.args == self._run_command():
                # Refused; or when the first was dead: it found all done, or the scheduler was
                # lost, or not there yet.
                assert process.returncode in (0, 2, 4, 5), process.returncode
        self.figures.clients[0] += 1

    def _end_all(self) -> None:
        for process in self._all:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _account(self) -> None:
        plan = read_plan(self.store)
        stage = plan.layouts[0].stage
        assert is_complete(self.store, plan)
        self.figures.shards = len(list(iter_receipts(self.store, stage)))
        tried: dict[tuple[str, str], float] = {}
        for line in self.log.read_text().splitlines():
            found = re.fullmatch(rf"([\d.]+) (\d+) {stage}-(\d+) (.*)", line)
            if found is None:
                continue
            when, process, shard, what = found.groups()
            if what == "tried":
                tried[process, shard] = float(when)
            elif what == "begun":
                self.figures.attempts += 1
                receipt = receipt_path(self.store, stage, int(shard)).stat().st_ctime
                if tried[process, shard] > receipt + CLOCK:
                    self.figures.late.append(line)
            else:
                self.figures.computed += 1
                self.figures.races += "after another" in what


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
