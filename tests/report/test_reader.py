"""Reading back: arrays, rows by structure and atom, a run that is still going."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from distdesc.campaign import Campaign
from distdesc.engine.run import run
from distdesc.errors import StoreError
from distdesc.report.features import summarise_features
from distdesc.report.reader import open_run
from distdesc.report.summary import summarise
from distdesc.store.receipts import revoke


@pytest.fixture(scope="module")
def store(molecules, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("reader") / "run.zarr"
    data = {
        "source": {"name": "extxyz", "path": str(molecules)},
        "descriptor": {"name": "moment_invariants", "order": 3, "cutoff": 4.0},
        "stage": [{"name": "fingerprint"}],
        "store": {"path": str(path), "shard_rows": 128, "chunk_rows": 64},
        "execution": {"executor": "serial"},
    }
    run(Campaign.from_dict(data))
    return path


def test_rows_and_structures_map_both_ways(store):
    found = open_run(store)
    rows = np.arange(found.n_environments)
    structure, atom = found.locate(rows)
    for k in range(found.n_structures):
        assert np.array_equal(rows[structure == k], found.rows_of(k))
    assert all(
        found.row_of(int(s), int(a)) == r for r, s, a in zip(rows, structure, atom, strict=True)
    )
    with pytest.raises(StoreError, match=r"structure must be in \[0, 60\), got 60"):
        found.rows_of(60)
    with pytest.raises(StoreError, match="atom of structure 0 must be in"):
        found.row_of(0, 99)
    with pytest.raises(StoreError, match="rows must be in"):
        found.locate([-1])
    for rows in (structure == 17, [0.5]):
        with pytest.raises(StoreError, match="rows must be whole numbers, such as"):
            found.locate(rows)
        with pytest.raises(StoreError, match="rows must be whole numbers"):
            found.fingerprints(rows)


def test_a_run_shows_what_it_holds_in_a_few_words(store):
    found = open_run(store)
    shown = repr(found)
    for words in (str(store), found.plan.digest, "n_structures=60", "stage='fingerprint'"):
        assert words in shown
    assert len(shown) < 400 + len(str(store))
    assert "versions" not in shown
    assert "sections" not in repr(Campaign.from_dict(found.plan.campaign))


def test_the_examples_of_the_readme_do_what_they_say(store):
    pytest.importorskip("xarray")
    text = (Path(__file__).parents[2] / "README.md").read_text()
    blocks = re.findall("```python\n(.*?)```", text, re.DOTALL)
    names = {}
    for block in blocks:
        # of a smaller store
        exec(block.replace("runs/quickstart.zarr", str(store)).replace("1234", "123"), names)
    assert names["run"].path == store
    assert len(names["environments"]) == 9, "atoms of ethanol"


def test_zarr_dask_and_xarray_give_the_same_rows(store):
    pytest.importorskip("xarray")
    found = open_run(store)
    plain = np.asarray(found.array()[:])
    lazy = found.to_dask()
    assert lazy.chunks[0][0] == 128
    assert np.array_equal(lazy.compute(scheduler="synchronous"), plain)
    data = found.to_xarray()
    assert data.fingerprint.dims == ("environment", "feature")
    one = data.fingerprint.where((data.structure == 17).compute(), drop=True)
    assert np.array_equal(one.values, plain[found.rows_of(17)])
    assert data.attrs["campaign"]["descriptor"]["order"] == 3
    assert data.attrs["made"]["host"]
    assert data.attrs["versions"]["numpy"] == np.__version__


def test_a_plain_zarr_reader_opens_the_store_without_warnings(store):
    import zarr

    group = zarr.open_group(store, mode="r", use_consolidated=False)
    assert {name for name, _ in group.members()} == {
        "fingerprint", "fingerprint_status", "number", "offsets", "run",
    }  # fmt: skip
    assert group.attrs["distdesc"]["structures"] == 60


def test_a_run_that_is_still_going_shows_what_is_complete(store, tmp_path):
    copy = tmp_path / "copy.zarr"
    shutil.copytree(store, copy)
    for shard in (1, 3):
        revoke(copy, "fingerprint", shard)
        (copy / "fingerprint" / "c" / str(shard) / "0").unlink()
        (copy / "fingerprint_status" / "c" / str(shard)).unlink()
    found = open_run(copy)
    n = found.n_environments
    assert not found.complete
    assert found.done_rows("fingerprint") == [(0, 128), (256, 384), (512, n)]
    assert (found.status("fingerprint", 128, 256) == -1).all()
    assert np.isnan(found.reader.read("fingerprint", 128, 256)).all()
    summary = summarise(found)
    assert (summary.complete, summary.stages[0].rows_done) == (False, n - 256)
    features = summarise_features(found)
    assert features.rows == n - 256


def test_feature_statistics_equal_those_of_the_whole_array(store):
    found = open_run(store)
    rows = np.asarray(found.array()[:])
    features = summarise_features(found)
    assert np.allclose(features.mean, rows.mean(axis=0))
    assert np.allclose(features.deviation, rows.std(axis=0))
    assert np.allclose(features.minimum, rows.min(axis=0))
    assert np.allclose(features.maximum, rows.max(axis=0))
    assert sum(features.elements.values()) == len(rows)


def test_something_else_is_refused(tmp_path):
    with pytest.raises(StoreError, match=r"is not a distdesc store: it has no run/plan\.json"):
        open_run(tmp_path)
