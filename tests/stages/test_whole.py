"""Whole structures as single environments."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk, molecule
from reference.structures import batch_of

from distdesc.descriptors.moment_invariants import MomentInvariants
from distdesc.errors import CampaignError, StructureError
from distdesc.reduction.random_projection import RandomProjection
from distdesc.schema import RowKind
from distdesc.stages.fingerprint import Fingerprint
from distdesc.stages.whole import Ball, enclosing_ball
from distdesc.stopwatch import Stopwatch

MOLECULES = [molecule("CH3CH2OH"), molecule("H2O"), molecule("C6H6")]
MOMENTS = MomentInvariants(order=4, smoothing=0.0, elements=("H", "C", "O"))


def rows_of(structures, **fields):
    stage = Fingerprint(MOMENTS, per="whole", **fields)
    return stage.run(batch_of(structures), 0, len(structures), Stopwatch())


def test_a_row_is_a_structure_with_the_radius_of_its_ball():
    stage = Fingerprint(MOMENTS, per="whole")
    assert stage.row_kind is RowKind.STRUCTURE
    assert [s.name for s in stage.outputs()] == ["fingerprint", "radius"]
    found = rows_of(MOLECULES)
    around = [a.positions - a.positions.mean(axis=0) for a in MOLECULES]
    farthest = [np.linalg.norm(x, axis=1).max() for x in around]
    np.testing.assert_allclose(found["radius"], 1.02 * np.array(farthest), rtol=1e-13)
    # The fingerprint is that of a ball of 5 Å with the atoms of the fitted ball scaled to it.
    alone = MomentInvariants(
        cutoff=found["radius"][0], order=4, smoothing=0.0, elements=("H", "C", "O")
    )
    expected = Fingerprint(alone, per="whole", radius="cutoff")
    row = expected.run(batch_of(MOLECULES[:1]), 0, 1, Stopwatch())["fingerprint"]
    np.testing.assert_allclose(found["fingerprint"][:1], row, rtol=1e-12, atol=1e-14)


def test_rotations_shifts_and_the_order_of_atoms_do_not_matter():
    turned = []
    for k, atoms in enumerate(MOLECULES):
        atoms = atoms[::-1].copy()
        atoms.rotate(40 + k, (1, 2, 3))
        atoms.positions += [100, -50, 3]
        turned.append(atoms)
    for origin in ("centroid", "ball"):
        a, b = rows_of(MOLECULES, origin=origin), rows_of(turned, origin=origin)
        np.testing.assert_allclose(a["fingerprint"], b["fingerprint"], rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(a["radius"], b["radius"], rtol=1e-10)


def test_rows_do_not_depend_on_the_rest_of_the_batch():
    batch, stage = batch_of(MOLECULES), Fingerprint(MOMENTS, per="whole")
    whole = stage.run(batch, 0, 3, Stopwatch())
    part = stage.run(batch, 1, 3, Stopwatch())
    for name in whole:
        np.testing.assert_array_equal(whole[name][1:], part[name])


def test_a_lone_atom_has_a_ball_too():
    found = rows_of([molecule("O")])
    assert found["radius"].tolist() == [0.1]
    assert np.isfinite(found["fingerprint"]).all()


def test_what_has_no_ball_is_set_aside_with_the_reason():
    crystal = bulk("C", cubic=True)
    with pytest.raises(StructureError) as error:
        rows_of([MOLECULES[0], crystal])
    assert error.value.reasons == {1: "structure is periodic, and has no ball that holds it"}
    long = molecule("H2O")
    long.positions[0] += 20
    with pytest.raises(StructureError) as error:
        rows_of([long, MOLECULES[1]], radius="cutoff")
    assert "the farthest at 23.33 Å" in error.value.reasons[0]
    assert list(error.value.reasons) == [0]


@pytest.mark.parametrize(
    ("descriptor", "fields", "message"),
    [
        (MOMENTS, {"origin": "atom"}, "origin must be one of centroid, ball"),
        (MOMENTS, {"radius": "5"}, "radius must be one of fitted, cutoff"),
        (MOMENTS, {"reduction": RandomProjection(2)}, 'per must be "environment" or "structure"'),
        (MomentInvariants(order=2), {}, "smoothing of .* must be 0"),
        (MomentInvariants(order=2, smoothing=0.0, include_centre=True), {}, "include_centre"),
    ],
)
def test_what_does_not_suit_whole_structures_is_refused(descriptor, fields, message):
    with pytest.raises(CampaignError, match=message):
        Fingerprint(descriptor, per="whole", **fields)


def test_the_enclosing_ball_is_the_smallest():
    rng = np.random.default_rng(3)
    for n in (1, 2, 3, 4, 5, 12, 60):
        points = rng.normal(size=(n, 3))
        centre, radius = enclosing_ball(points)
        distances = np.linalg.norm(points - centre, axis=1)
        assert distances.max() <= radius * (1 + 1e-12)
        # The centre is a convex combination of the points on the sphere: then no ball is smaller.
        touching = points[distances >= radius * (1 - 1e-9)]
        system = np.vstack([touching.T, np.ones(len(touching))])
        weights = np.linalg.lstsq(system, np.append(centre, 1.0), rcond=None)[0]
        np.testing.assert_allclose(system @ weights, np.append(centre, 1.0), atol=1e-9)
        assert (weights > -1e-9).all()


@pytest.mark.parametrize(
    ("points", "radius"),
    [
        (np.zeros((3, 3)), 0.0),
        (np.outer(np.arange(5.0), np.ones(3)), 2 * np.sqrt(3)),
        (np.stack(np.meshgrid([0.0, 1], [0, 1], [0, 1])).reshape(3, 8).T, np.sqrt(3) / 2),
    ],
)
def test_coinciding_collinear_and_cospherical_points_have_a_ball(points, radius):
    assert enclosing_ball(points)[1] == pytest.approx(radius, abs=1e-12)


def test_the_ball_can_be_about_the_centroid_or_enclose_tightly():
    tight, loose = Ball("ball"), Ball("centroid")
    batch = batch_of(MOLECULES)
    a, b = (ball.environments(batch, 0, 3, 5.0)[1] for ball in (tight, loose))
    assert (a <= b * (1 + 1e-12)).all()
    assert a[0] < 0.99 * b[0]
