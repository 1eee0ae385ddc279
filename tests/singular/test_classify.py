"""Null motions are told apart: symmetry, cutoff, truncation, incompleteness."""

from __future__ import annotations

import numpy as np
import pytest
from reference.families import (
    POINTS,
    TETRAHEDRON,
    at_one_distance,
    drawn,
    folded_at_mirror,
    hydrogens,
    merged_on_axis,
    of_two_triangles,
    on_cone,
    spectrum,
)

from distdesc.descriptors.bispectrum import Bispectrum
from distdesc.descriptors.dscribe_soap import DscribeSoap
from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.descriptors.radial_spectrum import RadialSpectrum
from distdesc.elements import SYMBOLS
from distdesc.singular.classify import classify, symmetry_of
from distdesc.singular.ladder import alike, body_order, larger, of_order
from distdesc.singular.look import look
from distdesc.singular.point import Point
from distdesc.singular.reasons import Kind
from distdesc.singular.sight import Sight, focused


def counts(descriptor, point, tolerance=1e-6, null=1e-9):
    """Null motions by the name of their kind."""
    symmetry = symmetry_of(descriptor, point, tolerance)
    point = point.at(symmetry.symmetrised(point.vectors))
    seen = Sight(descriptor, point).singular(point.vectors.ravel())
    found = classify(descriptor, point, seen.motions[:, seen.ratios <= null], symmetry)
    every = np.hstack([np.empty((3 * len(point), 0)), *found.motions.values()])
    np.testing.assert_allclose(every.T @ every, np.eye(every.shape[1]), atol=1e-9)
    return {kind.value: count for kind, count in found.counts.items()}


def test_environments_have_the_kinds_of_nulls_that_are_known(oracle):
    """Scaled to one size, so that they share a basis."""
    for environment in oracle("environments"):
        vectors = np.array(environment["neighbour_positions"])
        vectors *= 1.5 / np.max(np.linalg.norm(vectors, axis=1))
        numbers = environment["neighbour_numbers"]
        spurious = environment["spurious_nulls"]
        more, most = spurious["nu2"], spurious["nu3_O3"]
        expected = {
            "symmetry": environment["symmetry_nulls"]["O3"],
            "incompleteness": more - most,
            "higher incompleteness": most,
        }
        found = counts(spectrum(6, 12, numbers), Point(vectors, numbers))
        assert found == {k: n for k, n in expected.items() if n}, environment["name"]


def test_points_that_are_singular_in_a_small_basis_only_are_due_to_truncation(oracle):
    for environment in oracle("truncation"):
        stated = environment["basis"]
        point = Point(environment["neighbour_positions"], environment["neighbour_numbers"])
        descriptor = spectrum(stated["n_max"], stated["l_max"], cutoff=stated["rc"])
        found = counts(descriptor, point, null=1e-12)
        assert found == {"truncation": environment["expected_nulls_truncated"]}


@pytest.mark.parametrize("family", [merged_on_axis, folded_at_mirror, on_cone])
def test_families_where_pairs_meet_are_due_to_incompleteness(family):
    rng = np.random.default_rng(12)
    for _ in range(3):
        point = hydrogens(drawn(rng, family))
        assert counts(spectrum(4, 8), point) == {"incompleteness": 1}
        assert counts(spectrum(4, 4, kind=Bispectrum), point) == {}
        radial = counts(RadialSpectrum(cutoff=2.6, elements=("H",), n_max=8, **POINTS), point)
        assert sum(radial.values()) >= 5
        assert radial["higher incompleteness"] == 1, "one that takes four bodies"


def test_null_motions_of_the_bispectrum_are_seen_by_the_trispectrum():
    point = hydrogens(drawn(np.random.default_rng(2), of_two_triangles))
    assert counts(spectrum(4, 4, kind=Bispectrum), point) == {"incompleteness": 1}
    both = counts(spectrum(6, 12), point)
    assert both == {"incompleteness": 5, "higher incompleteness": 1}


@pytest.mark.parametrize(("n", "l_max"), [(4, 3), (5, 4), (6, 5)])
def test_too_few_momenta_for_neighbours_at_one_distance_are_truncation(n, l_max):
    point = hydrogens(at_one_distance(np.random.default_rng(n), n))
    expected = max(0, 2 * n - 3 - l_max) + max(0, n - 1 - l_max)
    for n_max in (2, 4):
        assert counts(spectrum(n_max, l_max), point) == {"truncation": expected}


def test_null_motions_of_several_kinds_are_counted_apart():
    angles = np.radians([0, 140, 220])
    isosceles = np.stack([np.cos(angles), np.sin(angles), np.zeros(3)], axis=1)
    fan = hydrogens(np.vstack([isosceles, [[0, 0, 0.9]]]))
    assert counts(spectrum(4, 8), fan) == {"symmetry": 3, "incompleteness": 1}
    poor = {"symmetry": 3, "truncation": 3, "incompleteness": 1}
    assert counts(spectrum(2, 0), fan) == poor
    odd = spectrum(4, 4, kind=Bispectrum, parity_odd=True)
    assert counts(odd, fan) == {"incompleteness": 1}, "which mirror images of its kind are not"
    assert counts(spectrum(4, 4, kind=Bispectrum), fan) == {"symmetry": 3}


