"""Pairs of environments that a fingerprint takes for one, beside its singular points."""

from __future__ import annotations

import numpy as np
import pytest
from reference.batches import random_rotation
from reference.families import (
    TETRAHEDRON,
    drawn,
    folded_at_mirror,
    hydrogens,
    merged_on_axis,
    of_two_triangles,
    on_cone,
    spectrum,
)
from reference.pairs import difference, verify

from distdesc.descriptors.bispectrum import Bispectrum
from distdesc.descriptors.trispectrum import Trispectrum
from distdesc.singular.bounds import Bounds
from distdesc.singular.congruence import misfit
from distdesc.singular.partner import find_pair
from distdesc.singular.sight import Sight


def pair_at(vectors, descriptor=None):
    descriptor = descriptor or spectrum(4, 8)
    sight = Sight(descriptor, hydrogens(vectors))
    seen = sight.singular(vectors.ravel())
    assert seen.ratios[-1] < 1e-12
    return find_pair(sight, seen.motions[:, -1])


@pytest.mark.parametrize("family", [merged_on_axis, folded_at_mirror, on_cone])
def test_a_singular_power_spectrum_leads_to_a_pair_that_the_bispectrum_tells_apart(family):
    rng = np.random.default_rng(21)
    for _ in range(6):
        pair = pair_at(drawn(rng, family))
        assert pair is not None
        verify(pair)
        assert 0.005 < pair.misfit < 0.4


def test_the_published_singular_methane_has_a_pair():
    # three at one distance and polar angle about the fourth: Pozdnyakov et al. (2021)
    angles = np.radians([0.0, 137.5, 137.5 + 152.1])
    polar = np.radians(87.327)
    cone = np.stack([np.cos(angles), np.sin(angles), np.full(3, 1 / np.tan(polar))], axis=1)
    cone *= 1.093475 / np.linalg.norm(cone, axis=1, keepdims=True)
    vectors = np.vstack([cone, [[0, 0, 1.10459]]]) @ random_rotation(np.random.default_rng(0)).T
    sight = Sight(spectrum(8, 8, cutoff=2.5), hydrogens(vectors))
    seen = sight.singular(vectors.ravel())
    assert seen.ratios[-1] < 1e-13
    assert seen.ratios[-2] > 1e-5
    pair = find_pair(sight, seen.motions[:, -1])
    assert pair is not None
    assert pair.residual < 1e-10
    assert pair.misfit > 0.02
    assert difference(spectrum(4, 4, kind=Bispectrum), pair) > 1e-3


def test_a_singular_bispectrum_leads_to_a_pair_that_the_trispectrum_tells_apart():
    vectors = drawn(np.random.default_rng(2), of_two_triangles)
    pair = pair_at(vectors, spectrum(4, 4, kind=Bispectrum))
    assert pair is not None
    assert pair.residual < 1e-10
    assert difference(spectrum(6, 8), pair) < 1e-8, "nor does the power spectrum"
    assert difference(spectrum(2, 3, kind=Trispectrum), pair) > 1e-6


def test_a_motion_that_symmetry_hides_leads_to_mirror_images_not_to_a_pair():
    vectors = np.array([[1.0, 0.0, 0.0], [-0.5, 0.9, 0.0], [-0.6, -0.9, 0.0]])
    sight = Sight(spectrum(4, 8), hydrogens(vectors))
    seen = sight.singular(vectors.ravel())
    assert seen.n_nulls(1e-12) == 1, "all three out of their plane"
    assert find_pair(sight, seen.motions[:, -1]) is None


def test_a_pair_stays_within_the_bounds():
    vectors = drawn(np.random.default_rng(1), merged_on_axis)
    sight = Sight(spectrum(4, 8), hydrogens(vectors))
    motion = sight.singular(vectors.ravel()).motions[:, -1]
    pair = find_pair(sight, motion, Bounds(reach=0.2))
    for end in (pair.first, pair.second):
        assert np.linalg.norm(end.vectors - vectors) <= 0.2
    assert find_pair(sight, motion, Bounds(reach=0.003)) is None


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 12])
def test_an_environment_fits_its_turned_and_shuffled_self(n):
    rng = np.random.default_rng(n)
    vectors, numbers = rng.normal(size=(n, 3)), rng.choice([1, 6], size=n)
    order = rng.permutation(n)
    other = (vectors @ random_rotation(rng).T)[order]
    like = np.array([order[k] for k in range(n)])
    assert misfit(vectors[like], other, numbers[like]) < 1e-7
    back = np.argsort(order)
    assert misfit(vectors, other[back], numbers) < 1e-7
    assert misfit(vectors, -other[back], numbers) < 1e-7
    if n >= 4:
        assert misfit(vectors, -other[back], numbers, reflections=False) > 0.05


def test_like_neighbours_are_exchanged_and_unlike_ones_are_not():
    vectors = 1.1 * TETRAHEDRON * [[1.0], [1.0], [1.0], [1.2]]
    swapped = vectors[[3, 1, 2, 0]]
    assert misfit(vectors, swapped, np.array([1, 1, 1, 1])) < 1e-7
    assert misfit(vectors, swapped, np.array([9, 1, 1, 1])) > 0.1


@pytest.mark.parametrize("places", [[0.9, -1.4], [0.9, -1.4, 2.0, 2.4]])
def test_neighbours_on_a_line_one_of_its_element_have_a_misfit(places):
    line = np.outer(places, [1.0, 0.0, 0.0])
    numbers = np.array([9] + [1] * (len(places) - 1))
    assert misfit(line, line[:, [1, 2, 0]], numbers) < 1e-12
    bent = line.copy()
    bent[-1, 1] = 0.01
    assert 1e-4 < misfit(line, bent, numbers) < 0.0101


def test_the_misfit_of_a_small_change_is_at_most_its_length():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(5, 3))
    for length in (1e-6, 1e-3, 0.1):
        shift = rng.normal(size=(5, 3))
        shift *= length / np.linalg.norm(shift)
        found = misfit(vectors, (vectors + shift) @ random_rotation(rng).T, np.ones(5, dtype=int))
        assert 0.3 * length < found <= length * (1 + 1e-6)


def test_no_neighbours_fit():
    assert misfit(np.empty((0, 3)), np.empty((0, 3)), np.empty(0, dtype=int)) == 0
