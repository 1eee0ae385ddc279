"""Clebsch-Gordan coefficients and real coupling tensors."""

from __future__ import annotations

import numpy as np
import pytest
from reference.batches import random_rotation

from distdesc.descriptors.couplings import clebsch_gordan, coupling_tensor
from distdesc.descriptors.density import solid_harmonics

TRIPLES = [(1, 1, 2), (1, 2, 2), (2, 3, 4), (3, 3, 3), (5, 7, 6), (12, 11, 10)]


def test_coefficients_have_their_tabulated_values():
    assert np.isclose(clebsch_gordan(1, 1, 0)[2, 0, 0], 1 / np.sqrt(3))
    assert np.isclose(clebsch_gordan(1, 1, 1)[2, 1, 2], 1 / np.sqrt(2))
    assert np.isclose(clebsch_gordan(1, 1, 1)[1, 2, 2], -1 / np.sqrt(2))
    assert np.isclose(clebsch_gordan(2, 2, 2)[2, 2, 2], -np.sqrt(2 / 7))


@pytest.mark.parametrize("triple", TRIPLES, ids=str)
def test_coefficients_are_orthonormal(triple):
    table = clebsch_gordan(*triple)
    products = np.einsum("abi,abj->ij", table, table)
    assert np.max(np.abs(products - np.eye(len(products)))) < 1e-12


@pytest.mark.parametrize("triple", TRIPLES, ids=str)
def test_contraction_is_a_scalar_or_a_pseudoscalar(triple):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(3, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)

    def contract(p):
        harmonics = solid_harmonics(p, max(triple))
        parts = [harmonics[k, l * l : (l + 1) ** 2] for k, l in enumerate(triple)]
        return np.einsum("ijk,i,j,k->", coupling_tensor(*triple), *parts)

    value = contract(points)
    assert abs(value) > 1e-3
    assert np.isclose(contract(points @ random_rotation(rng).T), value, rtol=1e-10)
    assert np.isclose(contract(-points), (-1) ** sum(triple) * value, rtol=1e-10)


@pytest.mark.parametrize("triple", TRIPLES, ids=str)
def test_tensor_has_unit_norm_and_a_parity_under_exchange(triple):
    a, b, c = triple
    tensor = coupling_tensor(a, b, c)
    assert np.isclose(np.sum(tensor**2), 1)
    swapped = np.swapaxes(coupling_tensor(b, a, c), 0, 1)
    assert np.allclose(swapped, (-1) ** sum(triple) * tensor, rtol=0, atol=1e-14)
