"""What every source of structures must do, over the registry."""

from __future__ import annotations

import pickle
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import ase.db
import ase.io
import numpy as np
import pytest
from reference.same import assert_same_batch

from distdesc.campaign import Campaign
from distdesc.engine.run import run
from distdesc.errors import DistdescError, SourceError
from distdesc.registry import build, describe
from distdesc.structures import SOURCES, ase_any
from distdesc.structures.index import SourceIndex
from distdesc.structures.source import Structures

N = 12
KEPT = range(4, 8)


class Extxyz:
    """One file after the other in a file; each frame is a stretch of bytes."""

    path = "x.xyz"

    def write(self, folder, images):
        ase.io.write(folder / "x.xyz", images, format="extxyz")

    def spoil(self, folder, index):
        path = folder / "x.xyz"
        data = bytearray(path.read_bytes())
        for k in set(range(N)) - set(KEPT):
            _, start, stop, _ = index.locators[k]
            data[start:stop] = b"~" * (stop - start)
        path.write_bytes(data)


class AseDb:
    """Rows of an SQLite file."""

    path = "x.db"

    def write(self, folder, images):
        with ase.db.connect(folder / "x.db") as database:
            for atoms in [images[0], *images]:
                database.write(atoms, gap=0.5)
        with ase.db.connect(folder / "x.db") as database:
            database.delete([1])

    def spoil(self, folder, index):
        keep = tuple(index.locators[list(KEPT), 1].tolist())
        with sqlite3.connect(folder / "x.db") as database:
            database.execute(f"UPDATE systems SET numbers='~' WHERE id NOT IN {keep}")
        database.close()


class Lmdb:
    """Rows of two LMDB files in a folder."""

    path = "."

    def write(self, folder, images):
        pytest.importorskip("ase_db_backends")
        for name, part in {"a": images[:5], "b": images[5:]}.items():
            database = ase.db.connect(folder / f"{name}.aselmdb", use_lock_file=False)
            for atoms in part:
                database.write(atoms, gap=0.5)
            database.close()

    def spoil(self, folder, index):
        import lmdb

        for number, name in enumerate("ab"):
            env = lmdb.open(str(folder / f"{name}.aselmdb"), subdir=False)
            with env.begin(write=True) as transaction:
                for k in set(range(N)) - set(KEPT):
                    if index.locators[k, 0] == number:
                        transaction.put(str(index.locators[k, 1]).encode(), b"~")
            env.close()


class AnyFormat:
    """One POSCAR each."""

    path = "*.vasp"

    def write(self, folder, images):
        for k, atoms in enumerate(images):
            atoms = atoms.copy()
            atoms.cell = [20, 21, 22]
            ase.io.write(folder / f"{k:02d}.vasp", atoms, format="vasp")

    def spoil(self, folder, index):
        ase_any._read_cached.cache_clear()
        for k in set(range(N)) - set(KEPT):
            (folder / f"{k:02d}.vasp").write_text("~")


class Mixture:
    """A folder of files of three formats."""

    path = "."

    def write(self, folder, images):
        ase.io.write(folder / "a.xyz", images[:4], format="extxyz")
        with ase.db.connect(folder / "b.db") as database:
            for atoms in images[4:8]:
                database.write(atoms, gap=0.5)
        (folder / "c").mkdir()
        ase.io.write(folder / "c" / "c.traj", images[8:])

    def spoil(self, folder, index):
        ase_any._read_cached.cache_clear()
        for name in ("a.xyz", "c/c.traj"):
            (folder / name).write_bytes(b"~" * (folder / name).stat().st_size)


class Ingested:
    """A store of three shards."""

    path = "x.zarr"

    def write(self, folder, images):
        ase.io.write(folder / "in.xyz", images, format="extxyz")
        run(
            Campaign.from_dict(
                {
                    "source": {"name": "extxyz", "path": str(folder / "in.xyz")},
                    "stage": [{"name": "ingest"}],
                    "store": {"path": str(folder / "x.zarr"), "shard_rows": 4, "chunk_rows": 4},
                    "execution": {"executor": "serial"},
                }
            )
        )

    def spoil(self, folder, index):
        for file in (folder / "x.zarr").glob("*/c/**/*"):
            if file.is_file() and file.relative_to(folder).parts[3] in "02":
                file.write_bytes(b"~" * file.stat().st_size)


