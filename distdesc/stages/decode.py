"""The stage that turns fingerprints back into atoms, and says how near they are to the truth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from distdesc import registry
from distdesc.decode.decoder import Decoded, Decoder, Verdict
from distdesc.decode.match import Match, match
from distdesc.descriptors import DESCRIPTORS
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.errors import CampaignError, StructureError
from distdesc.schema import ArraySpec, Ragged, RowKind
from distdesc.stages.whole import RADIUS, Ball, check_whole
from distdesc.stopwatch import Stopwatch
from distdesc.structures.environment import Environments
from distdesc.structures.fingerprint_store import FingerprintStore
from distdesc.structures.index import SourceIndex
from distdesc.structures.neighbours import build_environments, warm_up
from distdesc.structures.source import Source, Structures

VERDICTS = {verdict: code for code, verdict in enumerate(Verdict)}
"""Code of each verdict, as stored."""

FOUND = 0.01
"""Largest distance of an atom from its place, in Å, that needs no second look."""

SAME = 1e-3
"""In Å: what two ways to match atoms may differ by and still count as equally near."""

ROW_SECONDS = 0.05
"""Of a fingerprint on average: some milliseconds, and now and then a second."""

DECODER_BYTES = 2**26
"""Of the tables of a decoder of the highest order, and what one decoding needs."""

NAN = float("nan")


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
    tolerance: float = 1e-8
    noise: float = 0.0
    seed: int = 0
    stored: bool = False

    def __post_init__(self) -> None:
        if self.per not in ("whole", "environment"):
            raise CampaignError(f'per must be one of whole, environment, got "{self.per}"')
        if type(self.seed) is not int or self.seed < 0:
            raise CampaignError(f"seed must be a whole number >= 0, got {self.seed!r}")
        if self.per == "whole":
            check_whole(self._ball, self.descriptor)
        self._decoder  # noqa: B018 (refuses what cannot be decoded)

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
    def _decoder(self) -> Decoder:
        return Decoder(self.descriptor, self.tolerance, self.noise, seed=self.seed)

    @property
    def _ball(self) -> Ball:
        return Ball(self.origin, self.radius)

    def outputs(self) -> tuple[ArraySpec, ...]:
        """See Stage.outputs."""
        atoms = Ragged("atom", self.most_atoms, self._decoder.capacity / 2)
        codes = {"codes": {verdict.value: code for verdict, code in VERDICTS.items()}}
        return (
            ArraySpec("n_atoms", "<i4", description="Atoms found."),
            ArraySpec("numbers", "|u1", ragged=atoms, description="Atomic numbers found."),
            ArraySpec("positions", "<f8", (3,), ("xyz",), "Å", ragged=atoms,
                      description="From the middle of the ball, in a frame of their own."),
            ArraySpec("verdict", "|i1", fill=-1, attributes=codes,
                      description="What the atoms found are worth."),
            ArraySpec("reason", "string", fill="", description="Of any verdict but exact."),
            ArraySpec("residual", "<f8", fill=NAN,
                      attributes={"n_features": self.descriptor.n_features},
                      description="Largest difference of a feature, to the largest feature."),
            ArraySpec("road", "string", fill="", description="How the atoms were found."),
            ArraySpec("condition", "<f8", fill=NAN, description="Of the moment matrix."),
            ArraySpec("seconds", "<f4", unit="s", fill=NAN, measured=True,
                      description="Time that decoding took; the only array that is not "
                      "reproducible."),
            ArraySpec("others", "string", fill="",
                      description="JSON of other structures with the same fingerprint."),
            RADIUS,
            ArraySpec("n_true", "<i4", description="Atoms that there are, if known."),
            ArraySpec("max_error", "<f8", unit="Å", fill=NAN,
                      description="Largest distance of an atom from its place; infinite if "
                      "their number differs."),
            ArraySpec("rms_error", "<f8", unit="Å", fill=NAN,
                      description="Root of the mean square of these distances."),
            ArraySpec("species_ok", "|i1", fill=-1,
                      description="Whether each atom has its element: 1 or 0; -1 unknown."),
        )  # fmt: skip

    def resolve(self, source: Source, index: SourceIndex) -> Decode:
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
        return replace(self, stored=True)

    def warm_up(self) -> None:
        """See Stage.warm_up."""
        self.descriptor.warm_up()
        if self.per == "environment":
            warm_up()

    def working_memory(self, n_rows: int, max_atoms: int) -> int:
        """See Stage.working_memory."""
        return DECODER_BYTES + n_rows * 8 * (self.descriptor.n_features + 8 * self.most_atoms)

    def run(
        self, batch: Structures, first: int, last: int, clock: Stopwatch
    ) -> dict[str, NDArray[Any]]:
        """See Stage.run."""
        with clock("kernel"):
            environments, radii = self._environments(batch, first, last)
            if self.stored:
                fingerprints = _stored(batch, self.per)[first:last]
            else:
                fingerprints = self.descriptor.compute(environments)
            fingerprints = self._noisy(fingerprints, batch, environments)
        rows: list[tuple[Decoded, int, Match]] = []
        reasons: dict[int, str] = {}
        for k, fingerprint in enumerate(fingerprints):
            try:
                # BLAS with several threads rounds differently, and here it is not faster.
                with clock("decode"), threadpool_limits(1, "blas"):
                    decoded = self._decoded(fingerprint, radii[k])
            except StructureError as error:
                owner = np.searchsorted(batch.offsets, environments.centres[k], side="right") - 1
                reasons[int(owner)] = next(iter(error.reasons.values()))
                continue
            with clock("match"):
                numbers, positions = self._truth(environments, k, radii[k])
                errors = _compared(decoded, numbers, positions, not self.descriptor.parity_odd)
                rows.append((decoded, len(numbers), errors))
        if reasons:
            raise StructureError(reasons)
        return _columns(rows, radii)

    def _environments(
        self, batch: Structures, first: int, last: int
    ) -> tuple[Environments, NDArray[np.float64]]:
        """What the rows are of, and the radius of each ball, in Å."""
        cutoff = self.descriptor.cutoff
        if self.per == "whole":
            return self._ball.environments(batch, first, last, cutoff)
        found = build_environments(batch, first, last, cutoff)
        return found, np.full(len(found), cutoff)

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

    def _decoded(self, fingerprint: NDArray[np.float64], radius: float) -> Decoded:
        """Atoms of a fingerprint, in a ball of this radius."""
        found = self._decoder.decode(fingerprint)
        if len(found.numbers) > self.most_atoms:
            raise StructureError(
                {0: f"decoded {len(found.numbers)} atoms, more than the {self.most_atoms} that "
                    "can be stored"}
            )  # fmt: skip
        return _scaled(found, radius / self.descriptor.cutoff)

    def _truth(
        self, environments: Environments, k: int, radius: float
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Numbers and positions (Å) of the atoms of one environment."""
        pairs = slice(int(environments.offsets[k]), int(environments.offsets[k + 1]))
        numbers = environments.numbers[pairs]
        positions = environments.vectors[pairs] * (radius / self.descriptor.cutoff)
        if self.descriptor.include_centre:
            numbers = np.append(environments.centre_numbers[k], numbers)
            positions = np.vstack([np.zeros(3), positions])
        return numbers, positions


