"""Where rows lie: shapes, shards and chunks of the arrays of one stage."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil, prod

import numpy as np

from distdesc.errors import StoreError
from distdesc.schema import ArraySpec, Ragged

SHARD_BYTES = 32 * 2**20
"""Aim for the size of a shard of the widest array, decoded."""

LARGEST_SHARD_BYTES = 256 * 2**20
"""A shard is not longer than this only to have the least number of rows."""

CHUNK_BYTES = 2 * 2**20
"""Aim for the size of a chunk; below 256 kB the overhead of a chunk shows."""

SHARD_SECONDS = 15
"""Aim for the work of a shard whose rows take long."""

STRING_BYTES = 64
"""Assumed mean size of one text, for projections."""


def row_bytes(spec: ArraySpec) -> int:
    """
    Bytes of one row of an array, decoded.

    Parameters
    ----------
    spec : ArraySpec
        The array.
    """
    item = STRING_BYTES if spec.dtype == "string" else np.dtype(spec.dtype).itemsize
    return item * prod(spec.shape)


def expected_row_bytes(spec: ArraySpec) -> float:
    """
    Bytes that a row of an array is expected to take, decoded.

    Parameters
    ----------
    spec : ArraySpec
        The array; 0 if it has entries of atoms, whose number is not a property of the array.
    """
    return row_bytes(spec) * (spec.ragged.expected if spec.ragged else 1)


def default_shard_rows(specs: tuple[ArraySpec, ...], n_rows: int, weight: float = 0.0) -> int:
    """
    Shard length when the campaign does not state one: a power of two.

    The widest array gets shards of about `SHARD_BYTES`; small campaigns get smaller shards, so
    that there is something to share out, down to 512 rows, or what `LARGEST_SHARD_BYTES` hold.

    Parameters
    ----------
    specs : tuple of ArraySpec
        Arrays of the stage.
    n_rows : int
        Rows of the campaign.
    weight : float
        Bytes of a row that count as much as those of the widest array, such as what must be
        read for it.
    """
    widest = max(weight, *(expected_row_bytes(s) for s in specs))
    by_size = _power_of_two(SHARD_BYTES / widest)
    by_count = _power_of_two(n_rows / 64)
    least = min(512, _power_of_two(LARGEST_SHARD_BYTES / widest))
    return int(min(max(least, min(by_size, by_count)), 2**18))


def rows_of_slow_shard(row_seconds: float, n_rows: int) -> int:
    """
    Longest shard, a power of two, of a stage whose rows take long to compute.

    About `SHARD_SECONDS` of work, so that little is lost with a worker and none is left with
    much at the end; small campaigns are cut in 32 for the same reason, but not below 4 rows,
    where writing would take more than computing.

    Parameters
    ----------
    row_seconds : float
        Of a row on average; positive.
    n_rows : int
        Rows of the campaign.
    """
    by_time = _power_of_two(SHARD_SECONDS / row_seconds)
    return max(4, min(by_time, _power_of_two(n_rows / 32)))


def default_chunk_rows(specs: tuple[ArraySpec, ...], shard_rows: int) -> int:
    """
    Chunk length when the campaign does not state one: divides the shard length.

    Parameters
    ----------
    specs : tuple of ArraySpec
        Arrays of the stage.
    shard_rows : int
        Rows of a shard.
    """
    widest = max(row_bytes(s) for s in specs if not s.ragged)
    wanted = max(1, CHUNK_BYTES // widest)
    pieces = max(1, ceil(shard_rows / wanted))
    while shard_rows % pieces:
        pieces += 1
    return shard_rows // pieces


def _power_of_two(value: float) -> int:
    return 1 << max(0, int(np.floor(np.log2(max(1.0, value)))))


MOST_ROWS = 10**13
"""Of a store: far more than can be computed, and few enough for offsets in bytes."""

MOST_SHARDS = 10**9
"""Of a stage: far more receipts than can be listed."""

_STAGE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
"""Names of stages, of which names of files are made."""


@dataclass(frozen=True)
class StageLayout:
    """
    Rows, shards and chunks of one stage.

    Parameters
    ----------
    stage : str
        Name of the stage.
    row_kind : str
        What a row is, see `RowKind`.
    n_rows : int
        Rows in all.
    shard_rows : int
        Rows of a shard, the unit of work and of writing.
    chunk_rows : int
        Rows of a chunk, the unit of reading; divides `shard_rows`.
    capacity : int
        Entries of a slot of the ragged arrays; 0 if there are none.
    """

    stage: str
    row_kind: str
    n_rows: int
    shard_rows: int
    chunk_rows: int
    capacity: int = 0

    def __post_init__(self) -> None:
        if not (isinstance(self.stage, str) and _STAGE.fullmatch(self.stage)):
            raise StoreError(
                f"stage must be a name of letters, digits, - and _, got {self.stage!r}"
            )
        for name in ("n_rows", "shard_rows", "chunk_rows", "capacity"):
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value <= MOST_ROWS:
                raise StoreError(
                    f"{name} must be a whole number from 0 to {MOST_ROWS}, got {value!r}"
                )
        if self.shard_rows < 1 or self.chunk_rows < 1 or self.shard_rows % self.chunk_rows:
            raise StoreError(
                f"[store] shard_rows must be a positive multiple of chunk_rows, "
                f"got {self.shard_rows} and {self.chunk_rows}"
            )
        if self.n_shards > MOST_SHARDS:
            raise StoreError(f"there must be at most {MOST_SHARDS} shards, got {self.n_shards}")

    @property
    def n_shards(self) -> int:
        """Shards in all; one even if there are no rows, to account for empty structures."""
        return max(1, ceil(self.n_rows / self.shard_rows))

    @property
    def status_name(self) -> str:
        """Name of the status column."""
        return f"{self.stage}_status"

    def geometry(self, spec: ArraySpec) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """
        Shape, shard shape and chunk shape of an array.

        Parameters
        ----------
        spec : ArraySpec
            The array.
        """
        if spec.ragged:
            lead = (self.n_shards * self.capacity, self.capacity, self.slot_chunk(spec))
        else:
            lead = (self.n_rows, self.shard_rows, self.chunk_rows)
        shape, shard, chunk = ((n, *spec.shape) for n in lead)
        return shape, shard, chunk

    def slot_chunk(self, spec: ArraySpec) -> int:
        """
        Entries of a chunk of a ragged array; divides `capacity`.

        Parameters
        ----------
        spec : ArraySpec
            The array.
        """
        if spec.ragged and spec.ragged.most:
            # Slots are mostly unused, and a chunk is stored whole: it must not be long.
            return min(SLOT_CHUNK, _power_of_two(CHUNK_BYTES / row_bytes(spec)))
        return min(self.capacity, SLOT_CHUNK)

    def span(self, spec: ArraySpec, shard: int) -> tuple[int, int]:
        """
        Half-open range of an array that one shard owns.

        Parameters
        ----------
        spec : ArraySpec
            The array.
        shard : int
            Number of the shard.
        """
        if spec.ragged:
            return shard * self.capacity, (shard + 1) * self.capacity
        return self.rows(shard)

    def rows(self, shard: int) -> tuple[int, int]:
        """
        Half-open range of rows of a shard.

        Parameters
        ----------
        shard : int
            Number of the shard.
        """
        start = shard * self.shard_rows
        return start, min(start + self.shard_rows, self.n_rows)


SLOT_CHUNK = 16384
"""Entries of a chunk of the ragged arrays at most."""


def slot_capacity(ragged: Ragged, shard_rows: int, atoms: int) -> int:
    """
    Slot length of the ragged arrays: fits any shard, in whole chunks.

    Parameters
    ----------
    ragged : Ragged
        What an entry is.
    shard_rows : int
        Rows of a shard.
    atoms : int
        Atoms of the heaviest shard.
    """
    entries = shard_rows * ragged.most if ragged.most else atoms
    if entries <= SLOT_CHUNK and not ragged.most:
        return max(1, entries)
    return ceil(entries / SLOT_CHUNK) * SLOT_CHUNK


def system_specs(stage: str, specs: tuple[ArraySpec, ...]) -> tuple[ArraySpec, ...]:
    """
    Columns that every stage has beside its outputs: its status and where ragged entries begin.

    Parameters
    ----------
    stage : str
        Name of the stage.
    specs : tuple of ArraySpec
        Outputs of the stage.
    """
    status = ArraySpec(
        f"{stage}_status",
        "|i1",
        fill=-1,
        description="-1 not computed yet, 0 ok, 1 failed, 2 quarantined.",
    )
    ragged = ragged_of(specs)
    if ragged is None:
        return (status,)
    what = f"Where the first {ragged.item} of each row is in the ragged arrays."
    return status, ArraySpec(ragged.first, "<i8", fill=-1, description=what)


def ragged_of(specs: tuple[ArraySpec, ...]) -> Ragged | None:
    """
    What the entries of the ragged arrays of a stage are; None if it has no such arrays.

    Parameters
    ----------
    specs : tuple of ArraySpec
        Arrays of the stage.
    """
    return next((s.ragged for s in specs if s.ragged), None)
