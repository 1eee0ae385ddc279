"""Structures to ase.Atoms and back."""

from __future__ import annotations

import io

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from reference.same import assert_same_structure

from distdesc.structures.records import from_atoms, to_atoms, write_extxyz


def example():
    atoms = Atoms("OH2", np.eye(3), cell=np.diag([3.0, 4, 5]), pbc=(True, False, True))
    atoms.info = {"name": "water", "n": np.int64(3), "nested": {"a": [1, None]}, "v": np.ones(2)}
    atoms.arrays["label"] = np.array(["a", "bc", "d"])
    atoms.arrays["small"] = np.arange(3, dtype=np.int8)
    atoms.calc = SinglePointCalculator(atoms, energy=float("nan"), forces=np.eye(3))
    return atoms


def test_a_structure_becomes_atoms_and_the_same_structure_again():
    structure = from_atoms(example())
    again = from_atoms(to_atoms(structure))
    assert_same_structure(again, structure)
    assert np.isnan(to_atoms(structure).get_potential_energy())
    assert np.array_equal(to_atoms(structure).get_forces(), np.eye(3))


def test_atoms_do_not_share_data_with_their_structure():
    structure = from_atoms(example())
    atoms = to_atoms(structure)
    atoms.positions += 1
    atoms.info["nested"]["a"].append(2)
    atoms.arrays["small"][0] = 9
    atoms.calc.results["forces"][0, 0] = 7
    assert_same_structure(structure, from_atoms(example()))


def test_results_that_ase_does_not_know_are_kept():
    structure = from_atoms(Atoms("H"))
    structure.results["polarizability_of_mine"] = np.eye(3)
    assert np.array_equal(to_atoms(structure).calc.results["polarizability_of_mine"], np.eye(3))


def test_constraints_are_dropped():
    atoms = example()
    atoms.set_constraint(FixAtoms([0]))
    assert not to_atoms(from_atoms(atoms)).constraints


def test_structures_are_appended_to_a_file_with_further_columns():
    file = io.StringIO()
    for _ in range(2):
        write_extxyz(file, from_atoms(example()), {"fingerprint": np.arange(6.0).reshape(3, 2)})
    file.seek(0)
    images = ase.io.read(file, ":", format="extxyz")
    assert len(images) == 2
    assert np.array_equal(images[1].arrays["fingerprint"], np.arange(6.0).reshape(3, 2))
    assert np.array_equal(images[1].get_forces(), np.eye(3))