def _stored(batch: Structures, per: str) -> NDArray[np.float64]:
    """Fingerprints of all rows of a batch, as they were stored."""
    records = [r for r in batch.records or () if r is not None]
    if per == "whole":
        return np.array([r.info["fingerprint"] for r in records], dtype=np.float64)
    return np.concatenate([r.arrays["fingerprint"] for r in records]).astype(np.float64)


def _compared(
    found: Decoded, numbers: NDArray[np.int32], positions: NDArray[np.float64], mirror: bool
) -> Match:
    """Errors of the atoms by element, or by place alone if some have changed their elements."""
    by_element = match(found.positions, found.numbers, positions, numbers, mirror)
    if by_element.max_error <= FOUND or len(numbers) != len(found.numbers):
        return by_element
    alike = np.zeros_like(numbers)
    by_place = match(found.positions, alike, positions, alike, mirror)
    if by_element.max_error <= by_place.max_error + SAME:
        return by_element
    return replace(by_place, species_ok=False)


def _scaled(found: Decoded, factor: float) -> Decoded:
    others = tuple(_scaled(other, factor) for other in found.others)
    return replace(found, positions=found.positions * factor, others=others)


def _columns(
    rows: Sequence[tuple[Decoded, int, Match]], radii: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    """Outputs of some rows: what was decoded, how many atoms there are, and how near it is."""
    found, truth, errors = zip(*rows, strict=True) if rows else ((), (), ())
    nothing: list[NDArray[Any]] = [np.empty((0, 3))]
    return {
        "n_atoms": np.array([len(d.numbers) for d in found], dtype=np.int32),
        "numbers": np.concatenate([[], *(d.numbers for d in found)]).astype(np.uint8),
        "positions": np.concatenate([*nothing, *(d.positions for d in found)]),
        "verdict": np.array([VERDICTS[d.verdict] for d in found], dtype=np.int8),
        "reason": np.array([d.reason for d in found], dtype=object),
        "residual": np.array([d.residual for d in found], dtype=np.float64),
        "road": np.array([d.road for d in found], dtype=object),
        "condition": np.array([d.condition for d in found], dtype=np.float64),
        "seconds": np.array([d.seconds for d in found], dtype=np.float32),
        "others": np.array([_other_text(d) for d in found], dtype=object),
        "radius": radii,
        "n_true": np.array(truth, dtype=np.int32),
        "max_error": np.array([e.max_error for e in errors], dtype=np.float64),
        "rms_error": np.array([e.rms_error for e in errors], dtype=np.float64),
        "species_ok": np.array([e.species_ok for e in errors], dtype=np.int8),
    }


def _other_text(found: Decoded) -> str:
    others = [
        {"numbers": other.numbers.tolist(), "positions": other.positions.tolist()}
        for other in found.others
    ]
    return json.dumps(others) if others else ""
