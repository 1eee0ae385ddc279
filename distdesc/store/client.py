"""Clients of object stores: told by the environment alone where to go and who one is."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from distdesc.errors import StoreError

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Client

CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_METADATA_ENDPOINT",
    "AWS_SKIP_SIGNATURE",
)
"""Variables of the environment, one of which says who one is."""

TRIES = 10
"""Of a request, over at most three minutes, unless ``AWS_MAX_ATTEMPTS`` says otherwise."""


def environment() -> tuple[tuple[str, str], ...]:
    """Variables that say where object stores are, and who one is."""
    kinds = ("AWS_", "GOOGLE_", "AZURE_")
    return tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith(kinds)))


def client(scheme: str, name: str, prefix: str | None = None) -> Client:
    """
    Client of an object store, told by the environment where it is and who one is.

    Parameters
    ----------
    scheme, name : str
        Of the bucket.
    prefix : str, optional
        Of all names.

    Raises
    ------
    StoreError
        If nothing says who one is, a package is missing, or a variable has no meaning.
    """
    try:
        from obstore import store
    except ModuleNotFoundError as error:
        raise StoreError(
            f"{scheme}://{name} is an object store, which needs obstore: pip install 'distdesc[s3]'"
        ) from error
    options: dict[str, Any] = {
        "client_options": {"timeout": "2 minutes", "connect_timeout": "10 seconds"},
        "retry_config": {"max_retries": _tries() - 1},
        "prefix": prefix,
    }
    if scheme == "gs":
        return store.GCSStore(name, **options)
    if scheme == "az":
        return store.AzureStore(name, **options)
    if not any(k in os.environ for k in CREDENTIALS):
        raise StoreError(
            f"there are no credentials for {scheme}://{name}: set AWS_ACCESS_KEY_ID and "
            f"AWS_SECRET_ACCESS_KEY in the environment, here and of every worker"
        )
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
    if endpoint:
        options["endpoint"] = endpoint
        # Whoever spells it out wants it.
        options["client_options"]["allow_http"] = endpoint.startswith("http://")
    return store.S3Store(name, **options)


def _tries() -> int:
    text = os.environ.get("AWS_MAX_ATTEMPTS", str(TRIES))
    if not text.isdecimal():
        raise StoreError(f"AWS_MAX_ATTEMPTS must be a whole number, got {text!r}")
    return max(1, int(text))


@contextmanager
def told(url: str) -> Iterator[None]:
    """
    Errors of an object store as those that files give, or of ours.

    Parameters
    ----------
    url : str
        What was asked for.

    Raises
    ------
    StoreError
        If there is no such bucket, or it was refused.
    """
    from obstore import exceptions

    try:
        yield
    except FileNotFoundError as error:
        _check_bucket(url, str(error))
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url) from None
    except (exceptions.AlreadyExistsError, exceptions.PreconditionError) as error:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), url) from error
    except exceptions.BaseError as error:
        message = str(error)
        _check_bucket(url, message)
        refused = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)
        # Of a listing, the kind of the error does not say.
        if isinstance(error, refused) or re.search(r"status code: 40[13]\b", message):
            raise StoreError(
                f"{url} was refused ({_said(message)}); check the credentials in the environment, "
                f"and what they may do: read, write, list and delete"
            ) from None
        raise OSError(errno.EIO, _said(message), url) from None


def _check_bucket(url: str, message: str) -> None:
    if "NoSuchBucket" in message:
        bucket = "/".join(url.split("/")[:3])
        raise StoreError(f"there is no bucket {bucket}; create it, or choose another [store] path")


def _said(message: str) -> str:
    """What the server says, in a line; what the client adds is for its developers."""
    answer = re.search(r"<Code>(.*?)</Code>.*?<Message>(.*?)</Message>", message, re.DOTALL)
    status = re.search(r"status code: (\d+ [\w ]+)", message)
    tries = re.search(r"after (\d+) retries", message)
    if answer is None and status is None:
        return " ".join(message.partition("\n\nDebug source")[0].split())
    parts = [status[1] if status else "", f"{answer[1]}: {answer[2]}" if answer else ""]
    parts.append(f"asked {int(tries[1]) + 1} times" if tries else "")
    return ", ".join(p for p in parts if p)
