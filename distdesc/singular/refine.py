"""From an environment to a singular point beside it, by a damped least-squares iteration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from distdesc.errors import CampaignError
from distdesc.singular.distance import linear_model, newton_step
from distdesc.singular.point import Point
from distdesc.singular.sight import Sight, Singular

NULL = 1e-9
"""Largest singular value, relative to the largest of all, that counts as zero."""

FLOOR = 1e-14
"""Relative singular value at which an iteration ends: rounding is not far."""

ROOM = 0.8
"""Share of a distance shorter than the core at the start that it may shrink to."""

SHRINKINGS = 10
"""Shorter steps that are tried before an iteration gives up."""

STALLED = 0.9
"""Remaining share of the residual after a step that got hardly anywhere; three end the search."""


LENGTHS = (0.5, 1.0, 2.0, 4.0)
"""How far from the environment searches begin, relative to what is stated."""


@dataclass(frozen=True)
class Bounds:
    """
    Where the search for a singular point may go.

    Parameters
    ----------
    reach : float
        Farthest from the start, in Å: length of the displacement of all neighbours together.
    step : float
        Longest step of one iteration, in Å, in the same measure.
    core : float
        Smallest distance between two neighbours, or of one from the centre, in Å: where like
        atoms fall together, every fingerprint is singular.
    rim : float
        Largest distance from the centre, relative to the cutoff, near which neighbours fade.
    iterations : int
        Steps at most.
    """

    reach: float = 0.5
    step: float = 0.2
    core: float = 0.5
    rim: float = 0.95
    iterations: int = 60

    def __post_init__(self) -> None:
        for name in ("reach", "step"):
            if not getattr(self, name) > 0:
                raise CampaignError(f"{name} must be > 0 Å, got {getattr(self, name)}")
        if not self.core >= 0:
            raise CampaignError(f"core must be >= 0 Å, got {self.core}")
        if not 0 < self.rim <= 1:
            raise CampaignError(f"rim must be above 0 and at most 1, got {self.rim}")
        if type(self.iterations) is not int or self.iterations < 1:
            raise CampaignError(f"iterations must be a whole number >= 1, got {self.iterations}")

    def admit(self, start: NDArray[np.float64], there: NDArray[np.float64], cutoff: float) -> bool:
        """
        Whether neighbours may be somewhere.

        What is too far at the start may stay so; what is too near may come a little nearer.

        Parameters
        ----------
        start, there : ndarray, shape (3 n,), float64
            Where they were at the start, and where they would be, in Å.
        cutoff : float
            Of the descriptor, in Å.
        """
        if np.linalg.norm(there - start) > self.reach:
            return False
        (near, far), (nearest, farthest) = _spans(start), _spans(there)
        return bool(
            np.all(nearest >= np.minimum(self.core, ROOM * near))
            and np.all(farthest <= np.maximum(self.rim * cutoff, far))
        )


@dataclass(frozen=True)
class Refined:
    """
    Where a search ended.

    Parameters
    ----------
    point : Point
        The singular point, or the best that was found.
    singular : Singular
        Singular values and vectors there.
    converged : bool
        Whether as many of them are zero as should be.
    distance : float
        From the start, in Å: length of the displacement of all neighbours together.
    iterations : int
        Steps that were taken.
    """

    point: Point
    singular: Singular
    converged: bool
    distance: float
    iterations: int

    @property
    def nulls(self) -> NDArray[np.float64]:
        """Orthonormal motions that the fingerprint does not see, shape (3 n, k)."""
        return self.singular.motions[:, self.singular.ratios <= NULL]


def refine(sight: Sight, bounds: Bounds | None = None, block: int = 1) -> Refined:
    """
    Find a singular point near an environment, where so many singular values vanish at once.

    It minimises ``|J(x) V|`` over the positions x and k orthonormal motions V, which are
    eliminated: at every x they are the right singular vectors of the k smallest values, and the
    residual changes by ``(1 - U U^T) dJ V``, with U the left vectors of all others [1]_. Steps
    are those of Levenberg and Marquardt: the shortest that the linear model wants, damped where
    it fails. Convergence is quadratic unless more values vanish than asked for.

    Parameters
    ----------
    sight : Sight
        Descriptor and environment; the neighbours move within what it allows.
    bounds : Bounds, optional
        Where the search may go.
    block : int
        How many singular values are to vanish, k; at most all.

    References
    ----------
    .. [1] Golub and Pereyra, SIAM J. Numer. Anal. 10, 413 (1973); Kaufman, BIT 15, 49 (1975).
    """
    bounds = bounds or Bounds()
    start = here = sight.point.vectors.ravel()
    seen = sight.singular(here)
    k = min(block, len(seen.values))
    damping, taken, slow = 1e-3, 0, 0
    while k and taken < bounds.iterations and slow < 3 and seen.ratios[-k] > FLOOR:
        found = _advance(sight, bounds, (start, here), seen, k, damping)
        if found is None:
            break
        before, (here, seen, damping) = _residual(seen, k), found
        gain = _residual(seen, k) / before
        damping *= 0.1 if gain < 0.1 else 3.0 if gain > 0.5 else 1.0
        slow = slow + 1 if gain > STALLED else 0
        taken += 1
    converged = k > 0 and bool(seen.ratios[-k] <= NULL)
    distance = float(np.linalg.norm(here - start))
    return Refined(sight.point.at(here), seen, converged, distance, taken)


def nearest(
    sight: Sight,
    bounds: Bounds | None = None,
    kicks: int = 4,
    spread: float = 0.1,
    seed: int = 0,
    enough: float = 0.0,
) -> Refined:
    """
    Nearest singular point that several searches find.

    They start from the environment, for one to three values that vanish together; then also from
    beside it, as often as asked, because the smallest singular value has minima that are not zero.

    Parameters
    ----------
    sight : Sight
        Descriptor and environment.
    bounds : Bounds, optional
        Where a search may go, as seen from the environment itself.
    kicks : int
        Starts beside the environment.
    spread : float
        How far from it they are, in Å: half as far, as far, and twice and four times as far, in
        turn.
    seed : int
        Of the displacements.
    enough : float
        Distance in Å within which the first singular point that is found will do.

    Returns
    -------
    Refined
        The nearest singular point; if there is none, where the smallest singular value is least.
    """
    bounds = bounds or Bounds()
    start = sight.point.vectors.ravel()
    best: Refined | None = None
    for beside, block in _starts(sight, bounds, kicks, spread, seed):
        found = refine(replace(sight, point=sight.point.at(beside)), bounds, block)
        distance = float(np.linalg.norm(found.point.vectors.ravel() - start))
        found = replace(
            found, distance=distance, converged=found.converged and distance <= bounds.reach
        )
        if best is None or _rank(found) < _rank(best):
            best = found
        if best.converged and best.distance <= enough:
            break
    assert best is not None
    return best


def _starts(
    sight: Sight, bounds: Bounds, kicks: int, spread: float, seed: int
) -> Iterator[tuple[NDArray[np.float64], int]]:
    """Where searches begin, and how many values are to vanish."""
    start = sight.point.vectors.ravel()
    yield from ((start, block) for block in (1, 2, 3))
    rng = np.random.default_rng(seed)
    motions = sight.motions(start)
    for kick in range(kicks):
        shift = rng.normal(size=motions.shape[1])
        shift *= spread * LENGTHS[kick % len(LENGTHS)] / max(float(np.linalg.norm(shift)), 1e-300)
        beside = start + motions @ shift
        if bounds.admit(start, beside, sight.descriptor.cutoff):
            yield from ((beside, block) for block in (1, 2))


def _rank(found: Refined) -> tuple[bool, float]:
    """Order in which ends are preferred: singular points by distance, others by how singular."""
    if found.converged:
        return False, found.distance
    return True, float(np.min(found.singular.ratios, initial=np.inf))


def _residual(seen: Singular, k: int) -> float:
    return float(np.sum(seen.values[-k:] ** 2))


def _advance(
    sight: Sight,
    bounds: Bounds,
    places: tuple[NDArray[np.float64], NDArray[np.float64]],
    seen: Singular,
    k: int,
    damping: float,
) -> tuple[NDArray[np.float64], Singular, float] | None:
    """Take a step that lessens the residual; None if there is none."""
    start, here = places
    motions = seen.motions
    system = linear_model(seen, sight.turns(here, seen.motions[:, -k:]), motions)
    for _ in range(SHRINKINGS):
        step = newton_step(*system, damping)
        step *= min(1.0, bounds.step / max(float(np.linalg.norm(step)), 1e-300))
        for _ in range(4):
            there = here + motions @ step
            if bounds.admit(start, there, sight.descriptor.cutoff):
                ahead = sight.singular(there)
                if _residual(ahead, k) < _residual(seen, k):
                    return there, ahead, damping
                break
            step = step / 2
        damping = 10 * max(damping, 1e-12)
    return None


def _spans(coordinates: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances of neighbours from the centre and from each other; the former once more."""
    vectors = coordinates.reshape(-1, 3)
    radii = np.linalg.norm(vectors, axis=1)
    i, j = np.triu_indices(len(vectors), 1)
    return np.concatenate([radii, np.linalg.norm(vectors[i] - vectors[j], axis=1)]), radii
