"""
An S3 server on loopback: moto's, behind a door that counts requests and can be told to fail.

Run as ``python server.py``; the first line of its output is its address. ``/_door`` is the door's
own: GET gives what went through, by method and kind, and how many at once at the most; POST takes
``{"fail": n, "status": 503}``,
``{"lose": n}``, which carries out the next n conditional writes and breaks off the connection,
``{"hold": n}``, after which receipts wait until more are let through,
``{"latency": s}``, which every request takes longer, ``{"refuse": "x"}``, which refuses requests of
objects whose name ends so, at once, or ``{"reset": true}``.
"""

from __future__ import annotations

import collections
import io
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

AT_ONCE = "at once"
"""Key of the most requests that were waiting at the same time, in what GET gives."""

Start = Callable[..., Any]
Environment = dict[str, Any]


class Door:
    """What stands before moto."""

    def __init__(self) -> None:
        self.app = DomainDispatcherApplication(create_backend_app)
        self.counts: collections.Counter[str] = collections.Counter()
        self.fail, self.status, self.lose, self.hold = 0, 503, 0, sys.maxsize
        self.latency, self.refuse = 0.0, ""
        self.receipts = 0
        self.now = self.most = 0
        # A real server checks and writes a conditional PUT as one; moto, in two steps.
        self.writing = threading.Lock()
        self.counting = threading.Lock()

    def __call__(self, environ: Environment, start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/_door":
            return self.told(environ, start)
        self.counts[self.kind(environ)] += 1
        with self.counting:
            self.now += 1
            self.most = max(self.most, self.now)
        refused = self.refuse and environ["PATH_INFO"].endswith(self.refuse)
        time.sleep(0 if refused else self.latency)
        with self.counting:
            self.now -= 1
        # The whole body is taken before anything is answered, as real servers do.
        length = int(environ.get("CONTENT_LENGTH") or 0)
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length))
        if refused:
            return self.failure(start, 403)
        if self.fail > 0:
            self.fail -= 1
            self.counts["failed"] += 1
            return self.failure(start, self.status)
        if environ["REQUEST_METHOD"] != "PUT":
            return self.app(environ, start)
        conditional = "HTTP_IF_NONE_MATCH" in environ
        if conditional and "/receipts/" in environ["PATH_INFO"]:
            self.receipts += 1
            mine = self.receipts
            while mine > self.hold:
                time.sleep(0.05)
        with self.writing:
            if self.lose > 0 and conditional:
                self.lose -= 1
                list(self.app(environ, lambda *args: None))
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
                raise ConnectionAbortedError
            return self.app(environ, start)

    def kind(self, environ: Environment) -> str:
        """Method, and what it is for."""
        method, query = environ["REQUEST_METHOD"], environ["QUERY_STRING"]
        if method == "GET" and "list-type" in query:
            return "LIST"
        if method == "PUT" and ("HTTP_IF_NONE_MATCH" in environ or "HTTP_IF_MATCH" in environ):
            return "PUT if"
        return method

    @staticmethod
    def failure(start: Start, status: int) -> Iterable[bytes]:
        body = b"<Error><Code>SlowDown</Code><Message>reduce your rate</Message></Error>"
        start(
            f"{status} Failing",
            [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))],
        )
        return [body]

    def told(self, environ: Environment, start: Start) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            length = int(environ["CONTENT_LENGTH"])
            order = json.loads(environ["wsgi.input"].read(length))
            if order.get("reset"):
                self.fail, self.lose, self.hold, self.receipts = 0, 0, sys.maxsize, 0
                self.counts.clear()
                self.most, self.latency, self.refuse = 0, 0.0, ""
            self.fail = order.get("fail", self.fail)
            self.lose = order.get("lose", self.lose)
            self.hold = order.get("hold", self.hold)
            self.latency = order.get("latency", self.latency)
            self.refuse = order.get("refuse", self.refuse)
            self.status = order.get("status", self.status)
        body = json.dumps({**self.counts, AT_ONCE: self.most}).encode()
        start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


class Quiet(WSGIRequestHandler):
    """Keeps connections, and keeps no log."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log(self, kind: str, message: str, *arguments: object) -> None:
        pass


def main() -> None:
    """Serve until killed."""
    server = make_server("127.0.0.1", 0, Door(), threaded=True, request_handler=Quiet)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
