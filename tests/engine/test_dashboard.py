"""The page, the JSON and the metrics of a real run, as browsers and Prometheus see them."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import matplotlib.image
import numpy as np
import pytest
from browser import CHROMIUM, Browser

from distdesc.campaign import Campaign
from distdesc.engine.events import RunStarted, ShardFinished
from distdesc.engine.run import run
from distdesc.monitor.page_style import COLOURS
from distdesc.store.receipts import iter_receipts

GRAFANA = Path(__file__).parents[2] / "deploy" / "monitoring" / "grafana-campaign.json"
# Of Dask and its dependencies at shutdown; ours are errors everywhere else.
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.cluster]


def fetch(address: str) -> str:
    with urlopen(address, timeout=30) as answer:
        return str(answer.read().decode())


class Visitor:
    """Listener that looks at everything when some shards are done, and at the facts at the end."""

    def __init__(self, looks_after: int, image: Path | None = None) -> None:
        self.looks_after, self.image = looks_after, image
        self.root = self.page = self.scheduler = self.workers = self.nav = self.text = ""
        self.facts: dict = {}
        self.done = 0

    def __call__(self, event) -> None:
        if isinstance(event, RunStarted):
            parts = urlsplit(event.page)
            self.root, self.page = f"{parts.scheme}://{parts.netloc}", event.page
        if isinstance(event, ShardFinished):
            self.done += 1
            if self.done == self.looks_after:
                self.look()

    def look(self) -> None:
        # Workers tell the scheduler themselves: their word may come after the client's.
        for _ in range(1200):
            self.facts = json.loads(fetch(f"{self.root}/campaign.json"))
            if self.facts["shards"]["done"] >= self.looks_after:
                break
            time.sleep(0.05)
        self.scheduler = fetch(f"{self.root}/metrics")
        targets = json.loads(fetch(f"{self.root}/prometheus-targets.json"))[0]["targets"]
        self.workers = "".join(fetch(f"http://{t}/metrics") for t in targets)
        self.nav = fetch(f"{self.root}/status")
        assert "Campaign" in fetch(self.page)
        if self.image is not None and CHROMIUM:
            with Browser() as browser:
                self.text = browser.visit(self.page, "Latest problems", self.image)


@pytest.fixture(scope="module")
def many(molecules, tmp_path_factory):
    """Some hundred molecules; atoms of one lie on top of each other."""
    file = tmp_path_factory.mktemp("many") / "many.xyz"
    bad = "2\nProperties=species:S:1:pos:R:3\nH 0 0 0\nH 0 0 0.01\n"
    file.write_text(bad + molecules.read_text() * 2)
    return file


@pytest.fixture(scope="module")
def visited(many):
    """A run that was looked at when half of it was done."""
    data = {
        "question": "What are the fingerprints of 121 molecules?",
        "source": {"name": "extxyz", "path": str(many)},
        "descriptor": {
            "name": "moment_invariants", "order": 3, "cutoff": 4.0,
            "elements": ["H", "C", "N", "O"],
        },
        "stage": [{"name": "fingerprint"}],
        "store": {"path": str(many.with_name("run.zarr")), "shard_rows": 32, "chunk_rows": 32},
        "execution": {"executor": "dask", "workers": 2, "performance_report": True},
        "limits": {"quarantined_fraction": 0.5},
    }  # fmt: skip
    campaign = Campaign.from_dict(data)
    visitor = Visitor(30, many.with_name("page.png"))
    run(campaign, [visitor])
    return campaign, visitor


def test_what_a_run_shows_is_what_its_receipts_say(visited):
    campaign, visitor = visited
    facts, metrics = visitor.facts, visitor.scheduler
    receipts = list(iter_receipts(campaign.path, "fingerprint"))

    assert facts["state"] == "running"
    assert facts["question"] == campaign.question
    shards = facts["shards"]
    assert 30 <= shards["done"] < shards["total"] == len(receipts)
    assert shards["done"] + shards["running"] + shards["waiting"] == shards["total"]
    assert shards["quarantined"] == 1
    assert facts["problems"][0]["structure"] == 0
    assert facts["rate_run"]["rows"] > 0
    assert facts["time_left"]["low"] <= facts["time_left"]["seconds"] <= facts["time_left"]["high"]
    assert len(facts["workers"]) == 2
    assert all(w["memory"] > 2**20 for w in facts["workers"])
    named = {f"{r.where['host']}:{r.where['pid']}" for r in receipts}
    assert {w["name"] for w in facts["workers"]} == named

    # Stock pages: one prefix for the stage, and a link to ours on each.
    assert 'task_prefix_name="fingerprint"' in metrics
    assert re.search(r'href="campaign">\s*Campaign', visitor.nav)

    assert_metrics_are_true(metrics, visitor.workers, campaign)
    reports = list((campaign.path / "run").glob("performance-*.html"))
    assert len(reports) == 1
    assert "Task Stream" in reports[0].read_text()


def assert_metrics_are_true(metrics: str, workers: str, campaign) -> None:
    done = re.search(r'distdesc_shards\{[^}]*state="done"\} (\S+)', metrics)
    assert done is not None
    assert float(done[1]) >= 30
    structures = re.findall(r"distdesc_worker_structures_total\{[^}]*\} (\S+)", workers)
    assert sum(map(float, structures)) > 0
    expressions = re.findall(r'"expr": "(.*)"', GRAFANA.read_text())
    names = {n for e in expressions for n in re.findall(r"\b(?:distdesc|dask)_[a-z_]+\b", e)}
    assert len(names) > 9
    served = set(re.findall(r"^([a-z_]+)(?:\{| )", metrics + workers, re.MULTILINE))
    assert names <= served
    labels = {n for e in expressions for n in re.findall(r'(\w+)=~?\\"', e)}
    assert all(f"{label}=" in metrics + workers for label in labels)


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium: install Debian's chromium")
def test_a_person_sees_in_a_browser_how_far_a_run_is(visited):
    campaign, visitor = visited
    for words in (
        campaign.question, "running", "Shards done", "Time left", "structures/s", "rows/s",
        "structure 0", "atoms are too close", "Slowest shards", "GiB", "a cell is a shard",
        "neighbours", "no shard failed",
    ):  # fmt: skip
        assert words in visitor.text, f"{words} is not in: {visitor.text}"
    image = np.round(255 * matplotlib.image.imread(visitor.image)[..., :3]).astype(int)
    assert image.shape[:2] == (800, 1280)

    def pixels(state: str) -> int:
        rgb = [int(COLOURS[state][k : k + 2], 16) for k in (1, 3, 5)]
        # Of the map of shards alone.
        return int((np.abs(image[270:500, :640] - rgb).max(axis=2) <= 2).sum())

    assert pixels("done") > 10 * pixels("quarantined") > 0
    assert pixels("failed") == 0


def test_a_second_run_on_the_same_scheduler_is_shown_by_the_same_page(make):
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        visitors = []
        for name in ("a.zarr", "b.zarr"):
            campaign = make(
                name,
                descriptor__cutoff=4.0 if name == "a.zarr" else 3.5,
                execution__executor="dask",
                execution__scheduler=cluster.scheduler_address,
                store__shard_rows=256,
            )
            visitors.append(Visitor(1))
            run(campaign, [visitors[-1]])
        root = visitors[1].root
        latest = json.loads(fetch(f"{root}/campaign.json"))
        assert latest["store"].endswith("b.zarr")
        assert latest["state"] == "complete"
        assert latest["shards"]["done"] == latest["shards"]["total"]
        first, second = latest["campaigns"]
        assert second == latest["digest"]
        assert json.loads(fetch(f"{root}/campaign.json?digest={first}"))["state"] == "complete"
        nav = fetch(f"{root}/status")
        assert len(re.findall(r'href="campaign"', nav)) == 1
