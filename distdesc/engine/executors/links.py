"""Where the pages of a scheduler are, and how they are reached from here."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
from distributed import Client
from distributed.comm import CommClosedError, get_address_host, get_tcp_server_addresses
from distributed.utils import format_dashboard_link

from distdesc.engine.executors.exposure import is_loopback

ANY = ("0.0.0.0", "::")
"""Addresses of who listens on all that the machine has."""


@dataclass(frozen=True)
class Links:
    """
    Addresses of the pages of a scheduler.

    Parameters
    ----------
    dashboard : str
        Of Dask's dashboard; empty if there is none.
    tunnel : str
        Command that makes them lead there from this machine; empty if they do without.
    """

    dashboard: str = ""
    tunnel: str = ""

    def page(self, name: str) -> str:
        """
        Address of a page beside the dashboard's.

        Parameters
        ----------
        name : str
            Of the page.
        """
        return f"{self.dashboard.rpartition('/')[0]}/{name}"


@dataclass(frozen=True)
class WebServer:
    """
    What a scheduler says of its web server.

    Parameters
    ----------
    dashboard : bool
        Whether it shows one: it serves metrics in any case.
    listens : tuple of tuple of str and int
        Addresses and ports.
    network : str
        Whose loopback its loopback is.
    host : str
        Name of its machine.
    """

    dashboard: bool
    listens: tuple[tuple[str, int], ...]
    network: str
    host: str


def links_of(client: Client) -> Links:
    """
    Ask a scheduler where its pages are.

    Parameters
    ----------
    client : distributed.Client
        Connected.
    """
    try:
        server: WebServer = client.run_on_scheduler(web_server)
    except (ImportError, ValueError, AttributeError, KeyError, CommClosedError):
        # Such as a scheduler without distdesc, where Dask takes the pages to be as reachable as it.
        return Links(str(client.dashboard_link))
    if server.dashboard and "{host}" not in dask.config.get("distributed.dashboard.link"):
        return Links(str(client.dashboard_link))  # through a proxy that was set up
    return links(server, get_address_host(client.scheduler.address), own_network())


def links(server: WebServer, host: str, network: str) -> Links:
    """
    Addresses of pages as they are seen from a machine.

    Parameters
    ----------
    server : WebServer
        What the scheduler says.
    host : str
        Name or address of its machine, as it is reached from this one.
    network : str
        `own_network` of this one.
    """
    if not server.dashboard:
        return Links()
    reachable = [(host if at in ANY else at, port) for at, port in server.listens]
    at, port = min(reachable, key=lambda pair: is_loopback(_bracketed(pair[0])))
    link = format_dashboard_link(_bracketed(at), port)
    if not is_loopback(_bracketed(at)) or server.network == network:
        return Links(link)
    # A scheduler that is itself reached by a tunnel has another name there.
    return Links(link, tunnel(at, port, server.host if is_loopback(_bracketed(host)) else host))


def tunnel(at: str, port: int, host: str) -> str:
    """
    Command that makes a port of another machine one of this machine.

    Parameters
    ----------
    at : str
        Address on which that machine listens.
    port : int
        The port, on both.
    host : str
        Name or address of that machine.
    """
    return f"ssh -L {port}:{_bracketed(at)}:{port} {host}"


def web_server(dask_scheduler: Any = None) -> WebServer:
    """
    What a scheduler knows of its web server; runs there.

    Parameters
    ----------
    dask_scheduler : distributed.Scheduler
        Given by Dask.
    """
    return WebServer(
        bool(dask_scheduler.http_application.applications),
        tuple((a[0], a[1]) for a in get_tcp_server_addresses(dask_scheduler.http_server)),
        own_network(),
        socket.gethostname(),
    )


def own_network() -> str:
    """Tell the loopback of this process from those of others, of containers of this machine too."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/net')}"
    except OSError:
        return socket.gethostname()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
