"""The stage that tells which truncation of a descriptor is enough for a data set."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from distdesc.checks import check_count, check_flag
from distdesc.descriptors.descriptor import Descriptor
from distdesc.errors import CampaignError, StructureError
from distdesc.schema import ArraySpec, RowKind
from distdesc.singular.point import Point
from distdesc.singular.sensitivity import Configuration, configurations, sensitivity
from distdesc.stopwatch import Stopwatch
from distdesc.structures.environment import Environments, single_environment
from distdesc.structures.index import SourceIndex
from distdesc.structures.neighbours import build_environments, warm_up
from distdesc.structures.source import Source, Structures

ROW_SECONDS = 3e-3
"""Of one environment and one descriptor."""

ROW_BYTES = 2**16
"""Of one environment while it is looked at, beside its Jacobian."""

NEIGHBOURS, MOST_NEIGHBOURS = 100, 1024
"""Of an environment in condensed matter, and of any: by these memory is projected."""

PAIR_BYTES = 64
"""Of a neighbour of a row."""


@dataclass(frozen=True)
class SensitivityScan:
    """
    How well environments are seen by a descriptor with other hyper-parameters.

    A data set is seen well enough if no environment has nulls that its symmetry does not demand,
    and a larger basis makes the smallest singular values no larger.

    Parameters
    ----------
    descriptor : Descriptor
        What the scan starts from; the job's ``[descriptor]``.
    vary : dict of str to list
        Keys of the descriptor and the values they take; see `configurations`.
    grid : bool
        All combinations of these; else one key at a time.
    share : float
        Of the environments, chosen at random, that are looked at; all if 1.
    symmetry_tolerance : float
        How far from symmetric an environment may be to be taken for symmetric, in Å.
    seed : int
        Of the choice.
    """

    descriptor: Descriptor
    vary: dict[str, Any] = field(default_factory=dict)
    grid: bool = False
    share: float = 1.0
    symmetry_tolerance: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.vary, dict):
            raise CampaignError(f"vary must be a table of lists, got {self.vary!r}")
        check_flag("grid", self.grid)
        number = isinstance(self.share, int | float) and not isinstance(self.share, bool)
        if not number or not 0 < self.share <= 1:
            raise CampaignError(f"share must be above 0 and at most 1, got {self.share!r}")
        if not 0 < self.symmetry_tolerance < np.inf:
            raise CampaignError(
                f"symmetry_tolerance must be a number > 0, got {self.symmetry_tolerance!r}"
            )
        check_count("seed", self.seed)
        self._scan  # noqa: B018  (refuses what no descriptor accepts)

    @property
    def _scan(self) -> tuple[Configuration, ...]:
        given: Any = self.descriptor  # frozen, and so hashable
        return _configurations(given, json.dumps(self.vary), self.grid)

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
    def row_seconds(self) -> float:
        """See Stage.row_seconds."""
        return ROW_SECONDS * len(self._scan) * self.share

    def outputs(self) -> tuple[ArraySpec, ...]:
        """See Stage.outputs."""
        scan = [
            {
                "label": c.label,
                "changes": dict(c.changes),
                "n_features": c.descriptor.n_features,
            }
            for c in self._scan
        ]
        shape, dims = (len(scan),), ("configuration",)
        return (
            ArraySpec("sensitivity", "<f8", shape, dims, fill=float("nan"),
                      attributes={"configurations": scan},
                      description="Smallest singular value to the largest, within totally "
                      "symmetric motions of neighbours that do not fade; NaN where there are "
                      "none, or the environment was not chosen."),
            ArraySpec("extra_nulls", "<i4", shape, dims, fill=-1,
                      description="Nulls of these motions, which no symmetry demands; -1 where "
                      "the environment was not chosen."),
            ArraySpec("number", "|u1", description="Atomic number of each centre."),
        )  # fmt: skip

    def resolve(self, source: Source, index: SourceIndex) -> SensitivityScan:
        """See Stage.resolve: nothing depends on the data."""
        return self

    def warm_up(self) -> None:
        """See Stage.warm_up."""
        warm_up()
        for configuration in self._scan:
            kind = configuration.descriptor
            kind.warm_up()
            near = single_environment(kind.cutoff / 4, kind.accepted_numbers[0])
            sensitivity([configuration], {kind.cutoff: Point.of(near, 0)})

    def working_memory(self, n_rows: int, max_atoms: int) -> int:
        """See Stage.working_memory."""
        longest = max(c.descriptor.n_features for c in self._scan)
        near = min(max(max_atoms, NEIGHBOURS), MOST_NEIGHBOURS)
        radii = len({c.descriptor.cutoff for c in self._scan})
        rows = n_rows * (ROW_BYTES + PAIR_BYTES * near * radii)
        return 2 * 8 * longest * 3 * near + rows

    def run(
        self, batch: Structures, first: int, last: int, clock: Stopwatch
    ) -> dict[str, NDArray[Any]]:
        """See Stage.run."""
        scan, n = self._scan, last - first
        ratios = np.full((n, len(scan)), np.nan)
        extra = np.full((n, len(scan)), -1, dtype=np.int32)
        with clock("kernel"), threadpool_limits(1, "blas"):
            cutoffs = sorted({c.descriptor.cutoff for c in scan})
            around = {r: build_environments(batch, first, last, r) for r in cutoffs}
            chosen = np.flatnonzero(self._chosen(batch, first, last))
            _check_crowds(batch, around[cutoffs[-1]])
            # One descriptor after the other: making its tables takes longer than to use them.
            for j, kind in enumerate(scan):
                radius = kind.descriptor.cutoff
                for k in chosen:
                    points = {radius: Point.of(around[radius], int(k))}
                    found = sensitivity([kind], points, self.symmetry_tolerance)
                    ratios[k, j], extra[k, j] = found.ratios[0], found.extra_nulls[0]
        numbers = batch.numbers[first:last].astype(np.uint8)
        return {"sensitivity": ratios, "extra_nulls": extra, "number": numbers}

    def _chosen(self, batch: Structures, first: int, last: int) -> NDArray[np.bool_]:
        """Rows that are looked at, whatever shard they are in."""
        if self.share == 1:
            return np.ones(last - first, dtype=bool)
        atoms = np.arange(first, last)
        owners = np.searchsorted(batch.offsets, atoms, side="right") - 1
        places = zip(batch.indices[owners], atoms - batch.offsets[owners], strict=True)
        drawn = [np.random.default_rng((self.seed, *map(int, p))).random() for p in places]
        return np.array(drawn) < self.share


def _check_crowds(batch: Structures, environments: Environments) -> None:
    """Refuse structures with environments of more neighbours than memory is projected for."""
    counts = np.diff(environments.offsets)
    crowded = np.flatnonzero(counts > MOST_NEIGHBOURS)
    owners = np.searchsorted(batch.offsets, environments.centres[crowded], side="right") - 1
    reasons = {
        int(owner): f"an environment has {n} neighbours, more than the {MOST_NEIGHBOURS} that "
        "can be looked at"
        for owner, n in zip(owners, counts[crowded], strict=True)
    }
    if reasons:
        raise StructureError(reasons)


@lru_cache(maxsize=8)
def _configurations(descriptor: Descriptor, vary: str, grid: bool) -> tuple[Configuration, ...]:
    """Make the descriptors of a scan once per process."""
    return configurations(descriptor, json.loads(vary), grid)
