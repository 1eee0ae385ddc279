"""Principal components: those of numpy's decomposition, whatever the data are like."""

from __future__ import annotations

import numpy as np
import pytest

from distdesc.errors import CampaignError
from distdesc.reduction.principal_components import PrincipalComponents
from distdesc.reduction.projection import Projection
from distdesc.reduction.sketch import Sketch


def data(n: int = 400, n_features: int = 30, decay: float = 0.6, offset: float = 3.0):
    """Fingerprints with a falling spectrum, in a random orientation, away from the origin."""
    rng = np.random.default_rng(17)
    turn, _ = np.linalg.qr(rng.normal(size=(n_features, n_features)))
    scales = decay ** np.arange(n_features)
    return rng.normal(size=(n, n_features)) * scales @ turn + offset * rng.normal(size=n_features)


def fit(reduction: PrincipalComponents, rows: np.ndarray, cut: int = 64) -> Projection:
    """All passes over some rows, a slice at a time."""
    last, basis = None, None
    for _ in range(reduction.passes):
        basis = reduction.basis(rows.shape[1], last)
        last = Sketch.nothing(basis)
        for start in range(0, len(rows), cut):
            last = last.merged(Sketch.of(rows[start : start + cut], basis), basis)
    return reduction.project(rows.shape[1], basis, last)


