"""TLS connections whose failure is theirs alone: what broke one must not be reported by another."""

from __future__ import annotations

import ssl
from contextlib import suppress
from functools import cache
from typing import Any


class ApartSocket(ssl.SSLSocket):
    """
    A TLS socket that leaves no error of the system in OpenSSL's queue.

    There is one queue in each thread. An error that stays in it, such as that the peer was killed,
    may be reported once more by the next operation on any connection (CPython, issue 148594; seen
    with OpenSSL 3.5): the scheduler would lose the client with a worker.
    """

    def send(self, *arguments: Any) -> int:
        """
        See ssl.SSLSocket.

        Parameters
        ----------
        *arguments
            The same.
        """
        try:
            return super().send(*arguments)
        except OSError as error:
            _forget(error)
            raise

    def recv_into(self, *arguments: Any) -> int:
        """
        See ssl.SSLSocket.

        Parameters
        ----------
        *arguments
            The same.
        """
        try:
            return super().recv_into(*arguments)
        except OSError as error:
            _forget(error)
            raise

    def do_handshake(self, block: bool = False) -> None:
        """
        See ssl.SSLSocket.

        Parameters
        ----------
        block : bool
            Whether to wait, whatever the socket does else.
        """
        try:
            super().do_handshake(block)
        except OSError as error:
            _forget(error)
            raise


def _forget(error: OSError) -> None:
    """Empty the queue of this thread; after errors of TLS itself, CPython does."""
    if not isinstance(error, ssl.SSLError):
        with suppress(ssl.SSLError):
            # Refused, and then CPython empties the queue: it offers no other way.
            _spare().set_ciphers("none that there is")


@cache
def _spare() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
