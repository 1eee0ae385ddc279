"""Sparse and pooled stores: what holds for dense ones holds for them, and they hold the same."""

from __future__ import annotations

import shutil
from io import StringIO
from pathlib import Path

import ase.io
import numpy as np
import pytest
import zarr
from ase import Atoms
from support import contents, rewrite

from distdesc.campaign import Campaign
from distdesc.engine.events import ShardFinished
from distdesc.engine.preview import Preview, preview
from distdesc.engine.run import run
from distdesc.engine.verify import verify
from distdesc.errors import CampaignError, StoreError, StructureError
from distdesc.job import overridden
from distdesc.report.export import export
from distdesc.report.features import summarise_features
from distdesc.report.plan_text import plan_table
from distdesc.report.reader import open_run
from distdesc.stages.fingerprint import Fingerprint
from distdesc.store.receipts import read_receipt, receipt_path, revoke
from distdesc.store.rows import digest_file, digest_rows
from distdesc.structures.index import SourceIndex
from distdesc.structures.neighbours import build_environments

DESCRIPTOR = {
    "name": "power_spectrum",
    "elements": ["H", "C", "N", "O"],
    "cutoff": 2.5,
    "n_max": 3,
    "l_max": 2,
}
WAYS = {
    "dense": {},
    "sparse": {"layout": "sparse"},
    "species": {"per": "structure", "pool": "species"},
}


@pytest.fixture
def begin(molecules, tmp_path):
    """Campaigns of one way to store, that differ in the keys given."""

    def build(way: str, store: str = "", **changes):
        rows = 16 if way == "species" else 128
        data = {
            "source": {"name": "extxyz", "path": str(molecules)},
            "descriptor": DESCRIPTOR,
            "stage": [{"name": "fingerprint", **WAYS[way]}],
            "store": {
                "path": str(tmp_path / (store or f"{way}.zarr")),
                "shard_rows": rows,
                "chunk_rows": rows // 4,
            },
            "execution": {"executor": "serial"},
        }
        return Campaign.from_dict(
            overridden(data, {key.replace("__", "."): value for key, value in changes.items()})
        )

    return build


@pytest.fixture
def done(begin):
    """Store of one way, computed."""

    def build(way: str, store: str = "", **changes):
        campaign = begin(way, store, **changes)
        run(campaign)
        return open_run(campaign.path)

    return build


def test_a_sparse_store_is_the_dense_one_whichever_way_it_is_read(done):
    dense, sparse = done("dense"), done("sparse")
    expected = np.asarray(dense.array()[:])
    assert (dense.sparse, sparse.sparse) == (False, True)
    assert sparse.array("blocks").shape[1] == 27 < expected.shape[1]
    rows = np.random.default_rng(1).permutation(len(expected))[:200]
    for chosen in (slice(None), range(100, 300), rows, [], [7]):
        whole = expected[np.arange(len(expected))[chosen] if isinstance(chosen, slice) else chosen]
        assert np.array_equal(sparse.fingerprints(chosen), whole)
        assert np.array_equal(dense.fingerprints(chosen), whole)
        found = sparse.sparse_fingerprints(chosen)
        assert found.has_canonical_format
        assert np.array_equal(found.toarray(), whole)
    assert sparse.sparse_fingerprints(slice(None)).nnz < 0.8 * expected.size
    lazy = sparse.to_dask()
    assert lazy.shape == expected.shape
    assert np.array_equal(lazy.compute(scheduler="synchronous"), expected)
    with pytest.raises(StoreError, match=r"rows must be in \[0, 976\)"):
        sparse.fingerprints([976])
    with pytest.raises(StoreError, match="dense fingerprints; use fingerprints"):
        dense.sparse_fingerprints([0])


