"""What tuples of neighbours see in a complete basis is what the known answers say, exactly."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from reference.exact_ranks import PRIME, exact_rank
from reference.families import (
    POINTS,
    drawn,
    folded_at_mirror,
    hydrogens,
    merged_on_axis,
    on_cone,
    spectrum,
)
from reference.sensitivity import nulls

from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.errors import CampaignError
from distdesc.singular.ladder import weights_of
from distdesc.singular.motions import trivial_motions
from distdesc.singular.point import Point, as_environments
from distdesc.singular.tuples import class_rows, pooled_class_rows
from distdesc.structures.environment import Environments

ORDERS = {
    "nu1": (1, False), "nu2": (2, False), "nu3_O3": (3, False), "nu3_SO3": (3, True),
    "nu4_O3": (4, False), "nu4_SO3": (4, True),
}  # fmt: skip


def n_motions(vectors):
    return (
        3 * len(vectors) - trivial_motions(np.asarray(vectors, dtype=float), "rotations").shape[1]
    )


def float_nulls(vectors, numbers, order, odd=False, **options):
    rows = class_rows(np.asarray(vectors), np.asarray(numbers), order, odd, **options)
    sizes = np.linalg.svd(np.linalg.qr(rows, mode="r"), compute_uv=False)
    return n_motions(vectors) - int(np.sum(sizes > 1e-9 * sizes[0]))


def exact_nulls(coordinates, order, odd=False, numbers=None):
    vectors = [[float(Fraction(x)) for x in row] for row in coordinates]
    return n_motions(vectors) - exact_rank(coordinates, numbers or [1] * len(vectors), order, odd)


def rational(rng, size):
    return [Fraction(int(k), 60) for k in rng.integers(20, 80, size=size)]


def on_circle(rng, radius=1):
    """Rational point of a circle."""
    t = Fraction(int(rng.integers(1, 40)), 13)
    return [radius * (1 - t * t) / (1 + t * t), radius * 2 * t / (1 + t * t)]


def test_ranks_that_are_known_exactly_come_out_exactly_and_in_floats(oracle):
    environments = oracle("environments_exact_rational")
    assert len(environments) >= 12
    for environment in environments:
        coordinates = environment["neighbour_positions_rational"]
        numbers = environment["neighbour_numbers"]
        expected = environment["expected_nontrivial_nulls_complete_basis"]
        found = {k: exact_nulls(coordinates, *o, numbers=numbers) for k, o in ORDERS.items()}
        assert found == expected, environment["name"]
        vectors = environment["neighbour_positions"]
        in_floats = {k: float_nulls(vectors, numbers, *o) for k, o in ORDERS.items()}
        assert in_floats == expected, environment["name"]


def test_all_environments_have_the_nulls_of_their_order(oracle):
    environments = oracle("environments")
    assert len(environments) >= 22
    for environment in environments:
        vectors = environment["neighbour_positions"]
        numbers = environment["neighbour_numbers"]
        expected = environment["expected_nontrivial_nulls_complete_basis"]
        found = {k: float_nulls(vectors, numbers, *o) for k, o in ORDERS.items()}
        assert found == expected, environment["name"]


@pytest.mark.parametrize("seed", range(3))
def test_families_of_singular_points_have_one_null_each_in_exact_arithmetic(seed):
    rng = np.random.default_rng(seed)
    first, pair, (top,) = rational(rng, 3), rational(rng, 3), rational(rng, 1)
    merged = [first, pair, [-pair[0], -pair[1], pair[2]], [0, 0, top]]
    height = rational(rng, 1)[0] / 2
    cone = [[*on_circle(rng), height] for _ in range(3)] + [[0, 0, top]]
    flat = [[*row[:2], 0] for row in cone[:3]] + [[0, 0, top]]
    assert [exact_nulls(merged, order) for order in (1, 2, 3)] == [6, 1, 0]
    assert [exact_nulls(cone, order) for order in (2, 3)] == [1, 0]
    assert [exact_nulls(flat, order) for order in (2, 3)] == [2, 0]
    generic = [rational(rng, 3) for _ in range(4)]
    assert [exact_nulls(generic, order) for order in (1, 2)] == [5, 0]


def test_a_singular_bispectrum_is_one_in_exact_arithmetic():
    ring = [["3/5", "4/5"], ["3/5", "-4/5"], ["1", "0"]]
    c, s = Fraction(12, 13), Fraction(5, 13)
    ring = [[Fraction(x) for x in row] for row in ring]
    above = [[x, y, Fraction(2, 5)] for x, y in ring]
    below = [[c * x - s * y, s * x + c * y, Fraction(-2, 5)] for x, y in ring]
    points = [*above, *below, [0, 0, Fraction(4, 5)]]
    for odd in (False, True):
        assert [exact_nulls(points, order, odd) for order in (2, 3, 4)] == [6, 1, 0]


def test_the_smallest_of_perturbations_counts_exactly():
    tiny = Fraction(1, 10**15)
    square = [[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]]
    assert exact_nulls(square, 2) == 8
    other = [[1 + tiny, 0, tiny], [0, 1 + 2 * tiny, 3 * tiny], [-1, 4 * tiny, 0], [0, -1, 5 * tiny]]
    assert exact_nulls(other, 2) == 0
    assert float_nulls([[float(x) for x in row] for row in other], [1] * 4, 2) == 8


def test_large_numbers_do_not_overflow():
    big = 10**7 + 19
    points = [[big, 3, 7], [5, big + 2, 11], [13, 17, big + 4], [big, big + 6, 19]]
    assert [exact_nulls(points, order) for order in (1, 2, 3)] == [5, 0, 0]


@pytest.mark.parametrize("family", [merged_on_axis, folded_at_mirror, on_cone])
def test_no_finite_basis_sees_what_tuples_do_not_see(family):
    vectors = drawn(np.random.default_rng(7), family)
    environments = as_environments([hydrogens(vectors)])
    expected = float_nulls(vectors, [1] * 4, 2)
    for n_max, l_max in [(2, 4), (4, 6), (5, 9)]:
        descriptor = spectrum(n_max, l_max)
        count, _, _ = nulls(vectors, descriptor.jacobian(environments), tolerance=1e-11)
        assert count >= expected
    assert count == expected


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (1.0, 2.0, 3.0)])
def test_weighted_elements_count_as_in_a_descriptor_that_weighs_them(weights):
    vectors = drawn(np.random.default_rng(3), on_cone)
    numbers = np.array([1, 8, 9, 1])
    assert float_nulls(vectors, numbers, 2) == 0, "each element has a density of its own"
    point = Point(vectors, numbers, 6)
    descriptor = PowerSpectrum(
        cutoff=2.6, species="weights", elements=("H", "O", "F"), weights=weights,
        n_max=5, l_max=9, **POINTS,
    )  # fmt: skip
    count, smallest, _ = nulls(vectors, descriptor.jacobian(as_environments([point])))
    own = weights_of(descriptor, point)[:, 0]
    assert own.tolist() == [weights[(1, 8, 9).index(z)] for z in numbers]
    assert float_nulls(vectors, numbers, 2, weights=own) == count == 1
    assert smallest > 1e-5


def test_a_tuple_counts_with_the_weights_of_its_neighbours():
    vectors, numbers = np.array([[1.0, 0, 0], [0, 1.0, 0]]), np.array([1, 8])
    rows = class_rows(vectors, numbers, 1, weights=np.array([1.0, 3.0]))
    assert rows.tolist() == [[2, 0, 0, 0, 6, 0]]
    near = Environments(
        np.array([0, 1, 2]), np.stack([vectors[0], -vectors[0]]), numbers[::-1],
        np.array([1, 0]), np.array([0, 1]), numbers,
    )  # fmt: skip
    rows = pooled_class_rows(near, 1, True, weights=np.array([1.0, 3.0]))
    assert rows.tolist() == [[-2, 0, 0, 2, 0, 0], [-6, 0, 0, 6, 0, 0]]


def test_what_is_independent_counts_though_it_is_not_so_modulo_the_prime():
    assert exact_rank([[1, 0, 0], [3, PRIME, 0]], [1, 1], 2) == 3
    assert exact_rank([[1, 0, 0], [3, 0, 0]], [1, 1], 2) == 2, "two radii"


def test_nothing_has_no_rows():
    assert class_rows(np.empty((0, 3)), np.empty(0, dtype=int), 2).shape == (0, 0)


def test_too_many_tuples_are_refused():
    with pytest.raises(CampaignError, match="neighbours must be fewer"):
        class_rows(np.ones((60, 3)), np.ones(60, dtype=int), 3)
