"""Who can reach what listens, said in a line of warning if it is more than this machine."""

from __future__ import annotations

import logging
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

log = logging.getLogger(__name__)


def is_loopback(address: str) -> bool:
    """
    Whether only this machine can reach an address.

    Parameters
    ----------
    address : str
        ``host:port``, or a URL; the port may be missing.
    """
    host = urlsplit(address if "://" in address else f"//{address}").hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def warn_of_exposure(scheduler: str, dashboard: str, security: Any) -> None:
    """
    Say what others can reach, and what to do about it.

    Parameters
    ----------
    scheduler : str
        Address of the scheduler.
    dashboard : str
        Address of its dashboard; empty if there is none.
    security : distributed.Security
        Of the scheduler.
    """
    if not is_loopback(scheduler) and not security.require_encryption:
        log.warning(
            "whoever can reach %s can run any code on the scheduler and its workers: "
            "give --tls DIR (made by distdesc certs), or close the network to others",
            scheduler,
        )
    if dashboard and not is_loopback(dashboard):
        log.warning(
            "the dashboard at %s is open to whoever can reach it, without a password, also with "
            "--tls: keep it at 127.0.0.1 and use ssh -L 8787:127.0.0.1:8787 HOST, or put a proxy "
            "that asks who it is before it",
            dashboard,
        )
