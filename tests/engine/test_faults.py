"""What must not happen: every fault here was possible once, or was seeded on purpose."""

from __future__ import annotations

import errno
import gzip
import json
import os
import shutil
import socket
from dataclasses import replace

import numpy as np
import pytest
from support import contents, rewrite

from distdesc.engine import compute, task
from distdesc.engine.events import Announced, ShardFinished
from distdesc.engine.executors.executor import Outcome
from distdesc.engine.executors.serial import SerialExecutor
from distdesc.engine.ledger import Ledger
from distdesc.engine.plan import Task
from distdesc.engine.run import run
from distdesc.engine.task import run_task
from distdesc.engine.verify import verify
from distdesc.engine.versions import versions
from distdesc.errors import (
    CampaignError,
    LastingError,
    RunError,
    SourceBusyError,
    SourceError,
    StoreError,
    StructureError,
)
from distdesc.report.export import export
from distdesc.report.reader import open_run
from distdesc.stages.fingerprint import Fingerprint
from distdesc.stages.ingest import Ingest
from distdesc.store.lock import LOCK, ClientLock, client_lock
from distdesc.store.receipts import read_receipt, receipt_path, revoke
from distdesc.store.written import read_plan

TASK = Task("fingerprint", 0, 0, 1, 0, 1, 0)


class LostError(Exception):
    """Raised by a stage in these tests."""


@pytest.mark.parametrize("kind", [LostError, StructureError])
@pytest.mark.parametrize("stage", [Fingerprint, Ingest])
def test_structures_a_stage_cannot_do_are_set_aside_and_the_rest_is_exact(
    make, monkeypatch, kind, stage
):
    names = {Fingerprint: "fingerprint", Ingest: "ingest"}
    good = make("good.zarr", stage__name=names[stage])
    run(good)
    original = stage.run

    def fails(self, batch, first, last, clock):
        bad = [k for k, i in enumerate(batch.indices) if i in (3, 7, 40)]
        if bad and kind is StructureError:
            raise StructureError({k: "as asked" for k in bad})
        if bad:
            raise LostError("as asked")
        return original(self, batch, first, last, clock)

    monkeypatch.setattr(stage, "run", fails)
    campaign = make("bad.zarr", stage__name=names[stage], limits__quarantined_fraction=0.1)
    run(campaign)
    a, b = open_run(good.path), open_run(campaign.path)
    assert sorted(b.quarantined()) == [3, 7, 40]
    assert "as asked" in b.quarantined()[7]
    code = 2 if kind is StructureError else 1
    if stage is Fingerprint:
        n = a.n_environments
        out = np.isin(a.locate(np.arange(n))[0], [3, 7, 40])
        x, y = (r.reader.read("fingerprint", 0, n) for r in (a, b))
        assert np.array_equal(x[~out], y[~out])
        assert np.isnan(y[out]).all()
        assert np.array_equal(b.status("fingerprint"), np.where(out, code, 0))
        return
    assert [b.status("ingest")[k] for k in (3, 7, 40, 8)] == [code, code, code, 0]
    for k in set(range(60)) - {3, 7, 40}:
        first, n = (int(b.reader.read(c, k, k + 1)[0]) for c in ("first_atom", "n_atoms"))
        whole = int(a.reader.read("first_atom", k, k + 1)[0])
        x = a.reader.read("positions", whole, whole + n)
        assert np.array_equal(x, b.reader.read("positions", first, first + n))


def test_lack_of_memory_is_not_blamed_on_a_structure(make, monkeypatch):
    def fails(self, batch, first, last, clock):
        raise MemoryError

    monkeypatch.setattr(Fingerprint, "run", fails)
    with pytest.raises(LastingError, match="first 3 shards failed, the last with MemoryError"):
        run(make())
    assert not open_run(make().path).quarantined()


