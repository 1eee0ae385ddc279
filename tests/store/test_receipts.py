"""Receipts: published once, damage is noticed, disagreement is an error."""

from __future__ import annotations

import dataclasses
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from distdesc.errors import LastingError, RunError, StoreError
from distdesc.store.lock import is_being_taken
from distdesc.store.receipts import (
    Receipt,
    commit,
    done_shards,
    iter_receipts,
    read_receipt,
    receipt_path,
    revoke,
)
from distdesc.store.storage import create, remove_partials, replace

RECEIPT = Receipt(
    campaign="abc",
    stage="fingerprint",
    shard=1234,
    rows=(0, 10),
    structures=2,
    counts={"ok": 9, "failed": 0, "quarantined": 1},
    quarantined=[(17, "atom 3 is at nan")],
    digests={"fingerprint": "00"},
    objects={"fingerprint": (12, "11")},
    where={"host": "a"},
)


def test_a_receipt_comes_back_as_it_was_published(tmp_path):
    assert commit(tmp_path, RECEIPT)
    assert read_receipt(tmp_path, "fingerprint", 1234) == RECEIPT
    assert done_shards(tmp_path, "fingerprint") == {1234}
    assert list(iter_receipts(tmp_path, "fingerprint")) == [RECEIPT]


def test_the_second_of_two_equal_attempts_changes_nothing(tmp_path):
    commit(tmp_path, RECEIPT)
    later = dataclasses.replace(RECEIPT, finished=2.0, where={"host": "b"})
    assert not commit(tmp_path, later)
    assert read_receipt(tmp_path, "fingerprint", 1234) == RECEIPT


def test_two_attempts_that_disagree_are_an_error_that_names_array_and_hosts(tmp_path):
    commit(tmp_path, RECEIPT)
    other = dataclasses.replace(RECEIPT, digests={"fingerprint": "ff"}, where={"host": "b"})
    with pytest.raises(LastingError, match=r"disagree in fingerprint: .*a and b"):
        commit(tmp_path, other)


def test_a_revoked_receipt_is_gone(tmp_path):
    commit(tmp_path, RECEIPT)
    revoke(tmp_path, "fingerprint", 1234)
    assert read_receipt(tmp_path, "fingerprint", 1234) is None
    assert done_shards(tmp_path, "fingerprint") == set()


@pytest.mark.parametrize("damage", [b"", b'{"campaign": "abc"', b"[]", b'{"campaign": "abc"}'])
def test_a_damaged_receipt_is_an_error_that_names_the_file(tmp_path, damage):
    commit(tmp_path, RECEIPT)
    receipt_path(tmp_path, "fingerprint", 1234).write_bytes(damage)
    with pytest.raises(StoreError, match=r"fingerprint-00001234\.json is damaged"):
        read_receipt(tmp_path, "fingerprint", 1234)


def test_of_many_processes_that_create_exactly_one_wins(tmp_path):
    target = tmp_path / "deep" / "object"
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        wins = list(pool.map(create, [target] * 20, [bytes([k]) * 1000 for k in range(20)]))
    assert sum(wins) == 1
    assert target.read_bytes() == bytes([wins.index(True)]) * 1000
    assert [f.name for f in target.parent.iterdir()] == ["object"]


def test_replace_overwrites_and_partials_are_removed(tmp_path):
    replace(tmp_path / "a", b"1")
    replace(tmp_path / "a", b"2")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.123.partial").write_bytes(b"half")
    assert (tmp_path / "a").read_bytes() == b"2"
    remove_partials(tmp_path)
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize(
    ("name", "age", "left"),
    [
        ("client.lock", 0, True),
        ("client-2-of-5.lock", 500, True),
        ("begin.lock", 0, True),
        ("client.lock", 700, False),
        ("plan.json", 0, False),
        ("client-2-of-5.lock.json", 0, False),
    ],
)
def test_a_lock_that_somebody_is_about_to_take_is_not_removed_with_partials(
    tmp_path, name, age, left
):
    file = tmp_path / "run" / f"{name}.{'0a' * 16}.partial"
    file.parent.mkdir()
    file.write_bytes(b"half")
    os.utime(file, (time.time() - age,) * 2)
    remove_partials(tmp_path, is_being_taken)
    assert file.exists() == left


def test_rows_of_two_projections_are_no_disagreement_of_machines(tmp_path):
    commit(tmp_path, dataclasses.replace(RECEIPT, projection="aa"))
    other = dataclasses.replace(RECEIPT, projection="bb", digests={"fingerprint": "ff"})
    with pytest.raises(RunError, match="reduced by another projection"):
        commit(tmp_path, other)
