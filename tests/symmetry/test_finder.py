"""Symmetry of environments and molecules against known groups, by name and by operation."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.cluster import Icosahedron
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.batches import batch, random_rotation
from reference.point_groups import GOLDEN, point_group, replicated, slow_search

from distdesc.errors import CampaignError
from distdesc.symmetry import find_symmetries, find_symmetry

FAMILIES = [
    *("C1", "Cs", "Ci", "T", "Td", "Th", "O", "Oh", "I", "Ih"),
    *(f"C{n}" for n in range(2, 8)), *(f"C{n}v" for n in range(2, 8)),
    *(f"C{n}h" for n in range(2, 8)), *(f"D{n}" for n in range(2, 8)),
    *(f"D{n}h" for n in range(2, 8)), *(f"D{n}d" for n in range(2, 8)),
    *(f"S{n}" for n in range(4, 15, 2)), "C30v", "D12d", "S80",
]  # fmt: skip

MOLECULES = {
    "C1": "H2COH C2H6CHOH CH3CONH2",
    "Cs": "CH3OH HOCl CH3CHO HCOOH CH3NO2 H3CNH2 C2H6NH CH3CH2OH H2CCHF ClNO CH2NHCH2 C2H6SO",
    "C2": "N2H4 H2O2",
    "C2v": "H2O SO2 H2CO C4H4NH C4H4O C5H5N ClF3 bicyclobutane CH3COCH3 C3H8 cyclobutene isobutene",
    "C2h": "OCHCHO trans-butane butadiene",
    "C3v": "NH3 CH3Cl PF3 isobutane CH3CN CF3CN C3H9N C3H4_C3v",
    "D2d": "C3H4_D2d C5H8 cyclobutane",
    "D2h": "C2H4 C2F4 C2Cl4",
    "D3d": "C2H6 Si2H6",
    "D3h": "BF3 CH3 C3H6_D3h 2-butyne",
    "D6h": "C6H6",
    "Td": "CH4 SiF4 CCl4",
    "C*v": "HCN CO OCS N2O CCH",
    "D*h": "CO2 C2H2 N2 NCCN CS2",
    "Kh": "C Na",
}


def turned(points, seed=0):
    return np.asarray(points, dtype=float) @ random_rotation(np.random.default_rng(seed)).T


def check_group(symmetry, points, tolerance=1e-3):
    """Operations are orthogonal, multiply among themselves, and belong to their permutations."""
    operations, permutations = symmetry.operations, symmetry.permutations
    k = len(operations)
    assert np.array_equal(operations[0], np.eye(3))
    assert np.allclose(operations @ operations.transpose(0, 2, 1), np.eye(3), rtol=0, atol=1e-13)
    assert np.all(np.sort(permutations, axis=1) == np.arange(len(points)))
    products = (operations[:, None] @ operations).reshape(-1, 9)
    which = np.argmax(products @ operations.reshape(-1, 9).T, axis=1)
    assert np.max(np.abs(products - operations[which].reshape(-1, 9))) < 1e-13
    assert len(np.unique(which)) == k
    if len(np.unique(operations.round(6), axis=0)) == k and len(points):
        composed = permutations[:, None, :][np.arange(k)[:, None, None], 0, permutations]
        assert np.array_equal(composed.reshape(k * k, -1), permutations[which])
    exact = symmetry.symmetrised(points)
    assert np.max(np.linalg.norm(exact - points, axis=1), initial=0.0) <= 1.01 * tolerance
    images = np.einsum("gxy,ky->gkx", operations, exact)
    assert np.max(np.abs(images - exact[permutations]), initial=0.0) < 1e-12


@pytest.mark.parametrize("name", FAMILIES)
def test_replicated_atoms_have_the_group_that_made_them(name):
    rng = np.random.default_rng(len(name) + ord(name[-1]))
    group = point_group(name)
    unit = rng.normal(size=(3, 3)) * [[1.0], [1.5], [2.0]] + [0.3, 0.2, 0.5]
    points, numbers = replicated(unit, [1, 1, 6], group)
    rotation = random_rotation(rng)
    symmetry = find_symmetry(points @ rotation.T, numbers, 1e-5)
    assert symmetry.name == name
    assert symmetry.order == len(group)
    check_group(symmetry, points @ rotation.T)
    expected = rotation @ group @ rotation.T
    gaps = np.max(np.abs(symmetry.operations[:, None] - expected), axis=(2, 3))
    assert np.max(np.min(gaps, axis=1)) < 1e-10


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(FAMILIES[:46]),
    n=st.integers(1, 4),
    n_kinds=st.integers(1, 2),
    seed=st.integers(0, 10**6),
)
def test_atoms_replicated_at_random_have_at_least_the_group_that_made_them(name, n, n_kinds, seed):
    rng = np.random.default_rng(seed)
    group = point_group(name)
    unit = rng.normal(size=(n, 3))
    # special places as well: on an axis, in a plane, at the centre
    unit[rng.uniform(size=(n, 3)) < 0.3] = 0.0
    points, numbers = replicated(unit, rng.integers(1, n_kinds + 1, n), group)
    rotation = random_rotation(rng)
    symmetry = find_symmetry(points @ rotation.T, numbers, 1e-6)
    check_group(symmetry, points @ rotation.T)
    if np.isfinite(symmetry.order):
        wanted = rotation @ group @ rotation.T
        gaps = np.max(np.abs(wanted[:, None] - symmetry.operations), axis=(2, 3))
        assert np.max(np.min(gaps, axis=1)) < 1e-9, symmetry.name


@pytest.mark.parametrize("name", MOLECULES)
def test_molecules_have_their_point_group_however_they_are_turned(name):
    for seed, formula in enumerate(MOLECULES[name].split()):
        atoms = molecule(formula)
        points = turned(atoms.positions - atoms.positions.mean(axis=0), seed)
        order = np.random.default_rng(seed).permutation(len(atoms))
        symmetry = find_symmetry(points[order], atoms.numbers[order])
        assert symmetry.name == name, formula
        check_group(symmetry, points[order])
        assert symmetry.linear == (name in ("C*v", "D*h"))


@pytest.mark.parametrize("formula", "H2O NH3 CH4 C2H6 C2H4 BF3 CH3OH H2O2 C3H4_D2d OCHCHO".split())
def test_operations_are_those_of_a_slow_search(formula):
    atoms = molecule(formula)
    points = turned(atoms.positions - atoms.positions.mean(axis=0), 5)
    expected = slow_search(points, atoms.numbers, 1e-3)
    found = find_symmetry(points, atoms.numbers).operations
    assert len(found) == len(expected)
    gaps = np.max(np.abs(found[:, None] - expected), axis=(2, 3))
    assert np.max(np.min(gaps, axis=1)) < 1e-3


def buckminsterfullerene():
    signs = np.array(np.meshgrid([1, -1], [1, -1], [1, -1])).reshape(3, -1).T
    seeds = [[0, 1, 3 * GOLDEN], [1, 2 + GOLDEN, 2 * GOLDEN], [GOLDEN, 2, 2 * GOLDEN + 1]]
    points = [np.roll(s * seed, k) for seed in seeds for s in signs for k in range(3)]
    return 0.7 * np.unique(np.round(points, 12), axis=0)


def fcc_shells():
    atoms = bulk("Cu", cubic=True).repeat(7)
    points = atoms.positions - atoms.positions[4 * (7**3 // 2)]
    distances = np.linalg.norm(points, axis=1)
    return points[(distances > 0) & (distances < 8)]


@pytest.mark.parametrize(
    ("points", "name", "order"),
    [
        (Icosahedron("Ni", 2).positions, "Ih", 120),
        (buckminsterfullerene(), "Ih", 120),
        (fcc_shells(), "Oh", 48),
    ],
    ids=["Ni13", "C60", "fcc"],
)
def test_large_groups_are_found_exactly_and_under_noise(points, name, order):
    points = turned(points - points.mean(axis=0), 3)
    numbers = np.full(len(points), 28)
    rng = np.random.default_rng(1)
    noise = rng.normal(size=points.shape)
    noise *= 4e-4 / np.max(np.linalg.norm(noise, axis=1))
    for moved in (points, points + noise):
        symmetry = find_symmetry(moved, numbers)
        assert (symmetry.name, symmetry.order) == (name, order)
        check_group(symmetry, moved)
    one_off = points.copy()
    one_off[7] *= 1.01
    assert find_symmetry(one_off, numbers).order < order


@pytest.mark.parametrize("name", ["Cs", "C3v", "D2h", "D3d", "Td", "S4", "Oh"])
@pytest.mark.parametrize("size", [1e-4, 1e-3, 1e-2])
def test_noise_within_the_tolerance_leaves_the_group_and_larger_noise_a_group(name, size):
    rng = np.random.default_rng(11)
    group = point_group(name)
    unit = [[0.5, 1.1, 1.9], [2.9, 0.8, -1.6]]
    points, numbers = replicated(np.array(unit), [1, 8], group)
    noise = rng.normal(size=points.shape)
    noise *= size / np.linalg.norm(noise, axis=1, keepdims=True)
    moved = turned(points + noise, 8)
    same = find_symmetry(moved, numbers, 1.5 * size)
    assert same.name == name
    check_group(same, moved, 1.5 * size)
    # between none and all: whatever is found is a group, and no atom has to move far for it
    for part in (0.3, 0.5, 0.7, 0.9, 1.1):
        some = find_symmetry(moved, numbers, part * size)
        check_group(some, moved, part * size)
        assert len(group) % some.order == 0, "Lagrange"


def test_coarse_tolerances_give_groups_too():
    orders = set()
    for seed in range(150):
        rng = np.random.default_rng(seed)
        points = rng.uniform(-1.5, 1.5, size=(rng.integers(4, 12), 3))
        gaps = np.linalg.norm(points[:, None] - points, axis=2) + 9 * np.eye(len(points))
        tolerance = 0.45 * np.min(gaps)
        symmetry = find_symmetry(points, np.ones(len(points), dtype=int), tolerance)
        check_group(symmetry, points, 1.05 * tolerance)
        orders.add(symmetry.order)
    assert len(orders) > 3


def test_points_without_a_frame_have_the_infinite_groups():
    on_line = np.array([[0.4, 0.8, -0.8]]) * np.array([[-1.0], [1.0], [2.0]])
    for points, numbers, name, rotations in [
        (np.empty((0, 3)), [], "Kh", 0),
        (np.zeros((1, 3)), [1], "Kh", 0),
        (on_line[:1], [1], "C*v", 2),
        (on_line[:2], [1, 1], "D*h", 2),
        (on_line[:2], [1, 8], "C*v", 2),
        (on_line, [1, 1, 1], "C*v", 2),
        (np.vstack([on_line[:2], np.zeros((1, 3))]), [1, 1, 6], "D*h", 2),
    ]:
        symmetry = find_symmetry(points, np.array(numbers, dtype=int))
        assert (symmetry.name, symmetry.n_rotations) == (name, rotations)
        assert symmetry.order == np.inf
        check_group(symmetry, points)
    assert find_symmetry(on_line, [1, 1, 1]).proper().name == "C*"
    # one atom opposite of two, near enough to either
    twins = np.outer([1.0, -1.0015, -0.9985], [0.0, 0.6, 0.8])
    assert find_symmetry(twins, [1, 1, 1]).name == "C*v"


def test_only_like_atoms_exchange_and_atoms_on_the_centre_stay():
    square = np.array([[1.0, 0, 0], [0, 1.0, 0], [-1.0, 0, 0], [0, -1.0, 0]])
    names = {(1, 1, 1, 1): "D4h", (1, 8, 1, 8): "D2h", (1, 1, 8, 8): "C2v", (1, 8, 8, 8): "C2v"}
    names[1, 8, 9, 17] = "Cs"
    for numbers, name in names.items():
        with_centre = np.vstack([square, np.zeros((1, 3))])
        assert find_symmetry(turned(square), numbers).name == name
        symmetry = find_symmetry(turned(with_centre), [*numbers, 6])
        assert symmetry.name == name
        assert np.all(symmetry.permutations[:, 4] == 4)


def test_coincident_like_atoms_share_a_site():
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=float)
    points = turned(np.vstack([corners, corners]))
    twice = find_symmetry(points, np.ones(8, dtype=int))
    assert twice.name == "Td"
    assert list(twice.sites) == [0, 1, 2, 3, 0, 1, 2, 3]
    check_group(twice, points)
    # another element at the same place is another atom
    both = find_symmetry(points, [1] * 4 + [9] * 4)
    assert (both.name, list(both.sites)) == ("Td", list(range(8)))
    once = find_symmetry(points[:5], np.ones(5, dtype=int))
    assert once.name == "C3v"


def test_a_molecule_has_the_stabilisers_that_its_places_have():
    atoms = molecule("CH4")
    symmetry = find_symmetry(turned(atoms.positions - atoms.positions.mean(axis=0)), atoms.numbers)
    assert [symmetry.stabiliser(k).name for k in range(5)] == ["Td", *["C3v"] * 4]
    assert symmetry.proper().name == "T"
    assert symmetry.proper().stabiliser(1).name == "C3"


def test_a_batch_gives_what_its_environments_give():
    rng = np.random.default_rng(2)
    square = np.array([[1.0, 0, 0], [0, 1.0, 0], [-1.0, 0, 0], [0, -1.0, 0]])
    environments = [(square, [1] * 4), (np.empty((0, 3)), []), (rng.normal(size=(5, 3)), [1] * 5)]
    found = find_symmetries(batch(environments))
    assert [symmetry.name for symmetry in found] == ["D4h", "Kh", "C1"]


@pytest.mark.parametrize("tolerance", [0.0, -1.0, np.nan, np.inf])
def test_a_tolerance_is_a_positive_length(tolerance):
    with pytest.raises(CampaignError, match="tolerance must be positive"):
        find_symmetry(np.eye(3), [1, 1, 1], tolerance)
