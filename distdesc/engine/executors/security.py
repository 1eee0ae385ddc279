"""What Dask is told so that scheduler, workers and client talk TLS only, and trust each other."""

from __future__ import annotations

import json
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distributed import Security

from distdesc.engine.executors.certificates import AUTHORITY, ROLES, certificate, needed
from distdesc.engine.executors.tls_sockets import ApartSocket
from distdesc.errors import CampaignError

TEMPORARY = "temporary"
"""Instead of a folder: certificates in memory, for an embedded cluster and as long as it lives."""


class Apart(Security):  # type: ignore[misc]
    """Security of Dask, of which each connection reports its own failures only."""

    def _get_tls_context(self, tls: dict[str, Any], purpose: ssl.Purpose) -> Any:
        context = super()._get_tls_context(tls, purpose)
        if context is not None:
            context.sslsocket_class = ApartSocket
        return context


def security_of(tls: str, roles: Sequence[str] = ROLES) -> Security:
    """
    Security of Dask: none, or TLS and nothing else.

    Parameters
    ----------
    tls : str
        Folder of certificates, as ``distdesc certs`` fills it; empty for what Dask's own
        configuration says, by default no TLS; ``temporary`` for certificates in memory.
    roles : sequence of str
        Roles of this process; for the others no key needs to be there.

    Raises
    ------
    CampaignError
        If a certificate or key is missing, is no certificate, or can be read by others.
    """
    if not tls:
        return Apart()
    if tls == TEMPORARY:
        try:
            return Apart.temporary()
        except ImportError as error:
            raise CampaignError(
                'tls = "temporary" needs the package cryptography: pip install "distdesc[tls]"'
            ) from error
    folder = Path(tls).absolute()
    files = needed(folder, roles)
    keys = {f"tls_{role}_cert": str(pair[0]) for role, pair in files.items()}
    keys |= {f"tls_{role}_key": str(pair[1]) for role, pair in files.items()}
    security = Apart(
        tls_ca_file=str(certificate(folder, AUTHORITY)), require_encryption=True, **keys
    )
    for role in roles:
        try:
            security.get_connection_args(role)
        except (ssl.SSLError, OSError) as error:
            raise CampaignError(
                f"{', '.join(f.name for f in files[role])} and ca.pem in {folder} must be a "
                f"certificate, its key and an authority, and they are not: {error}"
            ) from error
    return security


def is_scheduler_file(file: Path) -> bool:
    """
    Whether a scheduler has written its address there, to the end.

    Parameters
    ----------
    file : pathlib.Path
        The file, which may not exist.
    """
    try:
        return isinstance(json.loads(file.read_text())["address"], str)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def address_of(scheduler: str, security: Security) -> str:
    """
    Address of a scheduler that a process with that security can talk to.

    Parameters
    ----------
    scheduler : str
        Address, or scheduler file.
    security : distributed.Security
        Of the process.

    Raises
    ------
    CampaignError
        If the file is no scheduler file, or one side has TLS and the other has not.
    """
    address = scheduler
    if "://" not in scheduler:
        if not is_scheduler_file(Path(scheduler)):
            raise CampaignError(
                f"[execution] scheduler must be an address such as tcp://host:8786, or an existing "
                f"scheduler file, got {scheduler}"
            )
        address = json.loads(Path(scheduler).read_text())["address"]
    encrypted = address.startswith("tls://")
    if encrypted and security.tls_ca_file is None:
        raise CampaignError(f"the scheduler at {address} talks TLS: give --tls DIR")
    if not encrypted and security.require_encryption:
        raise CampaignError(
            f"the scheduler at {address} does not talk TLS, as was asked for: start it with --tls"
        )
    return address
