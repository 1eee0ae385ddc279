"""The stage that computes fingerprints: of every environment, or one of a structure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.checks import check_choice
from distdesc.descriptors.descriptor import BlockDescriptor, Descriptor
from distdesc.elements import symbol_of
from distdesc.errors import CampaignError, LastingError
from distdesc.reduction import algebra
from distdesc.reduction.projection import Projection
from distdesc.reduction.reduction import Reduction
from distdesc.schema import ArraySpec, RowKind
from distdesc.stages import pooling
from distdesc.stages.blocks import (
    BlockRows,
    block_specs,
    check_blocks,
    count_blocks,
    has_blocks,
)
from distdesc.stages.pooling import EnvironmentRows, PooledRows, Rows
from distdesc.stages.whole import RADIUS, Ball, check_whole
from distdesc.stopwatch import Stopwatch
from distdesc.structures.environment import Environments
from distdesc.structures.index import SourceIndex
from distdesc.structures.neighbours import iterate_environments, warm_up
from distdesc.structures.source import Source, Structures

DTYPES = {"float64": "<f8", "float32": "<f4"}

CHOICES = {
    "dtype": tuple(DTYPES),
    "per": ("environment", "structure", "whole"),
    "pool": ("mean", "sum", "species"),
    "layout": ("dense", "sparse"),
}

MAX_PAIRS = 2**17
"""Pairs of a slice of environments: enough for the kernels, few enough for the cache."""

MAX_NUMBERS = 2**21
"""Numbers of whole fingerprints that are computed at once, before they are stored or reduced."""

CROWD = 8
"""Blocks of all environments of a slice, to those expected: structures of many elements exist."""

PAIR_BYTES = 64
"""Of one pair in memory: vector, numbers, and what the search and the kernel add."""

ATOM_BYTES = 128
"""Of one atom of a large structure while its bins are searched."""

MAX_NAMES = 2000
"""Features whose names are still written into the attributes."""


@dataclass(frozen=True)
class Fingerprint:
    """
    Fingerprint and element of the centre of every environment, or one fingerprint a structure.

    Parameters
    ----------
    descriptor : Descriptor
        The map; the job's ``[descriptor]``.
    dtype : str
        ``"float64"`` or ``"float32"``: how values are stored; they are computed in float64.
    reduction : Reduction or Projection, optional
        The job's ``[reduction]``, and in its place, once it is fitted, what came of it.
    per : str
        What a row is: an ``"environment"``; a ``"structure"``, whose environments are pooled; or
        a ``"whole"`` structure as one environment, see `whole.Ball`.
    pool : str
        How the environments of a structure make its row: their ``"mean"``, their ``"sum"``, or
        ``"species"``, one sum after the other for the centres of each of the descriptor's
        `elements`, the lightest first.
    layout : str
        ``"dense"``, or ``"sparse"``: of each environment only the blocks of features whose
        species occur in it are stored. Loses nothing; the other features are zero.
    expected_blocks : float
        Blocks of an environment on average, by which shards and memory are planned if the
        layout is sparse; 0 finds out on a sample.
    origin, radius : str
        Of the balls of whole structures, see `whole.Ball`. Where the radius is fitted, the
        structure is scaled so that its ball has the descriptor's cutoff.
    """

    descriptor: Descriptor
    dtype: str = "float64"
    reduction: Reduction | Projection | None = None
    per: str = "environment"
    pool: str = "mean"
    layout: str = "dense"
    expected_blocks: float = 0.0
    origin: str = "centroid"
    radius: str = "fitted"

    def __post_init__(self) -> None:
        for name, accepted in CHOICES.items():
            check_choice(name, getattr(self, name), accepted)
        if self.expected_blocks < 0:
            raise CampaignError(f"expected_blocks must be >= 0, got {self.expected_blocks}")
        if self._by_species and not getattr(self.descriptor, "elements", ()):
            raise CampaignError(
                'pool "species" needs the elements that get a sum each: list them as [descriptor] '
                "elements, got none"
            )
        if self.layout == "sparse":
            check_blocks(self.descriptor, self.per, self.reduction is not None)
        if self.per == "whole":
            check_whole(self._ball, self.descriptor, self.reduction is not None)

    @property
    def row_kind(self) -> RowKind:
        """See Stage.row_kind."""
        return RowKind.ENVIRONMENT if self.per == "environment" else RowKind.STRUCTURE

    @property
    def reads_records(self) -> bool:
        """See Stage.reads_records."""
        return False

    @property
    def validates(self) -> bool:
        """See Stage.validates."""
        return True

    @property
    def row_seconds(self) -> float:
        """See Stage.row_seconds."""
        return 0.0

    @property
    def n_columns(self) -> int:
        """Numbers of the fingerprint of one environment, before it is pooled or stored."""
        return self.reduction.n_components if self.reduction else self.descriptor.n_features

    def column_names(self) -> tuple[str, ...]:
        """Name of each of these numbers."""
        return self.reduction.names if self.reduction else self.descriptor.feature_names()

    def outputs(self) -> tuple[ArraySpec, ...]:
        """See Stage.outputs."""
        number = ArraySpec("number", "|u1", description="Atomic number of each centre.")
        dtype = DTYPES[self.dtype]
        n = self.n_columns * len(self._pooled_numbers or (0,))
        names = {"features": self._stored_names()} if n <= MAX_NAMES else {}
        if self._blocks is not None:
            return (*block_specs(self._blocks, dtype, self.expected_blocks, names), number)
        dims = ("component" if self.reduction else "feature",)
        values = ArraySpec(
            "fingerprint", dtype, (n,), dims, fill=float("nan"), attributes=names,
            description=f"Fingerprint of each {self.per}.",
        )  # fmt: skip
        if self.per == "environment":
            return values, number
        if self.per == "whole":
            return values, RADIUS
        return values, *pooling.pooled_specs(self._pooled_numbers)

    @property
    def _ball(self) -> Ball:
        return Ball(self.origin, self.radius)

    @property
    def _blocks(self) -> BlockDescriptor | None:
        """Descriptor whose blocks are stored; None if the layout is dense."""
        return self.descriptor if self.layout == "sparse" and has_blocks(self.descriptor) else None

    @property
    def _pooled_numbers(self) -> tuple[int, ...]:
        """Elements that have a sum each; none if all centres go into one."""
        return self.descriptor.accepted_numbers if self._by_species else ()

    @property
    def _by_species(self) -> bool:
        return self.per == "structure" and self.pool == "species"

    def _stored_names(self) -> list[str]:
        names = self.column_names()
        if not self._pooled_numbers:
            return list(names)
        return [f"{symbol_of(z)}: {name}" for z in self._pooled_numbers for name in names]

    def resolve(self, source: Source, index: SourceIndex) -> Fingerprint:
        """See Stage.resolve: finds out how many blocks to expect, if there are any."""
        if self._blocks is None or self.expected_blocks:
            return self
        return replace(self, expected_blocks=count_blocks(self._blocks, source, index))

    def warm_up(self) -> None:
        """See Stage.warm_up."""
        self.descriptor.warm_up()
        warm_up()
        if self.reduction is not None:
            algebra.warm_up()
        if self.per == "structure":
            pooling.warm_up()

    def working_memory(self, n_rows: int, max_atoms: int) -> int:
        """See Stage.working_memory."""
        # A centre of condensed matter has some hundreds of neighbours; a slice has at least one.
        slices = PAIR_BYTES * (2 * MAX_PAIRS + 500) + ATOM_BYTES * max_atoms
        if self.per == "structure":
            # Totals in float64 beside the rows as they are stored.
            totals = n_rows * len(self._pooled_numbers or (0,)) * 8 * self.n_columns
            return slices + totals + self._whole_memory(MAX_PAIRS)
        if self.per == "whole":
            slices = PAIR_BYTES * n_rows * max_atoms
        return slices + self._whole_memory(n_rows)

    def _whole_memory(self, n_rows: int) -> int:
        """Bytes of the whole fingerprints that are in memory at once."""
        rows = min(n_rows, self._rows_at_once)
        if self.layout == "sparse":
            return 8 * max(MAX_NUMBERS, 2 * self._numbers_of_a_row)
        if self.reduction is None:
            return rows * 8 * self.n_columns
        # Whole fingerprints and their deviations; the components twice.
        n_features = self.descriptor.n_features
        return (2 * rows + 2 * self.n_columns) * 8 * n_features + rows * 8 * self.n_columns

    @property
    def _numbers_of_a_row(self) -> int:
        if self._blocks is not None:
            return round(CROWD * (self.expected_blocks or 1) * self._blocks.block_width)
        return self.descriptor.n_features

    @property
    def _rows_at_once(self) -> int:
        """Environments whose whole fingerprints are in memory at once."""
        return max(16, MAX_NUMBERS // self._numbers_of_a_row)

    def run(
        self, batch: Structures, first: int, last: int, clock: Stopwatch
    ) -> dict[str, NDArray[Any]]:
        """See Stage.run."""
        if self.per == "whole":
            return self._run_whole(batch, first, last, clock)
        rows = self._rows(batch, first, last)
        pooled = self.per == "structure"
        begin, end = (int(batch.offsets[k]) if pooled else k for k in (first, last))
        slices = iterate_environments(batch, begin, end, self.descriptor.cutoff, MAX_PAIRS)
        bad = [np.empty(0, dtype=np.int64)]
        while True:
            with clock("neighbours"):
                environments = next(slices, None)
            if environments is None:
                break
            # What float32 cannot hold becomes infinite, and is refused below.
            with clock("kernel"), np.errstate(over="ignore"):
                for part in _parts(environments, self._rows_at_once):
                    finite = rows.add(part)
                    bad.append(part.centres[~finite])
        pooling.refuse_centres(np.concatenate(bad), batch)
        found = rows.arrays()
        if not pooled:
            return {**found, "number": batch.numbers[first:last].astype(np.uint8)}
        pooling.refuse_rows(found["fingerprint"], first)
        return found

    def _run_whole(
        self, batch: Structures, first: int, last: int, clock: Stopwatch
    ) -> dict[str, NDArray[Any]]:
        cutoff = self.descriptor.cutoff
        environments, radii = self._ball.environments(batch, first, last, cutoff)
        rows = EnvironmentRows(self._columns, (last - first, self.n_columns), DTYPES[self.dtype])
        with clock("kernel"), np.errstate(over="ignore"):
            for part in _parts(environments, self._rows_at_once):
                rows.add(part)
        pooling.refuse_rows(rows.values, first)
        return {**rows.arrays(), "radius": radii}

    def _rows(self, batch: Structures, first: int, last: int) -> Rows:
        dtype = DTYPES[self.dtype]
        if self._blocks is not None:
            return BlockRows(self._blocks, dtype)
        if self.per == "environment":
            return EnvironmentRows(self._columns, (last - first, self.n_columns), dtype)
        pooled = (self.pool == "mean", self._pooled_numbers)
        return PooledRows(self._columns, batch, first, last, self.n_columns, *pooled, dtype)

    def _columns(self, environments: Environments) -> NDArray[np.float64]:
        """Fingerprints of a slice, shape (n, n_columns)."""
        values = self.descriptor.compute(environments)
        if self.reduction is None:
            return values
        if not isinstance(self.reduction, Projection):
            raise LastingError("[reduction] is not fitted yet; `distdesc run` fits it")
        return self.reduction.apply(values)


def _parts(environments: Environments, length: int) -> Iterator[Environments]:
    for begin in range(0, len(environments), length):
        yield environments.part(begin, min(begin + length, len(environments)))
