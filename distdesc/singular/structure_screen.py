"""Whole structures: singular values of their sums or stacks of features, and their symmetry."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from distdesc.descriptors.descriptor import Descriptor
from distdesc.singular.analysis import Options
from distdesc.singular.cascade import smallest_beyond
from distdesc.singular.classify import symmetry_of
from distdesc.singular.point import Point
from distdesc.singular.reasons import Kind
from distdesc.singular.sight import NULL
from distdesc.singular.spectrum import Spectra, Summary, structure_spectra
from distdesc.structures.neighbours import build_environments
from distdesc.structures.source import Structures
from distdesc.symmetry.crystal import find_structure_symmetry
from distdesc.symmetry.structure_nulls import expected_structure_nulls


@dataclass(frozen=True)
class ScreenedStructures:
    """
    What was found out about the structures of a batch.

    Parameters
    ----------
    spectra : Spectra
        Singular values of the structures as they are.
    summary : Summary
        Of these, but with the nulls of the molecules as symmetric as they nearly are.
    point_groups : list of str
        Of molecules about their centroid, and of the operations of layers and crystals; empty for
        chains, which have one periodic direction.
    symmetry_nulls : ndarray, shape (n,), int32
        Null motions that the symmetry of the environments demands.
    symmetric : ndarray, shape (n,), float64
        Smallest singular value but for as many, in features per Å; NaN where none is left.
    kinds : list of Kind or None
        Regular or symmetry; None where something else must be the reason.
    flagged : ndarray, shape (n,), bool
        Where it must.
    """

    spectra: Spectra
    summary: Summary
    point_groups: list[str]
    symmetry_nulls: NDArray[np.int32]
    symmetric: NDArray[np.float64]
    kinds: list[Kind | None]
    flagged: NDArray[np.bool_]


def screen_structures(
    descriptor: Descriptor,
    batch: Structures,
    features: str,
    options: Options | None = None,
    tolerance: float = NULL,
) -> ScreenedStructures:
    """
    Find singular values and symmetry of structures.

    Parameters
    ----------
    descriptor : Descriptor
        The map of environments.
    batch : Structures
        Structures that passed validation.
    features : str
        ``"sum"`` or ``"stack"``; see `structure_spectra`.
    options : Options, optional
        Its ``flag_ratio``, below which a structure is flagged, and its ``tolerance`` of symmetry.
    tolerance : float
        Singular values below this, relative to the largest, are zero.
    """
    options = options or Options()
    spectra = structure_spectra(descriptor, batch, features)
    names, positions = [], batch.positions.copy()
    for k in range(len(batch)):
        own = slice(int(batch.offsets[k]), int(batch.offsets[k + 1]))
        name, positions[own] = _symmetrised(batch, k, options.tolerance)
        names.append(name)
    exact = replace(batch, positions=positions)
    there = spectra
    if not np.array_equal(positions, batch.positions):
        there = structure_spectra(descriptor, exact, features)
    hidden = np.array(
        [
            _hidden(descriptor, exact.take(np.array([k])), features, int(n), options.tolerance)
            for k, n in enumerate(there.n_motions)
        ],
        dtype=np.int32,
    )
    summary = replace(spectra.summary(tolerance), n_nulls=there.summary(tolerance).n_nulls)
    symmetric = smallest_beyond(there, hidden)
    flagged = symmetric <= options.flag_ratio * summary.s_max
    kinds = [
        None if flag else Kind.SYMMETRY if n else Kind.REGULAR
        for flag, n in zip(flagged, hidden, strict=True)
    ]
    return ScreenedStructures(spectra, summary, names, hidden, symmetric, kinds, flagged)


def _symmetrised(batch: Structures, k: int, tolerance: float) -> tuple[str, NDArray[np.float64]]:
    """Point group of one structure, and positions, which for molecules are made symmetric."""
    own = slice(int(batch.offsets[k]), int(batch.offsets[k + 1]))
    positions, numbers = batch.positions[own], batch.numbers[own]
    n_periodic = int(np.sum(batch.pbc[k]))
    if n_periodic == 1:
        return "", positions
    group = find_structure_symmetry(positions, numbers, batch.cells[k], batch.pbc[k], tolerance)
    if n_periodic or len(group.operations) == 1:
        return group.name, positions
    middle = positions.mean(axis=0)
    return group.name, group.symmetrised(positions - middle) + middle


def _hidden(
    descriptor: Descriptor, one: Structures, features: str, n_trivial: int, tolerance: float
) -> int:
    """Nulls that symmetry demands of one structure."""
    environments = build_environments(one, 0, len(one.numbers), descriptor.cutoff)
    groups = [
        symmetry_of(descriptor, Point.of(environments, k), tolerance)
        for k in range(len(environments))
    ]
    return expected_structure_nulls(
        environments, n_trivial, features, descriptor.parity_odd, groups, tolerance
    )
