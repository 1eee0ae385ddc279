"""A store in a bucket of an object store keeps every promise of one in a folder."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from support import StoppedError, call, contents, fail, stop

from distdesc.campaign import Campaign
from distdesc.engine.events import Announced, ShardFinished
from distdesc.engine.run import run, stage_plans
from distdesc.engine.soundness import shard_faults
from distdesc.engine.task import run_task
from distdesc.engine.verify import verify
from distdesc.engine.versions import versions
from distdesc.errors import CampaignError, RunError, SourceError, StoreError
from distdesc.place import ObjectPath, place
from distdesc.report.reader import open_run
from distdesc.store import storage
from distdesc.store.cache import local_copy
from distdesc.store.leases import swap
from distdesc.store.lock import LOCK, STALE_AFTER, client_lock
from distdesc.store.receipts import done_shards, iter_receipts, read_receipt, receipt_path
from distdesc.store.written import read_plan
from distdesc.structures.index import SourceIndex
from distdesc.structures.structure_store import StructureStore


def again(campaign: Campaign) -> tuple[list[int], str]:
    """Run a campaign: shards that it computed, and what it said."""
    events: list = []
    run(campaign, [events.append])
    shards = sorted(e.receipt.shard for e in events if isinstance(e, ShardFinished))
    return shards, " ".join(e.text for e in events if isinstance(e, Announced))


def test_a_campaign_has_the_same_bytes_in_a_bucket_and_in_a_folder(
    bucket, make, finished, fetched, server, monkeypatch
):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-tell")
    store = bucket / "with space" / "é+1.zarr"
    assert again(make(store))[0] == list(range(8))
    copy = fetched(store)
    assert contents(copy) == contents(finished)
    assert set(storage.files(copy)) == set(storage.files(finished))
    assert not any(b"do-not-tell" in (copy / name).read_bytes() for name in storage.files(copy))
    server.tell(reset=True)
    assert again(make(store)) == ([], "")
    # Receipts and sizes are not asked for one by one.
    assert server.counts()["HEAD"] < 15
    assert server.counts().get("PUT", 0) == 0


def test_all_commands_take_a_bucket(store, tmp_path, finished):
    for command in ("status", "report", "verify"):
        assert str(store.bucket) in call(command, store, "--json")
    call("export", store, "-o", tmp_path / "a.npz")
    call("export", finished, "-o", tmp_path / "b.npz")
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        assert all(np.array_equal(a[k], b[k], equal_nan=a[k].dtype.kind == "f") for k in b)
    lazy = open_run(str(store)).to_dask()
    assert np.array_equal(lazy.compute(), open_run(finished).to_dask().compute())


def test_structures_and_reductions_can_be_in_a_bucket(bucket, make, fetched, tmp_path, section):
    ingest = {"descriptor": None, "stage": [{"name": "ingest"}]}
    sections = {k: v for k, v in {**section, **ingest}.items() if v is not None}
    structures = bucket / "structures.zarr"
    run(Campaign.from_dict({**sections, "store": {"path": str(structures)}}))
    source = {"name": "structure_store", "path": str(structures)}
    reduction = {"name": "principal_components", "n_components": 3}
    reduced = {"source": source, "reduction": reduction}
    run(make(bucket / "reduced.zarr", **reduced))
    local = tmp_path / "reduced.zarr"
    run(make(local, **reduced))
    assert contents(fetched(bucket / "reduced.zarr")) == contents(local)
    assert verify(bucket / "reduced.zarr").faults == ()
    index = StructureStore(str(structures)).scan()
    assert index.changed_file() is None
    storage.replace(structures / "run/plan.json", storage.read(structures / "run/plan.json") + b" ")
    assert "has changed" in index.changed_file()


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]


RECEIPT = "run/receipts/fingerprint/00000/fingerprint-00000001.json"


@pytest.mark.parametrize(
    ("what", "harm", "computed"),
    [
        (RECEIPT, flip, [1]),
        (RECEIPT, None, [1]),
        ("fingerprint/c/1/0", cut, [1]),
        ("fingerprint/c/1/0", None, [1]),
        ("fingerprint/c/1/0", flip, [1]),
        ("number/zarr.json", None, []),
        ("offsets/c/0", flip, []),
        ("run/shards/fingerprint.npy", cut, []),
        ("run/index/locators.npy", flip, []),
    ],
    ids=lambda v: getattr(v, "__name__", str(v).rpartition("/")[2]),
)
def test_damage_is_named_and_made_good_and_no_more(
    store, make, finished, fetched, what, harm, computed
):
    if harm is None:
        storage.delete(store / what)
    else:
        storage.replace(store / what, harm(storage.read(store / what)))
    found = verify(store, recomputed=0, repair=True).faults
    # Without a receipt, a shard is not done: that is not a fault.
    if (what, harm) != (RECEIPT, None):
        assert found
        named = " ".join(f"{f.array} {f.what}" for f in found)
        assert what.split("/")[0] in named
    assert again(make(store))[0] == computed
    copy = fetched(store)
    assert contents(copy) == contents(finished)
    for name in ("shards/fingerprint.npy", "index/locators.npy", "index/atom_counts.npy"):
        assert (copy / "run" / name).read_bytes() == (finished / "run" / name).read_bytes()


def test_a_run_finds_what_is_missing_by_itself(store, make, finished, fetched):
    storage.delete(store / "fingerprint/c/1/0")
    storage.replace(store / "number/c/2", b"")
    shards, said = again(make(store))
    assert shards == [1, 2]
    assert f"{store}/fingerprint/c/1/0 is missing (and 1 more)" in said
    assert contents(fetched(store)) == contents(finished)


def test_objects_are_verified_with_one_request_each_and_many_at_once(store, server):
    server.tell(reset=True)
    assert verify(store, recomputed=0).faults == ()
    # Receipts and three objects of each of eight shards; the rest is the frame.
    assert server.counts()["GET"] < 8 * 4 + 30
    plan = stage_plans(store, read_plan(store))[0]
    receipts = list(iter_receipts(store, "fingerprint"))
    server.tell(reset=True, latency=0.2)
    assert [faults for _, faults in shard_faults(store, plan, receipts)] == [[]] * 8
    # Of more than one shard.
    assert server.counts()["at once"] > 3


def test_the_objects_of_a_shard_are_put_at_once_and_its_receipt_if_all_of_them_are(
    bucket, make, server
):
    with pytest.raises(StoppedError):
        run(make(bucket), [stop])
    plan = read_plan(bucket)
    task = stage_plans(bucket, plan)[0].task(0)
    names = ("fingerprint/c/0/0", "fingerprint_status/c/0", "number/c/0")

    def there() -> set[str]:
        return {name for name in names if storage.exists(bucket / name)}

    for harmed in names:
        server.tell(refuse=harmed, latency=0.1)
        with pytest.raises(StoreError, match=f"{harmed} was refused"):
            run_task(bucket, plan.digest, versions(), task)
        server.tell(refuse="", latency=0)
        # The others were waited for.
        assert there() == {*names} - {harmed}
        assert done_shards(bucket, "fingerprint") == set()
        for name in names:
            storage.delete(bucket / name)
    server.tell(reset=True, latency=0.2)
    run_task(bucket, plan.digest, versions(), task)
    assert server.counts()["at once"] == 3
    assert there() == {*names}
    assert done_shards(bucket, "fingerprint") == {0}


def test_a_flipped_bit_is_never_read_as_a_value(store):
    name = "fingerprint/c/1/0"
    storage.replace(store / name, flip(storage.read(store / name)))
    with pytest.raises(StoreError, match="is damaged"):
        open_run(store).reader.read("fingerprint", 128, 256)


def test_of_many_that_create_an_object_exactly_one_wins(bucket):
    file = receipt_path(bucket, "fingerprint", 3)
    with ThreadPoolExecutor(8) as pool:
        wins = list(pool.map(lambda k: storage.create(file, bytes([k]) * 1000), range(16)))
    assert sum(wins) == 1
    assert storage.read(file) == bytes([wins.index(True)]) * 1000


def test_of_two_attempts_of_a_shard_the_first_has_the_receipt(store, server, finished, fetched):
    storage.delete(receipt_path(store, "fingerprint", 3))
    plan = read_plan(store)
    task = stage_plans(store, plan)[0].task(3)
    # Both have computed and written before either's receipt gets through.
    server.tell(reset=True)
    server.tell(hold=0)
    with ThreadPoolExecutor(2) as pool:
        attempts = [pool.submit(run_task, store, plan.digest, versions(), task) for _ in range(2)]
        for _ in range(1200):
            if server.counts().get("PUT if", 0) == 2:
                break
            time.sleep(0.05)
        server.tell(reset=True)
        receipts = [attempt.result() for attempt in attempts]
    assert receipts[0] != receipts[1]
    assert receipts[0].digests == receipts[1].digests
    assert read_receipt(store, "fingerprint", 3) in receipts
    assert contents(fetched(store)) == contents(finished)


def test_who_wins_is_known_although_the_answer_is_lost(bucket, server):
    server.tell(lose=1)
    assert storage.create(bucket / "a", b"mine")
    server.tell(lose=1)
    assert not storage.create(bucket / "a", b"other")
    assert storage.read(bucket / "a") == b"mine"


def start(job, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "distdesc", "run", str(job), "--workers", "2", *options]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, start_new_session=True, **quiet)


def wait_for(shards: int, store: ObjectPath, process: subprocess.Popen) -> None:
    for _ in range(1800):
        if len(done_shards(store, "fingerprint")) >= shards:
            return
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.1)
    raise AssertionError("nothing was done in three minutes")


@pytest.mark.cluster
def test_workers_and_clients_can_be_killed(bucket, make, finished, fetched, server, tmp_path):
    job = tmp_path / "job.toml"
    campaign = make(bucket, execution={"executor": "dask"})
    job.write_text(campaign.to_toml())
    # Receipts are let through one by one, so that there is something to interrupt.
    server.tell(hold=1)
    process = start(job)
    try:
        wait_for(1, bucket, process)
        second = start(job)
        said = second.communicate(timeout=200)[1].decode()
        assert second.returncode == 4, said
        assert "worked on by another client" in said
        children = psutil.Process(process.pid).children(recursive=True)
        next(p for p in children if "spawn_main" in " ".join(p.cmdline())).kill()
        # Some of those that wait are of the worker that is dead, and get through none the less.
        server.tell(hold=4)
        wait_for(4, bucket, process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    done = done_shards(bucket, "fingerprint")
    assert len(done) < 8
    server.tell(reset=True)
    shards, _ = again(make(bucket))
    assert not done & set(shards)
    assert contents(fetched(bucket)) == contents(finished)
    assert set(storage.files(bucket)) == set(storage.files(finished))


def test_a_second_client_is_refused_and_a_dead_one_followed(bucket):
    with (
        client_lock(bucket),
        pytest.raises(StoreError, match="another client"),
        client_lock(bucket),
    ):
        pass
    assert not storage.exists(bucket / LOCK)
    storage.replace(bucket / LOCK, b'{"host": "elsewhere", "pid": 1}')
    with pytest.raises(StoreError, match="process 1 on elsewhere"), client_lock(bucket):
        pass
    # Of this host, and no process that there is.
    host = os.uname().nodename.encode()
    storage.replace(bucket / LOCK, b'{"host": "%s", "pid": 1, "started": 5, "boot": ""}' % host)
    with client_lock(bucket) as lock:
        assert storage.read(bucket / LOCK) == lock.mine


def test_of_two_that_find_the_same_dead_client_one_follows_it(bucket):
    file = bucket / "lock"
    storage.replace(file, b"dead")

    def late() -> bool:
        """The other was faster, after this one had looked."""
        assert swap(file, b"faster", lambda: True)
        return True

    assert not swap(file, b"slower", late)
    assert storage.read(file) == b"faster"


def test_a_client_that_was_taken_for_dead_stops(bucket, monkeypatch):
    with client_lock(bucket) as mine:
        for expected in (None, "process 1 on elsewhere"):
            monkeypatch.setattr(mine, "_beat", mine._beat - STALE_AFTER)
            if expected is None:
                mine.beat()
                storage.replace(bucket / LOCK, b'{"host": "elsewhere", "pid": 1}')
            else:
                with pytest.raises(StoreError, match=expected):
                    mine.beat()
    assert storage.exists(bucket / LOCK)


def test_a_server_that_fails_for_a_while_is_asked_again(bucket, make, finished, fetched, server):
    server.tell(fail=3)
    run(make(bucket))
    assert server.counts()["failed"] == 3
    assert contents(fetched(bucket)) == contents(finished)


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_goes_on_failing_ends_the_run_with_what_it_says(
    store, make, server, monkeypatch, tmp_path, capsys, status
):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    storage.delete(receipt_path(store, "fingerprint", 5))

    def broken(event: object) -> None:
        if isinstance(event, Announced):
            server.tell(fail=10**6, status=status)

    with pytest.raises((RunError, OSError), match=rf"{status}|SlowDown"):
        run(make(store), [broken])
    job = tmp_path / "job.toml"
    job.write_text(make(store).to_toml())
    code, said = fail(capsys, "run", job)
    assert code == 5
    assert f"{status}" in said
    assert f"s3://{store.bucket}" in said
    server.tell(reset=True)
    storage.delete(store / LOCK)
    assert again(make(store))[0] == [5]


def test_what_is_unpacked_here_is_not_asked_of_workers_elsewhere(
    bucket, section, molecules, tmp_path
):
    packed = tmp_path / "molecules.xyz.gz"
    packed.write_bytes(gzip.compress(molecules.read_bytes()))
    sections = {**section, "source": {"name": "extxyz", "path": str(packed)}}
    store = {"path": str(bucket / "run.zarr"), "shard_rows": 512}
    run(Campaign.from_dict({**sections, "store": store}))
    assert open_run(bucket / "run.zarr").complete
    execution = {"executor": "dask", "scheduler": "tcp://elsewhere:8786"}
    with pytest.raises(CampaignError, match="unpacked on this machine"):
        run(Campaign.from_dict({**sections, "store": store, "execution": execution}))


def test_a_bucket_that_is_not_there_is_named(bucket, make, tmp_path, capsys):
    job = tmp_path / "job.toml"
    job.write_text(make("s3://no-such-bucket/run.zarr").to_toml())
    for command in (("run", job), ("status", "s3://no-such-bucket/run.zarr")):
        code, said = fail(capsys, *command)
        assert code == 4
        assert "there is no bucket s3://no-such-bucket; create it" in said
    code, said = fail(capsys, "status", bucket)
    assert code == 4
    assert "is not a distdesc store" in said


def test_wrong_and_missing_credentials_are_told_apart(
    store, server, capsys, monkeypatch, tmp_path, make
):
    job = tmp_path / "job.toml"
    job.write_text(make(store).to_toml())
    server.check_credentials(True)
    try:
        for command in (("run", job), ("verify", store)):
            code, said = fail(capsys, *command)
            assert code == 4, said
            assert "was refused (403 Forbidden" in said
            assert "check the credentials in the environment" in said
            assert "secret" not in said
    finally:
        server.check_credentials(False)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    code, said = fail(capsys, "run", job)
    assert code == 4
    assert "there are no credentials for s3://" in said


def test_what_is_not_a_store_is_left_alone(bucket, make):
    storage.replace(bucket / "thesis.pdf", b"")
    with pytest.raises(StoreError, match="is not a distdesc store"):
        run(make(bucket))
    assert list(storage.files(bucket)) == ["thesis.pdf"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("s3://KEY:SECRET@bucket/run.zarr", "credentials by the environment"),
        ("s3://KEY:SEC/RET@bucket/run.zarr", "credentials by the environment"),
        ("s3://bucket/run.zarr?X-Amz-Signature=SECRET", "credentials by the environment"),
        ("http://bucket/run.zarr", "begin with one of s3://, gs://, az://, got http://"),
        ("s3://bucket", "must be s3://BUCKET/NAME"),
        ("s3://bucket/../run.zarr", "must be s3://BUCKET/NAME"),
    ],
)
def test_a_place_is_bucket_and_name_and_nothing_else(make, path, message):
    with pytest.raises(CampaignError, match=message) as raised:
        make(path)
    assert not any(k in str(raised.value) for k in ("KEY:", "SEC/", "Signature"))


def test_nothing_leads_out_of_a_store():
    store = place("s3://bucket/runs//a.zarr/")
    assert str(store / "run" / "plan.json") == "s3://bucket/runs/a.zarr/run/plan.json"
    for name in ("../b", "/b", "run/../../b"):
        with pytest.raises(StoreError, match="is not within"):
            store / name


def test_a_copy_of_an_object_follows_it(bucket):
    storage.replace(bucket / "a", b"1")
    first = local_copy(bucket / "a")
    assert local_copy(bucket / "a") == first
    first.write_bytes(b"damaged")
    assert local_copy(bucket / "a", fresh=True).read_bytes() == b"1"
    storage.replace(bucket / "a", b"22")
    assert local_copy(bucket / "a").read_bytes() == b"22"
    assert not first.exists()
    first.parent.parent.chmod(0o777)
    with pytest.raises(StoreError, match="for no other"):
        local_copy(bucket / "a")


def test_processes_of_a_machine_copy_an_object_once(bucket, server):
    storage.replace(bucket / "a", b"1")
    script = (
        "import sys; from distdesc.place import place; from distdesc.store import cache, storage;"
        "there = place(sys.argv[1]); storage.exists(there); print('ready', flush=True);"
        "sys.stdin.readline(); print(cache.local_copy(there).read_bytes())"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(bucket / "a")], text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(3)
    ]  # fmt: skip
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
    server.tell(reset=True, latency=0.5)
    try:
        for process in processes:
            process.stdin.write("now\n")
            process.stdin.flush()
        assert {process.communicate()[0] for process in processes} == {"b'1'\n"}
    finally:
        server.tell(latency=0)
    assert server.counts()["GET"] == 1


def test_a_damaged_copy_of_the_index_is_not_used(store, finished):
    copy = local_copy(store / "run/index/locators.npy")
    copy.write_bytes(flip(copy.read_bytes()))
    found = SourceIndex.load(store / "run/index").locators
    assert np.array_equal(found, SourceIndex.load(finished / "run/index").locators)
    storage.replace(store / "run/index/locators.npy", flip(copy.read_bytes()))
    with pytest.raises(SourceError, match=r"locators\.npy has other values than were saved"):
        SourceIndex.load(store / "run/index")


def test_without_the_package_it_is_said_what_to_install(bucket, monkeypatch):
    from distdesc.store import bucket as buckets

    buckets._opened.cache_clear()
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(StoreError, match=r"pip install 'distdesc\[s3\]'"):
        storage.exists(bucket / "a")


def test_a_number_of_attempts_that_is_none_is_not_taken_for_damage(bucket, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "many")
    with pytest.raises(StoreError, match="AWS_MAX_ATTEMPTS must be a whole number, got 'many'"):
        read_plan(bucket / "run.zarr")
