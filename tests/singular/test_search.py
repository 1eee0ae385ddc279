"""Searches for singular points, and which points are the same."""

from __future__ import annotations

import numpy as np
import pytest
from reference.batches import random_rotation
from reference.families import TETRAHEDRON, drawn, hydrogens, scattered, spectrum

from distdesc.singular.point import as_environments
from distdesc.singular.reasons import Kind
from distdesc.singular.search import Search, distinct


def test_a_census_of_methane_has_points_of_several_kinds():
    rng = np.random.default_rng(17)
    starts = [drawn(rng, scattered) for _ in range(5)]
    starts += [1.09 * TETRAHEDRON + 0.3 * rng.normal(size=(4, 3)) for _ in range(5)]
    descriptor, search = spectrum(cutoff=4.0), Search(reach=3.0)
    found = [search.run(descriptor, hydrogens(s), row) for row, s in enumerate(starts)]
    ends = [analysis for analysis in found if np.isfinite(analysis.distance)]
    assert len(ends) >= 9
    kinds = [analysis.kind for analysis in ends]
    assert kinds.count(Kind.INCOMPLETENESS) >= 2
    assert kinds.count(Kind.SYMMETRY) >= 2
    for analysis in ends:
        if analysis.kind is Kind.SYMMETRY:
            assert analysis.group_there != "C1"
        elif analysis.kind is Kind.INCOMPLETENESS:
            assert sum(analysis.counts.values()) <= 3


def test_a_row_has_one_result_whenever_it_is_searched():
    start = hydrogens(drawn(np.random.default_rng(23), scattered))
    descriptor, search = spectrum(cutoff=4.0), Search(reach=3.0)
    one, other = (search.run(descriptor, start, 5, seed=2) for _ in range(2))
    assert one.point.vectors.tobytes() == other.point.vectors.tobytes()


def test_points_in_other_frames_and_orders_are_the_same():
    rng = np.random.default_rng(3)
    points = []
    for group in range(4):
        vectors = drawn(rng, scattered)
        for _ in range(group + 1):
            turned = vectors @ random_rotation(rng).T
            points.append((group, hydrogens(turned[rng.permutation(4)])))
    rng.shuffle(points)
    groups = np.array([group for group, _ in points])
    prints = spectrum(cutoff=4.0).compute(as_environments([point for _, point in points]))
    first = distinct(prints)
    assert len(set(first.tolist())) == 4
    assert np.array_equal(groups[first], groups)
    assert all(first[first] == first)
    assert np.all(first <= np.arange(len(points)))


@pytest.mark.parametrize("n", [0, 1])
def test_few_points_are_distinct(n):
    assert distinct(np.ones((n, 3))).tolist() == list(range(n))