def exact(rows: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Components and variances by LAPACK."""
    _, s, vt = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    return vt[:n], s[:n] ** 2 / (len(rows) - 1)


def sine(a: np.ndarray, b: np.ndarray) -> float:
    """Sine of the largest angle between the spaces of two sets of orthonormal rows."""
    return float(np.linalg.norm(b - b @ a.T @ a, 2))


@pytest.mark.parametrize("power_iterations", [0, 2])
def test_a_basis_as_wide_as_the_fingerprint_gives_the_exact_components(power_iterations):
    rows = data(n_features=12)
    found = fit(PrincipalComponents(5, power_iterations=power_iterations), rows)
    components, variance = exact(rows, 5)
    assert np.allclose(found.variance, variance, rtol=1e-12)
    assert np.abs(np.abs(found.components @ components.T) - np.eye(5)).max() < 1e-10
    assert np.allclose(found.mean, rows.mean(axis=0), rtol=1e-14)
    assert np.isclose(found.total_variance, rows.var(axis=0, ddof=1).sum(), rtol=1e-13)


def test_data_of_low_rank_are_reduced_without_loss():
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 50)) + 1
    found = fit(PrincipalComponents(6, oversampling=2), rows)
    assert np.isclose(found.explained.sum(), 1, atol=1e-13)
    back = found.apply(rows) @ found.components + found.mean
    assert np.abs(back - rows).max() < 1e-11


def test_passes_and_oversampling_sharpen_the_components():
    rows = data(n_features=60, decay=0.9)
    components, variance = exact(rows, 8)
    errors = [
        sine(fit(PrincipalComponents(8, 0, over, passes), rows).components, components)
        for over, passes in [(0, 0), (10, 0), (10, 1), (10, 4)]
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3
    found = fit(PrincipalComponents(8), rows)
    assert np.allclose(found.variance, variance, rtol=0.02)
    assert (found.variance <= variance * (1 + 1e-12)).all()


def test_components_are_orthonormal_and_their_scores_are_uncorrelated():
    rows = data()
    found = fit(PrincipalComponents(7), rows)
    assert np.abs(found.components @ found.components.T - np.eye(7)).max() < 1e-13
    scores = found.apply(rows)
    assert np.abs(scores.mean(axis=0)).max() < 1e-12
    covariance = scores.T @ scores / (len(rows) - 1)
    assert np.abs(covariance - np.diag(found.variance)).max() < 1e-6
    assert np.allclose(np.diagonal(covariance), found.variance, rtol=1e-3)


def test_whitened_scores_have_unit_variance():
    rows = data(n_features=10)
    scores = fit(PrincipalComponents(6, whiten=True), rows).apply(rows)
    assert np.allclose(scores.T @ scores / (len(rows) - 1), np.eye(6), atol=1e-10)


def test_a_mean_far_from_zero_costs_no_accuracy():
    rows = data(n_features=15, offset=0.0)
    # Multiples of a power of two, so that nothing is lost by the shift itself.
    rows = np.round(rows * 2**20) / 2**20
    near, far = fit(PrincipalComponents(4), rows), fit(PrincipalComponents(4), rows + 2.0**20)
    assert np.allclose(near.variance, far.variance, rtol=1e-10)
    assert np.abs(np.abs(near.components @ far.components.T) - np.eye(4)).max() < 1e-9


@pytest.mark.parametrize("whiten", [False, True])
def test_beyond_the_rank_of_the_data_components_are_zero(whiten):
    rng = np.random.default_rng(5)
    rows = np.repeat(rng.normal(size=(3, 20)), 10, axis=0)
    found = fit(PrincipalComponents(5, whiten=whiten), rows)
    assert (found.variance[:2] > 0).all()
    assert not found.variance[2:].any()
    assert not found.components[2:].any()
    assert np.isfinite(found.apply(rows)).all()


def test_data_without_variance_have_no_components():
    found = fit(PrincipalComponents(2, sample=0), np.ones((10, 4)))
    assert not found.components.any()
    assert not found.explained.any()


def test_signs_and_bits_are_reproducible():
    rows = data()
    a, b = fit(PrincipalComponents(5), rows), fit(PrincipalComponents(5), rows)
    assert np.array_equal(a.components, b.components)
    largest = np.abs(a.components).argmax(axis=1)
    assert (a.components[np.arange(5), largest] > 0).all()
    other = fit(PrincipalComponents(5, seed=1), rows)
    assert not np.array_equal(a.components, other.components)
    assert sine(a.components, other.components) < 0.05


def test_scores_of_a_row_do_not_depend_on_the_others():
    rows = data(n=50)
    found = fit(PrincipalComponents(5), rows)
    whole = found.apply(rows)
    assert np.array_equal(np.concatenate([found.apply(rows[k : k + 1]) for k in range(50)]), whole)


def test_merging_sketches_is_sketching_together():
    rows = data(n=90, n_features=8)
    basis = np.eye(8)[:, :5]
    together = Sketch.of(rows, basis)
    parts = Sketch.nothing(basis)
    for part in (rows[:1], rows[1:30], rows[30:]):
        parts = parts.merged(Sketch.of(part, basis), basis)
    deviations = rows - rows.mean(axis=0)
    assert parts.n == together.n == 90
    assert np.allclose(parts.mean, rows.mean(axis=0), rtol=1e-14)
    assert np.isclose(parts.spread, (deviations**2).sum(), rtol=1e-13)
    for sketch in (parts, together):
        assert np.allclose(
            sketch.product, deviations.T @ deviations @ basis, rtol=1e-11, atol=1e-11
        )
    assert together.merged(Sketch.nothing(basis), basis) is together


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_components": 0}, "n_components must be a whole number >= 1, got 0"),
        ({"n_components": 2.0}, "n_components must be a whole number >= 1, got 2.0"),
        ({"n_components": True}, "n_components must be a whole number >= 1, got True"),
        ({"n_components": 8, "sample": 8}, r"sample must be 0 .* more than n_components \(8\)"),
        ({"n_components": 8, "sample": -1}, "sample must be a whole number >= 0, got -1"),
        ({"n_components": 8, "oversampling": -1}, "oversampling must be a whole number >= 0"),
        ({"n_components": 8, "power_iterations": -1}, "power_iterations must be a whole number"),
        ({"n_components": 8, "seed": "a"}, "seed must be a whole number >= 0, got 'a'"),
    ],
)
def test_bad_values_are_refused_with_what_is_accepted(fields, message):
    with pytest.raises(CampaignError, match=message):
        PrincipalComponents(**fields)
