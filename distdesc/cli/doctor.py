"""The command that examines a deployment: doctor."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from distdesc.engine.doctor.finding import Finding

WRONG = 1
COLOURS = {"ok": "green", "warning": "yellow", "fault": "red"}


@click.command()
@click.option("--scheduler", default="", help="Address or scheduler file of a cluster to examine.")
@click.option("--store", default="", metavar="PATH", help="Place of a store, to write and read in.")
@click.option("--tls", default="", metavar="DIR", help="Folder of certificates of the cluster.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable; keys in docs/cli.md.")
def doctor(scheduler: str, store: str, tls: str, as_json: bool) -> None:
    """
    Examine a deployment from inside, and say what to do where something is wrong.

    Without --scheduler, this machine: versions, folders, a small computation. With it, client,
    scheduler and all workers: the same versions, clocks, threads, memory limits, free space,
    settings, encryption and dashboard. With --store, that each of them sees there what the
    others write. Exit code 1 if anything is wrong; a warning is not.

    \b
    distdesc doctor
    distdesc doctor --scheduler scheduler.json --store /scratch/runs --tls certs
    """
    from rich.console import Console

    if store and "://" not in store:
        store = str(Path(store).absolute())
    if scheduler:
        from distdesc.engine.executors.examination import examine_cluster

        found = examine_cluster(scheduler, tls, store)
    else:
        from distdesc.engine.doctor.local import examine_machine

        found = examine_machine(store)
    wrong = any(f.state == "fault" for f in found)
    if as_json:
        data = {"healthy": not wrong, "findings": [f.to_dict() for f in found]}
        click.echo(json.dumps(data, indent=1))
    else:
        Console().print(_table(found))
    if wrong:
        sys.exit(WRONG)


def _table(found: list[Finding]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column(overflow="fold")
    for finding in found:
        said = escape(finding.said)
        if finding.advice:
            said += f"\n[dim]→ {escape(finding.advice)}[/dim]"
        colour = COLOURS[finding.state]
        table.add_row(f"[{colour}]{finding.state}[/{colour}]", finding.check, said)
    return table
