"""The fit: exact, the same bytes however it was interrupted, and every damage to it named."""

from __future__ import annotations

import json
import os
import re
import shutil
from itertools import pairwise

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from support import StoppedError, contents, rewrite

from distdesc.campaign import Campaign
from distdesc.engine import frame, workspace
from distdesc.engine.events import (
    FitFinished,
    PartFinished,
    PassStarted,
    RunStarted,
    ShardFinished,
)
from distdesc.engine.preview import preview
from distdesc.engine.run import run, stage_plans
from distdesc.engine.sample import RUN_ROWS, draw_runs
from distdesc.engine.sketching import _end_of_group, in_slices
from distdesc.engine.task import run_task
from distdesc.engine.verify import verify
from distdesc.engine.versions import versions
from distdesc.errors import CampaignError, LastingError, RunError, StoreError
from distdesc.reduction.random_projection import RandomProjection
from distdesc.report.export import export
from distdesc.report.fits import variance_words
from distdesc.report.reader import open_run
from distdesc.report.summary import summarise
from distdesc.store.fits import basis_path, read_fitted, sketch_path
from distdesc.store.receipts import done_shards, revoke
from distdesc.store.written import read_plan

PCA = {
    "reduction__name": "principal_components",
    "reduction__n_components": 5,
    "reduction__oversampling": 12,
}


def stop_after(parts: int):
    """Listener that stops a run after so many parts of the fit, and what it has seen."""
    seen = []

    def listener(event):
        if isinstance(event, PartFinished):
            seen.append((event.receipt.stage, event.receipt.shard))
            if len(seen) == parts:
                raise StoppedError

    return listener, seen


def rows_of(path) -> np.ndarray:
    found = open_run(path)
    return found.reader.read("fingerprint", 0, found.n_environments)


def fitted_arrays(path) -> dict[str, np.ndarray]:
    group = zarr.open_group(path, mode="r")["reduction"]
    return {name: array[:] for name, array in group.arrays()}


@pytest.fixture(scope="module")
def reduced(molecules, tmp_path_factory):
    """Store of the small campaign with its fingerprints reduced; not to be changed by a test."""
    path = tmp_path_factory.mktemp("reduced") / "run.zarr"
    data = {
        "source": {"name": "extxyz", "path": str(molecules)},
        "descriptor": {
            "name": "moment_invariants", "order": 3, "cutoff": 4.0,
            "elements": ["H", "C", "N", "O"],
        },
        "reduction": {"name": "principal_components", "n_components": 5, "oversampling": 12},
        "stage": [{"name": "fingerprint"}],
        "store": {"path": str(path), "shard_rows": 128, "chunk_rows": 32},
        "execution": {"executor": "serial"},
    }  # fmt: skip
    run(Campaign.from_dict(data))
    return path


@pytest.fixture
def copied(reduced, tmp_path):
    """Copy of the reduced store, and the campaign that goes on with it."""
    path = tmp_path / "copy.zarr"
    shutil.copytree(reduced, path)
    plan = read_plan(path)
    store = {**plan.campaign["store"], "path": str(path)}
    return path, Campaign.from_dict({**plan.campaign, "store": store})


def test_the_components_are_those_of_all_fingerprints_and_the_rows_their_scores(reduced, finished):
    whole = rows_of(finished)
    found = fitted_arrays(reduced)
    deviations = whole - whole.mean(axis=0)
    _, s, vt = np.linalg.svd(deviations, full_matrices=False)
    assert np.allclose(found["mean"], whole.mean(axis=0), rtol=1e-12)
    assert np.allclose(found["variance"], s[:5] ** 2 / (len(whole) - 1), rtol=1e-9)
    assert np.abs(np.abs(found["components"] @ vt[:5].T) - np.eye(5)).max() < 1e-7
    scores = rows_of(reduced)
    assert scores.shape == (len(whole), 5)
    assert np.allclose(scores, deviations @ found["components"].T, rtol=1e-9, atol=1e-9)
    attributes = open_run(reduced).reader.attributes("fingerprint")
    assert attributes["features"] == [f"pc{k}" for k in range(5)]


@pytest.mark.parametrize(
    ("part", "words"),
    [(0.3, "30.0 %"), (0.9931, "99.31 %"), (0.99999, "99.9990 %"), (0.99996, "99.9960 %"),
     (1.0, "all"), (0.0, "0.0 %"), (0.96499, "96.4 %")],
)  # fmt: skip
def test_parts_of_a_variance_are_said_with_the_digits_that_matter(part, words):
    assert variance_words(part) == words


