"""Random projections: lengths are kept in the mean, and the matrix is pinned."""

from __future__ import annotations

import numpy as np
import pytest

from distdesc.errors import CampaignError
from distdesc.reduction.random_projection import RandomProjection


@pytest.mark.parametrize("density", [0.05, 1 / 3, 1.0])
def test_squared_distances_are_kept_within_the_bound(density):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 500))
    k = 400
    found = RandomProjection(k, density=density).project(500, None, None).apply(rows)
    pairs = np.triu_indices(60, 1)
    before = np.square(rows[pairs[0]] - rows[pairs[1]]).sum(axis=1)
    after = np.square(found[pairs[0]] - found[pairs[1]]).sum(axis=1)
    ratio = after / before
    assert abs(ratio.mean() - 1) < 0.03
    # Five standard deviations, sqrt(2 / k) each.
    assert np.abs(ratio - 1).max() < 5 * np.sqrt(2 / k)


def test_entries_have_the_density_and_the_variance_they_should():
    found = RandomProjection(200, density=0.25, seed=4).project(1000, None, None).components
    assert abs((found != 0).mean() - 0.25) < 0.005
    assert np.allclose(np.abs(found[found != 0]), 1 / np.sqrt(0.25 * 200))
    assert abs((found > 0).mean() - 0.125) < 0.005
    assert np.isclose(found.var() * 200, 1, atol=0.02)


def test_the_matrix_depends_on_seed_and_shape_only():
    a = RandomProjection(4, seed=7).project(6, None, None).components * np.sqrt(4 / 3)
    assert np.array_equal(
        np.round(a).astype(int),
        [[0, -1, 0, -1, 0, -1], [0, 0, 0, 0, 0, 1], [0, 1, -1, 0, 0, 0], [-1, 0, -1, 0, 0, 1]],
    )
    b = RandomProjection(4, seed=8).project(6, None, None).components
    assert not np.array_equal(a, b)


def test_nothing_is_fitted():
    reduction = RandomProjection(3)
    assert (reduction.passes, reduction.sample, reduction.width(10)) == (0, 0, 0)
    found = reduction.project(10, None, None)
    assert found.names == ("rp0", "rp1", "rp2")
    assert not found.mean.any()
    assert len(found.explained) == 0


@pytest.mark.parametrize("density", [0, -0.1, 1.1, float("nan"), "a", True])
def test_a_density_that_is_none_is_refused(density):
    with pytest.raises(CampaignError, match="density must be above 0 and up to 1"):
        RandomProjection(3, density=density)


def test_the_projection_is_linear_and_leaves_its_input_alone():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(5, 20))
    before = rows.copy()
    found = RandomProjection(6).project(20, None, None)
    assert np.allclose(found.apply(2 * rows), 2 * found.apply(rows))
    assert np.array_equal(rows, before)
