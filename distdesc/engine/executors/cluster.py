"""A scheduler, or workers, that run on their own: what deployments start on their machines."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dask
from distributed import Nanny, Scheduler, Status
from distributed.comm.core import FatalCommClosedError
from distributed.system import MEMORY_LIMIT

from distdesc.engine.executors.deployment import SchedulerOptions, WorkerOptions
from distdesc.engine.executors.exposure import warn_of_exposure
from distdesc.engine.executors.graceful import FETCH_SECONDS, GracefulWorker
from distdesc.engine.executors.security import address_of, is_scheduler_file, security_of
from distdesc.engine.executors.settings import SETTINGS
from distdesc.errors import LastingError, RunError, is_denied

SCHEDULER_PATIENCE = 600
"""Seconds that workers wait for a scheduler that is not there yet."""

CLOSE_SECONDS = 5.0
"""A worker process may take to end, when it computes nothing any more, before it is killed."""


def run_scheduler(options: SchedulerOptions) -> None:
    """
    Run a scheduler until it gets SIGTERM or SIGINT.

    Parameters
    ----------
    options : SchedulerOptions
        Where it listens.

    Raises
    ------
    RunError
        If it cannot listen there now.
    LastingError
        If it never can.
    """
    security = security_of(options.tls, ("scheduler",))
    host = options.host or ("" if options.interface else "127.0.0.1")
    dashboard = options.dashboard != "none"

    async def until_told() -> None:
        """Listen until a signal comes."""
        async with Scheduler(
            host=host or None,
            interface=options.interface or None,
            port=options.port,
            protocol="tls" if security.require_encryption else "tcp",
            security=security,
            scheduler_file=options.scheduler_file or None,
            dashboard=dashboard,
            dashboard_address=options.dashboard if dashboard else "127.0.0.1:0",
        ) as scheduler:
            warn_of_exposure(scheduler.address, options.dashboard if dashboard else "", security)
            try:
                await _told(scheduler.finished())
            finally:
                if options.scheduler_file:
                    Path(options.scheduler_file).unlink(missing_ok=True)

    where = f"{host or options.interface}:{options.port}"
    _run(until_told(), f"no scheduler can be started at {where}")


def run_workers(options: WorkerOptions) -> None:
    """
    Run workers until their lifetime is over, the scheduler is gone, or SIGTERM or SIGINT.

    Parameters
    ----------
    options : WorkerOptions
        How many, with what, for how long.

    Raises
    ------
    RunError
        If no scheduler answers, or workers cannot be started now.
    LastingError
        If they never can, such as by a certificate that is refused.
    """
    security = security_of(options.tls, ("worker",))
    refusal = f"workers of the scheduler {options.scheduler} cannot be started"
    _run(_work(options, security), refusal)


def _run(work: Coroutine[Any, Any, None], refusal: str) -> None:
    """Run to the end, with our settings of Dask; what fails is told after the refusal."""
    try:
        with dask.config.set(SETTINGS):
            asyncio.run(work)
    except (RuntimeError, OSError, ValueError) as error:  # TimeoutError is an OSError
        cause = error.__cause__ or error
        # An interface that is not there, a certificate that is refused, a port that is forbidden.
        lasts = isinstance(cause, (ValueError, FatalCommClosedError)) or is_denied(cause)
        raise (LastingError if lasts else RunError)(f"{refusal}: {cause}") from error


async def _work(options: WorkerOptions, security: Any) -> None:
    scheduler = await _address(options.scheduler, security)
    host = options.host or ("" if options.interface else _own_address(scheduler))
    warn_of_exposure(host or options.interface, "", security)
    nannies = [_nanny(options, scheduler, host, security, k) for k in range(options.count)]
    running = asyncio.ensure_future(_started_and_finished(nannies))
    ending = [asyncio.ensure_future(_end_in_time(nanny, options)) for nanny in nannies]
    try:
        if await _told(running):
            await asyncio.gather(*(_end(nanny, options.seconds("grace")) for nanny in nannies))
    finally:
        for task in ending:
            task.cancel()
        await asyncio.gather(*(nanny.close(timeout=CLOSE_SECONDS) for nanny in nannies))


async def _address(scheduler: str, security: Any) -> str:
    """Address of a scheduler, whose file may not be there yet, or not be whole."""
    deadline = time.monotonic() + SCHEDULER_PATIENCE
    while "://" not in scheduler and not is_scheduler_file(Path(scheduler)):
        if time.monotonic() > deadline:
            raise RunError(f"no scheduler wrote its address to {scheduler}")
        await asyncio.sleep(0.2)
    return address_of(scheduler, security)


def _own_address(scheduler: str) -> str:
    """Address of this machine from which a scheduler is reached."""
    url = urlsplit(scheduler)
    family, *_, there = socket.getaddrinfo(url.hostname, url.port or 8786, type=socket.SOCK_DGRAM)[
        0
    ]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(there)
        host = str(probe.getsockname()[0])
    return f"[{host}]" if family == socket.AF_INET6 else host


def _nanny(options: WorkerOptions, scheduler: str, host: str, security: Any, k: int) -> Any:
    name = f"{options.name}-{k}" if options.count > 1 else options.name
    return Nanny(
        scheduler,
        nthreads=1,
        memory_limit=int(options.memory * 2**30) or MEMORY_LIMIT // options.count,
        name=name if options.name else None,
        host=host or None,
        interface=options.interface or None,
        local_directory=options.local_directory or None,
        death_timeout=SCHEDULER_PATIENCE,
        security=security,
        worker_class=GracefulWorker,
        grace=options.seconds("grace"),
    )


async def _started_and_finished(nannies: list[Any]) -> None:
    await asyncio.gather(*nannies)
    await asyncio.gather(*(nanny.finished() for nanny in nannies))


async def _end_in_time(nanny: Any, options: WorkerOptions) -> None:
    """End one when its lifetime is over; the time counts from here, not from its last restart."""
    if options.lifetime:
        earlier = random.random() * options.seconds("stagger")
        await asyncio.sleep(options.seconds("lifetime") - earlier)
        await _end(nanny, options.seconds("grace"))


async def _end(nanny: Any, grace: float) -> None:
    """End a nanny and its worker, which may finish its shard first."""
    deadline = time.monotonic() + grace
    left = CLOSE_SECONDS
    if nanny.worker_address is not None and nanny.status == Status.running:
        nanny.close_gracefully(reason="told to end")
        try:
            async with nanny.rpc(nanny.worker_address) as worker:
                await asyncio.wait_for(worker.drain(), grace + FETCH_SECONDS + CLOSE_SECONDS)
        except (OSError, TimeoutError):
            # The scheduler went first, and the worker ends by itself.
            left = max(left, deadline - time.monotonic())
    await nanny.close(timeout=left)


async def _told(finished: Coroutine[Any, Any, Any] | asyncio.Future[Any]) -> bool:
    """Wait for SIGTERM or SIGINT, which gives True, or for something to finish by itself."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    done = asyncio.ensure_future(finished)
    signalled = asyncio.ensure_future(told.wait())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    await asyncio.wait({done, signalled}, return_when=asyncio.FIRST_COMPLETED)
    signalled.cancel()
    if done.done():
        done.result()
        return False
    done.cancel()
    return True
