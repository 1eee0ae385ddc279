"""Pairs where the singular point itself is not their middle, and where there are none."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from reference.batches import random_rotation
from reference.families import at_one_distance, drawn, hydrogens, on_cone, spectrum
from reference.pairs import difference, verify
from scipy.optimize import least_squares

import distdesc
from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.singular.analysis import Options, analyse
from distdesc.singular.bounds import Bounds
from distdesc.singular.family import BARRED, pair_beside
from distdesc.singular.partner import find_pair
from distdesc.singular.point import Point
from distdesc.singular.reasons import Kind
from distdesc.singular.sight import Sight
from distdesc.singular.third_order import third_order

BLIND = Path(__file__).parent.parent.parent / "jobs" / "data" / "blind-spots.xyz"

TRIANGLES = np.array([
    [1, 0, 0.4], [-5 / 13, 12 / 13, 0.4], [-0.6, -0.8, 0.4],
    [0.6, 0.8, -0.4], [-63 / 65, 16 / 65, -0.4], [0.28, -0.96, -0.4], [0, 0, 0.8],
])  # fmt: skip
"""A scalene triangle, the same on the other side, turned, and one on their axis: rational."""


CHAIN = np.array([
    [0.6056087288896228, 0.70903862662735, 0.5653390026290658],
    [0.4888936865727948, -0.6998817632773549, -0.678420500214674],
    [-0.5582236340869523, 0.5654367535811778, -0.7468423839719136],
    [-0.7207126652391413, -0.5643838491789248, 0.5925791250123776],
])  # fmt: skip
"""Four at one distance, three of their products one after the other the same: two null motions."""


def seen_at(vectors, descriptor=None):
    sight = Sight(descriptor or spectrum(4, 8), hydrogens(vectors))
    found = sight.singular(vectors.ravel())
    return sight, found.motions[:, found.ratios < 1e-12]


def least_difference(sight, null, half):
    """Of the fingerprints of ends ``2 half`` apart along a null motion, wherever their middle."""
    start = sight.point.vectors.ravel()
    middles = sight.motions(start)
    sides = middles - np.outer(null, null @ middles)
    shifts = np.stack([np.hstack([middles, sides]), np.hstack([middles, -sides])])
    apart = np.stack([half * null, -half * null])

    def remainder(u):
        return np.subtract(*sight.features(start + half * shifts @ u + apart)) / half**3

    def slopes(u):
        jacobians = sight.jacobians(start + half * shifts @ u + apart)
        one, other = jacobians.transpose(0, 2, 1) @ shifts
        return (one - other) / half**2

    starts = np.random.default_rng(0).normal(size=(3, shifts.shape[2])) / 4
    options = {"xtol": 1e-14, "ftol": 1e-14, "gtol": 1e-14, "max_nfev": 100}
    found = [least_squares(remainder, u, slopes, bounds=(-3, 3), **options) for u in starts]
    return min(np.linalg.norm(f.fun) for f in found) * half**3


@pytest.mark.parametrize("row", [2, 3])
def test_the_cone_about_an_axis_has_a_pair_whose_middle_is_beside_it(row):
    around = distdesc.environments(ase.io.read(BLIND, row), 5.0).part(0, 1)
    kind = PowerSpectrum(n_max=4, l_max=6, radial="laplacian", sigma=0.0, elements=("H", "C"))
    found = analyse(kind, Point.of(around, 0), Options())
    assert found.kind is Kind.INCOMPLETENESS
    verify(found.pair)
    apart = found.pair.first.vectors - found.pair.second.vectors
    middle = (found.pair.first.vectors + found.pair.second.vectors) / 2
    aside = np.linalg.norm(middle - found.point.vectors)
    # about three like ones by turns: the ends are at 60 degrees from where the middle is, about x
    assert aside / (np.linalg.norm(apart) / 2) > 0.3


def test_the_middle_of_a_pair_of_the_cone_is_where_third_order_says():
    vectors = drawn(np.random.default_rng(3), on_cone)
    sight, nulls = seen_at(vectors)
    order = third_order(sight, nulls[:, 0])
    assert not order.free
    assert not order.barred
    middle = order.middles()[0]
    # rotating what three neighbours have in turn by 120 degrees: 1 / sqrt(3) in a plane that is
    # stretched, with the rest of J's complement at will
    assert np.linalg.norm(middle) > 0.4
    start, differences = vectors.ravel(), []
    for half in (0.02, 0.01):
        ends = np.stack([start + half * (middle + s * nulls[:, 0]) for s in (1, -1)])
        response = np.subtract(*sight.features(ends))
        # what J and the turning of J can make is for later orders
        j = sight.jacobians(start[None])[0]
        turn = sight.turns(start, nulls)[0]
        known = np.linalg.svd(np.vstack([j, turn]).T, full_matrices=False)
        known = known[0][:, known[1] > 1e-6 * known[1][0]]
        plain = np.subtract(*sight.features(start + half * np.stack([nulls[:, 0], -nulls[:, 0]])))
        rest = [r - known @ (known.T @ r) for r in (response, plain)]
        differences.append([np.linalg.norm(r) for r in rest])
    (far, plain_far), (near, plain_near) = differences
    assert plain_far / plain_near == pytest.approx(8, rel=0.1), "without the middle, the cube"
    assert near < 0.2 * plain_near
    assert far / near > 12, "with it, a higher power"


def test_where_no_middle_will_do_there_is_no_pair_and_it_is_said():
    sight, nulls = seen_at(TRIANGLES @ random_rotation(np.random.default_rng(1)).T, spectrum(5, 14))
    assert nulls.shape[1] == 1
    assert third_order(sight, nulls[:, 0]).barred
    assert pair_beside(sight, nulls, Bounds(reach=0.06)) == (None, BARRED)
    remaining = least_difference(sight, nulls[:, 0], 0.01)
    cone, along = seen_at(drawn(np.random.default_rng(3), on_cone))
    assert least_difference(cone, along[:, 0], 0.01) < 1e-5 * remaining, "where there are pairs"


def test_the_double_triangle_has_a_pair_some_way_off():
    # not next to it, as above: triangles whose sides take each other's place
    sight, nulls = seen_at(TRIANGLES @ random_rotation(np.random.default_rng(1)).T, spectrum(5, 14))
    pair, said = pair_beside(sight, nulls)
    verify(pair, least=0.01)
    assert pair.misfit > 0.1
    assert said.startswith("the middle of the pair is 0.")
    middle = (pair.first.vectors + pair.second.vectors) / 2
    assert 0.2 < np.linalg.norm(middle - sight.point.vectors) < 0.4


def test_beside_a_nearly_symmetric_point_the_pair_is_farther_on():
    # two like ones about an axis, one on it, and one 1e-4 Å off the plane of all
    vectors = np.array([[0.9, 1e-4, 0.5], [0.8, 0, -0.6], [-0.8, 0, -0.6], [0, 0, 1.1]])
    sight, nulls = seen_at(vectors @ random_rotation(np.random.default_rng(2)).T)
    assert nulls.shape[1] == 1
    assert find_pair(sight, nulls[:, 0]) is None, "the ends are mirror images, nearly"
    pair, said = pair_beside(sight, nulls)
    verify(pair, least=1e-4)
    assert "farther on" in said
    limits = Bounds().limits(sight.point.vectors.ravel(), 2.6)
    assert all(limits.admit(end.vectors.ravel()) for end in (pair.first, pair.second))


@pytest.mark.parametrize("angle", [0.0, 0.5, 1.1])
def test_of_several_nulls_it_does_not_matter_which_are_given(angle):
    sight, nulls = seen_at(drawn(np.random.default_rng(8), lambda rng: on_cone(rng, 0.0)))
    assert nulls.shape[1] == 2
    c, s = np.cos(angle), np.sin(angle)
    pair, _ = pair_beside(sight, nulls @ np.array([[c, -s], [s, c]]))
    verify(pair)


def test_a_pair_may_come_apart_along_a_mixture_of_null_motions_only():
    sight, nulls = seen_at(CHAIN, spectrum(4, 6, cutoff=4.0))
    assert nulls.shape[1] == 2
    nulls = np.linalg.qr(nulls @ nulls[:2].T)[0]  # the same ones on any machine
    c, s = np.cos(0.1), np.sin(0.1)
    nulls = nulls * np.sign(nulls[[0, 1], [0, 1]]) @ np.array([[c, -s], [s, c]])
    assert [find_pair(sight, motion) for motion in nulls.T] == [None, None]
    mixtures = [(nulls[:, 0] + sign * nulls[:, 1]) / np.sqrt(2) for sign in (1, -1)]
    assert any(find_pair(sight, motion) is not None for motion in mixtures)
    pair, said = pair_beside(sight, nulls)
    verify(pair)
    assert said == ""


def test_a_pair_of_one_basis_only_is_none():
    vectors = at_one_distance(np.random.default_rng(3), 4)
    sight, nulls = seen_at(vectors, spectrum(4, 3))
    assert nulls.shape[1] == 2
    pair = find_pair(sight, nulls[:, 0])
    assert pair is not None
    assert difference(spectrum(4, 8), pair) > 1e-6
    found, _ = pair_beside(sight, nulls[:, :1], Bounds(reach=0.03))
    assert found is None or difference(spectrum(4, 8), found) < 1e-12


def test_no_null_motion_has_no_pair():
    sight, _ = seen_at(drawn(np.random.default_rng(8), on_cone))
    assert pair_beside(sight, np.empty((12, 0))) == (None, "")
