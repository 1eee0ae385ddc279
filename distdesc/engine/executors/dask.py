"""Tasks on a Dask cluster, embedded or running elsewhere."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import Any
from uuid import uuid4

import dask
from distributed import Client, Future, KilledWorker, LocalCluster, as_completed
from distributed.comm import CommClosedError
from distributed.utils import get_mp_context

from distdesc.engine.executors.connecting import connect
from distdesc.engine.executors.executor import Outcome, TaskFunction
from distdesc.engine.executors.links import Links, links_of
from distdesc.engine.executors.performance import PerformanceReport
from distdesc.engine.executors.security import security_of
from distdesc.engine.executors.settings import SETTINGS
from distdesc.engine.executors.starting import (
    ctrl_c_for_the_client_alone,
    free_port,
    no_word_about_calls_not_begun,
    no_word_about_ports,
)
from distdesc.engine.executors.trial import Trial, tried
from distdesc.engine.plan import Task
from distdesc.errors import RunError
from distdesc.monitor.board import PAGE
from distdesc.monitor.reporting import Follower
from distdesc.monitor.tally import Tally
from distdesc.options import Execution
from distdesc.place import place

log = logging.getLogger(__name__)

WINDOW = 3
"""Tasks submitted ahead per worker: enough to keep all busy, few enough to forget quickly."""

COUNT_EVERY = 2.0
"""Seconds after which workers are counted again, so that those that join later get work."""

LOST = 10
"""Workers that may die under a task whose structures cannot kill them, before it is given up."""

OUT_OF_MEMORY = "worker-restart-memory"
"""Topic under which Dask's nannies say whom they ended, and at which size."""

DASHBOARD_PORT = 8787


