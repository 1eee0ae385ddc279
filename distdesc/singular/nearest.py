"""The nearest singular point that several searches find."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from distdesc.singular.bounds import Bounds
from distdesc.singular.refine import Refined, refine
from distdesc.singular.sight import Sight

LENGTHS = (0.5, 1.0, 2.0, 4.0)
"""How far from the environment searches begin, relative to what is stated."""


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
    limits = sight.limits(bounds, start)
    yield from ((start, block) for block in (1, 2, 3))
    rng = np.random.default_rng(seed)
    motions = sight.steps(start)
    for kick in range(kicks):
        shift = rng.normal(size=motions.shape[1])
        shift *= spread * LENGTHS[kick % len(LENGTHS)] / max(float(np.linalg.norm(shift)), 1e-300)
        beside = start + motions @ shift
        if limits.admit(beside):
            yield from ((beside, block) for block in (1, 2))


def _rank(found: Refined) -> tuple[bool, float]:
    """Order in which ends are preferred: singular points by distance, others by how singular."""
    if found.converged:
        return False, found.distance
    return True, float(np.min(found.singular.ratios, initial=np.inf))