class Fingerprinted:
    """A run over a database, whose structures are read from there."""

    path = "x.zarr"

    def write(self, folder, images):
        AseDb().write(folder, images)
        run(
            Campaign.from_dict(
                {
                    "source": {"name": "ase_db", "path": str(folder / "x.db")},
                    "descriptor": {"name": "moment_invariants", "order": 2, "smoothing": 0.0},
                    "stage": [{"name": "fingerprint", "per": "whole"}],
                    "store": {"path": str(folder / "x.zarr"), "shard_rows": 4, "chunk_rows": 4},
                    "execution": {"executor": "serial"},
                }
            )
        )

    def spoil(self, folder, index):
        AseDb().spoil(folder, index)


MAKERS = {
    "fingerprint_store": Fingerprinted(),
    "extxyz": Extxyz(),
    "files": Mixture(),
    "ase_db": AseDb(),
    "aselmdb": Lmdb(),
    "ase_any": AnyFormat(),
    "structure_store": Ingested(),
    "variants": Extxyz(),
}


@dataclass
class Case:
    """A source of the same molecules as all others."""

    name: str
    folder: Path
    images: list

    @property
    def maker(self):
        return MAKERS[self.name]

    @property
    def fields(self):
        path = self.folder / self.maker.path
        return {"name": self.name, "path": str(path)}

    @property
    def source(self):
        return build(SOURCES, "source", self.fields)


def test_every_registered_source_is_tested():
    assert set(MAKERS) == set(SOURCES)


@pytest.fixture(params=sorted(MAKERS))
def case(request, tmp_path, molecules):
    images = ase.io.read(molecules, f":{N}")
    found = Case(request.param, tmp_path / "here", images)
    found.folder.mkdir()
    found.maker.write(found.folder, images)
    return found


def whole(source, index, records=False):
    return source.read(index, 0, len(index), records)


def test_counts_and_order_are_those_of_what_is_read(case):
    source = case.source
    index = source.scan()
    batch = whole(source, index)
    assert index.atom_counts.dtype == np.int32
    assert index.locators.dtype == np.int64
    assert index.atom_counts.tolist() == [len(atoms) for atoms in case.images]
    assert np.diff(batch.offsets).tolist() == index.atom_counts.tolist()
    assert batch.numbers.tolist() == [z for atoms in case.images for z in atoms.numbers]
    expected = np.concatenate([atoms.positions for atoms in case.images])
    np.testing.assert_allclose(batch.positions, expected, atol=1e-7)
    assert not batch.problems
    assert source.seekable


def test_arrays_have_the_types_that_the_contract_says(case):
    source = case.source
    index = source.scan()
    for batch in (whole(source, index), source.read(index, 3, 3)):
        types = {k: getattr(batch, k).dtype for k in ("indices", "offsets", "numbers", "cells")}
        assert types == {"indices": "i8", "offsets": "i8", "numbers": "i4", "cells": "f8"}
        assert batch.positions.dtype == np.float64
        assert batch.positions.shape == (batch.offsets[-1], 3)
        assert batch.cells.shape == (len(batch), 3, 3)
        assert batch.pbc.shape == (len(batch), 3)
        assert batch.pbc.dtype == bool
        assert batch.records is None


@pytest.mark.parametrize("records", [False, True])
def test_a_range_is_the_same_as_its_structures_one_by_one(case, records):
    source = case.source
    index = source.scan()
    everything = whole(source, index, records)
    assert_same_batch(everything, joined([source.read(index, k, k + 1, records) for k in range(N)]))
    for start, stop in [(0, 5), (3, 9), (7, 8), (10, N), (4, 4)]:
        part = source.read(index, start, stop, records)
        assert_same_batch(part, everything.take(np.arange(start, stop)))


