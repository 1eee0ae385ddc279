"""What breaks one TLS connection is not reported by another, whatever OpenSSL Python has."""

from __future__ import annotations

import _ssl
import contextlib
import ctypes
import errno
import socket
import ssl
import struct
import threading

import pytest
from distributed import Security

from distdesc.engine.executors.certificates import make_certificates
from distdesc.engine.executors.security import security_of
from distdesc.engine.executors.tls_sockets import _forget


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder, (), days=2)
    return str(folder)


@pytest.fixture
def connect(certificates):
    """Make connections as scheduler and client do; of each, the end of the scheduler is asked."""
    security = security_of(certificates)
    with contextlib.ExitStack() as opened:

        def pair() -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
            contexts = [
                security.get_listen_args("scheduler")["ssl_context"],
                security.get_connection_args("client")["ssl_context"],
            ]
            listening = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
            far = []

            def dial() -> None:
                raw = socket.create_connection(listening.getsockname())
                far.append(opened.enter_context(contexts[1].wrap_socket(raw)))

            dialling = threading.Thread(target=dial)
            dialling.start()
            accepted, _ = listening.accept()
            near = opened.enter_context(contexts[0].wrap_socket(accepted, server_side=True))
            dialling.join()
            near.setblocking(False)
            return near, far[0]

        yield pair


def break_off(near: ssl.SSLSocket, far: ssl.SSLSocket) -> OSError:
    """End a connection as a killed process does; what its other end says of it."""
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()
    for _ in range(1000):
        try:
            near.send(b"x" * 1000)
        except OSError as error:
            return error
    raise AssertionError("a broken connection takes all that is sent")


def test_a_broken_connection_does_not_break_another(connect):
    broken, healthy = connect(), connect()
    break_off(*broken)
    with pytest.raises(ssl.SSLWantReadError):
        healthy[0].recv_into(bytearray(10))
    assert healthy[0].send(b"alive") == 5
    assert healthy[1].recv(10) == b"alive"


def test_what_is_left_in_the_queue_of_openssl_is_forgotten(connect):
    library = ctypes.CDLL(_ssl.__file__)
    if not hasattr(library, "ERR_set_error"):
        pytest.skip("this Python's OpenSSL cannot be called")

    def leave_an_error() -> None:
        library.ERR_new()
        library.ERR_set_error(2, errno.EPIPE, None)  # 2: of the system

    healthy, _ = connect()
    leave_an_error()
    with pytest.raises(OSError) as caught:
        healthy.recv(10)  # an operation that does not look out for it
    assert not isinstance(caught.value, ssl.SSLWantReadError)
    leave_an_error()
    _forget(BrokenPipeError(errno.EPIPE, "of another"))
    with pytest.raises(ssl.SSLWantReadError):
        healthy.recv(10)


@pytest.mark.parametrize("tls", ["", "temporary", "folder"])
def test_every_security_of_ours_keeps_its_connections_apart(tls, certificates):
    security = security_of(certificates if tls == "folder" else tls)
    assert isinstance(security, Security)
    context = security.get_connection_args("client").get("ssl_context")
    if tls:
        assert context.sslsocket_class is not ssl.SSLSocket
    else:
        assert context is None
