"""Runs: resumed, idempotent, exact, and refused when something has changed."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from support import StoppedError, contents, rewrite

from distdesc.engine import workspace
from distdesc.engine.events import RunStarted, ShardFinished
from distdesc.engine.run import run
from distdesc.errors import LastingError, RunError, SourceError, StoreError
from distdesc.report.reader import open_run
from distdesc.report.summary import summarise
from distdesc.store.receipts import done_shards, receipt_path, revoke
from distdesc.store.written import read_plan


def stop_after(shards: int):
    seen = []

    def listener(event):
        if isinstance(event, ShardFinished):
            seen.append(event.receipt.shard)
            if len(seen) == shards:
                raise StoppedError

    return listener, seen


def test_a_stopped_run_goes_on_where_it_stopped_and_ends_byte_identical(make, finished):
    campaign = make()
    total = read_plan(finished).layouts[0].n_shards
    assert total >= 5
    first, seen = stop_after(2)
    with pytest.raises(StoppedError):
        run(campaign, [first])
    again, more = stop_after(10**6)
    run(campaign, [again])
    assert len(seen) == 2
    assert sorted(seen + more) == list(range(total))
    assert contents(campaign.path) == contents(finished)


def test_a_finished_run_is_left_as_it_is(make, finished, tmp_path):
    campaign = make()
    shutil.copytree(finished, campaign.path)
    before = {f: f.stat().st_mtime_ns for f in campaign.path.rglob("*") if f.is_file()}
    events = []
    # The copy keeps the plan of the original, so the campaign is that of the original.
    run(make(store__path=str(campaign.path)), [events.append])
    assert not [e for e in events if isinstance(e, RunStarted | ShardFinished)]
    assert {f: f.stat().st_mtime_ns for f in campaign.path.rglob("*") if f.is_file()} == before


def test_only_what_lacks_a_receipt_is_computed_again(make):
    campaign = make()
    run(campaign)
    before = contents(campaign.path)
    revoke(campaign.path, "fingerprint", 1)
    (campaign.path / "fingerprint" / "c" / "1" / "0").write_bytes(b"damaged")
    listener, seen = stop_after(10**6)
    run(campaign, [listener])
    assert seen == [1]
    assert contents(campaign.path) == before


def test_rows_do_not_depend_on_the_shards(make):
    small, large = make(), make("large.zarr", store__shard_rows=512, store__chunk_rows=512)
    run(small)
    run(large)
    a, b = open_run(small.path), open_run(large.path)
    n = a.n_environments
    assert np.array_equal(a.reader.read("fingerprint", 0, n), b.reader.read("fingerprint", 0, n))
    assert np.array_equal(a.reader.read("number", 0, n), b.reader.read("number", 0, n))


def test_an_interrupted_creation_is_begun_anew(make):
    campaign = make()
    (campaign.path / "run").mkdir(parents=True)
    (campaign.path / "run" / "begun").touch()
    (campaign.path / "zarr.json").write_text("half")
    run(campaign)
    assert open_run(campaign.path).complete


def test_a_folder_that_is_not_ours_is_left_alone(make):
    campaign = make()
    campaign.path.mkdir()
    (campaign.path / "thesis.tex").write_text("precious")
    with pytest.raises(StoreError, match="exists and is not a distdesc store"):
        run(campaign)
    assert (campaign.path / "thesis.tex").read_text() == "precious"


def test_a_changed_campaign_is_refused_and_the_change_is_named(make):
    run(make())
    with pytest.raises(StoreError, match=r"descriptor\.order: 3 → 4.*Undo the change"):
        run(make(descriptor__order=4))
    with pytest.raises(StoreError, match=r"store\.shard_rows: 128 → 256"):
        run(make(store__shard_rows=256))
    with pytest.raises(StoreError, match=r"limits\.min_distance: 0\.2 → 0\.3"):
        run(make(limits__min_distance=0.3))


def test_a_changed_input_is_refused(make, molecules, tmp_path):
    copy = tmp_path / "copy.xyz"
    shutil.copy(molecules, copy)
    campaign = make(source__path=str(copy))
    run(campaign)
    copy.write_text(copy.read_text().replace("0.9775395708", "0.9775395709"))
    with pytest.raises(StoreError, match=r"input of .* has changed since it was begun.*copy\.xyz"):
        run(campaign)


def test_an_input_that_was_only_touched_is_accepted(make, molecules, tmp_path):
    copy = tmp_path / "copy.xyz"
    shutil.copy(molecules, copy)
    campaign = make(source__path=str(copy))
    run(campaign)
    os.utime(copy, (1, 1))
    revoke(campaign.path, "fingerprint", 0)
    run(campaign)
    assert open_run(campaign.path).complete


def test_an_input_that_changes_during_the_run_stops_it(make, molecules, tmp_path):
    copy = tmp_path / "copy.xyz"
    shutil.copy(molecules, copy)

    def change(event):
        if isinstance(event, ShardFinished):
            copy.write_text(copy.read_text() + "\n")

    with pytest.raises(RunError, match=r"copy\.xyz has changed since it was indexed"):
        run(make(source__path=str(copy)), [change])


def test_another_package_version_is_refused_unless_accepted(make, monkeypatch):
    campaign = make()
    stop, _ = stop_after(1)
    with pytest.raises(StoppedError):
        run(campaign, [stop])
    file = campaign.path / "run" / "plan.json"
    rewrite(file, versions={**json.loads(file.read_text())["versions"], "numpy": "1.0.0"})
    workspace._open.cache_clear()
    with pytest.raises(StoreError, match=r"numpy 1\.0\.0 → .*--accept-versions"):
        run(campaign)
    run(campaign, accept_versions=True)
    assert open_run(campaign.path).complete


def test_two_clients_on_one_store_are_refused(make):
    campaign = make()

    def second(event):
        if isinstance(event, ShardFinished):
            run(campaign)

    with pytest.raises(StoreError, match="being worked on by another client"):
        run(campaign, [second])


def bad_file(molecules: Path, target: Path) -> list[int]:
    """Copy in which three of the 60 structures are bad; which ones."""
    frames = re.split(r"(?m)^(?=\d+\nProperties)", molecules.read_text())[1:]
    lines = frames[7].splitlines()
    lines[3] = "H nan 0.0 0.0"
    frames[7] = "\n".join(lines) + "\n"
    frames[20] = re.sub(r"(?m)^H ", "Xe ", frames[20])
    lines = frames[33].splitlines()
    lines[3] = lines[2]
    frames[33] = "\n".join(lines) + "\n"
    target.write_text("".join(frames))
    return [7, 20, 33]


def test_bad_structures_are_quarantined_by_row_with_their_reason(
    make, molecules, tmp_path, finished
):
    bad = bad_file(molecules, tmp_path / "bad.xyz")
    campaign = make(source__path=str(tmp_path / "bad.xyz"), limits__quarantined_fraction=0.1)
    run(campaign)
    found, good = open_run(campaign.path), open_run(finished)
    reasons = found.quarantined()
    assert sorted(reasons) == bad
    assert "position" in reasons[7]
    assert "Xe" in reasons[20]
    assert "Å" in reasons[33]
    n = found.n_environments
    rows = found.reader.read("fingerprint", 0, n)
    status = found.status("fingerprint")
    expected = good.reader.read("fingerprint", 0, n)
    structure, _ = found.locate(np.arange(n))
    set_aside = np.isin(structure, bad)
    assert np.array_equal(status, np.where(set_aside, 2, 0))
    assert np.isnan(rows[set_aside]).all()
    assert np.array_equal(rows[~set_aside], expected[~set_aside])
    summary = summarise(found)
    assert summary.stages[0].quarantined == set_aside.sum()
    assert summary.stages[0].structures_done == 60


def test_too_many_quarantined_stop_the_run_and_a_higher_limit_lets_it_go_on(
    make, molecules, tmp_path
):
    bad_file(molecules, tmp_path / "bad.xyz")
    path = str(tmp_path / "bad.xyz")
    for _ in range(2):
        with pytest.raises(LastingError, match=r"more than 1 structures are quarantined"):
            run(make(source__path=path, limits__quarantined_fraction=0.02))
    run(make(source__path=path, limits__quarantined_fraction=0.05))
    assert open_run(make().path).complete


def test_a_shard_that_needs_more_memory_than_a_worker_has_is_refused(make):
    with pytest.raises(LastingError, match=r"projected to need .* use smaller"):
        run(make(execution__memory=0.01))
    assert not done_shards(make().path, "fingerprint")


def test_an_unreadable_source_is_named(make, tmp_path):
    with pytest.raises(SourceError, match="nowhere"):
        run(make(source__path=str(tmp_path / "nowhere.xyz")))


def test_receipts_say_what_was_done(finished):
    receipt = json.loads(receipt_path(finished, "fingerprint", 0).read_text())
    assert receipt["rows"] == [0, 128]
    assert receipt["counts"]["ok"] == 128
    assert set(receipt["digests"]) == {"fingerprint", "number", "fingerprint_status"}
    assert set(receipt["seconds"]) >= {"read", "neighbours", "kernel", "write", "total"}
    assert receipt["where"]["versions"]["distdesc"]
