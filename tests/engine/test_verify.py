"""Verification: every kind of damage is found, named, and repaired by the next run."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
import zarr
from support import call, fail, rewrite

from distdesc.campaign import Campaign
from distdesc.engine.run import run
from distdesc.engine.share import Share
from distdesc.engine.verify import verify
from distdesc.errors import StoreError
from distdesc.store import lock as locks
from distdesc.store.lock import LOCK, client_lock
from distdesc.store.receipts import done_shards, read_receipt, receipt_path
from distdesc.store.rows import digest_file, digest_rows
from distdesc.store.written import read_plan


@pytest.fixture
def store(finished, tmp_path):
    path = tmp_path / "copy.zarr"
    shutil.copytree(finished, path)
    return path


def test_a_sound_store_has_no_faults(store):
    ticks = []
    found = verify(store, recomputed=2, tick=lambda done, total: ticks.append((done, total)))
    n = read_plan(store).layouts[0].n_shards
    assert found.faults == ()
    assert (found.shards_done, found.recomputed, found.objects) == (n, 2, 3 * n)
    assert ticks[-1] == (n, n)


def test_nothing_is_repaired_beside_a_client(store):
    with client_lock(store, "1-of-2"):
        assert verify(store, recomputed=0).faults == ()
        with pytest.raises(StoreError, match="another client"):
            verify(store, recomputed=0, repair=True)
    assert verify(store, recomputed=0, repair=True).repaired


def damage_bit(file):
    data = bytearray(file.read_bytes())
    data[10] ^= 4
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (lambda f: f.unlink(), "is missing"),
        (lambda f: f.write_bytes(b""), "has 0 bytes"),
        (lambda f: f.write_bytes(f.read_bytes()[:-1]), "its receipt says"),
        (damage_bit, "has other bytes"),
    ],
)
def test_damage_to_an_object_is_found_and_repaired(store, harm, what):
    file = store / "fingerprint" / "c" / "2" / "0"
    before = file.read_bytes()
    harm(file)
    found = verify(store, recomputed=0, repair=True)
    assert [(f.shard, f.array) for f in found.faults] == [(2, "fingerprint")]
    assert what in found.faults[0].what
    run(Campaign.from_dict({**read_plan(store).campaign, "store": _store(store)}))
    assert file.read_bytes() == before
    assert verify(store).faults == ()


def test_wrong_values_with_matching_checksums_are_found_by_recomputing(store):
    array = zarr.open_group(store, mode="r+")["fingerprint"]
    array[0, 0] = 17.0
    receipt = read_receipt(store, "fingerprint", 0)
    path = store / "fingerprint" / "c" / "0" / "0"
    stored = {"fingerprint": (path.stat().st_size, digest_file(path))}
    values = {"fingerprint": digest_rows(np.asarray(array[0:128]))}
    rewrite(receipt_path(store, "fingerprint", 0), objects={**receipt.objects, **stored},
            digests={**receipt.digests, **values})  # fmt: skip
    assert verify(store, recomputed=0).faults == ()
    faults = verify(store, recomputed=100).faults
    assert [(f.shard, f.array) for f in faults] == [(0, "fingerprint")]
    assert "recomputed" in faults[0].what


def test_a_damaged_receipt_is_found_and_repaired(store):
    receipt_path(store, "fingerprint", 1).write_bytes(b'{"campaign"')
    found = verify(store, recomputed=0, repair=True)
    assert [(f.shard, f.array) for f in found.faults] == [(1, "")]
    run(Campaign.from_dict({**read_plan(store).campaign, "store": _store(store)}))
    assert verify(store).faults == ()


@pytest.mark.parametrize("count", [3, 20])
def test_shares_look_at_every_shard_once_and_name_what_is_wrong_in_theirs(store, count):
    damage_bit(store / "fingerprint" / "c" / "2" / "0")
    receipt_path(store, "fingerprint", 4).write_bytes(b"{}")
    found = [verify(store, 0, share=Share(k, count)) for k in range(1, count + 1)]
    assert sum(f.shards for f in found) == sum(f.shards_done for f in found) == 8
    assert sum(f.objects for f in found) == 3 * 7
    assert found[0].share == f"1-of-{count}"
    for share, shards in enumerate(Share(k, count).of([2, 4]) for k in range(1, count + 1)):
        assert [f.shard for f in found[share].faults] == shards


def test_what_all_shares_need_is_checked_by_each_and_the_rest_by_the_first(store):
    damage_bit(store / "offsets" / "c" / "0")
    assert [len(verify(store, 0, share=Share(k, 2)).faults) for k in (1, 2)] == [1, 0]
    (store / "number" / "zarr.json").unlink()
    faults = [verify(store, 0, share=Share(k, 2)).faults for k in (1, 2)]
    assert all("number/zarr.json" in {f.array for f in found} for found in faults)
    # Whichever comes first repairs it for both.
    assert verify(store, 0, repair=True, share=Share(2, 2)).faults
    assert [len(verify(store, 0, share=Share(k, 2)).faults) for k in (1, 2)] == [1, 0]
    assert verify(store, 0, repair=True, share=Share(1, 2)).faults
    assert verify(store, 1).faults == ()


def test_a_damaged_shard_table_is_found_by_every_share_before_rows_are_computed_by_it(store):
    damage_bit(store / "run" / "shards" / "fingerprint.npy")
    assert [f.stage for f in verify(store, 1, share=Share(2, 2)).faults] == ["frame"]


def test_shares_repair_beside_each_other_and_compute_anew_in_theirs(store):
    for shard in (2, 5):
        damage_bit(store / "fingerprint" / "c" / str(shard) / "0")
    with client_lock(store, "1-of-2"):
        found = verify(store, 2, repair=True, share=Share(2, 2))
        assert ([f.shard for f in found.faults], found.recomputed) == ([5], 2)
        with pytest.raises(StoreError, match="another client"):
            verify(store, 0, repair=True, share=Share(1, 2))
    assert done_shards(store, "fingerprint") == {0, 1, 2, 3, 4, 6, 7}


def test_a_repair_shows_other_clients_that_it_lives(store, monkeypatch):
    monkeypatch.setattr(locks, "STALE_AFTER", 0.0)
    times = []

    def tick(done, total):
        times.append((store / LOCK).stat().st_mtime)
        os.utime(store / LOCK, (0, 0))

    verify(store, 0, repair=True, tick=tick)
    assert len(times) == 8
    assert min(times) > 0


def test_the_command_takes_a_share(store, capsys):
    found = json.loads(call("verify", store, "--shards", "2/3", "--json"))
    assert (found["share"], found["shards"], found["faults"]) == ("2-of-3", 3, [])
    assert "2 of 3" in call("verify", store, "--shards", "2/3", "--recompute", "0")
    assert fail(capsys, "verify", store, "--shards", "4/3")[0] == 2


def _store(path):
    return {**read_plan(path).campaign["store"], "path": str(path)}
