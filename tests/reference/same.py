"""Exact comparison of structures and of everything they may carry."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def assert_same(a, b, where="value"):
    """Equal in type, dtype, shape and value; NaN equals NaN."""
    assert type(a) is type(b), f"{where}: {type(a)} and {type(b)}"
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype, f"{where}: {a.dtype} and {b.dtype}"
        assert a.shape == b.shape, f"{where}: {a.shape} and {b.shape}"
        if a.dtype.kind == "O":
            assert_same(a.tolist(), b.tolist(), where)
        else:
            np.testing.assert_array_equal(a, b, where)
    elif isinstance(a, Mapping):
        assert set(a) == set(b), f"{where}: {sorted(a)} and {sorted(b)}"
        for key in a:
            assert_same(a[key], b[key], f"{where}[{key!r}]")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for k, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{k}]")
    elif isinstance(a, float | np.floating) and np.isnan(a):
        assert np.isnan(b), where
    else:
        assert a == b, f"{where}: {a!r} and {b!r}"


def assert_same_structure(a, b):
    """Equal in geometry and in all data."""
    for name in ("numbers", "positions", "cell", "pbc"):
        assert_same(getattr(a, name), getattr(b, name), name)
    for name in ("info", "arrays", "results"):
        assert_same(dict(getattr(a, name)), dict(getattr(b, name)), name)


def assert_same_batch(a, b):
    """Equal in geometry, problems and records."""
    for name in ("indices", "offsets", "numbers", "positions", "cells", "pbc"):
        assert_same(np.asarray(getattr(a, name)), np.asarray(getattr(b, name)), name)
    assert dict(a.problems) == dict(b.problems)
    if a.records is not None or b.records is not None:
        assert len(a.records) == len(b.records)
        for x, y in zip(a.records, b.records, strict=True):
            assert (x is None) == (y is None)
            if x is not None:
                assert_same_structure(x, y)
