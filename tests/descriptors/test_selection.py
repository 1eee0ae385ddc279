"""Which invariants are chosen: as many as there can be, told apart, and always the same."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from distdesc.descriptors.density import n_moments, tensors
from distdesc.descriptors.invariants import Coupling
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.descriptors.selection import full_set, independent_set

ELEMENTS = ("H", "C", "N", "O", "F")


def descriptor(order, n_channels=1, **fields):
    if n_channels > 1:
        fields |= {"species": "channels", "elements": ELEMENTS[:n_channels]}
    return MomentInvariants(order=order, **fields)


def singular_values(of, seed=0):
    """Of the Jacobian by random moments, its rows scaled to one."""
    moments = np.random.default_rng(seed).normal(size=(1, of.n_moments))
    jacobian = of.invariants_jacobian(moments)[0]
    jacobian /= np.linalg.norm(jacobian, axis=1, keepdims=True)
    return np.linalg.svd(jacobian, compute_uv=False)


@pytest.mark.parametrize(
    ("order", "n_channels"),
    [(2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (9, 1), (1, 2), (2, 2), (3, 3), (5, 5)],
)
def test_independent_invariants_are_all_moments_but_three(order, n_channels):
    chosen = descriptor(order, n_channels)
    assert chosen.n_features == n_channels * n_moments(order) - 3
    values = singular_values(chosen)
    # those to march along gather errors from tensor to tensor
    assert values[-1] > (1e-11 if n_channels == 1 and order > 4 else 1e-6) * values[0]


def test_one_vector_has_two_invariants_for_its_rotations_fix_one_direction():
    chosen = descriptor(1)
    assert chosen.feature_names() == ("00", "11·11")
    assert singular_values(chosen)[-1] > 0.1


@pytest.mark.parametrize("order", range(1, 10))
def test_they_are_even_and_few_of_them_are_of_degree_four(order):
    chosen = independent_set(order, 1, False)
    assert not any(v.is_odd for v in chosen)
    degrees = [len(v.tensors) for v in chosen]
    assert max(degrees) <= 4
    assert degrees.count(4) <= (3 if order < 5 else (order + 1) // 2)


def test_signs_of_a_single_order_are_told_apart():
    # the published set does not see the sign of all moments with the same odd n
    chosen = descriptor(7)
    moments = np.random.default_rng(1).normal(size=(1, chosen.n_moments))
    before = chosen.invariants_of(moments)
    for odd in ((1,), (3,), (5,), (7,), (1, 3), (5, 7), (1, 7), (3, 5, 7)):
        flipped = moments.copy()
        for n, l, offset in tensors(7):
            if n in odd:
                flipped[:, offset : offset + 2 * l + 1] *= -1
        assert np.max(np.abs(chosen.invariants_of(flipped) - before)) > 0.1
    inverted = moments.copy()
    for n, l, offset in tensors(7):
        inverted[:, offset : offset + 2 * l + 1] *= (-1) ** n
    assert np.allclose(chosen.invariants_of(inverted), before, rtol=1e-12)


@pytest.mark.parametrize(("order", "n_channels"), [(4, 1), (7, 1), (2, 2), (1, 3)])
def test_pseudoscalars_are_added_on_top(order, n_channels):
    even = independent_set(order, n_channels, False)
    both = independent_set(order, n_channels, True)
    assert both[: len(even)] == even
    assert 1 <= len(both) - len(even) <= 5
    assert all(v.is_odd for v in both[len(even) :])
    odd = descriptor(order, n_channels, parity_odd=True)
    moments = np.random.default_rng(2).normal(size=(1, odd.n_moments))
    assert np.min(np.abs(odd.invariants_of(moments)[0, len(even) :])) > 1e-3


def test_the_full_set_is_complete_up_to_degree_three():
    # counted by hand for order 3: tensors 00 11 20 22 31 33
    even = full_set(3, 1, False)
    names = set(descriptor(3, invariants="full").feature_names())
    assert len(even) == len(names) == 14
    assert names == {
        "00", "20", "11·11", "11·31", "31·31", "22·22", "33·33",
        "[11,11]→22", "[11,31]→22", "[31,31]→22", "[11,22]→33", "[31,22]→33",
        "[22,22]→22", "[22,33]→33",
    }  # fmt: skip
    nine = full_set(9, 1, True)
    degrees = [len(v.tensors) for v in nine]
    assert [degrees.count(d) for d in (1, 2, 3)] == [5, 55, 956 + 495]
    assert sum(v.is_odd for v in nine) == 495


def test_the_full_set_has_the_rank_of_the_independent_one():
    values = singular_values(descriptor(5, invariants="full"))
    assert np.sum(values > 1e-10 * values[0]) == n_moments(5) - 3


def test_the_choice_is_the_same_in_every_process():
    code = (
        "from distdesc.descriptors.moment_invariants import MomentInvariants;"
        "print(' '.join(MomentInvariants().feature_names()))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert tuple(found.stdout.split()) == MomentInvariants().feature_names()


@pytest.mark.parametrize(
    ("order", "n_channels", "digest"),
    [
        (4, 1, "7e53f53fa9d6"),
        (5, 1, "6be6b48559ba"),
        (7, 1, "22ce4d151c5a"),
        (5, 3, "4e9764cd72cd"),
    ],
)
def test_the_choice_is_the_one_that_stores_were_written_with(order, n_channels, digest):
    # features of equal name are equal, but a fingerprint is the whole list: never change it
    names = " ".join(descriptor(order, n_channels).feature_names())
    assert hashlib.sha256(names.encode()).hexdigest()[:12] == digest


def test_channels_share_couplings_of_the_total_density():
    one = {v.left for v in independent_set(5, 1, False) if isinstance(v.left, Coupling)}
    five = {v.left for v in independent_set(5, 5, False) if isinstance(v.left, Coupling)}
    assert len(five) <= 3 * len(one)


def test_an_absent_element_leaves_the_others_described():
    chosen = descriptor(7, 3)
    size = n_moments(7)
    moments = np.random.default_rng(3).normal(size=(1, chosen.n_moments))
    moments[:, :size] = 0.0
    jacobian = chosen.invariants_jacobian(moments)[0, :, size:]
    singular = np.linalg.svd(jacobian, compute_uv=False)
    # not all: the numbers that tie the absent element to the others are lost
    assert np.sum(singular > 1e-9 * singular[0]) > 0.9 * (2 * size - 3)
