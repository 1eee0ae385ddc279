"""Connects to a Dask scheduler that runs on its own."""

from __future__ import annotations

from distributed import Client
from distributed.comm.core import FatalCommClosedError

from distdesc.engine.executors.security import TEMPORARY, address_of, security_of
from distdesc.errors import CampaignError, LastingError, RunError


def connect(scheduler: str, tls: str) -> Client:
    """
    Client of a running scheduler.

    Parameters
    ----------
    scheduler : str
        Address or scheduler file.
    tls : str
        Folder of certificates; empty for no TLS.

    Raises
    ------
    CampaignError
        If this is no address, or there is no such file, or no certificates, or one side has TLS
        and the other has not.
    RunError
        If no scheduler answers.
    LastingError
        If one side refuses the certificate of the other.
    """
    if tls == TEMPORARY:
        raise CampaignError(
            "[execution] tls must be the folder of the certificates that the scheduler trusts, got "
            '"temporary", which is for workers on this machine'
        )
    security = security_of(tls, ("client",))
    try:
        return Client(address_of(scheduler, security), security=security, timeout="60s")
    except ValueError as error:
        raise CampaignError(
            f"[execution] scheduler must be an address such as tcp://host:8786, or an existing "
            f"scheduler file, got {scheduler}: {error}"
        ) from error
    except (OSError, TimeoutError) as error:
        kind = LastingError if isinstance(error, FatalCommClosedError) else RunError
        raise kind(f"no Dask scheduler answers at {scheduler}: {error}") from error
