"""Fingerprint in, atoms out: the roads, and the verdict on what they found."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from distdesc.decode.marching import March
from distdesc.decode.moment_problem import MomentMatrix, capacity
from distdesc.decode.polish import fingerprint_of, polish
from distdesc.descriptors.cutoff import ShiftedCosine
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.elements import SYMBOLS
from distdesc.errors import CampaignError, StructureError


class Verdict(Enum):
    """What a decoded structure is worth."""

    EXACT = "exact"
    APPROXIMATE = "approximate"
    AMBIGUOUS = "ambiguous"
    FAILED = "failed"


@dataclass(frozen=True)
class Decoded:
    """
    A structure with a given fingerprint, in a frame of its own.

    Parameters
    ----------
    positions : ndarray, shape (n_atoms, 3), float64
        Relative to the centre of the ball, in Å; empty if nothing was found.
    numbers : ndarray, shape (n_atoms,), int32
        Atomic numbers.
    weights : ndarray, shape (n_atoms,), float64
        As found, before they were rounded to those of elements.
    verdict : Verdict
        Exact: the fingerprint is reproduced to `tolerance`. Approximate: not quite. Ambiguous:
        reproduced, but another structure in `others` has it too. Failed: no structure of the
        accepted elements is near.
    reason : str
        Of any other verdict than exact.
    residual : float
        Largest difference of a feature from the given one, relative to the largest feature.
    road : str
        How it was found.
    condition : float
        Ratio of the largest and the smallest eigenvalue of the moment matrix that were used.
    seconds : float
        Time it took.
    others : tuple of Decoded
        Different structures with the same fingerprint.
    """

    positions: NDArray[np.float64]
    numbers: NDArray[np.int32]
    weights: NDArray[np.float64]
    verdict: Verdict
    reason: str
    residual: float
    road: str
    condition: float
    seconds: float
    others: tuple[Decoded, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class _Candidate:
    """Points that may be the answer, in units of the radius."""

    points: NDArray[np.float64]
    weights: NDArray[np.float64]
    numbers: NDArray[np.int32]
    residual: float
    condition: float


NOTHING = _Candidate(np.empty((0, 3)), np.empty(0), np.empty(0, np.int32), np.inf, np.inf)


@dataclass(frozen=True)
class Decoder:
    """
    Turns fingerprints of `MomentInvariants` back into atoms, by algebra alone.

    Parameters
    ----------
    descriptor : MomentInvariants
        What the fingerprints were made with: one density, invariants ``"full"``, and elements,
        between whose weights the decoder chooses.
    tolerance : float
        Relative residual up to which a structure is called exact.
    tries : int
        Frames and completions to try where the environment is symmetric.
    seed : int
        Of the starts; results are the same for the same seed.
    """

    descriptor: MomentInvariants
    tolerance: float = 1e-8
    tries: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.descriptor, MomentInvariants):
            raise CampaignError(
                f"descriptor must be moment_invariants to decode, got {self.descriptor!r}"
            )
        if self.descriptor.species == "channels":
            raise CampaignError('species must be "weights" or "none" to decode, got "channels"')
        if self.descriptor.invariants != "full":
            raise CampaignError(
                f'invariants must be "full" to decode, got "{self.descriptor.invariants}"'
            )
        if self.descriptor.order < 3:
            raise CampaignError(f"order must be at least 3 to decode, got {self.descriptor.order}")

    @property
    def capacity(self) -> int:
        """Atoms in general position that can be found."""
        return capacity(self.descriptor.order)

    def decode(self, fingerprint: NDArray[np.float64]) -> Decoded:
        """
        Structure with a fingerprint.

        Parameters
        ----------
        fingerprint : ndarray, shape (n_features,), float64
            As `MomentInvariants.compute` gives it, exact or with noise.

        Raises
        ------
        StructureError
            If it is no fingerprint of this descriptor: wrong length, or not finite.
        """
        started = time.perf_counter()
        fingerprint = self._checked(fingerprint)
        rng = np.random.default_rng(self.seed)
        best, road = NOTHING, "none"
        march = March(self.descriptor)
        tries = march.solutions(fingerprint, rng, self.tries, max(1e-8, self.tolerance))
        for attempt, (moments, _) in enumerate(tries):
            found = self._atoms(moments, fingerprint)
            if found.residual < best.residual:
                best, road = found, "marching" if attempt == 0 else f"marching {attempt + 1}"
            if best.residual <= self.tolerance:
                break
        return self._judged(best, road, time.perf_counter() - started)

    def _checked(self, fingerprint: NDArray[np.float64]) -> NDArray[np.float64]:
        wanted = self.descriptor.n_features
        values = np.asarray(fingerprint, dtype=np.float64)
        if values.shape != (wanted,):
            raise StructureError(
                {0: f"fingerprint must have shape ({wanted},), the {wanted} features of order "
                    f"{self.descriptor.order}, got {values.shape}"}
            )  # fmt: skip
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise StructureError(
                {0: f"fingerprint must be finite, got {values[bad[0]]} as feature {bad[0]}"}
            )
        return values

    def _atoms(self, moments: NDArray[np.float64], fingerprint: NDArray[np.float64]) -> _Candidate:
        """Best set of atoms for some moments."""
        matrix = MomentMatrix(moments, self.descriptor.order)
        best = NOTHING
        if not matrix.eigenvalues[0] > 0:
            return best
        for rank in matrix.ranks()[:4]:
            points, weights = matrix.points(rank)
            if not np.all(np.linalg.norm(points, axis=1) < 1.1):
                continue
            found = self._refined(points, weights, fingerprint)
            if found.residual < best.residual:
                spread = matrix.eigenvalues[0] / matrix.eigenvalues[rank - 1]
                best = _Candidate(
                    found.points, found.weights, found.numbers, found.residual, float(spread)
                )
            if best.residual <= self.tolerance:
                break
        return best

    def _refined(
        self,
        points: NDArray[np.float64],
        weights: NDArray[np.float64],
        fingerprint: NDArray[np.float64],
    ) -> _Candidate:
        """Points and weights closer to the fingerprint, then elements for the weights."""
        scale = float(np.max(np.abs(fingerprint)))
        off = np.max(np.abs(fingerprint_of(self.descriptor, points, weights) - fingerprint))
        if off > 0.3 * scale:
            return NOTHING
        if off > 1e-9 * scale:
            points, weights, _ = polish(self.descriptor, fingerprint, points, weights, True)
        numbers = self._elements(points, weights)
        settled = self._weights(points, numbers)
        residual = fingerprint_of(self.descriptor, points, settled) - fingerprint
        worst = float(np.max(np.abs(residual)) / scale)
        if worst > 1e-10:
            points, _, worst = polish(self.descriptor, fingerprint, points, settled, False)
        return _Candidate(points, weights, numbers, worst, np.inf)

    def _elements(
        self, points: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> NDArray[np.int32]:
        """Elements with the nearest weights, what the cutoff function takes added again."""
        accepted = np.array(self.descriptor.accepted_numbers)
        table = self.descriptor.weight_table()[accepted]
        plain = weights / np.maximum(self._decay(points), 1e-12)
        nearest = np.argmin(np.abs(plain[:, None] - table), axis=1)
        return accepted[nearest].astype(np.int32)

    def _weights(
        self, points: NDArray[np.float64], numbers: NDArray[np.int32]
    ) -> NDArray[np.float64]:
        return self.descriptor.weight_table()[numbers] * self._decay(points)

    def _decay(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Cutoff function at some points."""
        cutoff = ShiftedCosine(self.descriptor.cutoff, self.descriptor.smoothing)
        return cutoff(np.linalg.norm(points, axis=1) * self.descriptor.cutoff)

    def _judged(self, best: _Candidate, road: str, seconds: float) -> Decoded:
        if best.residual <= self.tolerance:
            verdict, reason = Verdict.EXACT, ""
        elif best.residual <= 1e-2:
            verdict = Verdict.APPROXIMATE
            reason = f"the fingerprint is reproduced to {best.residual:.1e} only"
        else:
            best, verdict = NOTHING, Verdict.FAILED
            names = ", ".join(SYMBOLS[z] for z in self.descriptor.accepted_numbers[:10])
            reason = f"no structure of at most {self.capacity} atoms of {names} is near"
        return Decoded(
            best.points * self.descriptor.cutoff, best.numbers, best.weights, verdict, reason,
            best.residual, road, best.condition, seconds,
        )  # fmt: skip
