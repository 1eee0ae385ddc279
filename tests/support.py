"""Helpers shared by tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distdesc.store.objects import sealed, unsealed


def contents(store: Path) -> dict[str, bytes]:
    """Everything in a store but plan, index and receipts, which tell times and machines."""
    return {
        str(f.relative_to(store)): f.read_bytes()
        for f in sorted(store.rglob("*"))
        if f.is_file() and f.relative_to(store).parts[0] != "run"
    }


def rewrite(file: Path, **changes: Any) -> None:
    """Change some keys of a sealed object, such as a receipt, on purpose and with its checksum."""
    file.write_bytes(sealed({**unsealed(file.read_bytes()), **changes}))