def test_a_sparse_store_as_a_dataset_has_dense_fingerprints(done):
    pytest.importorskip("xarray")
    sparse = done("sparse")
    data = sparse.to_xarray()
    assert "blocks" not in data
    assert data.fingerprint.dims == ("environment", "feature")
    assert np.array_equal(data.fingerprint[5:9].values, sparse.fingerprints(range(5, 9)))


def test_a_pooled_store_holds_the_sums_of_the_dense_one(done):
    dense, pooled = done("dense"), done("species")
    values, numbers = dense.array()[:], dense.array("number")[:]
    row = np.asarray(pooled.array()[:]).reshape(60, 4, -1)
    for k in range(60):
        mine = slice(dense.rows_of(k).start, dense.rows_of(k).stop)
        for place, z in enumerate((1, 6, 7, 8)):
            chosen = numbers[mine] == z
            np.testing.assert_allclose(row[k, place], values[mine][chosen].sum(0), rtol=1e-13)
            assert pooled.array("composition")[k, place] == chosen.sum()
    assert pooled.reader.attributes("composition")["elements"] == ["H", "C", "N", "O"]
    names = pooled.reader.attributes("fingerprint")["features"]
    assert (names[0], len(names)) == ("H: H0·H0 l0", row[0].size)


@pytest.mark.parametrize("way", ["sparse", "species"])
def test_a_stopped_run_ends_byte_identical(begin, done, way):
    whole = done(way, "whole.zarr")
    campaign = begin(way)
    seen = []

    def stops(event):
        if isinstance(event, ShardFinished):
            seen.append(event)
            if len(seen) == 2:
                raise InterruptedError

    with pytest.raises(InterruptedError):
        run(campaign, [stops])
    assert not open_run(campaign.path).complete
    run(campaign)
    assert contents(campaign.path) == contents(whole.path)


@pytest.mark.parametrize("way", ["sparse", "species"])
def test_rows_do_not_depend_on_the_shards(done, way):
    rows = [
        done(way, f"{n}.zarr", store__shard_rows=n, store__chunk_rows=n // 8).fingerprints(
            slice(None)
        )
        for n in ((8, 1024) if way == "species" else (64, 1024))
    ]
    assert rows[0].tobytes() == rows[1].tobytes()


@pytest.mark.parametrize("way", ["sparse", "species"])
def test_structures_set_aside_leave_the_rest_exact(done, monkeypatch, way):
    whole = done(way, "whole.zarr")
    original = Fingerprint.run

    def fails(self, batch, first, last, clock):
        bad = [k for k, i in enumerate(batch.indices) if i in (3, 7, 40)]
        if bad:
            raise StructureError({k: "as asked" for k in bad})
        return original(self, batch, first, last, clock)

    monkeypatch.setattr(Fingerprint, "run", fails)
    found = done(way, "bad.zarr", limits__quarantined_fraction=0.1)
    assert sorted(found.quarantined()) == [3, 7, 40]
    owner = np.arange(60) if way == "species" else found.locate(range(976))[0]
    out = np.isin(owner, [3, 7, 40])
    rows, before = found.fingerprints(slice(None)), whole.fingerprints(slice(None))
    assert np.isnan(rows[out]).all()
    assert np.array_equal(rows[~out], before[~out])
    assert np.array_equal(found.status("fingerprint") == 2, out)
    assert verify(found.path).faults == ()
    assert summarise_features(found).rows == (~out).sum()
    if way == "sparse":
        assert found.sparse_fingerprints(np.flatnonzero(out)).nnz == 0


@pytest.mark.parametrize("name", ["blocks", "block_number", "n_blocks", "first_block"])
def test_damage_to_a_sparse_store_is_found_and_repaired(begin, name):
    campaign = begin("sparse")
    run(campaign)
    before = contents(campaign.path)
    place = campaign.path / name / "c" / "1"
    file = place / "0" if name == "blocks" else place
    for harm in (lambda: file.write_bytes(file.read_bytes()[:-1]), file.unlink):
        harm()
        faults = verify(campaign.path, recomputed=0, repair=True).faults
        assert (1, name) in [(f.shard, f.array) for f in faults]
        run(campaign)
        assert contents(campaign.path) == before
    assert verify(campaign.path).faults == ()


