"""deploy/compose in a container engine: a campaign whose worker is killed, and what holds it in."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

COMPOSE = Path(__file__).parent.parent.parent / "deploy" / "compose" / "compose.yaml"
IMAGE = "distdesc:0.1.0"

JOB = """\
question = "Is anything lost when a container is?"
[source]
name = "extxyz"
path = "/opt/distdesc/jobs/data/qm9_sample.xyz.xz"
[descriptor]
name = "moment_invariants"
order = 7
cutoff = 5.0
elements = ["H", "C", "N", "O", "F"]
[[stage]]
name = "fingerprint"
[store]
path = "/runs/compose.zarr"
shard_rows = 256
chunk_rows = 256
"""

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(600)]


def why_not() -> str | None:
    """Why no container can be started here, or None."""
    if not shutil.which("docker"):
        return "there is no docker"
    for command, reason in (
        (("compose", "version"), "docker has no compose"),
        (("info",), "no container engine answers docker"),
        (("image", "inspect", IMAGE), f"no image {IMAGE}: build it as deploy/compose says"),
    ):
        if subprocess.run(["docker", *command], capture_output=True).returncode != 0:
            return reason
    return None


class Project:
    """The services of compose.yaml, under a name and on a port of their own."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        (folder / "job").mkdir(mode=0o755)
        (folder / "job" / "job.toml").write_text(JOB)
        self.job = folder / "job"
        self.compose = ["docker", "compose", "-p", f"distdesc-{os.getpid()}", "-f", str(COMPOSE)]
        self.environment = os.environ | {
            "DASHBOARD_PORT": str(self.port),
            "JOB": "/job/job.toml",
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.compose, *arguments], env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def __call__(self, *arguments: str, code: int = 0) -> str:
        process = self.start(*arguments)
        said, _ = process.communicate(timeout=240)
        assert process.returncode == code, said
        return said

    def client(self) -> subprocess.Popen[str]:
        return self.start("run", "--rm", "-T", "-v", f"{self.job}:/job:ro", "client")

    def done(self) -> int:
        """Shards that are done, as the dashboard says; 0 before it knows the campaign."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/campaign.json", timeout=5) as answer:
                return int(json.loads(answer.read())["shards"]["done"])
        except (URLError, ConnectionError):
            return 0


@pytest.fixture
def project(tmp_path):
    reason = why_not()
    if reason:
        pytest.skip(reason)
    tmp_path.chmod(0o755)
    made = Project(tmp_path)
    yield made
    made("down", "--volumes", "--timeout", "5")


def test_a_campaign_in_containers_survives_a_worker_that_is_killed(project):
    project("up", "--detach", "--scale", "worker=2", "worker")
    client = project.client()
    end = time.monotonic() + 90
    while project.done() < 4:
        assert client.poll() is None, client.communicate()[0]
        assert time.monotonic() < end, "4 shards take longer than 90 s"
        time.sleep(0.1)
    victim = project("ps", "--quiet", "worker").split()[0]
    subprocess.run(["docker", "kill", victim], check=True, capture_output=True)
    said, _ = client.communicate(timeout=240)
    assert client.returncode == 0, said
    verify = ("run", "--rm", "-T", "--entrypoint", "distdesc", "client", "verify")
    project(*verify, "/runs/compose.zarr")
    project(*verify, "/runs/none.zarr", code=4)

    inside = ("exec", "-T", "scheduler")
    assert project(*inside, "id", "-u").strip() == "10001"
    assert "Read-only" in project(*inside, "touch", "/opt/distdesc/mine", code=1)
    rights = project(*inside, "grep", "Cap", "/proc/1/status")
    assert {line.split()[1] for line in rights.splitlines()} == {"0" * 16}
