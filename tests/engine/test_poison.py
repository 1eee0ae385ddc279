"""Structures that really crash, hang, or eat memory are found, named and left out; no others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from support import PROCESSES, StoppedError, python_path, stop

from distdesc.campaign import Campaign
from distdesc.descriptors import DESCRIPTORS
from distdesc.engine.child_process import Bounds, Death, Work, run_child
from distdesc.engine.events import RunStarted, ShardFinished, ShardIsolated
from distdesc.engine.executors.executor import CrashError
from distdesc.engine.isolation import run_isolated
from distdesc.engine.run import run, stage_plans
from distdesc.engine.verify import verify
from distdesc.engine.versions import versions
from distdesc.errors import CampaignError, SourceError
from distdesc.report.reader import open_run
from distdesc.store.receipts import iter_receipts
from distdesc.store.written import read_plan


@pytest.fixture
def treacherous(monkeypatch):
    """The descriptor of that name, in this process and in those that it starts."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    monkeypatch.syspath_prepend(str(PROCESSES))
    monkeypatch.setitem(DESCRIPTORS, "treacherous", "treacherous:Treacherous")
    yield
    sys.modules.pop("treacherous", None)


@pytest.fixture
def poisoned(treacherous, make, molecules, tmp_path):
    """Campaigns on the first 16 molecules, some with a treacherous atom: ``{7: "He"}``."""

    def build(store: str, harm: dict[int, str], **changes) -> Campaign:
        frames = re.split(r"(?m)^(?=\d+\nProperties)", molecules.read_text())[1:17]
        for k, element in harm.items():
            frames[k] = re.sub(r"(?m)^H ", f"{element} ", frames[k], count=1)
        source = tmp_path / f"{store}.xyz"
        source.write_text("".join(frames))
        given = {"store__shard_rows": 64, "limits__quarantined_fraction": 0.5, **changes}
        data = make(store, source__path=str(source), **given).to_dict()
        descriptor = {"name": "treacherous", "order": 2, "scratch": str(tmp_path)}
        return Campaign.from_dict({**data, "descriptor": descriptor})

    return build


