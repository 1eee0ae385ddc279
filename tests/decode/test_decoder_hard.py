"""Environments that nearly have a symmetry, atoms on a line, and what fits more than once."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule
from reference.structures import random_atoms

from distdesc.decode._collinear_kernels import fit_lines
from distdesc.decode.damped import refine
from distdesc.decode.decoder import Decoder, Verdict
from distdesc.decode.fingerprints import of_descriptor
from distdesc.decode.marching import Effort, march
from distdesc.decode.match import match
from distdesc.decode.moment_problem import MomentMatrix, capacity
from distdesc.descriptors.density import moments
from distdesc.descriptors.moment_invariants import MomentInvariants

ELEMENTS = ("H", "C", "N", "O", "F")


def fingerprint_of(positions, numbers, order=9, cutoff=None):
    """Descriptor with a ball about the origin, fitted unless given, and the fingerprint in it."""
    radius = cutoff or 1.02 * np.linalg.norm(positions, axis=1).max()
    descriptor = MomentInvariants(
        cutoff=radius, order=order, invariants="full", elements=ELEMENTS, smoothing=0.0
    )
    weights = descriptor.weight_table()[numbers]
    return descriptor, of_descriptor(descriptor).of_points(positions / radius, weights)


def decoded(positions, numbers, order=9, cutoff=None):
    descriptor, fingerprint = fingerprint_of(positions, numbers, order, cutoff)
    found = Decoder(descriptor).decode(fingerprint)
    return found, match(found.positions, found.numbers, positions, np.asarray(numbers))


def on_line(x):
    """Places on a line, from their mean."""
    x = np.asarray(x)
    return np.stack([0 * x, 0 * x, x - x.mean()], axis=1)


@pytest.mark.parametrize("off", [1e-2, 1e-4, 1e-5])
@pytest.mark.parametrize("turn", [(-1, -1, 1), (1, -1, 1), (-1, -1, -1)])
def test_what_nearly_has_a_symmetry_comes_back_with_what_breaks_it(off, turn):
    rng = np.random.default_rng(8)
    half = rng.uniform(0.4, 2.6, (7, 3)) * rng.choice([-1, 1], (7, 3))
    positions = np.concatenate([half, half * turn]) + off * rng.normal(size=(14, 3))
    numbers = np.tile(rng.choice([1, 6, 7, 8], 7), 2)
    found, errors = decoded(positions, numbers)
    assert found.verdict is Verdict.EXACT
    assert found.road == "algebra"
    assert errors.max_error < 0.1 * off
    assert errors.species_ok


@pytest.mark.parametrize("cutoff", [None, 5.0])
def test_methane_with_nearly_empty_low_levels_comes_back(cutoff):
    atoms = molecule("CH4")
    positions = atoms.positions + 3e-5 * np.random.default_rng(1).normal(size=(5, 3))
    found, errors = decoded(positions, atoms.numbers, cutoff=cutoff)
    assert found.verdict is Verdict.EXACT
    assert errors.max_error < 1e-3
    assert errors.species_ok


@pytest.mark.parametrize(
    ("x", "numbers"),
    [
        ([-3.3, -2.2, -0.8, 0.5, 1.9, 3.0], [1, 6, 6, 7, 6, 1]),
        ([-3.7, -2.6, -1.4, 0.0, 1.2, 2.6, 3.7], [1, 6, 6, 6, 6, 6, 7]),
    ],
)
def test_more_atoms_on_a_line_than_moments_can_hold_are_found_by_their_elements(x, numbers):
    positions = on_line(x)
    descriptor, _ = fingerprint_of(positions, numbers)
    weights = descriptor.weight_table()[numbers]
    own = moments(positions / descriptor.cutoff, weights, 9)
    assert MomentMatrix(own, 9).ranks()[0] == 5 < len(x)
    found, errors = decoded(positions, numbers)
    assert found.verdict is Verdict.EXACT
    assert errors.max_error < 1e-3
    assert errors.species_ok


def test_a_line_of_atoms_on_a_larger_molecule_is_found_by_its_elements():
    positions = np.concatenate(
        [
            on_line([-4.4, -3.1, -1.8, -0.5, 0.8, 2.1, 3.3]) + np.array([0.0, 0.0, 0.6]),
            [[0.0, 1.02, -4.25], [0.88, -0.5, -4.26], [-0.89, -0.52, -4.24]],
        ]
    )  # propeller of hydrogen at one end, slightly irregular
    numbers = [6, 6, 6, 6, 6, 6, 1, 1, 1, 1]
    found, errors = decoded(positions, numbers)
    assert found.verdict is Verdict.EXACT
    assert errors.max_error < 1e-2
    assert errors.species_ok


def test_lines_of_atoms_that_have_the_same_fingerprint_are_all_reported():
    # moments of order 5 along a line are five numbers beside the weight, for five places
    positions, numbers = on_line([-3.3, -2.2, -0.8, 0.5, 1.9]), np.array([1, 6, 6, 7, 8])
    descriptor, fingerprint = fingerprint_of(positions, numbers, order=5, cutoff=5.0)
    found = Decoder(descriptor).decode(fingerprint)
    assert found.verdict is Verdict.AMBIGUOUS
    assert "other structures" in found.reason
    every = [found, *found.others]
    fits = [match(f.positions, f.numbers, positions, numbers) for f in every]
    assert sum(fit.max_error < 1e-3 and fit.species_ok for fit in fits) == 1
    own, table = of_descriptor(descriptor), descriptor.weight_table()
    for k, one in enumerate(every):
        assert own.residual(fingerprint, one.positions / 5.0, table[one.numbers]) < 1e-9
        for other in every[:k]:
            apart = match(one.positions, one.numbers, other.positions, other.numbers)
            assert apart.max_error > 1e-2 or not apart.species_ok


@pytest.mark.parametrize("seed", [10, 11])
def test_more_atoms_than_the_order_can_hold_are_not_mistaken_for_fewer(seed):
    positions, numbers = random_atoms(12, seed)
    assert capacity(5) == 10
    found, errors = decoded(positions, numbers, order=5, cutoff=4.2)
    assert found.verdict is Verdict.EXACT
    assert errors.max_error < 1e-2
    assert errors.species_ok


def test_more_places_than_there_are_moments_are_never_called_exact():
    positions, numbers = random_atoms(24, 3)
    found, _ = decoded(positions, numbers, order=5, cutoff=4.2)
    assert found.verdict in (Verdict.APPROXIMATE, Verdict.FAILED)
    assert found.reason


def test_a_march_gives_up_when_its_effort_is_spent():
    positions, numbers = random_atoms(9, 2)
    _, fingerprint = fingerprint_of(positions, numbers, order=5, cutoff=4.2)
    rng = np.random.default_rng(0)
    wrong = fingerprint * (1 + 1e-3 * rng.normal(size=len(fingerprint)))
    effort = Effort(limit=0.0)
    assert march(5, False, 5).solve(wrong, 0, 0.0, rng, effort) is None
    once = effort.spent
    assert once > 0
    assert march(5, False, 5).solve(wrong, 0, 0.0, rng, effort) is None
    assert effort.spent < 2.5 * once


def test_weak_directions_are_refined_that_normal_equations_lose():
    rng = np.random.default_rng(5)
    turned = np.linalg.qr(rng.normal(size=(12, 4)))[0]
    strength = np.array([1.0, 1e-3, 1e-6, 1e-9])
    mixed = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    truth = rng.normal(size=4)

    def residuals(x):
        y = mixed @ (x - truth)
        return turned @ (strength * (y + 0.1 * y**3))

    def slopes(x):
        y = mixed @ (x - truth)
        return turned @ ((strength * (1 + 0.3 * y**2))[:, None] * mixed)

    end = refine(residuals, slopes, truth + 0.1 * rng.normal(size=4), 0.0, 60)
    assert end.cost < 1e-30
    assert end.steps <= 60
    np.testing.assert_allclose(end.x, truth, atol=1e-5)


def test_a_row_is_fitted_to_its_moments_for_the_word_that_is_its_own():
    table = np.array([0.0, 1.1, 1.3, 1.5])
    words = np.array([[1, 2, 2, 3], [1, 2, 3, 2], [2, 1, 2, 3]], dtype=np.int32)
    places = np.array([-0.8, -0.35, 0.2, 0.75])
    chebyshev = np.polynomial.chebyshev.chebvander(places, 7).T
    target = chebyshev @ table[words[0]]
    found, costs = np.empty(words.shape), np.empty(3)
    knots, shares = np.array([-1.0, 1.0]), np.array([0.0, 5.2])
    fit_lines(words, table, target, knots, shares, 60, found, costs)
    assert costs[0] < 1e-20
    np.testing.assert_allclose(found[0], places, atol=1e-8)
    assert np.all(costs[1:] > 1e-6)


@pytest.mark.parametrize("name", ["CH3CN", "C3H4_C3v", "CCl4"])
def test_levels_that_a_symmetry_leaves_open_are_solved_together(name):
    atoms = molecule(name)
    positions = atoms.positions - atoms.positions.mean(axis=0)
    radius = 1.02 * np.linalg.norm(positions, axis=1).max()
    descriptor = MomentInvariants(
        cutoff=radius, order=7, invariants="full", elements=("H", "C", "N", "Cl"), smoothing=0.0
    )
    weights = descriptor.weight_table()[atoms.numbers]
    fingerprint = of_descriptor(descriptor).of_points(positions / radius, weights)
    found = Decoder(descriptor).decode(fingerprint)
    errors = match(found.positions, found.numbers, positions, atoms.numbers)
    assert found.verdict is Verdict.EXACT
    assert errors.max_error < 1e-3
    assert errors.species_ok
