"""Rows say which projection reduced them: those of another are named, and computed again."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import zarr
from support import StoppedError, call, contents, fail, rewrite

from distdesc.campaign import Campaign
from distdesc.engine.events import Announced, RunStarted, ShardFinished
from distdesc.engine.run import run
from distdesc.engine.share import Share
from distdesc.engine.verify import verify
from distdesc.errors import RunError, StoreError
from distdesc.report.export import export
from distdesc.report.reader import open_run
from distdesc.report.summary import summarise
from distdesc.store.arrays import consolidate
from distdesc.store.fits import FITTED, read_fitted
from distdesc.store.objects import sealed, unsealed
from distdesc.store.receipts import done_shards, read_receipt, receipt_path, revoke
from distdesc.store.written import read_plan

ALL = list(range(8))


def campaign_of(path, **store) -> Campaign:
    found = read_plan(path).campaign
    return Campaign.from_dict({**found, "store": {**found["store"], "path": str(path), **store}})


def again(path, share: Share | None = None, stop_after: int = 100) -> tuple[list[int], str]:
    """Give the command that made a store again: shards that it computed, and what it said."""
    shards: list[int] = []
    said: list[str] = []

    def listener(event):
        if isinstance(event, ShardFinished):
            shards.append(event.receipt.shard)
            if len(shards) == stop_after:
                raise StoppedError
        if isinstance(event, Announced):
            said.append(event.text)

    run(campaign_of(path), [listener], share=share or Share())
    return sorted(shards), " ".join(said)


@pytest.fixture(scope="module")
def stores(molecules, tmp_path_factory):
    """Two campaigns that differ in the sample that their components are fitted on."""
    folder = tmp_path_factory.mktemp("reduced")
    for name, sample in (("all", 0), ("some", 320)):
        run(
            Campaign.from_dict(
                {
                    "source": {"name": "extxyz", "path": str(molecules)},
                    "descriptor": {
                        "name": "moment_invariants", "order": 3, "cutoff": 4.0,
                        "elements": ["H", "C", "N", "O"],
                    },
                    "reduction": {"name": "principal_components", "n_components": 5,
                                  "oversampling": 12, "sample": sample},
                    "stage": [{"name": "fingerprint"}],
                    "store": {"path": str(folder / name), "shard_rows": 128, "chunk_rows": 32},
                    "execution": {"executor": "serial"},
                }
            )
        )  # fmt: skip
    return folder


@pytest.fixture
def refitted(stores, tmp_path):
    """Store with rows of one projection and another in it, as if a fit had come out differently."""
    path = tmp_path / "run.zarr"
    shutil.copytree(stores / "all", path)
    give_projection(path, stores / "some")
    return path


def give_projection(path, other):
    shutil.rmtree(path / "reduction")
    shutil.copytree(other / "reduction", path / "reduction")
    shutil.copy(other / FITTED, path / FITTED)
    consolidate(path)


def rows_of(path) -> np.ndarray:
    found = open_run(path)
    return found.reader.read("fingerprint", 0, found.n_environments)


def lose_components(path):
    zarr.open_group(path, mode="r+")["reduction/components"][0] = 17.0


def test_receipts_name_the_projection_and_those_of_whole_fingerprints_none(stores, finished):
    receipt = read_receipt(stores / "all", "fingerprint", 3)
    assert receipt.projection == read_fitted(stores / "all").digest
    assert receipt.projection != read_fitted(stores / "some").digest
    assert read_receipt(finished, "fingerprint", 3).projection == ""


def test_rows_of_another_projection_are_named_by_all_and_computed_again(
    refitted, stores, tmp_path, capsys
):
    faults = verify(refitted, recomputed=0).faults
    assert [(f.stage, f.shard, f.array) for f in faults] == [("fingerprint", k, "") for k in ALL]
    assert all("another projection" in f.what for f in faults)
    summary = summarise(open_run(refitted))
    assert not summary.complete
    assert summary.fit.other_shards == 8
    assert "8 shards were reduced by another one" in " ".join(call("report", refitted).split())
    code, said = fail(capsys, "export", refitted, "-o", tmp_path / "rows.npz")
    assert code == 4
    assert "fingerprints in 8 shards (the first is 0) that may be of another projection" in said
    shards, said = again(refitted)
    assert shards == ALL
    assert "computing again 8 shards" in said
    fitted = zarr.open_group(stores / "some", mode="r")["reduction"]
    assert np.array_equal(fitted["mean"][:], zarr.open_array(refitted / "reduction" / "mean")[:])
    assert not np.array_equal(rows_of(refitted), rows_of(stores / "all"))
    assert np.array_equal(rows_of(refitted), rows_of(stores / "some"))
    assert verify(refitted, recomputed=8).faults == ()
    assert summarise(open_run(refitted)).complete
    export(open_run(refitted), tmp_path / "rows.npz")


def test_one_shard_of_another_projection_is_computed_again_and_no_other(stores, tmp_path):
    path = tmp_path / "run.zarr"
    shutil.copytree(stores / "all", path)
    rewrite(receipt_path(path, "fingerprint", 5), projection="0" * 32)
    assert [f.shard for f in verify(path, recomputed=0, repair=True).faults] == [5]
    with pytest.raises(StoreError, match=r"in 1 shards \(the first is 5\)"):
        # The receipt is withdrawn, the rows are there.
        export(open_run(path), tmp_path / "rows.npz")
    export(open_run(path), tmp_path / "rows.npz", "0:10")
    assert again(path)[0] == [5]
    rewrite(receipt_path(path, "fingerprint", 5), projection="0" * 32)
    assert again(path)[0] == [5]
    assert contents(path) == contents(stores / "all")


def test_a_fit_that_comes_out_differently_withdraws_the_rows_of_all_shares(refitted, stores):
    again(refitted)
    lose_components(refitted)
    shards, said = again(refitted, Share(1, 2))
    assert shards == [0, 2, 4, 6]
    assert "computing again 8 shards of fingerprint" in said
    assert "share 1 of 2 is done; others are not yet" in said
    # Rows of the projection before are there, but none that counts.
    assert not open_run(refitted).complete
    with pytest.raises(StoreError, match=r"in 4 shards \(the first is 1\)"):
        export(open_run(refitted), refitted.parent / "rows.npz")
    assert again(refitted, Share(2, 2))[0] == [1, 3, 5, 7]
    assert contents(refitted) == contents(stores / "all")
    assert verify(refitted).faults == ()


def test_a_run_that_is_stopped_between_two_projections_goes_on(refitted, stores):
    again(refitted)
    lose_components(refitted)
    with pytest.raises(StoppedError):
        again(refitted, stop_after=3)
    assert len(done_shards(refitted, "fingerprint")) == 3
    assert verify(refitted, recomputed=3).faults == ()
    assert len(again(refitted)[0]) == 5
    assert contents(refitted) == contents(stores / "all")


def test_a_fit_without_record_keeps_rows_that_name_its_projection(stores, tmp_path):
    path = tmp_path / "run.zarr"
    shutil.copytree(stores / "all", path)
    (path / FITTED).unlink()
    assert again(path)[0] == []
    assert contents(path) == contents(stores / "all")
    assert verify(path).faults == ()


def test_older_receipts_are_believed_until_a_fit_comes_out_differently(stores, tmp_path):
    path = tmp_path / "run.zarr"
    shutil.copytree(stores / "all", path)
    for shard in ALL:
        file = receipt_path(path, "fingerprint", shard)
        data = unsealed(file.read_bytes())
        del data["projection"]
        file.write_bytes(sealed(data))
    assert verify(path).faults == ()
    lose_components(path)
    assert again(path)[0] == []
    give_projection(path, stores / "some")
    lose_components(path)
    assert again(path)[0] == ALL
    assert contents(path) == contents(stores / "all")


def test_rows_that_a_stray_attempt_reduced_by_another_projection_stop_the_run(refitted, stores):
    stray = read_receipt(refitted, "fingerprint", 5)

    def late(event):
        if isinstance(event, RunStarted):
            receipt_path(refitted, "fingerprint", 5).write_bytes(sealed(stray.to_dict()))

    with pytest.raises(RunError, match="fingerprint-00000005 was reduced by another projection"):
        run(campaign_of(refitted), [late])
    assert 5 in again(refitted)[0]
    assert np.array_equal(rows_of(refitted), rows_of(stores / "some"))


def test_a_projection_that_another_client_changes_meanwhile_stops_the_run(refitted, stores):
    again(refitted)
    revoke(refitted, "fingerprint", 7)

    def change(event):
        if isinstance(event, ShardFinished):
            give_projection(refitted, stores / "all")

    with pytest.raises(RunError, match=r"another client fitted the reduction of .* again"):
        run(campaign_of(refitted), [change])
    assert again(refitted)[0] == ALL
    assert contents(refitted) == contents(stores / "all")
