"""Arrays of the singular stage: what they are, and how they are filled."""

from __future__ import annotations

from math import pi

import numpy as np
from numpy.typing import NDArray

from distdesc.schema import ArraySpec, Ragged
from distdesc.singular.analysis import Analysis
from distdesc.singular.screened import Screened
from distdesc.singular.spectrum import Spectra
from distdesc.stages.singular_closely import (
    KINDS,
    NAN,
    Columns,
    analysis_columns,
    analysis_specs,
    motion_columns,
    motion_specs,
    vectors_spec,
)
from distdesc.structures.environment import Environments

KIND_CODES = {"codes": {kind.value: code for kind, code in KINDS.items()}}
"""The same, as an attribute of arrays."""

MOST_NEIGHBOURS = 1024
"""Of an environment whose neighbours are stored."""

DENSITY = 0.05
"""Atoms per Å³, as in molecules; condensed matter has twice as many."""

FLAGGED_SHARE = 0.1
"""Of the environments, to project sizes."""


def common_specs() -> tuple[ArraySpec, ...]:
    """Arrays of all rows, whatever they are of."""
    return (
        ArraySpec("s_min", "<f8", unit="1/Å", fill=NAN,
                  description="Smallest singular value but for trivial motions."),
        ArraySpec("s_max", "<f8", unit="1/Å", fill=NAN, description="Largest singular value."),
        ArraySpec("ratio", "<f8", fill=NAN, description="Smallest singular value to the largest."),
        ArraySpec("gap", "<f8", fill=NAN,
                  description="Largest ratio of one singular value to the next."),
        ArraySpec("gap_position", "<i4", description="Singular values above the gap."),
        ArraySpec("n_nulls", "<i4", description="Singular values that are zero, once the row is "
                  "made as symmetric as it nearly is."),
        ArraySpec("n_motions", "<i4", description="Trivial motions set aside."),
        ArraySpec("symmetry_nulls", "<i4", description="Nulls that symmetry demands."),
        ArraySpec("point_group", "string", fill="", description="Schoenflies symbol."),
        ArraySpec("s_min_symmetric", "<f8", unit="1/Å", fill=NAN,
                  description="Smallest singular value but for those that symmetry makes zero."),
        ArraySpec("d_est", "<f8", unit="Å", fill=NAN, description="Estimated distance to a "
                  "singular point, where it was not ruled out; infinite if none is in sight."),
        ArraySpec("kind", "|i1", fill=-1, attributes=KIND_CODES,
                  description="What is not seen and why; -1 if it takes a close look to tell."),
        ArraySpec("flagged", "|i1", fill=-1, description="Whether a close look is due: 1 or 0."),
    )  # fmt: skip


def environment_specs(cutoff: float, full: bool, closely: bool) -> tuple[ArraySpec, ...]:
    """
    Arrays of environments only.

    Parameters
    ----------
    cutoff : float
        Of the descriptor, in Å.
    full : bool
        Whether all singular values are kept.
    closely : bool
        Whether flagged environments are analysed.
    """
    expected = DENSITY * 4 / 3 * pi * cutoff**3 * (1.0 if full else FLAGGED_SHARE)
    near = Ragged("neighbour", MOST_NEIGHBOURS, min(max(1.0, expected), MOST_NEIGHBOURS))
    found = [
        ArraySpec("number", "|u1", description="Atomic number of each centre."),
    ]
    if full or closely:
        what = "Neighbours of each environment" + ("." if full else " that was looked at closely.")
        found.append(ArraySpec("n_neighbours", "<i4", description=what))
    if full:
        found.append(values_spec(near))
    return (*found, *(close_specs(near) if closely else ()))


def values_spec(ragged: Ragged) -> ArraySpec:
    """
    Array of all singular values.

    Parameters
    ----------
    ragged : Ragged
        Neighbours of a row, or its atoms: three values each.
    """
    return ArraySpec(
        "singular_values", "<f8", (3,), ("place",), "1/Å", NAN, ragged,
        description=f"From the largest, three for each {ragged.item}; NaN after the last.",
    )  # fmt: skip


def close_specs(near: Ragged) -> tuple[ArraySpec, ...]:
    """
    Arrays of environments that were analysed.

    Parameters
    ----------
    near : Ragged
        Neighbours of a row.
    """
    return (
        *analysis_specs(),
        ArraySpec("neighbour_number", "|u1", ragged=near, description="Atomic number."),
        vectors_spec("neighbour", near, "From the centre."),
        *motion_specs(near),
    )


def common_columns(found: Screened) -> Columns:
    """
    Columns of `common_specs`.

    Parameters
    ----------
    found : Screened
        Rows of one batch.
    """
    kinds = [-1 if kind is None else KINDS[kind] for kind in found.kinds]
    return {
        **{name: getattr(found.summary, name) for name in
           ("s_min", "s_max", "ratio", "gap", "gap_position", "n_nulls")},
        "n_motions": found.spectra.n_motions,
        "symmetry_nulls": found.symmetry_nulls,
        "point_group": np.array(found.point_groups, dtype=object),
        "s_min_symmetric": found.symmetric,
        "d_est": found.estimates,
        "kind": np.array(kinds, dtype=np.int8),
        "flagged": found.flagged.astype(np.int8),
    }  # fmt: skip


def environment_columns(
    found: Screened, environments: Environments, full: bool, closely: bool
) -> Columns:
    """
    Columns of `environment_specs`.

    Parameters
    ----------
    found : Screened
        Rows of one batch.
    environments : Environments
        The same.
    full, closely : bool
        What is stored.
    """
    columns: Columns = {"number": environments.centre_numbers.astype(np.uint8)}
    counts = np.diff(environments.offsets).astype(np.int32)
    if not full:
        counts[[k for k in range(len(counts)) if k not in found.analyses]] = 0
    if full or closely:
        columns["n_neighbours"] = counts
    if full:
        columns["singular_values"] = padded_values(found.spectra, counts)
    if closely:
        columns |= analysis_columns(found.analyses, len(counts))
        columns |= neighbour_columns(found.analyses, environments, counts)
    return columns


def padded_values(spectra: Spectra, counts: NDArray[np.int32]) -> NDArray[np.float64]:
    """
    Singular values in threes.

    Parameters
    ----------
    spectra : Spectra
        Of some rows.
    counts : ndarray, shape (n,), int32
        Atoms or neighbours of each row, three values each.

    Returns
    -------
    ndarray, shape (sum of counts, 3), float64
        In features per Å; NaN after the last value of each row.
    """
    out = np.full((int(np.sum(counts)), 3), np.nan)
    starts = 3 * (np.cumsum(counts) - counts)
    lengths = np.diff(spectra.offsets)
    places = np.arange(spectra.offsets[-1]) - np.repeat(spectra.offsets[:-1], lengths)
    out.reshape(-1)[np.repeat(starts, lengths) + places] = spectra.values
    return out


def neighbour_columns(
    analyses: dict[int, Analysis], environments: Environments, counts: NDArray[np.int32]
) -> Columns:
    """
    Columns of `close_specs` with one entry a neighbour.

    Parameters
    ----------
    analyses : dict of int to Analysis
        By row.
    environments : Environments
        Of all rows.
    counts : ndarray, shape (n,), int32
        Neighbours of the rows that were analysed, 0 of the others.
    """
    stored = np.repeat(counts > 0, np.diff(environments.offsets))
    columns = motion_columns(analyses, np.cumsum(counts) - counts, int(np.sum(counts)))
    columns["neighbour"] = environments.vectors[stored]
    columns["neighbour_number"] = environments.numbers[stored].astype(np.uint8)
    return columns