def test_a_source_that_gives_other_atoms_than_its_index_says_stops_the_run(make, monkeypatch):
    campaign = make()
    original = type(campaign.source).read

    def fewer(self, index, start, stop, records=False):
        counts = np.array(index.atom_counts)
        counts[start] -= 1
        batch = original(self, index, start, stop, records)
        return replace(batch, offsets=np.concatenate([[0], np.cumsum(counts[start:stop])]))

    monkeypatch.setattr(type(campaign.source), "read", fewer)
    with pytest.raises(RunError, match="do not have the atoms that its index says"):
        run(campaign)


def test_a_shard_with_a_receipt_is_not_written_again(finished, tmp_path):
    store = tmp_path / "copy.zarr"
    shutil.copytree(finished, store)
    before = contents(store)
    file = store / "fingerprint" / "c" / "0" / "0"
    file.write_bytes(b"would be repaired")
    receipt = run_task(store, read_plan(store).digest, versions(), TASK)
    assert receipt == read_receipt(store, "fingerprint", 0)
    assert file.read_bytes() == b"would be repaired"
    assert len(before) == len(contents(store))


def test_attempts_that_disagree_stop_the_run(make, monkeypatch):
    original = task.commit

    def commit(path, receipt, measured):
        if receipt.shard == 2:
            original(path, replace(receipt, digests={k: "other" for k in receipt.digests}))
        return original(path, receipt, measured)

    monkeypatch.setattr(task, "commit", commit)
    with pytest.raises(LastingError, match=r"fingerprint-00000002: two attempts .* disagree"):
        run(make())


def test_a_worker_with_other_versions_refuses_to_compute(finished):
    with pytest.raises(LastingError, match=r"other versions than the client: numpy 1\.0 → "):
        run_task(finished, read_plan(finished).digest, {"numpy": "1.0"}, replace(TASK, shard=10**6))


def test_a_task_of_another_campaign_is_refused(finished):
    with pytest.raises(LastingError, match="now belongs to campaign"):
        run_task(finished, "0" * 12, versions(), replace(TASK, shard=10**6))


def test_a_receipt_of_another_campaign_is_not_taken_as_done(make):
    campaign = make()
    run(campaign)
    rewrite(receipt_path(campaign.path, "fingerprint", 1), campaign="0" * 12)
    with pytest.raises(StoreError, match="is of campaign 000000000000"):
        run(campaign)
    assert [f.shard for f in verify(campaign.path, 0, repair=True).faults] == [1]
    run(campaign)
    assert open_run(campaign.path).complete


def test_the_ledger_tells_errors_of_the_run_from_those_of_a_shard():
    told = []
    ledger = Ledger(limit=0)
    for error in (StoreError("x"), OSError("disk full")):
        with pytest.raises(RunError, match="fingerprint-00000000: "):
            ledger.account(Outcome(TASK, error=error), told.append)
    for _ in range(2):
        ledger.account(Outcome(TASK, error=LostError("boom")), told.append)
    with pytest.raises(LastingError, match="first 3 shards failed, the last with LostError: boom"):
        ledger.account(Outcome(TASK, error=LostError("boom")), told.append)
    assert len(told) == 3


@pytest.mark.parametrize(
    ("error", "at_first", "later"),
    [
        (OSError(errno.ENOSPC, "disk full"), RunError, RunError),
        (RunError("a part was lost"), RunError, RunError),
        (SourceBusyError("x.db is locked"), RunError, RunError),
        (LastingError("other versions"), LastingError, LastingError),
        (CampaignError("no such package here"), LastingError, LastingError),
        # Workers that do not see what the client sees, and changes while they compute.
        (SourceError("x.xyz is gone"), LastingError, RunError),
        (StoreError("not a store"), LastingError, RunError),
        (OSError(errno.EACCES, "Permission denied"), LastingError, RunError),
        (OSError(errno.EROFS, "Read-only file system"), LastingError, RunError),
    ],
    ids=str,
)
def test_what_stops_a_run_says_whether_another_try_may_mend_it(finished, error, at_first, later):
    ledger = Ledger(limit=0)
    with pytest.raises(RunError) as found:
        ledger.account(Outcome(TASK, error=error), lambda event: None)
    assert found.type is at_first
    done = read_receipt(finished, "fingerprint", 0)
    ledger.account(Outcome(TASK, receipt=done), lambda event: None)
    with pytest.raises(RunError) as found:
        ledger.account(Outcome(TASK, error=error), lambda event: None)
    assert found.type is later


