"""The estimated distance to a singular point is that to the point that is found."""

from __future__ import annotations

import numpy as np
import pytest
from reference.families import (
    TETRAHEDRON,
    beside,
    drawn,
    folded_at_mirror,
    hydrogens,
    merged_on_axis,
    on_cone,
    sight_of,
    spectrum,
)

from distdesc.errors import StructureError
from distdesc.singular.classify import symmetry_of
from distdesc.singular.distance import estimate
from distdesc.singular.nearest import nearest
from distdesc.singular.point import Point
from distdesc.singular.refine import refine
from distdesc.singular.sight import Sight


@pytest.mark.parametrize("distance", [0.01, 0.1])
@pytest.mark.parametrize("family", [merged_on_axis, folded_at_mirror])
def test_the_estimate_is_the_distance_of_the_singular_point(family, distance):
    rng = np.random.default_rng(3)
    ratios = []
    for _ in range(12):
        sight = sight_of(beside(rng, drawn(rng, family), distance))
        found = nearest(sight, kicks=0)
        assert found.converged
        if found.distance < 1.001 * distance:  # else it went past the point it was displaced from
            ratios.append(estimate(sight).distance / found.distance)
    assert len(ratios) >= 8
    assert min(ratios) > 0.35
    assert max(ratios) < 2
    assert abs(np.median(ratios) - 1) < (0.02 if distance < 0.05 else 0.1)


def test_the_gradient_is_that_of_the_smallest_singular_value():
    vectors = beside(np.random.default_rng(1), TETRAHEDRON, 0.8)
    sight = sight_of(vectors)
    gradient = estimate(sight).gradient
    expected = np.empty(12)
    for k in range(12):
        shift = np.zeros(12)
        shift[k] = 1e-5
        ahead, behind = (sight.singular(vectors.ravel() + s).values[-1] for s in (shift, -shift))
        expected[k] = (ahead - behind) / 2e-5
    np.testing.assert_allclose(gradient.ravel(), expected, atol=1e-6 * np.abs(expected).max())
    for axis in np.eye(3):
        turn = np.cross(axis, vectors)
        assert abs(np.sum(turn * gradient)) < 1e-7 * np.linalg.norm(gradient)


def test_several_values_that_vanish_together_are_seen_to_do_so():
    rng = np.random.default_rng(5)
    vectors = drawn(rng, lambda r: on_cone(r, height=0.0))
    assert sight_of(vectors).singular(vectors.ravel()).n_nulls(1e-9) == 2
    sight = sight_of(beside(rng, vectors, 0.01))
    guess, both = estimate(sight), refine(sight, block=2)
    assert both.singular.n_nulls(1e-9) == 2
    assert both.distance < 0.01
    assert guess.distance < 1.1 * both.distance, "one of them may vanish sooner"


def test_a_displacement_within_the_symmetry_keeps_it():
    vectors = TETRAHEDRON * [[1.0], [1.2], [1.2], [1.2]]
    point = hydrogens(vectors)
    descriptor = spectrum()
    symmetry = symmetry_of(descriptor, point)
    assert symmetry.name == "C3v"
    guess = estimate(Sight(descriptor, point, symmetry.motions()))
    assert np.isfinite(guess.distance)
    moved = point.at(vectors + guess.displacement)
    assert symmetry_of(descriptor, moved, 1e-9).name == "C3v"


def test_the_estimate_is_far_where_no_way_leads_to_a_singular_point():
    point = hydrogens(1.1 * TETRAHEDRON)
    descriptor = spectrum()
    breathing = Sight(descriptor, point, symmetry_of(descriptor, point).motions())
    assert estimate(breathing).distance > 1, "the larger molecule is seen as well"
    lone = sight_of(TETRAHEDRON[:1])
    assert estimate(lone).distance > 0.5


def test_what_is_singular_is_at_no_distance_and_what_cannot_move_is_infinitely_far():
    assert estimate(sight_of(TETRAHEDRON)).distance < 1e-12
    point = hydrogens(np.zeros((0, 3)))
    nothing = estimate(Sight(spectrum(), point))
    assert nothing.distance == np.inf
    assert nothing.together == 0
    assert nothing.displacement.shape == (0, 3)


def test_the_estimate_does_not_depend_on_the_frame_nor_on_the_order():
    rng = np.random.default_rng(8)
    vectors = beside(rng, drawn(rng, merged_on_axis), 0.05)
    sight = sight_of(vectors)
    expected = estimate(sight)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    order = rng.permutation(4)
    other = estimate(Sight(sight.descriptor, hydrogens((vectors @ turn.T)[order])))
    assert other.distance == pytest.approx(expected.distance, rel=1e-5)
    np.testing.assert_allclose(
        other.displacement, (expected.displacement @ turn.T)[order], atol=1e-6
    )


def test_a_point_that_makes_no_sense_is_refused():
    for vectors in (np.zeros((2, 3)), np.full((1, 3), np.nan), np.zeros((1, 2))):
        with pytest.raises(StructureError, match="vectors must be"):
            Point(vectors, np.ones(1))
