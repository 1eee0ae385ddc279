"""Every job file can be planned."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from distdesc.campaign import Campaign
from distdesc.engine.preview import preview

JOBS = sorted((Path(__file__).parent.parent / "jobs").glob("*.toml"))


@pytest.mark.parametrize("job", JOBS, ids=lambda f: f.name)
def test_a_job_can_be_planned(job, monkeypatch, tmp_path, request):
    monkeypatch.setenv("DISTDESC_RUNS", str(tmp_path))
    if "${DISTDESC_DATA}" in job.read_text():
        monkeypatch.setenv("DISTDESC_DATA", str(request.getfixturevalue("shared_data")))
    campaign = Campaign.from_toml(job)
    assert campaign.question.endswith("?")
    assert len(job.read_text().splitlines()) <= 40
    if os.path.getsize(campaign.source.path) < 2**20:
        plan = preview(campaign)
        assert plan.structures > 0
        assert all(p.layout.n_shards >= 1 for p in plan.plans)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("job", JOBS, ids=lambda f: f.name)
def test_a_job_is_listed_with_its_question_and_its_file(job):
    readme = (job.parent / "README.md").read_text()
    data = tomllib.loads(job.read_text())
    line = next(line for line in readme.splitlines() if f"({job.name})" in line)
    assert f"| {data['question']} |" in line
    shared = data["source"]["path"].removeprefix("${DISTDESC_DATA}/")
    assert shared.startswith("data/") or f"| {line.split()[-2]} | `{shared}` |" in readme
