"""A run followed from its store alone, and its log for machines."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from support import rewrite

from distdesc.campaign import Campaign
from distdesc.cli import cli
from distdesc.engine.run import run
from distdesc.monitor.watch import GAP, StoreWatch
from distdesc.report.reader import open_run
from distdesc.store.lock import LOCK
from distdesc.store.receipts import iter_receipts, receipt_path, revoke


@pytest.fixture(scope="module")
def campaign(molecules, tmp_path_factory):
    source = tmp_path_factory.mktemp("watch") / "some.xyz"
    frame = "2\nProperties=species:S:1:pos:R:3\nH 0 0 0\nH 0 0 0.01\n"
    source.write_text(molecules.read_text() + frame)
    return Campaign.from_dict(
        {
            "question": "What is to be seen?",
            "source": {"name": "extxyz", "path": str(source)},
            "descriptor": {
                "name": "moment_invariants", "order": 3, "cutoff": 4.0,
                "elements": ["H", "C", "N", "O"],
            },
            "stage": [{"name": "fingerprint"}],
            "store": {"path": str(source.with_name("run.zarr")), "shard_rows": 128,
                      "chunk_rows": 32},
            "execution": {"executor": "serial"},
            "limits": {"quarantined_fraction": 0.1},
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def logged(campaign, tmp_path_factory):
    """Store of a run, and the lines of its log."""
    folder = tmp_path_factory.mktemp("logged")
    job, log = folder / "job.toml", folder / "logs" / "run.jsonl"
    job.write_text(campaign.to_toml())
    result = CliRunner().invoke(cli, ["run", str(job), "--log-json", str(log)])
    assert result.exit_code == 0, result.output
    return campaign.path, [json.loads(line) for line in log.read_text().splitlines()]


@pytest.fixture
def store(logged, tmp_path):
    return shutil.copytree(logged[0], tmp_path / "run.zarr")


def test_a_finished_store_shows_what_its_receipts_say(store):
    facts = StoreWatch(store).look(time.time())
    receipts = list(iter_receipts(store, "fingerprint"))
    assert facts.state == "complete"
    assert facts.shards.done == facts.shards.total == len(receipts)
    assert facts.rows_done == facts.rows == open_run(store).n_environments
    assert facts.structures_done == 61
    assert facts.quarantined_structures == 1
    assert facts.problems[0].structure == 60
    assert sum(facts.seconds.values()) == pytest.approx(
        sum(r.seconds["total"] for r in receipts), rel=1e-6
    )


def test_each_look_adds_what_is_new(store):
    hidden = {}
    for shard in (2, 5):
        file = receipt_path(store, "fingerprint", shard)
        hidden[file] = file.read_bytes()
        revoke(store, "fingerprint", shard)
    (store / LOCK).write_text("{}")
    watch, now = StoreWatch(store), time.time()
    before = watch.look(now)
    assert before.state == "running"
    assert before.shards.waiting == 2
    for file, data in hidden.items():
        file.write_bytes(data)
        after = watch.look(now)
        assert after.shards.waiting == before.shards.waiting - 1
        before = after
    assert before.state == "complete"


def test_a_pause_ends_a_run_and_silence_is_told(store):
    receipts = list(iter_receipts(store, "fingerprint"))
    begin = receipts[0].finished
    for k, receipt in enumerate(receipts):
        late = 10 * GAP if k >= 4 else 0.0
        file = receipt_path(store, "fingerprint", receipt.shard)
        rewrite(file, finished=begin + k + late)
    revoke(store, "fingerprint", 7)
    (store / LOCK).write_text("{}")
    facts = StoreWatch(store).look(begin + 10 * GAP + 10)
    assert facts.state == "running"
    assert 0 < facts.now - facts.began < GAP
    assert facts.shards.done == len(receipts) - 1
    n_of_this_run = len(receipts) - 4 - 1
    assert facts.rate_run.rows <= 128 * n_of_this_run / (facts.now - facts.began) + 1e-6
    watch = StoreWatch(store)
    silent = watch.look(begin + 30 * GAP)
    assert silent.state == "silent"
    assert silent.rate_run == watch.look(begin + 60 * GAP).rate_run
    (store / LOCK).unlink()
    assert watch.look(begin + 60 * GAP).state == "stopped"


def test_a_store_without_receipts_is_running_while_a_client_has_it(store):
    for receipt in list(iter_receipts(store, "fingerprint")):
        revoke(store, "fingerprint", receipt.shard)
    (store / LOCK).write_text("{}")
    watch = StoreWatch(store)
    assert watch.look(time.time()).state == "running"
    (store / LOCK).unlink()
    assert watch.look(time.time()).state == "stopped"


def test_a_damaged_receipt_does_not_end_the_watch(store):
    receipt_path(store, "fingerprint", 1).write_bytes(b"{")
    facts = StoreWatch(store).look(time.time())
    assert facts.shards.waiting == 1


def test_watching_a_finished_store_says_so_and_ends(store):
    result = CliRunner().invoke(cli, ["status", str(store), "--watch"])
    assert result.exit_code == 0, result.output
    assert "complete" in result.output
    assert "1 quarantined" in result.output
    data = json.loads(CliRunner().invoke(cli, ["status", str(store), "--watch", "--json"]).output)
    assert data["shards"]["done"] == data["shards"]["total"]


def test_ctrl_c_leaves_a_watch_cleanly(store):
    revoke(store, "fingerprint", 0)
    process = subprocess.Popen(
        [sys.executable, "-m", "distdesc", "status", str(store), "--watch", "--interval", "0.2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    assert "shards" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert not errors


def test_the_log_has_a_line_for_every_shard(logged):
    store, lines = logged
    assert next(line["event"] for line in lines if line["event"] != "announced") == "run_started"
    shards = {line["shard"]: line for line in lines if line["event"] == "shard"}
    receipts = list(iter_receipts(store, "fingerprint"))
    assert set(shards) == {r.shard for r in receipts}
    for receipt in receipts:
        line = shards[receipt.shard]
        assert line["rows"] == receipt.rows[1] - receipt.rows[0]
        assert line["attempt"] == 1
        assert line["peak_rss"] > 0
        parts = {k: v for k, v in line["seconds"].items() if k != "total"}
        assert sum(parts.values()) == pytest.approx(line["seconds"]["total"], abs=1e-4)
    aside = [q for line in shards.values() for q in line["quarantined"]]
    assert aside[0]["structure"] == 60
    assert lines[-1]["event"] == "ended"
    assert lines[-1]["outcome"] == "complete"


def test_a_run_that_stops_says_why_in_its_log(campaign, tmp_path):
    job, log = tmp_path / "job.toml", tmp_path / "run.jsonl"
    job.write_text(campaign.to_toml())
    output = str(tmp_path / "strict.zarr")
    strict = ["run", str(job), "-o", output, "--set", "limits.quarantined_fraction=0"]
    for _ in range(2):
        assert CliRunner().invoke(cli, [*strict, "--log-json", str(log)]).exit_code == 1
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    ends = [line for line in lines if line["event"] == "ended"]
    assert len(ends) == 2
    assert "quarantined" in ends[0]["error"]
    assert ends[0]["outcome"] == "stopped"


def test_a_run_keeps_a_tally_for_its_listeners(campaign, tmp_path):
    from distdesc.engine.events import RunStarted, ShardFinished
    from distdesc.job import overridden

    seen = []

    def listen(event):
        if isinstance(event, RunStarted):
            seen.append(event.tally)
        if isinstance(event, ShardFinished):
            seen.append(seen[0].facts(time.time()).shards.done)

    data = overridden(campaign.to_dict(), {"store.path": str(tmp_path / "again.zarr")})
    run(Campaign.from_dict(data), [listen])
    assert seen[1:] == list(range(1, len(seen)))
