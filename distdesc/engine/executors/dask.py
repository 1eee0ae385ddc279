"""Tasks on a Dask cluster, embedded or running elsewhere; the only module that imports Dask."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

import dask
from distributed import Client, Future, LocalCluster, as_completed
from distributed.comm import CommClosedError

from distdesc.campaign import Execution
from distdesc.engine.executors.executor import FINAL, Attempt, Outcome
from distdesc.engine.plan import Task
from distdesc.errors import CampaignError, RunError
from distdesc.store.receipts import Receipt

log = logging.getLogger(__name__)

WINDOW = 3
"""Tasks submitted ahead per worker: enough to keep all busy, few enough to forget quickly."""

DASHBOARD_PORT = 8787

ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "RAYON_NUM_THREADS",
    ),
    "1",
)

SETTINGS = {
    # Shards are equal and long; moving them between workers only delays them.
    "distributed.scheduler.work-stealing": False,
    # Rows go to the store, not through the workers' memory: nothing to spill.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": 0.90,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.worker.profile.enabled": False,
    "distributed.comm.timeouts.connect": "60s",
    # A worker reuses the memory of one shard for the next, instead of giving it back and
    # having every page cleared again by the kernel.
    "distributed.nanny.pre-spawn-environ": {
        **ONE_THREAD,
        "MALLOC_TRIM_THRESHOLD_": str(2**28),
        "MALLOC_MMAP_THRESHOLD_": str(2**25),
    },
}


class DaskExecutor:
    """
    See Executor.

    Parameters
    ----------
    execution : Execution
        Embedded cluster of so many workers, or address or scheduler file of a running one.
    attempts : int
        How often a task may fail, or kill its worker, before it is given up.
    """

    def __init__(self, execution: Execution, attempts: int) -> None:
        self.execution, self.attempts = execution, attempts
        self._client: Client | None = None
        self._cluster: LocalCluster | None = None
        self._settings: Any = None
        self._run = uuid4().hex[:8]

    def __enter__(self) -> DaskExecutor:
        settings = {**SETTINGS, "distributed.scheduler.allowed-failures": self.attempts}
        self._settings = dask.config.set(settings)
        logging.getLogger("distributed").setLevel(logging.WARNING)
        if self.execution.scheduler:
            self._client = _connect(self.execution.scheduler)
        else:
            with _ctrl_c_for_the_client_alone():
                self._cluster = LocalCluster(
                    n_workers=self.execution.workers or os.cpu_count() or 1,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address=f"127.0.0.1:{_free_port(DASHBOARD_PORT)}",
                    memory_limit=int(self.execution.memory * 2**30) or "auto",
                    silence_logs=logging.ERROR,
                )
            self._client = Client(self._cluster)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """See Executor."""
        if self._client is not None:
            self._client.close(timeout=5)
        if self._cluster is not None:
            self._cluster.close(timeout=10)
        self._settings.__exit__(None, None, None)

    @property
    def workers(self) -> int:
        """See Executor."""
        return len(self._info())

    @property
    def worker_memory(self) -> int:
        """See Executor."""
        limits = [w["memory_limit"] for w in self._info().values() if w["memory_limit"]]
        return min(limits, default=2**63)

    @property
    def dashboard(self) -> str | None:
        """See Executor."""
        return str(self._connected.dashboard_link)

    def run(self, attempt: Attempt, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """See Executor.run."""
        waiting: dict[Future, Task] = {}
        todo = iter(tasks)
        done = as_completed()
        try:
            self._submit(attempt, todo, waiting, done)
            while waiting:
                future = next(done)
                task = waiting.pop(future)
                outcome = self._outcome(future, task)
                future.release()
                self._submit(attempt, todo, waiting, done)
                yield outcome
        except (CommClosedError, OSError, TimeoutError) as error:
            raise RunError(f"the Dask scheduler was lost: {error}") from error

    def _submit(
        self,
        attempt: Attempt,
        todo: Iterator[Task],
        waiting: dict[Future, Task],
        done: as_completed,
    ) -> None:
        ahead = WINDOW * max(1, self.workers)
        while len(waiting) < ahead:
            task = next(todo, None)
            if task is None:
                return
            # Keys are names on a scheduler that other campaigns may share.
            key = f"{task.key}-{self._run}"
            future = self._connected.submit(
                _try, attempt, task, key=key, retries=self.attempts - 1, pure=False
            )
            waiting[future] = task
            done.add(future)

    def _outcome(self, future: Future, task: Task) -> Outcome:
        if future.status == "finished":
            found = future.result()
            if isinstance(found, FINAL):
                return Outcome(task, error=found)
            return Outcome(task, receipt=found)
        if future.status in ("cancelled", "lost"):
            raise RunError("the Dask scheduler was lost, and with it the tasks under way")
        try:
            error = future.exception()
        except CancelledError as cancelled:
            raise RunError("the Dask scheduler was lost") from cancelled
        return Outcome(task, error=error)

    @property
    def _connected(self) -> Client:
        if self._client is None:
            raise RunError("the Dask executor was not started")
        return self._client

    def _info(self) -> dict[str, Any]:
        workers: dict[str, Any] = self._connected.scheduler_info(n_workers=-1)["workers"]
        return workers


def _try(attempt: Attempt, task: Task) -> Receipt | BaseException:
    """One attempt; errors that another attempt would only hide are given back, not raised."""
    try:
        return attempt(task)
    except FINAL as error:
        return error


def _connect(scheduler: str) -> Client:
    file = Path(scheduler)
    if "://" not in scheduler and not file.exists():
        raise CampaignError(
            f"[execution] scheduler must be an address such as tcp://host:8786, or an existing "
            f"scheduler file, got {scheduler}"
        )
    try:
        return (
            Client(scheduler, timeout="60s")
            if "://" in scheduler
            else Client(scheduler_file=scheduler, timeout="60s")
        )
    except (OSError, TimeoutError) as error:
        raise RunError(f"no Dask scheduler answers at {scheduler}: {error}") from error


@contextmanager
def _ctrl_c_for_the_client_alone() -> Iterator[None]:
    """Start processes that ignore Ctrl-C, which the terminal sends to all; the client ends them."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not in the main thread, where no Ctrl-C arrives
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _free_port(preferred: int) -> int:
    """Take the preferred port if it is free, any other if not."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            return 0
    return preferred
