"""One client at work on a store: whom it tells what happens, and the locks that it keeps alive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from distdesc.engine.events import Announced, Event, Listener
from distdesc.engine.share import Share
from distdesc.place import Place
from distdesc.store.lock import ClientLock, begin_lock, client_lock


@dataclass(frozen=True)
class Session:
    """
    One client at work on its share of a store; a lock is kept alive whenever something happens.

    Parameters
    ----------
    path : Place
        The store.
    share : Share
        What this client computes.
    listeners : sequence of callable
        Told every `Event`.
    """

    path: Place
    share: Share
    listeners: Sequence[Listener]
    _held: list[ClientLock] = field(default_factory=list, init=False)

    def tell(self, event: Event) -> None:
        """
        Tell the listeners.

        Parameters
        ----------
        event : Event
            What happened.
        """
        self.beat()
        for listener in self.listeners:
            listener(event)

    def beat(self) -> None:
        """Say to other clients that this one is alive."""
        for lock in self._held:
            lock.beat()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the share."""
        waiting = self._waiting if self.share.wait else None
        with client_lock(self.path, self.share.name, waiting) as lock:
            self._held.append(lock)
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold, besides the share, what is done once for all shares; others wait."""
        if not self.share.name:
            yield
            return
        with begin_lock(self.path, self._waiting) as lock:
            self._held.append(lock)
            yield
            self._held.remove(lock)

    def _waiting(self, holder: str) -> None:
        self.tell(Announced(f"waiting for another client ({holder})"))
