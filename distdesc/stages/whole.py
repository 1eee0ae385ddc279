"""A structure as one environment: all its atoms, around its middle, in a ball that holds them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from distdesc.checks import check_choice
from distdesc.descriptors.descriptor import Descriptor
from distdesc.errors import CampaignError, StructureError
from distdesc.schema import ArraySpec
from distdesc.structures.environment import Environments
from distdesc.structures.source import Structures

MARGIN = 1.02
"""Radius of a fitted ball, to the distance of the farthest atom."""

LEAST_RADIUS = 0.1
"""Of a fitted ball, in Å: a lone atom has no size of its own, and two are farther apart."""

RADIUS = ArraySpec(
    "radius", "<f8", unit="Å", fill=float("nan"), description="Of the ball of each structure."
)
"""Output of the stages that take structures as a whole."""

ORIGINS = ("centroid", "ball")
RADII = ("fitted", "cutoff")


@dataclass(frozen=True)
class Ball:
    """
    Where the middle of a structure is, and how large the ball that holds its atoms.

    Parameters
    ----------
    origin : str
        ``"centroid"`` of the atoms, or centre of the smallest enclosing ``"ball"``.
    radius : str
        ``"fitted"``: 2 % beyond the farthest atom; or ``"cutoff"``: the descriptor's.
    """

    origin: str = "centroid"
    radius: str = "fitted"

    def __post_init__(self) -> None:
        check_choice("origin", self.origin, ORIGINS)
        check_choice("radius", self.radius, RADII)

    def environments(
        self, batch: Structures, first: int, last: int, cutoff: float
    ) -> tuple[Environments, NDArray[np.float64]]:
        """
        Structures of a batch as environments, each scaled so that its ball has the cutoff.

        No atom is the centre; `centres` and `centre_numbers` are those of the first atoms.

        Parameters
        ----------
        batch : Structures
            Molecules and clusters.
        first, last : int
            Half-open range of structures.
        cutoff : float
            Of the descriptor, in Å.

        Returns
        -------
        environments : Environments
            One a structure.
        radii : ndarray, shape (n,), float64
            Of the balls before they were scaled, in Å.

        Raises
        ------
        StructureError
            If structures are periodic, or atoms lie outside a ball that is not fitted.
        """
        reasons: dict[int, str] = {}
        begin, end = int(batch.offsets[first]), int(batch.offsets[last])
        vectors, radii = np.empty((end - begin, 3)), np.empty(last - first)
        for k in range(first, last):
            atoms = slice(int(batch.offsets[k]), int(batch.offsets[k + 1]))
            if batch.pbc[k].any():
                reasons[k] = "structure is periodic, and has no ball that holds it"
                continue
            around, farthest = self._centred(batch.positions[atoms])
            radii[k - first] = max(MARGIN * farthest, LEAST_RADIUS)
            if self.radius == "cutoff":
                radii[k - first] = cutoff
            if farthest >= radii[k - first]:
                reasons[k] = (
                    f"atoms lie outside the ball: the farthest at {farthest:.4g} Å from the "
                    f"middle, the cutoff is {cutoff:g} Å"
                )
            vectors[atoms.start - begin : atoms.stop - begin] = (
                around * (cutoff / radii[k - first]) if self.radius == "fitted" else around
            )
        if reasons:
            raise StructureError(reasons)
        centres = batch.offsets[first:last]
        return Environments(
            batch.offsets[first : last + 1] - begin,
            vectors,
            batch.numbers[begin:end],
            np.arange(begin, end, dtype=np.int64),
            centres,
            batch.numbers[centres],
        ), radii

    def _centred(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """Positions relative to the middle, and the largest distance from it, in Å."""
        # The mean first: far from the origin, digits are lost in a circumsphere.
        around = positions - positions.mean(axis=0)
        if self.origin == "ball":
            around = around - enclosing_ball(around)[0]
        return around, float(np.linalg.norm(around, axis=1).max())


def check_whole(ball: Ball, descriptor: Descriptor, reduced: bool = False) -> None:
    """
    Refuse descriptors that do not suit whole structures.

    Parameters
    ----------
    ball : Ball
        Of the structures.
    descriptor : Descriptor
        What the fingerprints are made with.
    reduced : bool
        Whether the fingerprints are to be reduced.

    Raises
    ------
    CampaignError
        If they are (the sample is one of environments); if the descriptor needs a centre, or
        would take the outermost atoms of a fitted ball away.
    """
    if reduced:
        raise CampaignError(
            'per must be "environment" or "structure" with a [reduction], which is fitted on '
            'environments, got "whole"'
        )
    if getattr(descriptor, "include_centre", False):
        raise CampaignError(
            'include_centre of [descriptor] must be false with per = "whole", whose balls have no '
            "atom as centre, got true"
        )
    smoothing = getattr(descriptor, "smoothing", 0.0)
    if ball.radius == "fitted" and smoothing > 0:
        raise CampaignError(
            'smoothing of [descriptor] must be 0 with per = "whole" and radius = "fitted", whose '
            f"atoms reach to 2 % before the cutoff, got {smoothing:g}"
        )


def enclosing_ball(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """
    Smallest ball that holds some points.

    The few points that determine the ball are exchanged for a farther one until there is none:
    the radius grows at each exchange, so that it ends.

    Parameters
    ----------
    points : ndarray, shape (n, 3), float64
        At least one, in any unit.

    Returns
    -------
    centre : ndarray, shape (3,), float64
        In the unit of the points.
    radius : float
        In the unit of the points.
    """
    support, centre, radius = points[:1], points[0], 0.0
    for _ in range(10 * len(points)):
        distances = np.linalg.norm(points - centre, axis=1)
        farthest = int(np.argmax(distances))
        if distances[farthest] <= radius * (1 + 1e-12) + 1e-300:
            break
        support, centre, radius = _ball_of_few(np.vstack([support, points[farthest]]))
    return centre, float(np.linalg.norm(points - centre, axis=1).max())


def _ball_of_few(
    points: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Those of up to five points that determine the smallest ball of all, and the ball."""
    best = (points, points[0], np.inf)
    for n in range(1, min(4, len(points)) + 1):
        for chosen in combinations(range(len(points)), n):
            support = points[list(chosen)]
            centre = _circumcentre(support)
            radius = float(np.linalg.norm(points - centre, axis=1).max())
            if radius < best[2] * (1 - 1e-12):
                best = (support, centre, radius)
    return best


def _circumcentre(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Point at the same distance from up to four points, in the plane that they span."""
    edges = points[1:] - points[0]
    if not len(edges):
        return np.asarray(points[0])
    # Where c = points[0] + edges.T t, the condition is 2 edges edges.T t = |edges|^2.
    t = np.linalg.lstsq(2 * edges @ edges.T, (edges**2).sum(axis=1), rcond=None)[0]
    return np.asarray(points[0] + edges.T @ t)
