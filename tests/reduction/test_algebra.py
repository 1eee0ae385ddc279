"""Linear algebra: right against LAPACK, and the same bits however the work is cut."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from distdesc.reduction.algebra import decompose, multiply, orthonormalise


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 4, 3), (7, 33, 5), (5, 70, 19), (3, 0, 2)])
def test_a_product_is_that_of_numpy(shape):
    n, inner, width = shape
    rng = np.random.default_rng(1)
    left, right = rng.normal(size=(n, inner)), rng.normal(size=(inner, width))
    assert np.allclose(multiply(left, right), left @ right, rtol=1e-13, atol=1e-13)


def test_a_row_of_a_product_depends_on_its_own_row_only_bit_for_bit():
    rng = np.random.default_rng(2)
    left, right = rng.normal(size=(9, 131)), rng.normal(size=(131, 23))
    whole = multiply(left, right)
    for start, stop in [(0, 1), (1, 2), (0, 3), (3, 9), (8, 9)]:
        assert np.array_equal(multiply(left[start:stop], right), whole[start:stop])
    assert np.array_equal(multiply(left[::-1], right), whole[::-1])


def test_a_product_is_summed_in_order_with_one_rounding_for_each_operation():
    rng = np.random.default_rng(3)
    left, right = rng.normal(size=(3, 37)), rng.normal(size=(37, 2))
    found = multiply(left, right)
    for i in range(3):
        for j in range(2):
            total = 0.0
            for k in range(37):
                term = float(Fraction(left[i, k]) * Fraction(right[k, j]))
                total = float(Fraction(total) + Fraction(term))
            assert found[i, j] == total


def test_factors_are_taken_in_any_form_and_left_alone():
    rng = np.random.default_rng(4)
    left, right = np.asfortranarray(rng.normal(size=(4, 6))), rng.normal(size=(6, 3))
    left.flags.writeable = False
    before = right.copy()
    assert np.allclose(multiply(left, right), left @ right)
    assert np.array_equal(right, before)


def test_orthonormal_columns_span_the_given_ones():
    columns = np.random.default_rng(5).normal(size=(40, 7)) * 10.0 ** -np.arange(7)
    basis, triangle = orthonormalise(columns)
    assert basis.shape == (40, 7)
    assert np.abs(basis.T @ basis - np.eye(7)).max() < 1e-14
    assert np.abs(basis @ triangle - columns).max() < 1e-14
    assert np.array_equal(triangle, np.triu(triangle))


def test_nearly_parallel_columns_become_orthogonal_to_rounding():
    rng = np.random.default_rng(6)
    first = rng.normal(size=30)
    columns = np.stack([first + 1e-9 * rng.normal(size=30) for _ in range(4)], axis=1)
    basis, _ = orthonormalise(columns)
    assert np.abs(basis.T @ basis - np.eye(4)).max() < 1e-14


def test_dependent_columns_are_left_out():
    rng = np.random.default_rng(7)
    columns = rng.normal(size=(20, 3)) @ rng.normal(size=(3, 8))
    columns[:, 2] = 0
    basis, triangle = orthonormalise(columns)
    assert basis.shape == (20, 3)
    assert np.abs(basis @ triangle - columns).max() < 1e-13


@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9), (1, 1)])
def test_singular_vectors_and_values_are_those_of_lapack(shape):
    matrix = np.random.default_rng(8).normal(size=shape)
    vectors, values = decompose(matrix)
    expected = np.linalg.svd(matrix)
    rank = min(shape)
    assert np.allclose(values[:rank], expected.S, rtol=1e-13)
    assert np.allclose(np.abs(np.sum(vectors[:, :rank] * expected.U[:, :rank], axis=0)), 1)


def test_small_eigenvalues_are_found_beside_large_ones():
    rng = np.random.default_rng(9)
    turn, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    eigenvalues = 10.0 ** -np.arange(8)
    vectors, values = decompose(turn @ np.diag(eigenvalues) @ turn.T)
    assert np.allclose(values, eigenvalues, rtol=1e-7)
    assert np.abs(vectors.T @ vectors - np.eye(8)).max() < 1e-8


def test_nothing_has_no_singular_vectors():
    vectors, values = decompose(np.zeros((3, 3)))
    assert not values.any()
    assert not vectors.any()
