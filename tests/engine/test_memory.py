"""Workers stay below their memory, for any mix of sizes, and results do not depend on it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distdesc.campaign import Campaign
from distdesc.engine.compute import compute
from distdesc.engine.memory import fixed_memory, peak_rss, reading_memory, reset_peak
from distdesc.engine.pieces import ENDLESS, pieces, too_large
from distdesc.engine.plan import Task
from distdesc.engine.prepare import prepare
from distdesc.engine.preview import preview
from distdesc.engine.run import run, stage_plans
from distdesc.engine.tries import SHARE
from distdesc.engine.verify import verify
from distdesc.engine.workspace import StageWork, open_workspace
from distdesc.errors import StructureError
from distdesc.report.reader import open_run
from distdesc.schema import RowKind
from distdesc.stages.fingerprint import Fingerprint
from distdesc.stopwatch import Stopwatch
from distdesc.store.layout import StageLayout
from distdesc.store.receipts import iter_receipts

SPECTRUM = {"name": "power_spectrum", "n_max": 8, "l_max": 2, "cutoff": 5.0,
            "elements": ["H", "O", "Si"]}  # fmt: skip


class _Stage:
    """Needs a byte for each row, and for each atom of its largest structure."""

    reads_records = False

    def __init__(self, kind: RowKind) -> None:
        self.row_kind = kind

    def working_memory(self, n_rows: int, max_atoms: int) -> int:
        return n_rows + max_atoms


class _Writer:
    specs: dict[str, object] = {}  # noqa: RUF012


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=40),
    st.sampled_from(list(RowKind)),
    st.integers(0, 3000),
    st.data(),
)
def test_pieces_tile_a_shard_and_read_every_structure(counts, kind, left, data):
    sizes = np.array(counts, dtype=np.int32)
    whole = len(counts) if kind is RowKind.STRUCTURE else int(sizes.sum())
    # The shard may begin within its first structure.
    before = data.draw(st.integers(0, max(0, counts[0] - 1))) if whole > 1 else 0
    start = 1000 if kind is RowKind.STRUCTURE else 1000 + before
    task = Task("some", 3, start, 1000 + whole, 7, 7 + len(counts), 1000)
    stage = _Stage(kind)
    layout = StageLayout("some", kind.value, 10**6, 10**6, 1)
    work = StageWork(stage, layout, _Writer())  # type: ignore[arg-type]
    memory = fixed_memory((), whole, int(sizes.sum())) + left
    found = pieces(work, task, sizes, (), memory)
    assert found[0].row_start == task.row_start
    assert found[-1].row_stop == task.row_stop
    assert all(a.row_stop == b.row_start for a, b in pairwise(found))
    read = [k for p in found for k in range(p.structure_start, p.structure_stop)]
    assert sorted(set(read)) == list(range(7, 7 + len(counts)))
    for piece in found:
        a, b = piece.structure_start - 7, piece.structure_stop - 7
        if kind is RowKind.ENVIRONMENT:
            assert piece.first_row == 1000 + sizes[:a].sum()
            assert piece.first_row <= piece.row_start
            assert piece.first_row + sizes[a:b].sum() >= piece.row_stop
        else:
            assert (piece.row_start, piece.row_stop) == (1000 + a, 1000 + b)
        rows = piece.row_stop - piece.row_start
        needed = reading_memory(stage, int(sizes[a:b].sum()))  # type: ignore[arg-type]
        assert rows <= 1 or needed + rows + sizes[a:b].max(initial=0) <= left


def test_what_is_set_aside_does_not_cut_a_shard():
    stage = _Stage(RowKind.STRUCTURE)
    layout = StageLayout("some", "structure", 4, 4, 1)
    work = StageWork(stage, layout, _Writer())  # type: ignore[arg-type]
    sizes = np.array([3, 10**6, 3, 3], dtype=np.int32)
    task = Task("some", 0, 0, 4, 0, 4, 0)
    memory = fixed_memory((), 4, 0) + 10_000
    large = too_large(work, task, sizes, memory)
    assert list(large) == [1]
    assert "1000000 atoms: needs about 0.35 GiB of memory, a worker may use 0.29 GiB" in large[1]
    assert pieces(work, task, sizes, large, memory) == [task]
    assert len(pieces(work, task, sizes, (), memory)) > 1
    assert too_large(work, task, sizes, ENDLESS) == {}


@pytest.mark.parametrize(
    "stage", [{}, {"per": "structure"}, {"layout": "sparse"}],
    ids=["environments", "pooled", "sparse"],
)  # fmt: skip
@pytest.mark.parametrize("bad", [False, True], ids=["good", "bad"])
def test_rows_do_not_depend_on_the_memory(molecules, tmp_path, monkeypatch, stage, bad):
    elements = {**SPECTRUM, "elements": ["H", "C", "N", "O"]}
    campaign = job(molecules, tmp_path, elements, {"name": "fingerprint", **stage}, 128)
    campaign.path.mkdir()
    plan = prepare(campaign, lambda event: None, accept_versions=False)
    workspace = open_workspace(campaign.path, plan.digest)
    work = workspace.work["fingerprint"]
    task = stage_plans(campaign.path, plan)[0].task(0)
    counts = workspace.index.atom_counts[task.structure_start : task.structure_stop]
    largest = int(counts.max())
    least = fixed_memory(
        work.writer.specs.values(), task.row_stop - task.row_start, int(counts.sum())
    )
    least += work.stage.working_memory(1, largest) + reading_memory(work.stage, largest)
    cut = pieces(work, task, counts, (), least)
    assert len(cut) > 8
    assert too_large(work, task, counts, least) == {}
    if bad:
        within = [p.structure_start for p in cut if p.first_row < p.row_start]
        monkeypatch.setattr(Fingerprint, "run", refusing(int((within or [5])[0]), Fingerprint.run))
    whole = compute(workspace, work, task, {}, Stopwatch())
    split = compute(workspace, work, task, {}, Stopwatch(), least)
    assert whole.problems == split.problems
    assert len(whole.problems) == bad
    assert np.array_equal(whole.status, split.status)
    assert list(whole.arrays) == list(split.arrays)
    for name, values in whole.arrays.items():
        assert np.array_equal(values, split.arrays[name], equal_nan=values.dtype.kind == "f"), name


def refusing(structure: int, original: Callable[..., Any]) -> Callable[..., Any]:
    """Run of a stage that refuses a structure only when it is at its last atom."""

    def run(self, batch, first, last, clock):
        for k in np.flatnonzero(batch.indices == structure).tolist():
            row = k if self.row_kind is RowKind.STRUCTURE else int(batch.offsets[k + 1]) - 1
            if first <= row < last:
                raise StructureError({k: "its last atom is bad"})
        return original(self, batch, first, last, clock)

    return run


def job(
    source: Path,
    folder: Path,
    descriptor: dict[str, Any],
    stage: dict[str, Any],
    shard_rows: int = 0,
    **execution: Any,
) -> Campaign:
    return Campaign.from_dict(
        {
            "question": "Does it fit?",
            "source": {"name": "extxyz", "path": str(source)},
            "descriptor": descriptor,
            "stage": [stage],
            "store": {"path": str(folder / "run.zarr"), "shard_rows": shard_rows},
            "execution": {"executor": "serial", **execution},
            "limits": {"quarantined_fraction": 0.1},
        }
    )


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Path:
    """Molecules of three atoms, and among them a crystal of 10^5."""
    rng = np.random.default_rng(0)
    n = 46
    sites = 2.5 * np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    sites += 0.1 * rng.normal(size=sites.shape)
    water = "3\nProperties=species:S:1:pos:R:3\nO 0 0 0\nH 0.76 0.59 {:.3f}\nH -0.76 0.59 0\n"
    molecules = [water.format(x) for x in rng.uniform(0, 0.2, size=100)]
    cell = f'Lattice="{2.5 * n} 0 0 0 {2.5 * n} 0 0 0 {2.5 * n}"'
    lines = [f"Si {x:.4f} {y:.4f} {z:.4f}\n" for x, y, z in sites]
    crystal = f"{n**3}\n{cell} Properties=species:S:1:pos:R:3\n" + "".join(lines)
    path = tmp_path_factory.mktemp("mixed") / "mixed.xyz"
    path.write_text("".join([*molecules[:50], crystal, *molecules[50:]]))
    return path


def test_a_worker_stays_below_its_memory_with_molecules_beside_a_crystal(mixed, tmp_path):
    stage = {"name": "fingerprint", "per": "structure", "pool": "species"}
    whole = preview(job(mixed, tmp_path, SPECTRUM, stage)).plans[0].memory
    limit = int((whole - 2**20) / SHARE)
    campaign = job(mixed, tmp_path, SPECTRUM, stage, memory=limit / 2**30, isolation="always")
    run(campaign)
    receipts = list(iter_receipts(campaign.path, "fingerprint"))
    peaks = [r.where["peak_rss"] for r in receipts]
    assert all(2**26 < peak < limit for peak in peaks)
    assert open_run(campaign.path).quarantined() == {}


def test_a_structure_too_large_for_a_worker_is_set_aside_by_name(mixed, tmp_path):
    descriptor = {**SPECTRUM, "n_max": 2, "l_max": 2, "cutoff": 3.0}
    campaign = job(mixed, tmp_path, descriptor, {"name": "singular", "map": "sum"}, memory=1.0)
    run(campaign)
    found = open_run(campaign.path)
    assert list(found.quarantined()) == [50]
    reason = found.quarantined()[50]
    assert reason.startswith("97336 atoms: needs about 2")
    assert reason.endswith("GiB of memory, a worker may use 0.95 GiB")
    status = found.status("singular")
    assert (status == 0).sum() == 100
    assert verify(campaign.path, recomputed=1).faults == ()


def test_the_peak_of_a_shard_is_its_own(tmp_path):
    reset_peak()
    before = peak_rss()
    np.ones(2**24)
    assert peak_rss() > before + 2**26
    reset_peak()
    assert peak_rss() < before + 2**26
