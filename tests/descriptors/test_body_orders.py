"""What each body order can and cannot tell apart, at environments with known answers."""

from __future__ import annotations

import gzip

import numpy as np
from reference.batches import batch
from reference.sensitivity import nulls
from reference.spectra import is_odd, power_spectrum

from distdesc.descriptors.bispectrum import Bispectrum
from distdesc.descriptors.trispectrum import Trispectrum
from distdesc.elements import SYMBOLS


def points(kind, vectors, elements=("H",), **fields):
    """Spectrum of points in a ball 1.6 times as large as the environment, without smoothing."""
    radius = 1.6 * float(np.max(np.linalg.norm(vectors, axis=-1)))
    plain = {"radial": "laplacian", "sigma": 0.0, "cutoff_function": "none", "smoothing": 0.0}
    return kind(cutoff=radius, elements=elements, **plain, **fields)


def fingerprints(kind, plus, minus, **fields):
    """Even and odd features of two environments of hydrogen."""
    descriptor = points(kind, plus, **fields)
    numbers = [1] * len(plus)
    values = descriptor.compute(batch([(plus, numbers), (minus, numbers)]))
    odd = is_odd(descriptor)
    return values[:, ~odd], values[:, odd]


def distance(values):
    """Relative difference of two fingerprints."""
    return np.linalg.norm(values[0] - values[1]) / np.linalg.norm(values[0])


def power_spectra(plus, minus, **fields):
    """Power spectra of two environments of hydrogen."""
    descriptor, numbers = points(Bispectrum, plus, **fields), [1] * len(plus)
    tables = descriptor.coefficients(batch([(plus, numbers), (minus, numbers)]))
    return np.array([power_spectrum(table) for table in tables])


def ring(angles, height):
    """Neighbours on a circle about the z axis."""
    angles = np.radians(angles)
    return np.stack([np.cos(angles), np.sin(angles), np.full(len(angles), height)], axis=1)


def two_triangles(angles, turn, top):
    """A triangle, the same below it and turned, and one neighbour on the axis."""
    above, below = ring(angles, 0.4), ring(np.add(angles, turn), -0.4)
    return np.vstack([above, below, [[0, 0, top]]])


def null_counts(kind, vectors, numbers, elements=("H",), **fields):
    """Motions not seen by the features without pseudoscalars, and with them."""
    descriptor = points(kind, vectors, elements, parity_odd=True, **fields)
    jacobian = descriptor.jacobian(batch([(vectors, numbers)]))
    even, clear_even, zero_even = nulls(vectors, jacobian[:, :, ~is_odd(descriptor)])
    both, clear_both, zero_both = nulls(vectors, jacobian)
    assert min(clear_even, clear_both) > 1e-5
    assert max(zero_even, zero_both) < 1e-13
    return even, both


def test_bispectrum_tells_apart_what_the_power_spectrum_cannot():
    a, b, c = [0.7, 0, 0.85], np.array([1.05, 0.6, 0.45]), [0, 0.95, 0.8]
    plus = np.array([a, b, b * [-1, -1, 1], c])
    minus = plus * 1.0
    minus[3, 1] *= -1
    assert distance(power_spectra(plus, minus, n_max=6, l_max=6)) < 1e-14
    even, odd = fingerprints(Bispectrum, plus, minus, n_max=6, l_max=4, parity_odd=True)
    assert distance(even) > 0.3
    assert distance(odd) > 1.0


def test_trispectrum_tells_apart_what_the_bispectrum_cannot():
    plus = two_triangles([0, 100, 210], 40, 0.8)
    minus = two_triangles([0, 100, 210], 40, -0.8)
    even, odd = fingerprints(Bispectrum, plus, minus, parity_odd=True)
    assert distance(even) < 1e-14
    assert distance(odd) < 1e-13
    even, odd = fingerprints(Trispectrum, plus, minus, parity_odd=True)
    assert distance(even) > 1e-3
    assert distance(odd) > 0.1


def test_only_odd_features_of_degree_four_see_the_hand_of_a_flat_triangle_with_a_cap():
    flat = ring([0, 100, 210], 0.0)
    plus, minus = np.vstack([flat, [[0, 0, 0.8]]]), np.vstack([flat, [[0, 0, -0.8]]])
    even, odd = fingerprints(Bispectrum, plus, minus, parity_odd=True)
    assert distance(even) < 1e-14
    assert np.max(np.abs(odd)) < 1e-13 * np.max(np.abs(even))
    even, odd = fingerprints(Trispectrum, plus, minus, parity_odd=True)
    assert distance(even) < 1e-14
    assert np.linalg.norm(odd[0]) > 1e-3 * np.linalg.norm(even[0])
    assert np.allclose(odd[0], -odd[1], rtol=0, atol=1e-13 * np.max(np.abs(odd)))


