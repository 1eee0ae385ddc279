"""Radial functions: orthonormal where they should be, and smeared as the integrals say."""

from __future__ import annotations

import functools
from math import gamma, pi, sqrt

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import hyp1f1, ive, spherical_in

from distdesc.descriptors.radial_basis import (
    BASES,
    RadialBasis,
    _scaled_bessel,
    dscribe_padding,
)
from distdesc.errors import CampaignError

RADIUS = 5.0
leggauss = functools.cache(np.polynomial.legendre.leggauss)


@pytest.mark.parametrize("kind", BASES)
@pytest.mark.parametrize(("n_max", "l_max"), [(1, 0), (6, 4), (12, 6)])
def test_a_basis_is_orthonormal_with_the_weight_of_the_sphere(kind, n_max, l_max):
    basis, end, _ = BASES[kind](n_max, l_max, RADIUS)
    stop = min(end, 60.0)
    place, weight = leggauss(1500)
    r, weight = 0.5 * stop * (place + 1), 0.5 * stop * weight
    values = basis(r)
    assert values.shape == (len(r), l_max + 1, n_max)
    overlap = np.einsum("r,rln,rlm->lnm", weight * r * r, values, values)
    # dscribe's primitives are all but dependent, which takes half the digits at n_max 12
    tolerance = {6: 1e-7, 12: 1e-3}.get(n_max, 1e-10) if kind == "gto_dscribe" else 1e-8
    assert np.allclose(overlap, np.eye(n_max), atol=tolerance)


def test_eigenstates_of_the_laplacian_vanish_at_the_surface():
    basis, *_ = BASES["laplacian"](9, 12, RADIUS)
    assert np.abs(basis(np.array([RADIUS]))).max() < 1e-13


def test_gaussian_type_orbitals_are_smeared_as_the_closed_form_says():
    n_max, l_max, sigma = 4, 3, 0.4
    r = np.array([0.0, 0.3, 1.7, 3.3, 4.9])
    values = RadialBasis("gto", n_max, l_max, RADIUS, sigma)(r)
    k = np.arange(n_max)
    b = 0.5 / (RADIUS * np.sqrt(np.maximum(k, 1)) / n_max) ** 2
    q = 0.5 * (k[:, None] + k + 3)
    overlap = 0.5 * np.vectorize(gamma)(q) * (b[:, None] + b) ** -q
    scale = np.diag(overlap) ** -0.5
    w, v = np.linalg.eigh(overlap * scale[:, None] * scale)
    mix = scale[:, None] * (v / np.sqrt(w)) @ v.T
    a = b + 0.5 / sigma**2
    for l in range(l_max + 1):
        order = 0.5 * (k + l + 3)
        z = (r[:, None] / sigma**2) ** 2 / (4 * a)
        primitive = (
            sqrt(pi) / (4 * gamma(l + 1.5)) * (r[:, None] / (2 * sigma**2)) ** l
            * np.vectorize(gamma)(order) * a**-order * hyp1f1(order, l + 1.5, z)
        )  # fmt: skip
        front = 4 * pi * (pi * sigma**2) ** -0.75 * np.exp(-(r**2) / (2 * sigma**2))
        assert np.allclose(values[:, l], front[:, None] * primitive @ mix, atol=1e-11)


@pytest.mark.parametrize("kind", ["laplacian", "zernike"])
def test_other_functions_are_smeared_as_the_integral_says(kind):
    sigma, r = 0.7, 3.6
    values = RadialBasis(kind, 3, 2, RADIUS, sigma)(np.array([r]))[0]
    basis, *_ = BASES[kind](3, 2, RADIUS)
    for l in range(3):
        for n in range(3):

            def integrand(x, l=l, n=n):
                bessel = spherical_in(l, x * r / sigma**2)
                bell = np.exp(-(x * x + r * r) / (2 * sigma**2))
                return x * x * basis(np.array([x]))[0, l, n] * bell * bessel

            whole = quad(integrand, 0, RADIUS, epsabs=1e-13, epsrel=1e-12, limit=200)[0]
            expected = 4 * pi * (pi * sigma**2) ** -0.75 * whole
            assert values[l, n] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("sigma", [1.0, 2.5, 8.0])
