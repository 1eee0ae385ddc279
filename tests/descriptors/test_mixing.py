"""How elements enter the densities of a spectrum."""

from __future__ import annotations

import numpy as np
import pytest
from reference.batches import batch

from distdesc.descriptors.expansion import DensityExpansion
from distdesc.descriptors.mixing import Mixing


def test_channels_are_the_elements_by_number():
    mixing = Mixing("channels", ("O", "H"))
    assert mixing.channels == ("H", "O")
    matrix = mixing.matrix()
    assert np.array_equal(matrix[[1, 8]], np.eye(2))
    assert matrix.sum() == 2


def test_an_embedding_is_given_in_the_order_of_the_elements():
    mixing = Mixing("embedding", ("O", "H"), embedding=((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)))
    assert mixing.channels == ("d0", "d1", "d2")
    assert mixing.matrix()[8].tolist() == [1.0, 2.0, 3.0]
    assert mixing.matrix()[1].tolist() == [4.0, 5.0, 6.0]


def test_a_seeded_embedding_has_unit_vectors_that_do_not_depend_on_the_other_elements():
    few, all_elements = Mixing("embedding", ("H", "O"), rank=4), Mixing("embedding", rank=4)
    assert np.allclose(np.linalg.norm(all_elements.matrix()[1:], axis=1), 1.0)
    assert np.array_equal(few.matrix()[[1, 8]], all_elements.matrix()[[1, 8]])
    assert not few.matrix()[6].any()


def test_weights_follow_the_rule_of_species():
    assert Mixing("weights").matrix()[6, 0] == 1.06
    assert Mixing("none").matrix()[6, 0] == 1.0
    assert Mixing("weights").channels == ("",)


@pytest.mark.parametrize("number", [-1, 256, 1000])
def test_atomic_numbers_beyond_a_byte_are_refused_before_they_reach_a_kernel(number):
    expansion = DensityExpansion(elements=("H",))
    with pytest.raises(ValueError, match="atomic numbers must be from 0 to 255"):
        expansion.coefficients(batch([([[1.0, 0.0, 0.0]], [number])]))