def test_the_record_says_what_was_fitted(reduced, finished):
    whole = rows_of(finished)
    fit = summarise(open_run(reduced)).fit
    assert fit.fitted
    assert (fit.n_features, fit.n_components, fit.environments) == (whole.shape[1], 5, len(whole))
    assert fit.parts == fit.parts_done >= 6
    assert fit.rows == fit.rows_done == 2 * len(whole)
    variance = whole.var(axis=0, ddof=1).sum()
    assert np.isclose(sum(fit.explained), rows_of(reduced).var(axis=0, ddof=1).sum() / variance)
    assert summarise(open_run(finished)).fit is None


@pytest.mark.parametrize("parts", [1, 3, 5])
def test_a_stopped_fit_goes_on_where_it_stopped_and_ends_byte_identical(make, reduced, parts):
    campaign = make(**PCA)
    first, seen = stop_after(parts)
    with pytest.raises(StoppedError):
        run(campaign, [first])
    assert not open_run(campaign.path).complete
    assert not summarise(open_run(campaign.path)).fit.fitted
    again, more = stop_after(10**6)
    run(campaign, [again])
    # A pass whose successor had begun is not looked at again.
    assert not set(seen) & set(more)
    assert len(seen) + len(more) == 6
    assert contents(campaign.path) == contents(reduced)
    assert not list((campaign.path / "run" / "fit").glob("fit-*"))


@pytest.mark.cluster
@pytest.mark.filterwarnings("default")
def test_workers_give_the_bytes_of_the_serial_fit_whatever_stops_them(make, reduced):
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        campaign = make(execution__executor="dask",
                        execution__scheduler=cluster.scheduler_address, **PCA)  # fmt: skip
        first, seen = stop_after(4)
        with pytest.raises(StoppedError):
            run(campaign, [first])
        workers = {
            json.loads(f.read_text())["where"]["pid"]
            for f in (campaign.path / "run" / "receipts").rglob("*.json")
        }
        run(campaign)
    assert os.getpid() not in workers
    assert len(seen) == 4
    assert contents(campaign.path) == contents(reduced)


def flip_a_bit(path):
    file = sketch_path(path, 0, 1)
    data = bytearray(file.read_bytes())
    data[300] ^= 1
    file.write_bytes(data)


def swap(path):
    shutil.copy(sketch_path(path, 0, 0), sketch_path(path, 0, 1))


def lose(path):
    sketch_path(path, 0, 1).unlink()


@pytest.mark.parametrize("harm", [flip_a_bit, swap, lose])
def test_a_damaged_part_is_computed_again(make, reduced, harm):
    campaign = make(**PCA)
    first, seen = stop_after(2)
    with pytest.raises(StoppedError):
        run(campaign, [first])
    harm(campaign.path)
    again, more = stop_after(10**6)
    run(campaign, [again])
    assert seen == [("fit-0", 0), ("fit-0", 1)]
    assert more[:2] == [("fit-0", 1), ("fit-0", 2)]
    assert contents(campaign.path) == contents(reduced)


def test_a_damaged_basis_is_computed_again(make, reduced):
    campaign = make(**PCA)
    first, _ = stop_after(4)
    with pytest.raises(StoppedError):
        run(campaign, [first])
    basis_path(campaign.path, 1).write_bytes(b"no longer")
    again, more = stop_after(10**6)
    run(campaign, [again])
    # The sketches of the first pass are gone; those of the second were made with the same basis.
    assert [stage for stage, _ in more] == ["fit-0"] * 3 + ["fit-1"] * 2
    assert contents(campaign.path) == contents(reduced)


def test_parts_of_another_basis_are_not_mixed_in(make, reduced):
    campaign = make(**PCA)
    first, _ = stop_after(4)
    with pytest.raises(StoppedError):
        run(campaign, [first])
    receipt = next((campaign.path / "run" / "receipts" / "fit-1").rglob("*.json"))
    digests = json.loads(receipt.read_text())["digests"]
    rewrite(receipt, digests={**digests, "basis": "0" * 32})
    again, more = stop_after(10**6)
    run(campaign, [again])
    assert [stage for stage, _ in more] == ["fit-1"] * 3
    assert contents(campaign.path) == contents(reduced)


