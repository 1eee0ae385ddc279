"""One client per store: an advisory lock that a dead client cannot hold."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distdesc.errors import StoreError
from distdesc.store.objects import publish

STALE_AFTER = 600.0
"""Seconds without a sign of life after which a client on another host is taken as dead."""


class ClientLock:
    """
    The lock of a running client.

    Parameters
    ----------
    file : pathlib.Path
        Its file.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._beat = time.monotonic()

    def beat(self) -> None:
        """Show that this client lives; cheap enough to be called for every shard."""
        if time.monotonic() - self._beat > STALE_AFTER / 20:
            self._beat = time.monotonic()
            os.utime(self.file)


@contextmanager
def client_lock(path: Path) -> Iterator[ClientLock]:
    """
    Hold the store for one client; two would do every shard twice.

    Results would still be right, since attempts are interchangeable: the lock saves work.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the store.

    Raises
    ------
    StoreError
        If another client holds it and is alive.
    """
    file = path / "run" / "client.lock"
    me = {"host": socket.gethostname(), "pid": os.getpid()}
    while not publish(file, json.dumps(me).encode()):
        holder = _holder(file)
        if holder is not None:
            raise StoreError(
                f"{path} is being worked on by another client ({holder}); wait for it, or stop it"
            )
        file.unlink(missing_ok=True)
    try:
        yield ClientLock(file)
    finally:
        file.unlink(missing_ok=True)


def _holder(file: Path) -> str | None:
    """Who holds the lock and is alive, or None."""
    try:
        data = json.loads(file.read_bytes())
        age = time.time() - file.stat().st_mtime
        host, pid = str(data["host"]), int(data["pid"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return None
    if host != socket.gethostname():
        return f"process {pid} on {host}" if age < STALE_AFTER else None
    if pid == os.getpid():
        return f"this process, {pid}"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return f"process {pid} on this host"
