"""One environment analysed, from the regular to the singular and from the empty to the odd."""

from __future__ import annotations

import numpy as np
import pytest
from reference.batches import random_rotation
from reference.families import (
    TETRAHEDRON,
    at_one_distance,
    beside,
    drawn,
    folded_at_mirror,
    hydrogens,
    merged_on_axis,
    scattered,
    spectrum,
)

from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.errors import CampaignError
from distdesc.singular.analysis import Options, analyse
from distdesc.singular.point import Point, as_environments
from distdesc.singular.reasons import Kind


def test_a_symmetric_molecule_is_singular_by_symmetry_alone():
    found = analyse(spectrum(), hydrogens(1.09 * TETRAHEDRON))
    assert (found.kind, found.point_group) == (Kind.SYMMETRY, "Td")
    assert found.counts == {Kind.SYMMETRY: 8}
    assert (found.n_nulls, found.symmetry_nulls) == (8, 8)
    assert found.distance == 0
    assert not found.flagged
    assert np.linalg.norm(found.motion) == pytest.approx(1)


def test_what_is_nearly_symmetric_is_taken_for_symmetric():
    rng = np.random.default_rng(0)
    rough = 1.09 * TETRAHEDRON + 1e-4 * rng.normal(size=(4, 3))
    assert analyse(spectrum(), hydrogens(rough)).symmetry_nulls == 8
    strict = analyse(
        spectrum(), hydrogens(rough), Options(tolerance=1e-6, flag_ratio=0, pairs=False)
    )
    assert strict.point_group == "C1"


@pytest.mark.parametrize("family", [merged_on_axis, folded_at_mirror])
def test_an_environment_beside_a_singular_point_is_led_to_it_and_to_a_pair(family):
    vectors = drawn(np.random.default_rng(31), family)
    near = hydrogens(beside(np.random.default_rng(1), vectors, 0.04))
    found = analyse(spectrum(4, 8), near)
    assert found.kind is Kind.INCOMPLETENESS
    assert found.flagged
    assert (found.n_nulls, found.symmetry_nulls) == (0, 0)
    assert found.counts == {Kind.INCOMPLETENESS: 1}
    assert found.distance <= 0.04
    assert 0.3 < found.estimate / found.distance < 2
    jacobian = spectrum(4, 8).jacobian(as_environments([found.point])).reshape(12, -1)
    assert np.linalg.norm(found.motion.ravel() @ jacobian) < 1e-9 * np.linalg.norm(jacobian)
    assert found.pair.residual < 1e-10
    assert "correlations of 3" in found.reason
    exact = analyse(spectrum(4, 8), hydrogens(vectors))
    assert (exact.kind, exact.distance, exact.n_nulls) == (Kind.INCOMPLETENESS, 0, 1)


def test_a_regular_environment_costs_nothing_more():
    rng = np.random.default_rng(2)
    found = analyse(spectrum(cutoff=4.0), hydrogens(drawn(rng, scattered)))
    assert found.kind is Kind.REGULAR
    assert not found.flagged
    assert found.distance == np.inf
    assert found.counts == {}
    assert found.ratio > 1e-3
    assert found.estimate > 0.1
    assert found.pair is None


def test_truncation_is_told_and_has_no_pair():
    found = analyse(spectrum(4, 3), hydrogens(at_one_distance(np.random.default_rng(3), 4)))
    assert found.kind is Kind.TRUNCATION
    assert found.counts == {Kind.TRUNCATION: 2}
    assert found.pair is None


def test_the_kind_does_not_depend_on_the_frame_nor_on_the_order():
    rng = np.random.default_rng(6)
    vectors = beside(rng, drawn(rng, merged_on_axis), 0.02)
    one = analyse(spectrum(), hydrogens(vectors))
    order = rng.permutation(4)
    other = analyse(spectrum(), hydrogens((vectors @ random_rotation(rng).T)[order]))
    assert (one.kind, one.counts) == (other.kind, other.counts)
    assert one.distance == pytest.approx(other.distance, rel=1e-4)


def test_environments_too_small_to_be_singular_have_an_answer():
    expected = {
        0: (Kind.REGULAR, "Kh", 0),
        1: (Kind.REGULAR, "C*v", 0),
        2: (Kind.SYMMETRY, "C2v", 1),
    }
    for n, (kind, group, nulls) in expected.items():
        found = analyse(spectrum(), hydrogens(TETRAHEDRON[:n]))
        assert (found.kind, found.point_group, found.n_nulls) == (kind, group, nulls)
        assert found.motion.shape == (n, 3)
    line = analyse(spectrum(), hydrogens(np.array([[0, 0, 1.1], [0, 0, -1.2]])))
    assert (line.kind, line.point_group, line.n_nulls) == (Kind.SYMMETRY, "C*v", 2)


def test_odd_environments_have_an_answer():
    vectors = 1.1 * TETRAHEDRON
    twice, centred = vectors.copy(), vectors.copy()
    twice[1], centred[1] = vectors[0], 0.0
    for odd in (twice, centred):
        for descriptor in (spectrum(), MomentInvariants(cutoff=2.6)):
            found = analyse(descriptor, hydrogens(odd))
            assert found.symmetry_nulls > 0
            assert found.kind in Kind
    empty = Point(np.empty((0, 3)), [], 6)
    assert analyse(MomentInvariants(), empty).reason == "no neighbours"


def test_a_lone_neighbour_at_the_very_cutoff_is_a_matter_of_the_cutoff():
    descriptor = PowerSpectrum(cutoff=2.0, elements=("H",), n_max=4, l_max=4)
    found = analyse(descriptor, hydrogens(np.array([[0.0, 0.0, 2.0 - 1e-12]])))
    assert found.kind is Kind.CUTOFF
    near = drawn(np.random.default_rng(1), scattered)
    near *= 1.4 / np.max(np.linalg.norm(near, axis=1))
    faint = hydrogens(np.vstack([near, [[0.0, 1.9995, 0.0]]]))
    found = analyse(descriptor, faint, Options(flag_distance=0.0, flag_ratio=1e-4))
    assert found.kind is Kind.CUTOFF
    assert "near the cutoff" in found.reason


def test_elements_that_are_not_there_make_no_difference():
    vectors = beside(
        np.random.default_rng(4), drawn(np.random.default_rng(4), merged_on_axis), 0.02
    )
    few, many = spectrum(), spectrum(numbers=(1, 6, 7, 8, 9))
    one, other = (analyse(d, hydrogens(vectors)) for d in (few, many))
    assert one.point.vectors.tobytes() == other.point.vectors.tobytes()


@pytest.mark.parametrize(
    ("field", "value"),
    [("flag_ratio", -1), ("flag_distance", -0.1), ("tolerance", 0), ("kicks", -1), ("seed", 1.5)],
)
def test_options_that_make_no_sense_are_refused_by_name(field, value):
    with pytest.raises(CampaignError, match=f"{field} must be"):
        Options(**{field: value})
