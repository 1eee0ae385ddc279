"""Schedulers and workers started by command: TLS or nothing, and ends that cost no one else."""

from __future__ import annotations

import contextlib
import json
import operator
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from distributed import Client
from support import contents

from distdesc.engine.executors.certificates import make_certificates, needed
from distdesc.engine.executors.deployment import SchedulerOptions, WorkerOptions
from distdesc.engine.executors.exposure import is_loopback
from distdesc.engine.executors.security import security_of
from distdesc.engine.run import run
from distdesc.errors import CampaignError, LastingError

# Of Dask and its dependencies at shutdown; ours are errors everywhere else.
pytestmark = pytest.mark.filterwarnings("default")

SCHEDULER = ("scheduler", "--port", "0", "--dashboard", "127.0.0.1:0", "--scheduler-file")


class Started:
    """Commands of distdesc under way, each with a session and a log of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.processes = folder, []

    def __call__(self, *arguments: object) -> subprocess.Popen[bytes]:
        with (self.folder / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "distdesc", *map(str, arguments)],
                stdout=log, stderr=log, start_new_session=True, preexec_fn=heed_ctrl_c,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def log(self, process: subprocess.Popen[bytes]) -> str:
        return (self.folder / f"{self.processes.index(process)}.log").read_text()

    def kill(self) -> None:
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def heed_ctrl_c() -> None:
    """Tests that run beside each other ignore it, and their children would as well."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start(tmp_path):
    started = Started(tmp_path)
    yield started
    started.kill()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder, ("node1", "10.0.0.7"), days=2)
    return folder


