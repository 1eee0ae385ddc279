"""Derivatives by atoms and by strain, against structures that are displaced and built anew."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from reference.structures import batch_of

from distdesc import registry
from distdesc.descriptors import DESCRIPTORS, derivatives
from distdesc.descriptors.derivatives import (
    by_atom,
    by_strain,
    pooled_by_atom,
    pooled_by_strain,
)
from distdesc.structures.neighbours import build_environments

CHNO = ["H", "C", "N", "O"]

# One small configuration of every descriptor.
CONFIGURATIONS = {
    "bispectrum": {"species": "weights", "n_max": 2, "l_max": 3, "parity_odd": True},
    "dscribe_soap": {"elements": CHNO, "n_max": 2, "l_max": 3, "basis_radius": 2.5},
    "featomic_soap": {"elements": CHNO, "n_max": 2, "l_max": 3},
    "moment_invariants": {"elements": CHNO, "order": 5, "parity_odd": True},
    "power_spectrum": {"elements": CHNO, "n_max": 2, "l_max": 3, "include_centre": True},
    "radial_spectrum": {"elements": CHNO, "n_max": 3, "smoothing": 2.0},
    "trispectrum": {"species": "weights", "n_max": 1, "l_max": 3},
}
PACKAGES = {"dscribe_soap": "dscribe", "featomic_soap": "featomic"}


def molecules():
    """A molecule, and one that is alone in its cell but for its images."""
    boxed = molecule("H2O")
    boxed.set_cell([3.1, 3.4, 3.9])
    boxed.pbc = (True, False, True)
    return [molecule("CH3OH"), boxed]


def crystals():
    """Small skewed cells: atoms see several images of each other, and images of themselves."""
    cell = [[2.3, 0.0, 0.2], [0.7, 2.6, 0.0], [-0.5, 0.9, 2.8]]
    two = Atoms("CN", [[0.1, 0.2, 0.3], [1.2, 1.4, 1.1]], cell=cell, pbc=True)
    one = Atoms("O", [[0.5, 0.1, -0.3]], cell=np.multiply(cell, 1.1), pbc=True)
    return [two, one]


STRUCTURES = {"molecules": molecules, "crystals": crystals}


@pytest.fixture(scope="module", params=sorted(CONFIGURATIONS))
def descriptor(request):
    if request.param in PACKAGES:
        pytest.importorskip(PACKAGES[request.param], reason="an optional package")
    fields = {"name": request.param, "cutoff": 3.0, **CONFIGURATIONS[request.param]}
    if request.param == "dscribe_soap":
        del fields["cutoff"]
    return registry.build(DESCRIPTORS, "descriptor", fields)


@pytest.fixture(params=sorted(STRUCTURES))
def batch(request):
    rng = np.random.default_rng(7)
    atoms = STRUCTURES[request.param]()
    for a in atoms:
        a.positions += rng.normal(scale=0.05, size=a.positions.shape)
    return batch_of(atoms)


def environments_of(descriptor, batch):
    return build_environments(batch, 0, len(batch.numbers), descriptor.cutoff)


def fingerprints(descriptor, batch):
    return descriptor.compute(environments_of(descriptor, batch))


def difference(function, step=2e-4):
    """Central difference of fourth order, at zero."""
    weights = {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}
    return sum(w * function(k * step) for k, w in weights.items()) / step


def displaced(batch, atom, axis, by):
    positions = batch.positions.copy()
    positions[atom, axis] += by
    return replace(batch, positions=positions)


def strained(batch, a, b, by):
    deform = np.eye(3)
    deform[a, b] += by
    return replace(batch, positions=batch.positions @ deform.T, cells=batch.cells @ deform.T)


def structure_of(batch):
    return np.repeat(np.arange(len(batch)), np.diff(batch.offsets))


def pooled(descriptor, batch, mean=False, elements=()):
    """Fingerprints added up by structure, and by element of the centre."""
    rows = fingerprints(descriptor, batch)
    if mean:
        rows = rows / np.diff(batch.offsets)[structure_of(batch)][:, None]
    groups = [batch.numbers == z for z in elements] or [np.ones(len(rows), dtype=bool)]
    out = np.zeros((len(batch), len(groups), rows.shape[1]))
    for k, group in enumerate(groups):
        np.add.at(out[:, k], structure_of(batch)[group], rows[group])
    return out.reshape(len(batch), -1)


def test_every_descriptor_has_its_derivatives_tested():
    assert set(CONFIGURATIONS) == set(DESCRIPTORS)


def test_a_displaced_atom_changes_fingerprints_as_stated(descriptor, batch):
    n = len(batch.numbers)
    found = by_atom(descriptor, environments_of(descriptor, batch)).dense(0, n)
    assert found.shape == (n, n, 3, descriptor.n_features)
    for atom in range(n):
        for axis in range(3):
            expected = difference(
                lambda h, atom=atom, axis=axis: fingerprints(
                    descriptor, displaced(batch, atom, axis, h)
                )
            )
            error = np.abs(found[:, atom, axis] - expected)
            assert np.max(error) < 1e-8 * np.max(np.abs(found))


def test_a_strained_structure_changes_fingerprints_as_stated(descriptor, batch):
    found = by_strain(descriptor, environments_of(descriptor, batch))
    assert found.shape == (len(batch.numbers), 3, 3, descriptor.n_features)
    for a in range(3):
        for b in range(3):
            expected = difference(
                lambda h, a=a, b=b: fingerprints(descriptor, strained(batch, a, b, h))
            )
            error = np.abs(found[:, a, b] - expected)
            assert np.max(error) < 1e-8 * np.max(np.abs(found))


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("elements", [(), (8, 1, 6)])
def test_pooled_derivatives_are_those_of_pooled_fingerprints(descriptor, batch, mean, elements):
    atoms = pooled_by_atom(descriptor, batch, mean, elements)
    owner = structure_of(batch)
    for atom in range(len(batch.numbers)):
        expected = difference(
            lambda h, atom=atom: pooled(descriptor, displaced(batch, atom, 1, h), mean, elements)
        )
        error = np.abs(atoms[atom, 1] - expected[owner[atom]])
        assert np.max(error, initial=0) < 1e-8 * np.max(np.abs(atoms))
    strain = pooled_by_strain(descriptor, batch, mean, elements)
    for a, b in ((0, 0), (1, 2)):
        expected = difference(
            lambda h, a=a, b=b: pooled(descriptor, strained(batch, a, b, h), mean, elements)
        )
        assert np.max(np.abs(strain[:, a, b] - expected)) < 1e-8 * np.max(np.abs(strain))


def test_pooled_derivatives_are_sums_over_centres(descriptor, batch):
    n = len(batch.numbers)
    environments = environments_of(descriptor, batch)
    every = by_atom(descriptor, environments).dense(0, n)
    size = np.max(np.abs(every))
    total = pooled_by_atom(descriptor, batch)
    assert np.max(np.abs(total - every.sum(axis=0))) < 1e-13 * size * n
    strain = by_strain(descriptor, environments)
    for k, total in enumerate(pooled_by_strain(descriptor, batch)):
        own = strain[structure_of(batch) == k].sum(axis=0)
        assert np.max(np.abs(total - own)) < 1e-13 * np.max(np.abs(strain)) * n


def test_shifts_and_rotations_change_nothing(descriptor, batch):
    # gradients of dscribe have fewer digits
    digits = 1e-8 if type(descriptor).__name__ == "DscribeSoap" else 1e-10
    n = len(batch.numbers)
    environments = environments_of(descriptor, batch)
    found = by_atom(descriptor, environments).dense(0, n)
    assert np.max(np.abs(found.sum(axis=1))) < 1e-12 * np.max(np.abs(found))
    strain = by_strain(descriptor, environments)
    error = np.abs(strain - strain.transpose(0, 2, 1, 3))
    assert np.max(error) < digits * np.max(np.abs(strain))


def test_small_slices_change_nothing(descriptor, batch, monkeypatch):
    environments = environments_of(descriptor, batch)
    atoms, strain = by_atom(descriptor, environments), by_strain(descriptor, environments)
    pools = pooled_by_atom(descriptor, batch), pooled_by_strain(descriptor, batch)
    for pairs in (0, 1, 40):
        monkeypatch.setattr(derivatives, "MAX_NUMBERS", pairs * 3 * descriptor.n_features)
        again = by_atom(descriptor, environments)
        assert again.values.tobytes() == atoms.values.tobytes()
        assert by_strain(descriptor, environments).tobytes() == strain.tobytes()
        again = pooled_by_atom(descriptor, batch), pooled_by_strain(descriptor, batch)
        for before, after in zip(pools, again, strict=True):
            assert np.max(np.abs(after - before)) < 1e-13 * np.max(np.abs(atoms.values))


def test_an_atom_and_its_own_images_move_together():
    lone = batch_of([crystals()[1]])
    descriptor = registry.build(DESCRIPTORS, "descriptor", {"name": "moment_invariants"})
    environments = environments_of(descriptor, lone)
    assert len(environments.vectors) > 10
    found = by_atom(descriptor, environments)
    assert len(found.atoms) == 0
    assert found.dense(0, 1).shape == (1, 1, 3, descriptor.n_features)
    assert not np.any(pooled_by_atom(descriptor, lone))
    assert np.max(np.abs(by_strain(descriptor, environments))) > 0


def test_blocks_are_sorted_and_those_of_other_centres_can_be_left_out():
    batch = batch_of(molecules())
    descriptor = registry.build(DESCRIPTORS, "descriptor", {"name": "moment_invariants"})
    every = by_atom(descriptor, environments_of(descriptor, batch))
    some = by_atom(descriptor, build_environments(batch, 2, 8, descriptor.cutoff))
    assert list(some.centres) == [2, 3, 4, 5, 6, 7]
    assert some.values.tobytes() == every.values[every.offsets[2] : every.offsets[8]].tobytes()
    for k in range(6):
        atoms = some.atoms[some.offsets[k] : some.offsets[k + 1]]
        assert list(atoms) == (list(range(6)) if k < 4 else [6, 7, 8])
    water = some.dense(6, 9)
    assert not np.any(water[:4])
    assert water[4:].tobytes() == some.dense(0, 9)[4:, 6:].tobytes()


def test_no_centre_and_no_neighbour_give_no_derivative(descriptor):
    empty = batch_of([molecule("H2O")])
    nothing = build_environments(empty, 0, 0, descriptor.cutoff)
    assert by_atom(descriptor, nothing).dense(0, 3).shape == (0, 3, 3, descriptor.n_features)
    assert by_strain(descriptor, nothing).shape == (0, 3, 3, descriptor.n_features)
    apart = batch_of([Atoms("HO", [[0, 0, 0], [0, 0, 50.0]])])
    isolated = environments_of(descriptor, apart)
    assert not np.any(by_atom(descriptor, isolated).dense(0, 2))
    assert not np.any(by_strain(descriptor, isolated))
    assert pooled_by_atom(descriptor, apart).shape == (2, 3, descriptor.n_features)
    assert pooled_by_strain(descriptor, apart).shape == (1, 3, 3, descriptor.n_features)


def test_pooling_holds_a_slice_of_the_jacobian_at_a_time(monkeypatch):
    crystal = batch_of([crystals()[0] * (4, 4, 4)])
    descriptor = registry.build(DESCRIPTORS, "descriptor", {"name": "moment_invariants"})
    pairs = len(environments_of(descriptor, crystal).vectors)
    whole = pairs * 3 * descriptor.n_features * 8
    out = len(crystal.numbers) * 3 * descriptor.n_features * 8
    monkeypatch.setattr(derivatives, "MAX_NUMBERS", whole // 8 // 50)
    for pooled_derivatives in (pooled_by_atom, pooled_by_strain):
        tracemalloc.start()
        pooled_derivatives(descriptor, crystal)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 3 * out + whole / 5
