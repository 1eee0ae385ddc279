"""Dask: the same bytes as serial, whoever is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import contents, python_path

from distdesc.engine.events import RunStarted, ShardFinished
from distdesc.engine.run import run
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


class Gate:
    """Lets the first three shards through, and holds a worker at each further one until opened."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def wait_for_workers(self, n: int, process: subprocess.Popen[bytes]) -> list[int]:
        """Processes that are held, each at a shard that it has begun."""
        for _ in range(3600):
            held = [int(f.suffix[1:]) for f in self.file.parent.glob(f"{self.file.name}.*")]
            if len(held) == n:
                return held
            if process.poll() is not None:
                pytest.fail(f"not held: {process.communicate()[0].decode()}")
            time.sleep(0.05)
        pytest.fail("no shards within three minutes")

    def open(self) -> None:
        self.file.touch()


@pytest.fixture
def gate(tmp_path, monkeypatch) -> Gate:
    """Of the processes that a test starts: so none is done before it is disturbed."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    monkeypatch.setenv("DISTDESC_TEST_GATE", str(tmp_path / "gate"))
    return Gate(tmp_path / "gate")


@pytest.fixture
def few(make, tmp_path):
    """A campaign of eight shards."""
    campaign = make(execution__executor="dask")
    file = tmp_path / "few.toml"
    file.write_text(campaign.to_toml())
    return campaign, file


def test_a_killed_client_costs_nothing_but_time(gate, few, finished):
    campaign, file = few
    process = start(campaign.path, file)
    try:
        gate.wait_for_workers(2, process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert done_shards(campaign.path, "fingerprint") == {0, 1, 2}
    gate.open()
    again = start(campaign.path, file)
    output, _ = again.communicate(timeout=200)
    assert again.returncode == 0, output.decode()
    assert b"8 shards, 3 of them done before" in output, output.decode()
    assert contents(campaign.path) == contents(finished)


def test_a_killed_worker_costs_nothing_but_time(gate, few, finished):
    campaign, file = few
    process = start(campaign.path, file)
    try:
        os.kill(gate.wait_for_workers(2, process)[0], signal.SIGKILL)
        gate.open()
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 0, output.decode()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert contents(campaign.path) == contents(finished)


def test_ctrl_c_leaves_a_resumable_store_and_says_how_to_go_on(gate, few, finished):
    campaign, file = few
    process = start(campaign.path, file)
    gate.wait_for_workers(2, process)
    os.killpg(process.pid, signal.SIGINT)
    gate.open()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output.decode()
    assert b"the same command goes on" in output
    assert b"Traceback" not in output, output.decode()
    again = start(campaign.path, file)
    output, _ = again.communicate(timeout=200)
    assert again.returncode == 0, output.decode()
    assert contents(campaign.path) == contents(finished)


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


def test_a_lost_scheduler_ends_the_run_and_another_goes_on(gate, scheduler, few, make, finished):
    file, process = scheduler
    campaign, text = few
    command = [sys.executable, "-m", "distdesc", "run", str(text), "--scheduler", str(file)]
    client = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    gate.wait_for_workers(1, client)
    process.kill()
    output, _ = client.communicate(timeout=200)
    assert client.returncode == 5, output.decode()
    assert b"scheduler was lost" in output
    events = []
    run(make(), [events.append])
    assert next(e for e in events if isinstance(e, RunStarted)).shards_done == 3
    assert contents(campaign.path) == contents(finished)
