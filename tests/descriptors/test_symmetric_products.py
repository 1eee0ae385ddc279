"""Counts and bases of scalars, against the theory of characters and against plain tensors."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from distdesc.descriptors.correlations import feature_labels, n_correlations
from distdesc.descriptors.couplings import coupling_tensor
from distdesc.descriptors.symmetric_products import (
    Pattern,
    classified,
    momenta,
    n_scalars,
    patterns,
    scalars,
    sorted_products,
)


def n_invariants_of_power(degree, n_q, l_max):
    """Dimension of the rotation invariants in a symmetric power, from the weights m."""
    weights = [m for l in range(l_max + 1) for m in range(-l, l + 1) for _ in range(n_q)]
    size = 2 * degree * l_max + 1
    # table[d][sum of m]: multisets of d coefficients
    table = np.zeros((degree + 1, size), dtype=object)
    table[0, degree * l_max] = 1
    for m in weights:
        for d in range(1, degree + 1):
            table[d] += np.roll(table[d - 1], m)
    middle = degree * l_max
    return table[degree, middle] - (table[degree, middle + 1] if l_max else 0)


@pytest.mark.parametrize("degree", [3, 4])
@pytest.mark.parametrize(("n_q", "l_max"), [(1, 0), (3, 0), (1, 6), (2, 3), (5, 2), (8, 4)])
def test_there_are_as_many_features_as_invariants(degree, n_q, l_max):
    expected = n_invariants_of_power(degree, n_q, l_max)
    assert n_correlations(degree, n_q, l_max, True, 10**9) == expected


@pytest.mark.parametrize(("degree", "n_q", "l_max"), [(3, 4, 3), (4, 2, 3), (4, 3, 1)])
@pytest.mark.parametrize("odd", [False, True])
def test_labels_are_as_many_as_features_and_unique(degree, n_q, l_max, odd):
    labels = list(feature_labels(degree, n_q, l_max, odd))
    assert len(labels) == len(set(labels)) == n_correlations(degree, n_q, l_max, odd, 10**9)


def test_counting_stops_above_the_limit():
    every = n_correlations(3, 200, 16, True, 10**12)
    assert 1000 < n_correlations(3, 200, 16, True, 1000) < every


def test_products_are_all_there_once_and_sorted():
    for ls in momenta(4, 3, True):
        products = [tuple(q) for q in sorted_products(ls, 3).tolist()]
        tensors = {tuple(zip(ls, q, strict=True)) for q in products}
        assert len(products) == len(tensors)
        assert products == sorted(products)
        assert all(list(t) == sorted(t) for t in tensors)
        counts = [pattern.n_products(ls, 3) for pattern in patterns(ls)]
        assert sum(counts) == len(products)
        _, found, which = classified(ls, 3)
        for kind, pattern in enumerate(found):
            assert np.sum(which == kind) == pattern.n_products(ls, 3)


def test_multiplicity_is_the_number_of_sequences():
    for labels in [(0, 0, 0), (0, 1, 1), (0, 1, 2), (0, 0, 1, 1), (0, 1, 1, 2), (0, 0, 0, 1)]:
        assert Pattern(labels).multiplicity == len(set(permutations(labels)))


@pytest.mark.parametrize(
    "ls", [(0, 0, 2, 2), (1, 1, 1, 1), (1, 1, 1, 2), (2, 2, 2, 2), (1, 3, 3, 3)]
)
def test_scalars_are_orthonormal_and_symmetric_in_equal_tensors(ls):
    for pattern in patterns(ls):
        order = pattern.pairing
        a, b, c, d = (ls[k] for k in order)
        labels = [pattern.labels[k] for k in order]
        found = scalars(ls, pattern)
        plain = [
            np.einsum("ijm,klm->ijkl", coupling_tensor(a, b, l), coupling_tensor(c, d, l))
            for l in found.couplings
        ]
        tensors = [np.tensordot(f, plain, axes=(0, 0)) for f in found.factors]
        same = [p for p in permutations(range(4)) if [labels[k] for k in p] == labels]
        symmetric = [sum(t.transpose(p) for p in same) / len(same) for t in tensors]
        gram = np.array([[np.vdot(s, t) for t in symmetric] for s in symmetric])
        assert len(tensors) == n_scalars(ls, pattern) == len(found.leading)
        assert np.allclose(gram, np.eye(len(tensors)), rtol=0, atol=1e-12)
