"""ASE databases: equal to what ASE reads, shared by many readers, damaged ones survived."""

from __future__ import annotations

import os
import sqlite3

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from reference.same import assert_same_batch, assert_same_structure

from distdesc.errors import CampaignError, SourceError
from distdesc.structures import _ase_databases
from distdesc.structures.ase_db import AseDatabase
from distdesc.structures.records import from_atoms


def images(molecules):
    found = ase.io.read(molecules, ":12")
    slab = Atoms("Cu2H", np.eye(3), cell=[[3, 0, 0], [0.5, 3, 0], [0, 0, 9]], pbc=(1, 1, 0))
    slab.set_constraint(FixAtoms([0]))
    slab.set_tags([1, 2, 3])
    slab.set_initial_magnetic_moments([0.5, 0, 0])
    slab.set_initial_charges([0.25, 0, 0])
    slab.set_masses([60, 61, 1.5])
    slab.set_momenta(np.eye(3) / 7)
    slab.calc = SinglePointCalculator(
        slab, energy=-1.25, forces=np.arange(9.0).reshape(3, 3), stress=np.arange(6.0),
        dipole=np.ones(3), magmoms=np.zeros(3), charges=np.ones(3), magmom=2.0, free_energy=-1.5,
    )  # fmt: skip
    return [*found, slab, Atoms("H"), Atoms()]


def write(path, atoms_list):
    with ase.db.connect(path) as database:
        for k, atoms in enumerate(atoms_list):
            database.write(
                atoms, gap=k / 7, label=f"no {k}", good=bool(k % 2), data={"k": k, "v": np.ones(2)}
            )
    return path


@pytest.fixture
def sqlite(tmp_path, molecules):
    path = write(tmp_path / "x.db", images(molecules))
    with ase.db.connect(path) as database:
        database.delete([1, 4, 5])
    return path


@pytest.fixture
def json(tmp_path, molecules):
    return write(tmp_path / "x.json", images(molecules)[8:])


def assert_equals_ase(path):
    source = AseDatabase(str(path))
    index = source.scan()
    batch = source.read(index, 0, len(index), records=True)
    with ase.db.connect(path, use_lock_file=False) as database:
        rows = list(database.select())
    assert index.locators[:, 1].tolist() == [row.id for row in rows]
    assert index.atom_counts.tolist() == [row.natoms for row in rows]
    for record, row in zip(batch.records, rows, strict=True):
        expected = from_atoms(row.toatoms(add_additional_information=True))
        expected.info["data"] = dict(expected.info["data"])
        assert_same_structure(record, expected)
    bare = type(batch)(**{**vars(batch), "records": None})
    assert_same_batch(source.read(index, 0, len(index)), bare)
    assert not batch.problems


def test_an_sqlite_database_with_gaps_is_read_as_ase_reads_it(sqlite):
    assert_equals_ase(sqlite)


def test_a_json_database_is_read_as_ase_reads_it(json):
    assert_equals_ase(json)


def test_a_database_needs_no_write_access_and_no_lock(sqlite):
    (sqlite.parent / "x.db.lock").touch()
    before = {p.name: p.stat().st_mtime_ns for p in sqlite.parent.iterdir()}
    sqlite.chmod(0o444)
    opened = []
    source = AseDatabase(str(sqlite))
    index = source.scan()
    with sqlite3.connect(sqlite) as writer:
        # A reader that wanted to write would have to wait for this transaction.
        opened.append(writer)
        assert len(source.read(index, 0, 5, records=True)) == 5
    writer.close()
    assert {p.name: p.stat().st_mtime_ns for p in sqlite.parent.iterdir()} == before
    connection = _ase_databases._ReadOnlyDatabase(str(sqlite), use_lock_file=False)._connect()
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM systems")
    connection.close()


def test_rows_of_a_range_are_all_that_is_read(sqlite):
    source = AseDatabase(str(sqlite))
    index = source.scan()
    expected = source.read(index, 3, 6)
    keep = index.locators[3:6, 1].tolist()
    with sqlite3.connect(sqlite) as database:
        database.execute(f"UPDATE systems SET positions='x' WHERE id NOT IN {tuple(keep)}")
    database.close()
    assert_same_batch(source.read(index, 3, 6), expected)


@pytest.mark.parametrize("records", [False, True])
def test_a_damaged_row_is_a_problem_of_its_own(sqlite, records):
    source = AseDatabase(str(sqlite))
    with sqlite3.connect(sqlite) as database:
        database.execute("UPDATE systems SET positions=X'00' WHERE id=6")
        database.execute("UPDATE systems SET numbers=X'0100000002000000' WHERE id=8")
    database.close()
    index = source.scan()
    bad = [index.locators[:, 1].tolist().index(row) for row in (6, 8)]
    batch = source.read(index, 0, len(index), records)
    assert sorted(batch.problems) == bad
    assert "x.db id 6" in batch.problems[bad[0]]
    assert np.diff(batch.offsets).tolist() == index.atom_counts.tolist()


