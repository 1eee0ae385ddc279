"""Whatever is killed, stopped or done twice: the bytes of a serial run, and no row unaccounted."""

from __future__ import annotations

import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from support import PROCESSES, StoppedError, contents, python_path, stop

from distdesc.campaign import Campaign
from distdesc.descriptors import DESCRIPTORS
from distdesc.engine.run import run, stage_plans
from distdesc.engine.task import run_task
from distdesc.engine.verify import verify
from distdesc.engine.versions import versions
from distdesc.report.reader import open_run
from distdesc.store.receipts import iter_receipts
from distdesc.store.written import read_plan

sys.path.insert(0, str(Path(__file__).parent))
from harness import Chaos, Figures

POISON = 9
CRASH = "computing it killed its process with SIGSEGV, a segmentation fault"
KILLS = ("kill_worker", "kill_nanny", "kill_scheduler", "kill_client")
STOPS = ("stop_worker", "stop_nanny", "stop_scheduler", "stop_client")
DOUBLES = ("duplicate", "duplicate", "second_client")

pytestmark = [pytest.mark.cluster, pytest.mark.filterwarnings("default")]


@pytest.fixture
def begin(molecules, tmp_path, monkeypatch):
    """Campaigns on copies of 60 molecules, of which one crashes the process that computes it."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    monkeypatch.setenv("DISTDESC_TEST_PAUSE", "0")
    monkeypatch.syspath_prepend(str(PROCESSES))
    monkeypatch.setitem(DESCRIPTORS, "treacherous", "treacherous:Treacherous")

    def build(copies: int, shard_rows: int) -> Campaign:
        frames = re.split(r"(?m)^(?=\d+\nProperties)", molecules.read_text() * copies)[1:]
        frames[POISON] = re.sub(r"(?m)^H ", "He ", frames[POISON], count=1)
        source = tmp_path / "molecules.xyz"
        source.write_text("".join(frames))
        return Campaign.from_dict(
            {
                "question": "Is anything lost?",
                "source": {"name": "extxyz", "path": str(source)},
                "descriptor": {"name": "treacherous", "order": 2},
                "stage": [{"name": "fingerprint"}],
                "store": {"path": str(tmp_path / "run.zarr"), "shard_rows": shard_rows},
                "execution": {"executor": "dask", "memory": 1.0},
                "limits": {"quarantined_fraction": 0.1, "structure_seconds": 30.0},
            }
        )

    yield build
    sys.modules.pop("treacherous", None)


def serial(campaign: Campaign, path: Path) -> Path:
    """Store of the same campaign, computed here, shard after shard, without the poison."""
    section = {**campaign.to_dict()["store"], "path": str(path)}
    again = Campaign.from_dict(
        {**campaign.to_dict(), "store": section, "execution": {"executor": "serial"}}
    )
    with pytest.raises(StoppedError):
        run(again, [stop])
    plan = read_plan(path)
    stage = stage_plans(path, plan)[0]
    for shard in range(stage.layout.n_shards):
        run_task(path, plan.digest, versions(), stage.task(shard), {POISON: CRASH})
    return path


def check(campaign: Campaign, figures: Figures, reference: Path) -> None:
    store = campaign.path
    assert figures.late == []
    assert contents(store) == contents(reference)
    assert not [f for f in store.rglob("*") if ".partial" in f.name]
    assert open_run(store).quarantined() == {POISON: CRASH}
    rows = [r.rows for r in iter_receipts(store, "fingerprint")]
    counts = [sum(r.counts.values()) for r in iter_receipts(store, "fingerprint")]
    assert rows[0][0] == 0
    assert all(a[1] == b[0] for a, b in pairwise(rows))
    assert rows[-1][1] == open_run(store).n_environments
    assert counts == [b - a for a, b in rows]
    assert not {-1, 1} & set(open_run(store).status("fingerprint").tolist())
    assert verify(store, recomputed=3).faults == ()


@pytest.mark.timeout(600)
def test_killed_and_raced_a_run_ends_with_the_bytes_of_a_serial_run(begin, tmp_path, monkeypatch):
    campaign = begin(copies=1, shard_rows=64)
    job = tmp_path / "job.toml"
    job.write_text(campaign.to_toml())
    reference = serial(campaign, tmp_path / "serial.zarr")
    monkeypatch.setenv("DISTDESC_TEST_PAUSE", "0.3")
    kinds = ("kill_worker", "kill_client", *DOUBLES)
    chaos = Chaos(job, campaign.path, tmp_path, seed=1, events=4, kinds=kinds)
    check(campaign, chaos.run(limit=500), reference)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_nothing_is_lost(begin, tmp_path, monkeypatch, seed, capsys):
    campaign = begin(copies=4, shard_rows=64)
    job = tmp_path / "job.toml"
    job.write_text(campaign.to_toml())
    reference = serial(campaign, tmp_path / "serial.zarr")
    monkeypatch.setenv("DISTDESC_TEST_PAUSE", "1.0")
    path = tmp_path / "calm.zarr"
    calm_job = tmp_path / "calm.toml"
    section = {**campaign.to_dict()["store"], "path": str(path)}
    calm_campaign = Campaign.from_dict({**campaign.to_dict(), "store": section})
    calm_job.write_text(calm_campaign.to_toml())
    (tmp_path / "calm").mkdir()
    calm = Chaos(calm_job, path, tmp_path / "calm", seed, events=0, kinds=()).run(limit=600)
    check(calm_campaign, calm, reference)
    chaos = Chaos(job, campaign.path, tmp_path, seed, events=25,
                  kinds=(*KILLS, "kill_worker", *STOPS, *DOUBLES))  # fmt: skip
    figures = chaos.run(limit=1100)
    check(campaign, figures, reference)
    with capsys.disabled():
        sys.stdout.write(f"\nseed {seed}, undisturbed: {calm}\nseed {seed}, disturbed: {figures}\n")
