"""Symmetry of crystals and layers against space groups."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, graphene, molecule, mx2
from ase.spacegroup import Spacegroup, crystal
from reference.batches import random_rotation

from distdesc.errors import CampaignError
from distdesc.symmetry.crystal import find_crystal_symmetry, find_structure_symmetry

ANGLES = {
    "triclinic": [4.1, 5.3, 6.2, 82, 97, 105], "monoclinic": [4.1, 5.3, 6.2, 90, 103, 90],
    "orthorhombic": [4.1, 5.3, 6.2, 90, 90, 90], "tetragonal": [4.5, 4.5, 6.2, 90, 90, 90],
    "hexagonal": [4.5, 4.5, 6.2, 90, 90, 120], "cubic": [7.1, 7.1, 7.1, 90, 90, 90],
}  # fmt: skip
SYSTEMS = {2: "triclinic", 15: "monoclinic", 74: "orthorhombic", 142: "tetragonal"}
SYSTEMS |= {194: "hexagonal", 230: "cubic"}

POINT_GROUPS = {
    1: "C1", 2: "Ci", 4: "C2", 9: "Cs", 14: "C2h", 19: "D2", 33: "C2v", 62: "D2h", 76: "C4",
    82: "S4", 88: "C4h", 92: "D4", 109: "C4v", 122: "D2d", 136: "D4h", 144: "C3", 148: "S6",
    152: "D3", 161: "C3v", 167: "D3d", 169: "C6", 174: "C3h", 176: "C6h", 178: "D6", 186: "C6v",
    190: "D3h", 194: "D6h", 198: "T", 205: "Th", 212: "O", 216: "Td", 220: "Td", 221: "Oh",
    227: "Oh",
}  # fmt: skip


def of(atoms, tolerance=1e-3):
    return find_crystal_symmetry(
        atoms.positions, atoms.numbers, atoms.cell[:], atoms.pbc, tolerance
    )


def turned(atoms, seed=0):
    """The same crystal, turned, shifted, atoms outside the cell and in another order."""
    rng = np.random.default_rng(seed)
    rotation = random_rotation(rng)
    n = len(atoms)
    positions = atoms.positions + rng.integers(-2, 3, (n, 3)) * atoms.pbc @ atoms.cell[:]
    moved = Atoms(
        atoms.numbers, positions @ rotation.T + rng.normal(size=3),
        cell=atoms.cell[:] @ rotation.T, pbc=atoms.pbc,
    )  # fmt: skip
    return moved[rng.permutation(n)]


@pytest.mark.parametrize("number", POINT_GROUPS)
def test_every_operation_of_a_space_group_is_found(number):
    system = SYSTEMS[next(k for k in SYSTEMS if number <= k)]
    rng = np.random.default_rng(number)
    basis = rng.uniform(0.05, 0.45, (2, 3))
    atoms = crystal(["Si", "O"], basis, spacegroup=number, cellpar=ANGLES[system])
    symmetry = of(turned(atoms, number), 1e-4)
    assert symmetry.name == POINT_GROUPS[number]
    assert len(symmetry.operations) == len(Spacegroup(number).get_symop())
    assert symmetry.periodic
    assert symmetry.n_rotations == 0


@pytest.mark.parametrize(
    ("atoms", "name", "order", "sites"),
    [
        (bulk("Si"), "Oh", 48, ["Td", "Td"]),
        (bulk("Si", cubic=True), "Oh", 192, ["Td"] * 8),
        (bulk("Mg"), "D6h", 24, ["D3h", "D3h"]),
        (bulk("ZnO", "wurtzite", 3.25, 5.2, u=0.38), "C6v", 12, ["C3v"] * 4),
        (bulk("Cu", cubic=True).repeat((2, 1, 1)), "D4h", 128, ["D4h"] * 8),
        (graphene(vacuum=5.0), "D6h", 24, ["D3h", "D3h"]),
        (mx2(vacuum=5.0), "D3h", 12, ["D3h", "C3v", "C3v"]),
        (fcc111("Cu", (1, 1, 3), vacuum=5.0), "D3d", 12, ["C3v", "D3d", "C3v"]),
    ],
    ids="silicon cubic magnesium wurtzite supercell graphene MoS2 slab".split(),
)
def test_crystals_and_layers_have_their_class_and_sites(atoms, name, order, sites):
    for moved in (atoms, turned(atoms, 5)):
        symmetry = of(moved)
        assert (symmetry.name, len(symmetry.operations)) == (name, order)
        found = sorted(symmetry.stabiliser(k).name for k in range(len(atoms)))
        assert found == sorted(sites)
        operations = symmetry.operations
        squares = operations @ operations.transpose(0, 2, 1)
        assert np.allclose(squares, np.eye(3), rtol=0, atol=1e-13)
        # permutations belong to their operations: distances to images are kept
        gaps = moved.get_all_distances(mic=True)
        for images in symmetry.permutations:
            assert np.allclose(gaps[np.ix_(images, images)], gaps, atol=1e-6)


def test_the_choice_of_cell_vectors_does_not_matter():
    atoms = bulk("NaCl", "rocksalt", 5.6)
    skewed = atoms.copy()
    skewed.set_cell(np.array([[1, 0, 0], [3, 1, 0], [-2, 4, 1]]) @ atoms.cell[:])
    assert len(of(skewed).operations) == len(of(atoms).operations) == 48


@pytest.mark.parametrize("part", [0.2, 0.6, 1.0, 1.5, 4.0])
def test_atoms_off_their_places_leave_a_group(part):
    atoms = bulk("Si", cubic=True)
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(8, 3))
    noise -= noise.mean(axis=0)
    atoms.positions += noise * 1e-3 / np.max(np.linalg.norm(noise, axis=1))
    symmetry = of(atoms, part * 1e-3)
    k = len(symmetry.operations)
    assert 192 % k == 0
    assert k == 192 if part >= 1.5 else k < 192
    listed = {tuple(p) for p in symmetry.permutations}
    assert {tuple(p[q]) for p in symmetry.permutations for q in symmetry.permutations} == listed


def test_a_strained_cell_loses_operations_beyond_the_tolerance():
    atoms = bulk("Cu", cubic=True)
    atoms.set_cell(atoms.cell[:] * [[1.0], [1.0], [1.001]], scale_atoms=True)
    assert of(atoms, 1e-4).name == "D4h"
    cubic = of(atoms, 1e-2)
    assert cubic.name == "Oh"
    squares = cubic.operations @ cubic.operations.transpose(0, 2, 1)
    assert np.allclose(squares, np.eye(3), rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("lengths", "angles", "name"),
    [
        ([4.0, 4.0, 4.0], [80, 95, 103], "Ci"),
        ([4.0, 4.0, 4.0], [80, 80, 80], "D3d"),
        ([4.0, 4.0, 5.0], [90, 90, 97], "D2h"),
        # each length within the tolerance of the next, but not the first of the last
        ([4.0, 4.0018, 4.0036], [90, 90, 90], "D4h"),
        ([4.0, 4.0018, 4.0036], [80, 80, 80], "C2h"),
    ],
)
def test_a_lattice_has_the_operations_that_its_lengths_and_angles_leave(lengths, angles, name):
    atoms = Atoms("Po", cell=[*lengths, *angles], pbc=True)
    symmetry = of(turned(atoms))
    assert symmetry.name == name
    operations = symmetry.operations
    products = (operations[:, None] @ operations).reshape(-1, 9)
    gaps = np.abs(products[:, None] - operations.reshape(-1, 9)).max(axis=2)
    assert np.max(np.min(gaps, axis=1)) < 1e-12


def test_a_structure_is_a_molecule_or_a_crystal():
    water = molecule("H2O")
    found = find_structure_symmetry(water.positions, water.numbers, np.zeros((3, 3)), water.pbc)
    assert (found.name, found.periodic) == ("C2v", False)
    nothing = find_structure_symmetry(
        np.empty((0, 3)), np.empty(0, int), np.zeros((3, 3)), water.pbc
    )
    assert nothing.name == "Kh"
    atoms = bulk("Cu")
    found = find_structure_symmetry(atoms.positions, atoms.numbers, atoms.cell[:], atoms.pbc)
    assert (found.name, found.periodic) == ("Oh", True)


@pytest.mark.parametrize(
    ("pbc", "cell", "n", "message"),
    [
        ([True, False, False], np.eye(3), 1, "two or three periodic directions, got 1 atoms, 1"),
        ([True] * 3, np.eye(3), 0, "needs an atom"),
        ([True] * 3, np.ones((3, 3)), 1, "cell must have a volume"),
    ],
)
def test_what_is_no_crystal_is_refused(pbc, cell, n, message):
    with pytest.raises(CampaignError, match=message):
        find_crystal_symmetry(np.zeros((n, 3)), np.ones(n, int), cell, np.array(pbc))
    with pytest.raises(CampaignError, match="tolerance must be positive"):
        find_crystal_symmetry(np.zeros((1, 3)), [1], np.eye(3), tolerance=0.0)
