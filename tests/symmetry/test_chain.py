"""Symmetry of chains: known rod groups, and their nulls against singular values."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import nanotube
from reference.batches import random_rotation
from reference.structures import batch_of

from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.errors import CampaignError
from distdesc.singular.spectrum import structure_spectra
from distdesc.symmetry.chain import find_chain_symmetry
from distdesc.symmetry.crystal import find_structure_symmetry

ALONG = [False, False, True]


def chain(formula, places, length):
    return Atoms(formula, places, cell=[9, 9, length], pbc=ALONG)


def helix(n, radius=1.3, length=3.0):
    k = 2 * np.pi * np.arange(n) / n
    places = np.stack([radius * np.cos(k), radius * np.sin(k), length * k / (2 * np.pi)], axis=1)
    return chain(f"C{n}", places, length)


def tube(n, m):
    atoms = nanotube(n, m)
    atoms.pbc = ALONG
    atoms.cell[0], atoms.cell[1] = [30, 0, 0], [0, 30, 0]
    return atoms


def moved(atoms, noise=0.0):
    """The same, turned and shifted, atoms in other cells, each in a place a little off."""
    rng = np.random.default_rng(5)
    rotation = random_rotation(rng)
    out = atoms.copy()
    shifts = rng.integers(-2, 3, len(atoms))[:, None] * atoms.cell[2]
    noises = noise * rng.uniform(-1, 1, (len(atoms), 3))
    out.positions = (atoms.positions + shifts + noises) @ rotation.T + [0.3, 0.1, 0.7]
    out.cell = atoms.cell[:] @ rotation.T
    return out


ZIGZAG = chain("C2", [[0, 0, 0], [0, 0.5, 1.2]], 2.4)
POLYETHYLENE = chain(
    "C2H4",
    [[0.4, 0, 0], [-0.4, 0, 1.25], [1.0, 0.9, 0], [1.0, -0.9, 0], [-1.0, 0.9, 1.25],
     [-1.0, -0.9, 1.25]],
    2.5,
)  # fmt: skip
CHAINS = {
    "zigzag": (ZIGZAG, "D2h", 8),
    "polyethylene": (POLYETHYLENE, "D2h", 8),
    "helix of 3": (helix(3), "D3", 6),
    "helix of 7": (helix(7), "D7", 14),
    "carbon on a line": (chain("C2", [[0, 0, 0], [0, 0, 1.3]], 2.6), "D*h", 16),
    "one sense": (chain("CN", [[0, 0, 0], [0, 0, 1.2]], 2.6), "C*v", 4),
    "none": (chain("COH", [[0, 0, 0], [1, 0.3, 0.9], [0.2, 1.1, 1.4]], 2.6), "C1", 1),
    "armchair": (tube(4, 4), "D8h", 32),
    "chiral": (tube(3, 1), "D26", 52),
}


@pytest.mark.parametrize("noise", [0.0, 2e-4])
@pytest.mark.parametrize(("atoms", "name", "order"), CHAINS.values(), ids=CHAINS.keys())
def test_chains_have_their_rod_group_wherever_they_are(atoms, name, order, noise):
    one = moved(atoms, noise)
    found = find_structure_symmetry(one.positions, one.numbers, one.cell[:], one.pbc)
    assert (found.name, len(found.operations)) == (name, order)
    axis = one.cell[2] / np.linalg.norm(one.cell[2])
    np.testing.assert_allclose(np.abs(found.operations @ axis @ axis), 1, atol=1e-12)
    products = found.operations[1:2] @ found.operations if order > 1 else found.operations
    apart = np.abs(products[:, None] - found.operations).max(axis=(2, 3))
    assert apart.min(axis=1).max() < 1e-12, "a group, to rounding"
    for operation, permutation in zip(found.operations, found.permutations, strict=True):
        ways = one.positions[permutation] - one.positions @ operation.T
        off = ways - ways[0]  # up to a shift, and lattice vectors
        off -= np.rint(off @ axis / np.linalg.norm(one.cell[2]))[:, None] * one.cell[2]
        assert np.abs(off).max() < 1e-9 + 8 * noise


@pytest.mark.parametrize("name", ["zigzag", "polyethylene", "helix of 3", "one sense", "none"])
def test_expected_nulls_of_chains_are_those_of_far_reaching_fingerprints(name):
    atoms = moved(CHAINS[name][0])
    found = find_structure_symmetry(atoms.positions, atoms.numbers, atoms.cell[:], atoms.pbc)
    wide = PowerSpectrum(cutoff=6.0, n_max=5, l_max=5, elements=("H", "C", "N", "O"))
    for features in ("sum", "stack"):
        spectra = structure_spectra(wide, batch_of([atoms]), features)
        assert spectra.summary().n_nulls[0] == found.expected_nulls(features)


@pytest.mark.parametrize(
    ("n", "pbc", "length", "tolerance", "message"),
    [
        (1, [True, True, False], 2.0, 1e-3, "one periodic direction, got 1 atoms, 2 directions"),
        (0, ALONG, 2.0, 1e-3, "a chain needs an atom"),
        (1, ALONG, 0.0, 1e-3, "must have a length"),
        (1, ALONG, 2.0, 0.0, "tolerance must be positive"),
    ],
)
def test_what_is_no_chain_is_refused(n, pbc, length, tolerance, message):
    cell = np.diag([0, 0, length])
    with pytest.raises(CampaignError, match=message):
        find_chain_symmetry(np.zeros((n, 3)), np.ones(n, int), cell, np.array(pbc), tolerance)
