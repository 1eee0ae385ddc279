"""A Dask worker that finishes its shard before it ends."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Any

from distributed import Status, Worker

FETCH_SECONDS = 5.0
"""A client may take to fetch the last receipts from a worker that ends."""


class GracefulWorker(Worker):  # type: ignore[misc]
    """
    A worker of Dask that finishes its shard before it ends, if that does not take too long.

    It does not heed signals: a batch system sends them to all processes, and it is the nanny
    that ends its worker.

    Parameters
    ----------
    *args : tuple
        As of a worker of Dask.
    grace : float
        Seconds that the shard under way may take to finish.
    **kwargs : dict
        As of a worker of Dask.
    """

    def __init__(self, *args: Any, grace: float = 30.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.grace, self.abandons = grace, False
        self.handlers["drain"] = self.drain
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)

    async def drain(self) -> None:
        """
        Take no more tasks, finish the one under way in time, and leave the cluster.

        The scheduler is told that this worker leaves on purpose. What it has not finished is
        given to others, and none of it is suspected to have killed a worker.
        """
        self.status = Status.closing_gracefully
        await _until(lambda: not self._computes(), self.grace)
        self.abandons = self._computes()
        if not self.abandons:
            await _until(lambda: not self.data, FETCH_SECONDS)
        await self.scheduler.unregister(
            address=self.address, expected=True, stimulus_id=f"drain-{time.time()}"
        )

    async def close(
        self, timeout: float = 30, executor_wait: bool = True, **kwargs: Any
    ) -> str | None:
        """
        End, after the shard under way if there is time; as of a worker of Dask otherwise.

        Parameters
        ----------
        timeout : float
            Seconds to wait at least, as Dask wants it.
        executor_wait : bool
            Whether to wait.
        **kwargs : dict
            As of a worker of Dask.
        """
        closed: str | None = await super().close(
            timeout=max(timeout, self.grace),
            executor_wait=executor_wait and not self.abandons,
            **kwargs,
        )
        return closed

    def _computes(self) -> bool:
        return bool(self.active_threads) or self.state.executing_count > 0


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until a condition holds, at most so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