def test_a_finished_run_is_not_fitted_again(copied):
    path, campaign = copied
    before = contents(path)
    events = []
    run(campaign, [events.append])
    assert not [e for e in events if isinstance(e, PassStarted | RunStarted)]
    assert contents(path) == before


def test_rows_do_not_depend_on_the_shards(make, reduced):
    campaign = make(store__shard_rows=512, store__chunk_rows=512, **PCA)
    run(campaign)
    assert np.array_equal(rows_of(campaign.path), rows_of(reduced))


def test_values_may_be_stored_in_single_precision(make, reduced):
    campaign = make(stage__dtype="float32", **PCA)
    run(campaign)
    assert np.array_equal(rows_of(campaign.path), rows_of(reduced).astype("f4"))


def test_structures_are_pooled_from_reduced_environments(make, reduced):
    campaign = make(stage__per="structure", **PCA)
    run(campaign)
    found, rows = open_run(campaign.path), rows_of(reduced)
    means = [rows[found.rows_of(k)].mean(axis=0) for k in range(found.n_structures)]
    stored = found.reader.read("fingerprint", 0, found.n_structures)
    assert np.allclose(stored, means, rtol=1e-12, atol=1e-12)


def test_a_sample_is_of_the_rows_drawn_is_near_the_whole_and_is_counted(make, reduced, finished):
    campaign = make(reduction__sample=320, **PCA)
    run(campaign)
    fitted = read_fitted(campaign.path)
    table = np.load(campaign.path / "run" / "shards" / "fit.npy")
    drawn = np.concatenate([np.arange(start, stop) for start, stop in table[:, :2]])
    mean = rows_of(finished)[drawn].mean(axis=0)
    assert np.allclose(fitted_arrays(campaign.path)["mean"], mean, rtol=1e-13)
    assert 320 <= fitted.environments < 320 + RUN_ROWS
    a, b = fitted_arrays(campaign.path)["components"], fitted_arrays(reduced)["components"]
    assert np.linalg.norm(b[:2] - b[:2] @ a.T @ a, 2) < 0.2
    other = make("other.zarr", reduction__sample=320, reduction__seed=1, **PCA)
    run(other)
    assert not np.array_equal(
        fitted_arrays(other.path)["mean"], fitted_arrays(campaign.path)["mean"]
    )


def test_a_reduced_store_is_read_like_any_other(reduced, tmp_path):
    pytest.importorskip("xarray")
    found = open_run(reduced)
    assert found.names() == ("fingerprint", "fingerprint_status", "number", "offsets")
    data = found.to_xarray()
    assert data["fingerprint"].dims == ("environment", "component")
    assert np.array_equal(data["fingerprint"].values, rows_of(reduced))
    export(found, tmp_path / "rows.npz", "")
    with np.load(tmp_path / "rows.npz") as rows:
        assert np.array_equal(rows["fingerprint"], rows_of(reduced))


def test_random_projections_are_stored_like_fitted_ones(make, finished):
    campaign = make(reduction__name="random_projection", reduction__n_components=7)
    events = []
    run(campaign, [events.append])
    assert not [e for e in events if isinstance(e, PassStarted)]
    whole = rows_of(finished)
    expected = RandomProjection(7).project(whole.shape[1], None, None)
    assert np.array_equal(rows_of(campaign.path), expected.apply(whole))
    assert np.array_equal(fitted_arrays(campaign.path)["components"], expected.components)
    assert summarise(open_run(campaign.path)).fit.explained == []
    assert verify(campaign.path).faults == ()


def bad_file(molecules, target):
    """Copy in which three of the 60 structures are bad; which ones."""
    frames = re.split(r"(?m)^(?=\d+\nProperties)", molecules.read_text())[1:]
    lines = frames[7].splitlines()
    lines[3] = "H nan 0.0 0.0"
    frames[7] = "\n".join(lines) + "\n"
    frames[20] = re.sub(r"(?m)^H ", "Xe ", frames[20])
    target.write_text("".join(frames))
    return [7, 20]


def test_quarantined_structures_do_not_enter_the_fit(make, molecules, tmp_path, finished):
    bad = bad_file(molecules, tmp_path / "bad.xyz")
    campaign = make(source__path=str(tmp_path / "bad.xyz"), limits__quarantined_fraction=0.1, **PCA)
    run(campaign)
    structure, _ = open_run(finished).locate(np.arange(open_run(finished).n_environments))
    good = ~np.isin(structure, bad)
    found, whole = fitted_arrays(campaign.path), rows_of(finished)[good]
    assert np.allclose(found["mean"], whole.mean(axis=0), rtol=1e-12)
    fit = summarise(open_run(campaign.path)).fit
    assert fit.environments == good.sum()
    assert fit.quarantined == 2 * (~good).sum()
    rows = rows_of(campaign.path)
    assert np.isfinite(rows[good]).all()
    assert np.isnan(rows[~good]).all()


