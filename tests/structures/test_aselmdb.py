"""LMDB databases: equal to what ASE reads, shared by many readers, damaged ones survived."""

from __future__ import annotations

import ase.db
import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from reference.same import assert_same_batch, assert_same_structure

from distdesc.errors import CampaignError, SourceError
from distdesc.structures import aselmdb
from distdesc.structures.aselmdb import AseLmdb
from distdesc.structures.records import from_atoms

lmdb = pytest.importorskip("lmdb")
pytest.importorskip("ase_db_backends")


@pytest.fixture
def database(tmp_path, molecules):
    path = tmp_path / "x.aselmdb"
    writer = ase.db.connect(path, use_lock_file=False)
    for k, atoms in enumerate(ase.io.read(molecules, ":9")):
        atoms.set_tags(range(len(atoms)))
        atoms.calc = SinglePointCalculator(
            atoms, energy=-0.5 * k, forces=atoms.positions / 3, stress=np.arange(6.0)
        )
        writer.write(atoms, data={"k": k, "v": [1.5, 2]}, gap=k / 7, label="x")
    writer.delete([4])
    writer.close()
    (tmp_path / "x.aselmdb-lock").unlink()
    return path


def test_a_database_with_gaps_is_read_as_ase_reads_it(database):
    source = AseLmdb(str(database))
    index = source.scan()
    batch = source.read(index, 0, len(index), records=True)
    reader = ase.db.connect(database, readonly=True, use_lock_file=False)
    rows = list(reader.select())
    reader.close()
    assert index.locators[:, 1].tolist() == [1, 2, 3, 5, 6, 7, 8, 9]
    for record, row in zip(batch.records, rows, strict=True):
        expected = from_atoms(row.toatoms(add_additional_information=True))
        expected.info["data"] = dict(expected.info["data"])
        assert_same_structure(record, expected)


def test_reading_makes_no_lock_file(database):
    database.chmod(0o444)
    database.parent.chmod(0o555)
    try:
        source = AseLmdb(str(database))
        source.read(source.scan(), 0, 3)
    finally:
        database.parent.chmod(0o755)
    assert sorted(p.name for p in database.parent.iterdir()) == ["x.aselmdb"]


def test_counts_do_not_depend_on_how_a_row_begins(database, monkeypatch):
    expected = AseLmdb(str(database)).scan()
    monkeypatch.setattr(aselmdb, "_N_ATOMS", aselmdb.re.compile(b"nothing"))
    assert AseLmdb(str(database)).scan().atom_counts.tolist() == expected.atom_counts.tolist()


def test_damaged_rows_are_problems_of_their_own(database):
    env = lmdb.open(str(database), subdir=False)
    with env.begin(write=True) as transaction:
        whole = transaction.get(b"2")
        transaction.put(b"2", b"~~~~")
        transaction.put(b"3", whole[: len(whole) // 2])
        transaction.delete(b"6")
    env.close()
    source = AseLmdb(str(database))
    index = source.scan()
    assert sorted(index.problems) == [1, 4]
    assert "x.aselmdb id 2: damaged" in index.problems[1]
    assert "x.aselmdb id 6: is not there" in index.problems[4]
    batch = source.read(index, 0, len(index), records=True)
    assert sorted(batch.problems) == [1, 2, 4]
    assert "x.aselmdb id 3: damaged" in batch.problems[2]


def test_a_row_that_is_gone_is_an_error(database):
    source = AseLmdb(str(database))
    index = source.scan()
    env = lmdb.open(str(database), subdir=False)
    with env.begin(write=True) as transaction:
        transaction.delete(b"2")
    env.close()
    with pytest.raises(SourceError, match=r"x\.aselmdb id 2 is gone"):
        source.read(index, 0, 4)


def test_a_folder_a_glob_and_a_list_are_the_same(database):
    (database.parent / "y.aselmdb").write_bytes(database.read_bytes())
    folder = AseLmdb(str(database.parent))
    expected = folder.read(folder.scan(), 0, 16)
    for path in (
        str(database.parent / "*.aselmdb"),
        (str(database), str(database.parent / "y.aselmdb")),
    ):
        other = AseLmdb(path)
        assert other.scan().digest == folder.scan().digest
        assert_same_batch(other.read(other.scan(), 0, 16), expected)


def test_what_is_no_database_is_refused(tmp_path):
    (tmp_path / "x.aselmdb").write_text("text " * 5000)
    with pytest.raises(SourceError, match=r"x\.aselmdb is not an \.aselmdb file"):
        AseLmdb(str(tmp_path / "x.aselmdb")).scan()
    (tmp_path / "folder").mkdir()
    with pytest.raises(SourceError, match=r"has no \*\.aselmdb"):
        AseLmdb(str(tmp_path / "folder")).scan()


def test_a_missing_package_is_named_with_the_command_that_installs_it(database, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ase_db_backends.aselmdb", None)
    aselmdb._packages.cache_clear()
    with pytest.raises(CampaignError, match=r"pip install 'distdesc\[aselmdb\]'"):
        AseLmdb(str(database)).scan()
    aselmdb._packages.cache_clear()
