"""Moments against the published implementation, the published formulas and quadrature."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference.expansion import geometric_moments, zernike_moments
from reference.published import complex_moments, published_invariants

from distdesc.descriptors.density import (
    moments,
    n_moments,
    solid_harmonics,
    tensors,
    zernike_functions,
)

DATA = Path(__file__).parent.parent / "data" / "moments_g2.npz"
RADIUS = 5.0


@pytest.fixture(scope="module")
def oracle():
    with np.load(DATA, allow_pickle=False) as archive:
        return dict(archive)


def in_our_order(oracle):
    """Where the oracle keeps each moment (n, l, m)."""
    places = {tuple(index): k for k, index in enumerate(oracle["zernike_index"].tolist())}
    return [places[n, l, m] for n, l, _ in tensors(7) for m in range(-l, l + 1)]


def compare(archive, names, place):
    """Largest errors of moments, geometric moments and published invariants."""
    errors = []
    for name in names:
        points, weights = archive[f"{name}/positions"] / RADIUS, archive[f"{name}/weights"]
        ours = complex_moments(moments(points, weights, 7), 7)
        zernike = np.max(np.abs(ours - archive[f"{name}/zernike_moments"][place]))
        plain = geometric_moments(points, weights, 7)
        geometric = np.max(np.abs(plain - archive[f"{name}/geometric_moments"]))
        values, _ = published_invariants(ours)
        expected = archive[f"{name}/invariants"]
        invariants = np.max(np.abs(values - expected)) / np.max(np.abs(expected))
        errors.append((zernike, geometric, invariants))
    return np.max(errors, axis=0)


def test_moments_and_published_invariants_agree_with_the_published_implementation(oracle):
    zernike, geometric, invariants = compare(oracle, oracle["names"][:4], in_our_order(oracle))
    assert zernike < 1e-12
    assert geometric < 1e-12
    assert invariants < 1e-10


def test_moments_of_the_larger_molecules_agree_with_the_published_implementation(oracle):
    place = in_our_order(oracle)
    for name in oracle["names"]:
        points, weights = oracle[f"{name}/positions"] / RADIUS, oracle[f"{name}/weights"]
        ours = complex_moments(moments(points, weights, 7), 7)
        assert np.max(np.abs(ours - oracle[f"{name}/zernike_moments"][place])) < 1e-12


def test_all_43_molecules_agree_with_the_published_implementation(shared_data):
    file = shared_data.parent / "oracle" / "milad" / "g2_zernike7_cutoff5.npz"
    if not file.exists():
        pytest.skip(f"no reference values in {file}")
    with np.load(file, allow_pickle=False) as archive:
        oracle = {name: archive[name] for name in archive.files if name != "settings"}
    assert len(oracle["names"]) == 43
    zernike, geometric, invariants = compare(oracle, oracle["names"], in_our_order(oracle))
    assert zernike < 1e-12
    assert geometric < 1e-12
    assert invariants < 1e-10


def test_published_invariants_of_random_moments_agree(oracle):
    values, _ = published_invariants(oracle["random/zernike_moments"][in_our_order(oracle)])
    expected = oracle["random/invariants"]
    assert np.max(np.abs(values - expected)) < 1e-10 * np.max(np.abs(expected))


@pytest.mark.parametrize("name", ["H2O", "C2H6CHOH"])
def test_published_jacobian_agrees(oracle, name):
    positions, weights = oracle[f"{name}/positions"], oracle[f"{name}/weights"]
    ours = complex_moments(moments(positions / RADIUS, weights, 7), 7)
    _, by_moments = published_invariants(ours)
    columns = []
    for atom in range(len(positions)):
        for axis in range(3):
            values = []
            for step in (-2e-3, -1e-3, 1e-3, 2e-3):  # exact but for rounding: polynomials
                moved = positions[atom : atom + 1].copy()
                moved[0, axis] += step
                functions = moments(moved / RADIUS, weights[atom : atom + 1], 7)
                values.append(complex_moments(functions, 7))
            slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / 12e-3
            columns.append(by_moments @ slope)
    by_weights = [
        by_moments @ complex_moments(moments(p[None] / RADIUS, np.ones(1), 7), 7) for p in positions
    ]
    jacobian = np.array(columns + by_weights).T
    expected = oracle[f"{name}/jacobian"]
    assert np.max(np.abs(jacobian.imag)) < 1e-10 * np.max(np.abs(expected))
    assert np.max(np.abs(jacobian - expected)) < 1e-10 * np.max(np.abs(expected))


def test_the_published_invariants_have_four_dependent_ones():
    rng = np.random.default_rng(0)
    real = rng.normal(size=n_moments(7))
    _, gradient = published_invariants(complex_moments(real, 7))
    by_real = gradient @ np.array([complex_moments(unit, 7) for unit in np.eye(n_moments(7))]).T
    singular = np.linalg.svd(by_real, compute_uv=False)
    assert np.sum(singular > 1e-10 * singular[0]) == 113


def test_zernike_functions_agree_with_their_polynomials():
    rng = np.random.default_rng(1)
    points = rng.uniform(-0.6, 0.6, size=(4, 3))
    weights = rng.uniform(1, 2, size=4)
    ours = complex_moments(moments(points, weights, 10), 10)
    assert np.max(np.abs(ours - zernike_moments(points, weights, 10))) < 1e-11


def test_zernike_functions_are_orthonormal_in_the_ball():
    order = 6
    radius, radial = np.polynomial.legendre.leggauss(order + 2)
    radius, radial = (radius + 1) / 2, radial / 2
    cosine, polar = np.polynomial.legendre.leggauss(order + 1)
    angle = 2 * np.pi * np.arange(2 * order + 1) / (2 * order + 1)
    r, c, a = np.meshgrid(radius, cosine, angle, indexing="ij")
    s = np.sqrt(1 - c * c)
    points = np.stack([r * s * np.cos(a), r * s * np.sin(a), r * c], axis=-1).reshape(-1, 3)
    weights = np.einsum("i,j,k->ijk", radial * radius**2, polar, np.full(len(angle), 2 * np.pi))
    weights = weights.reshape(-1) / len(angle)
    functions = zernike_functions(points, order)
    overlap = 3 / (4 * np.pi) * (functions.T * weights) @ functions
    assert np.max(np.abs(overlap - np.eye(n_moments(order)))) < 1e-12


def test_solid_harmonics_are_plain_polynomials():
    x, y, z = 0.3, -0.7, 0.4
    values = solid_harmonics(np.array([[x, y, z]]), 2)[0]
    r2 = x * x + y * y + z * z
    expected = [
        1, np.sqrt(3) * y, np.sqrt(3) * z, np.sqrt(3) * x,
        np.sqrt(15) * x * y, np.sqrt(15) * y * z, np.sqrt(5) / 2 * (3 * z * z - r2),
        np.sqrt(15) * x * z, np.sqrt(15) / 2 * (x * x - y * y),
    ]  # fmt: skip
    assert np.allclose(values, expected, rtol=0, atol=1e-15)


def test_moments_of_several_densities_are_those_of_each():
    rng = np.random.default_rng(3)
    points, weights = rng.uniform(-0.5, 0.5, size=(6, 3)), rng.uniform(1, 2, size=(2, 6))
    both = moments(points, weights, 4)
    assert both.shape == (2, n_moments(4))
    assert np.allclose(both[1], moments(points, weights[1], 4), rtol=0, atol=1e-14)
