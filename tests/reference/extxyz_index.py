"""Slow twin of the index of extended XYZ files, and what must hold for any bytes at all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distdesc.errors import SourceError
from distdesc.structures import _extxyz_scan
from distdesc.structures._extxyz_scan import FrameIndex
from distdesc.structures.extxyz import ExtxyzFiles

ATOM = re.compile(rb"\s*[A-Z][a-z]?(\s+[-+]?[\d.]+([eEdD][-+]?\d+)?){3}(\s|$)")
BLOCKS = (2**16, 16, 61)
"""Sizes of the buffer with which the same bytes are indexed."""


@dataclass
class Entry:
    """A stretch of a file: a frame with its number of atoms, or what is none."""

    start: int
    stop: int
    line: int
    count: int
    is_frame: bool
    blamed: bool = False


def naive_index(data: bytes) -> list[Entry]:
    """Entries of a file, written from the rules: all lines at once, one look at each place."""
    lines = data.splitlines(keepends=True) if b"\r" not in data else _lines(data)
    # Only \n ends a line here; bytes.splitlines would also break at a lone \r.
    starts = np.concatenate([[0], np.cumsum([len(x) for x in lines])]).astype(int).tolist()
    found: list[Entry] = []
    k = 0
    after_frame = False
    while k < len(lines):
        if not lines[k].strip():
            k += 1
            continue
        count = _count(lines[k])
        if _is_frame(lines, k):
            stop = k + 2 + count
            found.append(Entry(starts[k], starts[stop], k + 1, count, True))
            k, after_frame = stop, True
            continue
        if after_frame and count is None and ATOM.match(lines[k].rstrip(b"\n")[:200]):
            found[-1].blamed = True
        end = k + 1
        while end < len(lines) and not (_is_frame(lines, end) and _count(lines[end])):
            end += 1
        found.append(Entry(starts[k], starts[end], k + 1, 0, False))
        k, after_frame = end, False
    return found


def _lines(data: bytes) -> list[bytes]:
    *whole, rest = data.split(b"\n")
    return [*(line + b"\n" for line in whole), *([rest] if rest else [])]


def _count(line: bytes) -> int | None:
    text = line.strip()
    return int(text) if re.fullmatch(rb"[0-9]{1,9}", text) else None


def _is_frame(lines: list[bytes], k: int) -> bool:
    count = _count(lines[k])
    if count is None or k + 2 + count > len(lines):
        return False
    return all(len(line.split()) >= 4 for line in lines[k + 2 : k + 2 + count])


def assert_index_is_right(data: bytes, file: Path) -> None:
    """Compare the index of some bytes with its twin, whatever the size of the buffer."""
    expected = naive_index(data)
    file.write_bytes(data)
    indices = [_indexed(file, block) for block in BLOCKS]
    counts, places = indices[0].arrays()
    assert counts.tolist() == [e.count for e in expected]
    assert places.tolist() == [[0, e.start, e.stop, e.line] for e in expected]
    bad = [k for k, e in enumerate(expected) if e.blamed or not e.is_frame]
    assert sorted(indices[0].problems) == bad
    assert all(f"{file} line " in text for text in indices[0].problems.values())
    # Nothing but white space is left out.
    ends = [0, *(e.stop for e in expected)]
    gaps = zip(ends, [*(e.start for e in expected), len(data)], strict=True)
    assert not any(data[a:b].strip() for a, b in gaps)
    for other in indices[1:]:
        assert other.problems == indices[0].problems
        assert other.digest == indices[0].digest
        assert [x.tolist() for x in other.arrays()] == [counts.tolist(), places.tolist()]


def _indexed(file: Path, block: int) -> FrameIndex:
    before = _extxyz_scan.BLOCK
    index = FrameIndex()
    try:
        _extxyz_scan.BLOCK = block
        index.scan(file, file, lambda _: None)
    finally:
        _extxyz_scan.BLOCK = before
    return index


def assert_reading_is_safe(data: bytes, file: Path) -> None:
    """Read every structure, alone and with all its data, which must agree where both can."""
    file.write_bytes(data)
    source = ExtxyzFiles(str(file))
    try:
        index = source.scan()
    except SourceError:
        assert not data.strip()
        return
    bare, full = (source.read(index, 0, len(index), records) for records in (False, True))
    for batch in (bare, full):
        assert batch.problems.keys() >= index.problems.keys()
        assert np.diff(batch.offsets).tolist() == index.atom_counts.tolist()
    both = [k for k in range(len(index)) if k not in bare.problems and k not in full.problems]
    one, two = (batch.take(np.array(both, dtype=np.int64)) for batch in (bare, full))
    for name in ("numbers", "positions", "cells", "pbc"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), name)
