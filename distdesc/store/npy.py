"""Reads arrays in numpy's own format from files of which anything may be wrong."""

from __future__ import annotations

import io
import tokenize
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.store.checked import UNREADABLE

DAMAGED = (*UNREADABLE, EOFError, SyntaxError, tokenize.TokenError, Warning)
"""What numpy raises on a file that is damaged: its header is a literal of Python."""


def read_npy(file: Path | bytes, dtype: str, ndim: int) -> NDArray[Any]:
    """
    Array of a file, mapped, or of the content of one.

    Parameters
    ----------
    file : pathlib.Path or bytes
        The file, or its content.
    dtype : str
        Type that it must have: the byte order is in the header, where one bit changes it.
    ndim : int
        Dimensions that it must have.

    Raises
    ------
    ValueError
        If it is not such an array.
    """
    try:
        found = (
            np.load(file, mmap_mode="r", allow_pickle=False)
            if isinstance(file, Path)
            else np.load(io.BytesIO(file), allow_pickle=False)
        )
        if not isinstance(found, np.ndarray):
            raise ValueError("it is no array")
        if found.dtype != np.dtype(dtype) or found.ndim != ndim or not found.flags.c_contiguous:
            raise ValueError(
                f"it must have type {dtype} and {ndim} dimensions, got {found.dtype.str} and "
                f"{found.ndim}"
            )
    except DAMAGED as error:
        raise ValueError(str(error) or type(error).__name__) from error
    return found
