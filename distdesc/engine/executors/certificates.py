"""Files of a cluster's certificates: where they are in a folder, and how they are made."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from distdesc.errors import CampaignError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

AUTHORITY = "ca"
ROLES = ("scheduler", "worker", "client")
MAX_DAYS = 3650
CLOCK_SKEW = timedelta(minutes=10)
"""A certificate is valid that long before it was made: the clocks of a cluster differ."""


def certificate(folder: Path, role: str) -> Path:
    """
    File of a certificate, which may be seen by all.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the certificates.
    role : str
        ``ca``, ``scheduler``, ``worker`` or ``client``.
    """
    return folder / f"{role}.pem"


def key(folder: Path, role: str) -> Path:
    """
    File of a private key, which only its owner may read.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the certificates.
    role : str
        ``ca``, ``scheduler``, ``worker`` or ``client``.
    """
    return folder / f"{role}-key.pem"


def needed(folder: Path, roles: Sequence[str]) -> dict[str, tuple[Path, Path]]:
    """
    Certificate and key of each role, which are there and are no one else's to read.

    Parameters
    ----------
    folder : pathlib.Path
        As `make_certificates` fills it.
    roles : sequence of str
        Of `ROLES`.

    Raises
    ------
    CampaignError
        If a file is missing, or a key can be read by others.
    """
    found = {role: (certificate(folder, role), key(folder, role)) for role in roles}
    for file in (certificate(folder, AUTHORITY), *(f for pair in found.values() for f in pair)):
        if not file.is_file():
            raise CampaignError(
                f"tls must be a folder of certificates with {file.name}, and {folder} has none: "
                f'make them with "distdesc certs {folder}", or copy them from where they are'
            )
    for _, secret in found.values():
        status = secret.stat()
        mode = status.st_mode & 0o777
        # A secret that a container is given is root's, and its group's to read: no one else can
        # have put it there.
        given = status.st_uid == 0 != os.geteuid()
        if mode & (0o037 if given else 0o077):
            raise CampaignError(
                f"{secret} must be readable by its owner alone, and its mode is {mode:04o}: "
                f"chmod 600 {secret}"
            )
    return found


def days_left(folder: Path) -> dict[str, float]:
    """
    Days until the certificates in a folder are valid no more; none without the library for it.

    Parameters
    ----------
    folder : pathlib.Path
        With the certificates of some roles.

    Returns
    -------
    dict of str to float
        By file name.
    """
    try:
        from cryptography import x509
    except ImportError:
        return {}
    found = {}
    for file in (certificate(folder, role) for role in (AUTHORITY, *ROLES)):
        if file.is_file():
            until = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
            found[file.name] = (until - datetime.now(UTC)) / timedelta(days=1)
    return found


def make_certificates(folder: Path, hosts: Sequence[str] = (), days: int = 365) -> list[Path]:
    """
    Make an authority, and a key with a certificate of it for each role.

    Parameters
    ----------
    folder : pathlib.Path
        Where the files go; made if it is not there. None of them may exist.
    hosts : sequence of str
        Names and addresses that the certificates are for, besides the loopback. Dask does not
        compare them: whoever has a certificate of the authority is let in, from anywhere.
    days : int
        How long they are valid.

    Returns
    -------
    list of pathlib.Path
        The files.

    Raises
    ------
    CampaignError
        If a file exists already, the folder cannot be made, days are out of range or the
        library for it is not installed.
    """
    if not 1 <= days <= MAX_DAYS:
        raise CampaignError(f"days must be from 1 to {MAX_DAYS}, got {days}")
    try:
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise CampaignError(
            'making certificates needs the package cryptography: pip install "distdesc[tls]"'
        ) from error
    files = [f(folder, r) for r in (AUTHORITY, *ROLES) for f in (certificate, key)]
    for file in files:
        if file.exists() or file.is_symlink():
            raise CampaignError(f"{file} exists, and is not overwritten; give an empty folder")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CampaignError(f"{folder} cannot be made: {error.strerror}") from error
    until = datetime.now(UTC) + timedelta(days=days)
    secret = ec.generate_private_key(ec.SECP256R1())
    authority = _signed("distdesc authority", secret, (), until, None, secret)
    _save(folder, AUTHORITY, authority, secret)
    for role in ROLES:
        own = ec.generate_private_key(ec.SECP256R1())
        signed = _signed(f"distdesc {role}", own, hosts, until, authority, secret)
        _save(folder, role, signed, own)
    return files


def _signed(
    name: str,
    own: ec.EllipticCurvePrivateKey,
    hosts: Sequence[str],
    until: datetime,
    authority: x509.Certificate | None,
    secret: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    """Certificate of a key; of the authority itself if there is none yet."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if authority is None else authority.subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - CLOCK_SKEW)
        .not_valid_after(until)
        .add_extension(
            x509.BasicConstraints(
                ca=authority is None, path_length=0 if authority is None else None
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(secret.public_key()), critical=False
        )
        .add_extension(_usage(authority is None), critical=True)
    )
    if authority is not None:
        # Workers connect to each other: every role both listens and calls.
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        names = [_name(host) for host in dict.fromkeys(("localhost", "127.0.0.1", "::1", *hosts))]
        built = built.add_extension(x509.ExtendedKeyUsage(both), critical=False)
        built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return built.sign(secret, hashes.SHA256())


def _usage(authority: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not authority, key_cert_sign=authority, crl_sign=authority,
        content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _name(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError as error:
        raise CampaignError(f"hosts must be names or addresses, got {host!r}") from error


def _save(
    folder: Path, role: str, signed: x509.Certificate, secret: ec.EllipticCurvePrivateKey
) -> None:
    from cryptography.hazmat.primitives import serialization as form

    text = secret.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    _create(key(folder, role), text, 0o600)
    _create(certificate(folder, role), signed.public_bytes(form.Encoding.PEM), 0o644)


def _create(file: Path, text: bytes, mode: int) -> None:
    """Write a file that was not there, with its mode from the first byte on."""
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
            out.write(text)
    except OSError as error:
        raise CampaignError(f"{file} cannot be written: {error.strerror}") from error
