"""What a decoder answers: atoms, and what they are worth."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray


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
        Exact: the fingerprint is reproduced to `tolerance`, and has numbers enough to tell so many
        atoms. Approximate: not quite. Ambiguous: another structure in `others` has it too.
        Failed: no structure of the accepted elements is near.
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
