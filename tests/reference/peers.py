"""Structures as other packages take them, and their results in our order."""

from __future__ import annotations

import re

import ase.build
import ase.io
import numpy as np

from distdesc.structures.neighbours import build_environments
from distdesc.structures.source import Structures

ELEMENTS = ("H", "C", "N", "O", "Na", "Cl")


def molecule_and_crystals(molecules):
    """A molecule of QM9 and two rattled crystals, one smaller than the cutoff."""
    salt = ase.build.bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    diamond = ase.build.bulk("C", "diamond", a=3.57)
    sheared = np.add(diamond.cell, [[0, 0, 0], [0.1, 0, 0], [0, 0.2, 0]])
    diamond.set_cell(sheared, scale_atoms=True)
    salt.rattle(0.1, seed=1)
    diamond.rattle(0.05, seed=2)
    return {"molecule": ase.io.read(molecules, 40), "salt": salt, "diamond": diamond}


def environments_of(atoms, cutoff):
    """Environments of all atoms of a structure of ASE."""
    batch = Structures(
        np.zeros(1, np.int64),
        np.array([0, len(atoms)]),
        atoms.numbers.astype(np.int32),
        atoms.get_positions(),
        atoms.cell[:][None],
        atoms.pbc[None],
    )
    return build_environments(batch, 0, len(atoms), cutoff)


def by_atom(jacobian, environments):
    """
    Derivatives by the positions of the atoms of a structure, shape (n, n, 3, n_features).

    An atom moves with all its images, and when the centre moves, all its neighbours recede.
    """
    n = len(environments)
    out = np.zeros((n, n, *jacobian.shape[1:]))
    centres = np.repeat(np.arange(n), np.diff(environments.offsets))
    np.add.at(out, (centres, environments.neighbours), jacobian)
    np.subtract.at(out, (centres, centres), jacobian)
    return out


def product(name):
    """Elements, radial functions and l of a feature named like ``H0·C1 l2``."""
    a, n, b, m, l = re.fullmatch(r"([A-Z][a-z]?)(\d+)·([A-Z][a-z]?)(\d+) l(\d+)", name).groups()
    return a, int(n), b, int(m), int(l)


def featomic_arrays(found, name, n_atoms, gradient=False):
    """Values, or derivatives by atom, of one feature from the blocks of featomic, at all atoms."""
    a, n, b, m, l = product(name)
    numbers = tuple(ase.Atoms([a, b]).numbers)
    out = np.zeros((n_atoms, n_atoms, 3) if gradient else n_atoms)
    for key, block in found.items():
        if (key["neighbor_1_type"], key["neighbor_2_type"]) != numbers:
            continue
        column = block.properties.position([l, n, m])
        centres = block.samples["atom"]
        if gradient:
            part = block.gradient("positions")
            moved = part.samples["atom"], part.samples["sample"]
            out[centres[moved[1]], moved[0]] = part.values[..., column]
        else:
            out[centres] = block.values[:, column]
    return out


def from_featomic(found, names, n_atoms, gradient=False):
    """Power spectrum of featomic in our order and convention, features last."""
    columns = []
    for name in names:
        a, n, b, m, l = product(name)
        # featomic carries the sign of l; for like elements it has both (n, m) and (m, n), where
        # we keep one of them, times the root of two
        factor = (-1) ** l * (np.sqrt(2) if a == b and n != m else 1)
        columns.append(factor * featomic_arrays(found, name, n_atoms, gradient))
    return np.stack(columns, axis=-1)


def from_dscribe(values, names):
    """Power spectrum of dscribe in our convention; its order is ours."""
    factors = []
    for name in names:
        a, n, b, m, _ = product(name)
        # pi sqrt(8 / (2 l + 1)) in place of 1 / sqrt(2 l + 1), and no root of two for the
        # products that occur twice in the full square
        factors.append(np.pi * np.sqrt(8) / (1 if (a, n) == (b, m) else np.sqrt(2)))
    return values / np.array(factors)


def relative_error(found, wanted):
    """Largest deviation over the largest value."""
    return np.max(np.abs(found - wanted)) / np.max(np.abs(wanted))