def test_wrong_blocks_with_matching_checksums_are_found_by_recomputing(begin):
    campaign = begin("sparse")
    run(campaign)
    path = campaign.path
    array = zarr.open_group(path, mode="r+")["blocks"]
    array[0, 0] = 17.0
    used = int(open_run(path).array("n_blocks")[:128].sum())
    receipt = read_receipt(path, "fingerprint", 0)
    file = path / "blocks" / "c" / "0" / "0"
    stored = {"blocks": (file.stat().st_size, digest_file(file))}
    values = {"blocks": digest_rows(np.asarray(array[:used]))}
    rewrite(receipt_path(path, "fingerprint", 0), objects={**receipt.objects, **stored},
            digests={**receipt.digests, **values})  # fmt: skip
    assert verify(path, recomputed=0).faults == ()
    assert {(f.shard, f.array) for f in verify(path, recomputed=100).faults} == {(0, "blocks")}


def test_rows_that_are_not_computed_yet_are_empty_or_not_a_number(done):
    sparse = done("sparse")
    revoke(sparse.path, "fingerprint", 1)
    for place in sparse.path.glob("*/c/1"):
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    found = open_run(sparse.path)
    assert found.sparse_fingerprints(range(128, 256)).nnz == 0
    assert np.isnan(found.fingerprints(range(128, 256))).all()
    assert not np.isnan(found.fingerprints(range(128))).any()
    assert summarise_features(found).rows == 976 - 128


def test_statistics_of_a_sparse_store_are_those_of_the_dense_one(done):
    dense, sparse, pooled = (summarise_features(done(way)) for way in WAYS)
    for name in ("minimum", "mean", "maximum", "deviation"):
        np.testing.assert_allclose(getattr(sparse, name), getattr(dense, name), atol=1e-14)
    assert (sparse.names, sparse.elements) == (dense.names, dense.elements)
    assert (sparse.rows, sparse.constant) == (dense.rows, dense.constant)
    assert (pooled.rows, pooled.row_kind, pooled.elements) == (60, "structure", {})


def test_the_plan_weighs_the_store_as_it_becomes(begin):
    for way in WAYS:
        campaign = begin(way)
        found = preview(campaign)
        (plan,) = found.plans
        run(campaign)
        stored = open_run(campaign.path)
        used = {name: stored.array(name).nbytes for name in plan.sizes}
        if way == "sparse":
            entries = int(stored.array("n_blocks")[:].sum())
            for name in ("blocks", "block_number"):
                array = stored.array(name)
                used[name] = entries * array.nbytes // array.shape[0]
                assert plan.sizes[name].expected == pytest.approx(used[name], rel=0.1)
                assert plan.sizes[name].most == used[name] // entries * 976 * 10
        for name, size in plan.sizes.items():
            if name not in ("blocks", "block_number"):
                assert size.most == size.expected == used[name]
        told = found.to_dict()
        assert told["expected_bytes"] == sum(
            v for _, v in told["stages"][0]["array_bytes"].values()
        )
        assert told["disk_bytes"] >= told["expected_bytes"]
        assert found.to_write == 0, "it was asked after the run"


def test_the_plan_warns_if_the_disk_is_too_small(begin):
    from rich.console import Console

    def text(told):
        console = Console(width=200, record=True, file=StringIO())
        console.print(plan_table(told))
        return console.export_text()

    found = preview(begin("sparse"))
    assert isinstance(found, Preview)
    told = found.to_dict()
    assert "still to be written" not in text(told)
    assert "at most" in text(told)
    assert "but only 1.0 KiB free" in text({**told, "free_bytes": 1024})


