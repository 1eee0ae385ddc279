"""The stage that searches for singular points, from the environment of one atom a structure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from distdesc.checks import check_count
from distdesc.descriptors.descriptor import Descriptor
from distdesc.errors import StructureError
from distdesc.schema import ArraySpec, Ragged, RowKind
from distdesc.singular.point import Point, as_environments
from distdesc.singular.search import Search
from distdesc.stages.singular_closely import KINDS, NAN, analysis_columns
from distdesc.stages.singular_rows import (
    KIND_CODES,
    MOST_NEIGHBOURS,
    close_specs,
    neighbour_columns,
)
from distdesc.stopwatch import Stopwatch
from distdesc.structures.index import SourceIndex
from distdesc.structures.neighbours import build_environments, warm_up
from distdesc.structures.source import Source, Structures

EXPECTED_NEIGHBOURS = 8.0
"""Of a row, to project sizes: starts are small."""

ROW_SECONDS = 0.2
"""Of a search: some tens of milliseconds, and more where it leads nowhere."""

ROW_BYTES = 2**14
"""Of an analysis in memory, beside the fingerprint."""


@dataclass(frozen=True)
class SearchSingular:
    """
    Singular point that is found from the environment of the first atom of every structure.

    Parameters
    ----------
    descriptor : Descriptor
        The map; the job's ``[descriptor]``.
    reach, core, rim : float
        Where a search may go, in Å and relative to the cutoff; see `Search`.
    kicks : int
        Further starts beside the first, if that leads nowhere.
    pairs : bool
        Whether degenerate pairs are looked for.
    seed : int
        Of the further starts.
    """

    descriptor: Descriptor
    reach: float = 2.0
    core: float = 0.5
    rim: float = 0.95
    kicks: int = 8
    pairs: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        check_count("seed", self.seed)
        self._search  # noqa: B018 (refuses what makes no sense)

    @property
    def _search(self) -> Search:
        return Search(self.reach, self.core, self.rim, self.kicks, self.pairs)

    @property
    def row_kind(self) -> RowKind:
        """See Stage.row_kind."""
        return RowKind.STRUCTURE

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
        return ROW_SECONDS

    def outputs(self) -> tuple[ArraySpec, ...]:
        """See Stage.outputs."""
        near = Ragged("neighbour", MOST_NEIGHBOURS, EXPECTED_NEIGHBOURS)
        return (
            ArraySpec("number", "|u1", description="Atomic number of each centre."),
            ArraySpec("kind", "|i1", fill=-1, attributes=KIND_CODES,
                      description="What makes the point singular that was found."),
            ArraySpec("point_group", "string", fill="", description="Of the start."),
            ArraySpec("ratio", "<f8", fill=NAN,
                      description="Smallest singular value of the start to the largest."),
            ArraySpec("d_est", "<f8", unit="Å", fill=NAN,
                      description="Estimated distance of the start to a singular point."),
            ArraySpec("point_fingerprint", "<f8", (self.descriptor.n_features,), ("feature",),
                      fill=NAN, description="Of the singular point, to tell which are the same."),
            ArraySpec("n_neighbours", "<i4", description="Neighbours of each start."),
            *close_specs(near),
        )  # fmt: skip

    def resolve(self, source: Source, index: SourceIndex) -> SearchSingular:
        """See Stage.resolve: nothing depends on the data."""
        return self

    def warm_up(self) -> None:
        """See Stage.warm_up."""
        self.descriptor.warm_up()
        warm_up()

    def working_memory(self, n_rows: int, max_atoms: int) -> int:
        """See Stage.working_memory."""
        matrices = 32 * 8 * 3 * max_atoms * self.descriptor.n_features
        return matrices + n_rows * (ROW_BYTES + 8 * self.descriptor.n_features)

    def run(
        self, batch: Structures, first: int, last: int, clock: Stopwatch
    ) -> dict[str, NDArray[Any]]:
        """See Stage.run."""
        with clock("neighbours"):
            starts = [self._start(batch, k) for k in range(first, last)]
        crowded = {
            k: f"the first atom has {len(start)} neighbours, more than {MOST_NEIGHBOURS}"
            for k, start in enumerate(starts, first)
            if len(start) > MOST_NEIGHBOURS
        }
        if crowded:
            raise StructureError(crowded)
        # BLAS with several threads rounds differently, and matrices are small.
        with clock("kernel"), threadpool_limits(1, "blas"):
            return self._searched(starts, batch.indices[first:last])

    def _start(self, batch: Structures, k: int) -> Point:
        atom = int(batch.offsets[k])
        return Point.of(build_environments(batch, atom, atom + 1, self.descriptor.cutoff), 0)

    def _searched(self, starts: list[Point], rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        search = self._search
        found = {
            k: search.run(self.descriptor, start, int(row), self.seed)
            for k, (start, row) in enumerate(zip(starts, rows, strict=True))
        }
        prints = np.full((len(starts), self.descriptor.n_features), np.nan)
        if found:
            points = as_environments([a.point for a in found.values()])
            prints[:] = self.descriptor.compute(points)
        counts = np.array([len(start) for start in starts], dtype=np.int32)
        return {
            "number": np.array([start.centre_number for start in starts], dtype=np.uint8),
            "kind": np.array([KINDS[a.kind] for a in found.values()], dtype=np.int8),
            "point_group": np.array([a.point_group for a in found.values()], dtype=object),
            "ratio": np.array([a.ratio for a in found.values()], dtype=np.float64),
            "d_est": np.array([a.estimate for a in found.values()], dtype=np.float64),
            "point_fingerprint": prints,
            "n_neighbours": counts,
            **analysis_columns(found, len(starts)),
            **neighbour_columns(found, as_environments(starts), counts),
        }
