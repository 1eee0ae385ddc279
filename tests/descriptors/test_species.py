"""Weights and channels of elements."""

from __future__ import annotations

import numpy as np

from distdesc.descriptors.species import Species


def test_published_weights_follow_from_the_elements():
    table = Species("weights", ("F", "O", "H", "C", "N")).weight_table()
    assert np.allclose(table[[1, 6, 7, 8, 9]], [1.1, 1.3, 1.5, 1.7, 1.9])
    assert np.count_nonzero(table) == 5


def test_without_elements_all_are_accepted_and_distinct():
    species = Species("weights")
    assert species.numbers == tuple(range(1, 119))
    weights = species.weight_table()[1:]
    assert np.isclose(weights[0], 1.01)
    assert len(set(weights)) == 118


def test_given_weights_belong_to_the_elements_in_their_order():
    table = Species("weights", ("O", "H"), (2.0, -0.5)).weight_table()
    assert table[8] == 2.0
    assert table[1] == -0.5


def test_channels_come_by_atomic_number_and_have_weight_one():
    species = Species("channels", ("O", "H", "C"))
    assert species.channels == ("H", "C", "O")
    assert species.channel_table()[[1, 6, 8, 7]].tolist() == [0, 1, 2, -1]
    assert np.all(species.weight_table()[[1, 6, 8]] == 1.0)


def test_none_makes_all_elements_equal():
    species = Species("none", ("H", "O"))
    assert species.numbers == (1, 8)
    assert species.channels == ("",)
    assert np.all(species.weight_table()[[1, 8]] == 1.0)