def test_slots_of_a_huge_alphabet_take_no_space(done):
    many = [
        "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S",
        "Cl", "Ar", "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga",
    ]  # fmt: skip
    few = done("sparse")
    found = done("sparse", "many.zarr", descriptor__elements=many)
    slot = found.plan.layouts[0].capacity
    assert slot >= 128 * 496
    assert found.array("blocks").shape == (8 * slot, 27)
    sizes = [
        sum(f.stat().st_size for f in (r.path / "blocks").rglob("*") if f.is_file())
        for r in (few, found)
    ]
    assert sizes[1] < sizes[0] + 200_000
    x, y = few.sparse_fingerprints(slice(None)), found.sparse_fingerprints(slice(None))
    assert x.nnz == y.nnz
    assert np.array_equal(x.data, y.data)


@pytest.mark.parametrize("way", ["sparse", "species"])
def test_exported_rows_are_those_of_the_store(done, tmp_path, way):
    import scipy.sparse

    found = done(way)
    rows = range(*((3, 9) if way == "species" else (found.rows_of(3).start, found.rows_of(8).stop)))
    assert export(found, tmp_path / "rows.npz", "3:9") == len(rows)
    with np.load(tmp_path / "rows.npz") as file:
        if way == "sparse":
            parts = [file[f"fingerprint_{k}"] for k in ("data", "indices", "indptr", "shape")]
            values = scipy.sparse.csr_array(tuple(parts[:3]), shape=tuple(parts[3])).toarray()
        else:
            values = file["fingerprint"]
            assert file["composition"].sum() == file["n_centres"].sum()
        assert np.array_equal(values, found.fingerprints(rows))
        assert np.array_equal(np.unique(file["structure"]), np.arange(3, 9))
    parquet = pytest.importorskip("pyarrow.parquet")
    export(found, tmp_path / "rows.parquet", "3:9")
    table = parquet.read_table(tmp_path / "rows.parquet").to_pydict()
    assert len(table["status"]) == len(rows)
    if way == "sparse":
        whole = np.zeros(found.fingerprints([rows[5]]).shape[1])
        whole[table["features"][5]] = table["values"][5]
        assert np.array_equal(whole, found.fingerprints([rows[5]])[0])
    else:
        assert table["C: H0·H0 l0"][2] == found.array()[5, found.array().shape[1] // 4]
        assert table["n_C"] == found.array("composition")[3:9, 1].tolist()
    with pytest.raises(CampaignError, match=r"output must be \.npz or \.parquet"):
        export(found, tmp_path / "rows.xyz", "3:9")


def test_82_elements_fit_a_small_store(shared_data, tmp_path, monkeypatch):
    monkeypatch.setenv("DISTDESC_DATA", str(shared_data))
    job = Path(__file__).parents[2] / "jobs" / "mad-power-spectrum.toml"
    few = tmp_path / "few.xyz"
    frames = ase.io.read(shared_data / "crystals" / "mad_sample_700.xyz.gz", ":100:10")
    ase.io.write(few, [Atoms(a.symbols, a.positions, cell=a.cell, pbc=a.pbc) for a in frames])
    changes = {
        "source.path": str(few),
        "store.path": str(tmp_path / "mad.zarr"),
        "execution.executor": "serial",
    }
    campaign = Campaign.from_toml(job, changes)
    run(campaign)
    found = open_run(campaign.path)
    assert found.array("blocks").shape[0] >= found.n_environments * 3403
    assert sum(f.stat().st_size for f in campaign.path.rglob("*") if f.is_file()) < 20 * 2**20
    row = found.row_of(4, 1)
    index = SourceIndex.load(campaign.path / "run" / "index")
    batch = campaign.source.read(index, 4, 5, records=False)
    expected = campaign.descriptor.compute(build_environments(batch, 1, 2, 5.0))
    assert np.array_equal(found.fingerprints([row]), expected.astype(np.float32))
    assert found.sparse_fingerprints([row]).nnz < expected.size / 100
