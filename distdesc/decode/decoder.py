"""Fingerprint in, atoms out: the roads, and the verdict on what they found."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from distdesc.decode.atoms import NOTHING, Candidate, Chemistry
from distdesc.decode.decoded import Decoded, Verdict
from distdesc.decode.evidence import Evidence
from distdesc.decode.fingerprints import checked
from distdesc.decode.independent import from_independent
from distdesc.decode.match import match
from distdesc.decode.moment_problem import capacity
from distdesc.decode.refine import NOISY, refined
from distdesc.decode.roads import SETTLED, Roads
from distdesc.decode.second_fingerprint import assign_elements
from distdesc.decode.threads import one_thread
from distdesc.descriptors.marchable import LEAST_ORDER
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.elements import SYMBOLS
from distdesc.errors import CampaignError

__all__ = ["Decoded", "Decoder", "Verdict"]

SINGLE = 6e-8
"""Relative error of single precision."""

APPROXIMATE = 1e-3
"""Residual beyond which a structure is not worth showing."""

LEAST = 1e-6
"""Total weight that is none."""

MOST_ATOMS = 200
"""In a search, so that a wild fingerprint does not exhaust the memory."""

MOST_OTHERS = 5
"""Structures with the same fingerprint, to be told of."""

SEARCHED = 8
"""Atoms up to which it is worth to fit them to a full set, where all else has failed."""

SEARCHED_ORDER = 5
"""Order of that set, at most."""

ALGEBRA, COMPLETION, SEARCH = "algebra", "completion", "search"


@dataclass(frozen=True)
class Decoder:
    """
    Turns fingerprints of `MomentInvariants` back into atoms.

    Nothing but the fingerprint and the descriptor's configuration is asked. With the invariants
    ``"full"`` the moments are solved for level by level, and atoms follow from the moments, both
    by linear algebra; where a symmetry stops that, levels are searched from random starts; what
    is left is a fit of atoms from random places. ``"independent"`` is solved tensor by tensor, for
    each symmetry that there may be; below order 5 it is a fit from random places alone.

    Parameters
    ----------
    descriptor : MomentInvariants
        What the fingerprints were made with: one density, and elements, between whose weights
        the decoder chooses.
    tolerance : float
        Relative residual up to which a structure is called exact.
    noise : float
        Relative error of the features to expect; that of single precision is noticed unasked.
    tries : int
        Passes with random starts of levels where the environment is symmetric.
    starts : int
        Random starts of atoms after that.
    confirm : int
        Further passes after a search that has found an answer, for another with the same
        fingerprint.
    n_atoms : int
        Number of atoms, if it is known; 0 if not.
    seed : int
        Of the starts; results are the same for the same seed.
    """

    descriptor: MomentInvariants
    tolerance: float = 1e-8
    noise: float = 0.0
    tries: int = 4
    starts: int = 30
    confirm: int = 0
    n_atoms: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.descriptor, MomentInvariants):
            raise CampaignError(
                f"descriptor must be moment_invariants to decode, got {self.descriptor!r}"
            )
        if self.descriptor.species == "channels":
            raise CampaignError('species must be "weights" or "none" to decode, got "channels"')
        if self.descriptor.order < 3:
            raise CampaignError(f"order must be at least 3 to decode, got {self.descriptor.order}")
        if np.min(self._table) <= 0:
            raise CampaignError(f"weights must be positive to decode, got {np.min(self._table)}")
        for name in ("tolerance", "noise"):
            value = getattr(self, name)
            if not 0 <= value < 0.1:
                raise CampaignError(f"{name} must be from 0 to 0.1, got {value}")
        for name in ("tries", "starts", "confirm", "n_atoms", "seed"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise CampaignError(f"{name} must be an integer of at least 0, got {value!r}")

    @property
    def capacity(self) -> int:
        """Atoms in general position that algebra can find."""
        return capacity(self.descriptor.order)

    @property
    def _table(self) -> NDArray[np.float64]:
        return self.descriptor.weight_table()[list(self.descriptor.accepted_numbers)]

    def decode(
        self,
        fingerprint: NDArray[np.float64],
        second: tuple[MomentInvariants, NDArray[np.float64]] | None = None,
    ) -> Decoded:
        """
        Structure with a fingerprint.

        Parameters
        ----------
        fingerprint : ndarray, shape (n_features,), float64
            As `MomentInvariants.compute` gives it, exact or with noise.
        second : tuple of MomentInvariants and ndarray, optional
            Another descriptor with the same cutoff, and its fingerprint of the same structure:
            elements are found from that one, for positions from the first.

        Raises
        ------
        StructureError
            If it is no fingerprint of this descriptor: wrong length, or not finite.
        """
        started = time.perf_counter()
        values = checked(self.descriptor, fingerprint)
        noise = self.noise
        if np.array_equal(values, values.astype(np.float32)):
            noise = max(noise, SINGLE)
        roads = Roads(self.descriptor, self.tolerance, noise)
        with np.errstate(all="ignore"), one_thread():  # of steps too long, which are not taken
            found = self._found(roads, values)
            if noise > 0:
                found = refined(roads.chemistry, values, found)
        decoded = self._judged(roads, values, found, time.perf_counter() - started)
        if second is None or decoded.verdict is Verdict.FAILED:
            return decoded
        return self._with_elements(decoded, second, started)

    def _found(self, roads: Roads, fingerprint: NDArray[np.float64]) -> list[tuple[str, Candidate]]:
        """Candidates with their roads, until one is good enough and confirmed."""
        found: list[tuple[str, Candidate]] = []
        since, evidence = 0, Evidence(roads.chemistry, fingerprint)
        for road, candidate in self._candidates(roads, fingerprint):
            fits = evidence.settles(candidate, roads.tolerance)
            if fits or candidate.residual < 1:
                found.append((road, candidate))
            since += fits or since > 0
            if since > (0 if road == ALGEBRA else self.confirm):
                break
        return found + [(ALGEBRA, c) for c in roads.alternatives]

    def _with_elements(
        self, decoded: Decoded, second: tuple[MomentInvariants, NDArray[np.float64]], started: float
    ) -> Decoded:
        """Elements, and positions fitted again, from a second fingerprint."""
        roads = Roads(second[0], self.tolerance, self.noise)
        rng = np.random.default_rng(self.seed)
        with np.errstate(all="ignore"), one_thread():
            found = assign_elements(
                self.descriptor, *second, decoded.positions, roads.tolerance, rng
            )
            every = [(f"{decoded.road}, elements from the second", found)]
            if self.noise > 0:
                every = refined(roads.chemistry, second[1], every)
        other = replace(self, descriptor=second[0])
        return other._judged(roads, second[1], every, time.perf_counter() - started)

    def _candidates(
        self, roads: Roads, fingerprint: NDArray[np.float64]
    ) -> Iterator[tuple[str, Candidate]]:
        """Candidates of all roads, the straightest first."""
        rng = np.random.default_rng(self.seed)
        if fingerprint[0] <= LEAST:
            return
        if self.descriptor.invariants == "full":
            yield from ((ALGEBRA, c) for c in roads.algebra(fingerprint, rng))
        sizes = self._sizes(fingerprint)
        if self.descriptor.invariants == "independent" and self.descriptor.order >= LEAST_ORDER:
            found = from_independent(roads, fingerprint, rng, sizes[-1])
            yield from ((ALGEBRA, c) for c in found)
        if self.descriptor.invariants == "full":
            yield from (
                (COMPLETION, c) for c in roads.completion(fingerprint, rng, self.tries, sizes[-1])
            )
            if sizes[0] > SEARCHED or self.descriptor.order > SEARCHED_ORDER:
                return
        yield from ((SEARCH, c) for c in roads.search(fingerprint, rng, self.starts, sizes))

    def _sizes(self, fingerprint: NDArray[np.float64]) -> list[int]:
        """Numbers of atoms that can have the total weight, the largest first."""
        if self.n_atoms:
            return [self.n_atoms]
        total = 4 * np.pi / 3 * fingerprint[0]
        least = total / np.max(self._table) if self.descriptor.smoothing == 0 else 1.0
        most = total / np.min(self._table) * (1 if self.descriptor.smoothing == 0 else 1.5)
        first = min(max(1, int(np.ceil(least - 1e-3))), MOST_ATOMS)
        last = max(first, min(int(most + 1e-3), MOST_ATOMS))
        sizes = list(range(last, first - 1, -1))
        if self.descriptor.smoothing == 0:
            exact = {len(formula) for formula in Chemistry(self.descriptor).formulas(total)}
            return [n for n in sizes if n in exact] or sizes
        return sizes

    def _judged(
        self,
        roads: Roads,
        fingerprint: NDArray[np.float64],
        found: list[tuple[str, Candidate]],
        seconds: float,
    ) -> Decoded:
        """The best of what was found, and what it is worth."""
        evidence = Evidence(roads.chemistry, fingerprint)
        road, best = min(
            found,
            key=lambda pair: (
                not evidence.settles(pair[1], self.tolerance),
                max(pair[1].residual, SETTLED),
            ),
            default=("none", NOTHING),
        )
        others = self._others(evidence, best, found)
        if others:
            verdict = Verdict.AMBIGUOUS
            reason = f"{len(others)} other structures have this fingerprint too"
        elif evidence.settles(best, self.tolerance):
            verdict, reason = Verdict.EXACT, ""
        elif best.residual <= max(APPROXIMATE, 10 * self.noise):
            verdict = Verdict.APPROXIMATE
            reason = self._doubt(roads, evidence, best)
        else:
            best, verdict = replace(NOTHING, residual=best.residual), Verdict.FAILED
            elements = [SYMBOLS[z] for z in self.descriptor.accepted_numbers]
            names = ", ".join(elements) if len(elements) < 10 else "any elements"
            reason = f"no structure of at most {self.capacity} atoms of {names} was found"
        alternatives = tuple(self._decoded(r, c, verdict, reason, seconds) for r, c in others)
        return replace(self._decoded(road, best, verdict, reason, seconds), others=alternatives)

    def _doubt(self, roads: Roads, evidence: Evidence, best: Candidate) -> str:
        """Why atoms that are near are not called exact."""
        off = "" if best.residual <= self.tolerance else " only"
        reason = f"the fingerprint is reproduced to {best.residual:.1e}{off}"
        if off and best.residual <= NOISY * roads.noise:
            reason += f", as well as its noise of {roads.noise:.0e} allows"
        if not evidence.suffices(best):
            reason += ", and has too few numbers for so many atoms"
        elif not best.sure:
            reason += ", and other elements in the same places may fit as well"
        elif not (off or evidence.determines(best, self.tolerance)):
            reason += ", but not those of its features that tell the places best"
        if not roads.chemistry.sensible(best):
            reason = "atoms are beyond the cutoff or coincide; " + reason
        return reason

    def _others(
        self, evidence: Evidence, best: Candidate, found: list[tuple[str, Candidate]]
    ) -> list[tuple[str, Candidate]]:
        """Different structures with the same fingerprint."""
        kept: list[tuple[str, Candidate]] = []
        for road, candidate in found if evidence.agrees(best, self.tolerance) else []:
            if candidate is best or not evidence.agrees(candidate, self.tolerance):
                continue
            if len(kept) == MOST_OTHERS:
                break
            if all(self._differ(candidate, other) for other in (best, *(c for _, c in kept))):
                kept.append((road, candidate))
        return kept

    def _differ(self, one: Candidate, other: Candidate) -> bool:
        radius, mirror = self.descriptor.cutoff, not self.descriptor.parity_odd
        off = match(one.points * radius, one.numbers, other.points * radius, other.numbers, mirror)
        return off.max_error > 1e-2 or not off.species_ok

    def _decoded(
        self, road: str, best: Candidate, verdict: Verdict, reason: str, seconds: float
    ) -> Decoded:
        return Decoded(
            best.points * self.descriptor.cutoff, best.numbers, best.weights, verdict, reason,
            best.residual, road, best.condition, seconds,
        )  # fmt: skip