def test_too_many_quarantined_stop_the_fit_already(make, molecules, tmp_path):
    bad_file(molecules, tmp_path / "bad.xyz")
    changes = {"source__path": str(tmp_path / "bad.xyz"), **PCA}
    for _ in range(2):
        with pytest.raises(LastingError, match="more than 1 structures are quarantined"):
            run(make(limits__quarantined_fraction=0.02, **changes))
        # What the parts quarantined that are done is counted before any other is begun.
        assert done_shards(make().path, "fit-0") == {0}
    summary = summarise(open_run(make().path))
    assert sorted(summary.quarantined) == [7, 20]
    run(make(limits__quarantined_fraction=0.05, **changes))


def test_a_sample_with_too_few_usable_environments_is_refused(make, molecules, tmp_path):
    good = re.split(r"(?m)^(?=\d+\nProperties)", molecules.read_text())[1]
    bad = re.sub(r"(?m)^H ", "Xe ", good)
    (tmp_path / "few.xyz").write_text(bad * 9 + good.replace("Xe", "H"))
    n = int(good.split()[0])
    campaign = make(
        source__path=str(tmp_path / "few.xyz"), limits__quarantined_fraction=1.0,
        reduction__name="principal_components", reduction__n_components=17, reduction__sample=0,
    )  # fmt: skip
    assert n <= 17
    with pytest.raises(LastingError, match=f"only {n} environments .* not more than the 17"):
        run(campaign)


def test_directions_without_variance_are_announced(make, molecules, tmp_path):
    frame = re.split(r"(?m)^(?=\d+\nProperties)", molecules.read_text())[1]
    (tmp_path / "same.xyz").write_text(frame * 20)
    campaign = make(
        source__path=str(tmp_path / "same.xyz"),
        reduction__name="principal_components", reduction__n_components=17, reduction__sample=0,
    )  # fmt: skip
    events = []
    run(campaign, [events.append])
    rank = np.linalg.matrix_rank(rows_of(campaign.path)[: int(frame.split()[0])], tol=1e-6)
    words = [e.text for e in events if "directions" in getattr(e, "text", "")]
    assert words
    assert f"varies along {rank} directions" in words[0]


def damage(path, name):
    file = max((path / "reduction" / name / "c").rglob("*"), key=lambda f: f.is_file())
    data = bytearray(file.read_bytes())
    data[20] ^= 1
    file.write_bytes(data)


def other_values(path, name):
    zarr.open_group(path, mode="r+")[f"reduction/{name}"][0] = 17.0


def missing(path, name):
    shutil.rmtree(path / "reduction" / name)


@pytest.mark.parametrize("harm", [damage, other_values, missing])
@pytest.mark.parametrize("name", ["components", "mean"])
def test_a_damaged_projection_is_named_and_the_next_run_restores_it(
    copied, reduced, harm, name, caplog
):
    path, campaign = copied
    harm(path, name)
    found = verify(path, repair=True)
    assert [(f.stage, f.array) for f in found.faults] == [("reduction", f"reduction/{name}")]
    assert found.recomputed == 0
    assert "without what was fitted" in found.not_recomputed
    events = []
    run(campaign, [events.append])
    assert f"reduction/{name}" in caplog.text
    assert [e for e in events if isinstance(e, FitFinished)]
    # The same bytes as before: rows are kept.
    assert not [e for e in events if isinstance(e, ShardFinished)]
    assert contents(path) == contents(reduced)
    assert verify(path).faults == ()


def test_a_worker_refuses_a_damaged_projection(copied):
    path, _ = copied
    revoke(path, "fingerprint", 1)
    other_values(path, "components")
    # As a process that starts now: what it has not in memory it reads, and finds changed.
    workspace._open.cache_clear()
    plan = read_plan(path)
    task = stage_plans(path, plan)[0].task(1)
    with pytest.raises(StoreError, match="reduction/components has other values"):
        run_task(path, plan.digest, versions(), task)


