"""Ingest: whatever a source gives comes back from the store exactly."""

from __future__ import annotations

import copy
import gzip
import json
import math
from dataclasses import dataclass, field

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.spacegroup import Spacegroup, crystal
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reference.same import assert_same, assert_same_batch, assert_same_structure

from distdesc import registry
from distdesc.campaign import Campaign
from distdesc.engine.run import run
from distdesc.errors import CampaignError, SourceError, StructureError
from distdesc.schema import RowKind
from distdesc.stages import STAGES
from distdesc.stages.ingest import Ingest
from distdesc.stopwatch import Stopwatch
from distdesc.store.receipts import revoke
from distdesc.store.rows import RowReader
from distdesc.structures import SOURCES
from distdesc.structures.batches import BatchBuilder
from distdesc.structures.index import SourceIndex
from distdesc.structures.pack import PER_ATOM, from_column, load_extra, put_together
from distdesc.structures.records import from_atoms, to_atoms
from distdesc.structures.source import Structure
from distdesc.structures.structure_store import StructureStore


@dataclass(frozen=True)
class Given:
    """A source of given structures."""

    records: list[Structure] = field(default_factory=list)
    seekable = True

    def scan(self, progress=None, scratch=None):
        counts = np.array([len(r.numbers) for r in self.records], dtype=np.int32)
        return SourceIndex(counts, np.zeros((len(counts), 1), dtype=np.int64), "given")

    def read(self, index, start, stop, records=False):
        batch = BatchBuilder(index, start, stop, records)
        for record in self.records[start:stop]:
            batch.add_record(record)
        return batch.finish()


def ingested(records):
    """Columns of some structures, and the structures put together from them again."""
    source = Given(records)
    index = source.scan()
    stage = Ingest().resolve(source, index)
    stage = registry.build(STAGES, "stage", json.loads(json.dumps(describe(stage))))
    batch = source.read(index, 0, len(index), records=True)
    out = stage.run(batch, 0, len(batch), Stopwatch())
    check_against_specs(stage, out, len(records), int(batch.offsets[-1]))
    first = np.cumsum(out["n_atoms"]) - out["n_atoms"]
    return stage, [one(stage, out, k, int(first[k])) for k in range(len(records))]


def describe(stage):
    return registry.describe("ingest", stage)


def check_against_specs(stage, out, n_structures, n_atoms):
    specs = {s.name: s for s in stage.outputs()}
    assert set(out) == set(specs)
    for name, values in out.items():
        spec = specs[name]
        assert values.shape == ((n_atoms if spec.ragged else n_structures), *spec.shape)
        assert values.dtype == (object if spec.dtype == "string" else np.dtype(spec.dtype))


def one(stage, out, k, first):
    atoms = slice(first, first + int(out["n_atoms"][k]))
    groups, absent = load_extra(out["extra"][k])
    for name, group, key, tag, *_ in stage.columns:
        if name not in absent:
            value = out[name][atoms] if group in PER_ATOM else out[name][k]
            groups.setdefault(group, {})[key] = from_column(tag, value)
    return put_together(
        groups,
        out["numbers"][atoms].astype(np.int64),
        out["positions"][atoms],
        out["cell"][k],
        out["pbc"][k],
    )


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.floats(width=32).map(np.float32),
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
    st.integers(0, 2**64 - 1).map(np.uint64),
    st.booleans().map(np.bool_),
    st.text("abc", max_size=3).map(np.str_),
)
ARRAYS = hnp.arrays(
    st.sampled_from(["<f8", "<f4", ">f8", "<i8", "|i1", "<u2", "|b1", "<U3"]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
OBJECTS = st.lists(st.one_of(st.text("ab", max_size=2), st.lists(st.integers(), max_size=2)))
VALUES = st.recursive(
    st.one_of(SCALARS, ARRAYS, OBJECTS.map(lambda x: as_objects(x))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.tuples(inner, inner),
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), inner, max_size=2),
    ),
    max_leaves=4,
)
KEYS = st.sampled_from(["energy", "a", "a b", "a_b", "list", "array", "å/ß", "positions", ""])
PAIRS = st.one_of(ARRAYS, st.dictionaries(KEYS, SCALARS, max_size=2))
RESULTS = st.sampled_from(["energy", "stress", "forces", "charges", "dipole", "mine"])


