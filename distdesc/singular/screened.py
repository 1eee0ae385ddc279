"""What a screen finds out about rows, be they environments or whole structures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distdesc.singular.analysis import Analysis
from distdesc.singular.reasons import Kind
from distdesc.singular.spectrum import Spectra, Summary

FADED = 0.5
"""Smallest singular value, relative to that without the neighbours that fade, if it is theirs."""


@dataclass(frozen=True)
class Screened:
    """
    What was found out about a batch of environments, or of structures.

    Parameters
    ----------
    spectra : Spectra
        Singular values of the rows as they are.
    summary : Summary
        Of these, but with the nulls of the rows as symmetric as they nearly are.
    point_groups : list of str
        Of environments, as the descriptor can tell neighbours apart; of molecules about their
        centroid, and of the operations of chains, layers and crystals. Of the rotations alone
        where the fingerprint tells mirror images apart.
    symmetry_nulls : ndarray, shape (n,), int32
        Null motions that the group demands.
    symmetric : ndarray, shape (n,), float64
        Smallest singular value but for as many, in features per Å; NaN where none is left.
    estimates : ndarray, shape (n,), float64
        Estimated distance to a singular point of the same symmetry, in Å; NaN where it was not
        asked for, or the structure is too large.
    kinds : list of Kind or None
        None where it takes a close look to tell, and none was taken.
    flagged : ndarray, shape (n,), bool
        Which deserve a close look.
    analyses : dict of int to Analysis
        Of those that were looked at.
    """

    spectra: Spectra
    summary: Summary
    point_groups: list[str]
    symmetry_nulls: NDArray[np.int32]
    symmetric: NDArray[np.float64]
    estimates: NDArray[np.float64]
    kinds: list[Kind | None]
    flagged: NDArray[np.bool_]
    analyses: dict[int, Analysis]


def smallest_beyond(spectra: Spectra, hidden: NDArray[np.int32]) -> NDArray[np.float64]:
    """
    Smallest singular value of each row but for as many as symmetry makes zero.

    At a symmetric point these are exactly zero, and the others are those within totally
    symmetric motions.

    Parameters
    ----------
    spectra : Spectra
        Of rows as symmetric as they are said to be.
    hidden : ndarray, shape (n,), int32
        Nulls that symmetry demands.

    Returns
    -------
    ndarray, shape (n,), float64
        In features per Å; NaN where none is left.
    """
    lengths = np.diff(spectra.offsets)
    out = np.full(len(hidden), np.nan)
    left = lengths > hidden
    out[left] = spectra.values[(spectra.offsets[1:] - hidden - 1)[left]]
    return out
