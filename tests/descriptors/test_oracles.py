"""Sensitivity of fingerprints against known answers: constructions, group theory, published."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from ase import Atoms
from reference.batches import batch, random_rotation
from reference.families import at_one_distance
from reference.sensitivity import global_nulls, nulls
from reference.structures import batch_of

from distdesc.descriptors.bispectrum import Bispectrum
from distdesc.descriptors.derivatives import by_atom, pooled_by_atom
from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.descriptors.radial_spectrum import RadialSpectrum
from distdesc.descriptors.trispectrum import Trispectrum
from distdesc.elements import SYMBOLS
from distdesc.structures.neighbours import build_environments

# Neighbours as points, without a decay at the cutoff: as in the analysis of the references.
POINTS = {"radial": "laplacian", "sigma": 0.0, "cutoff_function": "none"}

# Large enough for the known answers, which are those of complete bases.
ENOUGH = {
    RadialSpectrum: {"n_max": 8},
    PowerSpectrum: {"n_max": 6, "l_max": 12},
    Bispectrum: {"n_max": 4, "l_max": 4, "parity_odd": True},
    Trispectrum: {"n_max": 2, "l_max": 3, "parity_odd": True},
}


def of_points(kind, vectors, numbers=(1,), **fields):
    """Spectrum with a cutoff 1.6 times as large as the environment."""
    radius = 1.6 * float(np.max(np.linalg.norm(vectors, axis=-1)))
    elements = tuple(SYMBOLS[z] for z in sorted(set(numbers)))
    return kind(cutoff=radius, elements=elements, **POINTS, **fields)


def even_features(descriptor):
    """Those that are the same for mirror images; all of degree one and two."""
    if not descriptor.parity_odd:
        return np.ones(descriptor.n_features, dtype=bool)
    momenta = [name.split(" l")[1].split(" ")[0] for name in descriptor.feature_names()]
    return np.array([sum(map(int, ls.split(","))) % 2 == 0 for ls in momenta])


def n_nulls(kind, vectors, numbers=None, odd=False, clear=1e-4, **fields):
    """Motions other than rotations that change no feature, or with `odd`, no even one either."""
    numbers = [1] * len(vectors) if numbers is None else numbers
    descriptor = of_points(kind, vectors, numbers, **(fields or ENOUGH[kind]))
    jacobian = descriptor.jacobian(batch([(vectors, numbers)]))
    if not odd:
        jacobian = jacobian[:, :, even_features(descriptor)]
    count, smallest, largest = nulls(vectors, jacobian)
    assert smallest > clear
    assert largest < 1e-12
    return count


def distance(kind, plus, minus, **fields):
    """Relative difference of two fingerprints: of even features, and of odd ones."""
    numbers = [1] * len(plus)
    descriptor = of_points(kind, plus, **(fields or ENOUGH[kind]))
    one, other = descriptor.compute(batch([(plus, numbers), (minus, numbers)]))
    even = even_features(descriptor)
    size = np.linalg.norm(one[even])
    return tuple(np.linalg.norm((one - other)[part]) / size for part in (even, ~even))


def turned(vectors):
    """The same in a general orientation, away from all axes."""
    return np.asarray(vectors, dtype=float) @ random_rotation(np.random.default_rng(9)).T


@pytest.mark.parametrize("n", [4, 5, 6])
@pytest.mark.parametrize("kind", ["points", "Gaussians"])
def test_power_spectra_of_neighbours_at_one_distance_need_a_large_l_max(n, kind):
    vectors = at_one_distance(np.random.default_rng(n), n)
    environments = batch([(vectors, [1] * n)])
    if kind == "points":
        sizes, fields = [(k, l) for k in (1, 2, 4) for l in range(2 * n - 1)], POINTS
    else:
        sizes, fields = [(2, l) for l in (1, n - 1, 2 * n - 4, 2 * n - 3)], {"sigma": 0.3}
    for n_max, l_max in sizes:
        descriptor = PowerSpectrum(cutoff=2.0, elements=("H",), n_max=n_max, l_max=l_max, **fields)
        found, smallest, largest = nulls(vectors, descriptor.jacobian(environments))
        expected = max(0, 2 * n - 3 - l_max) + max(0, n - 1 - l_max)
        if n_max == 1:
            expected = max(0, 3 * n - 3 - (l_max + 1))
        assert found == expected, (n_max, l_max)
        assert smallest > 1e-7
        assert largest < 1e-11, "distances are equal to rounding only"


def test_power_spectra_of_four_general_neighbours_need_little():
    radii = np.array([[0.9], [1.0], [1.1], [1.25]])
    vectors = radii * at_one_distance(np.random.default_rng(2), 4)
    table = {1: [8, 7, 6, 5, 4, 3, 2, 1, 0], 2: [7, 4, 1, 0], 3: [6, 0], 4: [5, 0], 6: [5, 0]}
    for n_max, row in table.items():
        found = [
            n_nulls(PowerSpectrum, vectors, n_max=n_max, l_max=l_max, clear=1e-7)
            for l_max in range(len(row))
        ]
        assert found == row, n_max


def pair_of_four():
    """Different environments with the same power spectrum: A, two B about an axis, and C."""
    a, b, c = [0.7, 0.0, 0.85], [1.05, 0.6, 0.45], [0.0, 0.95, 0.8]
    plus = np.array([a, b, [-b[0], -b[1], b[2]], c])
    return plus, plus * np.where(np.arange(4)[:, None] == 3, [1, -1, 1], 1)


def pair_of_seven(gap=110):
    """Different environments with the same bispectrum: two triangles, and one on their axis."""
    angles = np.radians([0, 100, 100 + gap])
    ring = np.stack([np.cos(angles), np.sin(angles), np.full(3, 0.4)], axis=1)
    c, s = np.cos(np.radians(40)), np.sin(np.radians(40))
    below = ring @ np.array([[c, s, 0], [-s, c, 0], [0, 0, -1]])
    return tuple(np.vstack([ring, below, [[0, 0, top]]]) for top in (0.8, -0.8))


@pytest.mark.parametrize("kind", [RadialSpectrum, PowerSpectrum, Bispectrum])
def test_a_pair_with_one_power_spectrum_is_told_apart_by_the_bispectrum(kind):
    plus, minus = map(turned, pair_of_four())
    even, odd = distance(kind, plus, minus)
    if kind is Bispectrum:
        assert even > 0.3
        assert odd > 0.1
    else:
        assert even < 1e-14
    for member in (plus, minus):
        assert n_nulls(kind, member) == (6 if kind is RadialSpectrum else 0), "regular, both"


@pytest.mark.parametrize("kind", [RadialSpectrum, PowerSpectrum, Bispectrum, Trispectrum])
def test_a_pair_with_one_bispectrum_is_told_apart_by_the_trispectrum(kind):
    plus, minus = map(turned, pair_of_seven())
    even, odd = distance(kind, plus, minus)
    if kind is Trispectrum:
        assert even > 1e-3
        assert odd > 1e-3
    else:
        assert max(even, odd) < 1e-13
    expected = {RadialSpectrum: 16, PowerSpectrum: 1, Bispectrum: 0, Trispectrum: 0}
    for member in (plus, minus):
        assert n_nulls(kind, member) == expected[kind]


def test_power_spectra_are_singular_where_a_pair_merges_on_its_axis():
    a, b = [0.7, 0.3, 0.85], [1.05, 0.6, 0.45]
    vectors = np.array([a, b, [-b[0], -b[1], b[2]], [0, 0, 0.8]])
    rotation = random_rotation(np.random.default_rng(9))
    assert n_nulls(PowerSpectrum, vectors @ rotation.T) == 1
    assert n_nulls(Bispectrum, vectors @ rotation.T) == 0
    # the last neighbour moves across the plane of the first and the axis
    unseen = rotation @ [-a[1], a[0], 0.0]
    jacobian = of_points(PowerSpectrum, vectors, **ENOUGH[PowerSpectrum]).jacobian(
        batch([(vectors @ rotation.T, [1] * 4)])
    )
    assert np.max(np.abs(unseen @ jacobian[3])) < 1e-13 * np.max(np.abs(jacobian))
    assert np.max(np.abs(rotation[:, 0] @ jacobian[3])) > 1e-3 * np.max(np.abs(jacobian))


def test_power_spectra_are_singular_where_a_pair_folds_at_a_mirror():
    first, second = np.array([0.8, 0.5, 0.3]), np.array([0.2, -0.7, 0.69])
    second *= np.linalg.norm(first) / np.linalg.norm(second)
    middle, normal = first + second, np.cross(first, second)
    third = 0.6 * middle + 0.9 * normal  # as far from the first as from the second
    fourth = 0.9 * first - 1.3 * second  # in their plane
    vectors = np.array([first, second, third, fourth])
    assert n_nulls(PowerSpectrum, vectors) == 1
    assert n_nulls(Bispectrum, vectors) == 0
    vectors[3] += 0.1 * normal
    assert n_nulls(PowerSpectrum, vectors) == 0


@pytest.mark.parametrize(("height", "expected"), [(0.3, 1), (0.0, 2)])
def test_power_spectra_are_singular_with_three_on_a_cone_about_a_fourth(height, expected):
    angles = np.radians([0, 100, 220])
    cone = np.stack([np.cos(angles), np.sin(angles), np.full(3, height)], axis=1)
    vectors = turned(np.vstack([cone, [[0, 0, 0.9]]]))
    assert n_nulls(PowerSpectrum, vectors) == expected
    assert n_nulls(Bispectrum, vectors) == 0


def test_bispectra_are_singular_where_their_pairs_merge():
    vectors = turned(pair_of_seven(gap=100)[0])
    expected = {RadialSpectrum: 16, PowerSpectrum: 6, Bispectrum: 1, Trispectrum: 0}
    for kind, count in expected.items():
        assert n_nulls(kind, vectors) == n_nulls(kind, vectors, odd=True) == count


def test_null_motions_of_environments_come_out_for_two_and_three_bodies(oracle):
    environments = oracle("environments")
    assert len(environments) >= 22
    for environment in environments:
        vectors = np.array(environment["neighbour_positions"])
        numbers = environment["neighbour_numbers"]
        expected = environment["expected_nontrivial_nulls_complete_basis"]
        found = [n_nulls(kind, vectors, numbers) for kind in (RadialSpectrum, PowerSpectrum)]
        assert found == [expected["nu1"], expected["nu2"]], environment["name"]


def test_ranks_known_exactly_come_out_for_all_body_orders(oracle):
    environments = oracle("environments_exact_rational")
    assert len(environments) >= 12
    for environment in environments:
        rational = environment["neighbour_positions_rational"]
        vectors = np.array([[float(Fraction(x)) for x in row] for row in rational])
        numbers = environment["neighbour_numbers"]
        expected = environment["expected_nontrivial_nulls_complete_basis"]
        found = {
            "nu1": n_nulls(RadialSpectrum, vectors, numbers),
            "nu2": n_nulls(PowerSpectrum, vectors, numbers),
            "nu3_O3": n_nulls(Bispectrum, vectors, numbers),
            "nu3_SO3": n_nulls(Bispectrum, vectors, numbers, odd=True),
            "nu4_O3": n_nulls(Trispectrum, vectors, numbers),
            "nu4_SO3": n_nulls(Trispectrum, vectors, numbers, odd=True),
        }
        assert found == expected, environment["name"]


def test_degenerate_pairs_are_equal_or_differ_as_stated(oracle):
    pairs = oracle("degenerate_pairs")
    assert len(pairs) >= 5
    for pair in pairs:
        plus, minus = np.array(pair["positions_plus"]), np.array(pair["positions_minus"])
        equal = pair["features_equal"]
        for kind, key in ((RadialSpectrum, "nu1"), (PowerSpectrum, "nu2")):
            assert equal.get(key, True)
            even, _ = distance(kind, plus, minus)
            assert even < 1e-14, pair["name"]
        even, odd = distance(Bispectrum, plus, minus)
        same = equal.get("nu3_O3", equal.get("nu3"))
        assert (even < 1e-13) == same, pair["name"]
        assert not equal.get("nu3_SO3") or odd < 1e-13, pair["name"]
        even, odd = distance(Trispectrum, plus, minus)
        assert (even < 1e-13) == equal.get("nu4_O3", False), pair["name"]
        assert even + odd > 1e-3, "all are told apart"


def test_environments_are_singular_in_the_stated_truncated_basis_only(oracle):
    environments = oracle("truncation")
    assert len(environments) >= 7
    for environment in environments:
        vectors = np.array(environment["neighbour_positions"])
        stated = environment["basis"]
        for sizes, ratio in (
            ((stated["n_max"], stated["l_max"]), environment["smin_over_smax"]),
            ((6, 9), environment["smin_over_smax_at_n6_l9"]),
        ):
            descriptor = PowerSpectrum(
                cutoff=stated["rc"], elements=("H",), n_max=sizes[0], l_max=sizes[1], **POINTS
            )
            jacobian = descriptor.jacobian(batch([(vectors, environment["neighbour_numbers"])]))
            # two of them are 1e-6 Å from where all distances are equal, and a second one would be
            # zero: they are told from zero below 1e-11 only
            count, smallest, largest = nulls(vectors, jacobian, tolerance=1e-12)
            if sizes == (6, 9):
                assert count == environment["expected_nulls_complete_basis"]
                assert abs(smallest - ratio) < 1e-12
            else:
                assert count == environment["expected_nulls_truncated"]
                assert abs(largest - ratio) < 1e-14


def maps_of(descriptor, atoms):
    """Derivatives of features summed over the centres of each element, and of all kept apart."""
    structures, n = batch_of([atoms]), len(atoms)
    numbers = tuple(sorted({int(z) for z in atoms.numbers}))
    total = pooled_by_atom(descriptor, structures, elements=numbers)
    environments = build_environments(structures, 0, n, descriptor.cutoff)
    stack = by_atom(descriptor, environments).dense(0, n).transpose(1, 2, 0, 3)
    return total, stack.reshape(n, 3, -1)


@pytest.mark.parametrize(
    ("kind", "group", "fields"),
    [
        (RadialSpectrum, "O3", {"n_max": 6}),
        (PowerSpectrum, "O3", {"n_max": 5, "l_max": 8}),
        (Bispectrum, "O3", {"n_max": 2, "l_max": 3}),
        (Bispectrum, "SO3", {"n_max": 2, "l_max": 3, "parity_odd": True}),
        (Trispectrum, "O3", {"n_max": 1, "l_max": 4}),
        (Trispectrum, "SO3", {"n_max": 1, "l_max": 4, "parity_odd": True}),
    ],
)
def test_molecules_have_the_null_motions_that_their_symmetry_demands(oracle, kind, group, fields):
    molecules = oracle("molecules_global")
    assert len(molecules) >= 20
    for molecule in molecules:
        atoms = Atoms(molecule["numbers"], molecule["positions"])
        distances = np.linalg.norm(atoms.positions[:, None] - atoms.positions, axis=-1)
        elements = tuple(SYMBOLS[z] for z in sorted(set(molecule["numbers"])))
        way = "weights" if kind is Trispectrum else "channels"
        radius = 1.25 * float(np.max(distances))
        descriptor = kind(cutoff=radius, species=way, elements=elements, **POINTS, **fields)
        maps = dict(zip(("sum", "stack"), maps_of(descriptor, atoms), strict=True))
        for name, motions in maps.items():
            count, smallest, largest = global_nulls(atoms.positions, motions)
            assert count == molecule["expected_null"][f"{name}_{group}"], molecule["name"]
            assert smallest > 1e-4
            assert largest < 1e-13
            if kind is PowerSpectrum:
                stated = molecule["computed_finite_nu2"]  # in this very basis
                assert count == stated[name]
                assert abs(smallest - stated[f"gap_{name}"][0]) < 1e-11
