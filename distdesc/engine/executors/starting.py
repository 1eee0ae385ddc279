"""Where and how processes of an embedded cluster are started; knows nothing of Dask."""

from __future__ import annotations

import logging
import signal
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def ctrl_c_for_the_client_alone() -> Iterator[None]:
    """
    Start processes that Ctrl-C, which the terminal sends to all, does not end; the client does.

    Processes and threads inherit what is blocked, here and from the threads that are begun here.
    Ctrl-C and SIGTERM are not lost, nor do they leave half a cluster: they are heard when all
    have started.
    """
    heard: list[int] = []

    def _hear(number: int, frame: FrameType | None) -> None:
        """Note a signal: Ctrl-C, by a thread that was there before and does not block it."""
        heard.append(number)

    try:
        before = {number: signal.signal(number, _hear) for number in STOPS}
    except ValueError:  # not in the main thread, where no Ctrl-C arrives
        yield
        return
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        # What was blocked is noted now; a thread that does not block it may be late to take it.
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for stop, handler in reversed(before.items()):
            signal.signal(stop, handler)
    for number in heard[:1]:
        signal.raise_signal(number)


@contextmanager
def no_word_about_ports() -> Iterator[None]:
    """
    Start servers that take another port in silence if theirs was taken meanwhile.

    The address that they have in the end is told where the run says that it begins.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"(?s)Port \d+ is already in use", UserWarning)
        yield


@contextmanager
def no_word_about_calls_not_begun() -> Iterator[None]:
    """
    Let Ctrl-C stop calls to the scheduler that have not begun, without a traceback of Dask's.

    `distributed.utils.sync` then cancels what it has not made yet, which fails in its event loop
    and changes nothing, but is logged.
    """
    logger = logging.getLogger("tornado.application")
    logger.addFilter(_is_of_a_call_begun)
    try:
        yield
    finally:
        logger.removeFilter(_is_of_a_call_begun)


def _is_of_a_call_begun(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, NameError) and "sync.<locals>.cancel" in record.getMessage())


def free_port(preferred: int) -> int:
    """
    Take the preferred port of this machine if it is free, any other if not.

    Parameters
    ----------
    preferred : int
        Number of the port.

    Returns
    -------
    int
        Zero for any.
    """
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            return 0
    return preferred