def test_failed_shards_end_a_run_that_did_all_others(make, monkeypatch):
    original = compute.run_good

    def fails(stage, batch, rows, problems, clock):
        if 59 in batch.indices:
            raise MemoryError("too large")
        return original(stage, batch, rows, problems, clock)

    monkeypatch.setattr(compute, "run_good", fails)
    with pytest.raises(RunError, match=r"1 shards failed after all attempts .*too large") as first:
        run(make())
    # The next try does nothing else any more.
    with pytest.raises(LastingError, match=r"and this run did none; .*too large") as second:
        run(make())
    assert (first.type, second.type) == (RunError, LastingError)
    monkeypatch.undo()
    run(make())
    assert open_run(make().path).complete


def test_the_serial_executor_tries_again_but_not_what_is_final(make):
    executor = SerialExecutor(make().execution, attempts=3)
    calls = []

    def third_time(task):
        calls.append(task)
        if len(calls) < 3:
            raise OSError("a hiccup")
        return "receipt"

    assert next(executor.run(third_time, [TASK])).receipt == "receipt"

    def final(task):
        calls.append(task)
        raise StoreError("damaged")

    assert isinstance(next(executor.run(final, [TASK])).error, StoreError)
    assert len(calls) == 4


def test_leftovers_of_killed_writers_and_unpacked_copies_are_removed(make, molecules, tmp_path):
    packed = tmp_path / "molecules.xyz.gz"
    packed.write_bytes(gzip.compress(molecules.read_bytes()))
    campaign = make(stage__name="ingest", source__path=str(packed), store__shard_rows=32)
    leftover = campaign.path / "n_atoms" / "c" / "0.123.partial"

    def interrupt(event):
        if isinstance(event, ShardFinished):
            leftover.write_bytes(b"half")
            raise LostError

    with pytest.raises(LostError):
        run(campaign, [interrupt])
    assert (campaign.path / "run" / "unpacked").exists()
    shutil.rmtree(campaign.path / "run" / "unpacked")
    run(campaign)
    assert not leftover.exists()
    assert not (campaign.path / "run" / "unpacked").exists()
    assert verify(campaign.path, 1).faults == ()
    assert verify(campaign.path, 1).recomputed == 1
    events = []
    run(campaign, [events.append])
    assert not [e for e in events if isinstance(e, Announced)]


@pytest.mark.parametrize(
    ("lost", "shard"),
    [
        ("run/shards/fingerprint.npy", None),
        ("run/index/atom_counts.npy", None),
        ("run/index/index.json", None),
        ("number", 1),
        ("fingerprint/zarr.json", 1),
    ],
)
def test_lost_metadata_is_restored_by_the_next_run(make, finished, lost, shard):
    campaign = make()
    run(campaign)
    victim = campaign.path / lost
    if victim.is_dir():
        shutil.rmtree(victim)
    else:
        victim.write_bytes(b"")
        if lost.endswith("zarr.json"):
            victim.unlink()
    revoke(campaign.path, "fingerprint", 0)
    run(campaign)
    verify(campaign.path, 0, repair=True)
    run(campaign)
    assert verify(campaign.path, 1).faults == ()
    assert contents(campaign.path) == contents(finished)


