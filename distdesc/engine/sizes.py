"""What arrays weigh, before anything runs."""

from __future__ import annotations

from dataclasses import dataclass

from distdesc.schema import ArraySpec
from distdesc.store.layout import row_bytes

UNEVENNESS = 3
"""Entries of a shard, to those expected, at most; 2.2 among 82 elements, 512 rows a shard."""


@dataclass(frozen=True)
class Size:
    """
    Bytes that something takes before compression.

    Parameters
    ----------
    most : int
        It cannot take more.
    expected : int
        What it is likely to take; as `most`, unless that depends on what is computed.
    """

    most: int
    expected: int

    @property
    def of_a_shard(self) -> int:
        """What it can take if it is a shard, whose rows may all need more than others."""
        return min(self.most, UNEVENNESS * self.expected)


def array_size(spec: ArraySpec, n_rows: int, n_atoms: int) -> Size:
    """
    Bytes of some rows of an array, before compression.

    Parameters
    ----------
    spec : ArraySpec
        The array.
    n_rows : int
        How many rows.
    n_atoms : int
        Atoms of the structures of these rows.
    """
    ragged, entry = spec.ragged, row_bytes(spec)
    if ragged is None:
        return Size(entry * n_rows, entry * n_rows)
    if not ragged.most:
        return Size(entry * n_atoms, entry * n_atoms)
    return Size(entry * n_rows * ragged.most, round(entry * n_rows * ragged.expected))