def test_a_stage_does_not_run_before_the_fit(make):
    campaign = make(**PCA)
    stop, _ = stop_after(1)
    with pytest.raises(StoppedError):
        run(campaign, [stop])
    plan = read_plan(campaign.path)
    task = stage_plans(campaign.path, plan)[0].task(0)
    with pytest.raises(LastingError, match="not fitted yet"):
        run_task(campaign.path, plan.digest, versions(), task)


def test_metadata_of_a_projection_that_the_root_lists_wrongly_are_named_and_written_again(
    copied, reduced
):
    path, campaign = copied
    before = (path / "zarr.json").read_bytes()
    changed = before.replace(
        b"Subtracted from each fingerprint.", b"Subtracted from no fingerprint."
    )
    assert changed != before
    (path / "zarr.json").write_bytes(changed)
    assert [(f.stage, f.array) for f in verify(path, 0).faults] == [("frame", "zarr.json")]
    events = []
    run(campaign, [events.append])
    assert not [e for e in events if isinstance(e, PassStarted | RunStarted)]
    assert contents(path) == contents(reduced)
    assert verify(path, 0).faults == ()


@pytest.mark.parametrize(
    "name",
    ["run/fit/fitted.json", "reduction/zarr.json", "reduction/mean/zarr.json",
     "run/receipts/fit-0/00000/fit-0-00000000.json"],
)  # fmt: skip
@pytest.mark.parametrize("place", [None, 0, 2, 3])
def test_what_goes_with_a_fit_is_found_if_damaged_and_made_good(copied, reduced, name, place):
    path, campaign = copied
    file = path / name
    data = bytearray(file.read_bytes())
    if place is None:
        data.clear()
    else:
        # Of metadata, a word of a description; of receipts, a digit.
        data[place * len(data) // 4 - (place > 0)] ^= 1
    file.write_bytes(data)
    stage = "fit-0" if "receipts" in name else "reduction"
    assert [f.stage for f in verify(path, recomputed=0, repair=True).faults] == [stage]
    run(campaign)
    assert verify(path).faults == ()
    assert contents(path) == contents(reduced)


def test_a_repair_of_the_root_that_was_killed_half_way_is_ended_by_the_next_run(
    copied, reduced, monkeypatch
):
    path, campaign = copied
    (path / "zarr.json").write_bytes(b"")

    def killed(path):
        raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(frame, "consolidate", killed)
        with pytest.raises(StoppedError):
            frame.restore_frame(path, read_plan(path), None)
    run(campaign)
    assert contents(path) == contents(reduced)


def test_rows_without_a_record_of_the_fit_are_a_fault(copied):
    path, _ = copied
    (path / "run" / "fit" / "fitted.json").unlink()
    faults = verify(path).faults
    assert [f.what for f in faults] == [f"rows were computed, but {path} has no record of the fit"]


def test_a_lost_table_of_the_fit_is_written_again(make, reduced):
    campaign = make(**PCA)
    stop, _ = stop_after(1)
    with pytest.raises(StoppedError):
        run(campaign, [stop])
    (campaign.path / "run" / "shards" / "fit.npy").unlink()
    run(campaign)
    assert contents(campaign.path) == contents(reduced)


def test_a_part_that_fails_stops_the_run_and_is_tried_again_by_the_next(make, reduced):
    campaign = make(**PCA)

    def lose_the_index(event):
        if isinstance(event, PassStarted):
            shutil.rmtree(campaign.path / "run" / "index")

    with pytest.raises(RunError, match="fit-0-00000000"):
        run(campaign, [lose_the_index])
    run(campaign)
    assert contents(campaign.path) == contents(reduced)


def test_a_fit_that_needs_more_memory_than_a_worker_has_is_refused(make):
    with pytest.raises(LastingError, match=r"fit of \[reduction\] is projected to need"):
        run(make(execution__memory=0.01, **PCA))
    assert not done_shards(make().path, "fit-0")


def test_a_changed_reduction_is_refused(copied):
    _, campaign = copied
    changed = campaign.to_dict()
    changed["reduction"]["seed"] = 3
    with pytest.raises(StoreError, match=r"reduction\.seed: 0 → 3"):
        run(Campaign.from_dict(changed))


def test_the_plan_has_the_weight_of_what_is_kept(make):
    whole, kept = (preview(c).to_dict()["stages"][0] for c in (make(), make(**PCA)))
    assert kept["arrays"]["fingerprint"] == ["<f8", 976, 5]
    assert whole["disk_bytes"] - kept["disk_bytes"] == 976 * 8 * (17 - 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reduction__n_components": 18}, "n_components must be from 1 to 17, the features"),
        ({"reduction__n_components": 0}, r"\[reduction\] n_components must be a whole number"),
        ({"reduction__sample": 5}, r"\[reduction\] sample must be 0 .* n_components \(5\), got 5"),
        ({"reduction__samples": 5}, r'\[reduction\] key "samples" is unknown'),
        ({"reduction__name": "pca"}, r'\[reduction\] name "pca" is unknown; one of: principal'),
        ({"stage__reduction": "x"}, r"\[\[stage\]\] key reduction is not accepted"),
        ({"stage__name": "ingest"}, r"\[reduction\] is of no use to stage ingest"),
    ],
)
def test_wrong_reductions_are_refused_before_anything_runs(make, changes, message):
    with pytest.raises(CampaignError, match=message):
        make(**{**PCA, **changes})


