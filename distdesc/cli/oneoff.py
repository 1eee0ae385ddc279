"""Campaigns that a command makes of flags, runs, reads back at once, and shows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from distdesc.cli.campaigns import ACCEPT, PRINT_TOML
from distdesc.cli.errors import stoppable
from distdesc.cli.options import execution_options, overrides
from distdesc.errors import SourceError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from distdesc.report.reader import Run

SMALL = 2**18
"""Bytes of a file that is done before workers would have started."""


def one_off_options(example: str) -> Callable[[Any], Any]:
    """
    Add the options of every command that makes a campaign of flags.

    Parameters
    ----------
    example : str
        Name of a figure, for the help.
    """
    options = (
        click.option("-o", "--output", type=click.Path(),
                     help="Folder of a store to keep it all in."),
        click.option("--figure", type=click.Path(dir_okay=False, path_type=Path),
                     help=f"Also draw it, e.g. {example}."),
        click.option("--json", "as_json", is_flag=True,
                     help="Machine-readable; keys in docs/cli.md."),
        click.option("--source-name", help="Kind of source, where the suffix does not tell."),
        PRINT_TOML, execution_options, ACCEPT,
    )  # fmt: skip

    return lambda command: reduce(lambda made, add: add(made), reversed(options), command)


def one_off_sections(source: str, store: str, options: dict[str, Any]) -> dict[str, Any]:
    """
    Sections that every such campaign has; a small file is done here before workers have started.

    Parameters
    ----------
    source : str
        As a user typed it.
    store : str
        Where rows go.
    options : dict
        Those of `execution_options`; what they ask for is not overridden.
    """
    asked = any(options[k] is not None for k in ("workers", "scheduler", "executor"))
    file = Path(source)
    small = not asked and file.is_file() and file.stat().st_size <= SMALL
    return {
        "store": {"path": store},
        "execution": {"executor": "serial"} if small else {},
        "limits": {"quarantined_fraction": 1.0},
    }


@contextmanager
def run_of(
    data: dict[str, Any],
    output: str | None,
    options: dict[str, Any],
    print_toml: bool,
    accept_versions: bool,
    figure: Path | None,
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
    figure : pathlib.Path or None
        Image that is to be drawn; one that could not be is refused before anything is computed.
    """
    from distdesc.campaign import Campaign
    from distdesc.job import overridden

    if figure is not None:
        from distdesc.report.figure_canvas import canvas

        canvas(figure, 1, 1)

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
        yield _finished(campaign, accept_versions, kept=output is not None)


def _finished(campaign: Any, accept_versions: bool, kept: bool) -> Run:
    from rich.console import Console

    from distdesc.cli.progress import ProgressDisplay
    from distdesc.engine.run import run
    from distdesc.report.reader import open_run

    with stoppable(kept), ProgressDisplay(Console(stderr=True)) as display:
        run(campaign, [display], accept_versions)
    return open_run(campaign.path)


def show(
    done: Run,
    table: RenderableType | None,
    data: Callable[[Run], dict[str, Any]] | None,
    refusal: str,
    figure: tuple[Path | None, Callable[[Run, Path], None]],
) -> None:
    """
    Print what a run found, and what was set aside; draw it.

    Parameters
    ----------
    done : Run
        The run.
    table : renderable or None
        For people; None if there is nothing to show.
    data : callable or None
        Makes the same for machines, which is printed instead; None for people.
    refusal : str
        Why there is nothing to show; empty if there is.
    figure : tuple of (pathlib.Path or None, callable)
        Image to write, if any, and what writes it.

    Raises
    ------
    SourceError
        With the refusal, after what is known was printed.
    """
    from rich.console import Console

    from distdesc.report.summary import summarise
    from distdesc.report.text import quarantine_table

    out, summary = Console(), summarise(done)
    if data is not None:
        click.echo(json.dumps(data(done), indent=1))
    else:
        if table is not None:
            out.print(table)
        if summary.quarantined:
            out.print(quarantine_table(summary, 20))
    if refusal:
        raise SourceError(refusal)
    path, draw = figure
    if path is not None:
        draw(done, path)
