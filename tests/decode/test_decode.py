"""Fingerprints back to atoms: what comes back, and what is said when it does not."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule
from ase.io import read
from reference.structures import random_atoms

from distdesc.decode.decoder import Decoder, Verdict
from distdesc.decode.fingerprints import PointFingerprints, of_descriptor
from distdesc.decode.match import match
from distdesc.decode.moment_problem import MomentMatrix, capacity
from distdesc.descriptors.density import moments, zernike_functions
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.errors import CampaignError, StructureError

ELEMENTS = ("H", "C", "N", "O", "F")


def whole(atoms, order=9, invariants="full", **options):
    """Descriptor with a ball about a molecule, positions from the centroid, fingerprint."""
    positions = atoms.positions - atoms.positions.mean(axis=0)
    radius = 1.02 * np.linalg.norm(positions, axis=1).max()
    options = {"elements": ELEMENTS, "smoothing": 0.0, "cutoff": radius, **options}
    descriptor = MomentInvariants(order=order, invariants=invariants, **options)
    return descriptor, positions, of_atoms(descriptor, positions, atoms.numbers)


def of_atoms(descriptor, positions, numbers):
    points = of_descriptor(descriptor)
    weights = descriptor.weight_table()[numbers]
    return points.of_points(positions / descriptor.cutoff, weights)


def errors(found, positions, numbers, reflections=True):
    return match(found.positions, found.numbers, positions, numbers, reflections)


@pytest.mark.parametrize("k", range(0, 60, 6))
def test_molecules_of_all_sizes_come_back_with_their_elements(molecules, k):
    atoms = read(molecules, index=k)
    descriptor, positions, fingerprint = whole(atoms)
    found = Decoder(descriptor).decode(fingerprint)
    off = errors(found, positions, atoms.numbers)
    assert found.verdict is Verdict.EXACT
    assert found.residual < 1e-8
    assert off.max_error < 1e-3
    assert off.species_ok


@pytest.mark.parametrize("name", ["H2O", "NH3", "CH4", "CO2", "C2H4", "C2H6", "CH3CN", "C6H6"])
def test_symmetric_molecules_come_back_too(name):
    atoms = molecule(name)
    descriptor, positions, fingerprint = whole(atoms)
    found = Decoder(descriptor).decode(fingerprint)
    off = errors(found, positions, atoms.numbers)
    assert found.verdict is Verdict.EXACT
    assert off.max_error < 1e-2
    assert off.species_ok


@pytest.mark.parametrize("order", [5, 6, 7, 8, 11])
def test_any_order_decodes_what_it_can_hold(order):
    n = min(capacity(order) - 1, 12)
    positions, numbers = random_atoms(n, order)
    descriptor = MomentInvariants(
        cutoff=4.2, order=order, invariants="full", elements=ELEMENTS, smoothing=0.0
    )
    found = Decoder(descriptor).decode(of_atoms(descriptor, positions, numbers))
    off = errors(found, positions, numbers)
    assert found.verdict is Verdict.EXACT
    assert off.max_error < 1e-3
    assert off.species_ok


@pytest.mark.parametrize("seed", range(3))
def test_pseudoscalars_tell_the_handedness(seed):
    positions, numbers = random_atoms(8, seed)
    descriptor = MomentInvariants(
        cutoff=4.2, order=7, invariants="full", parity_odd=True, elements=ELEMENTS, smoothing=0.0
    )
    found = Decoder(descriptor).decode(of_atoms(descriptor, positions, numbers))
    assert found.verdict is Verdict.EXACT
    assert errors(found, positions, numbers, reflections=False).max_error < 1e-3


@pytest.mark.parametrize("name", ["H2O", "CH3OH"])
def test_the_independent_set_is_decoded_too(name):
    atoms = molecule(name)
    descriptor, positions, fingerprint = whole(atoms, order=7, invariants="independent")
    found = Decoder(descriptor).decode(fingerprint)
    off = errors(found, positions, atoms.numbers)
    assert found.verdict is Verdict.EXACT
    assert off.max_error < 1e-2
    assert off.species_ok


@pytest.mark.parametrize("centre", [False, True])
def test_environments_with_a_smooth_cutoff_come_back(centre):
    positions, numbers = random_atoms(9, 4, radius=4.9)
    if centre:
        nearest = np.argmin(np.linalg.norm(positions, axis=1))
        positions[nearest], numbers[nearest] = 0.0, 7
    assert np.linalg.norm(positions, axis=1).max() > 4.4
    descriptor = MomentInvariants(
        cutoff=5.0, order=9, invariants="full", elements=ELEMENTS, include_centre=centre
    )
    found = Decoder(descriptor).decode(of_atoms(descriptor, positions, numbers))
    off = errors(found, positions, numbers)
    assert found.verdict is Verdict.EXACT
    assert off.max_error < 1e-3
    assert off.species_ok


@pytest.mark.parametrize("noise", [1e-10, 6e-8, 1e-6])
def test_noise_moves_atoms_a_little_and_the_residual_says_so(noise):
    positions, numbers = random_atoms(9, 5)
    descriptor = MomentInvariants(
        cutoff=4.2, order=9, invariants="full", elements=ELEMENTS, smoothing=0.0
    )
    fingerprint = of_atoms(descriptor, positions, numbers)
    rng = np.random.default_rng(0)
    noisy = fingerprint * (1 + noise * rng.normal(size=len(fingerprint)))
    found = Decoder(descriptor, noise=noise).decode(noisy)
    off = errors(found, positions, numbers)
    assert found.residual < 5 * noise
    assert found.verdict is (Verdict.EXACT if found.residual <= 1e-8 else Verdict.APPROXIMATE)
    assert off.max_error < 3e4 * noise
    assert off.species_ok


def test_single_precision_is_noticed_unasked():
    atoms = molecule("CH3CH2OH")
    descriptor, positions, fingerprint = whole(atoms)
    found = Decoder(descriptor).decode(fingerprint.astype(np.float32))
    off = errors(found, positions, atoms.numbers)
    assert found.verdict is Verdict.APPROXIMATE
    assert off.max_error < 2e-2
    assert off.species_ok


def test_positions_come_from_one_fingerprint_and_elements_from_another():
    atoms = molecule("CH3CH2OH")
    first, positions, fingerprint = whole(atoms, species="none")
    second, _, with_elements = whole(atoms, order=7, invariants="independent")
    found = Decoder(first).decode(fingerprint, second=(second, with_elements))
    off = errors(found, positions, atoms.numbers)
    assert found.verdict is Verdict.EXACT
    assert off.species_ok
    assert off.max_error < 1e-2


def test_the_same_seed_gives_the_same_structure():
    descriptor, _, fingerprint = whole(molecule("CH4"))
    one, two = (Decoder(descriptor, seed=3).decode(fingerprint) for _ in range(2))
    np.testing.assert_array_equal(one.positions, two.positions)
    assert one.road == two.road


def test_the_frame_of_the_structure_does_not_matter():
    positions, numbers = random_atoms(9, 6)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    descriptor = MomentInvariants(
        cutoff=4.2, order=9, invariants="full", elements=ELEMENTS, smoothing=0.0
    )
    found = Decoder(descriptor).decode(of_atoms(descriptor, positions @ turn, numbers))
    assert errors(found, positions, numbers).max_error < 1e-3


@pytest.mark.parametrize(
    ("fingerprint", "message"),
    [
        (np.zeros(10), "must have shape"),
        (np.zeros((1, 128)), "must have shape"),
        (np.full(10, np.nan), "must have shape"),
    ],
)
def test_what_is_no_fingerprint_is_refused(fingerprint, message):
    descriptor = MomentInvariants(order=5, invariants="full", elements=ELEMENTS)
    with pytest.raises(StructureError, match=message):
        Decoder(descriptor).decode(fingerprint)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_what_is_not_finite_is_refused(bad):
    descriptor = MomentInvariants(order=5, invariants="full", elements=ELEMENTS)
    fingerprint = np.ones(descriptor.n_features)
    fingerprint[7] = bad
    with pytest.raises(StructureError, match="feature 7"):
        Decoder(descriptor).decode(fingerprint)


FOREIGN = [
    "zero", "negative", "constant", "random", "large", "tiny", "mean of two", "scaled",
    "one feature off", "permuted",
]  # fmt: skip


@pytest.fixture(scope="module")
def foreign():
    """A descriptor, and fingerprints of no structure, near and far from those of one."""
    positions, numbers = random_atoms(6, 8)
    descriptor = MomentInvariants(
        cutoff=4.2, order=5, invariants="full", elements=ELEMENTS, smoothing=0.0
    )
    own = of_atoms(descriptor, positions, numbers)
    other = of_atoms(descriptor, *random_atoms(7, 9))
    rng = np.random.default_rng(2)
    fingerprints = [
        0 * own,
        -own,
        np.ones(len(own)),
        rng.normal(size=len(own)),
        1e20 * rng.normal(size=len(own)) ** 2,
        1e-300 * own,
        (own + other) / 2,
        1.3 * own,
        own + 0.05 * (np.arange(len(own)) == 20),
        rng.permutation(own),
    ]
    return descriptor, dict(zip(FOREIGN, fingerprints, strict=True))


@pytest.mark.parametrize("name", FOREIGN)
def test_no_structure_is_ever_called_exact_that_does_not_fit(foreign, name):
    descriptor, fingerprints = foreign
    found = Decoder(descriptor, tries=2, starts=4).decode(fingerprints[name])
    assert found.verdict in (Verdict.FAILED, Verdict.APPROXIMATE)
    assert found.reason
    if found.verdict is Verdict.FAILED:
        assert len(found.numbers) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"species": "channels", "elements": ("H", "C")}, "channels"),
        ({"order": 2}, "order"),
        ({"elements": ("H", "C"), "weights": (1.0, -1.0)}, "weights"),
    ],
)
def test_descriptors_that_cannot_be_decoded_are_refused(options, message):
    with pytest.raises(CampaignError, match=message):
        Decoder(MomentInvariants(**options))


@pytest.mark.parametrize(
    "options", [{"tolerance": -1.0}, {"noise": 0.5}, {"tries": -1}, {"seed": 1.5}, {"n_atoms": -3}]
)
def test_settings_out_of_range_are_refused(options):
    with pytest.raises(CampaignError, match=next(iter(options))):
        Decoder(MomentInvariants(order=5), **options)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_slopes_of_the_basis_are_those_of_its_functions(smoothing):
    plain = MomentInvariants(order=4, invariants="full")
    points = PointFingerprints(plain.invariant_list(), 4, smoothing)
    places = np.random.default_rng(3).uniform(-0.5, 0.5, (6, 3))
    places[0] = [0.0, 0.0, 0.3]
    functions, slopes = points.basis(places)
    expected = 3 / (4 * np.pi) * zernike_functions(places, 4)
    np.testing.assert_allclose(functions, expected * points.decay(places)[:, None], atol=1e-13)
    for axis in range(3):
        move = 1e-6 * np.eye(3)[axis]
        numeric = (points.basis(places + move)[0] - points.basis(places - move)[0]) / 2e-6
        np.testing.assert_allclose(slopes[:, axis], numeric, atol=1e-7)


def test_points_and_weights_follow_from_moments():
    rng = np.random.default_rng(4)
    points, weights = rng.uniform(-0.55, 0.55, (15, 3)), rng.uniform(1, 2, 15)
    matrix = MomentMatrix(moments(points, weights, 7), 7)
    found, masses = matrix.points(matrix.ranks()[0])
    order, own = np.argsort(found[:, 0]), np.argsort(points[:, 0])
    np.testing.assert_allclose(found[order], points[own], atol=1e-7)
    np.testing.assert_allclose(masses[order], weights[own], rtol=1e-6)


def test_points_of_two_rings_are_zeros_of_polynomials_where_the_rank_is_too_low():
    turn = 2 * np.pi * np.arange(6) / 6
    ring = np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1)
    points, weights = np.concatenate([0.45 * ring, 0.8 * ring]), np.repeat([1.4, 1.1], 6)
    own = moments(points, weights, 9)
    matrix = MomentMatrix(own, 9)
    assert matrix.ranks()[0] < 12
    found, masses = matrix.zeros(own)
    assert len(found) == 12
    np.testing.assert_allclose(np.sort(masses), np.sort(weights), rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_a_turned_mirrored_and_shuffled_copy_matches(seed):
    rng = np.random.default_rng(seed)
    positions, numbers = random_atoms(9, seed)
    turn, order = np.linalg.qr(rng.normal(size=(3, 3)))[0], rng.permutation(9)
    found = match((positions @ turn)[order], numbers[order], positions, numbers)
    assert found.max_error < 1e-9
    assert found.rms_error <= found.max_error
    assert found.species_ok


def test_a_mirror_image_matches_only_where_reflections_are_allowed():
    positions, numbers = random_atoms(9, 11)
    assert match(-positions, numbers, positions, numbers).max_error < 1e-9
    assert match(-positions, numbers, positions, numbers, reflections=False).max_error > 0.1


def test_a_wrong_element_is_seen_and_a_wrong_number_of_atoms_too():
    positions, numbers = random_atoms(9, 12)
    wrong = numbers.copy()
    wrong[2] = 9
    found = match(positions, wrong, positions, numbers)
    assert found.max_error < 1e-9
    assert not found.species_ok
    assert match(positions[1:], numbers[1:], positions, numbers).max_error == np.inf


def test_the_largest_error_is_that_of_the_atom_that_moved():
    positions, numbers = random_atoms(9, 13)
    moved = positions.copy()
    moved[4] += [0.02, 0, 0]
    found = match(moved, numbers, positions, numbers)
    assert 0.01 < found.max_error <= 0.02
    assert found.rms_error < 0.01
