"""Arrays of the singular stage that are of whole structures, and how they are filled."""

from __future__ import annotations

import numpy as np

from distdesc.schema import ArraySpec, Ragged
from distdesc.singular.screened import Screened
from distdesc.stages.singular_closely import (
    NAN,
    Columns,
    analysis_columns,
    analysis_specs,
    motion_columns,
    motion_specs,
    vectors_spec,
)
from distdesc.stages.singular_rows import padded_values, values_spec
from distdesc.structures.source import Structures

ATOMS = Ragged()
"""Those of a structure."""


def structure_specs(full: bool, closely: bool) -> tuple[ArraySpec, ...]:
    """
    Arrays of whole structures only.

    Parameters
    ----------
    full : bool
        Whether all singular values are kept.
    closely : bool
        Whether flagged structures are analysed.
    """
    found = [ArraySpec("n_atoms", "<i4", description="Atoms of each structure.")]
    if full:
        found.append(values_spec(ATOMS))
    return (*found, *(_close_specs() if closely else ()))


def _close_specs() -> tuple[ArraySpec, ...]:
    """Of what was analysed; atoms of other structures have no entries but fill values."""
    positions = "Where atoms are, those of molecules from their centroid."
    return (
        *analysis_specs(),
        ArraySpec("cell", "<f8", (3, 3), ("vector", "xyz"), "Å", NAN,
                  description="Lattice vectors as rows."),
        ArraySpec("pbc", "|i1", (3,), ("vector",), fill=0, description="Periodic directions."),
        ArraySpec("atom_number", "|u1", ragged=ATOMS, description="Atomic number."),
        vectors_spec("position", ATOMS, positions),
        *motion_specs(ATOMS),
    )  # fmt: skip


def structure_columns(found: Screened, batch: Structures, full: bool, closely: bool) -> Columns:
    """
    Columns of `structure_specs`.

    Parameters
    ----------
    found : Screened
        Rows of one batch.
    batch : Structures
        The same.
    full, closely : bool
        What is stored.
    """
    counts = np.diff(batch.offsets).astype(np.int32)
    columns: Columns = {"n_atoms": counts}
    if full:
        columns["singular_values"] = padded_values(found.spectra, counts)
    if closely:
        columns |= analysis_columns(found.analyses, len(counts))
        columns |= motion_columns(found.analyses, batch.offsets[:-1], len(batch.numbers))
        columns |= _frame_columns(found, batch)
    return columns


def _frame_columns(found: Screened, batch: Structures) -> Columns:
    """Structures that were analysed, as they are."""
    columns: Columns = {
        "cell": np.full((len(batch), 3, 3), np.nan),
        "pbc": np.zeros((len(batch), 3), dtype=np.int8),
        "atom_number": batch.numbers.astype(np.uint8),
        "position": np.full((len(batch.numbers), 3), np.nan),
    }
    for k in found.analyses:
        own = slice(int(batch.offsets[k]), int(batch.offsets[k + 1]))
        middle = 0.0 if np.any(batch.pbc[k]) else batch.positions[own].mean(axis=0)
        columns["position"][own] = batch.positions[own] - middle
        columns["cell"][k], columns["pbc"][k] = batch.cells[k], batch.pbc[k]
    return columns
