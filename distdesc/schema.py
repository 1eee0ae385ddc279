"""What a row array is: name, type, shape, unit, and the codes of its status column."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any


class RowKind(Enum):
    """What one row stands for."""

    ENVIRONMENT = "environment"
    STRUCTURE = "structure"


class Status(IntEnum):
    """
    State of one row, as stored in ``<stage>_status``.

    ``PENDING`` is the fill value of the column, so a row that no attempt has written yet can
    be told from one that was computed, failed or was set aside.
    """

    PENDING = -1
    OK = 0
    FAILED = 1
    QUARANTINED = 2


@dataclass(frozen=True)
class ArraySpec:
    """
    One array that a stage writes, known before any atom is read.

    Parameters
    ----------
    name : str
        Name of the Zarr array.
    dtype : str
        NumPy type, little-endian, such as ``"<f8"``; or ``"string"`` for text.
    shape : tuple of int
        Shape of one row (of one atom, if `ragged`); ``()`` for a scalar.
    dims : tuple of str
        Names of the dimensions in `shape`.
    unit : str
        Physical unit; ``"1"`` for pure numbers.
    fill : float or int or str
        Value of rows that were never computed.
    ragged : bool
        One entry per *atom* of the row's structure, not per row: shard k of the plan owns the
        slot ``[k * capacity, (k + 1) * capacity)`` of the flat array, and ``first_atom``
        and ``n_atoms`` say where each structure is.
    description : str
        One sentence for whoever opens the store.
    attributes : dict
        Further JSON-compatible attributes of the array.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] = ()
    dims: tuple[str, ...] = ()
    unit: str = "1"
    fill: float | int | str = 0
    ragged: bool = False
    description: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
