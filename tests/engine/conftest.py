"""A small campaign on real molecules, for the engine's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distdesc.campaign import Campaign
from distdesc.engine.run import run
from distdesc.job import overridden

Make = Callable[..., Campaign]


@pytest.fixture
def make(molecules, tmp_path) -> Make:
    """Campaigns that differ from a small one in the keys given, as ``section__key=value``."""

    def build(store: str = "run.zarr", **changes: Any) -> Campaign:
        data = {
            "question": "What are the fingerprints of 60 molecules?",
            "source": {"name": "extxyz", "path": str(molecules)},
            "descriptor": {
                "name": "moment_invariants",
                "order": 3,
                "cutoff": 4.0,
                "elements": ["H", "C", "N", "O"],
            },
            "stage": [{"name": "fingerprint"}],
            "store": {"path": str(tmp_path / store), "shard_rows": 128, "chunk_rows": 32},
            "execution": {"executor": "serial"},
        }
        changed = {key.replace("__", "."): value for key, value in changes.items()}
        return Campaign.from_dict(overridden(data, changed))

    return build


@pytest.fixture(scope="session")
def finished(molecules, tmp_path_factory) -> Path:
    """Store of the small campaign, computed serially once; not to be changed by a test."""
    path = tmp_path_factory.mktemp("finished") / "run.zarr"
    run(
        Campaign.from_dict(
            {
                "question": "What are the fingerprints of 60 molecules?",
                "source": {"name": "extxyz", "path": str(molecules)},
                "descriptor": {
                    "name": "moment_invariants",
                    "order": 3,
                    "cutoff": 4.0,
                    "elements": ["H", "C", "N", "O"],
                },
                "stage": [{"name": "fingerprint"}],
                "store": {"path": str(path), "shard_rows": 128, "chunk_rows": 32},
                "execution": {"executor": "serial"},
            }
        )
    )
    return path
