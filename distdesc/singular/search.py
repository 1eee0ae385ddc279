"""Singular points searched from anywhere, and which of those found are the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distdesc.checks import check_flag
from distdesc.descriptors.descriptor import Descriptor
from distdesc.singular.analysis import Analysis, Options, analyse
from distdesc.singular.bounds import Bounds
from distdesc.singular.point import Point

EXACT = 1e-6
"""In Å: a start that is symmetric to this accuracy is searched within its symmetry."""

SAME = 1e-6
"""Difference of fingerprints, relative to their length, of what is the same."""


@dataclass(frozen=True)
class Search:
    """
    How singular points are searched.

    Parameters
    ----------
    reach : float
        Farthest from the start, in Å: length of the displacement of all neighbours together.
    core : float
        Smallest distance between two neighbours, or of one from the centre, in Å.
    rim : float
        Largest distance from the centre, relative to the cutoff.
    kicks : int
        Further starts beside the first, if that leads nowhere.
    pairs : bool
        Whether degenerate pairs are looked for.
    """

    reach: float = 2.0
    core: float = 0.5
    rim: float = 0.95
    kicks: int = 8
    pairs: bool = True

    def __post_init__(self) -> None:
        check_flag("pairs", self.pairs)
        self.options(0)

    def options(self, seed: int) -> Options:
        """
        Options of an analysis that follows every environment to its singular point.

        Parameters
        ----------
        seed : int
            Of the further starts.
        """
        bounds = Bounds(reach=self.reach, core=self.core, rim=self.rim)
        return Options(
            flag_ratio=np.inf, flag_distance=np.inf, tolerance=EXACT, bounds=bounds,
            kicks=self.kicks, pairs=self.pairs, seed=seed,
        )  # fmt: skip

    def run(self, descriptor: Descriptor, start: Point, row: int, seed: int = 0) -> Analysis:
        """
        Search from one environment; the same row and seed give the same result anywhere.

        Parameters
        ----------
        descriptor : Descriptor
            The map.
        start : Point
            Where the search begins.
        row : int
            Number of the start.
        seed : int
            Of the campaign.
        """
        own = int(np.random.SeedSequence((seed, row)).generate_state(1)[0])
        return analyse(descriptor, start, self.options(own))


def distinct(fingerprints: NDArray[np.float64], tolerance: float = SAME) -> NDArray[np.int64]:
    """
    Tell which fingerprints are the same.

    Parameters
    ----------
    fingerprints : ndarray, shape (n, n_features), float64
        Of some points.
    tolerance : float
        Largest distance of what is the same, relative to the length of the fingerprint.

    Returns
    -------
    ndarray, shape (n,), int64
        For each, the first one that is the same; itself if there is none before it.
    """
    first = np.arange(len(fingerprints))
    lengths = np.linalg.norm(fingerprints, axis=1)
    order = np.argsort(lengths, kind="stable")
    # what is the same has nearly the same length, and so lies nearby in this order
    for place, k in enumerate(order):
        for other in order[place + 1 :]:
            if lengths[other] - lengths[k] > tolerance * lengths[other]:
                break
            difference = np.linalg.norm(fingerprints[k] - fingerprints[other])
            if difference <= tolerance * lengths[other]:
                first[max(k, other)] = min(first[k], first[other], k, other)
    return first
