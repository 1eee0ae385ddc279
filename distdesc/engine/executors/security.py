"""What Dask is told so that scheduler, workers and client talk TLS only, and trust each other."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from distributed import Security

from distdesc.engine.executors.certificates import AUTHORITY, ROLES, certificate, needed
from distdesc.errors import CampaignError

TEMPORARY = "temporary"
"""Instead of a folder: certificates in memory, for an embedded cluster and as long as it lives."""


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
        return Security()
    if tls == TEMPORARY:
        try:
            return Security.temporary()
        except ImportError as error:
            raise CampaignError(
                'tls = "temporary" needs the package cryptography: pip install "distdesc[tls]"'
            ) from error
    folder = Path(tls).absolute()
    files = needed(folder, roles)
    keys = {f"tls_{role}_cert": str(pair[0]) for role, pair in files.items()}
    keys |= {f"tls_{role}_key": str(pair[1]) for role, pair in files.items()}
    security = Security(
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
