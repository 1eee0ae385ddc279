"""The stage that turns fingerprints back into atoms, and says how near they are to the truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc import registry
from distdesc.checks import check_choice, check_count
from distdesc.decode.decoder import Decoded, Decoder, Verdict
from distdesc.decode.fingerprints import of_descriptor
from distdesc.descriptors import DESCRIPTORS
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.errors import CampaignError, StructureError
from distdesc.schema import ArraySpec, RowKind
from distdesc.stages.decoded import Row, Truth, columns, row_of, scaled, specs
from distdesc.stages.stage import Stage
from distdesc.stages.whole import Ball, check_whole
from distdesc.stopwatch import Stopwatch
from distdesc.structures.environment import Environments
from distdesc.structures.fingerprint_store import FingerprintStore
from distdesc.structures.index import SourceIndex
from distdesc.structures.neighbours import build_environments, warm_up
from distdesc.structures.source import Source, Structures

ROW_SECONDS = 0.05
"""Of a fingerprint on average: some milliseconds, and now and then a second."""

DECODER_BYTES = 2**26
"""Of the tables of a decoder of the highest order, and what one decoding needs."""


EMPTY = Decoded(
    np.empty((0, 3)), np.empty(0, dtype=np.int32), np.empty(0), Verdict.EXACT, "", 0.0, "none",
    1.0, 0.0,
)  # fmt: skip
"""What zeros are the fingerprint of: an atom alone has no neighbours."""


@dataclass(frozen=True)
class Decode:
    """
    Atoms found from the fingerprint of every structure, or of every environment.

    The decoder is given the fingerprint and the descriptor, nothing else; what the source knows
    of the atoms is only compared with what came out. Positions are in a frame of their own.

    Parameters
    ----------
    descriptor : MomentInvariants
        What the fingerprints are made with; the job's ``[descriptor]``.
    per : str
        What a row is: a ``"whole"`` structure, or an ``"environment"``.
    origin, radius : str
        Of the balls of whole structures, see `whole.Ball`.
    second : bool
        Whether there are two fingerprints of each row: positions are found from one in which all
        elements weigh the same, and the elements then from that of ``[descriptor]``.
    tolerance : float
        Relative residual of the fingerprint up to which a structure is called exact.
    noise : float
        Standard deviation of the noise, relative to each feature, that is put on the
        fingerprints first, to see what comes back; the decoder is told to expect it.
    seed : int
        Of the decoder's starts and of the noise.
    stored : bool
        Whether the fingerprints are those of the source, a fingerprint store; else they are
        computed. Found out by the plan.
    """

    descriptor: MomentInvariants
    per: str = "whole"
    origin: str = "centroid"
    radius: str = "fitted"
    second: bool = False
    tolerance: float = 1e-8
    noise: float = 0.0
    seed: int = 0
    stored: bool = False

    def __post_init__(self) -> None:
        check_choice("per", self.per, ("whole", "environment"))
        check_count("seed", self.seed)
        if not isinstance(self.descriptor, MomentInvariants):
            raise CampaignError(
                "descriptor must be moment_invariants to decode, got "
                f"{type(self.descriptor).__name__}"
            )
        Decoder(self.descriptor, self.tolerance, self.noise)  # refuses what cannot be decoded
        if self.second and self.descriptor.species != "weights":
            raise CampaignError(
                'second needs a [descriptor] that tells elements, species "weights", got '
                f'"{self.descriptor.species}"'
            )
        if self.per == "whole":
            check_whole(self._ball, self.descriptor)

    @property
    def row_kind(self) -> RowKind:
        """See Stage.row_kind."""
        return RowKind.STRUCTURE if self.per == "whole" else RowKind.ENVIRONMENT

    @property
    def reads_records(self) -> bool:
        """See Stage.reads_records: stored fingerprints are the records."""
        return self.stored

    @property
    def validates(self) -> bool:
        """See Stage.validates."""
        return True

    @property
    def row_seconds(self) -> float:
        """See Stage.row_seconds."""
        return ROW_SECONDS

    @property
    def most_atoms(self) -> int:
        """Atoms that a decoded structure can have; what needs more is not decoded."""
        return max(64, 2 * self._decoder.capacity)

    @property
    def n_features(self) -> int:
        """Numbers that a row is decoded from."""
        return self.descriptor.n_features * (2 if self.second else 1)

    @property
    def _first(self) -> MomentInvariants:
        """Descriptor of the fingerprint that positions are found from."""
        return replace(self.descriptor, species="none", weights=()) if self.second else (
            self.descriptor
        )  # fmt: skip

    @property
    def _decoder(self) -> Decoder:
        return Decoder(self._first, self.tolerance, self.noise, seed=self.seed)

    @property
    def _ball(self) -> Ball:
        return Ball(self.origin, self.radius)

    def outputs(self) -> tuple[ArraySpec, ...]:
        """See Stage.outputs."""
        return specs(self.n_features, self.most_atoms, self._decoder.capacity / 2)

    def resolve(self, source: Source, index: SourceIndex) -> Stage:
        """See Stage.resolve: stored fingerprints must be those that are to be decoded."""
        if not isinstance(source, FingerprintStore):
            return replace(self, stored=False)
        made = source.made_with()
        if registry.build(DESCRIPTORS, "descriptor", made["descriptor"]) != self.descriptor:
            raise CampaignError(f"[descriptor] must be that of {source.path}: {made['descriptor']}")
        for name in ("per", "origin", "radius") if self.per == "whole" else ("per",):
            if made["stage"][name] != getattr(self, name):
                raise CampaignError(
                    f'{name} must be that of {source.path}, "{made["stage"][name]}", '
                    f'got "{getattr(self, name)}"'
                )
        if self.second:
            raise CampaignError(
                f"second must be false for stored fingerprints, of which {source.path} has one a "
                "row, got true"
            )
        return replace(self, stored=True)

    def warm_up(self) -> None:
        """See Stage.warm_up."""
        self.descriptor.warm_up()
        few = _few_atoms(self.descriptor.cutoff, self.descriptor.accepted_numbers[0])
        found = self._decoded(self._computed(few)[0])
        row_of(found, 1.0, self._truth(few, 0, 1.0), True, True)
        if self.per == "environment":
            warm_up()

    def working_memory(self, n_rows: int, max_atoms: int) -> int:
        """See Stage.working_memory."""
        return DECODER_BYTES + n_rows * 8 * (self.n_features + 8 * self.most_atoms)

    def run(
        self, batch: Structures, first: int, last: int, clock: Stopwatch
    ) -> dict[str, NDArray[Any]]:
        """See Stage.run."""
        with clock("kernel"):
            environments, radii = self._environments(batch, first, last)
            if self.stored:
                fingerprints = _stored(batch, self.per)[first:last]
            else:
                fingerprints = self._computed(environments)
            fingerprints = self._noisy(fingerprints, batch, environments)
        rows: list[Row] = []
        reasons: dict[int, str] = {}
        for k, fingerprint in enumerate(fingerprints):
            factor = float(radii[k]) / self.descriptor.cutoff
            try:
                with clock("decode"):
                    found = self._decoded(fingerprint)
            except StructureError as error:
                owner = np.searchsorted(batch.offsets, environments.centres[k], side="right") - 1
                reasons[int(owner)] = next(iter(error.reasons.values()))
                continue
            with clock("match"):
                truth = self._truth(environments, k, factor)
                species = self.descriptor.species == "weights"
                mirror = not self.descriptor.parity_odd
                rows.append(row_of(scaled(found, factor), float(radii[k]), truth, species, mirror))
        if reasons:
            raise StructureError(reasons)
        return columns(rows)

    def _environments(
        self, batch: Structures, first: int, last: int
    ) -> tuple[Environments, NDArray[np.float64]]:
        """What the rows are of, and the radius of each ball, in Å."""
        cutoff = self.descriptor.cutoff
        if self.per == "whole":
            return self._ball.environments(batch, first, last, cutoff)
        found = build_environments(batch, first, last, cutoff)
        return found, np.full(len(found), cutoff)

    def _computed(self, environments: Environments) -> NDArray[np.float64]:
        """Fingerprints, one after the other if there are two of each row."""
        rows = self.descriptor.compute(environments)
        return np.hstack([self._first.compute(environments), rows]) if self.second else rows

    def _noisy(
        self, rows: NDArray[np.float64], batch: Structures, environments: Environments
    ) -> NDArray[np.float64]:
        if self.noise == 0:
            return rows
        owners = np.searchsorted(batch.offsets, environments.centres, side="right") - 1
        atoms = environments.centres - batch.offsets[owners]
        out = np.empty_like(rows)
        for k, place in enumerate(zip(batch.indices[owners], atoms, strict=True)):
            # A seed for each row: it must not matter which shard the row is in.
            rng = np.random.default_rng((self.seed, *map(int, place)))
            out[k] = rows[k] * (1 + self.noise * rng.standard_normal(rows.shape[1]))
        return out

    def _decoded(self, fingerprint: NDArray[np.float64]) -> Decoded:
        """Atoms of a row, in units of the descriptor's cutoff."""
        if not np.any(fingerprint):
            return EMPTY
        n = self.descriptor.n_features
        second = (self.descriptor, fingerprint[n:]) if self.second else None
        found = self._decoder.decode(fingerprint[:n], second)
        if len(found.numbers) <= self.most_atoms:
            return found
        reason = (
            f"decoded {len(found.numbers)} atoms, more than the {self.most_atoms} that can be "
            "stored"
        )
        return replace(
            found, positions=found.positions[:0], numbers=found.numbers[:0],
            weights=found.weights[:0], verdict=Verdict.FAILED, reason=reason, others=(),
        )  # fmt: skip

    def _truth(self, environments: Environments, k: int, factor: float) -> Truth:
        """Atoms of one environment, without those at its edge that no feature can tell."""
        pairs = slice(int(environments.offsets[k]), int(environments.offsets[k + 1]))
        numbers, vectors = environments.numbers[pairs], environments.vectors[pairs]
        if self.descriptor.include_centre:
            numbers = np.append(environments.centre_numbers[k], numbers)
            vectors = np.vstack([np.zeros(3), vectors])
        if self.descriptor.smoothing > 0:
            seen = self._seen(numbers, vectors / self.descriptor.cutoff)
            numbers, vectors = numbers[seen], vectors[seen]
        return Truth(numbers, vectors * factor)

    def _seen(self, numbers: NDArray[np.int32], points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which neighbours change some feature by more than the tolerance."""
        own = of_descriptor(self.descriptor)
        weights = self.descriptor.weight_table()[numbers]
        left = weights * own.decay(points)
        seen = np.ones(len(points), dtype=bool)
        faint = np.flatnonzero(left < self.tolerance * np.sum(left))
        if len(faint):
            fingerprint = own.of_points(points, weights)
            for k in faint[np.argsort(left[faint])]:
                without = seen & (np.arange(len(points)) != k)
                off = own.residual(fingerprint, points[without], weights[without])
                seen[k] = off > self.tolerance
        return seen


def _stored(batch: Structures, per: str) -> NDArray[np.float64]:
    """Fingerprints of all rows of a batch, as they were stored."""
    records = [r for r in batch.records or () if r is not None]
    if per == "whole":
        return np.array([r.info["fingerprint"] for r in records], dtype=np.float64)
    return np.concatenate([r.arrays["fingerprint"] for r in records]).astype(np.float64)


def _few_atoms(cutoff: float, number: int) -> Environments:
    """Four atoms without symmetry, such as it takes to compile what decodes them."""
    places = np.array([[4, 0, 0], [1, 3, 1], [1, 0, 3], [-2, -2, -1]]) / 8
    numbers = np.full(4, number, dtype=np.int32)
    one = np.zeros(1, dtype=np.int64)
    return Environments(np.array([0, 4]), cutoff * places, numbers, np.arange(4), one, numbers[:1])