def as_objects(values):
    array = np.empty(len(values), dtype=object)
    for k, value in enumerate(values):
        array[k] = value
    return array


@st.composite
def infos(draw):
    info = draw(st.dictionaries(st.one_of(KEYS, st.integers(0, 3)), VALUES, max_size=3))
    if draw(st.booleans()):
        info["key_value_pairs"] = draw(PAIRS)
    return info


@st.composite
def structures(draw):
    n = draw(st.integers(0, 3))
    reals = {"dtype": "<f8"}
    per_atom = hnp.arrays(
        st.sampled_from(["<f8", "<i8", "|b1", "<f4", "<U2"]),
        st.sampled_from([(n,), (n, 3), (n, 1), (n, 0)]),
    )
    words = st.lists(st.text("ab", max_size=2), min_size=n, max_size=n).map(as_objects)
    forces = hnp.arrays("<f8", (n, 3))
    return Structure(
        draw(hnp.arrays("<i8", n, elements=st.integers(0, 118))),
        draw(hnp.arrays(shape=(n, 3), **reals)),
        draw(hnp.arrays(shape=(3, 3), **reals)),
        draw(hnp.arrays("|b1", 3)),
        draw(infos()),
        draw(st.dictionaries(KEYS, st.one_of(per_atom, words), max_size=2)),
        draw(st.dictionaries(RESULTS, st.one_of(st.floats(), forces, ARRAYS), max_size=3)),
    )


@settings(max_examples=80, deadline=None)
@given(st.lists(structures(), min_size=1, max_size=4))
def test_anything_comes_back_exactly(records):
    _, again = ingested(copy.deepcopy(records))
    for record, wanted in zip(again, records, strict=True):
        assert_same_structure(record, wanted)


@settings(max_examples=30, deadline=None)
@given(structures(), st.integers(1, 5))
def test_what_all_structures_share_gets_columns(record, n):
    stage, again = ingested([record] * n)
    for found in again:
        assert_same_structure(found, record)
    taken = {(group, key) for _, group, key, *_ in stage.columns}
    for key, value in record.info.items():
        plain = type(value) in (bool, float) or isinstance(value, np.float32 | np.int64)
        named = type(key) is str and len(record.numbers)
        assert not (plain and named) or ("info", key) in taken


def labelled(k, n):
    atoms = Atoms(["H"] * n, positions=np.random.default_rng(k).random((n, 3)))
    atoms.info = {"id": k, "name": f"m{k}", "gap": k / 3, "tensor": np.full((3, 3), k / 7)}
    atoms.set_tags(range(n))
    results = {"energy": math.nan if k == 3 else -1.5 * k, "forces": np.full((n, 3), k / 3.0)}
    atoms.calc = SinglePointCalculator(atoms, **results, dipole=np.full(3, k / 9))
    return atoms


def test_columns_are_typed_and_say_where_they_come_from():
    stage, _ = ingested([from_atoms(labelled(k, 2 + k % 3)) for k in range(9)])
    specs = {s.name: s for s in stage.outputs()}
    shapes = {name: (s.dtype, s.shape, s.ragged is not None) for name, s in specs.items()}
    assert shapes == {
        "n_atoms": ("<i4", (), False),
        "cell": ("<f8", (3, 3), False),
        "pbc": ("|b1", (3,), False),
        "numbers": ("|u1", (), True),
        "positions": ("<f8", (3,), True),
        "extra": ("string", (), False),
        "info_id": ("<i8", (), False),
        "info_gap": ("<f8", (), False),
        "info_tensor": ("<f8", (3, 3), False),
        "arrays_tags": ("<i8", (), True),
        "results_energy": ("<f8", (), False),
        "results_dipole": ("<f8", (3,), False),
        "results_forces": ("<f8", (3,), True),
    }
    assert specs["arrays_tags"].attributes == {"group": "arrays", "key": "tags"}
    assert stage.row_kind is RowKind.STRUCTURE
    assert stage.reads_records
    assert not stage.validates
    assert stage.resolve(Given(), Given().scan()) is stage


