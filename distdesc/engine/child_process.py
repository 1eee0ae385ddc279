"""
Starts a child for one shard, watches it, and says how it ended; nothing else starts processes.

A child may use so much memory and so much time for a structure, and is killed when it uses more.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distdesc import errors
from distdesc.engine import child
from distdesc.engine.pieces import ENDLESS
from distdesc.engine.plan import Task
from distdesc.errors import RunError
from distdesc.place import Place

POLL = 0.02
"""Seconds between two looks at the memory of a child."""

PATIENCE = 3.0
"""A whole shard may take that many times as long as its structures one by one."""

START_SECONDS = 600.0
"""A child may take to import and compile, before it touches a structure."""

MEANINGS = {
    "SIGSEGV": ", a segmentation fault",
    "SIGABRT": ", an abort",
    "SIGBUS": ", a bus error",
    "SIGFPE": ", an arithmetic error",
    "SIGILL": ", an illegal instruction",
    "SIGKILL": ", as the system does when memory runs out",
}


@dataclass(frozen=True)
class Bounds:
    """
    What a child may use.

    Parameters
    ----------
    memory : int
        Resident memory, in bytes; 0 for no limit. Watched on Linux only.
    seconds : float
        For one structure, or a shard whose structures were not timed yet; 0 for no limit.
    """

    memory: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Work:
    """
    What a child is told, but for what it must leave out.

    Parameters
    ----------
    path : Place
        The store.
    digest : str
        Of the campaign.
    wanted : dict of str to str
        Versions that the client runs with.
    bounds : Bounds
        What a child may use.
    task : Task
        The shard, or part of a pass of the fit.
    fit : tuple of int and str, optional
        Number of the pass and digest of its basis, if it is such a part.
    """

    path: Place
    digest: str
    wanted: dict[str, str]
    bounds: Bounds
    task: Task
    fit: tuple[int, str] | None = None


@dataclass(frozen=True)
class Death:
    """
    How a child ended that did not finish.

    Parameters
    ----------
    at : int or None
        Structure it was at; None before the first, or after the last that it was to probe.
    reason : str
        What killed it.
    probed : bool
        Whether it had computed all structures that it was to probe.
    """

    at: int | None
    reason: str
    probed: bool = False


def run_child(
    work: Work,
    crashed: Mapping[int, str],
    probe: tuple[int, int] | None = None,
    spent: float = 0.0,
) -> Death | None:
    """
    Run a child to its end.

    Parameters
    ----------
    work : Work
        What it is for.
    crashed : mapping of int to str
        Structures that it must not touch, and why.
    probe : tuple of int, optional
        Half-open range of structures to compute one by one first, and keep nothing of.
    spent : float
        Seconds that the structures before that range took in other children.

    Returns
    -------
    Death or None
        None if it finished.

    Raises
    ------
    DistdescError
        That the child met with.
    """
    job = {
        "path": str(work.path), "digest": work.digest, "versions": work.wanted,
        "task": asdict(work.task), "fit": work.fit, "crashed": crashed, "probe": probe,
        "memory": work.bounds.memory or ENDLESS,
    }  # fmt: skip
    posted, post = os.pipe()
    try:
        process = _start(job, post)
        try:
            return _Watch(process, posted, work.bounds, spent).until_end()
        finally:
            process.kill()
            process.wait()
    finally:
        os.close(posted)


def _start(job: dict[str, Any], post: int) -> subprocess.Popen[bytes]:
    """Child that was given its job; the descriptor is its own from here on."""
    command = [sys.executable, "-m", child.__name__, str(post)]
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[post])
    finally:
        os.close(post)
    if process.stdin is not None:
        with suppress(BrokenPipeError), process.stdin as file:
            file.write(json.dumps(job).encode())
    return process


class _Watch:
    """Reads what a child posts, and kills it if it uses more than it may."""

    def __init__(
        self, process: subprocess.Popen[bytes], posted: int, bounds: Bounds, spent: float
    ) -> None:
        self.process, self.posted, self.bounds = process, posted, bounds
        self.allowed, self.probed = START_SECONDS, False
        self.spent = spent
        self.at: int | None = None
        self.finished = False
        self.error: tuple[str, str, int | None] | None = None
        self._waited = 0.0
        self._rest = b""

    def until_end(self) -> Death | None:
        """Death of the child, or None if it finished; errors that it posted are raised."""
        excess = ""
        while not excess and self._read():
            excess = self._excess()
        if excess:
            self.process.kill()
        code = self.process.wait()
        if self.error is not None and self.error[0] != MemoryError.__name__:
            raise _error(*self.error)
        if self.finished:
            return None
        if self.error is not None:
            excess = "needed more memory than there was (MemoryError)"
        return Death(self.at, excess or _end_of(code), self.probed)

    def _read(self) -> bool:
        """Take in what was posted; False when the child has ended."""
        before, ended = time.monotonic(), self.process.poll() is not None
        ready, _, _ = select.select([self.posted], [], [], POLL)
        # Not more than was seen: this process may have been stopped, and the child with it.
        waited = min(time.monotonic() - before, 10 * POLL)
        self._waited += waited
        self.spent += waited
        if not ready:
            return not ended
        data = os.read(self.posted, 2**16)
        whole, _, self._rest = (self._rest + data).rpartition(b"\n")
        for key, value in child.posts(whole):
            self._waited = 0.0
            self._take(key, value)
        return bool(data)

    def _take(self, key: str, value: Any) -> None:
        if key in (child.READY, child.AT):
            self.at, self.allowed = None if key == child.READY else int(value), self.bounds.seconds
        elif key == child.PROBED:
            self.at, self.probed = None, True
            if self.allowed:
                self.allowed = max(self.allowed, PATIENCE * self.spent)
        elif key == child.ERROR:
            self.error = (value[0], value[1], value[2])
        elif key == child.DONE:
            self.finished = True

    def _excess(self) -> str:
        """Say which bound is passed; empty if none is."""
        if self.allowed and self._waited > self.allowed:
            return f"took longer than {self.allowed:.3g} s"
        if self.bounds.memory and _resident(self.process.pid) > self.bounds.memory:
            return f"needed more than {self.bounds.memory / 2**30:.2f} GiB of memory"
        return ""


def _resident(pid: int) -> int:
    """Resident memory of a process in bytes; 0 if it has ended, or the system does not say."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _end_of(code: int) -> str:
    """Say how a process ended."""
    if code >= 0:
        return f"ended its process with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    what = MEANINGS.get(name, "")
    return f"killed its process with {name}{what}"


def _error(kind: str, message: str, number: int | None) -> Exception:
    """Error that a child posted."""
    if number is not None:
        return OSError(number, message)
    cls = getattr(errors, kind, RunError)
    return cls(message) if issubclass(cls, errors.DistdescError) else RunError(message)
