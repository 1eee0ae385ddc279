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
class Ragged:
    """
    What makes an array ragged: each row has as many entries of it as it needs.

    Shard k of the plan owns the slot ``[k * capacity, (k + 1) * capacity)`` of the flat array.
    How many entries a row has, and where its first one is, is in columns with one value a row.

    Parameters
    ----------
    item : str
        What an entry stands for, singular; names the columns and the dimension.
    most : int
        Entries of a row at most; 0 if they are the atoms of the row's structure.
    expected : float
        Entries of a row on average, to project sizes; not used if `most` is 0.
    """

    item: str = "atom"
    most: int = 0
    expected: float = 0.0

    @property
    def count(self) -> str:
        """Name of the column, an output of the stage, that counts the entries of each row."""
        return f"n_{self.item}s"

    @property
    def first(self) -> str:
        """Name of the column that says where the first entry of each row is."""
        return f"first_{self.item}"


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
        Shape of one row (of one entry, if `ragged`); ``()`` for a scalar.
    dims : tuple of str
        Names of the dimensions in `shape`.
    unit : str
        Physical unit; ``"1"`` for pure numbers.
    fill : float or int or str
        Value of rows that were never computed.
    ragged : Ragged, optional
        Set if a row has any number of entries; all ragged arrays of a stage have the same.
    description : str
        One sentence for whoever opens the store.
    attributes : dict
        Further JSON-compatible attributes of the array.
    measured : bool
        Whether the values are measured while computing, such as times, and differ from one
        computation to the next; all others are the same bytes however often they are computed.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] = ()
    dims: tuple[str, ...] = ()
    unit: str = "1"
    fill: float | int | str = 0
    ragged: Ragged | None = None
    description: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    measured: bool = False
