"""The plan: every row in exactly one shard, every structure accounted for once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distdesc.engine.plan import StagePlan, Task, check_memory, shard_table
from distdesc.engine.task import _home_structures
from distdesc.errors import LastingError, StoreError
from distdesc.schema import ArraySpec, Ragged, RowKind
from distdesc.store.layout import (
    StageLayout,
    default_chunk_rows,
    default_shard_rows,
    slot_capacity,
)

SIZES = st.lists(st.integers(0, 40), min_size=1, max_size=60)


def environment_plan(sizes: list[int], shard_rows: int) -> tuple[np.ndarray, StagePlan]:
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    layout = StageLayout("fingerprint", "environment", int(offsets[-1]), shard_rows, 1)
    return offsets, StagePlan(layout, (), shard_table(offsets, layout), 0, {})


def tasks(plan: StagePlan) -> list[Task]:
    return list(plan.tasks(range(plan.layout.n_shards)))


@given(SIZES, st.integers(1, 50))
def test_shards_tile_the_rows_once(sizes, shard_rows):
    _, plan = environment_plan(sizes, shard_rows)
    edges = [(t.row_start, t.row_stop) for t in tasks(plan)]
    assert edges[0][0] == 0
    assert edges[-1][1] == sum(sizes)
    assert all(a[1] == b[0] for a, b in pairwise(edges))


@given(SIZES, st.integers(1, 50))
def test_a_task_reads_exactly_the_structures_its_rows_touch(sizes, shard_rows):
    offsets, plan = environment_plan(sizes, shard_rows)
    last = plan.layout.n_shards - 1
    for task in tasks(plan):
        touched = [
            k
            for k, n in enumerate(sizes)
            if (n and offsets[k] < task.row_stop and offsets[k + 1] > task.row_start)
            or (not n and task.row_start <= offsets[k] < task.row_stop)
            or (not n and task.shard == last and offsets[k] == task.row_stop)
        ]
        assert touched == list(range(task.structure_start, task.structure_stop))
        if touched:
            assert task.first_row == offsets[touched[0]]
            assert plan.table[task.shard, 3] == offsets[touched[-1] + 1] - offsets[touched[0]]


class _Work:
    def __init__(self, kind: RowKind) -> None:
        self.stage = self
        self.row_kind = kind


@given(SIZES, st.integers(1, 50))
def test_home_structures_of_all_shards_add_up_to_all_structures(sizes, shard_rows):
    _, plan = environment_plan(sizes, shard_rows)
    work = _Work(RowKind.ENVIRONMENT)
    assert sum(_home_structures(work, t) for t in tasks(plan)) == len(sizes)


@given(SIZES, st.integers(1, 50))
def test_structure_rows_are_read_by_exactly_one_shard(sizes, shard_rows):
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    layout = StageLayout("ingest", "structure", len(sizes), shard_rows, 1)
    table = shard_table(offsets, layout)
    read = [k for a, b, *_ in table for k in range(a, b)]
    assert read == list(range(len(sizes)))
    assert table[:, 3].sum() == sum(sizes)
    assert slot_capacity(Ragged(), shard_rows, int(table[:, 3].max())) >= table[:, 3].max()


def test_a_shard_that_would_not_fit_a_worker_is_refused_with_what_to_do():
    layout = StageLayout("fingerprint", "environment", 100, 10, 5)
    plan = StagePlan(layout, (), np.zeros((10, 4), dtype=np.int64), 3 * 2**30, {}, least=2 * 2**30)
    check_memory([plan], 2 * 2**30)
    with pytest.raises(LastingError, match=r"projected to need 2.00 GiB .*shard_rows \(now 10\)"):
        check_memory([plan], 2**30)


def test_shard_rows_must_be_a_multiple_of_chunk_rows():
    with pytest.raises(StoreError, match="multiple of chunk_rows, got 10 and 3"):
        StageLayout("fingerprint", "environment", 100, 10, 3)


@given(st.integers(1, 6000), st.sampled_from(["<f4", "<f8"]), st.integers(0, 10**9))
def test_chosen_shards_are_of_sensible_size(width, dtype, n_rows):
    specs = (ArraySpec("fingerprint", dtype, (width,)), ArraySpec("number", "|u1"))
    shard = default_shard_rows(specs, n_rows)
    chunk = default_chunk_rows(specs, shard)
    assert shard % chunk == 0
    row = width * np.dtype(dtype).itemsize
    assert shard == 512 or shard * row <= 32 * 2**20
    assert chunk * row <= max(row, 2 * 2**20)


def test_large_campaigns_get_full_shards_and_small_ones_get_several():
    specs = (ArraySpec("fingerprint", "<f8", (117,)),)
    assert default_shard_rows(specs, 10**9) == 32768
    assert default_shard_rows(specs, 100_000) == 1024
    assert default_shard_rows(specs, 10) == 512