def test_more_components_than_environments_are_refused_by_the_plan(make, tmp_path):
    (tmp_path / "water.xyz").write_text("3\n\nO 0 0 0\nH 0.96 0 0\nH 0 0.96 0\n")
    campaign = make(source__path=str(tmp_path / "water.xyz"), **PCA)
    with pytest.raises(CampaignError, match="less than the 3 environments of the source, got 5"):
        preview(campaign)
    with pytest.raises(CampaignError, match="less than the 3 environments"):
        run(campaign)


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=80),
    st.integers(0, 600),
    st.integers(0, 5),
    st.integers(16, 64),
)
def test_runs_are_disjoint_ranges_of_about_the_rows_wanted(sizes, sample, seed, longest):
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    n = int(offsets[-1])
    runs = draw_runs(offsets, sample, seed, longest)
    lengths = runs[:, 1] - runs[:, 0]
    assert (lengths > 0).all()
    assert (lengths <= longest).all()
    assert (runs[1:, 0] >= runs[:-1, 1]).all()
    if len(runs):
        assert runs[0, 0] >= 0
        assert runs[-1, 1] <= n
    total = int(lengths.sum())
    assert total == n if sample == 0 or sample >= n else total > sample - longest
    assert total <= max(n if sample == 0 else 0, sample + longest)
    assert np.array_equal(runs, draw_runs(offsets, sample, seed, longest))


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 7))
def test_slices_hold_the_same_rows_in_equal_lengths(sizes, length):
    edges = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
    rows = np.arange(2.0 * edges[-1]).reshape(-1, 2)
    slices = list(in_slices((rows[a:b] for a, b in pairwise(edges)), length))
    assert np.array_equal(np.concatenate([rows[:0], *slices]), rows)
    assert all(len(s) == length for s in slices[:-1])
    assert all(0 < len(s) <= length for s in slices[-1:])


def test_runs_are_read_together_if_close_and_not_too_large():
    def run_of(first, last):
        return [0, 0, first, last, 0]

    runs = np.array(
        [run_of(0, 2), run_of(2, 3), run_of(60, 61), run_of(200, 202), run_of(201, 202)]
    )
    counts = np.full(300, 10, dtype=np.int32)
    assert _end_of_group(runs, 0, counts) == (3, 61)
    assert _end_of_group(runs, 3, counts) == (5, 202)
    # A structure that is there already is not counted again, however large.
    assert _end_of_group(runs, 0, counts * 10_000) == (1, 2)
    assert _end_of_group(runs, 3, counts * 10_000) == (5, 202)


def test_runs_are_as_long_as_structures_but_not_few():
    large, small = np.arange(0, 100_001, 10_000), np.arange(0, 100_001, 20)
    for offsets, sample, length in [(large, 12_800, 200), (large, 640, RUN_ROWS),
                                    (large, 64_000, 512), (small, 12_800, 20)]:  # fmt: skip
        runs = draw_runs(offsets, sample, 0, 512)
        assert (runs[:-1, 1] - runs[:-1, 0] == length).all()
        assert len(runs) >= min(64, sample // RUN_ROWS)


def test_every_row_is_drawn_equally_often():
    offsets = np.arange(0, 1025, 4)
    drawn = np.zeros(1024)
    for seed in range(400):
        for start, stop in draw_runs(offsets, 256, seed, 64):
            drawn[start:stop] += 1
    # A quarter of the rows each time; five standard deviations.
    assert np.abs(drawn - 100).max() < 5 * np.sqrt(400 * 0.25 * 0.75)
