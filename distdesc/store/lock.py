"""One client per store, or per share of it: advisory locks that a dead client cannot hold."""

from __future__ import annotations

import json
import os
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from distdesc.errors import StoreError
from distdesc.place import Place
from distdesc.store import leases, storage
from distdesc.store.containment import check_links
from distdesc.store.local import PARTIAL
from distdesc.store.objects import parsed

LOCK = "run/client.lock"
"""The lock of a client that has all of the store."""

SHARE_LOCK = "run/client-{share}.lock"
"""The lock of a client that has a share of it."""

BEGIN_LOCK = "run/begin.lock"
"""The lock of the one that does, for all shares, what is done once."""

_LOCKS = re.compile(r"begin\.lock|client(-\d+-of-\d+)?\.lock")

POLL = 1.0
"""Seconds between looks of a client that waits."""

TOKEN = "token"
"""Key, in the lock, of what no other lock has."""

STALE_AFTER = 600.0
"""Seconds without a sign of life after which a client on another host is taken as dead."""


class ClientLock:
    """
    The lock of a running client.

    Parameters
    ----------
    file : Place
        Where it is.
    mine : bytes
        What it holds.
    """

    def __init__(self, file: Place, mine: bytes) -> None:
        self.file, self.mine = file, mine
        self._beat = time.monotonic()

    def beat(self) -> None:
        """
        Show that this client lives; cheap enough to be called for every shard.

        Raises
        ------
        StoreError
            If another client holds the store by now: it took this one for dead.
        """
        if time.monotonic() - self._beat > STALE_AFTER / 20:
            self._beat = time.monotonic()
            with suppress(FileNotFoundError):
                if not leases.touch(self.file, self.mine):
                    raise StoreError(
                        f"another client works on the store by now ({_holder(self.file)}): it "
                        f"took this one, which was stopped for long, for dead"
                    )


def is_lock(name: str) -> bool:
    """
    Whether a file in ``run`` is a lock.

    Parameters
    ----------
    name : str
        Its name.
    """
    return _LOCKS.fullmatch(name) is not None


def is_being_taken(file: Path) -> bool:
    """
    Whether a half-written file may be a lock that a client is about to take, or to take away.

    Parameters
    ----------
    file : pathlib.Path
        The file; one that was not touched for long is a dead client's.
    """
    name = file.name.removesuffix(PARTIAL)
    if name == file.name or not is_lock(name.rpartition(".")[0]):
        return False
    with suppress(FileNotFoundError):
        return time.time() - file.stat().st_mtime < STALE_AFTER
    return False


@contextmanager
def client_lock(
    path: Place, share: str = "", waiting: Callable[[str], None] | None = None
) -> Iterator[ClientLock]:
    """
    Hold the store, or a share of it, for one client; two would do every shard twice.

    Results would still be right, since attempts are interchangeable: the lock saves work.

    Parameters
    ----------
    path : Place
        The store.
    share : str
        Name of the share; empty for all of the store, which no share may be held of then.
    waiting : callable, optional
        Called once with whoever holds it, to wait until that client is gone or dead.

    Raises
    ------
    StoreError
        If another client holds it and is alive, and this one does not wait.
    """
    check_links(path)
    file = path / (SHARE_LOCK.format(share=share) if share else LOCK)

    def rival() -> str | None:
        """Client of what overlaps with this."""
        if share:
            return _holder(path / LOCK)
        shares = (n for n in storage.names(path / "run") if is_lock(n) and n != file.name)
        return next((h for n in shares if (h := _holder(path / "run" / n))), None)

    with _held(file, rival, waiting) as lock:
        yield lock


@contextmanager
def begin_lock(path: Place, waiting: Callable[[str], None]) -> Iterator[ClientLock]:
    """
    Hold what is done once for all shares of a store; others wait.

    Parameters
    ----------
    path : Place
        The store.
    waiting : callable
        See `client_lock`.
    """
    with _held(path / BEGIN_LOCK, lambda: None, waiting) as lock:
        yield lock


@contextmanager
def _held(
    file: Place, rival: Callable[[], str | None], waiting: Callable[[str], None] | None
) -> Iterator[ClientLock]:
    """Hold a lock for which there is no rival: of two that come together, both see the other."""
    # The token tells this lock from one that this process held before, or holds.
    me = json.dumps({**_identity(os.getpid()), TOKEN: uuid.uuid4().hex}).encode()
    said = False
    while True:
        holder = _taken(file, me)
        if holder is None:
            holder = rival()
            if holder is None:
                break
            _release(file, me)
        if waiting is None:
            raise StoreError(
                f"{file.parent.parent} is being worked on by another client ({holder}); wait for "
                f"it, or stop it"
            )
        if not said:
            waiting(holder)
            said = True
        time.sleep(POLL)
    try:
        yield ClientLock(file, me)
    finally:
        _release(file, me)


def _taken(file: Place, me: bytes) -> str | None:
    """Take the lock; who holds it and is alive, if that is another."""
    while not storage.create(file, me):
        holder = _holder(file)
        if holder is not None:
            return holder
        if _take_over(file, me):
            break
    return None


def _release(file: Place, me: bytes) -> None:
    with suppress(OSError):
        if storage.read(file) == me:
            storage.delete(file)


def _take_over(file: Place, me: bytes) -> bool:
    """Have a dead client's lock, or at least out of the way, for all to try again."""
    if isinstance(file, Path):
        _take_away(file)
        return False
    with suppress(FileNotFoundError):
        return leases.swap(file, me, lambda: _holder(file) is None)
    return False


def _take_away(file: Path) -> None:
    """
    Remove a dead client's lock, and no other.

    Of two clients that find the same dead one, the slower might remove the lock that the faster
    has taken by then: so it is looked at again when it is out of the way, and put back.
    """
    aside = file.with_name(f"{file.name}.{uuid.uuid4().hex}{PARTIAL}")
    with suppress(FileNotFoundError):
        file.rename(aside)
        if _holder(aside) is not None:
            with suppress(FileExistsError):
                os.link(aside, file)
        aside.unlink()


def _holder(file: Place) -> str | None:
    """Who holds the lock and is alive, or None."""
    try:
        text, age = leases.aged(file)
        data = parsed(text)
        data.pop(TOKEN, None)
        host, pid = str(data["host"]), int(data["pid"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if host != socket.gethostname():
        return f"process {pid} on {host}" if age < STALE_AFTER else None
    # The same number may be another process by now: after a restart, or in a container.
    return f"process {pid} on this host" if data == _identity(pid) else None


def _identity(pid: int) -> dict[str, str | int]:
    """Host, number and start of a process; the start is 0 if there is no such process."""
    started = 0
    with suppress(OSError, ValueError, IndexError):
        # Field 22 of proc(5), after the name, which may hold anything up to the last bracket.
        stat = Path(f"/proc/{pid}/stat").read_text()
        started = int(stat.rpartition(")")[2].split()[19])
    boot = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return {"host": socket.gethostname(), "pid": pid, "started": started, "boot": boot}
