"""Helpers shared by tests."""

from __future__ import annotations

from pathlib import Path


def contents(store: Path) -> dict[str, bytes]:
    """Everything in a store but plan, index and receipts, which tell times and machines."""
    return {
        str(f.relative_to(store)): f.read_bytes()
        for f in sorted(store.rglob("*"))
        if f.is_file() and f.relative_to(store).parts[0] != "run"
    }