def test_a_structure_that_deviates_from_the_columns_is_kept_all_the_same():
    records = [from_atoms(labelled(k, 2)) for k in range(130)]
    # Not among those that the columns are chosen from.
    odd = next(k for k in range(130) if k not in np.linspace(0, 129, 64).astype(int))
    records[odd].info.update(id=2**65, gap=np.float32(0.5), more={"x": (1, None)})
    del records[odd].info["tensor"]
    records[odd].results["forces"] = records[odd].results["forces"][:, :2]
    records[odd].arrays["tags"] = records[odd].arrays["tags"].astype(np.int8)
    stage, again = ingested(records)
    assert {c[0] for c in stage.columns} >= {"info_id", "info_gap", "info_tensor", "arrays_tags"}
    for record, wanted in zip(again, records, strict=True):
        assert_same_structure(record, wanted)


def test_key_value_pairs_of_databases_get_columns():
    records = [from_atoms(labelled(k, 2)) for k in range(3)]
    for k, record in enumerate(records):
        record.info["key_value_pairs"] = {"gap": k / 3, "good": bool(k % 2), "label": "x"}
    stage, again = ingested(records)
    names = {c[0] for c in stage.columns}
    assert {"key_value_pairs_gap", "key_value_pairs_good"} <= names
    for record, wanted in zip(again, records, strict=True):
        assert_same_structure(record, wanted)


def test_keys_that_read_the_same_get_columns_of_their_own():
    info = {"a b": 1, "a_b": 2, "a-b": 3, "ä": 4, "": 5}
    record = Structure(np.ones(1, int), np.zeros((1, 3)), np.zeros((3, 3)), np.zeros(3, bool), info)
    stage, (again,) = ingested([record])
    assert len({c[0] for c in stage.columns}) == 5
    assert_same_structure(again, record)


def test_columns_that_are_none_are_refused():
    with pytest.raises(CampaignError, match="columns must be left out"):
        Ingest((("a", "info", "a", "text", "<f8", ()),))


def test_what_cannot_be_kept_exactly_is_named():
    record = from_atoms(labelled(1, 2))
    record.info["thing"] = object()
    with pytest.raises(StructureError, match=r"info\['thing'\] is of type object"):
        ingested([record])
    numbers = np.array([1, 300])
    with pytest.raises(StructureError, match="atomic number 300"):
        ingested([Structure(numbers, np.zeros((2, 3)), np.zeros((3, 3)), np.zeros(3, bool))])


def test_a_space_group_is_kept():
    atoms = crystal("Cu", [(0, 0, 0)], spacegroup=225, cellpar=[3.6] * 3 + [90] * 3)
    _, (again,) = ingested([from_atoms(atoms)])
    assert again.info["spacegroup"] == Spacegroup(225)
    assert_same_structure(again, from_atoms(atoms))


def ingest(source, path, **store):
    run(
        Campaign.from_dict(
            {
                "source": source,
                "stage": [{"name": "ingest"}],
                "store": {"path": str(path), **store},
                "execution": {"executor": "serial"},
                "limits": {"quarantined_fraction": 1.0},
            }
        )
    )
    store = StructureStore(str(path))
    return store, store.scan()


def assert_store_equals_source(fields, tmp_path, **store):
    source = registry.build(SOURCES, "source", fields)
    index = source.scan(scratch=tmp_path / "scratch")
    found, copied = ingest(fields, tmp_path / "x.zarr", **store)
    assert len(copied) == len(index)
    expected = source.read(index, 0, len(index), records=True)
    assert_same_batch(found.read(copied, 0, len(copied), records=True), expected)
    return found, copied, expected


REAL = [
    "molecules/3bpa_300K.xyz.gz",
    "crystals/mad_sample_700.xyz.gz",
    "crystals/binary_alloys_918.xyz.gz",
    "molecules/qm7x_100.xyz.gz",
    "surfaces/tac_slabs_50.xyz.gz",
]


