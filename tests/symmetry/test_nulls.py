"""Expected nulls against known answers: tables of molecules, environments, crystals."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene, molecule
from ase.spacegroup import crystal
from reference.batches import batch, random_rotation
from reference.sensitivity import nulls, shifts
from reference.structures import batch_of

from distdesc.descriptors.derivatives import by_atom, pooled_by_atom
from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.elements import SYMBOLS
from distdesc.errors import CampaignError
from distdesc.structures.neighbours import build_environments
from distdesc.symmetry import find_symmetry
from distdesc.symmetry.crystal import find_crystal_symmetry, find_structure_symmetry
from distdesc.symmetry.structure_nulls import expected_structure_nulls

POINTS = {"radial": "laplacian", "sigma": 0.0, "cutoff_function": "none"}

CRYSTALS = {
    "diamond": (bulk("Si"), "Oh", 3, 3),
    "rock salt": (bulk("NaCl", "rocksalt", 5.6), "Oh", 3, 3),
    "caesium chloride": (bulk("CsCl", "cesiumchloride", 4.1), "Oh", 3, 3),
    "hcp": (bulk("Mg"), "D6h", 3, 3),
    "wurtzite": (bulk("ZnO", "wurtzite", 3.25, 5.2, u=0.38), "C6v", 8, 6),
    "rutile": (
        crystal(["Ti", "O"], [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136,
                cellpar=[4.6, 4.6, 2.95, 90, 90, 90]),
        "D4h", 14, 7,
    ),
    "quartz": (
        crystal(["Si", "O"], [(0.47, 0, 1 / 3), (0.41, 0.27, 0.21)], spacegroup=152,
                cellpar=[4.9, 4.9, 5.4, 90, 90, 120]),
        "D3", 20, 0,
    ),
    "boron nitride": (
        crystal(["B", "N"], [(1 / 3, 2 / 3, 0.25), (1 / 3, 2 / 3, 0.75)], spacegroup=194,
                cellpar=[2.5, 2.5, 6.66, 90, 90, 120]),
        "D6h", 9, 9,
    ),
}  # fmt: skip


def all_of(atoms, cutoff=50.0):
    return build_environments(batch_of([atoms]), 0, len(atoms), cutoff)


def local(atoms, map, proper, cutoff=50.0, n_trivial=None):
    if n_trivial is None:
        n_trivial = 3 if any(atoms.pbc) else 6
    return expected_structure_nulls(all_of(atoms, cutoff), n_trivial, map, proper)


def test_environments_hide_as_much_as_group_theory_says(oracle):
    names = {"O3": lambda s: s, "SO3": lambda s: s.proper()}
    for environment in [*oracle("environments"), *oracle("environments_exact_rational")]:
        points = np.array(environment["neighbour_positions"], dtype=float)
        points = points @ random_rotation(np.random.default_rng(3)).T
        symmetry = find_symmetry(points, environment["neighbour_numbers"])
        found = {group: of(symmetry).expected_nulls() for group, of in names.items()}
        most = environment["expected_nontrivial_nulls_complete_basis"]
        expected = environment.get("symmetry_nulls") or {g: most[f"nu4_{g}"] for g in names}
        assert found == expected, environment["name"]
        if environment.get("point_group_order"):
            assert symmetry.order == float(environment["point_group_order"])
        assert symmetry.n_rotations == environment["n_rotations"]


def test_molecules_hide_as_much_as_group_theory_says_counted_in_two_ways(oracle):
    molecules = oracle("molecules_global")
    assert len(molecules) >= 20
    for entry in molecules:
        atoms = Atoms(entry["numbers"], entry["positions"])
        atoms.positions -= atoms.positions.mean(axis=0)
        symmetry = find_symmetry(atoms.positions, atoms.numbers)
        assert symmetry.name == entry["point_group"], entry["name"]
        assert symmetry.order == float(entry["order"])
        n_trivial = 3 + symmetry.n_rotations
        for group, proper in (("O3", False), ("SO3", True)):
            of_all = symmetry.proper() if proper else symmetry
            for map in ("sum", "stack"):
                expected = entry["expected_null"][f"{map}_{group}"]
                assert of_all.expected_nulls(map) == expected, entry["name"]
                assert local(atoms, map, proper, n_trivial=n_trivial) == expected, entry["name"]


# Counted by hand: 3 N - 6 (5 on a line) less the totally symmetric vibrations; of a stack, the
# vibrations of symmetry species that no distortion of atoms' values has.
BY_HAND = {
    "H2O": (1, 1, 0, 0), "NH3": (4, 4, 0, 0), "CH4": (8, 8, 2, 2), "BF3": (5, 5, 1, 1),
    "C2H4": (9, 8, 3, 0), "C2H6": (15, 14, 1, 0), "C6H6": (28, 28, 12, 6), "HCN": (2, 2, 2, 2),
    "CO2": (3, 3, 2, 2), "C2H2": (5, 5, 4, 4), "CH3OH": (4, 0, 0, 0), "H2": (0, 0, 0, 0),
    "CH3CONH2": (0, 0, 0, 0), "C": (0, 0, 0, 0),
}  # fmt: skip


@pytest.mark.parametrize("formula", BY_HAND)
def test_nulls_of_a_few_molecules_are_those_counted_by_hand(formula):
    atoms = molecule(formula)
    symmetry = find_symmetry(atoms.positions - atoms.positions.mean(axis=0), atoms.numbers)
    groups = [(symmetry, False), (symmetry.proper(), True)]
    expected = BY_HAND[formula]
    assert tuple(g.expected_nulls(m) for m in ("sum", "stack") for g, _ in groups) == expected
    n_trivial = 3 + symmetry.n_rotations
    counted = [local(atoms, m, p, n_trivial=n_trivial) for m in ("sum", "stack") for _, p in groups]
    assert tuple(counted) == expected


@pytest.mark.parametrize("name", CRYSTALS)
def test_crystals_hide_as_much_as_their_space_group_says_counted_in_two_ways(name):
    atoms, point_group, of_sum, of_stack = CRYSTALS[name]
    symmetry = find_crystal_symmetry(atoms.positions, atoms.numbers, atoms.cell[:])
    assert symmetry.name == point_group
    assert (symmetry.expected_nulls("sum"), symmetry.expected_nulls("stack")) == (of_sum, of_stack)
    counts = [local(atoms, map, False, 6.0) for map in ("sum", "stack")]
    assert counts == [of_sum, of_stack]
    proper = [symmetry.proper().expected_nulls(map) for map in ("sum", "stack")]
    assert proper == [local(atoms, map, True, 6.0) for map in ("sum", "stack")]


def found_nulls(atoms, cutoff, trivial):
    """Of a power spectrum, summed by element and stacked."""
    elements = sorted({int(z) for z in atoms.numbers})
    symbols = tuple(SYMBOLS[z] for z in elements)
    descriptor = PowerSpectrum(
        cutoff=cutoff, elements=symbols, species="weights", n_max=6, l_max=8, **POINTS
    )
    total = pooled_by_atom(descriptor, batch_of([atoms]), elements=tuple(elements))
    stack = by_atom(descriptor, all_of(atoms, cutoff)).dense(0, len(atoms)).transpose(1, 2, 0, 3)
    counts = []
    for motions in (total, stack.reshape(len(atoms), 3, -1)):
        if np.max(np.abs(motions)) < 1e-9:
            counts.append(3 * len(atoms) - 3)
            continue
        count, smallest, _ = nulls(atoms.positions, motions, trivial=trivial, tolerance=1e-8)
        assert smallest > 1e-5
        counts.append(count)
    return counts


@pytest.mark.parametrize(
    ("atoms", "cutoff", "hidden_from_the_cell"),
    [
        (bulk("Cu").repeat((3, 2, 1)), 4.1, (0, 2)),
        (bulk("Cu", cubic=True).repeat((2, 1, 1)), 4.1, (0, 0)),
        (graphene(vacuum=8.0).repeat((2, 1, 1)), 3.0, (1, 1)),
    ],
    ids=["skewed copper", "long copper", "graphene"],
)
def test_cells_that_are_not_primitive_hide_more_than_their_own_group_says(
    atoms, cutoff, hidden_from_the_cell
):
    symmetry = find_structure_symmetry(atoms.positions, atoms.numbers, atoms.cell[:], atoms.pbc)
    expected = [local(atoms, map, False, cutoff) for map in ("sum", "stack")]
    assert expected == found_nulls(atoms, cutoff, shifts)
    of_cell = [symmetry.expected_nulls(map) for map in ("sum", "stack")]
    assert tuple(np.subtract(expected, of_cell)) == hidden_from_the_cell


def test_a_short_cutoff_hides_what_the_molecule_would_show():
    # two molecules of different shape, out of each other's sight: each turns and shifts at will
    first, other = molecule("H2O"), molecule("NH3")
    other.translate([20.0, 3.0, 1.0])
    other.rotate(40, "x", center=(20, 3, 1))
    both = first + other
    symmetry = find_structure_symmetry(both.positions, both.numbers, both.cell[:], both.pbc)
    assert symmetry.expected_nulls("sum") < 6
    assert local(both, "stack", False, 5.0) == 6
    assert local(both, "sum", False, 5.0) == 6 + 1 + 4, "of water and of ammonia"


def test_two_equal_molecules_in_a_sum_hide_their_difference():
    atoms = molecule("HOCl")
    twin = atoms.copy()
    twin.rotate(70, (1, 2, 3))
    twin.positions[:, 0] *= -1
    twin.translate([30.0, 0.0, 0.0])
    both = atoms + twin
    # each has three vibrations and nothing to hide; of a sum only the mean of both is seen
    assert local(both, "stack", False, 5.0) == 6
    assert local(both, "sum", False, 5.0) == 6 + 3


def test_environments_with_coincident_atoms_hide_their_difference():
    places = np.random.default_rng(0).normal(size=(4, 3))
    points = np.vstack([places, places[:1]])
    symmetry = find_symmetry(points, np.ones(5, dtype=int))
    alone = find_symmetry(points[:4], [1, 1, 1, 9])
    assert symmetry.expected_nulls() == alone.expected_nulls() + 3
    descriptor = PowerSpectrum(cutoff=4.0, elements=("H",), n_max=6, l_max=8, **POINTS)
    count, *_ = nulls(points, descriptor.jacobian(batch([(points, np.ones(5))])))
    assert count == symmetry.expected_nulls()
    with pytest.raises(CampaignError, match="0 and 4 are like and coincide"):
        symmetry.expected_nulls("stack")


def test_no_atom_hides_nothing():
    nothing = find_symmetry(np.empty((0, 3)), [])
    assert [nothing.expected_nulls(map) for map in ("env", "sum", "stack")] == [0, 0, 0]


def test_questions_without_an_answer_are_refused():
    symmetry = find_symmetry(np.eye(3), [1, 1, 1])
    with pytest.raises(CampaignError, match="one of env, sum, stack, got 'mean'"):
        symmetry.expected_nulls("mean")
    atoms = bulk("Cu")
    periodic = find_crystal_symmetry(atoms.positions, atoms.numbers, atoms.cell[:])
    with pytest.raises(CampaignError, match="one of sum, stack, got 'env'"):
        periodic.expected_nulls("env")
    with pytest.raises(CampaignError, match="must be sum or stack"):
        local(atoms, "env", False, 3.0)
