"""Crystals out of place: what is hardly seen there is explained by the place that they left."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk, molecule
from reference.families import beside, drawn, folded_at_mirror, merged_on_axis, sight_of
from reference.structures import batch_of

from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.errors import CampaignError
from distdesc.singular.analysis import Options
from distdesc.singular.cascade import screen
from distdesc.singular.distance import estimate
from distdesc.singular.parent import distance_with
from distdesc.singular.reasons import Kind
from distdesc.singular.structure_screen import screen_structures
from distdesc.stages.singular import Singular
from distdesc.stages.singular_closely import KINDS
from distdesc.stopwatch import Stopwatch
from distdesc.structures.neighbours import build_environments


def rattled(name, amplitude, cutoff=None):
    """A descriptor, and some environments of a crystal whose atoms are beside their places."""
    if name == "NaCl":
        atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
        descriptor = PowerSpectrum(cutoff=cutoff or 3.6, elements=("Na", "Cl"), n_max=6, l_max=6)
    else:
        atoms = bulk("Si", "diamond", a=5.43, cubic=True)
        descriptor = PowerSpectrum(cutoff=cutoff or 4.4, elements=("Si",), n_max=6, l_max=6)
    atoms.positions += amplitude * np.random.default_rng(0).normal(size=atoms.positions.shape)
    return descriptor, batch_of([atoms])


def followed(descriptor, batch, last, **fields):
    near = build_environments(batch, 0, last, descriptor.cutoff)
    return screen(descriptor, near, Options(**fields), closely=True)


@pytest.mark.parametrize("amplitude", [0.002, 0.01, 0.03])
@pytest.mark.parametrize("name", ["NaCl", "Si"])
def test_the_estimate_beside_a_symmetric_place_is_that_of_the_point_found(name, amplitude):
    found = followed(*rattled(name, amplitude), 4)
    assert found.flagged.all()
    for k, analysis in found.analyses.items():
        assert 0 < analysis.distance < np.inf
        assert 0.9 < found.estimates[k] / analysis.distance < 4
        assert analysis.estimate == pytest.approx(found.estimates[k], rel=1e-3)


def test_a_shell_that_the_cutoff_cuts_does_not_hide_the_symmetric_place():
    descriptor, batch = rattled("NaCl", 0.03, cutoff=4.0)
    found = followed(descriptor, batch, 8)
    whole, _ = rattled("NaCl", 0.03)
    alone = followed(whole, batch, 8)
    assert all(kind is Kind.SYMMETRY for kind in found.kinds)
    for k, analysis in found.analyses.items():
        assert "neighbours that fade left out" in analysis.reason
        assert found.estimates[k] == pytest.approx(alone.estimates[k], rel=1e-6)
        inner = np.linalg.norm(analysis.point.vectors, axis=1) < 3.6
        held = build_environments(batch, k, k + 1, 4.0).vectors[~inner]
        np.testing.assert_array_equal(analysis.point.vectors[~inner], held)
        assert not np.any(analysis.motion[~inner])
        assert inner.sum() == 6
        assert len(held) >= 6


@pytest.mark.parametrize("amplitude", [0.01, 0.03])
def test_the_estimate_of_a_whole_crystal_out_of_place_is_that_of_the_point_found(amplitude):
    descriptor, batch = rattled("Si", amplitude)
    found = screen_structures(descriptor, batch, "sum", Options(), closely=True)
    assert found.flagged.all()
    analysis = found.analyses[0]
    assert 0.9 < found.estimates[0] / analysis.distance < 2
    assert analysis.estimate == pytest.approx(found.estimates[0], rel=1e-6)


@pytest.mark.parametrize("amplitude", [0.003, 0.03])
def test_the_estimate_of_a_whole_molecule_out_of_place_is_that_of_the_point_found(amplitude):
    atoms = molecule("C2H6")
    atoms.positions += amplitude * np.random.default_rng(1).normal(size=atoms.positions.shape)
    descriptor = PowerSpectrum(cutoff=4.0, elements=("C", "H"), n_max=4, l_max=4)
    found = screen_structures(
        descriptor, batch_of([atoms]), "sum", Options(flag_distance=0.05), closely=True
    )
    analysis = found.analyses[0]
    assert analysis.kind is Kind.SYMMETRY
    assert found.estimates[0] == pytest.approx(analysis.distance, rel=1e-3)


@pytest.mark.parametrize("family", [merged_on_axis, folded_at_mirror])
def test_a_symmetric_place_farther_off_does_not_replace_an_estimate_that_holds(family):
    rng = np.random.default_rng(3)
    sight = sight_of(beside(rng, drawn(rng, family), 0.01))
    guess = estimate(sight)
    assert distance_with(sight, guess, 0.3) == guess.distance
    assert distance_with(sight, guess, guess.distance / 2) == guess.distance / 2
    assert distance_with(sight, guess, np.inf) == guess.distance


def test_what_is_nearly_zero_is_not_at_no_distance():
    descriptor, batch = rattled("Si", 0.0008)
    fields = {"tolerance": 1e-5}  # in Å: not taken for symmetric
    found = followed(descriptor, batch, 4, **fields)
    ratios = found.symmetric / found.summary.s_max
    assert np.all((ratios > 1e-12) & (ratios < 1e-8))
    few = followed(descriptor, batch, 4, null=1e-12, **fields)
    assert np.all(few.summary.n_nulls == 0)
    many = followed(descriptor, batch, 4, null=1e-7, **fields)
    assert np.all(many.summary.n_nulls > 1)
    for of in (found, few, many):
        assert np.all(of.estimates > 1e-4)
        assert all(a.distance > 1e-4 for a in of.analyses.values())
        assert len(of.analyses) == 4


def test_zeros_are_counted_alike_wherever_they_are():
    atoms = molecule("CH4")
    atoms.rattle(0.01, seed=1)
    descriptor = PowerSpectrum(cutoff=2.5, n_max=4, l_max=6, elements=("C", "H"))
    for tolerance in (1e-12, 5e-4):
        stage = Singular(descriptor, tolerance=tolerance, classify=True)
        found = stage.run(batch_of([atoms]), 0, 5, Stopwatch())
        assert bool(found["n_nulls"][0]) is (tolerance > 1e-6)
        assert found["kind"][0] == KINDS[Kind.SYMMETRY if tolerance < 1e-6 else Kind.TRUNCATION]
        assert found["null_counts"][0].sum() >= found["n_nulls"][0]
        assert found["distance"][0] > 1e-3


def test_structures_beside_a_symmetric_place_are_led_to_it():
    atoms = bulk("Si", "diamond", a=5.43, cubic=True)
    atoms.positions += 0.01 * np.random.default_rng(1).normal(size=(8, 3))
    descriptor = PowerSpectrum(cutoff=3.6, elements=("Si",), n_max=3, l_max=3)
    found = screen_structures(
        descriptor, batch_of([atoms]), "stack", Options(flag_ratio=1e-2), closely=True
    )
    assert found.kinds[0] is Kind.SYMMETRY
    assert found.analyses[0].group_there == "D2h"
    assert 0.003 < found.analyses[0].distance < 0.05


def test_a_tolerance_is_between_how_exact_zeros_are_and_what_is_flagged():
    descriptor = PowerSpectrum(cutoff=2.5, elements=("H",))
    for tolerance in (1e-3, 0.1, 1e-14):
        with pytest.raises(CampaignError, match=r"tolerance must be at least 1e-13, .* below flag"):
            Singular(descriptor, tolerance=tolerance)
    with pytest.raises(CampaignError, match="got 1e-09"):
        Singular(descriptor, flag_ratio=1e-10)
    assert Singular(descriptor, tolerance=1e-12).options.null == 1e-12
    assert Singular(descriptor).options.null == 1e-9
    with pytest.raises(CampaignError, match="null must be above 0 and below flag_ratio"):
        Options(null=1e-2)
