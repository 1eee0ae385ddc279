"""Every kind of bad structure is named with its reason; unusual good ones are left alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import read

from distdesc.errors import CampaignError
from distdesc.structures.source import Structures
from distdesc.structures.validate import Limits, find_problems

ACCEPTED = (1, 6, 8, 29)
WATER = molecule("H2O")


def as_batch(*structures: Atoms) -> Structures:
    return Structures(
        np.arange(len(structures), dtype=np.int64),
        np.cumsum([0, *(len(a) for a in structures)], dtype=np.int64),
        np.concatenate([a.numbers for a in structures]).astype(np.int32),
        np.concatenate([a.positions for a in structures]),
        np.array([a.cell.array for a in structures]),
        np.array([a.pbc for a in structures]),
    )


def moved(atom: int, *place: float) -> Atoms:
    atoms = WATER.copy()
    atoms.positions[atom] = place
    return atoms


def cubic(edge: float, *positions: tuple[float, float, float]) -> Atoms:
    return Atoms(f"H{len(positions)}", positions, cell=np.eye(3) * edge, pbc=True)


FLAT = [[3.0, 0, 0], [0, 3.0, 0], [3.0, 3.0, 0]]
NOT_FINITE = [[np.nan, 0, 0], [0, 5.0, 0], [0, 0, 5.0]]
BAD = {
    "NaN coordinate": (moved(1, 0, np.nan, 0), "position is not finite: atom 1 is at (0, nan, 0)"),
    "inf coordinate": (moved(2, -np.inf, 0, 1), "position is not finite: atom 2 is at (-inf, 0, 1"),
    "two atoms at one place": (moved(2, *WATER.positions[1]), "atoms are too close: 0 Å"),
    "empty": (Atoms(), "no atoms"),
    "unknown species": (molecule("CH3Cl"), "is Cl, accepted are H, C, O, Cu"),
    "no element at all": (Atoms("XH", [[0, 0, 0], [0, 0, 1]]), "atom 0 is Z=0, accepted"),
    "pbc with zero cell": (Atoms("H", pbc=True), "cell is flat"),
    "pbc with one zero vector": (
        Atoms("H", cell=[[3, 0, 0], [0, 0, 0], [0, 0, 3]], pbc=[False, True, False]),
        "cell is flat: it is periodic along vector 1",
    ),
    "pbc with vectors in a plane": (Atoms("H", cell=FLAT, pbc=True), "cell is flat"),
    "cell that is not finite": (Atoms("H", cell=NOT_FINITE, pbc=True), "cell is not finite"),
    "atoms 1e9 Å apart": (
        moved(0, 0, 0, 1e9),
        "position is too far out: atom 0 is at (0, 0, 1e+09",
    ),
    "too many atoms": (Atoms("H1001", np.eye(1001, 3) * 1e3), "too many atoms: 1001"),
    "cell far smaller than the cutoff": (
        cubic(0.25, (0, 0, 0)),
        "cell is too small for the cutoff",
    ),
    "coordinates in nm": (Atoms("CO", [[0, 0, 0], [0, 0, 0.113]]), "too close: 0.113 Å, accepted"),
    "too close across the boundary": (cubic(6.0, (0, 0, 0.05), (0, 0, 5.95)), "too close: 0.1 Å"),
    "atom too close to its own image": (
        Atoms("H", cell=[[9, 0, 0], [0, 9, 0], [0, 0, 0.15]], pbc=True),
        "atoms are too close: 0.15 Å",
    ),
}
GOOD = {
    "molecule": WATER,
    "single atom": Atoms("H"),
    "molecule with a flat cell that is not periodic": Atoms("H", cell=FLAT),
    "left-handed cell": Atoms("Cu", cell=[[0, 1.8, 1.8], [1.8, 1.8, 0], [1.8, 0, 1.8]], pbc=True),
    "cell of 1e8 Å": cubic(1e8, (0, 0, 0), (0, 0, 1)),
    "huge cell with atoms that touch across the boundary": cubic(1e6, (0, 0, 0), (0, 0, 999999.5)),
    "cell with hundreds of images": cubic(1.9, (0, 0, 0)),
    "slab without third vector": Atoms("Cu", cell=[[3, 0, 0], [0, 3, 0], [0] * 3], pbc=[1, 1, 0]),
    "slab with a third vector in its plane": Atoms("Cu", cell=FLAT, pbc=[True, True, False]),
    "atoms far outside their cell": cubic(5.0, (0, 0, 0), (1000.0, 2000.0, -3001.0)),
    "atoms 9e5 Å apart": Atoms("H2", [[0, 0, 0], [0, 0, 9e5]]),
}
LIMITS = Limits(max_atoms=1000)


def problems(*structures: Atoms, limits: Limits = LIMITS) -> dict[int, str]:
    return find_problems(as_batch(*structures), limits, ACCEPTED, 5.0)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_structure_is_named_with_its_reason(name):
    atoms, reason = BAD[name]
    found = problems(WATER, atoms, WATER)
    assert list(found) == [1]
    assert reason in found[1]


@pytest.mark.parametrize("name", GOOD)
def test_an_unusual_but_good_structure_is_accepted(name):
    assert problems(WATER, GOOD[name], WATER) == {}


def test_all_are_found_in_one_batch_as_they_are_found_alone():
    structures = [atoms for atoms, _ in BAD.values()]
    mixed = [a for pair in zip(structures, [WATER] * len(BAD), strict=True) for a in pair]
    found = problems(*mixed)
    assert sorted(found) == list(range(0, 2 * len(BAD), 2))
    for k, atoms in enumerate(structures):
        assert problems(atoms)[0] == found[2 * k]


def test_what_could_not_be_read_keeps_its_reason():
    batch = as_batch(WATER, WATER)
    batch.numbers[:3] = 0
    batch.positions[:3] = np.nan
    batch = dataclasses.replace(batch, problems={0: "line 7: not a number"})
    assert find_problems(batch, LIMITS, ACCEPTED, 5.0) == {0: "line 7: not a number"}


def test_an_empty_batch_has_no_problems():
    nothing = as_batch(WATER).take(np.empty(0, dtype=np.int64))
    assert find_problems(nothing, LIMITS, ACCEPTED, 5.0) == {}


def test_limits_decide():
    close = Atoms("H2", [[0, 0, 0], [0, 0, 0.15]])
    assert problems(close) != {}
    assert problems(close, limits=Limits(min_distance=0.1)) == {}
    assert problems(close, limits=Limits(min_distance=0.0)) == {}
    assert problems(WATER, limits=Limits(max_atoms=2)).keys() == {0}
    assert problems(cubic(1.9, (0, 0, 0)), limits=Limits(max_images=342)).keys() == {0}
    assert problems(cubic(1.9, (0, 0, 0)), limits=Limits(max_images=343)) == {}
    assert problems(moved(0, 0, 0, 500.0), limits=Limits(max_coordinate=499.0)).keys() == {0}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("max_atoms", 0, "max_atoms must be a whole number >= 1, got 0"),
        ("max_atoms", 10.5, "max_atoms must be a whole number"),
        ("max_images", -1, "max_images must be a whole number >= 1, got -1"),
        ("attempts", 0, "attempts must be a whole number >= 1, got 0"),
        ("max_coordinate", 0.0, "max_coordinate must be > 0"),
        ("min_distance", -0.1, "min_distance must be >= 0"),
        ("min_distance", float("nan"), "min_distance must be a number, got nan"),
        ("quarantined_fraction", 1.5, "quarantined_fraction must be from 0 to 1, got 1.5"),
        ("quarantined_fraction", "1", "quarantined_fraction must be a number, got '1'"),
        ("attempts", True, "attempts must be a number, got True"),
    ],
)
def test_limits_out_of_range_are_refused(field, value, message):
    with pytest.raises(CampaignError, match=message):
        Limits(**{field: value})


def test_real_molecules_and_crystals_have_no_problems(molecules):
    structures = read(molecules, ":", format="extxyz")
    assert find_problems(as_batch(*structures), Limits(), (1, 6, 7, 8, 9), 5.0) == {}
    assert problems(bulk("Cu"), bulk("Cu", cubic=True) * (2, 2, 2)) == {}


def test_nanometres_are_guessed_of_atoms_that_are_near_but_not_of_those_in_one_place():
    names = ("two atoms at one place", "coordinates in nm")
    one, other = (problems(BAD[name][0]) for name in names)
    assert "nm" not in one[0]
    assert "coordinates in nm instead of Å?" in other[0]