def eventually(condition, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def listening(pids: list[int]) -> list[str]:
    """Addresses that processes listen on."""
    return [
        connection.laddr.ip
        for pid in pids
        for connection in psutil.Process(pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]


def family(process: subprocess.Popen[bytes]) -> list[int]:
    """Process and all that it started."""
    return [process.pid, *(p.pid for p in psutil.Process(process.pid).children(recursive=True))]


@pytest.mark.slow
@pytest.mark.cluster
def test_workers_told_to_end_finish_what_they_can_and_leave_the_rest_to_others(start, tmp_path):
    def pause_once(mark: str) -> str:  # nested: workers cannot import this module
        if Path(mark).exists():
            return "computed again"
        Path(mark).touch()
        time.sleep(600)
        return "never"

    file = tmp_path / "scheduler.json"
    start(*SCHEDULER, file)
    patient = start("worker", file, "--workers", 1, "--grace", "30s", "--name", "patient")
    eventually(file.exists)
    with Client(scheduler_file=str(file), set_as_default=False) as client:
        client.wait_for_workers(1, timeout=60)
        short = client.submit(time.sleep, 1.5, key="short", pure=False)
        eventually(lambda: any(client.processing().values()))
        # As a batch system does: to all processes, the workers too.
        os.killpg(patient.pid, signal.SIGTERM)
        assert short.result(timeout=30) is None
        assert patient.wait(timeout=30) == 0, start.log(patient)

        hasty = start("worker", file, "--workers", 1, "--grace", "0.5s", "--name", "hasty")
        client.wait_for_workers(1, timeout=60)
        long = client.submit(pause_once, str(tmp_path / "begun"), key="long", pure=False)
        queued = client.submit(operator.add, 1, 1, key="queued", pure=False)
        eventually((tmp_path / "begun").exists)
        processes = [psutil.Process(pid) for pid in family(hasty)]
        os.killpg(hasty.pid, signal.SIGTERM)
        assert hasty.wait(timeout=30) == 0, start.log(hasty)
        assert not psutil.wait_procs(processes, timeout=5)[1]
        # No death of a worker is held against either: they are computed by the next.
        ends = start("worker", file, "--workers", 1, "--lifetime", "8s", "--stagger", "1s")
        assert (long.result(timeout=60), queued.result(timeout=60)) == ("computed again", 2)
        assert ends.wait(timeout=60) == 0, start.log(ends)
        assert not client.scheduler_info()["workers"]


def test_a_cluster_with_tls_computes_the_same_and_lets_no_one_in_without(
    start, tmp_path, certificates, make, finished
):
    file = tmp_path / "scheduler.json"
    scheduler = start(*SCHEDULER, file, "--tls", certificates)
    worker = start("worker", file, "--workers", 1, "--tls", certificates, "--memory", 2)
    eventually(file.exists)
    campaign = make(execution__executor="dask", execution__scheduler=str(file),
                    execution__tls=str(certificates))  # fmt: skip
    run(campaign)
    assert contents(campaign.path) == contents(finished)
    assert set(listening([*family(scheduler), *family(worker)])) == {"127.0.0.1"}

    others = tmp_path / "others"
    make_certificates(others)
    stranger = start("worker", file, "--workers", 1, "--tls", others)
    bare = start("worker", file, "--workers", 1)
    for other in (others, ""):
        with pytest.raises((LastingError, CampaignError), match=r"certificate|give --tls DIR"):
            run(make("b.zarr", execution__executor="dask", execution__scheduler=str(file),
                     execution__tls=str(other)))  # fmt: skip
    address = json.loads(file.read_text())["address"].replace("tls", "tcp")
    with pytest.raises(OSError):
        Client(address, timeout="2s", set_as_default=False)
    assert stranger.wait(timeout=180) == 6
    assert "TLS certificate does not match" in start.log(stranger)
    assert bare.wait(timeout=180) == 2
    assert "talks TLS: give --tls DIR" in start.log(bare)
    with Client(
        scheduler_file=str(file), security=security_of(str(certificates)), set_as_default=False
    ) as client:
        assert len(client.scheduler_info()["workers"]) == 1


def test_an_embedded_cluster_with_certificates_of_its_own_computes_the_same(make, finished):
    campaign = make(execution__executor="dask", execution__workers=1, execution__tls="temporary")
    seen = []
    run(campaign, [lambda event: seen.append(listening(family_of_this_process()))])
    assert contents(campaign.path) == contents(finished)
    assert {ip for ips in seen for ip in ips} == {"127.0.0.1"}


def family_of_this_process() -> list[int]:
    return [os.getpid(), *(p.pid for p in psutil.Process().children(recursive=True))]


def test_keys_are_no_one_elses_to_read_and_nothing_is_overwritten(certificates, tmp_path):
    for file in certificates.iterdir():
        assert file.stat().st_mode & 0o777 == (0o600 if "-key" in file.name else 0o644)
    with pytest.raises(CampaignError, match="exists, and is not overwritten"):
        make_certificates(certificates)
    (tmp_path / "worker-key.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CampaignError, match="exists, and is not overwritten"):
        make_certificates(tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == ["worker-key.pem"]
    for hosts, days, message in (
        ((), 0, "days must be from 1 to 3650, got 0"),
        (("näme",), 1, "hosts must be names or addresses, got 'näme'"),
    ):
        with pytest.raises(CampaignError, match=message):
            make_certificates(tmp_path / "other", hosts, days)


def test_certificates_that_cannot_be_used_are_named_before_anything_starts(tmp_path, certificates):
    with pytest.raises(CampaignError, match=r"with ca.pem, and .* has none"):
        security_of(str(tmp_path))
    for file in certificates.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / file.name).chmod(0o600)
    assert security_of(str(tmp_path)).require_encryption
    (tmp_path / "client-key.pem").chmod(0o640)
    with pytest.raises(CampaignError, match="mode is 0640: chmod 600"):
        security_of(str(tmp_path), ("client",))
    assert security_of(str(tmp_path), ("worker",)).require_encryption
    (tmp_path / "worker.pem").write_text("no certificate")
    with pytest.raises(CampaignError, match=r"worker.pem, worker-key.pem and ca.pem in .* are not"):
        security_of(str(tmp_path), ("worker",))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_keys_that_a_container_is_given_are_roots_and_its_groups(certificates):
    with tempfile.TemporaryDirectory() as folder:
        for file in certificates.iterdir():
            given = Path(folder, file.name)
            given.write_bytes(file.read_bytes())
            os.chown(given, 0, 10001)
            given.chmod(0o440)
        os.chmod(folder, 0o755)
        child = os.fork()
        if child == 0:
            os.setgroups([10001])
            os.setgid(10001)
            os.setuid(10001)
            try:
                needed(Path(folder), ("worker",))
            except CampaignError:
                os._exit(1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        Path(folder, "worker-key.pem").chmod(0o444)
        with pytest.raises(CampaignError, match="mode is 0444"):
            needed(Path(folder), ("worker",))


def test_a_scheduler_that_others_can_reach_says_so(start, tmp_path, certificates):
    open_to_all = ("--host", "0.0.0.0", "--port", "0", "--dashboard", "0.0.0.0:0")
    bare = start("scheduler", *open_to_all)
    eventually(lambda: "dashboard at 0.0.0.0:0 is open" in start.log(bare))
    assert "can run any code on the scheduler and its workers" in start.log(bare)
    safer = start("scheduler", *open_to_all[:4], "--dashboard", "none", "--tls", certificates)
    eventually(lambda: "Scheduler at" in start.log(safer))
    for process in (bare, safer):
        process.terminate()
        assert process.wait(timeout=180) == 0
    assert "WARNING" not in start.log(safer)


def test_a_scheduler_that_cannot_listen_says_where(start):
    taken = psutil.net_connections("tcp")
    port = next(c.laddr.port for c in taken if c.status == psutil.CONN_LISTEN)
    process = start("scheduler", "--host", "192.0.2.1", "--port", port)
    assert process.wait(timeout=180) == 5
    assert f"no scheduler can be started at 192.0.2.1:{port}" in start.log(process)
    assert "Traceback" not in start.log(process)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scheduler": "node1:8786"}, "such as tcp://node1:8786 or tls://node1:8786"),
        ({"workers": -1}, "workers must be >= 0"),
        ({"memory": -1.0}, "memory must be >= 0 GiB"),
        ({"grace": "soon"}, "grace must be a time such as 90s, 55m or 23h, got soon"),
        ({"lifetime": "-5m"}, "lifetime must be a time"),
        ({"lifetime": "5m", "stagger": "1h"}, "stagger must be at most the lifetime 5m, got 1h"),
        ({"host": "node1", "interface": "ib0"}, "host and interface say the same"),
    ],
)
def test_options_of_workers_are_checked(changes, message):
    with pytest.raises(CampaignError, match=message):
        WorkerOptions(**{"scheduler": "scheduler.json", **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"port": 70000}, "port must be from 0 to 65535, got 70000"),
        ({"dashboard": "8787"}, "dashboard must be an address and port"),
        ({"host": "node1", "interface": "ib0"}, "host and interface say the same"),
    ],
)
def test_options_of_a_scheduler_are_checked(changes, message):
    with pytest.raises(CampaignError, match=message):
        SchedulerOptions(**changes)


def test_times_are_read_in_the_units_that_batch_systems_speak():
    options = WorkerOptions("s.json", lifetime="23h", stagger="30 min", grace="90")
    assert [options.seconds(n) for n in ("lifetime", "stagger", "grace")] == [82800, 1800, 90]


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8787", "localhost:1", "tls://[::1]:8786", "127.1.2.3"]
)
def test_loopback_addresses_are_recognised(address):
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address", ["0.0.0.0:8787", "tcp://10.0.0.7:8786", "node1:80", ":8787", "[::]:1"]
)
def test_other_addresses_are_not(address):
    assert not is_loopback(address)
