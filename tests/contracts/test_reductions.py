"""The contract of reductions, for all that are registered."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from distdesc import registry
from distdesc.errors import CampaignError
from distdesc.reduction import REDUCTIONS
from distdesc.reduction.sketch import Sketch

CONFIGURATIONS = [
    {"name": "principal_components", "n_components": 4},
    {"name": "principal_components", "n_components": 6, "whiten": True, "power_iterations": 0},
    {"name": "random_projection", "n_components": 4},
    {"name": "random_projection", "n_components": 30, "density": 1.0, "seed": 3},
]
N_FEATURES = 40


def build(configuration):
    return registry.build(REDUCTIONS, "reduction", configuration)


@pytest.fixture(params=CONFIGURATIONS, ids=lambda c: "-".join(str(v) for v in c.values()))
def configuration(request):
    return request.param


@pytest.fixture
def reduction(configuration):
    return build(configuration)


def rows(n: int = 90) -> np.ndarray:
    rng = np.random.default_rng(11)
    return rng.normal(size=(n, N_FEATURES)) * 0.8 ** np.arange(N_FEATURES) + 5


def project(reduction, values):
    basis, last = None, None
    for _ in range(reduction.passes):
        basis = reduction.basis(N_FEATURES, last)
        assert basis.shape[0] == N_FEATURES
        assert basis.shape[1] <= reduction.width(N_FEATURES)
        assert np.abs(basis.T @ basis - np.eye(basis.shape[1])).max() < 1e-13
        last = Sketch.of(values, basis)
    return reduction.project(N_FEATURES, basis, last)


def test_every_registered_reduction_is_tested():
    assert {c["name"] for c in CONFIGURATIONS} == set(REDUCTIONS)


def test_the_serialised_form_leads_back(configuration, reduction):
    described = registry.describe(configuration["name"], reduction)
    assert build(described) == reduction
    assert pickle.loads(pickle.dumps(reduction)) == reduction
    with pytest.raises(dataclasses.FrozenInstanceError):
        reduction.n_components = 3


def test_a_projection_has_the_shape_and_names_it_should(reduction):
    found = project(reduction, rows())
    k = reduction.n_components
    assert found.mean.shape == (N_FEATURES,)
    assert found.components.shape == (k, N_FEATURES)
    assert found.names == reduction.names
    assert len(set(found.names)) == found.n_components == k
    assert found.variance.shape in ((k,), (0,))
    assert 0 <= found.explained.sum() <= 1 + 1e-12


def test_a_reduced_row_is_affine_in_its_fingerprint_and_depends_on_no_other(reduction):
    values = rows()
    found = project(reduction, values)
    reduced = found.apply(values)
    assert reduced.shape == (len(values), reduction.n_components)
    expected = (values - found.mean) @ found.components.T
    assert np.allclose(reduced, expected, rtol=1e-12, atol=1e-12)
    alone = np.concatenate([found.apply(values[k : k + 1]) for k in range(len(values))])
    assert np.array_equal(alone, reduced)
    assert found.apply(values[:0]).shape == (0, reduction.n_components)


def test_what_is_not_finite_stays_so(reduction):
    values = rows(3)
    found = project(reduction, rows())
    values[1, 7] = np.nan
    values[2, 0] = np.inf
    reduced = found.apply(values)
    assert np.isfinite(reduced[0]).all()
    assert not np.isfinite(reduced[1:]).all(axis=1).any()


def test_the_same_recipe_gives_the_same_bits(configuration, reduction):
    a, b = project(reduction, rows()), project(build(configuration), rows())
    assert np.array_equal(a.components, b.components)
    assert np.array_equal(a.mean, b.mean)


@pytest.mark.parametrize("name", sorted(REDUCTIONS))
def test_a_reduction_without_length_is_refused(name):
    with pytest.raises(CampaignError, match='"n_components" is required'):
        build({"name": name})