@pytest.mark.parametrize("name", REAL)
def test_real_files_come_back_exactly(shared_data, tmp_path, name):
    fields = {"name": "extxyz", "path": str(shared_data / name)}
    store, index, _ = assert_store_equals_source(fields, tmp_path)
    text = gzip.decompress((shared_data / name).read_bytes()).decode()
    (tmp_path / "x.xyz").write_text(text)
    for k in (0, 7, len(index) - 1):
        atoms = to_atoms(store.read(index, k, k + 1, records=True).records[0])
        wanted = ase.io.read(tmp_path / "x.xyz", k)
        assert atoms == wanted
        assert_same(atoms.info, wanted.info)
        if wanted.calc:
            assert_same(atoms.calc.results, wanted.calc.results)


def test_molecules_come_back_exactly_whatever_the_shards(molecules, tmp_path):
    fields = {"name": "extxyz", "path": str(molecules)}
    for rows in (7, 64):
        folder = tmp_path / str(rows)
        assert_store_equals_source(fields, folder, shard_rows=rows, chunk_rows=rows)


def test_a_database_with_data_comes_back_exactly(tmp_path):
    with ase.db.connect(tmp_path / "x.db") as database:
        for k in range(9):
            database.write(labelled(k, 1 + k % 3), label="x", data={"v": np.ones(2), "d": {"k": 1}})
    assert_store_equals_source({"name": "ase_db", "path": str(tmp_path / "x.db")}, tmp_path)


def test_what_cannot_be_read_keeps_its_place_and_its_reason(molecules, tmp_path):
    text = molecules.read_text()
    (tmp_path / "x.xyz").write_text(f"garbage\n{text}4\nno\nmore")
    fields = {"name": "extxyz", "path": str(tmp_path / "x.xyz")}
    store, index, expected = assert_store_equals_source(fields, tmp_path)
    assert index.atom_counts[[0, -1]].tolist() == [0, 0]
    assert sorted(expected.problems) == [0, 61]
    assert "line 1: expected a number of atoms" in index.problems[0]
    reader = RowReader(store.path)
    status = reader.read("ingest_status", 0, 62)
    assert status.tolist() == [2, *[0] * 60, 2]


def test_a_structure_with_a_bad_frame_has_no_atoms_in_the_store(tmp_path):
    good = "1\nProperties=species:S:1:pos:R:3\nH 0 0 0\n"
    (tmp_path / "x.xyz").write_text(good + good.replace("H ", "Xx ") + good)
    fields = {"name": "extxyz", "path": str(tmp_path / "x.xyz")}
    store, index = ingest(fields, tmp_path / "x.zarr")
    assert index.atom_counts.tolist() == [1, 0, 1]
    batch = store.read(index, 0, 3, records=True)
    assert "unknown species" in batch.problems[1]
    assert batch.records[1] is None


def test_atoms_of_a_structure_are_found_by_first_atom_and_n_atoms(molecules, tmp_path):
    fields = {"name": "extxyz", "path": str(molecules)}
    ingest(fields, tmp_path / "x.zarr", shard_rows=8, chunk_rows=8)
    reader = RowReader(tmp_path / "x.zarr")
    first, n = (reader.read(name, 0, 60) for name in ("first_atom", "n_atoms"))
    wanted = ase.io.read(molecules, ":")
    for k in (0, 7, 8, 31, 59):
        numbers = reader.read("numbers", int(first[k]), int(first[k] + n[k]))
        assert numbers.tolist() == wanted[k].numbers.tolist()


def test_an_unfinished_store_is_no_source(molecules, tmp_path):
    store, _ = ingest({"name": "extxyz", "path": str(molecules)}, tmp_path / "x.zarr")
    revoke(tmp_path / "x.zarr", "ingest", 0)
    with pytest.raises(SourceError, match="not finished"):
        store.scan()
    with pytest.raises(SourceError, match="nowhere"):
        StructureStore(str(tmp_path / "nowhere")).scan()


def test_a_store_can_be_ingested_again(molecules, tmp_path):
    first, _ = ingest({"name": "extxyz", "path": str(molecules)}, tmp_path / "x.zarr")
    second = tmp_path / "again"
    second.mkdir()
    assert_store_equals_source({"name": "structure_store", "path": first.path}, second)
