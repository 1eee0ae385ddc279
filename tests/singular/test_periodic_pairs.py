"""Crystals and layers with one fingerprint, and how far they are from being the same."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from reference.families import POINTS, drawn, of_two_triangles
from reference.structures import batch_of

from distdesc.descriptors.bispectrum import Bispectrum
from distdesc.descriptors.power_spectrum import PowerSpectrum
from distdesc.descriptors.radial_spectrum import RadialSpectrum
from distdesc.singular.analysis import Options, analyse_row
from distdesc.singular.periodic_congruence import periodic_misfit
from distdesc.singular.reasons import Kind
from distdesc.singular.structure_row import StructureRow
from distdesc.structures.neighbours import build_environments

CELL = np.array([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 5.0]])
HEXAGONAL = np.array([[4.0, 0.0, 0.0], [-2.0, 2.0 * np.sqrt(3), 0.0], [0.0, 0.0, 5.0]])
NUMBERS = np.array([1, 1, 1, 6, 6], dtype=np.int32)
CRYSTAL, LAYER = np.array([True, True, True]), np.array([True, True, False])


def generic(cell=CELL, seed=0):
    return np.random.default_rng(seed).uniform(size=(5, 3)) @ cell


def turned(axis, angle):
    """A rotation about an axis of the lattice, in degrees."""
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    plane = [k for k in range(3) if k != axis]
    out = np.eye(3)
    out[np.ix_(plane, plane)] = [[c, -s], [s, c]]
    return out


@pytest.mark.parametrize("pbc", [CRYSTAL, LAYER], ids=["crystal", "layer"])
@pytest.mark.parametrize(("cell", "angle"), [(CELL, 90), (HEXAGONAL, 60)], ids=["4/m", "6/m"])
def test_a_crystal_fits_itself_turned_shifted_and_in_another_order(cell, angle, pbc):
    rng = np.random.default_rng(1)
    positions = generic(cell)
    operation = turned(2, angle) @ np.diag([1.0, 1.0, -1.0])
    other = positions @ operation.T + [0.3, 1.0, 2.0]
    other += (rng.integers(-2, 3, size=(5, 3)) * pbc) @ cell
    other = other[[2, 0, 1, 4, 3]]
    assert periodic_misfit(positions, other, NUMBERS, cell, pbc) < 1e-7
    assert periodic_misfit(other, positions, NUMBERS, cell, pbc) < 1e-7
    assert periodic_misfit(positions, other, NUMBERS, cell, pbc, reflections=False) > 0.3


def test_unlike_atoms_are_not_exchanged_and_lattices_that_do_not_turn_are_not_turned():
    positions = generic()
    swapped = positions[[3, 1, 2, 0, 4]]
    assert periodic_misfit(positions, swapped, NUMBERS, CELL, CRYSTAL) > 0.3
    ones = np.ones(5, dtype=np.int32)
    assert periodic_misfit(positions, swapped, ones, CELL, CRYSTAL) < 1e-7
    other = positions @ turned(0, 90).T
    assert periodic_misfit(positions, other, NUMBERS, CELL, CRYSTAL) > 0.3


def test_the_misfit_of_a_small_change_is_at_most_its_length():
    rng, positions = np.random.default_rng(2), generic()
    for length in (1e-4, 1e-2, 0.1):
        shift = rng.normal(size=(5, 3))
        shift *= length / np.linalg.norm(shift)
        found = periodic_misfit(positions, positions + shift, NUMBERS, CELL, CRYSTAL)
        apart = float(np.linalg.norm(shift - shift.mean(axis=0)))
        assert found == pytest.approx(apart, rel=1e-6)


def test_where_the_lattice_is_nearly_finer_than_the_cell_no_more_is_claimed_than_is_known():
    one = generic()
    double, numbers = np.vstack([one, one + CELL[2]]), np.tile(NUMBERS, 2)
    cell = CELL * [[1], [1], [2]]
    rng = np.random.default_rng(3)
    away = double + 0.2 * rng.normal(size=double.shape)
    assert periodic_misfit(double, away, numbers, cell, CRYSTAL) < 1e-7
    nearly = double + 0.001 * rng.normal(size=double.shape)
    assert 1e-4 < periodic_misfit(nearly, away, numbers, cell, CRYSTAL) < 0.02


def analysed(atoms, descriptor, **options):
    row, point = StructureRow.of(descriptor, batch_of([atoms]), "sum")
    return analyse_row(row, point, Options(**options))


def off(pair, atoms, descriptor):
    """Relative difference of the sums of a pair, by other means."""
    sums = []
    for end in (pair.first, pair.second):
        one = atoms.copy()
        one.positions = end.vectors
        near = build_environments(batch_of([one]), 0, len(one), descriptor.cutoff)
        sums.append(descriptor.compute(near).sum(axis=0))
    return np.linalg.norm(sums[0] - sums[1]) / np.linalg.norm(sums[0])


def test_layers_whose_atoms_have_the_same_distances_are_found_where_they_meet():
    # each atom has images of the others within the cutoff, up to three cells away
    positions = np.random.default_rng(0).uniform(size=(3, 3)) * [2.6, 2.8, 3.1]
    layer = Atoms("H3", positions, cell=[2.6, 2.8, 3.1], pbc=LAYER)
    radial = RadialSpectrum(cutoff=3.2, n_max=14, elements=("H",), **POINTS)
    found = analysed(layer, radial, flag_ratio=1.0, flag_distance=0.5)
    assert found.kind is Kind.INCOMPLETENESS
    assert found.pair.misfit > 0.05
    assert off(found.pair, layer, radial) < 1e-13
    triangles = PowerSpectrum(cutoff=3.2, n_max=4, l_max=4, elements=("H",), **POINTS)
    assert off(found.pair, layer, triangles) > 1e-6


def test_a_cluster_in_a_large_cell_has_the_pair_that_it_has_alone():
    power = PowerSpectrum(cutoff=4.0, n_max=6, l_max=10, elements=("B",), **POINTS)
    cluster = np.vstack([np.zeros((1, 3)), drawn(np.random.default_rng(2), of_two_triangles)])
    alone = Atoms("B8", cluster)
    boxed = Atoms("B8", cluster + 3.0, cell=[9.0, 9.4, 9.9], pbc=True)
    one, other = (analysed(atoms, power, flag_ratio=1e-2) for atoms in (alone, boxed))
    assert other.kind is Kind.INCOMPLETENESS
    assert other.pair.misfit == pytest.approx(one.pair.misfit, rel=1e-3)
    assert off(other.pair, boxed, power) < 1e-13
    three = Bispectrum(cutoff=4.0, n_max=3, l_max=3, elements=("B",), **POINTS)
    assert off(other.pair, boxed, three) > 1e-4


@pytest.mark.parametrize("pbc", [CRYSTAL, LAYER, ~CRYSTAL], ids=["crystal", "layer", "molecule"])
def test_a_structure_elsewhere_has_the_same_features_but_for_rounding(pbc):
    atoms = Atoms("H5", generic(), cell=CELL, pbc=pbc)
    power = PowerSpectrum(cutoff=3.0, n_max=3, l_max=3, elements=("H",))
    row, point = StructureRow.of(power, batch_of([atoms]), "stack")
    here = point.vectors.ravel()
    there = row.subject.elsewhere(here)
    assert np.linalg.norm(there - here) > 0.1
    one, other = row.subject.values(power, point, np.stack([here, there]))
    np.testing.assert_allclose(other, one, atol=1e-12 * np.linalg.norm(one))


def test_of_chains_pairs_are_not_looked_for():
    chain = Atoms(
        "H3", [[0, 0, 0], [0.9, 0, 0.5], [0.2, 0.8, 1.1]], cell=[0, 0, 2.6], pbc=[0, 0, 1]
    )
    radial = RadialSpectrum(cutoff=3.2, n_max=14, elements=("H",), **POINTS)
    row, _ = StructureRow.of(radial, batch_of([chain]), "sum")
    assert not row.pairs
