"""Bispectrum and trispectrum against slow twins, averages over rotations and exact derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from reference.batches import batch, random_environment, random_rotation, row
from reference.spectra import bispectrum, coefficients, is_odd, overlap_kernel, trispectrum

from distdesc.descriptors.bispectrum import Bispectrum
from distdesc.descriptors.correlation_spectrum import MOST_FEATURES
from distdesc.descriptors.trispectrum import Trispectrum
from distdesc.errors import CampaignError

HCNO = ("H", "C", "N", "O")
SLOW = {3: bispectrum, 4: trispectrum}

DESCRIPTORS = [
    Bispectrum(species="none", n_max=2, l_max=3, parity_odd=True),
    Bispectrum(elements=HCNO, n_max=1, l_max=2, parity_odd=True, include_centre=True),
    Bispectrum(elements=("C", "H"), n_max=2, l_max=2, radial="laplacian", sigma=0.0),
    Trispectrum(species="weights", parity_odd=True),
    Trispectrum(elements=("H", "C"), n_max=1, l_max=2, include_centre=True),
    Trispectrum(species="none", n_max=1, l_max=4, parity_odd=True),
    Trispectrum(species="none", n_max=3, l_max=1),
]


def environments_of(descriptor, n=19):
    rng = np.random.default_rng(0)
    numbers = [1, 6, 7, 8] if len(descriptor.accepted_numbers) > 2 else [1, 6]
    sizes = rng.integers(0, 14, size=n)
    return batch([random_environment(rng, k, descriptor.cutoff, numbers) for k in sizes])


@pytest.fixture(params=DESCRIPTORS, ids=lambda d: f"{d.degree}-{d.species}-{d.n_max}-{d.l_max}")
def descriptor(request):
    return request.param


def test_fingerprints_agree_with_the_formula(descriptor):
    environments = environments_of(descriptor)
    values = descriptor.compute(environments)
    for k in (1, 16, 18):  # in the first and second block of lanes
        part = coefficients(descriptor, batch([row(environments, k)]))
        slow = SLOW[descriptor.degree](part[0], descriptor.parity_odd)
        assert np.max(np.abs(values[k] - slow)) < 1e-11 * max(1e-3, np.max(np.abs(slow)))


def test_contractions_of_any_coefficients_agree_with_the_formula(descriptor):
    rng = np.random.default_rng(1)
    shape = (len(descriptor.channels), (descriptor.l_max + 1) ** 2, descriptor.n_max)
    given = rng.normal(size=(18, *shape))
    values = descriptor.contract(given)
    for k in (0, 15, 17):
        slow = SLOW[descriptor.degree](given[k], descriptor.parity_odd)
        assert np.max(np.abs(values[k] - slow)) < 1e-12 * np.max(np.abs(slow))


def test_scalar_products_are_means_over_all_rotations(descriptor):
    rng = np.random.default_rng(2)
    shape = (len(descriptor.channels), (descriptor.l_max + 1) ** 2, descriptor.n_max)
    first, second = rng.normal(size=(2, *shape)) / np.sqrt(np.prod(shape))
    values = descriptor.contract(np.stack([first, second]))
    for a, b, product in [
        (first, first, values[0] @ values[0]),
        (first, second, values @ values[1]),
    ]:
        mean = overlap_kernel(a, b, descriptor.degree, improper=not descriptor.parity_odd)
        scale = values[0] @ values[0]
        assert abs(np.ravel(product)[0] - mean) < 1e-12 * scale


def test_features_are_independent_functions(descriptor):
    n = descriptor.n_features
    shape = (len(descriptor.channels), (descriptor.l_max + 1) ** 2, descriptor.n_max)
    given = np.random.default_rng(3).normal(size=(n + 20, *shape))
    values = descriptor.contract(given)
    assert np.linalg.matrix_rank(values / np.linalg.norm(values, axis=0)) == n


def test_rotation_and_reflection_act_to_rounding(descriptor):
    environments = environments_of(descriptor)
    before = descriptor.compute(environments)
    rotation = random_rotation(np.random.default_rng(4))
    sign = np.where(is_odd(descriptor), -1.0, 1.0)
    for matrix, expected in [(rotation, before), (-rotation, sign * before)]:
        turned = [row(environments, k) for k in range(len(environments))]
        after = descriptor.compute(batch([(v @ matrix.T, z) for v, z in turned]))
        scale = np.maximum(np.max(np.abs(before), axis=0), 1e-3 * np.max(np.abs(before)))
        assert np.all(np.abs(after - expected) <= 1e-12 * scale)
    assert np.any(is_odd(descriptor)) == descriptor.parity_odd


def test_the_jacobian_is_the_exact_derivative_of_the_polynomial(descriptor):
    rng = np.random.default_rng(5)
    numbers = [1, 6, 7, 8] if len(descriptor.accepted_numbers) > 2 else [1, 6]
    sizes = [3, 0, 1, 13, 5] + [2] * 14  # more environments, and more columns, than lanes
    environments = batch([random_environment(rng, k, 5.0, numbers) for k in sizes])
    centres = descriptor.coefficients(environments)
    slopes = descriptor.coefficient_derivatives(environments)
    weights = descriptor.mixing()[environments.numbers]
    jacobian = descriptor.jacobian(environments)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    steps = np.einsum("pc,pxln->pxcln", weights, slopes)
    # four points are exact for polynomials of fourth degree, whatever the step
    size = np.max(np.abs(centres)) / np.max(np.abs(steps))
    expected = np.zeros_like(jacobian)
    for k, weight in {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}.items():
        moved = (centres[owner, None] + k * size * steps).reshape(-1, *centres.shape[1:])
        expected += weight / size * descriptor.contract(moved).reshape(jacobian.shape)
    assert np.max(np.abs(jacobian - expected)) < 1e-12 * np.max(np.abs(expected))


def test_names_tell_densities_functions_and_momenta():
    small = Bispectrum(species="none", n_max=1, l_max=2)
    assert small.feature_names() == (
        "0·0·0 l0,0,0", "0·0·0 l0,1,1", "0·0·0 l0,2,2", "0·0·0 l1,1,2", "0·0·0 l2,2,2",
    )  # fmt: skip
    names = Bispectrum(elements=("C", "H"), n_max=2, l_max=1, parity_odd=True).feature_names()
    assert "H1·H0·C1 l0,1,1" in names
    assert "H0·H1·C0 l1,1,1" in names
    assert "H0·H0·C0 l1,1,1" not in names
    quartic = Trispectrum(species="none", n_max=1, l_max=2).feature_names()
    assert [name for name in quartic if "l1,1,2,2" in name] == [
        "0·0·0·0 l1,1,2,2 L0", "0·0·0·0 l1,1,2,2 L2",
    ]  # fmt: skip
    assert [name for name in quartic if "l1,1,1,1" in name] == ["0·0·0·0 l1,1,1,1 L0"]


@pytest.mark.parametrize("kind", [Bispectrum, Trispectrum])
def test_too_many_features_are_refused_at_once_and_say_what_to_lower(kind):
    with pytest.raises(CampaignError, match=r"n_max, l_max or the number of densities must be low"):
        kind(elements=HCNO, n_max=16, l_max=16)
    assert Trispectrum(elements=HCNO, n_max=3).n_features == 189_300 < MOST_FEATURES


@pytest.mark.parametrize(
    ("kind", "n_max", "l_max"), [(Bispectrum, 1, 4), (Bispectrum, 2, 2), (Trispectrum, 1, 3)]
)
def test_pseudoscalars_are_refused_where_there_are_none(kind, n_max, l_max):
    fields = {"species": "none", "n_max": n_max, "parity_odd": True}
    assert np.any(is_odd(kind(l_max=l_max, **fields)))
    with pytest.raises(CampaignError, match="n_max or l_max must be larger for parity_odd"):
        kind(l_max=l_max - 1, **fields)


def test_one_neighbour_has_only_the_features_of_its_distance():
    # all harmonics of one direction couple to one number: no angle, and no odd feature
    descriptor = Bispectrum(species="none", n_max=2, l_max=3, parity_odd=True)
    values = descriptor.compute(batch([([[0.3, -0.4, 1.2]], [1]), ([[0, 0, 1.3]], [1])]))
    assert np.allclose(values[0], values[1], rtol=1e-12, atol=1e-15)


def test_three_neighbours_have_the_value_of_the_formula():
    # With sigma 0 the feature of l = 1, 1, 1 of three radial functions is, up to a factor, the
    # determinant of a matrix times the triple product of the directions.
    descriptor = Bispectrum(
        species="none", n_max=3, l_max=1, radial="zernike", sigma=0.0, parity_odd=True
    )
    rng = np.random.default_rng(6)
    vectors, _ = random_environment(rng, 3, 4.0, (1,))
    r = np.linalg.norm(vectors, axis=1)
    radial = descriptor.radial_functions(r)[:, 1]
    front = (3 / (4 * np.pi)) ** 1.5 / np.sqrt(6)  # of three harmonics; of the 3j symbol
    triple = np.linalg.det(vectors / r[:, None])
    expected = np.sqrt(6) * front * np.linalg.det(radial) * triple
    place = descriptor.feature_names().index("0·1·2 l1,1,1")
    value = descriptor.compute(batch([(vectors, [1, 1, 1])]))[0, place]
    assert np.isclose(abs(value), abs(expected), rtol=1e-12)
