"""Which source a path is meant for."""

from __future__ import annotations

import pytest

from distdesc.structures import SOURCES
from distdesc.structures.guess import guess_source


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/qm9.db", "ase_db"),
        ("a/qm9.json", "ase_db"),
        ("postgresql://user:word@host:5432/base", "ase_db"),
        ("x.xyz", "extxyz"),
        ("X.XYZ", "extxyz"),
        ("x.extxyz", "extxyz"),
        ("x.xyz.gz", "extxyz"),
        ("x.y.extxyz.xz", "extxyz"),
        ("md/*.xyz", "extxyz"),
        ("md/*.xyz*", "extxyz"),
        ("md/**/*.xyz.gz", "extxyz"),
        ("x.aselmdb", "aselmdb"),
        ("data/*.aselmdb", "aselmdb"),
        ("not/there.zarr", "structure_store"),
        ("x.cif", "ase_any"),
        ("data/*", "files"),
        ("data/**/*", "files"),
        ("x.cif.gz", "ase_any"),
        ("POSCAR", "ase_any"),
        ("run.traj", "ase_any"),
        ("v1.5/OUTCAR", "ase_any"),
    ],
)
def test_a_path_tells_its_source(path, name):
    assert guess_source(path) == {"name": name, "path": path}
    assert name in SOURCES


def test_a_folder_is_told_by_what_is_in_it(tmp_path):
    assert guess_source(str(tmp_path))["name"] == "files"
    (tmp_path / "a.aselmdb").touch()
    assert guess_source(str(tmp_path))["name"] == "aselmdb"
    (tmp_path / "zarr.json").touch()
    assert guess_source(str(tmp_path))["name"] == "structure_store"