def joined(parts):
    return Structures(
        np.concatenate([p.indices for p in parts]),
        np.concatenate([[0], np.cumsum([p.offsets[-1] for p in parts])]),
        *(
            np.concatenate([getattr(p, name) for p in parts])
            for name in ("numbers", "positions", "cells", "pbc")
        ),
        {},
        None if parts[0].records is None else [r for p in parts for r in p.records],
    )


def test_records_hold_the_same_geometry(case):
    source = case.source
    index = source.scan()
    batch = whole(source, index, records=True)
    bare = whole(source, index)
    assert_same_batch(bare, Structures(**{**vars(batch), "records": None}))
    for k, record in enumerate(batch.records):
        atoms = slice(*batch.offsets[k : k + 2])
        assert record.numbers.dtype == np.int64
        assert np.array_equal(record.numbers, batch.numbers[atoms])
        assert np.array_equal(record.positions, batch.positions[atoms])
        assert np.array_equal(record.cell, batch.cells[k])
        assert np.array_equal(record.pbc, batch.pbc[k])


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (0, N + 1), (5, 4), (N + 1, N + 2)])
def test_a_range_outside_of_the_source_is_refused(case, start, stop):
    source = case.source
    with pytest.raises(SourceError, match=f"structures {start} to {stop} are not within"):
        source.read(source.scan(), start, stop)


@pytest.mark.parametrize("records", [False, True])
def test_reading_a_range_touches_nothing_else(case, records):
    index = case.source.scan()
    expected = case.source.read(index, KEPT.start, KEPT.stop, records)
    case.maker.spoil(case.folder, index)
    assert_same_batch(case.source.read(index, KEPT.start, KEPT.stop, records), expected)


def test_damage_is_named(case):
    index = case.source.scan()
    case.maker.spoil(case.folder, index)
    if case.name == "structure_store":
        with pytest.raises(SourceError, match=r"x\.zarr/.* is damaged"):
            whole(case.source, index, records=True)
        return
    problems = whole(case.source, index, records=True).problems
    assert sorted(problems) == sorted(set(range(N)) - set(KEPT))
    assert all(case.folder.name in text for text in problems.values())


def test_an_index_is_saved_and_loaded(case, tmp_path):
    index = case.source.scan()
    index.save(tmp_path / "index")
    loaded = SourceIndex.load(tmp_path / "index")
    assert loaded.digest == index.digest
    assert loaded.files == index.files
    assert loaded.changed_file() is None
    assert_same_batch(whole(case.source, loaded, True), whole(case.source, index, True))


def test_the_digest_is_that_of_the_content_wherever_it_lies(case, tmp_path):
    digest = case.source.scan().digest
    shutil.copytree(case.folder, tmp_path / "there")
    assert Case(case.name, tmp_path / "there", case.images).source.scan().digest == digest
    other = Case(case.name, tmp_path / "changed", case.images)
    other.folder.mkdir()
    case.images[3].positions[1, 2] += 1e-4
    other.maker.write(other.folder, case.images)
    assert other.source.scan().digest != digest


def test_a_source_pickles_and_survives_its_serialised_form(case):
    source = case.source
    assert pickle.loads(pickle.dumps(source)) == source
    fields = describe(case.name, source)
    assert fields["name"] == case.name
    assert build(SOURCES, "source", fields) == source
    hash(source)


def test_a_source_that_is_not_there_is_named(case, tmp_path):
    missing = build(SOURCES, "source", {"name": case.name, "path": str(tmp_path / "nowhere")})
    with pytest.raises(SourceError, match="nowhere"):
        missing.scan()


def test_a_path_that_is_no_text_is_refused(case):
    for path in (3, "", None):
        with pytest.raises(DistdescError, match="path must be"):
            build(SOURCES, "source", {"name": case.name, "path": path})


def test_progress_ends_at_its_total(case):
    calls = []
    case.source.scan(lambda done, total: calls.append((done, total)))
    assert all(done <= total for done, total in calls)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
