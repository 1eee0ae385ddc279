"""Singular values of Jacobians against dense ones, known answers, and what must not matter."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule, nanotube
from reference.batches import batch, random_environment, random_rotation, row
from reference.sensitivity import shifts, turns
from reference.structures import batch_of

from distdesc.descriptors.bispectrum import Bispectrum
from distdesc.descriptors.derivatives import by_atom, pooled_by_atom
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.descriptors.radial_spectrum import RadialSpectrum
from distdesc.elements import SYMBOLS
from distdesc.singular import screen
from distdesc.singular.motions import KINDS, RIGID, ROTATIONS, structure_motions, trivial_motions
from distdesc.singular.spectrum import Spectra, environment_spectra, structure_spectra
from distdesc.singular.structure_screen import screen_structures
from distdesc.structures.neighbours import build_environments

POINTS = {"radial": "laplacian", "sigma": 0.0, "cutoff_function": "none"}
SPECIES = [
    {},
    {"species": "weights", "include_centre": True},
    {"species": "none"},
    {"species": "embedding", "rank": 2, "embedding": ((1, 0.3), (0.2, 0.5), (0.1, -0.7), (0, 1))},
]
SMALL = PowerSpectrum(cutoff=4.0, n_max=3, l_max=4, elements=("H", "C", "N", "O"))


def without(motions, trivial):
    """Singular values of a dense Jacobian but for some motions, the slow way; in any order."""
    left, sizes, _ = np.linalg.svd(np.stack([m.ravel() for m in trivial], axis=1))
    seen = left[:, np.sum(sizes > 1e-8 * sizes[0]) :].T @ motions
    values = np.linalg.svd(seen, compute_uv=False)
    return np.concatenate([values, np.zeros(len(seen) - len(values))])


def dense(descriptor, environments, k):
    vectors, _ = row(environments, k)
    jacobian = descriptor.jacobian(environments.part(k, k + 1))
    return without(jacobian.reshape(3 * len(vectors), -1), turns(vectors))


def assert_same(found, expected):
    """To all digits of the large values, and to those of the largest for the small ones."""
    assert found.shape == expected.shape
    assert np.all(np.diff(found) <= 0)
    large = expected > 0.1 * expected[0]
    np.testing.assert_allclose(found[large], expected[large], rtol=1e-12)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-13 * expected[0])


@pytest.fixture(scope="module")
def several():
    rng = np.random.default_rng(4)
    return batch([random_environment(rng, n, 4.0) for n in (2, 5, 0, 17, 8, 1, 5, 9)])


@pytest.mark.parametrize("fields", SPECIES)
@pytest.mark.parametrize("sizes", [(3, 4), (9, 2), (1, 0)])
def test_products_of_derivatives_of_power_spectra_are_those_of_the_derivatives(
    several, fields, sizes
):
    descriptor = PowerSpectrum(
        cutoff=3.9, n_max=sizes[0], l_max=sizes[1], elements=("H", "C", "N", "O"), **fields
    )
    found, start = descriptor.jacobian_products(several), 0
    for k in range(len(several)):
        jacobian = descriptor.jacobian(several.part(k, k + 1))
        rows = jacobian.reshape(3 * len(jacobian), descriptor.n_features)
        own = found[start : start + len(rows) ** 2].reshape(len(rows), len(rows))
        size = np.max(np.abs(rows), initial=1e-300) ** 2 * descriptor.n_features
        np.testing.assert_allclose(own, rows @ rows.T, atol=1e-14 * size)
        np.testing.assert_array_equal(own, own.T)
        start += own.size
    assert start == len(found)


@pytest.mark.parametrize(
    "descriptor",
    [
        *(PowerSpectrum(cutoff=4.0, n_max=4, l_max=3, elements=("H", "C", "N", "O"), **fields)
          for fields in SPECIES),
        RadialSpectrum(cutoff=4.0, n_max=5, elements=("H", "C", "N", "O")),
        MomentInvariants(order=4, cutoff=4.0),
        Bispectrum(cutoff=4.0, n_max=1, l_max=3, elements=("H", "C", "N", "O")),
    ],
    ids=lambda d: f"{type(d).__name__} {d.species}",
)  # fmt: skip
def test_singular_values_are_those_of_the_dense_jacobian(descriptor, several):
    spectra = environment_spectra(descriptor, several)
    assert spectra.n_motions.tolist() == [3, 3, 0, 3, 3, 2, 3, 3]
    assert len(spectra.row(2)) == 0
    assert len(spectra.row(5)) == 1
    for k in (0, 1, 3, 4, 5, 6, 7):
        assert_same(spectra.row(k), dense(descriptor, several, k))


def test_small_singular_values_keep_their_digits():
    a, b = [0.7, 0.3, 0.85], [1.05, 0.6, 0.45]
    on_axis = np.array([a, b, [-b[0], -b[1], b[2]], [0, 0, 0.8]])  # a singular point
    away = np.array([0.4, 0.9, 0.2])
    shift = np.array([1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4])
    places = [on_axis + s * np.outer([0, 0, 0, 1], away) for s in shift]
    descriptor = PowerSpectrum(cutoff=2.5, n_max=5, l_max=6, elements=("H",), **POINTS)
    spectra = environment_spectra(descriptor, batch([(v, [1] * 4) for v in places]))
    smallest = np.array([spectra.row(k)[-1] for k in range(len(shift))])
    assert smallest[0] / spectra.row(0)[0] < 1e-8, "squares are below rounding"
    np.testing.assert_allclose(smallest[1:] / smallest[:-1], 10, rtol=2e-3)
    assert spectra.summary(1e-5).n_nulls.tolist() == [1, 1, 1, 1, 1, 0]


def test_singular_values_do_not_depend_on_the_frame_or_the_order():
    rng = np.random.default_rng(8)
    vectors, numbers = random_environment(rng, 9, 4.0)
    order = rng.permutation(9)
    turned = vectors @ random_rotation(rng).T
    two = environment_spectra(SMALL, batch([(vectors, numbers), (turned[order], numbers[order])]))
    assert_same(two.row(1), two.row(0))


@pytest.mark.parametrize(
    "descriptor",
    [
        SMALL,
        MomentInvariants(order=3, cutoff=4.0),
        Bispectrum(n_max=2, l_max=2, cutoff=4.0, elements=SMALL.elements),
    ],
    ids=["products", "all elements", "elements apart"],
)
def test_rows_depend_on_their_own_environment_bit_for_bit(descriptor, several, monkeypatch):
    spectra = environment_spectra(descriptor, several)
    for k in range(len(several)):
        alone = environment_spectra(descriptor, several.part(k, k + 1))
        np.testing.assert_array_equal(alone.row(0), spectra.row(k))
    monkeypatch.setattr(screen, "MAX_NUMBERS", 700)
    np.testing.assert_array_equal(environment_spectra(descriptor, several).values, spectra.values)


def test_what_was_given_is_not_modified(several):
    before = several.vectors.copy()
    environment_spectra(SMALL, several)
    np.testing.assert_array_equal(several.vectors, before)


@pytest.fixture(scope="module")
def rough():
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.1, seed=3)
    return atoms


@pytest.mark.parametrize("descriptor", [SMALL, MomentInvariants(order=3, cutoff=3.0)])
@pytest.mark.parametrize("periodic", [False, True])
def test_structures_have_the_singular_values_of_their_dense_jacobians(descriptor, periodic, rough):
    atoms = rough.copy()
    if periodic:
        atoms.set_cell([3.0, 4.0, 3.5])
        atoms.pbc = [True, True, False]
    one, n = batch_of([rough, atoms]), len(atoms)
    numbers = tuple(sorted(set(atoms.numbers.tolist())))
    trivial = shifts(atoms.positions) + ([] if periodic else turns(atoms.positions))
    total = pooled_by_atom(descriptor, one, elements=numbers)[n:].reshape(3 * n, -1)
    centres = build_environments(one, n, 2 * n, descriptor.cutoff)
    stack = by_atom(descriptor, centres).dense(n, 2 * n).transpose(1, 2, 0, 3).reshape(3 * n, -1)
    for name, motions in (("sum", total), ("stack", stack)):
        spectra = structure_spectra(descriptor, one, name)
        assert spectra.n_motions.tolist() == [6, 3 if periodic else 6]
        assert_same(spectra.row(1), without(motions, trivial))
        alone = structure_spectra(descriptor, one.take(np.array([1])), name)
        np.testing.assert_array_equal(alone.row(0), spectra.row(1))


@pytest.mark.parametrize(
    ("atoms", "sums", "stacks"),
    [
        (bulk("Si"), 3, 3),
        (bulk("NaCl", "rocksalt", a=5.64), 3, 3),
        (bulk("ZnO", "wurtzite", a=3.25, c=5.2, u=0.382), 8, 6),
        (nanotube(3, 3, length=1, vacuum=4.0), 30, 11),
    ],
    ids=["diamond", "rocksalt", "wurtzite", "a tube"],
)
def test_crystals_and_chains_have_the_nulls_that_symmetry_demands(atoms, sums, stacks):
    elements = tuple(SYMBOLS[z] for z in sorted(set(atoms.numbers)))
    descriptor = PowerSpectrum(cutoff=4.0, n_max=4, l_max=5, elements=elements)
    chain = int(np.sum(atoms.pbc)) == 1
    for name, expected in (("sum", sums), ("stack", stacks)):
        found = screen_structures(descriptor, batch_of([atoms]), name)
        assert found.spectra.n_motions.tolist() == [4 if chain else 3]
        assert found.summary.n_nulls.tolist() == found.symmetry_nulls.tolist() == [expected]


def test_trivial_motions_are_orthonormal_and_change_nothing():
    rng = np.random.default_rng(1)
    vectors, numbers = random_environment(rng, 6, 3.0)
    jacobian = SMALL.jacobian(batch([(vectors, numbers)])).reshape(18, -1)
    line = np.outer([1.0, -2.0, 0.5, 3.0], [1.0, 2.0, 3.0])
    counts = {}
    for kind in KINDS:
        found = [
            trivial_motions(points, kind)
            for points in (vectors, line, line[:1], np.zeros((2, 3)), np.empty((0, 3)))
        ]
        for motions in found:
            np.testing.assert_allclose(motions.T @ motions, np.eye(motions.shape[1]), atol=1e-14)
        counts[kind] = [motions.shape[1] for motions in found]
    assert counts == {
        "rotations": [3, 2, 2, 0, 0],
        "rotations+translations": [6, 5, 3, 3, 0],
        "translations": [3, 3, 3, 3, 0],
    }
    unseen = trivial_motions(vectors, ROTATIONS).T @ jacobian
    assert np.max(np.abs(unseen)) < 1e-13 * np.max(np.abs(jacobian))
    bent = line + 1e-6 * rng.normal(size=line.shape)
    assert trivial_motions(bent, ROTATIONS).shape[1] == 3
    assert trivial_motions(line + rng.normal(size=3), RIGID).shape[1] == 5, "from anywhere"


def test_the_cell_says_which_rotations_are_trivial():
    positions = np.random.default_rng(2).normal(size=(5, 3))
    cell = np.array([[3.0, 1.0, 0], [0, 4.0, 0], [0, 0, 5.0]])
    counts = [
        structure_motions(positions, cell, np.arange(3) < n_periodic).shape[1]
        for n_periodic in range(4)
    ]
    assert counts == [6, 4, 3, 3]
    about = structure_motions(positions, cell, np.array([True, False, False]))[:, 0].reshape(5, 3)
    assert np.max(np.abs(about @ cell[0])) < 1e-14, "turns about the chain, across its axis"
    lined_up = np.outer(np.arange(4.0), cell[0])
    assert structure_motions(lined_up, cell, np.array([True, False, False])).shape[1] == 3


def test_lone_atoms_pairs_and_coincident_neighbours_have_a_defined_answer():
    structures = batch_of([Atoms("H"), Atoms("N2", [[0, 0, 0], [0.4, 0.2, 1.0]])])
    for name in ("sum", "stack"):
        spectra = structure_spectra(SMALL, structures, name)
        assert np.diff(spectra.offsets).tolist() == [0, 1]
        assert spectra.n_motions.tolist() == [3, 5]
    place = np.array([0.5, -0.8, 0.9])
    environments = batch(
        [([place, place], [1, 1]), ([np.zeros(3), place], [1, 6]), ([np.zeros(3)], [1])]
    )
    spectra = environment_spectra(SMALL, environments)
    assert spectra.n_motions.tolist() == [2, 2, 0]
    summary = spectra.summary()
    # like neighbours in one place are only seen to move together, and those two only outwards
    assert summary.n_nulls.tolist()[0] == 3
    for k in range(3):
        assert np.all(np.isfinite(spectra.row(k)))


def test_jacobians_that_are_not_finite_give_rows_that_are_not_numbers(several):
    class Broken(RadialSpectrum):
        def jacobian(self, environments):
            return (
                super().jacobian(environments)
                * np.where(environments.vectors > 3, np.nan, 1)[:, :, None]
            )

    spectra = environment_spectra(Broken(cutoff=4.0, n_max=3, species="none"), several)
    broken = [np.any(row(several, k)[0] > 3) for k in range(len(several))]
    assert any(broken)
    assert not all(broken)
    assert [len(spectra.row(k)) > 0 and np.isnan(spectra.row(k)).all() for k in range(8)] == broken
    assert np.isnan(spectra.summary().ratio[np.array(broken)]).all()


def test_summaries_name_the_ends_the_gap_and_the_nulls():
    rows = [[8.0, 4.0, 0.5, 1e-12], [3.0], [], [0.0, 0.0], [5.0, 4.0, 3.0], [1.0, 1e-17, 0.0]]
    offsets = np.cumsum([0, *map(len, rows)])
    found = Spectra(offsets, np.concatenate(rows), np.zeros(6, np.int32)).summary(1e-9)
    np.testing.assert_array_equal(found.s_min, [1e-12, 3, np.nan, 0, 3, 0])
    np.testing.assert_array_equal(found.s_max, [8, 3, np.nan, 0, 5, 1])
    np.testing.assert_allclose(found.ratio, [1.25e-13, 1, np.nan, np.nan, 0.6, 0])
    np.testing.assert_allclose(found.gap, [5e11, np.nan, np.nan, np.nan, 4 / 3, 2.0**52])
    assert found.gap_position.tolist() == [3, 0, 0, 0, 2, 1]
    assert found.n_nulls.tolist() == [1, 0, 0, 2, 0, 2]


def made_for(kind, vectors, numbers, **sizes):
    radius = 1.6 * float(np.max(np.linalg.norm(vectors, axis=1)))
    elements = tuple(SYMBOLS[z] for z in sorted(set(numbers)))
    return kind(cutoff=radius, elements=elements, **POINTS, **sizes)


def test_known_environments_have_their_nulls(oracle):
    loaded = oracle("environments") + oracle("environments_exact_rational")
    assert len(loaded) >= 34
    for environment in loaded:
        exact = environment.get("neighbour_positions_rational")
        vectors = np.array(environment["neighbour_positions"])
        if exact:
            vectors = np.array([[float(Fraction(x)) for x in place] for place in exact])
        numbers = environment["neighbour_numbers"]
        expected = environment["expected_nontrivial_nulls_complete_basis"]
        for kind, name, sizes in (
            (RadialSpectrum, "nu1", {"n_max": 8}),
            (PowerSpectrum, "nu2", {"n_max": 6, "l_max": 12}),
            (Bispectrum, "nu3_O3", {"n_max": 3, "l_max": 4}),
        ):
            if kind is Bispectrum and not exact:
                continue
            descriptor = made_for(kind, vectors, numbers, **sizes)
            spectra = environment_spectra(descriptor, batch([(vectors, numbers)]))
            assert spectra.summary().n_nulls[0] == expected[name], (environment["name"], name)
            assert spectra.n_motions[0] == environment.get("n_rotations", 3)


def test_truncated_bases_are_as_singular_as_stated(oracle):
    for environment in oracle("truncation"):
        vectors, basis = np.array(environment["neighbour_positions"]), environment["basis"]
        one = batch([(vectors, environment["neighbour_numbers"])])
        for (n_max, l_max), ratio in (
            ((basis["n_max"], basis["l_max"]), environment["smin_over_smax"]),
            ((6, 9), environment["smin_over_smax_at_n6_l9"]),
        ):
            descriptor = PowerSpectrum(
                cutoff=basis["rc"], elements=("H",), n_max=n_max, l_max=l_max, **POINTS
            )
            found = environment_spectra(descriptor, one).summary().ratio[0]
            assert abs(found - ratio) < 1e-13 + 1e-9 * ratio


def test_known_molecules_have_their_nulls_and_the_smallest_of_the_others(oracle):
    molecules = oracle("molecules_global")
    assert len(molecules) >= 20
    for known in molecules:
        atoms = Atoms(known["numbers"], known["positions"])
        radius = 1.25 * float(np.max(atoms.get_all_distances()))
        elements = tuple(SYMBOLS[z] for z in sorted(set(known["numbers"])))
        descriptor = PowerSpectrum(cutoff=radius, elements=elements, n_max=5, l_max=8, **POINTS)
        for name in ("sum", "stack"):
            found = screen_structures(descriptor, batch_of([atoms]), name)
            values = found.spectra.row(0)
            expected = int(known["expected_null"][f"{name}_O3"])
            assert found.summary.n_nulls[0] == found.symmetry_nulls[0] == expected, known["name"]
            smallest = values[len(values) - expected - 1] / values[0]
            assert abs(smallest - known["computed_finite_nu2"][f"gap_{name}"][0]) < 1e-11
