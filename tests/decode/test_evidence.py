"""What a fingerprint can tell: too few numbers, or too faint ones, are never called exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from distdesc.decode.atoms import Candidate, Chemistry
from distdesc.decode.decoder import Decoder, Verdict
from distdesc.decode.evidence import Evidence
from distdesc.decode.fingerprints import of_descriptor
from distdesc.decode.match import match
from distdesc.descriptors.moment_invariants import MomentInvariants

ELEMENTS = ("H", "C", "N", "O", "F")


def flat_atoms(n, axes, rng, elements=(1, 6, 7, 8, 9)):
    """Atoms on a line, in a plane or in space, at least 1 Å apart, about their mean."""
    places = []
    while len(places) < n:
        place = np.zeros(3)
        place[:axes] = rng.uniform(-1.2, 1.2, axes) * n ** (1 / axes)
        if all(np.linalg.norm(place - other) > 1 for other in places):
            places.append(place)
    return np.array(places) - np.mean(places, axis=0), rng.choice(elements, n)


def evidence_of(positions, numbers, scale=1.1, **options):
    """Descriptor, its evidence for the true atoms in a ball so much larger than they, and these."""
    options = {"elements": ELEMENTS, "invariants": "full", "order": 7, **options}
    radius = scale * np.linalg.norm(positions, axis=1).max()
    descriptor = MomentInvariants(cutoff=radius, smoothing=0.0, **options)
    chemistry = Chemistry(descriptor)
    points, weights = positions / radius, descriptor.weight_table()[numbers]
    fingerprint = chemistry.fingerprints.of_points(points, weights)
    numbers = numbers.astype(np.int32)
    return descriptor, Evidence(chemistry, fingerprint), Candidate(points, weights, numbers, 0.0)


@pytest.mark.parametrize("invariants", ["full", "independent"])
@pytest.mark.parametrize(
    ("order", "axes", "sizes"), [(3, 1, (2, 6)), (3, 2, (4, 7)), (4, 2, (7, 9)), (5, 1, (4, 8))]
)
def test_what_too_few_numbers_tell_is_never_called_exact_and_wrong(invariants, order, axes, sizes):
    rng = np.random.default_rng(order + axes)
    for n in range(*sizes):
        positions, numbers = flat_atoms(n, axes, rng)
        descriptor, _, atoms = evidence_of(positions, numbers, order=order, invariants=invariants)
        own, weights = of_descriptor(descriptor), descriptor.weight_table()[numbers]
        found = Decoder(descriptor, tries=1, starts=3).decode(own.of_points(atoms.points, weights))
        off = match(found.positions, found.numbers, positions, numbers)
        if found.verdict is Verdict.EXACT:
            assert off.max_error < 1e-2
            assert off.species_ok
        else:
            assert found.reason


@pytest.mark.parametrize(
    ("order", "axes", "enough", "too_many"),
    [(3, 1, 2, 3), (5, 1, 4, 5), (7, 1, 6, 7), (9, 1, 8, 9), (5, 2, 9, 10), (5, 3, 17, 18)],
)
def test_atoms_beyond_the_numbers_leave_room_for_others(order, axes, enough, too_many):
    for n, ok in ((enough, True), (too_many, False)):
        positions, numbers = flat_atoms(n, axes, np.random.default_rng(n))
        _, evidence, atoms = evidence_of(positions, numbers, order=order)
        assert evidence.suffices(atoms) is ok, n
        turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
        assert evidence.suffices(replace(atoms, points=atoms.points @ turn + 0.01)) is ok, n


def test_as_many_sums_of_powers_as_equal_atoms_on_a_line_determine_them():
    for n, ok in ((5, True), (6, False)):
        positions, numbers = flat_atoms(n, 1, np.random.default_rng(n), [6])
        _, evidence, atoms = evidence_of(positions, numbers, order=5, elements=("C",))
        assert evidence.suffices(atoms) is ok


def test_a_full_set_of_order_three_tells_less_than_its_moments():
    positions, numbers = flat_atoms(6, 3, np.random.default_rng(1))
    for invariants, ok in (("full", False), ("independent", True)):
        _, evidence, atoms = evidence_of(positions, numbers, order=3, invariants=invariants)
        assert evidence.suffices(atoms) is ok


@pytest.mark.parametrize("invariants", ["full", "independent"])
@pytest.mark.parametrize("scale", [1.1, 20.0])
def test_an_atom_out_of_its_place_is_seen_in_a_ball_of_any_size(scale, invariants):
    positions, numbers = flat_atoms(6, 3, np.random.default_rng(2))
    descriptor, evidence, atoms = evidence_of(positions, numbers, scale, invariants=invariants)
    assert evidence.settles(atoms, 1e-8)
    moved = atoms.points.copy()
    moved[3, 1] += 0.05 / descriptor.cutoff
    off = replace(atoms, points=moved)
    assert not evidence.determines(off, 1e-8)
    assert evidence.determines(off, 1e-2), "a tolerance that is asked for is given"
    assert not evidence.settles(off, 1e-8)
