"""The stage that computes the fingerprint of every environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.descriptor import Descriptor
from distdesc.errors import CampaignError, RunError, StructureError
from distdesc.reduction import algebra
from distdesc.reduction.projection import Projection
from distdesc.reduction.reduction import Reduction
from distdesc.schema import ArraySpec, RowKind
from distdesc.stopwatch import Stopwatch
from distdesc.structures.environment import Environments
from distdesc.structures.index import SourceIndex
from distdesc.structures.neighbours import iterate_environments, warm_up
from distdesc.structures.source import Source, Structures

DTYPES = {"float64": "<f8", "float32": "<f4"}

MAX_PAIRS = 2**17
"""Pairs of a slice of environments: enough for the kernels, few enough for the cache."""

PAIR_BYTES = 64
"""Of one pair in memory: vector, numbers, and what the search and the kernel add."""

ATOM_BYTES = 128
"""Of one atom of a large structure while its bins are searched."""

REDUCED_NUMBERS = 2**21
"""Numbers of whole fingerprints in memory at once, where only reduced ones are kept."""

MAX_NAMES = 2000
"""Features whose names are still written into the attributes."""


def reduced_rows(n_features: int) -> int:
    """
    Fingerprints that are computed at once before they are reduced.

    Parameters
    ----------
    n_features : int
        Length of a fingerprint.
    """
    return max(16, REDUCED_NUMBERS // n_features)


@dataclass(frozen=True)
class Fingerprint:
    """
    Fingerprint and element of the centre of every environment.

    Parameters
    ----------
    descriptor : Descriptor
        The map; the job's ``[descriptor]``.
    dtype : str
        ``"float64"`` or ``"float32"``: how values are stored; they are computed in float64.
    reduction : Reduction or Projection, optional
        The job's ``[reduction]``, and in its place, once it is fitted, what came of it.
    """

    descriptor: Descriptor
    dtype: str = "float64"
    reduction: Reduction | Projection | None = None

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise CampaignError(f'dtype must be one of {", ".join(DTYPES)}, got "{self.dtype}"')

    @property
    def row_kind(self) -> RowKind:
        """See Stage.row_kind."""
        return RowKind.ENVIRONMENT

    @property
    def reads_records(self) -> bool:
        """See Stage.reads_records."""
        return False

    @property
    def validates(self) -> bool:
        """See Stage.validates."""
        return True

    @property
    def n_columns(self) -> int:
        """Numbers of the fingerprint of one environment, as it goes on to be stored."""
        return self.reduction.n_components if self.reduction else self.descriptor.n_features

    def column_names(self) -> tuple[str, ...]:
        """Name of each of these numbers."""
        return self.reduction.names if self.reduction else self.descriptor.feature_names()

    def outputs(self) -> tuple[ArraySpec, ...]:
        """See Stage.outputs."""
        n = self.n_columns
        names = {"features": list(self.column_names())} if n <= MAX_NAMES else {}
        dims = ("component" if self.reduction else "feature",)
        return (
            ArraySpec(
                "fingerprint", DTYPES[self.dtype], (n,), dims, fill=float("nan"),
                description="Fingerprint of each environment.", attributes=names,
            ),
            ArraySpec("number", "|u1", description="Atomic number of each centre."),
        )  # fmt: skip

    def resolve(self, source: Source, index: SourceIndex) -> Fingerprint:
        """See Stage.resolve: nothing depends on the data."""
        return self

    def warm_up(self) -> None:
        """See Stage.warm_up."""
        self.descriptor.warm_up()
        warm_up()
        if self.reduction is not None:
            algebra.warm_up()

    def working_memory(self, n_rows: int, max_atoms: int) -> int:
        """See Stage.working_memory."""
        # A centre of condensed matter has some hundreds of neighbours; a slice has at least one.
        slices = PAIR_BYTES * (2 * MAX_PAIRS + 500) + ATOM_BYTES * max_atoms
        n_features = self.descriptor.n_features
        if self.reduction is None:
            return slices + n_rows * 8 * n_features
        # Whole fingerprints and their deviations, a few at a time; the components twice.
        whole = (2 * reduced_rows(n_features) + 2 * self.n_columns) * 8 * n_features
        return slices + whole + n_rows * 8 * self.n_columns

    def run(
        self, batch: Structures, first: int, last: int, clock: Stopwatch
    ) -> dict[str, NDArray[Any]]:
        """See Stage.run."""
        out = np.empty((last - first, self.n_columns), dtype=DTYPES[self.dtype])
        row = 0
        slices = iterate_environments(batch, first, last, self.descriptor.cutoff, MAX_PAIRS)
        while True:
            with clock("neighbours"):
                environments = next(slices, None)
            if environments is None:
                break
            # What float32 cannot hold becomes infinite, and is refused below.
            with clock("kernel"), np.errstate(over="ignore"):
                out[row : row + len(environments)] = self._columns(environments)
            row += len(environments)
        self._check(out, batch, first)
        return {"fingerprint": out, "number": batch.numbers[first:last].astype(np.uint8)}

    def _columns(self, environments: Environments) -> NDArray[np.float64]:
        """Fingerprints of a slice, shape (n, n_columns)."""
        if self.reduction is None:
            return self.descriptor.compute(environments)
        if not isinstance(self.reduction, Projection):
            raise RunError("[reduction] is not fitted yet; `distdesc run` fits it")
        out = np.empty((len(environments), self.n_columns))
        step = reduced_rows(self.descriptor.n_features)
        for begin in range(0, len(out), step):
            part = environments.part(begin, min(begin + step, len(out)))
            out[begin : begin + step] = self.reduction.apply(self.descriptor.compute(part))
        return out

    def _check(self, out: NDArray[Any], batch: Structures, first: int) -> None:
        """Refuse structures with a fingerprint that is not finite."""
        rows = np.flatnonzero(~np.isfinite(out).all(axis=1)) + first
        owners = np.searchsorted(batch.offsets, rows, side="right") - 1
        if len(rows):
            raise StructureError(
                {
                    int(k): f"fingerprint of atom {row - batch.offsets[k]} is not finite"
                    for k, row in zip(owners, rows, strict=True)
                }
            )