def test_damaged_key_value_pairs_are_a_problem_of_the_record_alone(sqlite):
    with sqlite3.connect(sqlite) as database:
        database.execute("UPDATE systems SET key_value_pairs='{' WHERE id=6")
    database.close()
    source = AseDatabase(str(sqlite))
    index = source.scan()
    assert not source.read(index, 0, len(index)).problems
    assert len(source.read(index, 0, len(index), records=True).problems) == 1


def test_a_torn_page_costs_its_rows_and_not_the_others(tmp_path):
    rng = np.random.default_rng(5)
    path = write(tmp_path / "x.db", [Atoms("H100", rng.random((100, 3))) for _ in range(60)])
    source = AseDatabase(str(path))
    index = source.scan()
    whole = source.read(index, 0, 60)
    data = bytearray(path.read_bytes())
    # The page that holds the positions of row 31 itself, and what the page before ends with.
    at = data.index(whole.positions[3000:3001].tobytes())
    data[at // 4096 * 4096 : at // 4096 * 4096 + 16] = b"\xff" * 16
    path.write_bytes(data)
    batch = source.read(index, 0, 60)
    good = np.flatnonzero(~np.isin(np.arange(60), list(batch.problems)))
    assert 0 < len(batch.problems) < 10
    assert all("x.db id" in text for text in batch.problems.values())
    for k in good:
        a, b = batch.offsets[k : k + 2]
        unchanged = np.array_equal(batch.positions[a:b], whole.positions[a:b])
        assert unchanged or k == 30


def test_a_row_that_is_gone_is_an_error(sqlite, json):
    source = AseDatabase(str(sqlite))
    index = source.scan()
    with ase.db.connect(sqlite) as database:
        database.delete([8])
    for records in (False, True):
        with pytest.raises(SourceError, match=r"x\.db id 8 is gone"):
            source.read(index, 0, len(index), records)


def test_the_digest_follows_changes_and_not_places(sqlite, tmp_path):
    digest = AseDatabase(str(sqlite)).scan().digest
    copy = tmp_path / "elsewhere.db"
    copy.write_bytes(sqlite.read_bytes())
    assert AseDatabase(str(copy)).scan().digest == digest
    with ase.db.connect(copy) as database:
        database.update(3, gap=9.5)
    assert AseDatabase(str(copy)).scan().digest != digest
    copy.write_bytes(sqlite.read_bytes())
    with ase.db.connect(copy) as database:
        atoms = database.get_atoms(id=2)
        atoms.positions[0, 0] += 1e-9
        database.update(2, atoms)
    assert AseDatabase(str(copy)).scan().digest != digest


def test_several_databases_follow_one_another(sqlite, json):
    source = AseDatabase((str(sqlite), str(json)))
    index = source.scan()
    batch = source.read(index, 0, len(index), records=True)
    one, two = (AseDatabase(str(p)) for p in (sqlite, json))
    n = len(one.scan())
    assert len(index) == n + len(two.scan())
    tail = two.read(two.scan(), 0, 3, records=True).records
    for a, b in zip(batch.records[n : n + 3], tail, strict=True):
        assert_same_structure(a, b)


def test_what_is_no_database_is_refused(tmp_path, molecules):
    for name, content in {"x.db": "text " * 500, "x.json": '{"a": 1}', "y.json": "{"}.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(SourceError, match=f"{name}.* is not an ASE database"):
            AseDatabase(str(tmp_path / name)).scan()
    with ase.db.connect(tmp_path / "empty.db") as database:
        assert database.count() == 0
    with pytest.raises(SourceError, match="no rows"):
        AseDatabase(str(tmp_path / "empty.db")).scan()
    with pytest.raises(CampaignError, match="all files or all URLs"):
        AseDatabase(("x.db", "postgresql://a/b"))


def test_a_password_does_not_get_into_messages():
    url = "postgresql://user:secret@127.0.0.1:1/nowhere"
    with pytest.raises(SourceError) as caught:
        AseDatabase(url).scan()
    assert "secret" not in str(caught.value)
    assert "127.0.0.1:1/nowhere" in str(caught.value)


@pytest.mark.skipif(
    "DISTDESC_TEST_POSTGRESQL" not in os.environ,
    reason="no server: set DISTDESC_TEST_POSTGRESQL to the URL of an empty database",
)
def test_a_postgresql_database_is_read_as_ase_reads_it(molecules):
    url = os.environ["DISTDESC_TEST_POSTGRESQL"]
    with ase.db.connect(url) as database:
        database.delete([row.id for row in database.select()])
        for atoms in images(molecules)[:-1]:
            database.write(atoms, gap=0.5, label="x")
    source = AseDatabase(url)
    index = source.scan()
    batch = source.read(index, 2, len(index), records=True)
    rows = sorted(ase.db.connect(url).select(), key=lambda row: row.id)
    assert len(index) == len(rows)
    for record, row in zip(batch.records, rows[2:], strict=True):
        assert_same_structure(record, from_atoms(row.toatoms(add_additional_information=True)))
