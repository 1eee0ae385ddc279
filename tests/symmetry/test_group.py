"""Projection onto totally symmetric motions, and what fingerprints make of the others."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule
from reference.batches import batch, random_rotation
from reference.point_groups import point_group, replicated

from distdesc.descriptors.bispectrum import Bispectrum
from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.symmetry import find_symmetry


def environments():
    """Environments with and without symmetry, on a line, with atoms on the centre and on others."""
    rng = np.random.default_rng(4)
    groups = ["C1", "Cs", "Ci", "C3", "S4", "C3v", "D2", "D3d", "Td"]
    found = {n: replicated(rng.normal(size=(2, 3)), [1, 8], point_group(n)) for n in groups}
    benzene = molecule("C6H6")
    found["benzene"] = (benzene.positions, benzene.numbers)
    found["line"] = (np.outer([-1.0, 0.5, 1.0], [0.1, 0.7, -0.7]), np.array([1, 8, 1]))
    found["symmetric line"] = (np.outer([-1.0, 0.0, 1.0], [0.1, 0.7, -0.7]), np.array([1, 8, 1]))
    found["twice"] = (np.repeat(np.eye(3), 2, axis=0), np.ones(6, dtype=int))
    found["centre"] = (np.vstack([np.eye(3), np.zeros((2, 3))]), np.array([1, 1, 1, 8, 6]))
    found["nothing"] = (np.empty((0, 3)), np.empty(0, dtype=int))
    return found


ENVIRONMENTS = environments()


def turned(points):
    return points @ random_rotation(np.random.default_rng(1)).T


@pytest.mark.parametrize("name", ENVIRONMENTS)
@pytest.mark.parametrize("proper", [False, True])
def test_the_projection_is_the_mean_of_all_that_the_group_does(name, proper):
    points, numbers = ENVIRONMENTS[name]
    points, n = turned(points), len(points)
    symmetry = find_symmetry(points, numbers)
    symmetry = symmetry.proper() if proper else symmetry
    mean = np.zeros((n, 3, n, 3))
    for operation, images in zip(symmetry.operations, symmetry.permutations, strict=True):
        mean[images, :, np.arange(n)] += operation / len(symmetry.operations)
    mean = mean.reshape(3 * n, 3 * n)
    together = (symmetry.sites[:, None] == symmetry.sites).astype(float)
    exchanged = together / np.maximum(together.sum(axis=1, keepdims=True), 1)
    mean = mean @ np.kron(exchanged, np.eye(3))
    motions, projector = symmetry.motions(), symmetry.projector()
    assert np.allclose(projector, mean, rtol=0, atol=1e-13)
    assert np.allclose(motions.T @ motions, np.eye(motions.shape[1]), rtol=0, atol=1e-13)
    anything = np.random.default_rng(0).normal(size=(n, 3))
    assert np.allclose(symmetry.symmetrised(anything).ravel(), projector @ anything.ravel())


def test_the_projection_on_a_line_is_that_of_every_turn_about_it():
    # of the infinite group: motions along the line, and of a symmetric one the mirrored ones
    points = np.outer([-1.0, 0.0, 1.0], [0.0, 0.6, 0.8])
    motions = find_symmetry(points, [1, 8, 1]).motions()
    expected = np.outer([1, 0, -1], [0.0, 0.6, 0.8]).reshape(-1, 1) / np.sqrt(2)
    assert np.allclose(motions @ motions.T, expected @ expected.T, rtol=0, atol=1e-14)
    other = find_symmetry(points, [1, 8, 9]).projector()
    assert np.allclose(other, np.kron(np.eye(3), np.outer(points[2], points[2])), atol=1e-14)


@pytest.mark.parametrize("kind", [PowerSpectrum, Bispectrum])
@pytest.mark.parametrize("name", [n for n in ENVIRONMENTS if n not in ("nothing", "centre")])
def test_a_jacobian_sees_what_is_totally_symmetric_only(kind, name):
    points, numbers = ENVIRONMENTS[name]
    odd = {"parity_odd": True} if kind is Bispectrum else {}
    descriptor = kind(
        cutoff=4.0, elements=("H", "C", "O"), species="weights", n_max=3, l_max=3, **odd
    )
    symmetry = find_symmetry(turned(points), numbers)
    symmetry = symmetry.proper() if odd else symmetry
    exact = symmetry.symmetrised(turned(points))
    jacobian = descriptor.jacobian(batch([(exact, numbers)])).reshape(3 * len(points), -1)
    size = np.max(np.abs(jacobian))
    assert size > 1e-3
    seen = symmetry.projector() @ jacobian
    assert np.max(np.abs(seen - jacobian)) < 1e-12 * size
