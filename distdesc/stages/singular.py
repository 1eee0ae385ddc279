"""The stage that finds what a fingerprint does not see: singular values, symmetry, kinds."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from distdesc.checks import check_choice, check_count, check_flag
from distdesc.descriptors.descriptor import Descriptor
from distdesc.errors import CampaignError, StructureError
from distdesc.schema import ArraySpec, RowKind
from distdesc.singular.analysis import Options
from distdesc.singular.cascade import screen
from distdesc.singular.screen import MAX_NUMBERS
from distdesc.singular.spectrum import Spectra
from distdesc.singular.structure_row import AT_ONCE, MOST_NUMBERS
from distdesc.singular.structure_screen import screen_structures
from distdesc.singular.zeros import exact_of, null_of
from distdesc.stages.singular_rows import (
    MOST_NEIGHBOURS,
    common_columns,
    common_specs,
    environment_columns,
    environment_specs,
)
from distdesc.stages.singular_structures import structure_columns, structure_specs
from distdesc.stopwatch import Stopwatch
from distdesc.structures.environment import Environments
from distdesc.structures.index import SourceIndex
from distdesc.structures.neighbours import build_environments, warm_up
from distdesc.structures.source import Source, Structures

CHOICES = {"map": ("env", "sum", "stack"), "keep": ("summary", "full")}

ROW_SECONDS = {"env": (1e-3, 2e-2), "sum": (1e-1, 5e-1), "stack": (3e-2, 2e-1)}
"""
Of an environment, or of a structure of some twenty atoms; the second if the flagged are analysed.
"""

NEIGHBOURS = 100
"""Of an environment in condensed matter, to project memory."""

ROW_BYTES = 4096
"""Of one row while it is computed: its symmetry, its singular values."""


@dataclass(frozen=True)
class Singular:
    """
    Sensitivity of the fingerprint of every environment, or structure, to motions of its atoms.

    Parameters
    ----------
    descriptor : Descriptor
        The map; the job's ``[descriptor]``.
    map : str
        Whose features: ``"env"``, of each environment; ``"sum"``, of each structure, summed over
        the centres of each element; ``"stack"``, of each structure, those of all centres.
    keep : str
        ``"summary"`` of the singular values, or ``"full"``: all of them.
    tolerance : float, optional
        Singular values up to this, relative to the largest, are zero; `null_of` of the descriptor
        if left out, 1e-9 or more. At least as exact as they are, 1e-13, and below `flag_ratio`.
    flag_ratio : float
        Where the smallest singular value that symmetry does not make zero is below this,
        relative to the largest, a row is looked at again.
    flag_distance : float
        A row is flagged if it is estimated to be as near as this to a singular point, in Å, or
        is one: has a zero that neither symmetry nor the cutoff explains.
    symmetry_tolerance : float
        How far from symmetric a row may be to be taken for symmetric, in Å.
    classify : bool
        Whether flagged rows are followed to their singular point, which is classified, and
        degenerate pairs are looked for, other than of chains.
    seed : int
        Of the starts of these searches.
    """

    descriptor: Descriptor
    map: str = "env"
    keep: str = "summary"
    tolerance: float | None = None
    flag_ratio: float = 1e-3
    flag_distance: float = 0.1
    symmetry_tolerance: float = 1e-3
    classify: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, accepted in CHOICES.items():
            check_choice(name, getattr(self, name), accepted)
        given = {} if self.tolerance is None else {"tolerance": self.tolerance}
        given |= {
            k: getattr(self, k) for k in ("flag_ratio", "flag_distance", "symmetry_tolerance")
        }
        for name, value in given.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not isfinite(value) or value <= 0:
                raise CampaignError(f"{name} must be a number > 0, got {value!r}")
        check_flag("classify", self.classify)
        check_count("seed", self.seed)
        if not hasattr(self.descriptor, "jacobian"):
            raise CampaignError(
                f"[descriptor] must have a Jacobian, got {type(self.descriptor).__name__}"
            )
        object.__setattr__(self, "tolerance", self._null)  # jobs are spelled with all defaults
        if not exact_of(self.descriptor) <= self._null < self.flag_ratio:
            raise CampaignError(
                f"tolerance must be at least {exact_of(self.descriptor):g}, which is how exact the "
                f"singular values are, and below flag_ratio ({self.flag_ratio:g}), "
                f"got {self._null:g}"
            )

    @property
    def row_kind(self) -> RowKind:
        """See Stage.row_kind."""
        return RowKind.ENVIRONMENT if self.map == "env" else RowKind.STRUCTURE

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
        return ROW_SECONDS[self.map][self.classify]

    @property
    def _null(self) -> float:
        return null_of(self.descriptor) if self.tolerance is None else self.tolerance

    @property
    def options(self) -> Options:
        """When an environment is looked at closer."""
        return Options(
            flag_ratio=self.flag_ratio, flag_distance=self.flag_distance,
            tolerance=self.symmetry_tolerance, null=self._null, seed=self.seed,
        )  # fmt: skip

    def outputs(self) -> tuple[ArraySpec, ...]:
        """See Stage.outputs."""
        full = self.keep == "full"
        if self.map == "env":
            own = environment_specs(self.descriptor.cutoff, full, self.classify)
        else:
            own = structure_specs(full, self.classify)
        return (*common_specs(), *own)

    def resolve(self, source: Source, index: SourceIndex) -> Singular:
        """See Stage.resolve: nothing depends on the data."""
        return self

    def warm_up(self) -> None:
        """See Stage.warm_up."""
        self.descriptor.warm_up()
        warm_up()
        number = self.descriptor.accepted_numbers[0]
        # a tetrahedron, which has many symmetries, and one bent out of shape
        corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1], [0, 0, 0]])
        uneven = corners * [1.0, 1.1, 1.2] + np.outer(np.arange(5), [0.02, 0.03, 0.05])
        size = self.descriptor.cutoff / 8
        batch = Structures(
            np.arange(2), np.array([0, 5, 10]), np.full(10, number, dtype=np.int32),
            size * np.concatenate([corners, uneven]), np.stack([9 * size * np.eye(3)] * 2),
            np.array([[False] * 3, [self.map != "env"] * 3]),
        )  # fmt: skip
        self.run(batch, 0, 10 if self.map == "env" else 2, Stopwatch())

    def working_memory(self, n_rows: int, max_atoms: int) -> int:
        """See Stage.working_memory."""
        # of an environment: its neighbours, some of which may be images of its own few atoms
        near = min(max(max_atoms, NEIGHBOURS), MOST_NEIGHBOURS)
        coordinates = 3 * (near if self.map == "env" else max_atoms)
        matrices = 4 * 8 * max(MAX_NUMBERS, coordinates**2)
        features = self.descriptor.n_features
        estimates = 0
        if self.map != "env":
            most = len(self.descriptor.accepted_numbers) if self.map == "sum" else max_atoms
            estimates = 8 * min(AT_ONCE * coordinates * most * features, MOST_NUMBERS)
            features *= most if self.map == "sum" else 1
        return matrices + 3 * 8 * features * coordinates + ROW_BYTES * n_rows + estimates

    def run(
        self, batch: Structures, first: int, last: int, clock: Stopwatch
    ) -> dict[str, NDArray[Any]]:
        """See Stage.run."""
        # BLAS with several threads rounds differently, and matrices are small.
        with clock("kernel"), threadpool_limits(1, "blas"):
            if self.map == "env":
                return self._environments(batch, first, last)
            return self._structures(batch.take(np.arange(first, last)), first)

    def _environments(self, batch: Structures, first: int, last: int) -> dict[str, NDArray[Any]]:
        environments = build_environments(batch, first, last, self.descriptor.cutoff)
        full = self.keep == "full"
        if full or self.classify:
            _check_sizes(batch, environments)
        found = screen(self.descriptor, environments, self.options, self.classify)
        _check_finite(batch, first, found.spectra)
        columns = environment_columns(found, environments, full, self.classify)
        return {**common_columns(found), **columns}

    def _structures(self, batch: Structures, first: int) -> dict[str, NDArray[Any]]:
        found = screen_structures(self.descriptor, batch, self.map, self.options, self.classify)
        broken = found.spectra.broken().tolist()
        if broken:
            raise StructureError({first + k: "its Jacobian is not finite" for k in broken})
        columns = structure_columns(found, batch, self.keep == "full", self.classify)
        return {**common_columns(found), **columns}


def _check_sizes(batch: Structures, environments: Environments) -> None:
    """Refuse structures with environments of more neighbours than can be stored."""
    counts = np.diff(environments.offsets)
    reasons = {}
    for k in np.flatnonzero(counts > MOST_NEIGHBOURS):
        owner = np.searchsorted(batch.offsets, environments.centres[k], side="right") - 1
        reasons[int(owner)] = (
            f"an environment has {counts[k]} neighbours, more than the {MOST_NEIGHBOURS} that "
            "can be stored"
        )
    if reasons:
        raise StructureError(reasons)


def _check_finite(batch: Structures, first: int, spectra: Spectra) -> None:
    """Refuse structures with an environment whose Jacobian is not finite."""
    reasons: dict[int, str] = {}
    for atom in (first + spectra.broken()).tolist():
        owner = int(np.searchsorted(batch.offsets, atom, side="right")) - 1
        place = atom - int(batch.offsets[owner])
        reasons.setdefault(owner, f"the Jacobian of atom {place} is not finite")
    if reasons:
        raise StructureError(reasons)