class DaskExecutor:
    """
    Dask workers: embedded ones, or a running cluster.

    Parameters
    ----------
    execution : Execution
        Embedded cluster of so many workers, or address or scheduler file of a running one.
    attempts : int
        How often a task may fail before it is given up.
    seconds : float
        A worker whose attempt takes longer ends itself; 0 for never. Only workers of one thread
        do: of several, it would be the end of the others' attempts.
    """

    def __init__(self, execution: Execution, attempts: int, seconds: float = 0.0) -> None:
        self.execution, self.attempts, self.seconds = execution, attempts, seconds
        self._client: Client | None = None
        self._follower: Follower | None = None
        self._report: PerformanceReport | None = None
        self._run = uuid4().hex[:8]
        self._count = (0, 0.0)
        self._open = ExitStack()

    def __enter__(self) -> DaskExecutor:
        with ExitStack() as opened:
            opened.enter_context(dask.config.set(SETTINGS))
            opened.enter_context(no_word_about_calls_not_begun())
            logging.getLogger("distributed").setLevel(logging.WARNING)
            if self.execution.scheduler:
                self._client = connect(self.execution.scheduler, self.execution.tls)
            else:
                self._client = Client(self._embedded(opened))
            opened.callback(self._client.close, timeout=5)
            self._open = opened.pop_all()
        return self

    def _embedded(self, opened: ExitStack) -> LocalCluster:
        """Scheduler and workers of this run alone, which are closed with what is open."""
        # Starts the resource tracker of multiprocessing, which lets signals through again in the
        # thread that starts it.
        get_mp_context().Lock()
        with ctrl_c_for_the_client_alone(), no_word_about_ports():
            cluster = LocalCluster(
                n_workers=self.execution.workers or os.cpu_count() or 1,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                security=security_of(self.execution.tls),
                dashboard_address=f"127.0.0.1:{free_port(DASHBOARD_PORT)}",
                memory_limit=int(self.execution.memory * 2**30) or "auto",
                silence_logs=logging.ERROR,
            )
            # Before a Ctrl-C of meanwhile is heard, which is where this ends.
            opened.callback(cluster.close, timeout=10)
        return cluster

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """See Executor."""
        with self._open:
            if self._follower is not None:
                self._follower.over()
            if self._report is not None:
                self._report.keep()

    @property
    def workers(self) -> int:
        """See Executor."""
        return len(self._info())

    @property
    def worker_memory(self) -> int:
        """See Executor."""
        limits = [w["memory_limit"] for w in self._info().values() if w["memory_limit"]]
        # Workers that have too little to begin with are not there to be asked.
        asked = 0 if self.execution.scheduler else int(self.execution.memory * 2**30)
        return min(limits, default=asked or 2**63)

    @property
    def dashboard(self) -> str | None:
        """See Executor."""
        return self._links.dashboard or None

    @property
    def tunnel(self) -> str | None:
        """See Executor."""
        return self._links.tunnel or None

    def show(self, tally: Tally) -> str | None:
        """See Executor.show."""
        self._follower = Follower(self._connected, tally)
        if self.execution.performance_report:
            self._report = PerformanceReport(self._connected, place(tally.store))
        return self._links.page(PAGE) if self._follower.shown else None

    def run(
        self, attempt: TaskFunction, tasks: Iterable[Task], rescue: TaskFunction | None = None
    ) -> Iterator[Outcome]:
        """See Executor.run."""
        waiting: dict[Future, Trial] = {}
        done = as_completed()
        todo = (Trial(task, attempt) for task in tasks)
        try:
            self._fill(todo, waiting, done)
            while waiting:
                future = next(done)
                trial = waiting.pop(future)
                outcome = self._outcome(future, trial)
                again = self._again(trial, outcome.error, rescue)
                future.release()
                if again is not None:
                    self._submit(again, waiting, done)
                    continue
                self._fill(todo, waiting, done)
                self._tell(outcome)
                yield outcome
        except (CommClosedError, OSError, TimeoutError) as error:
            raise RunError(f"the Dask scheduler was lost: {error}") from error

    def _tell(self, outcome: Outcome) -> None:
        """Tell the page what workers do not know."""
        if self._follower is None:
            return
        task, error = outcome.task, outcome.error
        if outcome.crash:
            self._follower.problem("isolated", task.stage, task.shard, outcome.crash)
        if error is not None:
            reason = f"{type(error).__name__}: {error}"
            self._follower.problem("failed", task.stage, task.shard, reason)

    def _fill(
        self, todo: Iterator[Trial], waiting: dict[Future, Trial], done: as_completed
    ) -> None:
        ahead = WINDOW * self._counted()
        while len(waiting) < ahead:
            trial = next(todo, None)
            if trial is None:
                return
            self._submit(trial, waiting, done)

    def _counted(self) -> int:
        """Workers, counted anew now and then: for that, the scheduler describes each of them."""
        count, until = self._count
        if not count or time.monotonic() > until:
            count = self.workers
            self._count = (count, time.monotonic() + COUNT_EVERY)
        return max(1, count)

    def _submit(self, trial: Trial, waiting: dict[Future, Trial], done: as_completed) -> None:
        # Keys are names on a scheduler that other campaigns may share.
        key = f"{trial.task.key}-{self._run}{trial.suffix}"
        seconds = 0.0 if trial.crash else self.seconds
        future = self._connected.submit(
            tried, trial.attempt, trial.task, seconds, self._followed,
            key=key, retries=self.attempts - 1, pure=False,
        )  # fmt: skip
        waiting[future] = trial
        done.add(future)

    def _again(
        self, trial: Trial, error: BaseException | None, rescue: TaskFunction | None
    ) -> Trial | None:
        """Trial that follows one that killed its worker; None if none does."""
        if rescue is None or not isinstance(error, KilledWorker | MemoryError):
            return None
        if not trial.crash:
            crash = self._crash(error)
            log.warning("%s: %s; it is computed in a process of its own", trial.task.key, crash)
            return replace(trial, attempt=rescue, crash=crash)
        return replace(trial, lost=trial.lost + 1) if trial.lost < LOST else None

    def _crash(self, error: BaseException) -> str:
        """How a task killed its worker, as far as Dask knows."""
        if not isinstance(error, KilledWorker):
            return f"its worker had too little memory ({type(error).__name__})"
        address = error.last_worker.address
        for _, event in self._connected.get_events(OUT_OF_MEMORY):
            if event["worker"] == address:
                return f"its worker was ended at {event['rss'] / 2**30:.2f} GiB, over its limit"
        for _, event in self._connected.get_events("scheduler"):
            if event.get("action") == "worker-ttl-timed-out" and address in event["workers"]:
                return f"its worker did not answer for {event['ttl']:.0f} s"
        return "its worker died (KilledWorker)"

    def _outcome(self, future: Future, trial: Trial) -> Outcome:
        task, crash = trial.task, trial.crash
        if future.status == "finished":
            found = future.result()
            if isinstance(found, BaseException):
                return Outcome(task, error=found, crash=crash)
            return Outcome(task, receipt=found, crash=crash)
        if future.status in ("cancelled", "lost"):
            raise RunError("the Dask scheduler was lost, and with it the tasks under way")
        try:
            error = future.exception()
        except CancelledError as cancelled:
            raise RunError("the Dask scheduler was lost") from cancelled
        return Outcome(task, error=error, crash=crash)

    @property
    def _followed(self) -> str:
        """Digest of the campaign that is shown; empty if none is."""
        return "" if self._follower is None else self._follower.campaign

    @cached_property
    def _links(self) -> Links:
        return links_of(self._connected)

    @property
    def _connected(self) -> Client:
        if self._client is None:
            raise RunError("the Dask executor was not started")
        return self._client

    def _info(self) -> dict[str, Any]:
        workers: dict[str, Any] = self._connected.scheduler_info(n_workers=-1)["workers"]
        return workers
