"""Neighbours against ASE's list, over shapes of cells and places of atoms."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.neighborlist import neighbor_list

from distdesc.structures import _neighbour_kernels as kernels
from distdesc.structures.neighbours import (
    build_environments,
    closest_distances,
    iterate_environments,
)
from distdesc.structures.source import Structures

CUTOFF = 4.3


def as_batch(*structures: Atoms) -> Structures:
    offsets = np.cumsum([0, *(len(a) for a in structures)], dtype=np.int64)
    return Structures(
        np.arange(len(structures), dtype=np.int64),
        offsets,
        np.concatenate([a.numbers for a in structures]).astype(np.int32),
        np.concatenate([a.positions for a in structures]),
        np.array([a.cell.array for a in structures]),
        np.array([a.pbc for a in structures]),
    )


def crystal(cell, n: int, pbc=True, seed: int = 0) -> Atoms:
    scaled = np.random.default_rng(seed).uniform(0, 1, (n, 3))
    cell = np.array(cell, dtype=float)
    filled = cell + np.diag(7.0 * ~cell.any(axis=1))
    return Atoms(f"Si{n}", positions=scaled @ filled, cell=cell, pbc=pbc)


def gas(n: int, seed: int = 0) -> Atoms:
    """A cluster at the density of a liquid, far from the origin."""
    rng = np.random.default_rng(seed)
    return Atoms(f"Ar{n}", positions=rng.uniform(0, (20.0 * n) ** (1 / 3), (n, 3)) + 500.0)


def turned(atoms: Atoms) -> Atoms:
    atoms = atoms.copy()
    atoms.rotate(40.0, (1, 2, 3), rotate_cell=True)
    atoms.translate((0.3, -0.7, 1.1))
    return atoms


def unwrapped(atoms: Atoms) -> Atoms:
    """The same structure with every atom in some other image of the cell."""
    atoms = atoms.copy()
    shifts = np.random.default_rng(1).integers(-7, 8, (len(atoms), 3)) * atoms.pbc
    atoms.positions += shifts @ atoms.cell.array
    return atoms


SKEWED = [[5.0, 0, 0], [4.0, 3.1, 0], [-3.0, 2.0, 4.4]]
TINY = [[1.2, 0, 0], [0, 1.2, 0], [0, 0, 1.2]]
STRUCTURES = {
    "one atom": Atoms("H"),
    "molecule": molecule("C6H6"),
    "molecule in a cell that is not periodic": Atoms("H2", [[0, 0, 0], [0, 0, 3]], cell=[3, 3, 3]),
    "small cluster": gas(40),
    "large cluster": gas(600),
    "cube": crystal(np.eye(3) * 6.0, 9),
    "skewed cell": crystal(SKEWED, 7),
    "left-handed cell": crystal(SKEWED[::-1], 7),
    "primitive cell": bulk("Cu"),
    "cell with hundreds of images": crystal(TINY, 2),
    "flat cell": crystal([[9.0, 0, 0], [0, 9.0, 0], [8.0, 8.0, 0.9]], 3),
    "large crystal": crystal(np.eye(3) * 21.0, 500),
    "large skewed crystal": crystal(4 * np.array(SKEWED), 500),
    "long thin crystal": crystal(np.diag([3.0, 3.0, 400.0]), 200),
    "slab": fcc111("Al", (2, 2, 3), vacuum=5.0),
    "slab without third vector": crystal(np.diag([4.0, 5.0, 0.0]), 5, (True, True, False)),
    "slab periodic in x and z": crystal(SKEWED, 6, (True, False, True)),
    "large slab": crystal(np.diag([30.0, 25.0, 10.0]), 500, (True, True, False)),
    "wire along y": crystal(SKEWED, 6, (False, True, False)),
    "large wire along z": crystal(np.diag([8.0, 8.0, 200.0]), 600, (False, False, True)),
    "chain along x": crystal(np.diag([1.3, 0, 0]), 2, (True, False, False)),
    "chain without other vectors": Atoms("C", cell=[[0, 0, 1.3], [0] * 3, [0] * 3], pbc=[1, 0, 0]),
}


def pairs(environments, first: int = 0) -> np.ndarray:
    """Lines (i, j, vector), sorted."""
    centres = np.repeat(environments.centres, np.diff(environments.offsets)) - first
    table = np.column_stack([centres, environments.neighbours - first, environments.vectors])
    return in_order(table)


def in_order(table: np.ndarray) -> np.ndarray:
    rounded = np.round(table, 6) + 0.0
    return table[np.lexsort(rounded.T[::-1])]


def ase_pairs(atoms: Atoms, cutoff: float = CUTOFF) -> np.ndarray:
    i, j, vectors = neighbor_list("ijD", atoms, cutoff)
    return in_order(np.column_stack([i, j, vectors]))


@pytest.mark.parametrize("change", [None, turned, unwrapped])
@pytest.mark.parametrize("name", STRUCTURES)
def test_neighbours_are_those_of_ase(name, change):
    atoms = STRUCTURES[name] if change is None else change(STRUCTURES[name])
    batch = as_batch(atoms)
    ours = pairs(build_environments(batch, 0, len(atoms), CUTOFF))
    theirs = ase_pairs(atoms)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


@pytest.mark.parametrize("name", STRUCTURES)
def test_both_searches_give_the_same_pairs_in_the_same_order(name, monkeypatch):
    atoms = unwrapped(STRUCTURES[name])
    batch = as_batch(atoms)
    found = []
    for brute_pairs in (np.inf, -1.0):
        monkeypatch.setattr(kernels, "BRUTE_PAIRS", brute_pairs)
        found.append(build_environments(batch, 0, len(atoms), CUTOFF))
    for field in ("offsets", "neighbours", "vectors"):
        np.testing.assert_array_equal(getattr(found[0], field), getattr(found[1], field))


@pytest.mark.parametrize("name", ["skewed cell", "large crystal", "large cluster"])
def test_an_environment_is_the_same_alone_in_a_batch_and_in_a_slice(name):
    atoms = STRUCTURES[name]
    alone = build_environments(as_batch(atoms), 0, len(atoms), CUTOFF)
    before = STRUCTURES["molecule"]
    batch = as_batch(before, atoms, before)
    for centre in (0, len(atoms) // 2, len(atoms) - 1):
        place = len(before) + centre
        one = build_environments(batch, place, place + 1, CUTOFF)
        here = slice(alone.offsets[centre], alone.offsets[centre + 1])
        assert one.centres.tolist() == [place]
        assert one.vectors.tobytes() == alone.vectors[here].tobytes()
        np.testing.assert_array_equal(one.neighbours - len(before), alone.neighbours[here])


def test_neighbours_come_by_index_then_by_image():
    env = build_environments(as_batch(crystal(TINY, 2)), 0, 2, CUTOFF)
    first = slice(env.offsets[0], env.offsets[1])
    order = env.neighbours[first]
    assert np.all(np.diff(order) >= 0)
    images = env.vectors[first][order == 0] / 1.2
    assert [tuple(s) for s in images.round()] == sorted(tuple(s) for s in images.round())


def test_slices_join_to_the_whole_and_keep_to_their_budget():
    batch = as_batch(*STRUCTURES.values())
    last = int(batch.offsets[-1]) - 3
    whole = build_environments(batch, 5, last, CUTOFF)
    slices = list(iterate_environments(batch, 5, last, CUTOFF, max_pairs=200))
    for field in ("vectors", "numbers", "neighbours", "centres", "centre_numbers"):
        joined = np.concatenate([getattr(s, field) for s in slices])
        assert joined.tobytes() == getattr(whole, field).tobytes()
    counts = np.concatenate([np.diff(s.offsets) for s in slices])
    np.testing.assert_array_equal(counts, np.diff(whole.offsets))
    assert all(s.offsets[-1] <= 200 or len(s) == 1 for s in slices)
    assert any(s.offsets[-1] > 200 for s in slices)


@pytest.mark.parametrize("pbc", [True, False])
def test_neighbours_of_a_large_structure_are_those_of_vesin(pbc):
    vesin = pytest.importorskip("vesin")
    atoms = crystal([[30.0, 0, 0], [4, 28, 0], [-3, 5, 33]], 2500, pbc=pbc)
    search = vesin.NeighborList(cutoff=CUTOFF, full_list=True)
    i, j, vectors = search.compute(atoms.positions, atoms.cell[:], pbc, "ijD")
    found = build_environments(as_batch(atoms), 0, len(atoms), CUTOFF)
    centres = np.repeat(found.centres, np.diff(found.offsets))
    ours = np.column_stack([centres, found.neighbours, found.vectors.round(6)])
    theirs = np.column_stack([i, j, vectors.round(6)])
    assert len(ours) > 10_000
    assert np.allclose(in_order(ours), in_order(theirs), atol=2e-6)


def test_a_neighbour_at_the_cutoff_is_not_one():
    batch = as_batch(Atoms("H2", [[0, 0, 0], [0, 0, 2.0]]))
    assert len(build_environments(batch, 0, 2, 2.0).vectors) == 0
    assert len(build_environments(batch, 0, 2, np.nextafter(2.0, 3.0)).vectors) == 2


def test_an_empty_range_has_no_environments():
    batch = as_batch(molecule("H2O"), Atoms(), molecule("CO"))
    assert len(build_environments(batch, 3, 3, CUTOFF)) == 0
    assert list(iterate_environments(batch, 3, 3, CUTOFF, 10)) == []
    assert np.diff(build_environments(batch, 0, 5, CUTOFF).offsets).tolist() == [2, 2, 2, 1, 1]


def test_atoms_a_million_apart_do_not_meet():
    far = gas(200)
    far.positions[::2] *= 1e6
    batch = as_batch(far)
    ours = pairs(build_environments(batch, 0, 200, CUTOFF))
    distances = np.linalg.norm(far.positions[:, None] - far.positions, axis=-1)
    assert len(ours) == (distances < CUTOFF).sum() - 200


@pytest.mark.parametrize("name", STRUCTURES)
def test_closest_distance_is_that_of_ase(name):
    atoms = unwrapped(STRUCTURES[name])
    [found] = closest_distances(as_batch(atoms), CUTOFF)
    distances = neighbor_list("d", atoms, CUTOFF)
    assert found == pytest.approx(distances.min() if len(distances) else np.inf)


def test_closest_distance_is_only_looked_for_below_the_limit():
    batch = as_batch(molecule("H2O"), crystal(TINY, 1), Atoms(), gas(500))
    assert closest_distances(batch, 0.01).tolist() == [np.inf] * 4
    usable = np.array([False, True, True, False])
    np.testing.assert_allclose(closest_distances(batch, 3.0, usable)[:2], [np.inf, 1.2])


def test_many_coincident_atoms_are_found_at_once():
    batch = as_batch(Atoms("H50000", np.zeros((50_000, 3))))
    assert closest_distances(batch, 0.2).tolist() == [0.0]


def test_inputs_are_not_modified():
    atoms = STRUCTURES["large slab"]
    batch = as_batch(atoms)
    for array in (batch.positions, batch.cells, batch.offsets, batch.numbers, batch.pbc):
        array.setflags(write=False)
    build_environments(batch, 0, len(atoms), CUTOFF)
    closest_distances(batch, 1.0)
    np.testing.assert_array_equal(batch.positions, atoms.positions)
