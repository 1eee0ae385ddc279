"""What a stage is: structures in, named row arrays out."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from distdesc.schema import ArraySpec, RowKind
from distdesc.stopwatch import Stopwatch
from distdesc.structures.index import SourceIndex
from distdesc.structures.source import Source, Structures


class Stage(Protocol):
    """
    A kind of result per row; pure: no I/O, no Dask, no Zarr.

    An implementation is a frozen dataclass whose fields are the keys of ``[[stage]]``.
    """

    @property
    def row_kind(self) -> RowKind:
        """What a row of the outputs stands for."""
        ...

    @property
    def reads_records(self) -> bool:
        """Whether the stage wants ``Structures.records`` (all data), not geometry alone."""
        ...

    @property
    def validates(self) -> bool:
        """Whether structures that fail validation are quarantined before this stage."""
        ...

    @property
    def row_seconds(self) -> float:
        """
        Expected time that a row takes, in s; 0 if it is too short to matter.

        Shards of a stage with slow rows are cut by time, not by size, and those with the most
        atoms are computed first, so that no worker is left with a long shard at the end.
        """
        ...

    def outputs(self) -> tuple[ArraySpec, ...]:
        """
        Arrays that the stage writes.

        A stage with ragged outputs also has the output that counts their entries (int32).
        """
        ...

    def resolve(self, source: Source, index: SourceIndex) -> Stage:
        """
        Return the same stage with everything that depends on the data filled in, for the plan.

        Parameters
        ----------
        source : Source
            Where the structures come from.
        index : SourceIndex
            Its index.
        """
        ...

    def warm_up(self) -> None:
        """Build tables and compile kernels, so that processes started later find them cached."""
        ...

    def working_memory(self, n_rows: int, max_atoms: int) -> int:
        """
        Upper estimate of the bytes that `run` needs beside its inputs and outputs.

        Parameters
        ----------
        n_rows : int
            Rows of a shard.
        max_atoms : int
            Atoms of the largest structure.
        """
        ...

    def run(
        self, batch: Structures, first: int, last: int, clock: Stopwatch
    ) -> dict[str, NDArray[Any]]:
        """
        Output arrays of rows ``first`` to ``last`` of a batch.

        Rows are atoms of the batch if `row_kind` is ``ENVIRONMENT`` (the rest of the batch is
        there because their environments need it), structures if it is ``STRUCTURE``.

        Parameters
        ----------
        batch : Structures
            Readable structures that passed validation.
        first, last : int
            Half-open range of rows.
        clock : Stopwatch
            Told what the time is spent on.

        Raises
        ------
        StructureError
            If structures of the batch cannot be computed; the caller quarantines them and
            calls again with the rest.
        """
        ...
