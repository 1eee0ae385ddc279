"""The index of a source takes no more memory than it has to, however it comes about."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest

from distdesc.structures._extxyz_scan import FrameIndex
from distdesc.structures._rows import scan_rows
from distdesc.structures.index import SourceIndex

N = 20_000


class Molecules:
    """A database of molecules of which it knows the size only."""

    stamp = None

    def count(self):
        return N

    def summaries(self):
        return ((1000 + k, "", 20) for k in range(N))

    def close(self):
        pass


@pytest.fixture
def peak():
    """Function that calls another and gives its result, and the bytes that it took at most."""

    def measured(work):
        tracemalloc.start()
        try:
            result = work()
            return result, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return measured


def test_frames_take_little_more_than_their_locators(peak, tmp_path):
    frames = np.arange(4 * 1000, dtype=np.int64).reshape(1000, 4)

    def scan():
        index = FrameIndex()
        index.files.append(tmp_path / "x.xyz")
        for _ in range(N // 1000):
            index.add_frames(frames)
        return index.arrays()

    (counts, locators), most = peak(scan)
    assert most < 1.3 * (counts.nbytes + locators.nbytes)
    assert np.array_equal(counts[-1000:], frames[:, 2])
    assert np.array_equal(locators[:1000], np.insert(frames[:, [0, 1, 3]], 0, 0, axis=1))


def test_rows_of_a_database_take_little_more_than_their_locators(peak):
    index, most = peak(lambda: scan_rows(["here", "there"], lambda _: Molecules(), None))
    assert most < 1.3 * (index.atom_counts.nbytes + index.locators.nbytes)
    assert index.locators[[0, N, -1]].tolist() == [[0, 1000], [1, 1000], [1, 999 + N]]
    assert index.atom_counts.sum() == 2 * N * 20


def test_an_index_is_saved_without_a_copy_of_it(peak, tmp_path):
    locators = np.arange(4 * N, dtype=np.int64).reshape(N, 4)
    index = SourceIndex(np.full(N, 20, dtype=np.int32), locators, "0" * 32)
    _, most = peak(lambda: index.save(tmp_path))
    assert most < 0.2 * locators.nbytes


@pytest.mark.parametrize(
    "locators",
    [
        np.arange(12).reshape(4, 3),
        np.asfortranarray(np.arange(12).reshape(4, 3)),
        np.arange(24).reshape(4, 6)[:, ::2],
        np.zeros((4, 0), dtype=np.int64),
    ],
    ids=["plain", "columns", "strided", "none"],
)
def test_what_is_saved_is_a_file_of_numpy(locators, tmp_path):
    SourceIndex(np.arange(4, dtype=np.int32), locators, "0" * 32).save(tmp_path)
    expected = io.BytesIO()
    np.save(expected, np.ascontiguousarray(locators))
    assert (tmp_path / "locators.npy").read_bytes() == expected.getvalue()
    assert np.array_equal(SourceIndex.load(tmp_path).locators, locators)
