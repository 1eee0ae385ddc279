"""Links to a scheduler on another host: its loopback is not ours, and the tunnel is a true one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import hosts

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

FETCH = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())"


@pytest.fixture
def other(tmp_path):
    reason = hosts.why_not()
    if reason:
        pytest.skip(reason)
    with hosts.Hosts(tmp_path, 1) as made:
        yield made


def await_file(file: Path, process: subprocess.Popen) -> None:
    end = time.monotonic() + 60
    while not file.exists() or not file.read_text():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize("dashboard", ["127.0.0.1:0", "0.0.0.0:0", "none"])
def test_a_run_prints_links_that_lead_to_a_scheduler_on_another_host(
    other, work, tmp_path, dashboard
):
    name, address = other.names[0], hosts.NETWORK.format(subnet=other.subnet, host=1)
    there = ["ip", "netns", "exec", name, sys.executable]
    distdesc, file = ["-m", "distdesc"], tmp_path / "scheduler.json"
    with ExitStack() as started:

        def start(*command: object) -> subprocess.Popen:
            process = subprocess.Popen(
                [str(c) for c in command], env=work.environment, cwd=tmp_path, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            started.callback(process.communicate)
            started.callback(process.kill)
            return process

        scheduler = start(
            *there, *distdesc, "scheduler", "--host", address, "--port", 0,
            "--scheduler-file", file, "--dashboard", dashboard,
        )  # fmt: skip
        await_file(file, scheduler)
        start(*there, *distdesc, "worker", file, "--workers", 1, "--memory", 1.5)
        run = start(sys.executable, *distdesc, "run", work.job, "--scheduler", file)
        work.wait_for(1)
        run.terminate()
        said, _ = run.communicate(timeout=60)
        assert "the same command goes on" in said
        found = dict(re.findall(r"(?m)^(dashboard|campaign|reached by): (.*)$", said))
        if dashboard == "none":
            assert found == {}
            return
        page = found["campaign"]
        if dashboard.startswith("0.0.0.0"):
            assert set(found) == {"dashboard", "campaign"}
            assert page.startswith(f"http://{address}:")
            fetched = subprocess.run([sys.executable, "-c", FETCH, page], capture_output=True)
        else:
            port = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/campaign", page)[1]
            assert found["reached by"] == f"ssh -L {port}:127.0.0.1:{port} {address}"
            # What ssh would lead to, asked for where it leads to.
            fetched = subprocess.run([*there, "-c", FETCH, page], capture_output=True)
            here = subprocess.run([sys.executable, "-c", FETCH, page], capture_output=True)
            assert here.returncode != 0
        assert fetched.returncode == 0, fetched.stderr
        assert b"Campaign" in fetched.stdout