def test_bispectrum_is_singular_where_its_degenerate_pairs_merge():
    # with an isosceles triangle; no symmetry is left
    vectors = two_triangles([0, 100, 200], 40, 0.8)
    assert null_counts(Bispectrum, vectors, [1] * 7, n_max=4, l_max=4) == (1, 1)
    assert null_counts(Trispectrum, vectors, [1] * 7) == (0, 0)


def test_a_flat_environment_needs_pseudoscalars():
    # motions out of the plane change no even feature to first order: four less two rotations
    angles, radii = np.radians([0, 70, 150, 260]), np.array([[0.9], [1.0], [1.1], [1.25]])
    vectors = radii * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    assert null_counts(Bispectrum, vectors, [1] * 4) == (2, 0)
    assert null_counts(Trispectrum, vectors, [1] * 4) == (2, 0)


def test_stated_distances_of_degenerate_pairs_come_out(oracle):
    pairs = oracle("degenerate_pairs")
    assert len(pairs) >= 5
    for pair in pairs:
        plus, minus = np.array(pair["positions_plus"]), np.array(pair["positions_minus"])
        assert set(pair["neighbour_numbers"]) == {1}
        descriptor = points(Bispectrum, plus, n_max=6, l_max=4, parity_odd=True)
        numbers = [1] * len(plus)
        values = descriptor.compute(batch([(plus, numbers), (minus, numbers)]))
        # stated for the products of l1 <= l2 <= l3 and all q; ours are those of all sequences
        momenta = [name.split(" l")[1].split(",") for name in descriptor.feature_names()]
        values /= np.sqrt([{1: 1, 2: 3, 3: 6}[len(set(ls))] for ls in momenta])
        odd = is_odd(descriptor)
        stated = pair["relative_feature_distance_finite_basis"]
        assert abs(distance(values[:, ~odd]) - stated["nu3_even"]) < 1e-12
        if np.linalg.norm(values[:, odd]) > 1e-9 and np.linalg.norm(values[0, odd]) > 1e-9:
            assert abs(distance(values[:, odd]) - stated["nu3_odd"]) < 1e-12


def test_stated_null_motions_of_environments_come_out(oracle):
    environments = oracle("environments")
    assert len(environments) >= 22
    for environment in environments:
        vectors = np.array(environment["neighbour_positions"])
        numbers = environment["neighbour_numbers"]
        elements = tuple(SYMBOLS[z] for z in sorted(set(numbers)))
        expected = environment["expected_nontrivial_nulls_complete_basis"]
        equal_radii = np.ptp(np.linalg.norm(vectors, axis=1)) < 1e-9 and len(vectors) == 7
        # neighbours at one distance differ by their angles only, and need a larger l_max
        three = {"n_max": 2, "l_max": 7} if equal_radii else {}
        four = {"n_max": 1, "l_max": 6} if equal_radii else {}
        found = [
            *null_counts(Bispectrum, vectors, numbers, elements, **three),
            *null_counts(Trispectrum, vectors, numbers, elements, **four),
        ]
        wanted = [expected[key] for key in ("nu3_O3", "nu3_SO3", "nu4_O3", "nu4_SO3")]
        assert found == wanted, environment["name"]


def read_environments(folder, name):
    """Environments of the first atoms of the structures of a file, all elements the same."""
    # Not by ASE, which takes seconds for thousands of them.
    lines = gzip.decompress((folder / "degenerate" / name).read_bytes()).decode().splitlines()
    found, start = [], 0
    while start < len(lines):
        frame = lines[start + 2 : start + 2 + int(lines[start])]
        start += 2 + len(frame)
        positions = np.array([line.split()[1:4] for line in frame], dtype=float)
        found.append((positions[1:] - positions[0], np.ones(len(frame) - 1)))
    return found


def test_published_boron_clusters_that_share_the_bispectrum_have_different_trispectra(shared_data):
    environments = read_environments(shared_data, "boron8_pairs_1300.xyz.gz")
    for kind, low, high in [(Bispectrum, 0.0, 1e-8), (Trispectrum, 1e-8, 0.1)]:
        values = kind(cutoff=5.0, species="none", parity_odd=True).compute(batch(environments))
        apart = np.linalg.norm(values[::2] - values[1::2], axis=1)
        apart /= np.linalg.norm(values[::2], axis=1)  # coordinates have eight decimals
        assert np.all((apart > low) & (apart < high))


def test_published_triplet_that_shares_the_power_spectrum_has_different_bispectra(shared_data):
    environments = read_environments(shared_data, "powerspectrum_triplet.xyz.gz")
    descriptor = Bispectrum(cutoff=5.0, species="none")
    spectra = [power_spectrum(t) for t in descriptor.coefficients(batch(environments))]
    values = descriptor.compute(batch(environments))
    for a, b in [(0, 1), (0, 2), (1, 2)]:
        assert distance([spectra[a], spectra[b]]) < 1e-8
        assert distance([values[a], values[b]]) > 0.01
