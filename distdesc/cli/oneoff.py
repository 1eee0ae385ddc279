"""Campaigns that a command makes of flags, runs, and reads back at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from distdesc.cli.options import overrides

if TYPE_CHECKING:
    from distdesc.report.reader import Run

SMALL = 2**18
"""Bytes of a file that is done before workers would have started."""


def is_small(source: str, options: dict[str, Any]) -> bool:
    """
    Whether this process alone is done first, unless something else is asked for.

    Parameters
    ----------
    source : str
        As a user typed it.
    options : dict
        Those of `execution_options`.
    """
    asked = any(options[k] is not None for k in ("workers", "scheduler", "executor"))
    file = Path(source)
    return not asked and file.is_file() and file.stat().st_size <= SMALL


@contextmanager
def run_of(
    data: dict[str, Any],
    output: str | None,
    options: dict[str, Any],
    print_toml: bool,
    accept_versions: bool,
) -> Iterator[Run | None]:
    """
    Run a campaign, in a store that is gone afterwards if nobody asked for it.

    Parameters
    ----------
    data : dict
        Sections of the job.
    output : str or None
        Folder of the store; None for a temporary one.
    options : dict
        Those of `execution_options`.
    print_toml : bool
        Print the job instead, and give None.
    accept_versions : bool
        Go on with a store of other package versions.
    """
    from distdesc.campaign import Campaign
    from distdesc.job import overridden

    campaign = Campaign.from_dict(overridden(data, overrides(**options)))
    if print_toml:
        click.echo(campaign.to_toml(), nl=False)
        yield None
        return
    with ExitStack() as stack:
        if output is None:
            name = Path(data["store"]["path"]).name
            path = Path(stack.enter_context(TemporaryDirectory())) / name
            changed = {**data, "store": {"path": str(path)}}
            campaign = Campaign.from_dict(overridden(changed, overrides(**options)))
        yield _finished(campaign, accept_versions)


def _finished(campaign: Any, accept_versions: bool) -> Run:
    from rich.console import Console

    from distdesc.cli.progress import ProgressDisplay
    from distdesc.engine.run import run
    from distdesc.report.reader import open_run

    with ProgressDisplay(Console(stderr=True)) as display:
        run(campaign, [display], accept_versions)
    return open_run(campaign.path)
