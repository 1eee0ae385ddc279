"""deploy/monitoring in a real Prometheus that watches a real run: what its dashboard asks for."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

DEPLOY = Path(__file__).parent.parent.parent / "deploy" / "monitoring"
WORKERS = 2
SHARDS = 41

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> str:
    """Prometheus, or what Debian's package has of it, unpacked and not installed."""
    found = shutil.which("prometheus")
    if found:
        return found
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        pytest.skip("there is no prometheus, and no apt-get to have it by")
    folder = tmp_path_factory.mktemp("prometheus")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    if os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], **quiet, check=False)
    subprocess.run(["apt-get", "download", "-qq", "prometheus"], **quiet, check=False)
    packages = list(folder.glob("prometheus_*.deb"))
    if not packages:
        pytest.skip("prometheus is not installed, and could not be downloaded")
    subprocess.run(["dpkg-deb", "-x", packages[0], folder], check=True)
    return str(folder / "usr" / "bin" / "prometheus")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Watched:
    """A scheduler with two workers, and a Prometheus that scrapes them every second."""

    def __init__(self, program: str, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.processes: list[subprocess.Popen[bytes]] = []
        dashboard, self.port = free_ports(2)
        self.file = folder / "scheduler.json"
        self.start("scheduler", "--port", 0, "--dashboard", f"127.0.0.1:{dashboard}",
                   "--scheduler-file", self.file)  # fmt: skip
        self.start("worker", self.file, "--workers", WORKERS)
        text = (DEPLOY / "prometheus.yml").read_text()
        for old, new in (
            ("127.0.0.1:8787", f"127.0.0.1:{dashboard}"),
            ("scrape_interval: 10s", "scrape_interval: 1s"),
            ("refresh_interval: 15s", "refresh_interval: 1s"),
        ):
            assert old in text
            text = text.replace(old, new)
        (folder / "prometheus.yml").write_text(text)
        self._process(
            program, f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'history'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        )  # fmt: skip

    def start(self, *arguments: object) -> subprocess.Popen[bytes]:
        """Start a command of distdesc."""
        return self._process(sys.executable, "-m", "distdesc", *arguments)

    def _process(self, *command: object) -> subprocess.Popen[bytes]:
        with self.log(len(self.processes)).open("wb") as log:
            self.processes.append(
                subprocess.Popen(
                    [str(word) for word in command], env=self.environment, cwd=self.folder,
                    stdout=log, stderr=log, start_new_session=True,
                )
            )  # fmt: skip
        return self.processes[-1]

    def log(self, number: int) -> Path:
        return self.folder / f"{number}.log"

    def ask(self, path: str, **parameters: str) -> list:
        """Answer of Prometheus; empty as long as it does not listen."""
        address = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urlencode(parameters)}"
        try:
            with urlopen(address, timeout=10) as answer:
                said = json.loads(answer.read())
        except URLError as error:
            if isinstance(error.reason, ConnectionError):
                return []
            raise
        assert said["status"] == "success"
        return said["data"]["result"] if path == "query" else said["data"]

    def stop(self) -> None:
        for process in reversed(self.processes):
            try:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(timeout=30)
            except ProcessLookupError:
                process.wait()
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture
def watched(program, work, tmp_path):
    folder = tmp_path / "watched"
    folder.mkdir()
    made = Watched(program, folder, work.environment)
    yield made
    made.stop()


def eventually(answer, seconds: float = 30):
    """What is answered, as soon as that is something."""
    end = time.monotonic() + seconds
    while not (found := answer()):
        assert time.monotonic() < end, f"no answer within {seconds} s"
        time.sleep(0.2)
    return found


def panels(ask, campaign: str) -> dict[str, dict[str, float]]:
    """Of each panel of the dashboard its values, by the names that its legend gives them."""
    dashboard = json.loads((DEPLOY / "grafana-campaign.json").read_text())
    shown: dict[str, dict[str, float]] = {}
    for panel in dashboard["panels"]:
        values = shown[panel["title"]] = {}
        for target in panel["targets"]:
            query = target["expr"].replace("$campaign", campaign)
            assert "$" not in query
            label = target["legendFormat"].strip("{}")
            for series in eventually(lambda query=query: ask("query", query=query)):
                name = series["metric"].get(label, label)
                assert name not in values, f"two series {name} of {panel['title']}"
                values[name] = float(series["value"][1])
    return shown


def test_every_panel_of_the_dashboard_shows_what_is_so(watched, work):
    client = watched.start("run", work.job, "--scheduler", watched.file)
    work.wait_for(20)
    variables = json.loads((DEPLOY / "grafana-campaign.json").read_text())["templating"]["list"]
    # The variable of the dashboard: label_values(METRIC, campaign).
    metric = variables[1]["query"]["query"].removeprefix("label_values(").split(",")[0]
    (campaign,) = eventually(lambda: watched.ask("label/campaign/values", **{"match[]": metric}))
    before = work.done
    shown = panels(watched.ask, campaign)
    assert client.poll() is None, watched.log(3).read_text()

    # A scrape is a second old, and shards end meanwhile.
    assert (before - 8) / SHARDS < shown["Shards done"][""] < 1
    left = shown["Time left"]
    assert 0 <= left["at least"] <= left["expected"] <= left["at most"] < 300
    assert 0 < shown["Structures/s now"][""] < 60
    assert shown["Structures set aside"] == shown["Shards failed"] == {"": 0}
    states = shown["Shards by state"]
    assert sum(states.values()) == SHARDS
    assert 1 <= states["running"] <= WORKERS
    # Averages of five minutes, of which most were before this run.
    assert 0 < shown["Structures per second"]["fingerprint"] < 60
    parts = shown["Where the time of workers goes"]
    assert parts["kernel"] > parts["write"] > 0
    assert sum(parts.values()) <= WORKERS
    buckets = sorted((float(le), count) for le, count in shown["Time of a shard"].items())
    counts = [count for _, count in buckets]
    assert counts == sorted(counts)
    assert buckets[-1][0] == float("inf")
    assert counts[-1] > 0
    memory = shown["Memory of workers"]
    assert 2**26 < memory["now, the largest"] <= memory["largest so far"] * 1.1 < 2**33
    assert sum(shown["Workers"].values()) == WORKERS

    assert client.wait(timeout=90) == 0, watched.log(3).read_text()
    query = f'sum(distdesc_shards{{campaign="{campaign}",state="done"}}) == {SHARDS}'
    assert eventually(lambda: watched.ask("query", query=query))
    assert eventually(lambda: watched.ask("query", query="distdesc_running == 0"))
    up = {t["labels"]["job"] for t in watched.ask("targets")["activeTargets"]}
    assert up == {"dask-scheduler", "dask-workers"}