def test_two_clients_that_begin_a_store_together_do_no_harm(make):
    campaign, said = make(), []

    def second(event):
        if isinstance(event, Announced) and "indexing" in event.text and not said:
            said.append(event)
            with pytest.raises(StoreError, match="another client"):
                run(campaign)

    run(campaign, [second])
    assert open_run(campaign.path).complete


def test_a_dead_client_does_not_hold_the_lock_and_a_living_one_does(tmp_path):
    file = tmp_path / LOCK
    file.parent.mkdir(parents=True)
    host = socket.gethostname()
    for dead in (
        {"host": host, "pid": 2**22 + 17},
        {"host": host, "pid": 1, "started": 1, "boot": "another"},
        {"host": host, "pid": os.getpid()},
        "damaged",
    ):
        file.write_text(json.dumps(dead))
        with client_lock(tmp_path):
            pass
        assert not file.exists()
    file.write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    with pytest.raises(StoreError, match="process 1 on elsewhere"), client_lock(tmp_path):
        pass
    os.utime(file, (0, 0))
    with client_lock(tmp_path) as lock:
        file.unlink()
        ClientLock.beat(lock)
        with client_lock(tmp_path):
            pass


def test_verify_repairs_what_it_can_even_if_the_source_is_gone(make, molecules, tmp_path):
    copy = tmp_path / "copy.xyz"
    shutil.copy(molecules, copy)
    campaign = make(source__path=str(copy))
    run(campaign)
    os.utime(copy, (1, 1))
    assert verify(campaign.path, 1).recomputed == 1
    copy.unlink()
    (campaign.path / "number" / "c" / "2").unlink()
    found = verify(campaign.path, 1, repair=True)
    assert [f.shard for f in found.faults] == [2]
    assert "copy.xyz" in found.not_recomputed
    assert read_receipt(campaign.path, "fingerprint", 2) is None


def test_an_object_that_should_not_be_there_is_a_fault(make, molecules):
    campaign = make(stage__name="ingest")
    run(campaign)
    receipt = read_receipt(campaign.path, "ingest", 0)
    objects = {k: v for k, v in receipt.objects.items() if k != "cell"}
    receipt_path(campaign.path, "ingest", 0).write_text(
        json.dumps(replace(receipt, objects=objects).to_dict())
    )
    assert "should not exist" in verify(campaign.path, 0).faults[0].what


def test_export_never_overwrites_the_source_and_leaves_no_half_file(make, molecules, tmp_path):
    copy = tmp_path / "copy.xyz"
    shutil.copy(molecules, copy)
    campaign = make(source__path=str(copy))
    run(campaign)
    with pytest.raises(CampaignError, match="must not be the source itself"):
        export(open_run(campaign.path), copy)
    assert copy.read_bytes() == molecules.read_bytes()
    copy.write_text("changed")
    with pytest.raises(StoreError, match="has changed"):
        export(open_run(campaign.path), tmp_path / "out.xyz")
    assert not list(tmp_path.glob("*out*"))


def test_ingest_beside_another_stage_can_be_read_back(make):
    campaign = make()
    sections = campaign.to_dict()
    sections["stage"] = [{"name": "fingerprint"}, {"name": "ingest"}]
    both = type(campaign).from_dict(sections)
    run(both)
    again = make("again.zarr", stage__name="ingest", source__name="structure_store",
                 source__path=str(both.path))  # fmt: skip
    run(again)
    assert open_run(again.path).complete


def test_a_place_that_is_taken_is_left_alone(make, tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(StoreError, match="is a file; choose another"):
        run(make("file"))
    folder = tmp_path / "folder.zarr"
    folder.mkdir()
    (folder / "a").touch()
    with pytest.raises(StoreError, match="is not a distdesc store"):
        run(make("folder.zarr"))
    assert [f.name for f in folder.iterdir()] == ["a"]
    with pytest.raises(SourceError, match="nowhere"):
        run(make("stub.zarr", source__path=str(tmp_path / "nowhere.xyz")))
    run(make("stub.zarr"))
