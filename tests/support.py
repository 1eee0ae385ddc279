"""Helpers shared by tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from distdesc.cli import cli, main
from distdesc.engine.events import RunStarted
from distdesc.store.objects import sealed, unsealed

PROCESSES = Path(__file__).parent / "chaos" / "processes"
"""Where processes of tests find what they do beside their work: ``sitecustomize.py`` there."""


def python_path() -> str:
    """Value of ``PYTHONPATH`` for such processes."""
    return os.pathsep.join(filter(None, [str(PROCESSES), os.environ.get("PYTHONPATH", "")]))


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


class StoppedError(Exception):
    """Raised by a listener, to stop a run from within."""


def stop(event: object) -> None:
    """Listener that stops a run as soon as it has begun."""
    if isinstance(event, RunStarted):
        raise StoppedError


def call(*arguments: object) -> str:
    """What a command prints that must succeed, without what it says meanwhile."""
    result = CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def fail(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code of a command that must fail, and what it says of it on one line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["distdesc", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
    return exit_.value.code, " ".join(capsys.readouterr().err.split())
