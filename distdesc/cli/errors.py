"""Errors as one message and an exit code."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from distdesc.errors import (
    CampaignError,
    DistdescError,
    LastingError,
    RunError,
    SourceBusyError,
    SourceError,
    StoreError,
    is_denied,
)

STOPPED = 5
LASTING = 6
INTERRUPTED = 130
KEPT = "what is done is kept: the same command goes on with it"
LOST = "nothing is kept: with -o STORE, what is done would be"
CODES: tuple[tuple[type[DistdescError], int], ...] = (
    (CampaignError, 2),
    (SourceBusyError, STOPPED),
    (SourceError, 3),
    (StoreError, 4),
    (LastingError, LASTING),
    (RunError, STOPPED),
)
"""The first that fits is taken; only after `STOPPED` and `INTERRUPTED` another try may help."""


@contextmanager
def exit_on_errors() -> Iterator[None]:
    """
    Turn errors into a message on standard error and an exit code.

    SIGTERM is taken as Ctrl-C, so that a batch system's time limit stops a run cleanly.
    """
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort) as error:
        notes = getattr(error.__cause__ or error, "__notes__", ())  # click's has ours for a cause
        click.echo("; ".join(["stopped", *notes]), err=True)
        sys.exit(INTERRUPTED)
    except OSError as error:
        click.secho("error: ", fg="red", bold=True, nl=False, err=True)
        where = f": {error.filename}" if error.filename else ""
        click.echo(f"{error.strerror or error}{where}", err=True)
        sys.exit(LASTING if is_denied(error) else STOPPED)
    except DistdescError as error:
        click.secho("error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(str(error), err=True)
        sys.exit(next((code for kind, code in CODES if isinstance(error, kind)), 1))


@contextmanager
def stoppable(kept: bool = True) -> Iterator[None]:
    """
    Say what is left when a campaign is stopped.

    Parameters
    ----------
    kept : bool
        Whether its store is.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        error.add_note(KEPT if kept else LOST)
        raise


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
