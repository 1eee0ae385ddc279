"""Searches end at singular points, within their bounds."""

from __future__ import annotations

import numpy as np
import pytest
from reference.batches import batch
from reference.families import (
    TETRAHEDRON,
    apart,
    beside,
    drawn,
    folded_at_mirror,
    hydrogens,
    merged_on_axis,
    on_cone,
    scattered,
    sight_of,
    spectrum,
)
from reference.sensitivity import nulls

from distdesc.errors import CampaignError
from distdesc.singular.bounds import Bounds
from distdesc.singular.classify import symmetry_of
from distdesc.singular.nearest import nearest
from distdesc.singular.refine import refine
from distdesc.singular.sight import Sight

ANYWHERE = Bounds(reach=3.0)


def rattled(spread):
    return lambda rng: 1.09 * TETRAHEDRON + spread * rng.normal(size=(4, 3))


@pytest.mark.parametrize(
    ("make", "cutoff", "at_once", "in_the_end"),
    [(scattered, 4.0, 18, 28), (rattled(0.3), 2.2, 20, 28), (rattled(0.1), 2.2, 25, 30)],
    ids=["scattered", "rattled 0.3", "rattled 0.1"],
)
def test_most_searches_end_at_a_singular_point(make, cutoff, at_once, in_the_end):
    rng = np.random.default_rng(42)
    once = found = 0
    for _ in range(30):
        sight = sight_of(drawn(rng, make), cutoff=cutoff)
        end = refine(sight, ANYWHERE)
        once += end.converged
        if not end.converged:
            end = nearest(sight, ANYWHERE, kicks=8, spread=0.2, enough=np.inf)
        found += end.converged
        if end.converged:
            jacobian = sight.descriptor.jacobian(batch([(end.point.vectors, [1] * 4)]))
            count, _, largest = nulls(end.point.vectors, jacobian)
            assert count >= 1, "as computed by other means"
            assert largest < 1e-9
    assert once >= at_once
    assert found >= in_the_end


@pytest.mark.parametrize("family", [merged_on_axis, folded_at_mirror])
def test_the_point_that_an_environment_was_displaced_from_is_found_or_a_nearer_one(family):
    rng = np.random.default_rng(4)
    ends = [nearest(sight_of(beside(rng, drawn(rng, family), 0.05)), kicks=0) for _ in range(10)]
    assert all(end.converged for end in ends)
    assert sum(end.distance < 0.05 for end in ends) >= 9
    assert np.median([end.iterations for end in ends]) <= 8


def test_where_one_search_stalls_others_from_beside_go_on():
    rng = np.random.default_rng(3)
    alone = others = 0
    for _ in range(10):
        sight = sight_of(beside(rng, drawn(rng, on_cone), 0.03))
        alone += refine(sight, Bounds(reach=0.1)).converged
        others += nearest(sight, Bounds(reach=0.1), kicks=4, spread=0.02).converged
    assert others >= 9
    assert others > alone


def test_a_block_makes_several_values_vanish_at_once():
    rng = np.random.default_rng(1)
    sight = sight_of(beside(rng, drawn(rng, lambda r: on_cone(r, height=0.0)), 0.05))
    single, double = refine(sight), refine(sight, block=2)
    assert single.converged
    assert double.converged
    assert double.nulls.shape[1] >= 2
    tetrahedral = refine(sight_of(rattled(0.05)(rng)), ANYWHERE, block=8)
    assert tetrahedral.nulls.shape == (12, 8)
    radii = np.linalg.norm(tetrahedral.point.vectors, axis=1)
    assert np.ptp(radii) < 1e-9, "all eight: nothing else but the tetrahedron"


def test_convergence_is_quadratic():
    sight = sight_of(
        beside(np.random.default_rng(2), drawn(np.random.default_rng(2), merged_on_axis), 0.05)
    )
    ratios = [refine(sight, Bounds(iterations=k)).singular.ratios[-1] for k in range(1, 8)]
    ratios = [r for r in ratios if r > 1e-13]
    assert len(ratios) <= 6
    assert ratios[-1] < 1e-2 * ratios[-2]


def test_a_search_stays_within_its_bounds():
    rng = np.random.default_rng(6)
    bounds = Bounds(reach=0.15, core=0.6, rim=0.6)
    moved = 0
    for _ in range(12):
        start = drawn(rng, rattled(0.3))
        if not apart(start, 0.61) or np.max(np.linalg.norm(start, axis=1)) > 0.6 * 2.6:
            continue
        end = nearest(sight_of(start), bounds, kicks=2)
        moved += end.distance > 0
        assert end.distance == pytest.approx(np.linalg.norm(end.point.vectors - start))
        assert end.distance <= 0.15 or not end.converged
        assert apart(end.point.vectors, 0.6)
        assert np.max(np.linalg.norm(end.point.vectors, axis=1)) <= 0.6 * 2.6
        assert refine(sight_of(start), bounds).distance <= 0.15
    assert moved > 4


def test_what_begins_outside_of_the_bounds_may_stay_there():
    near = 1.1 * TETRAHEDRON + 0.2 * np.random.default_rng(2).normal(size=(4, 3))
    near[1] = near[0] + [0.3, 0.1, 0.2]
    assert not apart(near)
    end = nearest(sight_of(near), Bounds(reach=1.0))
    assert end.converged
    assert end.distance > 0


def test_a_search_within_symmetric_motions_keeps_the_symmetry():
    rng = np.random.default_rng(0)
    half = rng.uniform(0.5, 1.0, size=(2, 3))
    vectors = np.vstack([half, half * [1, 1, -1]])
    point, descriptor = hydrogens(vectors), spectrum()
    symmetry = symmetry_of(descriptor, point)
    assert symmetry.name == "Cs"
    end = nearest(Sight(descriptor, point, symmetry.motions()), ANYWHERE, kicks=8)
    assert end.converged
    assert end.distance > 1e-3
    np.testing.assert_allclose(
        symmetry.symmetrised(end.point.vectors), end.point.vectors, atol=1e-12
    )


def test_the_same_search_ends_at_the_same_bytes():
    rng = np.random.default_rng(9)
    sight = sight_of(drawn(rng, rattled(0.2)))
    ends = [nearest(sight, ANYWHERE, kicks=3, seed=5) for _ in range(2)]
    assert ends[0].point.vectors.tobytes() == ends[1].point.vectors.tobytes()


def test_nothing_to_move_is_no_failure():
    end = refine(sight_of(np.zeros((0, 3))))
    assert not end.converged
    assert end.distance == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("reach", 0), ("step", -1.0), ("core", -0.1), ("rim", 1.2), ("rim", 0), ("iterations", 0)],
)
def test_bounds_that_make_no_sense_are_refused_by_name(field, value):
    with pytest.raises(CampaignError, match=f"{field} must be"):
        Bounds(**{field: value})


def test_limits_admit_what_lies_within_them():
    start = 1.1 * TETRAHEDRON
    limits = Bounds(reach=2.0, core=0.5, rim=0.5).limits(start.ravel(), 2.6)
    assert limits.admit(start.ravel())
    assert not limits.admit((1.25 * start).ravel()), "beyond the rim"
    assert not limits.admit((0.4 * start).ravel()), "too near to the centre"
    assert np.linalg.norm(limits.drawn_in((1.25 * start).ravel()).reshape(4, 3), axis=1) == (
        pytest.approx(1.3)
    )
    walls = limits.walls(start.ravel(), (1.25 * start).ravel())
    assert walls.shape == (12, 4)
    np.testing.assert_allclose(walls.T @ walls, np.eye(4), atol=1e-12)
