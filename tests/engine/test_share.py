"""Clients that each compute a share of the shards, know nothing of each other, and may wait."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support import contents

from distdesc.engine.events import Announced, RunStarted
from distdesc.engine.run import run
from distdesc.engine.share import Share
from distdesc.errors import CampaignError, StoreError
from distdesc.report.reader import open_run
from distdesc.store.lock import BEGIN_LOCK, LOCK, begin_lock, client_lock
from distdesc.store.receipts import done_shards


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
def test_every_shard_is_in_one_share(count):
    shares = [Share(k, count).of(range(31)) for k in range(1, count + 1)]
    assert sorted(s for share in shares for s in share) == list(range(31))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("text", ["3", "0/4", "5/4", "a/b", "1/0", "-1/3", "1/2/3"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(CampaignError, match="K/N"):
        Share.parse(text)


def test_shares_in_any_order_come_to_what_one_run_computes(make, finished):
    campaign = make()
    for number in (3, 1, 2):
        events = []
        run(campaign, [events.append], share=Share(number, 3))
        started = next(e for e in events if isinstance(e, RunStarted))
        assert started.shards_done == 0
        assert started.shards == len(Share(number, 3).of(range(8)))
        said = [e.text for e in events if isinstance(e, Announced)]
        assert (f"share {number} of 3 is done; others are not yet" in said) == (number != 2)
    assert contents(campaign.path) == contents(finished)
    assert not [f for f in (campaign.path / "run").iterdir() if f.suffix == ".lock"]


def test_a_share_computes_no_shard_of_another(make):
    campaign = make()
    run(campaign, share=Share(2, 3))
    assert done_shards(campaign.path, "fingerprint") == set(Share(2, 3).of(range(8)))
    assert open_run(campaign.path)


def test_shares_may_begin_a_store_together_also_from_packed_text(make, molecules, tmp_path):
    import lzma

    packed = tmp_path / "molecules.xyz.xz"
    packed.write_bytes(lzma.compress(molecules.read_bytes()))
    campaign = make(source__path=str(packed))
    job = tmp_path / "job.toml"
    job.write_text(campaign.to_toml())
    command = [sys.executable, "-m", "distdesc", "run", str(job), "--shards"]
    clients = [
        subprocess.Popen([*command, f"{k}/2"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for k in (1, 2)
    ]
    said = [client.communicate(timeout=200)[0].decode() for client in clients]
    assert [client.returncode for client in clients] == [0, 0], said
    alone = make("alone.zarr", source__path=str(packed))
    run(alone)
    found, expected = contents(campaign.path), contents(alone.path)
    assert found.pop("zarr.json") != expected.pop("zarr.json")  # it names the unpacked source
    assert found == expected


def test_a_client_of_all_and_one_of_a_share_exclude_each_other(tmp_path):
    with client_lock(tmp_path, "1-of-2"):
        with client_lock(tmp_path, "2-of-2"):
            pass
        with pytest.raises(StoreError, match="another client"), client_lock(tmp_path):
            pass
        with pytest.raises(StoreError, match="another client"), client_lock(tmp_path, "1-of-2"):
            pass
        assert not (tmp_path / LOCK).exists()
    refused = pytest.raises(StoreError, match="another client")
    with client_lock(tmp_path), refused, client_lock(tmp_path, "1-of-2"):
        pass
    assert not list((tmp_path / "run").iterdir())


HOLDER = """
import sys, time
from pathlib import Path
from distdesc.store.lock import begin_lock, client_lock
lock = begin_lock(Path(sys.argv[1]), print) if sys.argv[2] else client_lock(Path(sys.argv[1]))
with lock:
    print("held", flush=True)
    sys.stdin.readline()
    time.sleep(0.3)
    Path(sys.argv[1], "gone").touch()
"""


@pytest.mark.parametrize("begin", [False, True])
def test_a_client_that_waits_has_the_store_when_the_other_is_gone(tmp_path, monkeypatch, begin):
    monkeypatch.setattr("distdesc.store.lock.POLL", 0.05)
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path), "begin" if begin else ""],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert other.stdin is not None
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    said: list[str] = []

    def waiting(holder: str) -> None:
        assert not (tmp_path / "gone").exists()
        said.append(holder)
        other.stdin.write("now\n")
        other.stdin.flush()

    lock = begin_lock(tmp_path, waiting) if begin else client_lock(tmp_path, "", waiting)
    with lock:
        assert (tmp_path / "gone").exists()
        mine = (tmp_path / (BEGIN_LOCK if begin else LOCK)).read_text()
        assert f'"pid": {os.getpid()}' in mine
    other.communicate()
    assert said == [f"process {other.pid} on this host"]
