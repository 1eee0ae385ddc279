"""Verification: every kind of damage is found, named, and repaired by the next run."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import zarr
from support import rewrite

from distdesc.campaign import Campaign
from distdesc.engine.run import run
from distdesc.engine.verify import verify
from distdesc.errors import StoreError
from distdesc.store.lock import client_lock
from distdesc.store.receipts import read_receipt, receipt_path
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


def _store(path):
    return {**read_plan(path).campaign["store"], "path": str(path)}
