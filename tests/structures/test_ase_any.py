"""Files of other formats, through ASE."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase import Atoms
from reference.same import assert_same_batch, assert_same_structure

from distdesc.errors import CampaignError, SourceError
from distdesc.structures import ase_any
from distdesc.structures.ase_any import AseFiles
from distdesc.structures.records import from_atoms


@pytest.fixture
def trajectory(tmp_path, molecules):
    images = ase.io.read(molecules, ":9")
    for k, atoms in enumerate(images):
        atoms.cell = np.diag([9.0, 9.0, 9.0 + k])
        atoms.pbc = k % 2
        atoms.info = {"k": k}
    ase.io.write(tmp_path / "x.traj", images)
    return tmp_path / "x.traj", ase.io.read(tmp_path / "x.traj", ":")


@pytest.mark.parametrize("cached", [True, False])
def test_a_trajectory_is_read_by_ranges(trajectory, monkeypatch, cached):
    path, images = trajectory
    monkeypatch.setattr(ase_any, "CACHED_SIZE", 2**25 if cached else 0)
    source = AseFiles(str(path))
    index = source.scan()
    batch = source.read(index, 2, 7, records=True)
    for record, atoms in zip(batch.records, images[2:7], strict=True):
        assert_same_structure(record, from_atoms(atoms))


def test_files_of_several_formats_follow_one_another(trajectory, tmp_path):
    path, images = trajectory
    copper = Atoms("Cu", cell=[3, 3, 3], pbc=True)
    ase.io.write(tmp_path / "a.cif", copper)
    ase.io.write(tmp_path / "b.json", copper)
    source = AseFiles((str(tmp_path / "a.cif"), str(path), str(tmp_path / "b.json")))
    index = source.scan()
    assert index.locators.tolist() == [[0, 0], *([1, k] for k in range(9)), [2, 0]]
    batch = source.read(index, 0, 11)
    assert batch.numbers[0] == batch.numbers[-1] == 29
    assert index.atom_counts[1:10].tolist() == [len(atoms) for atoms in images]


def test_what_ase_cannot_read_is_a_problem_that_names_file_and_error(tmp_path):
    (tmp_path / "a.cif").write_text("data_x\nloop_\n_atom_site_label\nnonsense")
    (tmp_path / "b.traj").write_bytes(b"- of Ulm" + b"~" * 50)
    (tmp_path / "c.cif").write_text("data_x\n")
    ase.io.write(tmp_path / "d.cif", Atoms("Cu", cell=[3, 3, 3], pbc=True))
    (tmp_path / "e.xyz").write_text("1\n\nH 0 0 0\n1\n\nH 0 0\n")
    source = AseFiles(str(tmp_path / "*"))
    index = source.scan()
    assert index.atom_counts.tolist() == [0, 0, 0, 1, 1, 0]
    assert sorted(index.problems) == [0, 1, 2, 5]
    for k, name in {0: "a.cif", 1: "b.traj", 2: "c.cif", 5: "e.xyz"}.items():
        assert name in index.problems[k]
    assert "ASE finds no structure" in index.problems[2]
    assert_same_batch(source.read(index, 3, 4), source.read(index, 0, 6).take(np.array([3])))


def test_structures_before_a_failure_are_kept(trajectory, monkeypatch):
    path, images = trajectory
    # The table of contents of the last frame, which ASE follows only when it gets there.
    data = bytearray(path.read_bytes())
    last = data.rindex(b'{"')
    data[last : last + 2] = b"~~"
    path.write_bytes(data)
    source = AseFiles(str(path))
    index = source.scan()
    assert index.atom_counts.tolist() == [*(len(atoms) for atoms in images[:8]), 0]
    assert "x.traj: ASE cannot read it" in index.problems[8]
    assert not source.read(index, 0, 8).problems


def test_the_format_can_be_stated(tmp_path):
    ase.io.write(tmp_path / "strange.name", Atoms("Cu", cell=[3, 3, 3], pbc=True), format="cif")
    assert len(AseFiles(str(tmp_path / "strange.name"), "cif").scan()) == 1
    with pytest.raises(CampaignError, match="format must be one that ASE knows, got 'ciff'"):
        AseFiles("x", "ciff")


def test_a_name_with_an_at_sign_is_a_name(tmp_path):
    ase.io.write(tmp_path / "x@1.cif", Atoms("Cu", cell=[3, 3, 3], pbc=True))
    assert AseFiles(str(tmp_path / "x@1.cif")).scan().atom_counts.tolist() == [1]


def test_a_file_that_is_gone_is_an_error(tmp_path):
    ase.io.write(tmp_path / "x.cif", Atoms("Cu", cell=[3, 3, 3], pbc=True))
    source = AseFiles(str(tmp_path / "x.cif"))
    index = source.scan()
    (tmp_path / "x.cif").unlink()
    ase_any._read_cached.cache_clear()
    with pytest.raises(SourceError, match=r"x\.cif is gone"):
        source.read(index, 0, 1)


def test_the_awkward_files_give_structures_or_problems_but_no_crash(shared_data):
    files = sorted(p for p in (shared_data / "awkward").iterdir() if p.name != "index.json")
    source = AseFiles(tuple(map(str, files)))
    index = source.scan()
    batch = source.read(index, 0, len(index), records=True)
    readable = {
        files[n].name for k, n in enumerate(index.locators[:, 0]) if k not in batch.problems
    }
    assert readable >= {"cod_1011031.cif", "runner_input.data", "slab_TTF.xyz"}
    assert not readable & {"empty.xyz", "binary_garbage.xyz", "cif_misc_values.cif", "pdb_5i55.cif"}


PARTLY = """data_x
_symmetry_space_group_name_H-M 'P 1'
_cell_length_a 4
_cell_length_b 4
_cell_length_c 4
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
"""


@pytest.mark.parametrize(
    ("sites", "shares"),
    [
        ("Fe1 Fe 0 0 0 0.94\nO1 O 0.5 0.5 0.5 1.0\n", "Fe 0.94"),
        ("M1 Au 0 0 0 0.5\nM2 Cu 0 0 0 0.5\n", "Au 0.5, Cu 0.5"),
        ("M1 Au 0 0 0 1.0\nM2 Cu 0 0 0 1.0\n", "Au 1, Cu 1"),
    ],
)
def test_a_partly_occupied_site_is_not_taken_for_an_atom_unless_asked_for(tmp_path, sites, shares):
    (tmp_path / "x.cif").write_text(PARTLY + sites)
    for records in (False, True):
        source = AseFiles(str(tmp_path / "x.cif"))
        problems = source.read(source.scan(), 0, 1, records).problems
        assert f"x.cif frame 0: a site is partly occupied ({shares})" in problems[0]
    source = AseFiles(str(tmp_path / "x.cif"), partial=True)
    assert not source.read(source.scan(), 0, 1).problems
    (tmp_path / "x.cif").write_text(PARTLY + "Fe1 Fe 0 0 0 1.0\nO1 O 0.5 0.5 0.5 1\n")
    source = AseFiles(str(tmp_path / "x.cif"))
    assert not source.read(source.scan(), 0, 1).problems
