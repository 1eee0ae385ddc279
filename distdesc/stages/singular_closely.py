"""Arrays of the rows that were analysed, of environments and structures alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distdesc.schema import ArraySpec, Ragged
from distdesc.singular.analysis import Analysis
from distdesc.singular.reasons import Kind

KINDS = {kind: code for code, kind in enumerate(Kind)}
"""Code of each kind, as stored; -1 where it takes a close look, and none was taken."""

NAN = float("nan")

Columns = dict[str, NDArray[Any]]


def analysis_specs() -> tuple[ArraySpec, ...]:
    """Arrays of what was analysed with one value a row."""
    kinds = {"kinds": [kind.value for kind in Kind]}
    return (
        ArraySpec("distance", "<f8", unit="Å", fill=NAN, description="Distance of the singular "
                  "point that was found; infinite if there is none."),
        ArraySpec("point_group_there", "string", fill="", description="Of that point."),
        ArraySpec("null_counts", "<i4", (len(Kind),), ("kind",), attributes=kinds,
                  description="Null motions of that point, by kind."),
        ArraySpec("reason", "string", fill="", description="What the kind was concluded from."),
        ArraySpec("pair_residual", "<f8", fill=NAN, description="Relative difference of the "
                  "fingerprints of the degenerate pair."),
        ArraySpec("pair_misfit", "<f8", unit="Å", fill=NAN, description="How different the pair "
                  "is in its best alignment."),
    )  # fmt: skip


def motion_specs(atoms: Ragged) -> tuple[ArraySpec, ...]:
    """
    Arrays of what was analysed with a vector for each atom that moves.

    Parameters
    ----------
    atoms : Ragged
        Neighbours of a row, or its atoms.
    """
    motion = vectors_spec("null_motion", atoms, "Motion that is not seen there, of length one.")
    return (
        vectors_spec("singular_point", atoms, "Where they are at the singular point."),
        replace(motion, unit="1"),
        vectors_spec("pair_first", atoms, "One of two rows with the same fingerprint."),
        vectors_spec("pair_second", atoms, "The other."),
    )


def vectors_spec(name: str, atoms: Ragged, description: str) -> ArraySpec:
    """
    Array of vectors in Å.

    Parameters
    ----------
    name : str
        Of the array.
    atoms : Ragged
        What has one.
    description : str
        What it is.
    """
    return ArraySpec(name, "<f8", (3,), ("xyz",), "Å", NAN, atoms, description)


def analysis_columns(analyses: dict[int, Analysis], n: int) -> Columns:
    """
    Columns of `analysis_specs`.

    Parameters
    ----------
    analyses : dict of int to Analysis
        By row.
    n : int
        Rows.
    """
    columns: Columns = {
        name: np.full(n, np.nan) for name in ("distance", "pair_residual", "pair_misfit")
    }
    columns |= {name: np.full(n, "", dtype=object) for name in ("point_group_there", "reason")}
    columns["null_counts"] = np.zeros((n, len(Kind)), dtype=np.int32)
    for k, analysis in analyses.items():
        columns["distance"][k] = analysis.distance
        columns["point_group_there"][k] = analysis.group_there
        columns["reason"][k] = analysis.reason
        for kind, count in analysis.counts.items():
            columns["null_counts"][k, KINDS[kind]] = count
        if analysis.pair is not None:
            columns["pair_residual"][k] = analysis.pair.residual
            columns["pair_misfit"][k] = analysis.pair.misfit
    return columns


def motion_columns(analyses: dict[int, Analysis], starts: NDArray[np.int64], n: int) -> Columns:
    """
    Columns of `motion_specs`.

    Parameters
    ----------
    analyses : dict of int to Analysis
        By row.
    starts : ndarray, shape (n_rows,), int64
        Where the entries of each row begin.
    n : int
        Entries of all rows.
    """
    names = ("singular_point", "null_motion", "pair_first", "pair_second")
    columns: Columns = {name: np.full((n, 3), np.nan) for name in names}
    for k, analysis in analyses.items():
        own = slice(int(starts[k]), int(starts[k]) + len(analysis.point))
        columns["singular_point"][own] = analysis.point.vectors
        columns["null_motion"][own] = analysis.motion
        if analysis.pair is not None:
            columns["pair_first"][own] = analysis.pair.first.vectors
            columns["pair_second"][own] = analysis.pair.second.vectors
    return columns
