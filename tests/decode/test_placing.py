"""Atoms beyond the capacity of linear algebra: frames, starts, exchange of elements."""

from __future__ import annotations

import numpy as np
import pytest

from distdesc.decode._placing_kernels import _products, _solve, fit_places
from distdesc.decode.atoms import NOTHING, Chemistry
from distdesc.decode.decoder import Decoder, Verdict
from distdesc.decode.exchanging import exchanged
from distdesc.decode.fingerprints import of_descriptor
from distdesc.decode.frame import frames_of
from distdesc.decode.match import match
from distdesc.decode.moment_problem import capacity
from distdesc.decode.placing import crowded, place
from distdesc.decode.starts import _merged, _scattered
from distdesc.decode.totals import Totals
from distdesc.descriptors.density import harmonic_recurrence, moments, zernike_functions
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.descriptors.zernike import zernike_coefficients

PAPER = {"elements": ("H", "C", "N", "O", "F"), "weights": (1.1, 1.3, 1.5, 1.7, 1.9)}
EQUAL = {"species": "none"}


def descriptor_of(order=7, cutoff=5.0, smoothing=0.0, **options):
    options = options or PAPER
    return MomentInvariants(
        cutoff=cutoff, order=order, smoothing=smoothing, invariants="full", **options
    )


def random_atoms(n, seed, shape=(3.2, 3.0, 2.4), apart=1.0):
    """Positions in an ellipsoid, in Å, and elements, mostly hydrogen and carbon."""
    rng = np.random.default_rng(seed)
    places = []
    while len(places) < n:
        place = rng.uniform(-1, 1, 3)
        if np.linalg.norm(place) < 1 and all(
            np.linalg.norm((place - other) * shape) > apart for other in places
        ):
            places.append(place)
    return np.array(places) * shape, rng.choice([1, 1, 6, 6, 7, 8], n)


def placed(descriptor, positions, numbers, seed=0):
    """What `place` finds, and how far it is off."""
    points = positions / descriptor.cutoff
    own = of_descriptor(descriptor)
    weights = descriptor.weight_table()[numbers]
    values = weights @ own.basis(points)[0]
    rng = np.random.default_rng(seed)
    found = place(
        values, descriptor.order, Chemistry(descriptor), own.of_moments(values), rng
    )  # fmt: skip
    return found, match(found.points * descriptor.cutoff, found.numbers, positions, numbers, True)


@pytest.mark.parametrize("n", [21, 26])
def test_more_atoms_than_linear_algebra_can_hold_are_placed_with_their_elements(n):
    assert n > capacity(7)
    found, off = placed(descriptor_of(), *random_atoms(n, n))
    assert found.residual < 1e-8
    assert found.sure
    assert off.max_error < 1e-3
    assert off.species_ok


@pytest.mark.parametrize("n", [6, 24, 32])
def test_atoms_of_one_weight_are_placed(n):
    positions, numbers = random_atoms(n, n + 1)
    found, off = placed(descriptor_of(**EQUAL), positions, np.ones_like(numbers))
    assert found.residual < 1e-8
    assert off.max_error < 1e-3


def test_the_decoder_finds_more_atoms_than_linear_algebra_can_hold():
    descriptor = descriptor_of()
    positions, numbers = random_atoms(23, 3)
    weights = descriptor.weight_table()[numbers]
    fingerprint = of_descriptor(descriptor).of_points(positions / descriptor.cutoff, weights)
    found = Decoder(descriptor).decode(fingerprint)
    off = match(found.positions, found.numbers, positions, numbers, True)
    assert found.verdict is Verdict.EXACT
    assert off.max_error < 1e-3
    assert off.species_ok


def test_the_same_seed_finds_the_same_atoms_to_the_last_bit():
    positions, numbers = random_atoms(22, 5)
    one, _ = placed(descriptor_of(), positions, numbers, seed=4)
    other, _ = placed(descriptor_of(), positions, numbers, seed=4)
    assert np.array_equal(one.points, other.points)
    assert np.array_equal(one.numbers, other.numbers)