@pytest.mark.parametrize(("kind", "n_max", "l_max"), [
    ("gto", 8, 6), ("gto_dscribe", 6, 6), ("laplacian", 12, 6), ("zernike", 6, 3),
])  # fmt: skip
def test_a_wide_gaussian_does_not_make_the_quadrature_coarse(kind, n_max, l_max, sigma):
    r = np.array([0.0, 1.7, 4.9])
    values = RadialBasis(kind, n_max, l_max, RADIUS, sigma)(r)
    basis, end, _ = BASES[kind](n_max, l_max, RADIUS)
    place, weight = leggauss(1000)
    x, weight = 0.5 * end * (place + 1), 0.5 * end * weight
    height = 1.0 if kind == "gto_dscribe" else (pi * sigma**2) ** -0.75
    functions = basis(x) * (4 * pi * height * weight * x * x)[:, None, None]
    for l in range(l_max + 1):
        bessel = ive(l + 0.5, x * r[:, None] / sigma**2 + 1e-30)
        bessel *= np.sqrt(0.5 * pi / (x * r[:, None] / sigma**2 + 1e-30))
        expected = (np.exp(-0.5 * ((x - r[:, None]) / sigma) ** 2) * bessel) @ functions[:, l]
        assert np.allclose(values[:, l], expected, atol=1e-12 * np.abs(values).max())


def test_the_average_over_directions_is_flat_at_the_centre():
    values = RadialBasis("laplacian", 4, 1, RADIUS, 0.3)(np.array([0.0, 1e-10, 1e-9, 1e-8]))
    assert np.allclose(values[:, 0], values[0, 0], rtol=1e-12, atol=0)
    assert np.allclose(values[1:, 1] / values[3, 1], [[0.01], [0.1], [1.0]], rtol=1e-9, atol=0)


def test_rounding_of_a_basis_does_not_depend_on_what_else_is_asked():
    # sixteen of these orbitals are nearly dependent, which magnifies rounding
    basis = RadialBasis("gto", 16, 4, RADIUS, 0.5)
    r = np.array([0.3, 1.0, 2.2])
    alone, among = basis(r), basis(np.append(r, 4.9))[:3]
    assert np.allclose(alone, among, rtol=0, atol=1e-14 * np.abs(alone).max())


def test_a_narrow_gaussian_is_a_point():
    sigma = 0.1
    r = np.linspace(0.5, 4.0, 9)
    points = RadialBasis("laplacian", 4, 3, RADIUS, 0.0)(r)
    smeared = RadialBasis("laplacian", 4, 3, RADIUS, sigma)(r)
    volume = (2 * pi * sigma**2) ** 1.5 * (pi * sigma**2) ** -0.75
    # to first order in sigma squared, a Gaussian adds half the Laplacian
    assert np.allclose(smeared / volume, points, atol=0.05)


def test_dependent_functions_are_refused():
    with pytest.raises(CampaignError, match="n_max must be smaller for this basis"):
        BASES["gto_dscribe"](16, 0, RADIUS)


def test_padding_is_where_a_gaussian_is_a_thousandth():
    assert np.exp(-0.5 * (dscribe_padding(0.4) / 0.4) ** 2) == pytest.approx(1e-3)


@pytest.mark.parametrize("l_max", [0, 1, 2, 6, 16])
def test_bessel_functions_agree_on_either_way_of_the_recurrence(l_max):
    z = np.geomspace(1e-3, 600, 400).reshape(4, 100)
    expected = [spherical_in(l, z) * np.exp(-z) for l in range(l_max + 1)]
    np.testing.assert_allclose(_scaled_bessel(l_max, z), expected, rtol=2e-13)


def test_overlaps_do_not_depend_on_the_other_distances():
    basis = RadialBasis("gto", 5, 4, RADIUS, 0.2)
    r = np.random.default_rng(0).uniform(0, RADIUS, 300)
    together = basis(r)
    one_by_one = np.concatenate([basis(r[k : k + 1]) for k in range(0, 300, 7)])
    np.testing.assert_allclose(together[::7], one_by_one, atol=1e-15 * np.abs(together).max())
