"""Tasks one after the other in this process: the reference, and the one to debug in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from types import TracebackType

from distdesc.engine.executors.executor import FINAL, CrashError, Outcome, TaskFunction
from distdesc.engine.plan import Task
from distdesc.errors import DistdescError
from distdesc.monitor.tally import Tally
from distdesc.options import Execution


class SerialExecutor:
    """
    One shard after the other, in the process of the command.

    Parameters
    ----------
    execution : Execution
        Its memory limit is taken over; there is one worker.
    attempts : int
        How often a task is tried.
    seconds : float
        Not used: this process does not end itself.
    """

    def __init__(self, execution: Execution, attempts: int, seconds: float = 0.0) -> None:
        self.execution, self.attempts, self.seconds = execution, attempts, seconds

    def __enter__(self) -> SerialExecutor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """See Executor."""

    @property
    def workers(self) -> int:
        """See Executor."""
        return 1

    @property
    def worker_memory(self) -> int:
        """See Executor."""
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return int(self.execution.memory * 2**30) or machine

    @property
    def dashboard(self) -> str | None:
        """See Executor."""
        return None

    @property
    def tunnel(self) -> str | None:
        """See Executor."""
        return None

    def show(self, tally: Tally) -> None:
        """See Executor.show."""

    def run(
        self, attempt: TaskFunction, tasks: Iterable[Task], rescue: TaskFunction | None = None
    ) -> Iterator[Outcome]:
        """See Executor.run."""
        for task in tasks:
            yield self._outcome(attempt, task)

    def _outcome(self, attempt: TaskFunction, task: Task) -> Outcome:
        last: BaseException | None = None
        for _ in range(self.attempts):
            try:
                return Outcome(task, receipt=attempt(task))
            except (*FINAL, CrashError) as error:
                return Outcome(task, error=error)
            except (OSError, MemoryError, DistdescError) as error:
                last = error
        return Outcome(task, error=last)