def test_more_atoms_on_a_line_than_weights_can_be_told_of_are_found_by_their_elements():
    x = np.array([-4.0, -2.94, -1.73, -0.36, 0.85, 2.22, 3.38])  # H-C5-N, as in cyanobutadiyne
    numbers = np.array([1, 6, 6, 6, 6, 6, 7])
    positions = np.outer(x - x.mean(), [0.6, 0.64, 0.48])
    assert 2 * len(x) > 10  # moments of order 9 on a line
    found, off = placed(descriptor_of(order=9), positions, numbers)
    assert found.residual < 1e-10
    assert found.sure
    assert off.max_error < 1e-3
    assert off.species_ok


def test_where_any_elements_fit_the_answer_is_not_called_sure():
    x = np.array([-4.0, -2.94, -1.73, -0.36, 0.85, 2.22, 3.38])
    positions = np.outer(x - x.mean(), [0.6, 0.64, 0.48])
    found, _ = placed(descriptor_of(order=7), positions, np.array([1, 6, 6, 6, 6, 6, 7]))
    assert found.residual < 1e-8
    assert not found.sure


def test_more_atoms_in_a_plane_than_linear_algebra_can_hold_are_placed():
    angles = np.arange(6) * np.pi / 3
    ring = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    positions, numbers = np.concatenate([1.39 * ring, 2.48 * ring]), np.repeat([6, 1], 6)
    assert len(numbers) > 10  # polynomials of degree 3 in a plane
    found, off = placed(descriptor_of(), positions, numbers)
    assert found.residual < 1e-8
    assert off.max_error < 1e-3
    assert off.species_ok


def test_no_atoms_are_found_in_moments_of_none():
    descriptor = descriptor_of()
    chemistry = Chemistry(descriptor)
    positions, numbers = random_atoms(22, 6)
    weights = descriptor.weight_table()[numbers]
    values = moments(positions / 5, weights, 7)
    fingerprint = of_descriptor(descriptor).of_moments(values)
    rng = np.random.default_rng(0)
    for wrong in (np.full(120, np.nan), -values, np.zeros(120)):
        assert place(wrong, 7, chemistry, fingerprint, rng) is NOTHING
        assert not crowded(wrong, 7)
    wild = np.concatenate([values[:1], 3 * rng.normal(size=119)])
    assert place(wild, 7, chemistry, fingerprint, rng, starts=6).residual > 1e-3


def test_moments_say_whether_there_may_be_more_atoms_than_fit():
    for n, expected in ((12, False), (24, True)):
        positions, _ = random_atoms(n, n)
        assert crowded(moments(positions / 5, np.ones(n), 7), 7) is expected


