"""Small objects of a store, such as receipts: JSON that shows when it is not as it was written."""

from __future__ import annotations

import json
from typing import Any

import xxhash

SEAL = "checksum"
"""Key of the checksum of a sealed object."""


def sealed(data: dict[str, Any], indent: int | None = None) -> bytes:
    """
    JSON with a checksum of itself, so that damage shows that leaves it readable.

    Parameters
    ----------
    data : dict
        JSON-compatible.
    indent : int, optional
        For people to read.
    """
    return json.dumps({**data, SEAL: _seal(data)}, indent=indent).encode()


def unsealed(text: bytes) -> dict[str, Any]:
    """
    What was `sealed`.

    Parameters
    ----------
    text : bytes
        JSON; of older stores, without checksum.

    Raises
    ------
    ValueError
        If it is not a JSON object, or not as it was sealed.
    """
    data = parsed(text)
    if not isinstance(data, dict):
        raise ValueError("it is not a JSON object")
    seal = data.pop(SEAL, None)
    if seal is not None and seal != _seal(data):
        raise ValueError("its content does not have its checksum")
    return data


def parsed(text: bytes | str) -> Any:
    """
    What some JSON says.

    Parameters
    ----------
    text : bytes or str
        Of anyone.

    Raises
    ------
    ValueError
        If it is not JSON, not UTF-8, or nested so deeply that it cannot be read.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _seal(data: dict[str, Any]) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(data, sort_keys=True).encode())