def rows_and_status(path: Path, without: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, their status, and which of them are of structures to be left out."""
    found = open_run(path)
    n = found.n_environments
    structure, _ = found.locate(np.arange(n))
    rows = found.reader.read("fingerprint", 0, n)
    return rows, found.status("fingerprint"), np.isin(structure, without)


def check_rows(harmed: Path, good: Path, without: list[int]) -> None:
    rows, status, out = rows_and_status(harmed, without)
    expected, _, _ = rows_and_status(good, without)
    assert np.array_equal(status, np.where(out, 2, 0))
    assert np.isnan(rows[out]).all()
    assert np.array_equal(rows[~out], expected[~out])


def work_of(campaign: Campaign, shard: int, bounds: Bounds) -> Work:
    plan = read_plan(campaign.path)
    task = stage_plans(campaign.path, plan)[0].task(shard)
    return Work(campaign.path, plan.digest, versions(), bounds, task)


CRASH = "computing it killed its process with SIGSEGV, a segmentation fault"


def test_a_structure_that_crashes_is_left_out_and_the_rest_is_exact(poisoned):
    good = poisoned("good.zarr", {})
    harmed = poisoned("harmed.zarr", {2: "He"}, execution__isolation="always",
                      store__shard_rows=512)  # fmt: skip
    run(good)
    run(harmed)
    assert open_run(harmed.path).quarantined() == {2: CRASH}
    check_rows(harmed.path, good.path, [2])
    # What it wrote is what is computed anew, without dying of it.
    assert verify(harmed.path, recomputed=100).faults == ()


def test_what_kills_is_told_apart(poisoned):
    campaign = poisoned("a.zarr", {0: "Ne", 1: "Ar", 2: "Xe"}, store__shard_rows=512)
    with pytest.raises(StoppedError):
        run(campaign, [stop])
    # Each with the bound that it breaks only: how fast this machine is does not matter.
    bounds = (Bounds(memory=6 * 2**30 // 10), Bounds(seconds=2.0), Bounds())
    found = [run_child(work_of(campaign, 0, b), {}, (k, 3)) for k, b in enumerate(bounds)]
    assert found == [
        Death(0, "needed more than 0.60 GiB of memory"),
        Death(1, "took longer than 2 s"),
        Death(2, "ended its process with exit code 3"),
    ]


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("element", "reason", "lost"),
    [
        ("He", CRASH, r"its worker died \(KilledWorker\)"),
        ("Ne", "computing it needed more than 0.95 GiB of memory",
         r"its worker was ended at \d\.\d\d GiB, over its limit"),
    ],
)  # fmt: skip
def test_dask_loses_one_worker_to_a_poison_and_no_innocent_shard(poisoned, element, reason, lost):
    good = poisoned("good.zarr", {})
    harmed = poisoned("harmed.zarr", {9: element}, execution__executor="dask",
                      execution__workers=1, execution__memory=1.0)  # fmt: skip
    run(good)
    events = []
    run(harmed, [events.append])
    assert open_run(harmed.path).quarantined() == {9: reason}
    check_rows(harmed.path, good.path, [9])
    isolated = {e.shard: e.reason for e in events if isinstance(e, ShardIsolated)}
    crashed = [r.shard for r in iter_receipts(harmed.path, "fingerprint") if r.crashed == [9]]
    assert crashed
    assert all(re.fullmatch(lost, isolated[shard]) for shard in crashed)
    shards = next(e.shards for e in events if isinstance(e, RunStarted))
    assert len([e for e in events if isinstance(e, ShardFinished)]) == shards


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.filterwarnings("default")
def test_a_worker_that_hangs_is_replaced(poisoned):
    harmed = poisoned("harmed.zarr", {9: "Ar"}, execution__executor="dask",
                      execution__workers=1, limits__structure_seconds=15.0)  # fmt: skip
    run(harmed)
    assert open_run(harmed.path).quarantined() == {9: "computing it took longer than 15 s"}


@pytest.mark.slow
def test_bad_luck_is_not_blamed_on_a_structure(poisoned, tmp_path):
    good, harmed = poisoned("good.zarr", {4: "Rn", 5: "Rn"}), poisoned(
        "harmed.zarr", {4: "Rn", 5: "Rn"}, execution__isolation="always"
    )  # fmt: skip
    (tmp_path / "crashed-once").touch()
    run(good)
    (tmp_path / "crashed-once").unlink()
    run(harmed)
    assert (tmp_path / "crashed-once").exists()
    check_rows(harmed.path, good.path, [])


@pytest.mark.slow
def test_a_structure_that_crashes_a_fit_is_left_out_of_it(poisoned):
    changes = {"store__shard_rows": 512, "execution__isolation": "always"}
    harmed = poisoned("harmed.zarr", {2: "He"}, **changes)
    data = {**harmed.to_dict(), "reduction": {"name": "principal_components", "n_components": 2}}
    run(Campaign.from_dict(data))
    assert open_run(harmed.path).quarantined() == {2: CRASH}
    assert verify(harmed.path, recomputed=100).faults == ()


def test_a_shard_that_no_structure_explains_fails_and_says_so(poisoned):
    campaign = poisoned("a.zarr", {})
    with pytest.raises(StoppedError):
        run(campaign, [stop])
    work = work_of(campaign, 0, Bounds(memory=1))
    with pytest.raises(CrashError, match=r"fingerprint-00000000 needed more than .* none of the"):
        run_isolated(work.path, work.digest, work.wanted, work.bounds, None, work.task)


def test_errors_of_the_run_are_raised_by_the_child_as_they_are(poisoned):
    campaign = poisoned("a.zarr", {})
    with pytest.raises(StoppedError):
        run(campaign, [stop])
    work = work_of(campaign, 0, Bounds())
    Path(campaign.source.path).write_text("gone")
    with pytest.raises(SourceError, match="has changed since it was indexed"):
        run_child(work, {})


@pytest.mark.slow
def test_a_child_dies_with_its_parent(poisoned, tmp_path):
    campaign = poisoned("a.zarr", {}, execution__isolation="always")
    job = tmp_path / "job.toml"
    job.write_text(campaign.to_toml())
    command = [sys.executable, "-m", "distdesc", "run", str(job)]
    parent = subprocess.Popen(
        command, stderr=subprocess.DEVNULL, env={**os.environ, "DISTDESC_TEST_PAUSE": "1e6"}
    )
    children: list[psutil.Process] = []
    for _ in range(1200):
        children = psutil.Process(parent.pid).children()
        if children:
            break
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert children
    assert not alive


def test_bounds_are_checked_when_the_job_is_read(make):
    with pytest.raises(CampaignError, match="isolation must be one of after_crash, always, never"):
        make(execution__isolation="sometimes")
    with pytest.raises(CampaignError, match=r"structure_seconds must be >= 0 s, got -1"):
        make(limits__structure_seconds=-1)
    before = make(limits__structure_seconds=1.0)
    assert before.identity() == make(execution__isolation="always").identity()
