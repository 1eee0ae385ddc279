"""The descriptor against its slow twin, the published code and known answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference.batches import batch, random_environment, row
from reference.expansion import real_invariants
from reference.published import complex_moments, published_invariants

from distdesc.descriptors.cutoff import ShiftedCosine
from distdesc.descriptors.density import moments, n_moments, tensors
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.descriptors.species import Species

DATA = Path(__file__).parent.parent / "data" / "moments_g2.npz"
HCNO = ("H", "C", "N", "O")

DESCRIPTORS = [
    MomentInvariants(),
    MomentInvariants(order=3, smoothing=0.0, species="none"),
    MomentInvariants(order=5, invariants="full", parity_odd=True, smoothing=5.0, elements=HCNO),
    MomentInvariants(order=4, species="channels", elements=HCNO, include_centre=True),
    MomentInvariants(order=2, species="channels", elements=HCNO, invariants="full"),
    MomentInvariants(order=12, cutoff=4.0, smoothing=1.0, include_centre=True),
]


def slow_moments(descriptor, vectors, numbers, centre_number):
    """Moments by plain NumPy, densities in rows."""
    if descriptor.include_centre:
        vectors = np.vstack([vectors, np.zeros(3)])
        numbers = np.append(numbers, centre_number)
    species = Species(descriptor.species, descriptor.elements, descriptor.weights)
    cutoff = ShiftedCosine(descriptor.cutoff, descriptor.smoothing)
    weights = species.weight_table()[numbers] * cutoff(np.linalg.norm(vectors, axis=1))
    channels = species.channel_table()[numbers]
    n_channels = len(species.channels)
    densities = np.array([np.where(channels == c, weights, 0.0) for c in range(n_channels)])
    return moments(vectors / descriptor.cutoff, densities, descriptor.order)


@pytest.mark.parametrize("descriptor", DESCRIPTORS, ids=lambda d: f"{d.order}-{d.species}")
def test_kernels_agree_with_their_slow_twins(descriptor):
    rng = np.random.default_rng(0)
    environments = batch(
        [random_environment(rng, n, 1.1 * descriptor.cutoff) for n in (0, 1, 2, 9, 40)]
    )
    values, expansion = descriptor.compute(environments), descriptor.moments(environments)
    assert descriptor.invariants_of(expansion).tobytes() == values.tobytes()
    offsets = {(n, l): offset for n, l, offset in tensors(descriptor.order)}
    for k in range(len(environments)):
        slow = slow_moments(descriptor, *row(environments, k), 6)
        scale = max(1.0, np.max(np.abs(slow)))
        assert np.max(np.abs(expansion[k] - slow.reshape(-1))) < 1e-12 * scale
        expected = real_invariants(slow, descriptor.invariant_list(), offsets)
        assert np.max(np.abs(values[k] - expected)) < 1e-11 * max(1.0, np.max(np.abs(expected)))


@pytest.mark.parametrize("descriptor", DESCRIPTORS, ids=lambda d: f"{d.order}-{d.species}")
def test_derivatives_by_moments_are_those_of_polynomials(descriptor):
    rng = np.random.default_rng(1)
    point = rng.normal(size=(1, descriptor.n_moments))
    direction = rng.normal(size=(1, descriptor.n_moments))
    steps = np.arange(-2, 3)[:, None]
    values = descriptor.invariants_of(point + steps * direction)
    # exact for polynomials up to degree four
    slope = (values[0] - 8 * values[1] + 8 * values[3] - values[4]) / 12
    jacobian = descriptor.invariants_jacobian(point)[0]
    assert np.allclose(jacobian @ direction[0], slope, rtol=0, atol=1e-9 * np.max(np.abs(slope)))


def test_the_published_cosine_cutoff_is_smoothing_equal_to_the_cutoff():
    with np.load(DATA, allow_pickle=False) as archive:
        positions, expected = archive["smooth/positions"], archive["smooth/invariants"]
    descriptor = MomentInvariants(cutoff=3.0, smoothing=3.0, species="none")
    environment = batch([(positions, np.ones(len(positions)))])
    found = complex_moments(descriptor.moments(environment)[0], 7)
    values, _ = published_invariants(found)
    assert np.max(np.abs(values - expected)) < 1e-10 * np.max(np.abs(expected))


def test_full_rank_by_positions_where_neighbours_are_in_general_position():
    rng = np.random.default_rng(2)
    environment = batch([random_environment(rng, 9, 4.5)])
    jacobian = MomentInvariants().jacobian(environment).reshape(27, -1)
    singular = np.linalg.svd(jacobian, compute_uv=False)
    assert np.sum(singular > 1e-9 * singular[0]) == 27 - 3


def test_only_pseudoscalars_tell_mirror_images_apart():
    rng = np.random.default_rng(3)
    vectors, numbers = random_environment(rng, 5, 4.5)
    pair = batch([(vectors, numbers), (vectors * [1, 1, -1], numbers)])
    even, both = MomentInvariants(), MomentInvariants(parity_odd=True)
    assert np.allclose(*even.compute(pair), rtol=1e-10, atol=1e-12)
    left, right = both.compute(pair)[:, even.n_features :]
    assert np.allclose(left, -right, rtol=1e-9, atol=1e-12)
    assert np.max(np.abs(left)) > 1e-4
    planar = batch([(vectors * [1, 1, 0], numbers)])
    flat = both.compute(planar)[0, even.n_features :]
    assert np.max(np.abs(flat)) < 1e-12


def test_a_bound_centre_adds_its_weight_to_the_scalars_alone():
    rng = np.random.default_rng(4)
    environments = batch([random_environment(rng, 6, 4.0), ([], [])], centre_number=8)
    without = MomentInvariants(elements=HCNO)
    with_centre = MomentInvariants(elements=HCNO, include_centre=True)
    change = with_centre.moments(environments) - without.moments(environments)
    functions = moments(np.zeros((1, 3)), np.array([1.875]), 7)
    assert np.allclose(change, functions, rtol=0, atol=1e-13)


def test_species_are_seen_in_weights_and_in_channels_but_not_without():
    vectors = [[1.0, 0, 0], [0, 1.2, 0], [0, 0.3, 1.4]]
    pair = batch([(vectors, [1, 6, 8]), (vectors, [1, 8, 6])])
    for species, seen in (("weights", True), ("channels", True), ("none", False)):
        first, second = MomentInvariants(species=species, elements=HCNO, order=4).compute(pair)
        assert (np.max(np.abs(first - second)) > 1e-3) == seen


def test_a_neighbour_on_the_centre_gives_no_nan():
    environments = batch([([[0, 0, 0], [1.0, 0.5, 0.2]], [1, 1])])
    for smoothing in (0.5, 5.0):
        jacobian = MomentInvariants(smoothing=smoothing).jacobian(environments)
        assert np.all(np.isfinite(jacobian))


@pytest.mark.parametrize("smoothing", [0.0, 0.5, 5.0])
def test_what_lies_on_or_beyond_the_cutoff_is_not_there(smoothing):
    vectors, numbers = random_environment(np.random.default_rng(6), 8, 4.9)
    more = np.vstack([[5.0, 0, 0], vectors, [[0, 0, -5.0], [3.0, 4.0, 1.0]]])
    descriptor = MomentInvariants(smoothing=smoothing, species="none")
    without = descriptor.compute(batch([(vectors, numbers)]))
    within = batch([(more, [1, *numbers, 1, 1])])
    assert descriptor.compute(within).tobytes() == without.tobytes()
    jacobian = descriptor.jacobian(within)
    assert not np.any(jacobian[[0, -2, -1]])
    assert np.any(jacobian[1:-2], axis=(1, 2)).all()


def test_results_do_not_depend_on_where_in_a_block_an_environment_lies():
    rng = np.random.default_rng(5)
    environment = random_environment(rng, 12, 4.0)
    others = [random_environment(rng, n, 4.0) for n in rng.integers(0, 30, size=40)]
    descriptor = MomentInvariants(order=5)
    alone = descriptor.compute(batch([environment]))
    for place in (0, 7, 15, 16, 39):
        mixed = batch([*others[:place], environment, *others[place:]])
        assert descriptor.compute(mixed)[place : place + 1].tobytes() == alone.tobytes()


def test_read_only_arrays_are_taken_without_compiling_anew():
    from distdesc.descriptors import _moment_kernels

    descriptor = MomentInvariants(order=3)
    environments = batch([([[1.0, 0, 0]], [1])])
    descriptor.compute(environments)
    before = len(_moment_kernels.fingerprints.signatures)
    for value in vars(environments).values():
        value.flags.writeable = False
    descriptor.compute(environments)
    assert len(_moment_kernels.fingerprints.signatures) == before


def test_work_is_counted_from_the_tables():
    table = MomentInvariants().table()
    assert table.n_operations > 3 * len(table.term_factor)
    count = MomentInvariants().operations
    assert count(18) - count(17) == count(1) - count(0) > 2 * 120
    assert count(0) > table.n_operations
    assert MomentInvariants().n_moments == n_moments(7) == 120


def test_names_of_two_digit_orders_are_unambiguous():
    names = MomentInvariants(order=11).feature_names()
    assert len(set(names)) == len(names)
    assert "10:0" in names
    assert "1:1·11:1" in names


def test_names_in_channels_carry_their_element():
    names = MomentInvariants(order=3, species="channels", elements=("O", "H")).feature_names()
    assert names[0] == "H00"
    assert "H11·H11" in names
    assert any(name.startswith("[") and "→O" in name for name in names)
