"""Dask: the same bytes as serial, whoever is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from support import contents

from distdesc.engine.events import RunStarted, ShardFinished
from distdesc.engine.run import run
from distdesc.report.reader import open_run
from distdesc.store.receipts import done_shards

# Of Dask and its dependencies at shutdown; ours are errors everywhere else.
pytestmark = pytest.mark.filterwarnings("default")


def test_two_workers_give_the_bytes_of_the_serial_run(make, finished):
    campaign = make(execution__executor="dask", execution__workers=2)
    events = []
    run(campaign, [events.append])
    started = next(e for e in events if isinstance(e, RunStarted))
    assert started.workers == 2
    assert started.dashboard.startswith("http://127.0.0.1:")
    assert contents(campaign.path) == contents(finished)
    receipts = [e.receipt for e in events if isinstance(e, ShardFinished)]
    assert os.getpid() not in {r.where["pid"] for r in receipts}


SMALL = {"store__shard_rows": 16, "store__chunk_rows": 16}


def start(store: Path, job: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "distdesc", "run", str(job), "--workers", "2"]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=heed_ctrl_c,
    )


def heed_ctrl_c():
    """Tests that run beside each other ignore it, and their children would as well."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def job(make, molecules, tmp_path):
    """A campaign of some hundred shards, so that it is not over before it is disturbed."""
    many = tmp_path / "many.xyz"
    many.write_text(molecules.read_text() * 8)
    campaign = make(execution__executor="dask", source__path=str(many), **SMALL)
    file = tmp_path / "job.toml"
    file.write_text(campaign.to_toml())
    return campaign, file


def wait_for_shards(path: Path, n: int) -> None:
    for _ in range(3600):
        if len(done_shards(path, "fingerprint")) >= n:
            return
        time.sleep(0.05)
    pytest.fail("no shards within three minutes")


@pytest.mark.parametrize("victim", ["client", "worker"])
def test_a_killed_process_costs_nothing_but_time(job, victim, make):
    campaign, file = job
    process = start(campaign.path, file)
    try:
        wait_for_shards(campaign.path, 3)
        if victim == "client":
            process.kill()
        else:
            workers = [
                p
                for p in psutil.Process(process.pid).children(recursive=True)
                if "spawn_main" in " ".join(p.cmdline())
            ]
            workers[0].kill()
            output, _ = process.communicate(timeout=200)
            assert process.returncode == 0, output.decode()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    if victim == "client":
        assert not open_run(campaign.path).complete
    again = start(campaign.path, file)
    output, _ = again.communicate(timeout=200)
    assert again.returncode == 0, output.decode()
    reference = make("reference.zarr", source__path=campaign.source.path, **SMALL)
    run(reference)
    assert contents(campaign.path) == contents(reference.path)
    assert not list(campaign.path.rglob("*.partial"))


def test_ctrl_c_leaves_a_resumable_store_and_says_how_to_go_on(job):
    campaign, file = job
    process = start(campaign.path, file)
    wait_for_shards(campaign.path, 2)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output.decode()
    assert b"the same command goes on" in output
    assert b"Traceback" not in output, output.decode()
    again = start(campaign.path, file)
    output, _ = again.communicate(timeout=200)
    assert again.returncode == 0, output.decode()
    assert open_run(campaign.path).complete


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler and a worker that run on their own, as on a cluster."""
    file = tmp_path / "scheduler.json"
    common = ["--scheduler-file", str(file), "--host", "127.0.0.1", "--no-dashboard"]
    commands = (["scheduler", "--port", "0", *common], ["worker", "--nthreads", "1", *common])
    processes = []
    for command in commands:
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "dask", *command],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )
        for _ in range(600):
            if file.exists():
                break
            time.sleep(0.1)
    yield file, processes[0]
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_campaigns_that_share_a_scheduler_get_their_own_rows(scheduler, make, tmp_path, molecules):
    file, _ = scheduler
    changed = tmp_path / "changed.xyz"
    changed.write_text(molecules.read_text().replace("0.0", "0.1"))
    campaigns, runs = [], []
    for name, source in (("a", molecules), ("b", changed)):
        job = tmp_path / f"{name}.toml"
        campaign = make(f"{name}.zarr", source__path=str(source), store__shard_rows=32)
        job.write_text(campaign.to_toml().replace('"serial"', '"dask"'))
        campaigns.append(campaign)
        command = [sys.executable, "-m", "distdesc", "run", str(job), "--scheduler", str(file)]
        runs.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
    for process in runs:
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 0, output.decode()
    for name, campaign in zip("ab", campaigns, strict=True):
        reference = make(f"{name}-reference.zarr", source__path=campaign.source.path,
                         store__shard_rows=32)  # fmt: skip
        run(reference)
        assert contents(campaign.path) == contents(reference.path)


def test_a_lost_scheduler_ends_the_run_and_the_same_command_goes_on(scheduler, job, make):
    file, process = scheduler
    campaign, text = job
    command = [sys.executable, "-m", "distdesc", "run", str(text), "--scheduler", str(file)]
    client = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_for_shards(campaign.path, 2)
    process.kill()
    output, _ = client.communicate(timeout=200)
    assert client.returncode == 5, output.decode()
    assert b"scheduler was lost" in output
    again = start(campaign.path, text)
    output, _ = again.communicate(timeout=200)
    assert again.returncode == 0, output.decode()
    reference = make("reference.zarr", source__path=campaign.source.path, **SMALL)
    run(reference)
    assert contents(campaign.path) == contents(reference.path)
