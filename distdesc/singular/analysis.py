"""One environment analysed: its null motions, how near a singular point is, and which."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from distdesc.checks import check_count
from distdesc.descriptors.descriptor import Descriptor
from distdesc.errors import CampaignError
from distdesc.singular.bounds import Bounds
from distdesc.singular.distance import Estimate, estimate
from distdesc.singular.environment_row import EnvironmentRow
from distdesc.singular.look import EXACT, Look, Row, look_closely, pair_at
from distdesc.singular.nearest import nearest
from distdesc.singular.partner import Pair
from distdesc.singular.point import Point
from distdesc.singular.reasons import Kind
from distdesc.singular.sight import focused
from distdesc.symmetry.group import Symmetry

SPURIOUS = (Kind.INCOMPLETENESS, Kind.HIGHER, Kind.TRUNCATION, Kind.UNRESOLVED)
"""Kinds of null motions that neither symmetry nor the cutoff explains."""

FAR = 3.0
"""Distance, relative to the estimate, from which something nearer is to be expected."""

SURELY = 1.2
"""A singular point within this many times the estimated distance is taken for the nearest."""

SHORTEST, LONGEST = 0.005, 0.2
"""In Å: how far from the environment searches begin at least and at most, where it is not known."""


@dataclass(frozen=True)
class Options:
    """
    Which environments are looked at closer, and how.

    Parameters
    ----------
    flag_ratio : float
        Those whose smallest singular value within totally symmetric motions is at most this,
        relative to the largest.
    flag_distance : float
        And those whose estimated distance to a singular point is at most this, in Å.
    tolerance : float
        How far from symmetric an environment may be to be taken for symmetric, in Å.
    null : float, optional
        Singular values up to this, relative to the largest, are zero; `null_of` of the descriptor
        if None. Less than `flag_ratio`.
    bounds : Bounds
        Where the search for the singular point may go.
    kicks : int
        Starts of the search beside the environment, if need be.
    pairs : bool
        Whether degenerate pairs are looked for.
    seed : int
        Of the starts.
    """

    flag_ratio: float = 1e-3
    flag_distance: float = 0.1
    tolerance: float = 1e-3
    null: float | None = None
    bounds: Bounds = field(default_factory=Bounds)
    kicks: int = 4
    pairs: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("flag_ratio", "flag_distance"):
            if not getattr(self, name) >= 0:
                raise CampaignError(f"{name} must be >= 0, got {getattr(self, name)}")
        if not self.tolerance > 0:
            raise CampaignError(f"tolerance must be > 0 Å, got {self.tolerance}")
        if self.null is not None and not 0 < self.null < self.flag_ratio:
            raise CampaignError(
                f"null must be above 0 and below flag_ratio ({self.flag_ratio:g}), got {self.null}"
            )
        check_count("kicks", self.kicks)
        check_count("seed", self.seed)


@dataclass(frozen=True)
class Analysis:
    """
    What was found out about an environment.

    Parameters
    ----------
    kind : Kind
        What makes the environment singular; or, if nothing but symmetry does and a singular point
        is near, what makes that one so; unresolved if none was found where one should be.
    counts : dict of Kind to int
        Null motions of the singular point, or else of the environment, by kind.
    n_nulls : int
        Null motions of the environment, as symmetric as the tolerance makes it.
    symmetry_nulls : int
        How many of them symmetry demands.
    point_group : str
        Of the environment.
    ratio : float
        Smallest singular value within totally symmetric motions, relative to the largest; NaN
        if there is none.
    flagged : bool
        Whether it was looked at closer.
    estimate : float
        Estimated distance to a singular point of the same symmetry, in Å; infinite if unknown.
    distance : float
        Distance of the singular point that was found, in Å, 0 if it is the environment itself;
        infinite if there is none.
    point : Point
        That point, or else the environment.
    group_there : str
        Point group of that point.
    motion : ndarray, shape (n, 3), float64
        A unit null motion there, of the kind of the point; else the motion that is seen least.
    pair : Pair or None
        Two environments with one fingerprint beside that point.
    reason : str
        What the kind was concluded from.
    """

    kind: Kind
    counts: dict[Kind, int]
    n_nulls: int
    symmetry_nulls: int
    point_group: str
    ratio: float
    flagged: bool
    estimate: float
    distance: float
    point: Point
    group_there: str
    motion: NDArray[np.float64]
    pair: Pair | None
    reason: str


def analyse(
    descriptor: Descriptor,
    point: Point,
    options: Options | None = None,
    symmetry: Symmetry | None = None,
) -> Analysis:
    """
    Analyse one environment: cheap steps first, costly ones only where those are not enough.

    Null motions of the environment itself are classified. If all of them are due to symmetry, its
    totally symmetric motions are looked at: their smallest singular value, and the distance to
    where it vanishes. Only what these flag is refined to the singular point, which is classified
    in its turn. Neighbours beyond the rim of the bounds, which fade, stay where they are.

    Parameters
    ----------
    descriptor : Descriptor
        The map.
    point : Point
        The environment.
    options : Options, optional
        When it is looked at closer, and how.
    symmetry : Symmetry, optional
        Of the environment, if known; see `symmetry_of`.
    """
    options = options or Options()
    descriptor = focused(descriptor, point)
    return analyse_row(
        EnvironmentRow(descriptor, options.bounds, options.null), point, options, symmetry
    )


def analyse_row(
    row: Row, point: Point, options: Options, symmetry: Symmetry | None = None
) -> Analysis:
    """
    Analyse an environment or a structure; see `analyse`.

    Parameters
    ----------
    row : Row
        What it is.
    point : Point
        Where its atoms are.
    options : Options
        When it is looked at closer, and how.
    symmetry : Symmetry, optional
        That it has within their tolerance, if known.
    """
    symmetry = row.symmetry(point, options.tolerance) if symmetry is None else symmetry
    refused = row.refusal(point)
    if refused:
        kind = Kind.UNRESOLVED if len(point) > row.fewest else Kind.REGULAR
        return _empty(point, symmetry.name, kind, refused)
    here = row.look(point, symmetry, options.tolerance)
    within = here.within.singular(here.point.vectors.ravel())
    guess = estimate(here.free)
    ratio = float(within.ratios[-1]) if len(within.values) else np.nan
    start = _started(here, guess, ratio)
    spurious = any(kind in here.found.motions for kind in SPURIOUS)
    if spurious and guess.distance == 0:
        return _concluded(start, row, here, 0.0, options)
    smallest = float(guess.singular.ratios[-1]) if len(guess.singular.values) else np.inf
    fades = ratio <= options.flag_ratio or (np.isfinite(ratio) and smallest == np.inf)
    if guess.distance > options.flag_distance and smallest > options.flag_ratio:
        return _unflagged(start, here, bool(fades))
    more = _more_symmetric(row, here, options)
    start = replace(start, estimate=row.distance(here, guess, more[1]))
    there, distance = _beside(here, row, more, guess.distance, options)
    if there is not None:
        return _concluded(start, row, there, distance, options)
    reason = f"no singular point was found within {options.bounds.reach:g} Å"
    if spurious:  # zero is what was asked to count as such
        found = _concluded(start, row, here, np.inf, options)
        return replace(found, reason="; ".join(filter(None, (found.reason, reason))))
    return replace(start, kind=Kind.UNRESOLVED, flagged=True, reason=reason)


def _beside(
    here: Look,
    row: Row,
    symmetric: tuple[Look | None, float],
    expected: float,
    options: Options,
) -> tuple[Look | None, float]:
    """Nearest singular point of those that are more symmetric, and those that a search finds."""
    more, near = symmetric
    enough = max(SURELY * expected, EXACT)
    if more is not None and near <= enough:
        return more, near
    bounds, kicks = options.bounds, options.kicks
    if more is not None:  # only what is nearer is of interest
        bounds = replace(bounds, reach=min(bounds.reach, near))
        kicks = kicks if near > FAR * expected else 0
    found = nearest(
        here.free, bounds, kicks, spread=min(max(expected, SHORTEST), LONGEST), seed=options.seed,
        enough=enough,
    )  # fmt: skip
    if not found.converged or near <= SURELY * found.distance:
        return more, near
    n_nulls = found.nulls.shape[1]
    return look_closely(row, found.point, n_nulls), found.distance


def _more_symmetric(row: Row, here: Look, options: Options) -> tuple[Look | None, float]:
    """Symmetric place within reach that explains what is seen least; infinitely far if none."""
    found = row.parent(here)
    if found is None or found[1] > options.bounds.reach:
        return None, np.inf
    return found if Kind.SYMMETRY in found[0].found.motions else (None, np.inf)


def _empty(point: Point, group: str, kind: Kind, reason: str) -> Analysis:
    return Analysis(
        kind=kind, counts={}, n_nulls=0, symmetry_nulls=0, point_group=group, ratio=np.nan,
        flagged=False, estimate=np.inf, distance=np.inf, point=point, group_there=group,
        motion=np.zeros_like(point.vectors), pair=None, reason=reason,
    )  # fmt: skip


def _started(here: Look, guess: Estimate, ratio: float) -> Analysis:
    """What is known of the environment before anything is refined."""
    seen = guess.singular
    least = seen.motions[:, -1] if len(seen.values) else np.zeros(here.point.vectors.size)
    counts = here.found.counts
    return replace(
        _empty(here.point, here.symmetry.name, here.found.kind, here.found.reason),
        counts=counts, n_nulls=sum(counts.values()), symmetry_nulls=counts.get(Kind.SYMMETRY, 0),
        ratio=ratio, estimate=guess.distance, motion=least.reshape(-1, 3),
    )  # fmt: skip


def _unflagged(start: Analysis, here: Look, fades: bool) -> Analysis:
    """Environment without a singular point nearby, other than itself."""
    if fades:
        reason = "what is seen least is of neighbours near the cutoff"
        return replace(start, kind=Kind.CUTOFF, reason=reason)
    if start.n_nulls:
        return replace(start, distance=0.0, motion=here.found.motion.reshape(-1, 3))
    return start


def _concluded(
    start: Analysis, row: Row, there: Look, distance: float, options: Options
) -> Analysis:
    """What follows from a singular point, which may be the environment itself."""
    pair, said = pair_at(there, options.bounds) if options.pairs and row.pairs else (None, "")
    reason = "; ".join(filter(None, (there.found.reason, said)))
    return replace(
        start, kind=there.found.kind, counts=there.found.counts, flagged=True, distance=distance,
        point=there.point, group_there=there.symmetry.name,
        motion=there.found.motion.reshape(-1, 3), pair=pair, reason=reason,
    )  # fmt: skip