@pytest.mark.parametrize("order", [4, 7])
def test_moments_in_the_frame_are_those_of_the_places_there(order):
    positions, _ = random_atoms(9, 1, shape=(3.0, 2.2, 1.5), apart=0.7)
    points, weights = 0.2 + positions / 6, np.linspace(1, 2, 9)
    (frame,) = frames_of(moments(points, weights, order), order)
    places = np.linalg.solve(frame.stretch, (points - frame.centre).T).T
    assert np.allclose(frame.in_ball(places), points)
    expected = weights @ zernike_functions(places, order)
    assert np.allclose(frame.target, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    spread = (weights[:, None] * places).T @ places / weights.sum()
    assert np.allclose(spread, np.diag(frame.widths**2), atol=1e-8)


def test_a_plane_and_a_line_have_frames_of_fewer_dimensions():
    positions, _ = random_atoms(9, 2)
    for axes, expected in ((3, [3]), (2, [2]), (1, [1])):
        flat = positions / 5 * (np.arange(3) < axes)
        frames = frames_of(moments(flat, np.ones(9), 5), 5)
        assert [frame.axes for frame in frames] == expected
    nearly = positions / 5 * [1, 1, 1e-3]
    frames = frames_of(moments(nearly, np.ones(9), 5), 5)
    assert [frame.axes for frame in frames] == [3, 2]
    # what is held for flat has only such moments as flat places have
    flat = frames[1].functions(_scattered(60, 2, np.random.default_rng(0)))[0]
    assert np.linalg.matrix_rank(flat, tol=1e-8) == frames[1].equations == 21
    rest = frames[1].target - np.linalg.lstsq(flat.T, frames[1].target)[0] @ flat
    assert np.linalg.norm(rest) < 1e-9 * np.linalg.norm(frames[1].target)


def test_the_compiled_fit_goes_where_the_slow_one_goes():
    rng = np.random.default_rng(0)
    points = _scattered(8, 3, rng)
    weights = rng.uniform(1, 2, 8)
    target = weights @ zernike_functions(points, 5)
    start, guess = points + 0.05 * rng.normal(size=(8, 3)), weights + 0.1 * rng.normal(size=8)
    wanted, pull = np.full(8, 1.5), 0.4

    def cost(places, own):
        off = own @ zernike_functions(places, 5) - target
        return off @ off + pull**2 * np.sum((own - wanted) ** 2)

    basis = (np.array(harmonic_recurrence(5)), np.array(zernike_coefficients(5)))
    places, own = start.copy(), guess.copy()
    left = fit_places(target, places, own, 3, wanted, pull, basis, 200, 0.0, 1e-12, 2.5)
    off = own @ zernike_functions(places, 5) - target
    assert np.isclose(left, off @ off)
    least = cost(places, own)
    assert least < 0.1 * cost(start, guess)
    for _ in range(50):  # no small step leads lower
        step, change = 1e-4 * rng.normal(size=(8, 3)), 1e-4 * rng.normal(size=8)
        assert cost(places + step, own + change) > least
    fit_places(target, start, guess, 3, guess.copy(), 0.0, basis, 200, 0.0, 1e-12, 2.5)
    assert np.allclose(start, points, atol=1e-6)
    assert np.allclose(guess, weights, atol=1e-6)


@pytest.mark.parametrize("n", [1, 4, 7, 18])
def test_the_compiled_products_and_solutions_are_those_of_numpy(n):
    rng = np.random.default_rng(n)
    rows = rng.normal(size=(n, 31))
    out = np.zeros((n, n))
    _products(rows, out)
    assert np.allclose(np.tril(out), np.tril(rows @ rows.T))
    vector = rng.normal(size=n)
    expected = np.linalg.solve(rows @ rows.T, vector)
    assert _solve(out, vector)
    assert np.allclose(vector, expected)
    assert not _solve(-np.eye(n), np.ones(n))


def test_exchanged_elements_find_their_places_again():
    positions, numbers = random_atoms(11, 8)
    levels = np.array(PAPER["weights"])
    weights = levels[np.minimum(numbers - 5, 4) * (numbers > 1)]
    (frame,) = frames_of(moments(positions / 4, weights, 5), 5)
    places = np.linalg.solve(frame.stretch, (positions / 4 - frame.centre).T).T
    wrong = weights.copy()
    light, heavy = np.argmin(wrong), np.argmax(wrong)
    wrong[[light, heavy]] = wrong[[heavy, light]]
    found, own, misfit = exchanged(frame, places, wrong, levels)
    assert misfit < 1e-20
    assert np.allclose(own, weights)
    assert np.allclose(found, places, atol=1e-6)


def test_totals_tell_numbers_of_atoms_and_draw_their_weights():
    totals = Totals(np.array([1.1, 1.3, 1.7]), 2 * 1.1 + 1.3 + 1.7, 5)
    assert [n for n in range(1, 6) if totals.reached(n)] == [4]
    drawn = totals.drawn(4, np.random.default_rng(0))
    assert np.isclose(drawn.sum(), totals.total)
    assert set(drawn) <= {1.1, 1.3, 1.7}
    assert totals.ways(4) == pytest.approx(np.log10(81 / len(totals._sums[4])))
    many = Totals(np.linspace(1, 2, 90) ** 2, 40.0, 20)
    assert not many.known
    assert many.reached(20)


def test_atoms_that_coincide_become_one_and_those_of_no_weight_none():
    places = np.array([[0.0, 0, 0], [0.02, 0, 0], [0.5, 0, 0], [0, 0.7, 0]])
    points, weights = _merged(places, np.array([0.5, 0.7, 1.0, 0.001]), 0.1)
    assert np.allclose(weights, [1.2, 1.0])
    assert np.allclose(points, [[0.7 * 0.02 / 1.2, 0, 0], [0.5, 0, 0]])
