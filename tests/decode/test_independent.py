"""Independent invariants, one for each degree of freedom, back to moments and to atoms."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule

from distdesc.decode.decoder import Decoder, Verdict
from distdesc.decode.fingerprints import of_descriptor
from distdesc.decode.independent_march import independent_march
from distdesc.decode.independent_symmetry import NO_SYMMETRY, fixed_moments, generators
from distdesc.decode.independent_tensors import values
from distdesc.decode.match import match
from distdesc.decode.roads import Roads
from distdesc.descriptors.density import moments, tensors
from distdesc.descriptors.invariants import contraction_table
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.descriptors.sample_densities import closure
from distdesc.descriptors.selection import full_set

ELEMENTS = ("H", "C", "N", "O", "F")
PAPER = {"elements": ELEMENTS, "weights": (1.1, 1.3, 1.5, 1.7, 1.9)}


def ball(order=7, cutoff=5.0, **options):
    return MomentInvariants(order=order, cutoff=cutoff, smoothing=0.0, **(PAPER | options))


def fingerprint_of(descriptor, positions, numbers):
    weights = descriptor.weight_table()[numbers]
    return of_descriptor(descriptor).of_points(positions / descriptor.cutoff, weights)


def random_atoms(n, seed, radius=4.2, apart=1.0):
    rng = np.random.default_rng(seed)
    places = []
    while len(places) < n:
        place = rng.uniform(-radius, radius, 3)
        near = any(np.linalg.norm(place - other) < apart for other in places)
        if np.linalg.norm(place) < radius and not near:
            places.append(place)
    return np.array(places), rng.choice([1, 6, 7, 8], n)


def full_invariants(of_moments, order=7):
    table = contraction_table(full_set(order, 1, False), tuple(tensors(order)), 1)
    return values(of_moments, table)


def solutions(positions, numbers, group=NO_SYMMETRY):
    """Moments that a march finds, and how far all invariants of each are from the true ones."""
    descriptor = ball()
    fingerprint = fingerprint_of(descriptor, positions, numbers)
    exact = group == NO_SYMMETRY
    found = independent_march(7).solve(
        fingerprint, group, 1e-13 if exact else 1e-8, 1e-10 if exact else 1e-6
    )
    true = full_invariants(moments(positions / 5.0, descriptor.weight_table()[numbers], 7))
    off = [np.max(np.abs(full_invariants(m) - true)) / np.max(np.abs(true)) for m in found]
    return found, np.array(off)


def decoded(descriptor, positions, numbers, reflections=True, **options):
    fingerprint = fingerprint_of(descriptor, positions, numbers)
    found = Decoder(descriptor, **options).decode(fingerprint)
    return found, match(found.positions, found.numbers, positions, numbers, reflections)


@pytest.mark.parametrize("seed", range(4))
def test_all_moments_follow_from_as_many_invariants_less_three(seed):
    _, off = solutions(*random_atoms(16, seed))
    assert np.min(off) < 1e-7


@pytest.mark.parametrize("seed", range(6))
def test_moments_of_no_atoms_may_fit_and_are_not_taken_for_some(seed):
    positions, numbers = random_atoms(12, seed)
    found, off = solutions(positions, numbers)
    roads = Roads(ball(), 1e-8, 0.0)
    fingerprint = fingerprint_of(ball(), positions, numbers)
    for other, distance in zip(found, off, strict=True):
        of_others = of_descriptor(ball()).of_moments(other)
        assert np.max(np.abs(of_others - fingerprint)) < 1e-6 * np.max(np.abs(fingerprint))
        if distance > 1e-2:
            assert roads.from_moments(other, 7, fingerprint).residual > 1e-6


@pytest.mark.parametrize("group", [g for g in generators() if g not in (NO_SYMMETRY, "Oh")])
def test_moments_of_a_symmetric_density_are_among_those_that_its_group_leaves(group):
    rng = np.random.default_rng(1)
    operations = closure(generators()[group])
    orbit = (rng.uniform(-0.5, 0.5, (3, 3)) @ operations).reshape(-1, 3)
    weights = np.tile([1.0, 1.3, 1.7], len(operations))
    own = moments(orbit, weights, 7)
    for _, l, offset in tensors(7):
        basis, part = fixed_moments(group, 7)[l], own[offset : offset + 2 * l + 1]
        np.testing.assert_allclose(basis @ (basis.T @ part), part, atol=1e-10 * len(orbit))
        np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-12)


@pytest.mark.parametrize(
    ("group", "dimensions"),
    [
        ("Cs", [1, 2, 3, 4, 5, 6, 7, 8]),
        ("C3v", [1, 1, 1, 2, 2, 2, 3, 3]),
        ("D2h", [1, 0, 2, 0, 3, 0, 4, 0]),
        ("Td", [1, 0, 0, 1, 1, 0, 1, 1]),
        ("Oh", [1, 0, 0, 0, 1, 0, 1, 0]),
    ],
)
def test_a_group_leaves_as_many_moments_as_character_tables_say(group, dimensions):
    assert [basis.shape[1] for basis in fixed_moments(group, 7)] == dimensions


@pytest.mark.parametrize(("n", "seed"), [(3, 0), (9, 1), (20, 2), (22, 1), (24, 7)])
def test_atoms_come_back_with_their_elements_few_and_more_than_linear_algebra_holds(n, seed):
    positions, numbers = random_atoms(n, seed)
    found, off = decoded(ball(), positions, numbers)
    assert found.verdict is Verdict.EXACT
    assert off.max_error < 1e-4
    assert off.species_ok


@pytest.mark.parametrize(
    "name", ["H2O", "NH3", "CH4", "CO2", "C2H2", "C2H4", "C2H6", "CH3CN", "trans-butane"]
)
def test_symmetric_molecules_come_back_about_the_middle_of_their_ball(name):
    atoms = molecule(name)
    positions = atoms.positions - (atoms.positions.max(axis=0) + atoms.positions.min(axis=0)) / 2
    found, off = decoded(ball(), positions, atoms.numbers)
    assert found.verdict is Verdict.EXACT
    assert off.max_error < 1e-2
    assert off.species_ok


@pytest.mark.parametrize(
    ("name", "group"), [("C6H6", "D6h"), ("C2H4", "D2h"), ("NH3", "C3v"), ("CH4", "Td")]
)
def test_moments_of_a_symmetric_molecule_follow_where_its_group_is_supposed(name, group):
    atoms = molecule(name)
    positions = atoms.positions - atoms.positions.mean(axis=0)
    _, off = solutions(positions, atoms.numbers, group)
    assert np.min(off) < 1e-7


def test_a_molecule_that_is_only_nearly_symmetric_comes_back():
    atoms = molecule("C2H6")
    positions = atoms.positions - atoms.positions.mean(axis=0) + [0.0, 0.0, 0.1]
    positions = positions + np.random.default_rng(0).normal(size=positions.shape) * 3e-4
    found, off = decoded(ball(), positions, atoms.numbers)
    assert found.residual < 1e-8
    assert off.max_error < 1e-2


@pytest.mark.parametrize(("order", "n"), [(5, 8), (6, 9), (9, 25)])
def test_any_order_from_five_on_is_marched_along(order, n):
    positions, numbers = random_atoms(n, order)
    found, off = decoded(ball(order), positions, numbers)
    assert found.verdict is Verdict.EXACT
    assert off.max_error < 1e-3
    assert off.species_ok


def test_pseudoscalars_among_them_tell_the_handedness():
    positions, numbers = random_atoms(9, 4)
    for image in (positions, -positions):
        found, off = decoded(ball(parity_odd=True), image, numbers, reflections=False)
        assert found.verdict is Verdict.EXACT
        assert off.max_error < 1e-4


def test_environments_with_a_smooth_cutoff_come_back():
    positions, numbers = random_atoms(9, 5, radius=4.8)
    descriptor = MomentInvariants(order=7, cutoff=5.0, smoothing=0.5, **PAPER)
    found, off = decoded(descriptor, positions, numbers)
    assert found.verdict is Verdict.EXACT
    assert off.max_error < 1e-4


def test_the_frame_does_not_matter_and_the_answer_is_always_the_same():
    positions, numbers = random_atoms(14, 6)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    fingerprint = fingerprint_of(ball(), positions, numbers)
    one, two = (Decoder(ball()).decode(fingerprint) for _ in range(2))
    np.testing.assert_array_equal(one.positions, two.positions)
    turned, off = decoded(ball(), positions @ turn, numbers)
    assert turned.verdict is Verdict.EXACT
    assert off.max_error < 1e-4


@pytest.mark.parametrize("seed", range(2))
def test_what_is_no_fingerprint_of_atoms_is_not_called_exact(seed):
    descriptor = ball()
    rng = np.random.default_rng(seed)
    of_none = rng.normal(size=(1, descriptor.n_moments))
    of_none[0, 0] = 3.0
    found = Decoder(descriptor, starts=2).decode(descriptor.invariants_of(of_none)[0])
    assert found.verdict in (Verdict.FAILED, Verdict.APPROXIMATE)
    assert found.reason
