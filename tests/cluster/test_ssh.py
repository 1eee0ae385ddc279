"""deploy/ssh on hosts with networks of their own, of which one is cut off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import hosts

SCRIPT = Path(__file__).parent.parent.parent / "deploy" / "ssh" / "run.sh"

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture
def three(tmp_path):
    reason = hosts.why_not()
    if reason:
        pytest.skip(reason)
    with hosts.Hosts(tmp_path, 3) as made:
        yield made


@pytest.fixture
def start(three, work, tmp_path):
    """Start the script; whatever happens, it and all it started are gone afterwards."""
    listed = tmp_path / "hosts.txt"
    listed.write_text("\n".join(["# host  workers  GiB", *(f"{n} 1 1.5" for n in three.names)]))
    environment = work.environment | {
        "RUN": str(tmp_path / "a run"), "HOST": three.address, "SSH": str(three.ssh),
        "SCRATCH": str(tmp_path),
    }  # fmt: skip
    started = []

    def script() -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [SCRIPT, listed, work.job],
                env=environment, cwd=tmp_path, start_new_session=True, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
        )  # fmt: skip
        return started[-1]

    yield script
    for process in started:
        process.terminate()
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def test_a_run_on_three_hosts_survives_one_that_is_cut_off(start, three, work, tmp_path):
    process = start()
    work.wait_for(6)
    three.cut(three.names[1])
    said, _ = process.communicate(timeout=150)
    assert process.returncode == 0, said
    work.check()
    assert (tmp_path / "a run" / "tls").stat().st_mode & 0o077 == 0


def test_a_run_that_is_stopped_goes_on_by_the_same_command(start, work):
    process = start()
    work.wait_for(4)
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert work.done < 41
    process = start()
    said, _ = process.communicate(timeout=150)
    assert process.returncode == 0, said
    work.check()
