"""One trial of a task: what the client submits, and what a worker then does."""

from __future__ import annotations

import faulthandler
import os
from dataclasses import dataclass
from functools import cache
from typing import TextIO

from distributed import get_worker

from distdesc.engine.executors.executor import FINAL, CrashError, TaskFunction
from distdesc.engine.plan import Task
from distdesc.monitor.reporting import AttemptReport
from distdesc.store.receipts import Receipt


@dataclass(frozen=True)
class Trial:
    """A task under way: with which attempt, why, and how many workers it lost since."""

    task: Task
    attempt: TaskFunction
    crash: str = ""
    lost: int = 0

    @property
    def suffix(self) -> str:
        """Of its key, by which trials of one task differ."""
        return f"-alone-{self.lost}" if self.crash else ""


def tried(
    attempt: TaskFunction, task: Task, seconds: float, campaign: str
) -> Receipt | BaseException:
    """
    One attempt, on a worker; errors that another attempt would only hide are given back.

    Parameters
    ----------
    attempt : TaskFunction
        What is tried.
    task : Task
        With this.
    seconds : float
        A worker of one thread ends itself after so long; 0 for never.
    campaign : str
        Digest of the campaign whose page is told; empty if none is.

    Returns
    -------
    Receipt or BaseException
        An error that is raised instead is tried again by Dask.
    """
    armed = seconds > 0 and get_worker().state.nthreads == 1
    if armed:
        # Fires even if the interpreter is held by what hangs.
        faulthandler.dump_traceback_later(seconds, exit=True, file=_nowhere())
    try:
        with AttemptReport(campaign, task.stage, task.shard) as report:
            receipt = attempt(task)
            report.done(receipt)
        return receipt
    except (*FINAL, CrashError) as error:
        return error
    finally:
        if armed:
            faulthandler.cancel_dump_traceback_later()


@cache
def _nowhere() -> TextIO:
    """Take a traceback that would run to pages; open as long as the process."""
    return open(os.devnull, "w")
