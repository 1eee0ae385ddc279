"""Storage that fails: full, read-only, damaged, partly gone; named, and made good by a run."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import StoppedError, contents, stop

from distdesc.campaign import Campaign
from distdesc.engine.events import Announced, ShardFinished
from distdesc.engine.run import run, stage_plans
from distdesc.engine.task import run_task
from distdesc.engine.verify import verify
from distdesc.engine.versions import versions
from distdesc.errors import RunError, StoreError
from distdesc.report.reader import open_run
from distdesc.stages.fingerprint import Fingerprint
from distdesc.store import lock as locks
from distdesc.store.lock import LOCK, STALE_AFTER, client_lock
from distdesc.store.objects import sealed, unsealed
from distdesc.store.receipts import read_receipt, receipt_path
from distdesc.store.storage import create
from distdesc.store.written import read_plan

CHUNK = Path("fingerprint") / "c" / "1" / "0"


@pytest.fixture
def store(finished, tmp_path) -> Path:
    path = tmp_path / "copy.zarr"
    shutil.copytree(finished, path)
    return path


def again(path: Path) -> tuple[list[int], str]:
    """Give the command that made a store again: shards that it computed, and what it said."""
    campaign = read_plan(path).campaign
    section = {**campaign["store"], "path": str(path)}
    events: list = []
    run(Campaign.from_dict({**campaign, "store": section}), [events.append])
    shards = sorted(e.receipt.shard for e in events if isinstance(e, ShardFinished))
    return shards, " ".join(e.text for e in events if isinstance(e, Announced))


@contextmanager
def mounted(*options: str) -> Iterator[None]:
    """Something mounted; skips where this may not be done."""
    done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", options[-1]], check=True)


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def delete(file: Path) -> None:
    shutil.rmtree(file) if file.is_dir() else file.unlink()


def empty(file: Path) -> None:
    os.truncate(file, 0)


RECEIPT = Path("run/receipts/fingerprint/00000/fingerprint-00000001.json")
ALL = list(range(8))


@pytest.mark.parametrize(
    ("what", "harm", "computed"),
    [
        (RECEIPT, cut, [1]),
        (RECEIPT, empty, [1]),
        (RECEIPT, flip, [1]),
        (CHUNK, cut, [1]),
        (CHUNK, empty, [1]),
        (CHUNK, delete, [1]),
        (CHUNK.parent, delete, [1]),
        (Path("number"), delete, ALL),
        (Path("run/receipts"), delete, ALL),
        (Path("fingerprint/zarr.json"), delete, []),
        (Path("fingerprint/zarr.json"), flip, []),
        (Path("zarr.json"), delete, []),
        (Path("zarr.json"), cut, []),
        (Path("offsets"), delete, []),
        (Path("offsets/c/0"), delete, []),
        (Path("run/shards"), delete, []),
        (Path("run/index"), delete, []),
    ],
    ids=lambda v: v.__name__ if callable(v) else str(v),
)
def test_what_is_lost_is_named_and_made_again_and_no_more(store, finished, what, harm, computed):
    harm(store / what)
    faults = verify(store, recomputed=0).faults
    # Without a receipt, a shard is not done: that is not a fault.
    if what != Path("run/receipts"):
        assert faults
        named = " ".join(f"{f.array} {f.what}" for f in faults)
        assert (what.stem if what.suffix == ".json" else what.parts[0]) in named
    shards, said = again(store)
    assert shards == computed
    if computed == [1]:
        assert (store / what).name in said or "is missing" in said
    assert contents(store) == contents(finished)
    assert verify(store, recomputed=1).faults == ()


@pytest.mark.parametrize(
    ("what", "computed"),
    [
        (CHUNK, [1]),
        (Path("offsets/c/0"), []),
        (Path("run/shards/fingerprint.npy"), []),
        (Path("run/index/locators.npy"), []),
    ],
    ids=str,
)
def test_a_flipped_bit_is_found_by_verify_and_repaired_by_the_run_after_it(
    store, finished, what, computed
):
    flip(store / what)
    found = verify(store, recomputed=0, repair=True)
    assert len(found.faults) == 1
    shards, _ = again(store)
    assert shards == computed
    assert contents(store) == contents(finished)
    assert verify(store, recomputed=1).faults == ()


def test_a_flipped_bit_of_the_plan_is_found(store):
    flip(store / "run" / "plan.json")
    with pytest.raises(StoreError, match=r"plan\.json is damaged"):
        verify(store)
    with pytest.raises(StoreError, match=r"plan\.json is damaged"):
        open_run(store)


def test_a_flipped_bit_is_never_read_as_a_value(store):
    flip(store / CHUNK)
    with pytest.raises(StoreError, match="is damaged"):
        open_run(store).reader.read("fingerprint", 128, 256)


def test_a_full_disk_stops_the_run_which_goes_on_when_there_is_room(make, finished, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted("-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)):
        # The first receipts fit.
        campaign = make("disk/run.zarr")
        with pytest.raises(RunError, match=r"No space left on device: .*disk/run\.zarr"):
            run(campaign)
        done = len(list((campaign.path / "run" / "receipts").rglob("*.json")))
        assert done < read_plan(campaign.path).layouts[0].n_shards
        assert not list(campaign.path.rglob("*.partial"))
        assert verify(campaign.path, recomputed=0).faults == ()
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        shards, _ = again(campaign.path)
        assert len(shards) == len(ALL) - done
        assert contents(campaign.path) == contents(finished)


def test_a_disk_that_is_full_before_the_first_row_is_named_too(make, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted("-t", "tmpfs", "-o", "size=40k", "tmpfs", str(disk)):
        with pytest.raises(OSError, match=r"No space left on device: .*disk/run\.zarr"):
            run(make("disk/run.zarr"))
        subprocess.run(["mount", "-o", "remount,size=10m", str(disk)], check=True)
        run(make("disk/run.zarr"))
        assert verify(disk / "run.zarr").faults == ()


def test_a_read_only_store_can_be_read_and_verified_and_a_run_says_so(store):
    with mounted("--bind", "-o", "ro", str(store), str(store)):
        if os.access(store, os.W_OK):
            pytest.skip("the mount is not read-only")
        assert verify(store, recomputed=1).faults == ()
        assert open_run(store).complete
        with pytest.raises(StoreError, match="cannot be written: it is mounted read-only"):
            again(store)


def test_an_attempt_that_cannot_write_leaves_no_receipt_and_what_there_was(
    make, monkeypatch, finished
):
    """A disk that fails when data are synced, not when they are written."""
    campaign = make()

    def fails(handle: int) -> None:
        if os.readlink(f"/proc/self/fd/{handle}").count("fingerprint/c/3"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(RunError, match=r"fingerprint-00000003: .*Input/output error"):
        run(campaign)
    assert read_receipt(campaign.path, "fingerprint", 3) is None
    assert not list(campaign.path.rglob("*.partial"))
    monkeypatch.undo()
    run(campaign)
    assert contents(campaign.path) == contents(finished)


def test_rows_and_their_folders_are_synced_before_the_receipt_is_published(make, monkeypatch):
    synced: list[str] = []
    fsync, link = os.fsync, os.link

    def record(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        fsync(handle)

    def published(source: Path, target: Path) -> None:
        synced.append(f"published {target}")
        link(source, target)

    monkeypatch.setattr(os, "fsync", record)
    monkeypatch.setattr(os, "link", published)
    run(make())
    path = make().path
    receipt = synced.index(f"published {receipt_path(path, 'fingerprint', 2)}")
    for name, folder in (("fingerprint", "c/2"), ("number", "c"), ("fingerprint_status", "c")):
        place = path / name / folder
        data = [k for k, s in enumerate(synced) if s.startswith(f"{place}/") and "partial" in s]
        assert 0 <= min(data) < receipt
        assert str(place) in synced[min(data) : receipt]
    assert str(path / "fingerprint" / "c") in synced[:receipt]
    synced.clear()
    run(make("fast.zarr", store__sync=False))
    assert not [s for s in synced if "/c/" in s]
    assert [s for s in synced if "receipts" in s]


def test_of_two_attempts_the_second_leaves_the_objects_of_the_first_alone(make, monkeypatch):
    """The first is done while the second computes."""
    campaign = make()
    calls: list[object] = []
    original = Fingerprint.run
    stamps: dict[Path, int] = {}

    def compute(self, batch, first, last, clock):
        calls.append(self)
        if len(calls) == 2:
            run_task(campaign.path, read_plan(campaign.path).digest, versions(), task)
            stamps.update((f, f.stat().st_mtime_ns) for f in campaign.path.rglob("c/0/*"))
        return original(self, batch, first, last, clock)

    with pytest.raises(StoppedError):
        run(campaign, [stop])
    plan = read_plan(campaign.path)
    task = stage_plans(campaign.path, plan)[0].task(0)
    calls.append(None)
    monkeypatch.setattr(Fingerprint, "run", compute)
    receipt = run_task(campaign.path, plan.digest, versions(), task)
    assert len(calls) == 3
    assert stamps
    assert all(f.stat().st_mtime_ns == stamp for f, stamp in stamps.items())
    assert receipt == read_receipt(campaign.path, "fingerprint", 0)


def test_of_two_clients_that_find_the_same_dead_one_the_slower_leaves_the_lock_alone(
    tmp_path, monkeypatch
):
    file = tmp_path / LOCK
    create(file, b'{"host": "elsewhere", "pid": 1}')
    os.utime(file, (0, 0))
    original = locks._take_away
    seen: list[str] = []

    def late(path: Path) -> None:
        """The faster one has taken the lock when the slower comes to take away the dead one's."""
        monkeypatch.setattr(locks, "_take_away", original)
        with client_lock(tmp_path):
            mine = file.read_bytes()
            original(path)
            seen.append("kept" if file.read_bytes() == mine else "lost")
            raise StoppedError

    monkeypatch.setattr(locks, "_take_away", late)
    with pytest.raises(StoppedError), client_lock(tmp_path):
        pass
    assert seen == ["kept"]
    assert not list(file.parent.iterdir())


def test_a_client_that_was_taken_for_dead_stops(tmp_path, monkeypatch):
    with client_lock(tmp_path) as mine:
        (tmp_path / LOCK).write_bytes(b'{"host": "elsewhere", "pid": 1}')
        mine.beat()
        monkeypatch.setattr(mine, "_beat", mine._beat - STALE_AFTER)
        with pytest.raises(StoreError, match=r"another client .*process 1 on elsewhere.* for dead"):
            mine.beat()


def test_a_seal_shows_any_change_and_its_lack_is_accepted():
    data = {"a": 1.5, "b": [1, "ä"], "c": None}
    assert unsealed(sealed(data)) == data
    assert unsealed(b'{"a": 1}') == {"a": 1}
    text = sealed(data)
    for k in range(len(text)):
        changed = bytearray(text)
        changed[k] ^= 1
        try:
            found = unsealed(bytes(changed))
        except ValueError:
            continue
        # A change of the key of the checksum itself makes it one of the data.
        assert found.keys() - data.keys()
