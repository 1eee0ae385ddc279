"""Noise: positions as good as the fingerprint allows, and a verdict that says what limits them."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule

from distdesc.decode.decoder import Decoder, Verdict
from distdesc.decode.fingerprints import of_descriptor
from distdesc.decode.match import match
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.errors import CampaignError, StructureError


def acetamide(order=7, **fields):
    """Descriptor, fingerprint, numbers and positions of a molecule without symmetry."""
    atoms = molecule("CH3CONH2")
    atoms.rattle(0.05, seed=1)
    positions = atoms.positions - atoms.positions.mean(axis=0)
    radius = 1.02 * np.linalg.norm(positions, axis=1).max()
    given = {"invariants": "full", "elements": ("H", "C", "N", "O"), **fields}
    descriptor = MomentInvariants(cutoff=radius, order=order, smoothing=0.0, **given)
    numbers = atoms.numbers.astype(np.int32)
    weights = descriptor.weight_table()[numbers]
    return (
        descriptor,
        of_descriptor(descriptor).of_points(positions / radius, weights),
        numbers,
        positions,
    )


@pytest.mark.parametrize("level", [1e-7, 1e-6, 1e-5])
def test_noise_of_each_feature_in_proportion_hardly_moves_the_atoms(level):
    descriptor, fingerprint, numbers, positions = acetamide()
    errors = []
    for seed in range(3):
        noise = np.random.default_rng(seed).standard_normal(len(fingerprint))
        found = Decoder(descriptor, noise=level).decode(fingerprint * (1 + level * noise))
        assert found.verdict is Verdict.APPROXIMATE
        assert f"as well as its noise of {level:.0e} allows" in found.reason
        off = match(found.positions, found.numbers, positions, numbers)
        assert off.species_ok
        errors.append(off.max_error)
    # Plain differences instead of relative ones would leave ten times as much.
    assert np.median(errors) < 0.1 * level


def test_single_precision_is_noticed_and_named():
    descriptor, fingerprint, numbers, positions = acetamide()
    found = Decoder(descriptor).decode(fingerprint.astype(np.float32))
    assert found.verdict is Verdict.APPROXIMATE
    assert "as well as its noise of 6e-08 allows" in found.reason
    assert match(found.positions, found.numbers, positions, numbers).max_error < 1e-7


def test_exact_fingerprints_are_not_said_to_be_noisy():
    descriptor, fingerprint, *_ = acetamide()
    assert Decoder(descriptor).decode(fingerprint).reason == ""
    wrong = fingerprint.copy()
    wrong[0] *= 1.001
    assert "noise" not in Decoder(descriptor).decode(wrong).reason


def test_a_second_fingerprint_with_noise_still_tells_the_elements():
    first, of_places, numbers, positions = acetamide(species="none")
    second, of_elements, *_ = acetamide()
    for level in (0.0, 1e-6):
        noise = 1 + level * np.random.default_rng(0).standard_normal((2, len(of_places)))
        found = Decoder(first, noise=level).decode(
            of_places * noise[0], (second, of_elements * noise[1])
        )
        assert found.verdict is (Verdict.APPROXIMATE if level else Verdict.EXACT)
        off = match(found.positions, found.numbers, positions, numbers)
        assert (off.species_ok, off.max_error < 1e-6) == (True, True)


def test_a_second_fingerprint_of_another_kind_is_refused():
    first, of_places, *_ = acetamide(species="none")
    second, of_elements, *_ = acetamide()
    wider = MomentInvariants(cutoff=first.cutoff + 1, order=7, invariants="full")
    channels = MomentInvariants(cutoff=first.cutoff, species="channels", elements=("H", "C"))
    for other in (wider, channels):
        with pytest.raises(CampaignError, match="the second descriptor must have one density"):
            Decoder(first).decode(of_places, (other, of_elements))
    with pytest.raises(StructureError, match=r"must have shape \(319,\)"):
        Decoder(first).decode(of_places, (second, of_elements[:-1]))