def test_symmetry_is_that_of_the_neighbours_as_they_are_told_apart():
    mixed = Point(1.1 * TETRAHEDRON, [1, 1, 9, 9], 6)
    told = spectrum(4, 8, numbers=(1, 9))
    assert counts(told, mixed) == {"symmetry": 5}
    blind = PowerSpectrum(
        cutoff=2.6, species="none", elements=("H", "F"), n_max=4, l_max=8, **POINTS
    )
    assert alike(blind, mixed).tolist() == [0, 0, 0, 0]
    assert counts(blind, mixed) == {"symmetry": 8}
    assert symmetry_of(blind, mixed).name == "Td"


def test_moment_invariants_are_told_by_a_higher_order_and_by_one_more_body():
    fields = {"cutoff": 2.6, "smoothing": 0.0, "species": "none"}
    point = hydrogens(drawn(np.random.default_rng(5), of_two_triangles))
    full = MomentInvariants(order=7, invariants="full", **fields)
    assert body_order(full) == 3
    assert counts(full, point) == {"incompleteness": 1}
    some = MomentInvariants(order=7, **fields)
    assert body_order(some) == 4, "which is why it sees that one"
    assert counts(some, point) == {}
    lost = counts(MomentInvariants(order=3, **fields), point)
    assert set(lost) == {"truncation"}
    assert [d.order for d in larger(some, point)] == [9, 9]
    assert [d.invariants for d in larger(some, point)] == ["independent", "full"]
    assert len(larger(full, point)) == 1
    assert larger(MomentInvariants(order=12, invariants="full"), point) == ()


def test_a_descriptor_of_another_library_is_classified_as_ours():
    point = hydrogens(drawn(np.random.default_rng(7), merged_on_axis))
    soap = DscribeSoap(basis_radius=3.0, n_max=5, l_max=8, sigma=0.3, elements=("H", "O"))
    assert counts(soap, point, null=1e-6) == {"incompleteness": 1}


def test_neighbours_near_the_cutoff_are_a_kind_of_their_own():
    rng = np.random.default_rng(4)
    vectors = np.vstack([at_one_distance(rng, 4) * [[0.9], [1.0], [1.1], [1.2]], [[0, 0, 2.0]]])
    point = hydrogens(vectors)
    descriptor = PowerSpectrum(cutoff=2.0 + 1e-10, elements=("H",), n_max=6, l_max=8)
    there = look(descriptor, point, symmetry_of(descriptor, point))
    free = there.free.allowed.reshape(5, 3, -1)
    assert free.shape[2] == 12
    assert not np.any(free[4]), "it stays where it is"
    assert there.found.counts == {Kind.CUTOFF: 3}
    assert there.found.kind is Kind.CUTOFF
    pair = drawn(rng, merged_on_axis)
    both = hydrogens(np.vstack([pair * 1.4 / np.max(np.linalg.norm(pair, axis=1)), [[0, 0, 2.0]]]))
    there = look(descriptor, both, symmetry_of(descriptor, both))
    assert there.found.counts == {Kind.CUTOFF: 3, Kind.INCOMPLETENESS: 1}
    assert there.found.kind is Kind.INCOMPLETENESS


def test_what_sees_more_is_made_of_the_same_densities():
    point = Point(TETRAHEDRON, [1, 1, 8, 6], 6)
    elements = ("H", "C", "N", "O", "F")
    descriptor = PowerSpectrum(cutoff=4.0, elements=elements, n_max=3, l_max=2, sigma=0.4)
    (bigger,), three = larger(descriptor, point), of_order(descriptor, point, 3)
    assert focused(descriptor, point).elements == bigger.elements == three.elements
    assert [SYMBOLS.index(e) for e in bigger.elements] == [1, 6, 8]
    assert (bigger.n_max, bigger.l_max) == (6, 6)
    crowd = hydrogens(at_one_distance(np.random.default_rng(0), 7))
    assert larger(descriptor, crowd)[0].l_max == 11
    for other in (bigger, three):
        assert (other.cutoff, other.sigma, other.smoothing) == (4.0, 0.4, 0.5)
    assert [of_order(descriptor, point, order) is None for order in range(6)] == [
        True, False, False, False, False, True,
    ]  # fmt: skip


def test_what_nothing_sees_is_called_unresolved():
    point = Point(TETRAHEDRON * [[1.0], [1.1], [1.2], [1.3]], [1, 1, 1, 2], 6)
    unseen = spectrum(4, 8)  # helium is no element of this descriptor
    symmetry = symmetry_of(unseen, point)
    motion = np.zeros((12, 1))
    motion[9] = 1.0
    found = classify(unseen, point, motion, symmetry)
    assert found.kind in (Kind.UNRESOLVED, Kind.TRUNCATION)
    assert found.reason
