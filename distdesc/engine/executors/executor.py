"""What an executor is: the thing that runs tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from distdesc.engine.plan import Task
from distdesc.errors import CampaignError, RunError, StoreError
from distdesc.monitor.tally import Tally
from distdesc.options import Execution
from distdesc.store.receipts import Receipt

TaskFunction = Callable[[Task], Receipt]
"""Makes one attempt of a task; picklable."""


FINAL = (CampaignError, RunError, StoreError)
"""Errors that are not tried again: they are of the run as a whole."""


class CrashError(Exception):
    """A shard that kills the processes that compute it; the other shards are computed."""


@dataclass(frozen=True)
class Outcome:
    """
    How a task ended.

    Parameters
    ----------
    task : Task
        The task.
    receipt : Receipt, optional
        If it was done.
    error : BaseException, optional
        The last error, if all attempts failed.
    crash : str
        How the task killed the worker that first tried it; empty if it did not.
    """

    task: Task
    receipt: Receipt | None = None
    error: BaseException | None = None
    crash: str = ""


class Executor(Protocol):
    """
    Runs tasks, in any order, each at least once until it is done or all attempts failed.

    Made by ``Executor(execution, attempts, seconds)`` and used as a context manager.

    Parameters
    ----------
    execution : Execution
        How tasks are run.
    attempts : int
        How often a task is tried.
    seconds : float
        An attempt that takes longer has hung, and its worker is ended; 0 for never.
    """

    def __init__(self, execution: Execution, attempts: int, seconds: float = 0.0) -> None: ...

    def __enter__(self) -> Executor:
        """Start whatever runs the tasks."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop what was started; attempts under way may be abandoned at any point."""
        ...

    @property
    def workers(self) -> int:
        """Processes that run tasks now."""
        ...

    @property
    def worker_memory(self) -> int:
        """Memory that one worker may use, in bytes."""
        ...

    @property
    def dashboard(self) -> str | None:
        """Address of a page that shows the work, if there is one."""
        ...

    @property
    def tunnel(self) -> str | None:
        """Command without which that address does not lead there from here, if it takes one."""
        ...

    def show(self, tally: Tally) -> str | None:
        """
        Show a campaign from here on, where people can watch it.

        Parameters
        ----------
        tally : Tally
            Of the campaign, with what earlier runs did.

        Returns
        -------
        str or None
            Address of the page, if there is one.
        """
        ...

    def run(
        self, attempt: TaskFunction, tasks: Iterable[Task], rescue: TaskFunction | None = None
    ) -> Iterator[Outcome]:
        """
        Outcomes of all tasks, as they come.

        Parameters
        ----------
        attempt : callable
            Called with a task, in the worker.
        tasks : iterable of Task
            Taken only as fast as workers get free.
        rescue : callable, optional
            Called instead, for a task that killed the worker that tried it, or may have: Dask
            does not know which task of a dead worker it was. An executor whose tasks run in
            this very process has no use for it.

        Raises
        ------
        RunError
            If the executor itself is lost; the run can be resumed.
        """
        ...
